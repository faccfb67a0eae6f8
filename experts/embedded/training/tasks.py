"""Questions with one right answer: what the embedded experts are trained on and measured by.

A *kind* makes one sort of question from a seeded random stream; kinds are grouped into *skills*. Every
kind has phrasings that training sees and phrasings that only the evaluation sees, and most have number
ranges that training never sees. A reply is short working that a small network can do token by token,
then "The answer is X." so that any reader of answers finds it.
"""

import random
from dataclasses import dataclass

# Never an operand in training. Two- and three-digit numbers of every size class are among them, so
# that a model which learned numbers by heart is found out.
HELD_NUMBERS = frozenset([14, 23, *range(43, 47), *range(77, 80), *range(340, 360), *range(720, 740)])

TRAIN_WRAPPERS = ("Question: {q}", "Please answer: {q}", "{q} Please.", "Please tell me: {q}", "Hello. {q}",
                  "Can you help? {q}", "Q: {q}", "Hi, {q}", "I have a question. {q}", "Answer this: {q}",
                  "{q} Thanks.", "Please help me. {q}", "{q} Give the answer.", "Quick question: {q}")
HELD_WRAPPERS = ("Hello, please answer this question: {q}", "Can you answer this? {q}", "{q} Please help me.",
                 "Tell me: {q}")


@dataclass(frozen=True)
class Kind:
    """One sort of question. `make(rng, number)` returns (slots of the phrasings, working, answer). A drill is
    practice only: more phrasings or longer numbers than a skill's questions have."""
    skill: str
    name: str
    train: tuple
    held: tuple
    ranged: bool
    cased: bool
    drill: bool
    make: object


@dataclass(frozen=True)
class Example:
    """One question and the reply that training asks for; `heldout` says what training never saw."""
    skill: str
    kind: str
    text: str
    reply: str
    gold: str
    heldout: str


KINDS = []


def kind(skill, train, held, ranged=True, cased=False, drill=False):
    """Registers a generator. `cased`: its words must keep their case (strings, names of letters)."""
    def register(make):
        KINDS.append(Kind(skill, make.__name__, tuple(train), tuple(held), ranged, cased, drill, make))
        return make
    return register


class Numbers:
    """Draws operands outside the held-out numbers, or, for the range test, one of them at least."""

    def __init__(self, rng, held):
        self._rng = rng
        self._held = held

    def __call__(self, low, high):
        inside = [n for n in HELD_NUMBERS if low <= n <= high]
        if self._held and inside:
            self._held = self._rng.random() < 0.5
            return self._rng.choice(sorted(inside))
        while True:
            n = self._rng.randint(low, high)
            if n not in HELD_NUMBERS:
                return n

    @property
    def wants_held(self):
        """Whether no held-out number was drawn yet although one was asked for."""
        return self._held


def vary(rng, question, cased, held):
    """How people type: a greeting, no capital, no question mark."""
    if not cased and rng.random() < 0.12:
        question = question.lower()
    if rng.random() < 0.15 and question[-1] in "?.":
        question = question[:-1].rstrip()
    if held:
        return rng.choice(HELD_WRAPPERS).format(q=question)
    return rng.choice(TRAIN_WRAPPERS).format(q=question) if rng.random() < 0.35 else question


def make_example(rng, chosen, heldout="none"):
    """One example of a kind; `heldout` is "none" (as in training), "phrasing" or "range"."""
    slots, working, gold = chosen.make(rng, Numbers(rng, heldout == "range"))
    phrasing = heldout == "phrasing"
    question = rng.choice(chosen.held if phrasing else chosen.train).format(**slots)
    text = vary(rng, question, chosen.cased, phrasing and rng.random() < 0.3)
    reply = (working + " " if working else "") + f"The answer is {gold}."
    return Example(chosen.skill, chosen.name, text, reply, str(gold), heldout)


def skills():
    """Names of all skills in the order in which they were registered."""
    return list(dict.fromkeys(k.skill for k in KINDS))


class Mixture:
    """An endless seeded stream of training examples: skill by weight, then a kind of it evenly."""

    def __init__(self, weights, seed, drills=False):
        self._rng = random.Random(seed)
        self._skills = sorted(weights)
        self._weights = [weights[s] for s in self._skills]
        self._kinds = {s: [k for k in KINDS if k.skill == s and (drills or not k.drill)] for s in self._skills}

    def __iter__(self):
        return self

    def __next__(self):
        skill = self._rng.choices(self._skills, self._weights)[0]
        return make_example(self._rng, self._rng.choice(self._kinds[skill]))


def evaluation(per_skill, seed):
    """`per_skill` distinct questions of each skill: a third plain, a third new phrasings, a third new
    ranges (plain where a kind has no range)."""
    rng = random.Random(seed)
    seen = set()
    for skill in skills():
        own = [k for k in KINDS if k.skill == skill and not k.drill]
        made = 0
        while made < per_skill:
            chosen = own[made % len(own)]
            heldout = ("none", "phrasing", "range" if chosen.ranged else "none")[rng.randrange(3)]
            example = make_example(rng, chosen, heldout)
            if example.text not in seen:
                seen.add(example.text)
                made += 1
                yield example


import skills_numbers  # noqa: E402,F401  (registers its kinds)
import skills_symbols  # noqa: E402,F401
