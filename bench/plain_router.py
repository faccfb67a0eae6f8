#!/usr/bin/env python3
"""Is the learned router better than a plain text classifier?

The classifier is what one would write in an afternoon: TF-IDF over words and pairs of words, and for each expert a logistic
regression of "was right" on it (penalty 1, as scikit-learn has by default). It is trained on the same rows as the policy and
judged on the same held-out rows, with the evaluator's figures: mean score of the expert with the highest probability and, for
files with two experts, APGR of the order by p(strong) - p(weak). Differences are paired by row, with a 95% bootstrap interval.

    SKILLYARD_DATA=DIR bench/plain_router.py [--service build/release/skillyard] [--seeds 2] [--only NAME] [--share 0.7]

Needs python3-torch and python3-numpy, as the training of the embedded pool does. Skips without SKILLYARD_DATA.
"""
import argparse
import collections
import gzip
import json
import os
import re
import subprocess
import sys
import tempfile

TASKS = [
    ("pair", "routellm_mmlu", None),
    ("mmlu_pro", "mmlu_pro", None),
    ("mmlu_pro/small", "mmlu_pro", "small"),
    ("llmrouter9", "llmrouter9", None),
    ("llmrouter9/clean4", "llmrouter9", "clean4"),
    ("routerdc7", "routerdc7", None),
    ("routerbench11", "routerbench11", None),
]


def read_rows(path):
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def ngrams_of(text):
    words = re.findall(r"\w+", text.lower())
    return collections.Counter(words + [a + " " + b for a, b in zip(words, words[1:])])


def tfidf(train, test):
    """Two sparse matrices with rows of length 1; n-grams of one training row only are left out."""
    train, test = [ngrams_of(t) for t in train], [ngrams_of(t) for t in test]
    rows_with = collections.Counter()
    for row in train:
        rows_with.update(row.keys())
    column = {gram: i for i, gram in enumerate(g for g, n in rows_with.items() if n > 1)}
    idf = {g: np.log((1 + len(train)) / (1 + rows_with[g])) + 1 for g in column}

    def matrix(rows):
        at, to, value = [], [], []
        for r, row in enumerate(rows):
            weights = {column[g]: (1 + np.log(n)) * idf[g] for g, n in row.items() if g in column}
            norm = np.sqrt(sum(w * w for w in weights.values())) or 1
            at += [r] * len(weights)
            to += weights.keys()
            value += [w / norm for w in weights.values()]
        shape = (len(rows), len(column))
        return torch.sparse_coo_tensor(torch.tensor([at, to]), torch.tensor(value, dtype=torch.float32), shape).coalesce()

    return matrix(train), matrix(test)


def fit_logistic(x, y):
    """p = sigmoid(x w + b), one column per expert, least sum of log loss + |w|^2 / 2."""
    w = torch.zeros(x.shape[1], y.shape[1], requires_grad=True)
    b = torch.zeros(y.shape[1], requires_grad=True)
    steps = torch.optim.LBFGS([w, b], max_iter=80, history_size=10, line_search_fn="strong_wolfe")

    def loss():
        steps.zero_grad()
        out = torch.nn.functional.binary_cross_entropy_with_logits(torch.sparse.mm(x, w) + b, y, reduction="sum")
        out = out + 0.5 * (w * w).sum()
        out.backward()
        return out

    steps.step(loss)
    return w.detach(), b.detach()


def apgr(preference, gap):
    """Area under (share of the gap recovered) against (share of rows sent to the strong expert); gap = strong - weak."""
    order = np.argsort(-preference, kind="stable")
    recovered = np.concatenate([[0], np.cumsum(gap[order])])
    return np.trapz(recovered, np.linspace(0, 1, len(recovered))) / recovered[-1]


def interval(difference, rows, resamples=1000):
    """Mean and 95% percentile bootstrap of difference(indices)."""
    draw = np.random.default_rng(0)
    ends = [difference(draw.integers(0, rows, rows)) for _ in range(resamples)]
    return difference(np.arange(rows)), np.percentile(ends, 2.5), np.percentile(ends, 97.5)


def compare(args, name, file, pool, seed):
    path = os.path.join(args.data, file + ".fit.jsonl.gz")
    rows = {row["id"]: row for row in read_rows(path)}
    experts = sorted(set.intersection(*[set(row["outcomes"]) for row in rows.values()]))
    chosen = ["--experts", ",".join(args.pools[file][pool])] if pool else []
    if pool:
        experts = [e for e in experts if e in args.pools[file][pool]]
    with tempfile.TemporaryDirectory() as directory:
        policy, picks = os.path.join(directory, "policy"), os.path.join(directory, "picks")
        split = ["--outcomes", path, "--share", str(args.share), "--seed", str(seed)] + chosen
        subprocess.run([args.service, "train", *split, "--out", policy], check=True, stdout=subprocess.DEVNULL)
        subprocess.run([args.service, "evaluate", *split, "--part", "test", "--policy", policy, "--picks", picks],
                       check=True, stdout=subprocess.DEVNULL)
        with open(picks, encoding="utf-8") as lines:
            ours = [json.loads(line) for line in lines]
    test = [rows[line["id"]] for line in ours]
    held_out = {row["id"] for row in test}
    train = [row for row in rows.values() if row["id"] not in held_out]
    scores = lambda part: np.array([[row["outcomes"][e]["score"] for e in experts] for row in part], dtype=np.float32)
    x, x_test = tfidf([row["text"] for row in train], [row["text"] for row in test])
    w, b = fit_logistic(x, torch.tensor(scores(train)))
    plain = torch.sigmoid(torch.sparse.mm(x_test, w) + b).numpy()
    score = scores(test)
    at = np.arange(len(test))
    our_pick = np.array([experts.index(line["expert"]) for line in ours])
    gain = score[at, our_pick] - score[at, plain.argmax(1)]
    mean, lo, hi = interval(lambda i: 100 * gain[i].mean(), len(test))
    print(f"{name} seed {seed}: best single {100 * score.mean(0).max():.2f}, plain {100 * score[at, plain.argmax(1)].mean():.2f}, "
          f"policy {100 * score[at, our_pick].mean():.2f}, difference {mean:+.2f} [{lo:+.2f}, {hi:+.2f}]", flush=True)
    if len(experts) == 2:
        strong = int(scores(train).mean(0).argmax())
        gap = score[:, strong] - score[:, 1 - strong]
        p = np.array([[line["p"][e] for e in experts] for line in ours])
        prefer = [q[:, strong] - q[:, 1 - strong] for q in (plain, p)]
        mean, lo, hi = interval(lambda i: apgr(prefer[1][i], gap[i]) - apgr(prefer[0][i], gap[i]), len(test))
        print(f"{name} seed {seed}: apgr plain {apgr(prefer[0], gap):.4f}, policy {apgr(prefer[1], gap):.4f}, "
              f"difference {mean:+.4f} [{lo:+.4f}, {hi:+.4f}]", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--service", default="build/release/skillyard")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--share", type=float, default=0.7, help="of the rows, to train on")
    parser.add_argument("--only", default="")
    args = parser.parse_args()
    data = os.environ.get("SKILLYARD_DATA")
    if not data:
        print("skipped: SKILLYARD_DATA is not set")
        return 0
    args.data = os.path.join(data, "routing")
    with open(os.path.join(args.data, "pools.json"), encoding="utf-8") as file:
        args.pools = json.load(file)
    for name, file, pool in TASKS:
        for seed in range(args.seeds):
            if args.only in name:
                compare(args, name, file, pool, seed)
    return 0


if __name__ == "__main__":
    if os.environ.get("SKILLYARD_DATA"):
        import numpy as np
        import torch
    sys.exit(main())
