#!/usr/bin/env python3
"""Panels, end to end: train on one part of an outcome file, serve its models as experts, ask the other part
with k experts each, and compare with the offline evaluator query by query: who answered, what, after how
many calls.

    panels.py [--outcomes FILE] [--k N] [--rows N] [--seed N] [--experts NAME,...]

Without --outcomes it plants a file whose truth is known. Prints one line a figure; exit 1 when the two
roads differ in a single row.
"""
import argparse
import http.client
import json
import os
import sys
import tempfile

sys.path.insert(0, os.path.dirname(__file__))
import recorded
import service
from journey import graded


def streamed_text(body):
    """The words of a stream, and the `skillyard` object of its last chunk."""
    text, said, done = "", {}, False
    for event in body.split("\n\n"):
        if not event.startswith("data: "):
            continue  # a heartbeat
        if event == "data: [DONE]":
            done = True
            continue
        chunk = json.loads(event[6:])
        said = chunk.get("skillyard", said)
        for choice in chunk["choices"]:
            text += choice["delta"].get("content") or ""
    if not done:
        raise SystemExit(f"a stream without its end: {body[-200:]}")
    return text, said


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--outcomes")
    args.add_argument("--k", type=int, default=3)
    args.add_argument("--rows", type=int, default=10**9, help="send at most this many of the held-out rows")
    args.add_argument("--seed", type=int, default=1)
    args.add_argument("--experts", help="only these take part")
    args = args.parse_args()
    scratch = tempfile.mkdtemp(prefix="skillyard-panels-")
    outcomes = args.outcomes or os.path.join(scratch, "planted.jsonl")
    if not args.outcomes:
        # Equals that err independently: here several know more than any one.
        peers = dict(zip(recorded.EXPERTS, (.66, .64, .62, .6)))
        recorded.plant(outcomes, experts={name: {} for name in peers}, otherwise=peers)
    policy, picks, table = (os.path.join(scratch, name) for name in ("policy.bin", "picks.jsonl", "table.json"))
    only = ["--experts", args.experts] if args.experts else []
    service.run("train", "--outcomes", outcomes, "--share", "0.7", "--seed", args.seed, "--out", policy, *only)
    service.run("evaluate", "--outcomes", outcomes, "--policy", policy, "--share", "0.7", "--seed", args.seed,
                "--part", "test", "--aggregate", "--k", args.k, "--json", table, "--picks", picks, *only)
    chosen = {pick["id"]: pick["panel"] for pick in recorded.rows_of(picks)}
    offline = json.load(open(table))["policies"]

    upstream, port, models = recorded.serve(outcomes)
    if args.experts:
        models = args.experts.split(",")
    experts = [part for name in models for part in ("--expert", f"{name}=http://127.0.0.1:{port}/v1,model={name}")]
    sent = differ = calls = 0
    score = {"http": 0.0, "offline": 0.0}
    with service.Service(["--policy", policy, *experts]) as served:
        connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=30)
        asked_twice = recorded.repeated_texts(outcomes)  # the experts answer one of the two rows
        for row in recorded.rows_of(outcomes):
            if row["id"] not in chosen or sent >= args.rows or row["text"] in asked_twice:
                continue
            stream = sent % 2 == 1
            request = {"model": "skillyard/auto", "messages": [{"role": "user", "content": row["text"]}],
                       "stream": stream, "skillyard": {"k": args.k, "explain": True}}
            connection.request("POST", "/v1/chat/completions", json.dumps(request),
                               {"content-type": "application/json"})
            response = connection.getresponse()
            body = response.read().decode()
            if response.status != 200:
                raise SystemExit(f"{row['id']}: {response.status} {body}")
            if stream:
                text, said = streamed_text(body)
            else:
                whole = json.loads(body)
                text, said = whole["choices"][0]["message"]["content"], whole["skillyard"]
            want = chosen[row["id"]]
            if said["expert"] != want["expert"] or len(said["replies"]) != want["calls"]:
                differ += 1
                print(f"differs: {row['id']}: over HTTP {said['expert']} after {len(said['replies'])}, offline {want}")
            sent += 1
            calls += len(said["replies"])
            score["offline"] += want["score"]
            score["http"] += graded(text.strip(), row)
        decision = response.headers["x-skillyard-decision"]
        status, _, logged = served.ask("GET", f"/v1/decisions/{decision}")
        assert status == 200 and len(logged["calls"]) == len(said["replies"]), (status, logged)
        code = served.stop()
    upstream.shutdown()
    print(f"rows over HTTP        {sent}")
    print(f"score over HTTP       {score['http'] / sent:.4f}")
    print(f"score offline         {score['offline'] / sent:.4f}")
    for name in ("policy", "panel", "panel_fixed", "plurality"):
        print(f"evaluator, {name:<11}{offline[name]['score']:.4f}   {offline[name].get('calls', 1):.2f} calls")
    print(f"calls over HTTP       {calls / sent:.4f}")
    print(f"rows that differ      {differ}")
    print(f"exit of serve         {code}")
    return 0 if differ == 0 and code == 0 and abs(score["http"] - score["offline"]) < 1e-9 else 1


if __name__ == "__main__":
    sys.exit(main())
