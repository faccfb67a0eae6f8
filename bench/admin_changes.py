#!/usr/bin/env python3
"""Administrators change the pool while it serves: is anything lost, misrouted or slower?

Mixed traffic, streamed and not, at a steady rate: in peace, then beside changes that are only validated, then with changes
drawn at random (experts added, edited, ramped, switched, removed; pools edited; policies promoted; versions rolled back). Checks that
every request is answered whole by an expert that was in the pool while it was decided, and that the log says so. Prints p99
of the three runs: the second says what asking for changes costs on this machine, the third what changing costs.

    bench/admin_changes.py [--smoke] [--rate 200] [--changes 500]
"""
import argparse
import http.client
import itertools
import json
import multiprocessing
import os
import pathlib
import random
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests/e2e"))
import recorded
import scripted
import service

QUIET = {"OPENAI_BASE_URL": "", "OPENAI_API_KEY": "", "SKILLYARD_DISCOVER": "off"}
ANCHOR = "alma"  # stays, so that the pools are never empty
OTHERS = ["bert", "cleo", "dora", "emil", "fred"]
SLACK_S = 0.05  # between a query's time in the log and its decision


class Named(scripted.Handler):
    """Says which model was asked for: what a misrouted reply cannot hide."""
    disable_nagle_algorithm = True

    def answer(self, request):
        time.sleep(0.002)
        self.complete(request, request["model"], 3, 1)


class Traffic:
    """Open loop: request i leaves at start + i / rate, on one of a few kept connections."""

    def __init__(self, port, rate, count):
        self.port, self.rate, self.count = port, rate, count
        self.seconds, self.served, self.faults = [], [], []
        self.next, self.lock = itertools.count(), threading.Lock()

    def run(self):
        self.start = time.monotonic()
        workers = [threading.Thread(target=self.work) for _ in range(24)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        return self

    def work(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        while True:
            with self.lock:
                number = next(self.next)
            if number >= self.count:
                return connection.close()
            time.sleep(max(0, self.start + number / self.rate - time.monotonic()))
            began = time.monotonic()
            try:
                self.ask(connection, number)
            except Exception as error:  # noqa: what is lost is what this bench looks for
                self.faults.append(f"request {number}: {error!r}")
                connection.close()
            self.seconds.append(time.monotonic() - began)

    def ask(self, connection, number):
        model = ("skillyard/auto", "skillyard/p", ANCHOR)[number % 3]
        stream = number % 2 == 0
        words = random.Random(number).choices(sum(recorded.SKILLS.values(), []), k=6)
        body = {"model": model, "stream": stream, "messages": [{"role": "user", "content": " ".join(words)}]}
        connection.request("POST", "/v1/chat/completions", json.dumps(body), {"content-type": "application/json"})
        response = connection.getresponse()
        text = response.read().decode()
        expert, decision = response.headers["x-skillyard-expert"], response.headers["x-skillyard-decision"]
        if response.status != 200 or (stream and not text.endswith("data: [DONE]\n\n")):
            return self.faults.append(f"request {number}: {response.status} {text[-300:]}")
        if stream:
            replies = [json.loads(line[6:]) for line in text.split("\n\n") if line.startswith("data: {")]
            said = "".join(reply["choices"][0]["delta"].get("content", "") for reply in replies)
            names = {reply["model"] for reply in replies}
        else:
            reply = json.loads(text)
            said, names = reply["choices"][0]["message"]["content"], {reply["model"]}
        if said != f"upstream-{expert}" or names != {expert}:
            return self.faults.append(f"request {number}: {expert} answered as {said}, {names}")
        self.served.append((decision, model, expert))

    def p99_ms(self):
        return 1000 * sorted(self.seconds)[int(len(self.seconds) * 0.99)]


class Apart:
    """Traffic in a process of its own, so that the administrator's work is not measured with it."""

    def __init__(self, port, rate, count):
        self.mine, theirs = multiprocessing.Pipe()
        self.process = multiprocessing.Process(target=self.run, args=(theirs, port, rate, count))
        self.process.start()

    @staticmethod
    def run(pipe, port, rate, count):
        traffic = Traffic(port, rate, count).run()
        pipe.send((traffic.seconds, traffic.served, traffic.faults))

    def join(self):
        traffic = Traffic(0, 0, 0)
        traffic.seconds, traffic.served, traffic.faults = self.mine.recv()
        self.process.join()
        return traffic


class Admin:
    """Draws changes, and keeps what was in force when: [(from, members by pool, policies)]."""

    def __init__(self, served, url, policies, seed):
        self.served, self.url, self.policies, self.draw = served, url, policies, random.Random(seed)
        self.states, self.done, self.refused, self.version = [], {}, {}, 0
        self.note(time.time())

    def note(self, since):
        listed = {kind: self.served.admin("GET", f"/admin/{kind}")[2]["data"] for kind in ("experts", "pools")}
        asked = lambda document: document.get("enabled", True) and document.get("stage", "active") in ("active", "ramp")
        enabled = {row["name"] for row in listed["experts"] if asked(row["document"])}
        members = {"skillyard/auto": enabled, ANCHOR: {ANCHOR}}
        for row in listed["pools"]:
            members["skillyard/" + row["name"]] = enabled & set(row["document"]["experts"])
        running = self.served.admin("GET", "/admin/policies")[2]["running"]
        self.states.append((since, time.time(), members, running))

    def change(self, validate=False):
        name, draw = self.draw.choice(OTHERS), self.draw
        document = {"name": name, "url": self.url, "model": f"upstream-{name}", "context_tokens": draw.randint(10_000, 20_000)}
        version = self.version
        kind, *request = draw.choice([
            ("add or edit", "PUT", f"/admin/experts/{name}", document),
            ("edit", "PATCH", f"/admin/experts/{name}", {"concurrency_max": draw.randint(10, 50)}),
            ("ramp", "PATCH", f"/admin/experts/{name}", {"stage": "ramp", "share": round(draw.uniform(0.1, 0.9), 2)}),
            ("stage", "PATCH", f"/admin/experts/{name}", {"stage": draw.choice(["shadow", "active", "draining"]), "share": None}),
            ("disable", "POST", f"/admin/experts/{name}/disable", {}),
            ("enable", "POST", f"/admin/experts/{name}/enable", {}),
            ("remove", "DELETE", f"/admin/experts/{name}", None),
            ("pool", "PUT", "/admin/pools/p", {"name": "p", "experts": sorted({ANCHOR, name, draw.choice(OTHERS)}), "default": ANCHOR}),
            ("promote", "POST", f"/admin/policies/{draw.choice(self.policies)}/promote", {}),
            ("roll back", "POST", f"/admin/versions/{draw.randint(max(1, version - 10), max(1, version))}/rollback", {}),
        ])
        since = time.time()
        there = self.served.admin("GET", request[1])[0] == 200
        request[1] += "?validate=1" if validate else ""
        status, _, body = self.served.admin(*request, **({"If_Match": "*"} if there else {}))
        assert status in (200, 201, 404, 409, 422), (status, body)
        if not validate:
            self.version = body.get("version", self.version)
            counts = self.done if status < 300 else self.refused
            counts[kind] = counts.get(kind, 0) + 1
        self.note(since)

    def in_force(self, moment):
        """Everything that could have been in force from `moment` to SLACK_S later."""
        found = []
        for index, (since, _, members, running) in enumerate(self.states):
            until = self.states[index + 1][1] if index + 1 < len(self.states) else float("inf")
            if since <= moment + SLACK_S and moment <= until:
                found.append((members, running))
        return found


def check_log(served, admin, traffic):
    """Every answer has its row, with the expert that answered, by rules that were in force then."""
    faults = []
    for decision, model, expert in traffic.served:
        status, _, row = served.ask("GET", f"/v1/decisions/{decision}")
        if status != 200 or row["expert"] != expert:
            faults.append(f"{decision}: served by {expert}, logged {row.get('expert')}")
            continue
        rules = admin.in_force(row["unix_us"] / 1e6)
        policies = {running for _, running in rules} | ({"0" * 16} if model == ANCHOR else set())
        if not any(expert in members.get(model, ()) for members, _ in rules):
            faults.append(f"{decision}: {expert} was not in {model}")
        if row["policy_version"] not in policies:
            faults.append(f"{decision}: policy {row['policy_version']} was not in force, {policies}")
    return faults


def make_policies(served, folder):
    versions = []
    for seed in (1, 2):
        rows, out = os.path.join(folder, f"{seed}.jsonl"), os.path.join(folder, f"{seed}.policy")
        recorded.plant(rows, rows=400, seed=seed)
        service.run("train", "--outcomes", rows, "--out", out)
        with open(out, "rb") as file:
            status, _, body = served.admin("PUT", "/admin/policies", file.read(), content_type="application/octet-stream")
        assert status == 201, body
        versions.append(body["version"])
    return versions


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--rate", type=float, default=200)
    parser.add_argument("--changes", type=int, default=500)
    args = parser.parse_args()
    rate, changes, pause_s = (60, 60, 0.05) if args.smoke else (args.rate, args.changes, 0.1)
    upstream = scripted.Server(("127.0.0.1", 0), Named)
    serving = multiprocessing.Process(target=upstream.serve_forever, daemon=True)
    serving.start()
    url = f"http://127.0.0.1:{upstream.server_port}/v1"
    path = service.config_file({
        "experts": [{"name": name, "url": url, "model": f"upstream-{name}"} for name in (ANCHOR, "bert", "cleo")],
        "pools": [{"name": "p", "experts": [ANCHOR, "bert"], "default": ANCHOR}]})
    with service.Service(["--config", path, "--admin", "127.0.0.1:0"], env=QUIET) as served:
        policies = make_policies(served, tempfile.mkdtemp(prefix="skillyard-policies-"))
        admin = Admin(served, url, policies, seed=3)
        count = int(rate * changes * (pause_s + 0.02))

        def beside(work):
            traffic = Apart(served.port, rate, count)
            for _ in range(changes):
                work()
                time.sleep(pause_s)
            return traffic.join()

        quiet = Apart(served.port, rate, count).join()
        asked = beside(lambda: admin.change(validate=True))
        changing = beside(admin.change)
        faults = quiet.faults + asked.faults + changing.faults + check_log(served, admin, changing)
        for name, traffic in (("quiet", quiet), ("validating", asked), ("changing", changing)):
            print(f"{name}: {len(traffic.seconds)} requests, p99 {traffic.p99_ms():.1f} ms, "
                  f"{traffic.p99_ms() / quiet.p99_ms():.2f} times the quiet run")
        print(f"changes made {admin.done}, refused with a reason {admin.refused}")
        print(f"{len(faults)} requests lost, misrouted or logged wrongly")
        for fault in faults[:10]:
            print("  " + fault)
    serving.terminate()
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
