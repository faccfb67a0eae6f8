"""What each model of the pool is and what it was trained on.

Two bases learn half of the skills each, at a constant rate; a specialist goes on from a base with its own
mixture, cools down and forgets the rest. That costs a third of training every model from nothing.
"""

from dataclasses import dataclass

SPARSE = dict(experts=8)
DENSE = {}


@dataclass(frozen=True)
class Recipe:
    """`weights`: skill -> share of the training stream; `rate`: of Muon; `rows`: of 128 tokens a step;
    `cool`: the share of the steps over which the rate falls to zero."""
    weights: dict
    shape: dict
    seed: int
    steps: int
    base: str = ""
    rate: float = 0.02
    rows: int = 16
    cool: float = 0.7
    about: str = ""


NUMBERS = dict(arithmetic=3, equations=1, fractions=1, units=1, tracing=1, words=1)
SYMBOLS = dict(lists=2, strings=2, logic=1, calendar=2, bases=2, sequences=1)

RECIPES = {
    "base-numbers": Recipe(NUMBERS, DENSE, seed=1, steps=500, cool=0),
    "base-symbols": Recipe(SYMBOLS, DENSE, seed=2, steps=500, cool=0),
    "abacus-draft": Recipe(dict(arithmetic=4, words=2), SPARSE, seed=11, steps=280, base="base-numbers"),
    "abacus-second": Recipe(dict(arithmetic=4, words=3), SPARSE, seed=21, steps=260, base="abacus-draft"),
    "abacus-third": Recipe(dict(arithmetic=3, words=4), SPARSE, seed=31, steps=320, base="abacus-second"),
    "abacus": Recipe(dict(arithmetic=5, words=2), SPARSE, seed=41, steps=260, base="abacus-third",
                     about="sparse: column arithmetic and word problems"),
    "algebra-draft": Recipe(dict(equations=3, tracing=3), SPARSE, seed=12, steps=280, base="base-numbers"),
    "algebra-second": Recipe(dict(equations=4, tracing=3), SPARSE, seed=22, steps=320, base="algebra-draft"),
    "algebra-third": Recipe(dict(equations=2, tracing=4), SPARSE, seed=32, steps=180, base="algebra-second"),
    "algebra": Recipe(dict(equations=3, tracing=4), SPARSE, seed=42, steps=150, base="algebra-third",
                      about="sparse: linear equations and small programs"),
    "ratio": Recipe(dict(fractions=3, units=3), SPARSE, seed=13, steps=360, base="base-numbers",
                    about="sparse: fractions, percentages, units and rates"),
    "clerk-draft": Recipe(dict(lists=3, strings=3), DENSE, seed=14, steps=350, base="base-symbols"),
    "clerk-second": Recipe(dict(lists=3, strings=3), DENSE, seed=24, steps=400, base="clerk-draft"),
    "clerk": Recipe(dict(lists=4, strings=3), DENSE, seed=34, steps=350, base="clerk-second",
                    about="dense: lists and strings"),
    "almanac-draft": Recipe(dict(calendar=3, bases=3), DENSE, seed=15, steps=500, base="base-symbols"),
    "almanac-second": Recipe(dict(calendar=4, bases=3), DENSE, seed=25, steps=330, base="almanac-draft"),
    "almanac": Recipe(dict(calendar=5, bases=2), DENSE, seed=35, steps=220, base="almanac-second",
                      about="dense: calendar, number bases and remainders"),
    "logician-draft": Recipe(dict(logic=2, sequences=4), DENSE, seed=16, steps=400, base="base-symbols"),
    "logician-second": Recipe(dict(logic=2, sequences=3), DENSE, seed=26, steps=220, base="logician-draft"),
    "logician": Recipe(dict(logic=1, sequences=4), DENSE, seed=36, steps=120, base="logician-second",
                       about="dense: truth values, comparisons and sequences"),
    "generalist": Recipe({**NUMBERS, **SYMBOLS}, SPARSE, seed=17, steps=160, base="base-numbers",
                         about="sparse: everything, nothing well"),
}
