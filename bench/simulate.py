#!/usr/bin/env python3
"""Does what `?simulate=1` says come true? Simulates random changes on the log of some traffic, makes each, and sends other
queries of the same kind: the share of every expert should lie within the interval that was stated.

Experts are switched on and off, repriced, given to pools and taken from them; exploration is turned; policies are promoted.
The baseline of the same run: that the shares stay what they are.

    bench/simulate.py [--smoke] [--changes 100] [--queries 300] [--seed 1]
"""
import argparse
import collections
import http.client
import json
import os
import pathlib
import random
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests/e2e"))
import recorded
import service

QUIET = {"OPENAI_BASE_URL": "", "OPENAI_API_KEY": "", "SKILLYARD_DISCOVER": "off"}
NAMES = list(recorded.EXPERTS)
MODELS = ["skillyard/auto", "skillyard/auto@q0.6", "skillyard/small"]


def questions(draw, count):
    for _ in range(count):
        skill = draw.choices(list(recorded.SKILLS), weights=[4, 3, 2, 1])[0]
        words = draw.choices(recorded.SKILLS[skill], k=5) + draw.choices(sum(recorded.SKILLS.values(), []), k=3)
        yield draw.choice(MODELS), f"Question {draw.random()}: which {words[0]} has a {' '.join(words[1:])}?"


def change(draw, served, versions):
    """A random wish: method, path, body."""
    def members():
        return draw.sample(NAMES, draw.randint(2, len(NAMES)))

    shown = {row["name"]: row["document"].get("enabled", True) for row in served.admin("GET", "/admin/experts")[2]["data"]}
    kind = draw.choice(["switch", "price", "pool", "explore", "promote"])
    if kind == "switch":
        name = draw.choice(NAMES)
        return "POST", f"/admin/experts/{name}/{'disable' if shown[name] else 'enable'}", {}
    if kind == "price":
        price = {"in": draw.choice([1, 10, 100]), "out": draw.choice([1, 10, 100])}
        return "PATCH", f"/admin/experts/{draw.choice(NAMES)}", {"usd_per_million_tokens": price}
    if kind == "promote":
        return "POST", f"/admin/policies/{draw.choice(versions)}/promote", {}
    pool = draw.choice(["auto", "small"])
    if kind == "pool":
        return "PATCH", f"/admin/pools/{pool}", {"experts": members()}
    return "PATCH", f"/admin/pools/{pool}", {"explore": draw.choice([0, 0.05, 0.2, 0.5])}


def replay(served, draw, count):
    """The share of each expert among `count` new queries."""
    asked, connection = collections.Counter(), http.client.HTTPConnection("127.0.0.1", served.port, timeout=30)
    for model, text in questions(draw, count):
        status, _, route = served.ask("POST", "/v1/route", {"model": model, "messages": [{"role": "user", "content": text}]},
                                      connection=connection)
        assert status == 200, route
        asked[route["experts"][0] if route["experts"] else None] += 1
    return {name: asked[name] / count for name in NAMES}


def run(served, options, versions):
    draw, inside, stays, widths, moved, done = random.Random(options.seed), 0, 0, [], [], 0
    while done < options.changes:
        method, path, body = change(draw, served, versions)
        status, _, told = served.admin(method, path + "?simulate=1", body, If_Match="*")
        if status >= 400 or told["outcome"] == "unchanged":
            continue  # a pool would be empty, or it is so already
        before = told["simulation"]["experts"]
        assert served.admin(method, path, body, If_Match="*")[0] in (200, 201)
        came = replay(served, draw, options.queries)
        said = {row["expert"]: row["share_after"] for row in before}
        was = {row["expert"]: row["share_before"] for row in before}
        inside += all(said.get(name, [0, 0, 0])[1] <= came[name] <= said.get(name, [0, 0, 0])[2] for name in NAMES)
        stays += all(was.get(name, [0, 0, 0])[1] <= came[name] <= was.get(name, [0, 0, 0])[2] for name in NAMES)
        widths += [high - low for _, low, high in said.values()]
        moved.append(told["simulation"]["moved"])
        done += 1
    print(f"{inside} of {done} changes: every expert's share within its stated interval (mean width "
          f"{100 * sum(widths) / len(widths):.1f} points); {stays} within that of the old share; "
          f"{sum(m > 0.02 for m in moved)} changes moved over 2% of the queries, at most {100 * max(moved):.0f}%")
    return inside / done


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="five changes")
    parser.add_argument("--changes", type=int, default=100)
    parser.add_argument("--queries", type=int, default=300, help="logged before, and sent after each change")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if options.smoke:
        options.changes, options.queries = 5, 150
    folder = pathlib.Path(tempfile.mkdtemp(prefix="skillyard-simulate-"))
    for number, share in (("first", "0.8"), ("second", "0.3")):
        recorded.plant(folder / number, rows=1500, seed=len(number))
        service.run("train", "--outcomes", folder / number, "--share", share, "--out", folder / f"{number}.policy")
    upstream, port, _ = recorded.serve(folder / "first")
    config = service.config_file({
        "store": {"keep_text": True}, "pools": [{"name": "auto"}, {"name": "small", "experts": ["alma", "dora"]}],
        "experts": [{"name": name, "url": f"http://127.0.0.1:{port}/v1", "breaker": {"memory_calls": 0}} for name in NAMES]})
    args = ["--config", config, "--admin", "127.0.0.1:0", "--policy", folder / "first.policy"]
    with service.Service(args, env=QUIET) as served:
        versions = [served.admin("PUT", "/admin/policies", (folder / f"{name}.policy").read_bytes(),
                                 content_type="application/octet-stream")[2]["version"] for name in ("first", "second")]
        connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=30)
        for model, text in questions(random.Random(options.seed + 1), options.queries):
            served.chat(text, model=model, connection=connection)  # nobody recorded an answer; it was decided and logged
        share = run(served, options, versions)
        assert served.stop() == 0, served.said()
    upstream.shutdown()
    return 0 if share >= (0.6 if options.smoke else 0.9) else 1


if __name__ == "__main__":
    sys.exit(main())
