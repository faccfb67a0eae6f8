"""Prints what the exported models can do on the held-out questions: `python3 measure.py`.

A reply counts when greedy decoding writes exactly the expected working and answer, so that these figures
are lower bounds of what a reader of answers finds. Weights are those of the files (Q8_0).
"""

import torch

import tasks
from model import Network, Shape
from questions import MEASURE_SEED, PER_SKILL
from recipes import RECIPES
from tokenizer import Tokenizer
from train import RUNS, right_replies


def load(name, tokenizer):
    run = torch.load(RUNS / f"{name}.exported.pt")
    network = Network(Shape(vocabulary=len(tokenizer.tokens), **run["shape"]))
    network.load_state_dict(run["network"])
    return network


def percent(right):
    """Share of true values, in percent."""
    return f"{100 * sum(right) / max(1, len(right)):5.1f}"


def line(label, right, examples):
    """One row of the table: a column per skill, then all."""
    cells = [percent([r for r, e in zip(right, examples) if e.skill == s]) for s in tasks.skills()]
    return " ".join([f"{label:12}", *(f"{c:>10}" for c in cells), f"{percent(right):>6}"])


def main():
    tokenizer = Tokenizer.load()
    examples = list(tasks.evaluation(PER_SKILL, MEASURE_SEED))
    names = [n for n in RECIPES if (RUNS / f"{n}.exported.pt").exists()]
    right = {n: right_replies(load(n, tokenizer), tokenizer, examples) for n in names}
    print(" ".join([f"{'':12}", *(f"{s:>10}" for s in tasks.skills()), f"{'all':>6}"]))
    for name in names:
        print(line(name, right[name], examples))
    print(line("any (oracle)", [any(rs) for rs in zip(*right.values())], examples))
    # Best model per skill: what a router that knows only the skill can reach.
    best = {s: max(names, key=lambda n: sum(r for r, e in zip(right[n], examples) if e.skill == s))
            for s in tasks.skills()}
    routed = [right[best[e.skill]][i] for i, e in enumerate(examples)]
    print(line("best by skill", routed, examples))
    for held in ("none", "phrasing", "range"):
        print(f"best by skill, heldout {held}: {percent([r for r, e in zip(routed, examples) if e.heldout == held])}")


if __name__ == "__main__":
    main()
