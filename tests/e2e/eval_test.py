#!/usr/bin/env python3
"""Evaluation runs of the service on the real binary: the report is the command line's, to the digit; runs are kept,
cancelled and refused."""
import json
import os
import pathlib
import sys
import tempfile

sys.path.insert(0, os.path.dirname(__file__))
import recorded
import service

QUIET = {"SKILLYARD_DISCOVER": "off"}


def trained(folder, rows=600):
    outcomes, policy = folder / "rows.jsonl", folder / "policy"
    recorded.plant(outcomes, rows=rows)
    service.run("train", "--outcomes", outcomes, "--share", "0.5", "--out", policy)
    return outcomes, policy


def serving(policy, data=None):
    args = ["--admin", "127.0.0.1:0", "--policy", policy, "--expert", "alma=http://127.0.0.1:9/v1"]
    return service.Service(args, env=QUIET, data=data)


def ended(served, run, status):
    assert service.eventually(lambda: served.admin("GET", f"/eval/runs/{run}")[2]["status"] == status, 60), \
        served.admin("GET", f"/eval/runs/{run}")[2]
    return served.admin("GET", f"/eval/runs/{run}")[2]


def test_a_run_says_what_the_command_line_says_and_outlives_the_service():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="skillyard-eval-"))
    outcomes, policy = trained(folder)
    service.run("evaluate", "--outcomes", outcomes, "--share", "0.5", "--part", "test", "--policy", policy, "--baselines",
                "--json", folder / "told.json")
    told = json.loads((folder / "told.json").read_text())
    wish = {"outcomes": ["rows.jsonl"], "share": 0.5, "part": "test", "baselines": True, "gate": "gain.lo > 0"}
    with serving(policy) as served:
        assert served.admin("PUT", "/eval/outcomes/rows.jsonl", outcomes.read_bytes(), content_type="application/octet-stream")[0] == 201
        assert [f["name"] for f in served.admin("GET", "/eval/outcomes")[2]["data"]] == ["rows.jsonl"]
        status, _, made = served.admin("POST", "/eval/runs", wish)
        assert status == 202 and made["request"] == wish, made
        done = ended(served, made["id"], "done")
        assert done["report"]["gate"]["passed"] and done["report"]["policies"] == told["policies"], done
        status, fields, page = served.admin("GET", f"/eval/runs/{made['id']}/report")
        assert status == 200 and page.startswith("<!doctype html>") and "text/html" in fields["content-type"]
        assert served.ask("GET", "/eval/runs")[0] == 404, "evaluation on the public listener"
        assert served.admin("POST", f"/eval/runs/{made['id']}/cancel", {})[0] == 422, "it is done"
        assert served.stop() == 0, served.said()
    with serving(policy, data=served.data) as again:
        listed = again.admin("GET", "/eval/runs")[2]["data"]
        assert [(run["id"], run["status"]) for run in listed] == [(made["id"], "done")], listed


def test_runs_are_cancelled_and_a_bad_one_is_refused_with_every_fault():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="skillyard-eval-"))
    outcomes, policy = trained(folder, rows=20000)
    with serving(policy) as served:
        served.admin("PUT", "/eval/outcomes/many.jsonl", outcomes.read_bytes(), content_type="application/octet-stream")
        served.admin("PUT", "/eval/outcomes/torn.jsonl", b'{"id": "1"', content_type="application/octet-stream")
        wish = {"outcomes": ["many.jsonl"], "share": 0.5, "part": "test", "baselines": True}
        first, second = (served.admin("POST", "/eval/runs", wish)[2]["id"] for _ in range(2))
        for run in (second, first):  # one that waits, one that runs
            assert served.admin("POST", f"/eval/runs/{run}/cancel", {})[0] == 202
        ended(served, first, "cancelled")
        ended(served, second, "cancelled")
        torn = served.admin("POST", "/eval/runs", {"outcomes": ["torn.jsonl"]})[2]["id"]
        assert "torn.jsonl" in ended(served, torn, "failed")["error"]
        status, _, refused = served.admin("POST", "/eval/runs", {"outcomes": ["../policy", "none"], "k": 9, "gate": "x >", "Seed": 1})
        assert status == 422, refused
        for part in ("../policy", "`none`", "k: ", "gate: ", "Seed: unknown"):
            assert part in refused["error"]["message"], f"{part} is not in {refused}"
        assert served.admin("PUT", "/eval/outcomes/..%2Fstolen", b"x", content_type="application/octet-stream")[0] == 400
        assert served.admin("GET", "/eval/runs/eval_none")[0] == 404
        third = served.admin("POST", "/eval/runs", wish)[2]["id"]
        served.process.kill()
        served.process.wait()
    with serving(policy, data=served.data) as again:
        killed = again.admin("GET", f"/eval/runs/{third}")[2]
        assert killed["status"] == "failed" and "ended" in killed["error"], killed


if __name__ == "__main__":
    service.run_tests(globals())
