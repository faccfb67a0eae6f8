#!/usr/bin/env python3
"""The main job, end to end: train on one part of an outcome file, serve its models as experts, send the
other part through POST /v1/chat/completions, grade the answers, and compare with the offline evaluator
row by row.

    journey.py [--outcomes FILE] [--rows N] [--seed N]

Without --outcomes it plants a file whose truth is known. Prints one line a figure; exit 1 when the two
roads differ in a single row.
"""
import argparse
import http.client
import json
import os
import re
import sys
import tempfile

sys.path.insert(0, os.path.dirname(__file__))
import recorded
import service


def graded(text, row):
    """1 when the reply's answer is the right one; the recorded score where the file has no gold answer."""
    found = re.search(r"The answer is \(?([^)]*?)\)?\.$", text)
    return float(bool(found) and found.group(1) == row["gold"])


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--outcomes")
    args.add_argument("--rows", type=int, default=10**9, help="send at most this many of the held-out rows")
    args.add_argument("--seed", type=int, default=1)
    args = args.parse_args()
    scratch = tempfile.mkdtemp(prefix="skillyard-journey-")
    outcomes = args.outcomes or os.path.join(scratch, "planted.jsonl")
    if not args.outcomes:
        recorded.plant(outcomes)
    policy, picks, table = (os.path.join(scratch, name) for name in ("policy.bin", "picks.jsonl", "table.json"))

    print(service.run("train", "--outcomes", outcomes, "--share", "0.7", "--seed", args.seed, "--out", policy).stdout)
    print(service.run("evaluate", "--outcomes", outcomes, "--policy", policy, "--share", "0.7", "--seed", args.seed,
                      "--part", "test", "--json", table, "--picks", picks).stdout)
    chosen = {pick["id"]: pick["expert"] for pick in recorded.rows_of(picks)}
    offline = json.load(open(table))["policies"]

    upstream, port, models = recorded.serve(outcomes)
    experts = [part for name in models for part in ("--expert", f"{name}=http://127.0.0.1:{port}/v1,model={name}")]
    sent = differ = 0
    score = {"http": 0.0, "offline": 0.0}
    with service.Service(["--policy", policy, *experts]) as served:
        connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=30)
        for row in recorded.rows_of(outcomes):
            if row["id"] not in chosen or sent >= args.rows:
                continue
            status, headers, body = served.chat(row["text"], connection=connection)
            if status != 200:
                raise SystemExit(f"{row['id']}: {status} {body}")
            expert, text = body["model"], body["choices"][0]["message"]["content"]
            if expert != chosen[row["id"]]:
                differ += 1
                print(f"differs: {row['id']}: over HTTP {expert}, offline {chosen[row['id']]}")
            sent += 1
            recorded_score = row["outcomes"][chosen[row["id"]]]["score"]
            score["offline"] += recorded_score
            score["http"] += graded(text, row) if row.get("gold") is not None else row["outcomes"][expert]["score"]
        decision = headers["x-skillyard-decision"]
        status, _, logged = served.ask("GET", f"/v1/decisions/{decision}")
        assert status == 200 and logged["id"] == decision, (status, logged)
        status, _, why = served.ask("GET", f"/v1/decisions/{decision}/explain")
        explained = why["explanation"]
        assert status == 200 and explained["policy_known"] and explained["repeatable"], why
        assert explained["chosen"] == logged["route"]["experts"][0] and explained["skills"], why
        code = served.stop()
    upstream.shutdown()
    print(f"rows over HTTP        {sent}")
    print(f"score over HTTP       {score['http'] / sent:.4f}")
    print(f"score offline         {score['offline'] / sent:.4f}   (evaluator, all held-out rows: {offline['policy']['score']:.4f})")
    print(f"best single expert    {offline['best_single']['score']:.4f}")
    print(f"rows that differ      {differ}")
    print(f"exit of serve         {code}")
    return 0 if differ == 0 and code == 0 and abs(score["http"] - score["offline"]) < 1e-9 else 1


if __name__ == "__main__":
    sys.exit(main())
