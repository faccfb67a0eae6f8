#!/usr/bin/env python3
"""An expert that nobody knows is added to a running service and, once graded answers of it are there, routed to: no restart, no
training of what is known already. The answers are uploaded, or the service asks the questions itself."""
import json
import os
import pathlib
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(__file__))
import recorded
import service

QUIET = {"SKILLYARD_DISCOVER": "off"}
BYTES = {"content_type": "application/octet-stream"}
KNOWN = ["alma", "bert", "dora"]


def only(rows, experts):
    return "".join(json.dumps({**row, "outcomes": {name: row["outcomes"][name] for name in experts}}) + "\n" for row in rows)


def started(folder, rows=1200):
    """A service that knows three of the four recorded experts, and rows that nobody was trained on."""
    outcomes, known = folder / "rows.jsonl", folder / "known.jsonl"
    recorded.plant(outcomes, rows=rows)
    every = list(recorded.rows_of(outcomes))
    known.write_text(only(every[:rows // 2], KNOWN))
    service.run("train", "--outcomes", known, "--out", folder / "policy")
    upstream, port, _ = recorded.serve(outcomes)
    config = service.config_file({"experts": [{"name": name, "url": f"http://127.0.0.1:{port}/v1"} for name in KNOWN]})
    served = service.Service(["--config", config, "--admin", "127.0.0.1:0", "--policy", folder / "policy"], env=QUIET)
    return served, upstream, port, every[rows // 2:]


def upload(served, name, text):
    assert served.admin("PUT", f"/eval/outcomes/{name}", text.encode(), **BYTES)[0] == 201


def ended(served, job, status="done"):
    shown = lambda: served.admin("GET", f"/admin/jobs/{job}")[2]
    assert service.eventually(lambda: shown()["status"] in ("done", "failed", "cancelled"), 60), shown()
    assert shown()["status"] == status, shown()
    return shown()


def share_of(served, expert, rows):
    asked = []
    for row in rows:
        body = {"model": "skillyard/auto", "messages": [{"role": "user", "content": row["text"]}]}
        asked.append(served.ask("POST", "/v1/route", body)[2]["experts"][0])
    return asked.count(expert) / len(asked)


def test_a_newcomer_is_routed_to_once_it_was_probed():
    served, upstream, port, rows = started(pathlib.Path(tempfile.mkdtemp(prefix="skillyard-newcomer-")))
    law = [row for row in rows[120:] if row["domain"] == "law"]
    algebra = [row for row in rows[120:] if row["domain"] == "algebra"]
    with served:
        began = time.monotonic()
        cleo = {"url": f"http://127.0.0.1:{port}/v1", "stage": "shadow"}
        assert served.admin("PUT", "/admin/experts/cleo", cleo)[0] == 201
        assert served.admin("GET", "/admin/experts/cleo")[2]["status"]["policy"] is None
        upload(served, "probes.jsonl", only(rows[:120], ["cleo"]))
        wish = {"outcomes": ["probes.jsonl"], "promote": True}
        status, _, quote = served.admin("POST", "/admin/experts/cleo/probe?dry_run=1", wish)
        assert status == 200 and quote["outcomes"] == 120 and served.admin("GET", "/admin/jobs")[2]["data"] == [], quote
        status, _, made = served.admin("POST", "/admin/experts/cleo/probe", wish)
        assert status == 202 and made["kind"] == "probe", made
        report = ended(served, made["id"])["report"]
        rates = {skill["skill"]: skill["rate"] for skill in report["newcomer"]["skills"]}
        assert rates["law"] > 0.75 and rates["algebra"] < 0.6 and report["promoted"]["version"] == 2, report
        known = served.admin("GET", "/admin/experts/cleo")[2]["status"]
        assert known["policy"]["outcomes"] == 120 and known["state"] == "shadow", known
        assert share_of(served, "cleo", law[:20]) == 0, "a shadow was chosen"
        before = share_of(served, "alma", algebra[:40])
        assert served.admin("PATCH", "/admin/experts/cleo", {"stage": "active"}, If_Match="*")[0] == 200
        assert share_of(served, "cleo", law[:40]) > 0.8
        assert time.monotonic() - began < 60, "longer than a minute"
        assert share_of(served, "alma", algebra[:40]) > before - 0.1, "what others are good at went to the newcomer"
        status, _, answer = served.chat(law[0]["text"])
        assert status == 200 and answer["model"] == "cleo", answer
        upload(served, "more.jsonl", only(rows[120:240], ["cleo"]))
        again = served.admin("POST", "/admin/experts/cleo/probe", {"outcomes": ["probes.jsonl", "more.jsonl"]})[2]
        better = ended(served, again["id"])["report"]
        assert better["promoted"] is None and better["newcomer"]["error"] < report["newcomer"]["error"], better
    upstream.shutdown()


def test_what_cannot_be_added_is_refused():
    served, upstream, port, rows = started(pathlib.Path(tempfile.mkdtemp(prefix="skillyard-newcomer-")))
    with served:
        upload(served, "probes.jsonl", only(rows[:120], ["alma", "cleo"]))
        wish = {"outcomes": ["probes.jsonl"]}
        assert served.admin("POST", "/admin/experts/ghost/probe", wish)[0] == 404
        status, _, refused = served.admin("POST", "/admin/experts/alma/probe", {"outcomes": ["none"], "promot": 1, "per_skill": 0})
        for part in ("`none`", "promot: unknown", "per_skill: must be", "from its training already"):
            assert status == 422 and any(part in fault for fault in refused["error"]["faults"]), refused
        served.admin("PUT", "/admin/experts/emil", {"url": f"http://127.0.0.1:{port}/v1", "enabled": False})
        status, _, refused = served.admin("POST", "/admin/experts/emil/probe", wish)
        assert status == 422 and "at least 8" in refused["error"]["message"], "no answer of it is in the file"
        upload(served, "ask.jsonl", only(rows[:120], []))
        status, _, refused = served.admin("POST", "/admin/experts/emil/probe", {"questions": ["ask.jsonl"]})
        assert status == 422 and "disabled" in refused["error"]["message"], refused
        served.admin("POST", "/admin/experts/emil/enable", {})
        status, _, refused = served.admin("POST", "/admin/experts/emil/probe", {"questions": ["ask.jsonl"], "skills": ["cooking"]})
        assert status == 422 and "no question is of the skills" in refused["error"]["message"], refused
        served.admin("PUT", "/admin/experts/dead", {"url": "http://127.0.0.1:1/v1"})
        job = served.admin("POST", "/admin/experts/dead/probe", {"questions": ["ask.jsonl"], "per_skill": 2})[2]["id"]
        assert "the first: unreachable" in ended(served, job, "failed")["error"], "nobody answered"
        assert served.admin("GET", "/admin/jobs")[2]["data"][1:] == [], "what was refused is no job"
    upstream.shutdown()


def test_the_service_puts_the_questions_itself():
    served, upstream, port, rows = started(pathlib.Path(tempfile.mkdtemp(prefix="skillyard-newcomer-")))
    law = [row for row in rows[300:] if row["domain"] == "law"]
    asked = lambda: upstream.RequestHandlerClass.calls.get("cleo", 0)
    with served:
        began = time.monotonic()
        cleo = {"url": f"http://127.0.0.1:{port}/v1", "stage": "shadow", "usd_per_million_tokens": {"in": 10, "out": 100}}
        assert served.admin("PUT", "/admin/experts/cleo", cleo)[0] == 201
        upload(served, "ask.jsonl", only(rows[:300], []))
        wish = {"questions": ["ask.jsonl"], "per_skill": 20, "promote": True}
        status, _, quote = served.admin("POST", "/admin/experts/cleo/probe?dry_run=1", wish)
        assert status == 200 and (quote["calls"], quote["skills"], asked()) == (80, 4, 0), (quote, asked())
        assert 0 < quote["cost_usd"] < quote["cost_usd_max"], quote
        made = served.admin("POST", "/admin/experts/cleo/probe", wish)[2]
        report = ended(served, made["id"])["report"]
        rates = {skill["skill"]: skill["rate"] for skill in report["newcomer"]["skills"]}
        assert rates["law"] > 0.75 and rates["algebra"] < 0.6 and report["promoted"]["version"] == 2, report
        assert report["asked"]["calls"] == report["asked"]["answered"] == asked() == 80, report
        assert 0 < report["asked"]["cost_usd"] < quote["cost_usd_max"], (report, quote)
        assert served.admin("GET", "/admin/experts/cleo")[2]["status"]["policy"]["outcomes"] == 80
        assert served.admin("PATCH", "/admin/experts/cleo", {"stage": "active"}, If_Match="*")[0] == 200
        assert share_of(served, "cleo", law[:40]) > 0.8
        print(f"  routed to {time.monotonic() - began:.1f} s after it was added, 80 questions included")
        assert time.monotonic() - began < 60, "longer than a minute"
        kept = {"outcomes": [report["asked"]["outcomes"]]}  # what was paid for can be used again
        again = served.admin("POST", "/admin/experts/cleo/probe?dry_run=1", kept)[2]
        assert again["outcomes"] == 80 and again["calls"] == again["cost_usd_max"] == 0, again
        bounded = served.admin("POST", "/admin/experts/cleo/probe", {**wish, "max_cost_usd": report["asked"]["cost_usd"] / 3, "promote": False})[2]
        report = ended(served, bounded["id"])["report"]
        assert report["asked"]["stopped"] and 8 <= report["asked"]["calls"] < 80 and report["promoted"] is None, report
    upstream.shutdown()


def test_a_probe_is_cancelled_while_its_calls_hang():
    served, upstream, port, rows = started(pathlib.Path(tempfile.mkdtemp(prefix="skillyard-newcomer-")))
    handler, released, calls = upstream.RequestHandlerClass, threading.Event(), []
    answer = handler.do_POST

    def hang(self):
        calls.append(1)
        if len(calls) > 10:
            released.wait(60)
        answer(self)

    with served:
        handler.do_POST = hang
        served.admin("PUT", "/admin/experts/cleo", {"url": f"http://127.0.0.1:{port}/v1", "stage": "shadow"})
        upload(served, "ask.jsonl", only(rows[:120], []))
        before = served.admin("GET", "/admin/policies")[2]["running"]
        job = served.admin("POST", "/admin/experts/cleo/probe", {"questions": ["ask.jsonl"], "promote": True})[2]["id"]
        progress = lambda: served.admin("GET", f"/admin/jobs/{job}")[2].get("progress", {})
        assert service.eventually(lambda: progress().get("done", 0) * 80 >= 9), progress()
        assert progress()["stage"] == "ask"
        assert served.admin("POST", f"/admin/jobs/{job}/cancel", {})[0] == 202
        ended(served, job, "cancelled")
        assert not released.is_set() and served.admin("GET", "/admin/policies")[2]["running"] == before
        kept = [row["name"] for row in served.admin("GET", "/eval/outcomes")[2]["data"]]
        assert f"{job}.jsonl" in kept, "what was answered was paid for"
        released.set()
    upstream.shutdown()


def test_the_command_line_probes_an_expert_of_a_running_service():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="skillyard-newcomer-"))
    served, upstream, port, rows = started(folder)
    (folder / "ask.jsonl").write_text(only(rows[:200], []))
    with served:
        served.admin("PUT", "/admin/experts/cleo", {"url": f"http://127.0.0.1:{port}/v1"})
        env = {**os.environ, "SKILLYARD_ADMIN": f"http://127.0.0.1:{served.admin_port()}"}
        probe = lambda *args: service.run("expert", "probe", *args, "--questions", folder / "ask.jsonl", check=False, env=env)
        told = probe("cleo", "--per-skill", 10, "--dry-run")
        assert told.stdout.startswith("40 calls, 4 skills: about 0") and served.admin("GET", "/admin/jobs")[2]["data"] == [], told
        done = probe("cleo", "--per-skill", 10, "--promote")
        assert done.returncode == 0 and "40 of 40 calls answered" in done.stdout and "law" in done.stdout, done
        assert "promoted" in done.stdout and served.admin("GET", "/admin/experts/cleo")[2]["status"]["policy"]["outcomes"] == 40, done
        told = json.loads(probe("cleo", "--per-skill", 10, "--json").stdout)
        assert told["status"] == "done" and told["report"]["promoted"] is None, told
        known = probe("alma")
        assert known.returncode == 1 and "from its training already" in known.stderr, known
        nobody = probe()
        assert nobody.returncode == 2 and "--out" in nobody.stderr, nobody
        made = service.run("pool", "add", "small", "--member", "alma", "--member", "cleo", "--default", "alma", env=env)
        assert "applied" in made.stdout and "small" in service.run("pool", "list", env=env).stdout, made
        assert "applied" in service.run("pool", "remove", "small", env=env).stdout
    upstream.shutdown()


if __name__ == "__main__":
    service.run_tests(globals())
