#!/usr/bin/env python3
"""What the embedded pool is worth: its questions through the running service, beside the best single expert, a random
one and an oracle on the same rows; what is outside; first token and memory.

    python3 bench/embedded.py [--smoke] [--rows N] [--only rows|outside|tokens|two|panels]

rows    Every expert answers every question live (`skillyard expert probe`), `skillyard evaluate` judges the shipped policy
        on these answers with paired intervals, then the service answers them over HTTP and must choose and score as the
        evaluation says; memory.
outside What is taken to be outside, by where it is from.
tokens  First token on one core.
two     Memory for two of the experts: a batch of mixed questions against the same questions one after the other.
panels  Three experts each, who really disagree: the weighted vote against one head one vote and one expert.
"""
import argparse
import collections
import concurrent.futures
import gzip
import http.client
import json
import os
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/e2e"))
import batch_test
import service
from embedded_test import is_right

FOLDER = ROOT / "experts/embedded"
ALONE = {"OPENAI_BASE_URL": "", "OPENAI_API_KEY": "", "SKILLYARD_DISCOVER": "off"}


def read(path):
    with gzip.open(path, "rt") as lines:
        return [json.loads(line) for line in lines]


def percent(value):
    return f"{100 * value:.1f}%"


def evaluate(folder, outcomes):
    report, picks = folder / "report.json", folder / "picks.jsonl"
    service.run("evaluate", "--outcomes", outcomes, "--policy", FOLDER / "policy.bin", "--baselines", "--json", report,
                "--picks", picks)
    rows = json.loads(report.read_text())["policies"]
    print(f"\n{'':12}  accuracy  gain over the best single expert, points (95%)")
    for name in ("policy", "best_single", "random", "oracle", "round_robin", "best_per_skill"):
        if name in rows and rows[name].get("score") is not None:
            gain = rows[name].get("gain") or [0, 0, 0]
            print(f"{name:12}  {percent(rows[name]['score']):>8}  {100 * gain[0]:+.1f} [{100 * gain[1]:.1f}, {100 * gain[2]:.1f}]")
    share = rows["policy"]["score"] / rows["oracle"]["score"]
    print(f"of the oracle: {percent(share)} (bar 90%); above the best single: "
          f"{100 * rows['policy']['gain'][0]:.1f} points (bar 15)")
    return {json.loads(line)["id"]: json.loads(line) for line in picks.read_text().splitlines()}


def main_skills(outcomes):
    """Per expert the skills at which it is best, and how good it is there."""
    sums = collections.defaultdict(lambda: [0, 0])
    for row in outcomes:
        for expert, outcome in row["outcomes"].items():
            cell = sums[row["domain"], expert]
            cell[0] += outcome["score"]
            cell[1] += 1
    best = {}
    for (skill, expert), (right, count) in sums.items():
        if right / count > best.get(skill, (0, ""))[0]:
            best[skill] = (right / count, expert)
    print("best at each skill: " + ", ".join(f"{skill} {expert} {percent(score)}" for skill, (score, expert) in sorted(best.items())))


def over_http(served, outcomes, picks):
    """The share that is right, and how many rows differ from what the evaluation chose and scored."""
    def ask(row):
        status, head, body = served.chat(row["text"], temperature=0, max_tokens=160)
        assert status == 200, body
        return row, body["model"], "x-skillyard-abstained" in head
    with concurrent.futures.ThreadPoolExecutor(8) as several:
        answers = list(several.map(ask, outcomes))
    right = sum(row["outcomes"].get(expert, {"score": 0})["score"] for row, expert, _ in answers)
    kept = sum(abstained for _, _, abstained in answers)
    other = sum(not abstained and picks[row["id"]]["expert"] != expert for row, expert, abstained in answers)
    print(f"over HTTP: {percent(right / len(answers))} of {len(answers)}; {kept} taken for outside; "
          f"{other} rows with another expert than the evaluation chose")


def outside(served, questions):
    """How often a question is taken to be outside, by where it is from."""
    cells = collections.defaultdict(lambda: [0, 0])
    everyday = (FOLDER / "everyday.txt").read_text().splitlines()
    for question in questions + [{"text": line, "domain": "everyday", "heldout": ""} for line in everyday]:
        status, _, route = served.ask("POST", "/v1/route", {"model": "skillyard/auto", "messages": [{"role": "user", "content": question["text"]}]})
        assert status == 200, route
        known = question["domain"] not in ("outside", "everyday")
        cell = cells["known, " + question["heldout"] if known else question["domain"]]
        cell[0] += route["outside"]
        cell[1] += 1
    print("taken to be outside: " + ", ".join(f"{name} {percent(hit / count)} of {count}" for name, (hit, count) in sorted(cells.items())))


def first_token_ms(served, model, text, rounds):
    def once():
        body = json.dumps({"model": model, "stream": True, "messages": [{"role": "user", "content": text}]})
        connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)
        began = time.perf_counter()
        connection.request("POST", "/v1/chat/completions", body, {"content-type": "application/json"})
        response = connection.getresponse()
        for line in response:
            if b'"content":"' in line and b'"content":""' not in line:
                took = 1000 * (time.perf_counter() - began)
                response.read()
                return took
        raise SystemExit(f"{model} said nothing")
    once()
    return statistics.median(once() for _ in range(rounds))


def counter(served, name):
    """A counter of /metrics, summed over its labels."""
    metrics = served.ask("GET", "/metrics")[2].splitlines()
    return sum(float(row.split()[-1]) for row in metrics if row.startswith(name))


def said(body):
    return body["choices"][0]["message"]["content"]


def memory_for_two(questions, alone):
    """Loads, time and right answers of a batch with memory for two experts; beside it the first `alone` of the
    questions one after the other."""
    config = ["--config", service.config_file({"residency": {"experts_max": 2, "min_resident_ms": 0}})]
    lines = [batch_test.line(i, body={"model": "skillyard/auto", "temperature": 0, "max_tokens": 160, "messages": [
        {"role": "user", "content": q["text"]}]}) for i, q in enumerate(questions)]
    with service.Service(config, env=ALONE) as served:
        began = time.perf_counter()
        done = batch_test.wait_for(served, batch_test.begin(served, "\n".join(lines)), "completed", seconds=600)
        took = time.perf_counter() - began
        loads = counter(served, "skillyard_resident_loads_total")
        replies = {int(row["custom_id"][1:]): row["response"]["body"]
                   for row in batch_test.rows_of(served, done["output_file_id"])}
    with service.Service(config, env=ALONE) as served:
        began = time.perf_counter()
        single = [served.chat(q["text"], temperature=0, max_tokens=160)[2] for q in questions[:alone]]
        single_took = time.perf_counter() - began
        single_loads = counter(served, "skillyard_resident_loads_total")
    right = sum(is_right(said(replies[i]), q["gold"]) for i, q in enumerate(questions))
    differ = sum(said(body) != said(replies[i]) for i, body in enumerate(single))
    print(f"memory for two of {len(set(r['model'] for r in replies.values()))} experts: batch of {len(questions)} "
          f"{percent(right / len(questions))} right, {loads:.0f} loads, {1000 * took / len(questions):.1f} ms a question; "
          f"one after the other {single_loads / alone:.2f} loads and {1000 * single_took / alone:.1f} ms a question "
          f"({alone} of them, {differ} replies differ)")


def panels(questions):
    """Three experts each, who know different things: votes that count what each is worth, one head one vote, and one expert."""
    ways = {"one expert": {"k": 1}, "one head, one vote": {"k": 3, "aggregation": "plurality"},
            "weighted votes": {"k": 3, "aggregation": "weighted"}}
    with service.Service([], env=ALONE) as served, concurrent.futures.ThreadPoolExecutor(8) as several:
        for name, wish in ways.items():
            def ask(question):
                status, _, body = served.chat(question["text"], temperature=0, max_tokens=160, skillyard={**wish, "explain": True})
                assert status == 200, body
                return is_right(said(body), question["gold"]), [reply.get("vote") for reply in body["skillyard"]["replies"]]
            answers = list(several.map(ask, questions))
            right, calls = (sum(column) / len(answers) for column in zip(*((good, len(votes)) for good, votes in answers)))
            differ = sum(len(set(votes)) > 1 for _, votes in answers)
            print(f"{name}: {percent(right)} of {len(answers)} right, {calls:.2f} calls a question, {differ} panels disagreed")


def resident_mib(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def judge_rows(pool, per_skill):
    """The questions live, offline and over HTTP; memory."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="skillyard-bench-"))
    outcomes = folder / "outcomes.jsonl.gz"
    print(service.run("expert", "probe", "--questions", FOLDER / "questions.jsonl.gz", "--out", outcomes, "--per-skill",
                      per_skill, "--concurrency", 16, "--tokens", 160, "--data", folder, env={**os.environ, **ALONE}).stdout)
    rows = read(outcomes)
    picks = evaluate(folder, outcomes)
    main_skills(rows)
    with service.Service([], env=ALONE) as served:
        for expert in pool:
            served.chat("What is 347 + 588?", model=expert["name"], max_tokens=8)
        over_http(served, rows, picks)
        print(f"resident, all {len(pool)} experts loaded: {resident_mib(served.process.pid):.0f} MiB (bar 250)")


def time_first_token(pool, rounds):
    largest = max(pool, key=lambda expert: (FOLDER / expert["file"]).stat().st_size)["name"]
    with service.Service([], env=ALONE) as served:
        os.sched_setaffinity(served.process.pid, {0})
        for thread in pathlib.Path(f"/proc/{served.process.pid}/task").iterdir():
            os.sched_setaffinity(int(thread.name), {0})
        took = first_token_ms(served, largest, "What is 347 + 588?", rounds)
        print(f"first token of {largest}, warm, on one core: {took:.1f} ms (bar 100)")


def main():
    wish = argparse.ArgumentParser()
    wish.add_argument("--smoke", action="store_true")
    wish.add_argument("--rows", type=int, default=0, help="of each skill; 0: all")
    wish.add_argument("--only", choices=("rows", "outside", "tokens", "two", "panels"))
    args = wish.parse_args()
    pool = json.loads((FOLDER / "pool.json").read_text())["experts"]
    questions = read(FOLDER / "questions.jsonl.gz")
    inside = [question for question in questions if question["domain"] != "outside"]
    some = random.Random(5).sample(inside, 12 if args.smoke else 360)
    if args.only in (None, "rows"):
        judge_rows(pool, args.rows or (2 if args.smoke else 100_000))
    if args.only in (None, "outside"):
        with service.Service([], env=ALONE) as served:
            outside(served, questions[::20] if args.smoke else questions)
    if args.only in (None, "tokens"):
        time_first_token(pool, 5 if args.smoke else 50)
    if args.only in (None, "two"):
        memory_for_two(some, len(some) // 6)
    if args.only in (None, "panels"):
        panels(some)


if __name__ == "__main__":
    main()
