#!/usr/bin/env python3
"""Policies made by the running service: trained on uploaded outcomes and learned from the log, as jobs that compare what they
made with what runs, promote it where it passes, and can be cancelled."""
import os
import pathlib
import sys
import tempfile

sys.path.insert(0, os.path.dirname(__file__))
import recorded
import service

QUIET = {"SKILLYARD_DISCOVER": "off"}
BYTES = {"content_type": "application/octet-stream"}


def serving(port, names, policy=None, data=None):
    config = service.config_file({"store": {"keep_text": True},
                                  "experts": [{"name": name, "url": f"http://127.0.0.1:{port}/v1"} for name in names]})
    args = ["--config", config, "--admin", "127.0.0.1:0"] + (["--policy", policy] if policy else [])
    return service.Service(args, env=QUIET, data=data)


def upload(served, path, name=None):
    assert served.admin("PUT", f"/eval/outcomes/{name or path.name}", path.read_bytes(), **BYTES)[0] == 201


def ended(served, job, status="done", seconds=60):
    shown = lambda: served.admin("GET", f"/admin/jobs/{job}")[2]
    assert service.eventually(lambda: shown()["status"] in ("done", "failed", "cancelled"), seconds), shown()
    assert shown()["status"] == status, shown()
    return shown()


def running(served):
    return served.admin("GET", "/admin/policies")[2]["running"]


def test_a_service_without_a_policy_trains_compares_promotes_and_goes_back():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="skillyard-jobs-"))
    few, many = folder / "few.jsonl", folder / "many.jsonl"
    recorded.plant(few, rows=120)
    recorded.plant(many, rows=1500, seed=8)
    upstream, port, models = recorded.serve(few)
    with serving(port, models) as served:
        upload(served, few), upload(served, many)
        status, _, made = served.admin("POST", "/admin/policies/train", {"outcomes": ["few.jsonl"], "promote": True})
        assert status == 202 and made["kind"] == "train" and made["status"] == "queued", made
        first = ended(served, made["id"])["report"]
        assert first["passes"] and first["comparison"] is None and first["promoted"]["version"] == 1, first
        assert running(served) == first["policy"] and set(first["experts"]) == set(models), first
        made = served.admin("POST", "/admin/policies/train", {"outcomes": ["many.jsonl"], "promote": True})[2]
        second = ended(served, made["id"])["report"]
        assert second["passes"] and second["promoted"]["version"] == 2, second
        assert second["comparison"]["replay"]["rows"] > 200 and running(served) == second["policy"], second
        row = next(row for row in served.admin("GET", "/admin/policies")[2]["data"] if row["version"] == second["policy"])
        assert row["note"] == made["id"] and row["running"], row
        told = served.admin("POST", "/admin/policies/train", {"outcomes": ["few.jsonl"], "promote": True, "limit": 40})[2]
        worse = ended(served, told["id"])["report"]
        assert not worse["passes"] and worse["promoted"] is None and "points" in worse["why"], worse
        assert running(served) == second["policy"], "a worse policy went through the gate"
        assert served.admin("POST", "/admin/versions/1/rollback", {})[0] == 200 and running(served) == first["policy"]
        listed = served.admin("GET", "/admin/jobs")[2]["data"]
        assert [job["kind"] for job in listed] == ["train"] * 3, listed
        assert served.admin("GET", "/eval/runs")[2]["data"] == [], "training is no evaluation"
        assert served.admin("GET", f"/eval/runs/{told['id']}")[0] == 404
    upstream.shutdown()


def test_the_log_is_learned_from():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="skillyard-jobs-"))
    outcomes, policy = folder / "rows.jsonl", folder / "policy"
    recorded.plant(outcomes, rows=800)
    service.run("train", "--outcomes", outcomes, "--share", "0.5", "--limit", "60", "--out", policy)
    upstream, port, models = recorded.serve(outcomes)
    with serving(port, models, policy) as served:
        upload(served, outcomes)
        nothing = served.admin("POST", "/admin/policies/learn", {"outcomes": ["rows.jsonl"]})[2]
        assert "no decision can be learned from" in ended(served, nothing["id"], "failed")["error"]
        for row in list(recorded.rows_of(outcomes))[:60]:
            status, headers, body = served.chat(row["text"])
            assert status == 200, body
            score = row["outcomes"][body["model"]]["score"]
            path = f"/v1/decisions/{headers['x-skillyard-decision']}/feedback"
            assert served.ask("POST", path, {"score": score})[0] == 202
        made = served.admin("POST", "/admin/policies/learn", {"outcomes": ["rows.jsonl"]})[2]
        learned = ended(served, made["id"])["report"]
        assert learned["graded"] == 60 and learned["comparison"]["replay"]["rows"] > 100, learned
        assert learned["promoted"] is None and running(served) != learned["policy"], "nobody asked to promote it"
        env = {**os.environ, "SKILLYARD_ADMIN": f"http://127.0.0.1:{served.admin_port()}"}
        told = service.run("job", "show", made["id"], env=env).stdout
        assert "done" in told and learned["policy"] in told and "not promoted" in told, told
        assert made["id"] in service.run("job", "list", env=env).stdout
        staged = service.run("expert", "stage", models[0], "ramp", "--share", "0.5", "--simulate", env=env).stdout
        assert "valid" in staged and "SHARE THEN" in staged, staged
        if learned["passes"]:
            status, _, promoted = served.admin("POST", f"/admin/policies/{learned['policy']}/promote", {})
            assert status in (200, 201), promoted
            assert running(served) == learned["policy"]
    upstream.shutdown()


def test_jobs_are_cancelled_and_bad_ones_refused_with_every_fault():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="skillyard-jobs-"))
    many = folder / "many.jsonl"
    recorded.plant(many, rows=12000)
    upstream, port, models = recorded.serve(many)
    with serving(port, models) as served:
        upload(served, many)
        upload(served, many, "torn.jsonl")
        assert served.admin("PUT", "/eval/outcomes/torn.jsonl", b'{"id": "1"', **BYTES)[0] == 201
        jobs = [served.admin("POST", "/admin/policies/train", {"outcomes": ["many.jsonl"]})[2]["id"] for _ in range(2)]
        for job in reversed(jobs):  # one that waits, one that runs
            assert served.admin("POST", f"/admin/jobs/{job}/cancel", {})[0] == 202
        for job in jobs:
            ended(served, job, "cancelled")
        assert served.admin("POST", f"/admin/jobs/{jobs[0]}/cancel", {})[0] == 422, "it has ended"
        torn = served.admin("POST", "/admin/policies/train", {"outcomes": ["torn.jsonl"]})[2]["id"]
        assert "torn.jsonl" in ended(served, torn, "failed")["error"]
        status, _, refused = served.admin("POST", "/admin/policies/train",
                                          {"outcomes": ["none", "../x"], "share": 2, "promote": 1, "sed": 3})
        faults = refused["error"]["faults"]
        assert status == 422 and len(faults) == 6, refused  # both files, none left, and the three values
        for part in ("`none`", "`../x`", "share: ", "promote: ", "sed: unknown"):
            assert any(part in fault for fault in faults), (part, faults)
        status, _, refused = served.admin("POST", "/admin/policies/learn", {})
        assert status == 422 and "no learned policy runs" in refused["error"]["message"], refused
        assert served.admin("POST", "/admin/policies/train", [])[0] == 422
        assert served.admin("GET", "/admin/jobs/train_none")[0] == 404
        assert served.admin("GET", "/admin/policies")[2]["data"] == [], "a job that did not end left a policy"
    upstream.shutdown()


if __name__ == "__main__":
    service.run_tests(globals())
