#!/usr/bin/env python3
"""An expert that nobody knows is added to a running service and, once graded answers of it are there, routed to: no restart, no
training of what is known already."""
import json
import os
import pathlib
import sys
import tempfile
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
        status, _, refused = served.admin("POST", "/admin/experts/alma/probe", {"outcomes": ["none"], "promot": 1})
        for part in ("`none`", "promot: unknown", "outcomes: names"):
            assert status == 422 and any(part in fault for fault in refused["error"]["faults"]), refused
        job = served.admin("POST", "/admin/experts/alma/probe", wish)[2]["id"]
        assert "from its training already" in ended(served, job, "failed")["error"]
        job = served.admin("POST", "/admin/experts/dora/probe", wish)[2]["id"]
        assert "at least 8" in ended(served, job, "failed")["error"], "no answer of it is in the file"
    upstream.shutdown()


if __name__ == "__main__":
    service.run_tests(globals())
