"""Writes the question files of the pool: `python3 questions.py`.

questions.jsonl.gz is for measuring (new phrasings, new ranges, questions outside every skill);
training.jsonl.gz, from other seeds and only with what training knows, is for probing the experts and
learning the router. No question is in both.
"""

import gzip
import json
import pathlib
import random

import tasks
from outside import HELD_OUT, TRAINING, outside

POOL = pathlib.Path(__file__).resolve().parents[1]
PER_SKILL, OUTSIDE = 180, 200
TRAIN_PER_SKILL, TRAIN_OUTSIDE = 300, 400
MEASURE_SEED, LEARN_SEED = 9001, 9002


def row(number, prefix, text, domain, gold, heldout):
    return {"id": f"{prefix}-{number:05d}", "text": text, "domain": domain, "gold": gold, "heldout": heldout}


def measured():
    rows = [(e.text, e.skill, e.gold, e.heldout) for e in tasks.evaluation(PER_SKILL, MEASURE_SEED)]
    rows += [(t, "outside", "", "phrasing") for t in outside(OUTSIDE, HELD_OUT, MEASURE_SEED)]
    return [row(i, "eval", *r) for i, r in enumerate(rows)]


def learned(known):
    """Questions as training makes them, the same number of every skill."""
    rng, rows, seen = random.Random(LEARN_SEED), [], set(known)
    for skill in tasks.skills():
        stream = tasks.Mixture({skill: 1}, rng.randrange(1 << 30))
        made = 0
        while made < TRAIN_PER_SKILL:
            e = next(stream)
            if e.text not in seen:
                seen.add(e.text)
                made += 1
                rows.append((e.text, e.skill, e.gold, e.heldout))
    rows += [(t, "outside", "", "none") for t in outside(TRAIN_OUTSIDE, TRAINING, LEARN_SEED)]
    return [row(i, "learn", *r) for i, r in enumerate(rows)]


def write(name, rows):
    """Compressed without a time stamp, so that equal rows are equal bytes."""
    lines = "".join(json.dumps(r) + "\n" for r in rows)
    (POOL / name).write_bytes(gzip.compress(lines.encode(), 9, mtime=0))
    print(f"{name}: {len(rows)} questions")


def main():
    rows = measured()
    write("questions.jsonl.gz", rows)
    write("training.jsonl.gz", learned({r["text"] for r in rows}))


if __name__ == "__main__":
    main()
