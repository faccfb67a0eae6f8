#!/usr/bin/env python3
"""The life of an expert on the real binary: what a change would do is told before it is made, and a newcomer goes from shadow
by way of a share of its wins into the pool, and out of it, while the log says what was decided with which probability."""
import os
import pathlib
import random
import sys
import tempfile

sys.path.insert(0, os.path.dirname(__file__))
import recorded
import service

QUIET = {"SKILLYARD_DISCOVER": "off"}
BYTES = {"content_type": "application/octet-stream"}
draw = random.Random(11)


def question(skill):
    words = draw.choices(recorded.SKILLS[skill], k=7)
    return f"Question {draw.random()}: which {words[0]} has a {' '.join(words[1:])}?"


def trained(folder, rows=900):
    outcomes, policy = folder / "rows.jsonl", folder / "policy"
    recorded.plant(outcomes, rows=rows)
    service.run("train", "--outcomes", outcomes, "--share", "0.8", "--out", policy)
    return outcomes, policy


def serving(policy, port, names=("alma", "bert", "cleo", "dora"), **more):
    config = service.config_file({"store": {"keep_text": True},
                                  "experts": [{"name": name, "url": f"http://127.0.0.1:{port}/v1"} for name in names], **more})
    return service.Service(["--config", config, "--admin", "127.0.0.1:0", "--policy", policy], env=QUIET)


def first_of(served, text):
    body = {"model": "skillyard/auto", "messages": [{"role": "user", "content": text}]}
    status, _, route = served.ask("POST", "/v1/route", body)
    assert status == 200, route
    return route


def share(simulation, expert, when):
    return next(row[f"share_{when}"] for row in simulation["experts"] if row["expert"] == expert)


def test_a_change_is_simulated_on_what_clients_asked():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="skillyard-life-"))
    outcomes, policy = trained(folder)
    upstream, port, _ = recorded.serve(outcomes)
    with serving(policy, port) as served:
        status, _, told = served.admin("DELETE", "/admin/experts/bert?simulate=1", If_Match="*")
        assert status == 200 and told["outcome"] == "valid" and told["simulation"]["source"] == "memory", told
        texts = [row["text"] for row in recorded.rows_of(outcomes)][:200]
        for text in texts:
            assert served.chat(text)[0] == 200
        assert served.chat(texts[0], model="bert")[0] == 200
        before = served.admin("GET", "/admin/config")[2]
        logged = lambda: served.admin("DELETE", "/admin/experts/bert?simulate=1", If_Match="*")[2]["simulation"]
        assert service.eventually(lambda: (logged()["queries"], logged()["named"]) == (len(texts), 1)), logged()
        told = logged()
        assert told["source"] == "log" and told["named"] == told["named_lost"] == 1, told
        assert share(told, "bert", "after")[0] == 0 and share(told, "bert", "before")[0] > 0.1, told
        assert told["moves"][0]["from"] == "bert" and told["gain"][2] < 0, told
        worst = told["skills"][0]
        assert worst["skill"] == "botany" and worst["loses"], told["skills"]
        assert served.admin("GET", "/admin/config")[2] == before, "a simulation changed something"
        status, _, patched = served.admin("PATCH", "/admin/pools/auto?simulate=1", {"experts": ["dora"]}, If_Match="*")
        assert status == 404, "auto is not a resource until it was made"
        status, _, made = served.admin("PUT", "/admin/pools/auto?simulate=1", {"experts": ["dora"]})
        assert status == 200 and share(made["simulation"], "dora", "after")[0] == 1, made
        status, _, bad = served.admin("PUT", "/admin/pools/auto?simulate=1", {"experts": ["dorra"]})
        assert status == 422 and "dora" in bad["error"]["message"], bad
        assert served.admin("DELETE", "/admin/experts/bert", If_Match="*")[0] == 200
        now = [first_of(served, text)["experts"][0] for text in texts]
        for expert in ("alma", "cleo", "dora"):
            assert now.count(expert) / len(now) == share(told, expert, "after")[0], (expert, "the same queries were replayed")
    upstream.shutdown()


def test_promoting_a_policy_that_was_validated_before_routes_by_it():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="skillyard-life-"))
    outcomes, policy = trained(folder)
    service.run("train", "--outcomes", outcomes, "--share", "0.4", "--out", folder / "other")
    upstream, port, _ = recorded.serve(outcomes)
    with serving(policy, port) as served:
        version = served.admin("PUT", "/admin/policies", (folder / "other").read_bytes(), **BYTES)[2]["version"]
        for _ in range(40):
            served.chat(question("law"), model="skillyard/auto")
        status, _, told = served.admin("POST", f"/admin/policies/{version}/promote?simulate=1", {})
        assert status == 200 and told["outcome"] == "valid" and "simulation" in told, told
        assert served.admin("GET", "/admin/policies")[2]["running"] != version
        assert served.admin("POST", f"/admin/policies/{version}/promote", {})[0] in (200, 201)
        assert served.admin("GET", "/admin/policies")[2]["running"] == version, "the old policy still runs"
    upstream.shutdown()


def test_a_newcomer_goes_by_shadow_and_ramp_into_the_pool_and_drains_out_of_it():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="skillyard-life-"))
    outcomes, policy = trained(folder)
    upstream, port, _ = recorded.serve(outcomes)
    texts = [question("algebra") for _ in range(400)]
    with serving(policy, port) as served:
        def stage(**patch):
            status, _, body = served.admin("PATCH", "/admin/experts/alma", patch, If_Match="*")
            assert status == 200, body
            return served.admin("GET", "/admin/experts/alma")[2]["status"]

        calls = served.admin("GET", "/admin/experts/alma")[2]["status"]
        assert calls["state"] == "active" and calls["policy"]["outcomes"] > 100 and calls["checked"] is None, calls
        served.admin("POST", "/admin/experts/alma/check", {})
        status = stage(stage="shadow")
        assert status["state"] == "shadow" and status["share"] == 0 and "not asked" in status["reason"], status
        assert status["checked"]["good"] is False and status["checked"]["reason"], "the recorded expert does not know `ping`"
        shadowed = [first_of(served, text) for text in texts]
        assert all(route["experts"][0] != "alma" for route in shadowed)
        assert any(c["expert"] == "alma" and c["barred_by"] == "shadow" and c["utility"] > route["candidates"][0]["utility"]
                   for route in shadowed[:1] for c in route["candidates"]), shadowed[0]
        assert served.admin("PATCH", "/admin/experts/alma", {"stage": "ramp"}, If_Match="*")[0] == 422, "a ramp has a share"
        told = served.admin("PATCH", "/admin/experts/alma?simulate=1", {"stage": "ramp", "share": 0.3}, If_Match="*")[2]
        assert told["outcome"] == "valid" and served.admin("GET", "/admin/experts/alma")[2]["status"]["state"] == "shadow"
        status = stage(stage="ramp", share=0.3)
        assert status["state"] == "ramp" and status["share"] == 0.3 and "30%" in status["reason"], status
        ramped = [first_of(served, text) for text in texts]
        got = [route["experts"][0] == "alma" for route in ramped]
        assert 0.2 < sum(got) / len(got) < 0.4, sum(got)
        assert {round(route["propensity"], 3) for route in ramped} == {0.3, 0.7}
        more = stage(stage="ramp", share=0.6)
        again = [first_of(served, text)["experts"][0] == "alma" for text in texts]
        assert all(now for was, now in zip(got, again) if was) and sum(again) > sum(got), more
        assert stage(stage="active", share=1)["reason"] == ""
        assert all(first_of(served, text)["experts"][0] == "alma" for text in texts[:50])
        status = stage(stage="draining")
        assert status["state"] == "draining" and "can be removed" in status["reason"], status
        assert all(first_of(served, text)["experts"][0] != "alma" for text in texts[:50])
        assert served.ask("GET", "/v1/models/alma")[0] == 200, "by name it answers until it is removed"
        assert served.admin("DELETE", "/admin/experts/alma", If_Match="*")[0] == 200
        assert served.admin("POST", "/admin/versions/1/rollback", {})[0] == 200, "back to the shadow"
        assert served.admin("GET", "/admin/experts/alma")[2]["status"]["state"] == "shadow"
    upstream.shutdown()


if __name__ == "__main__":
    service.run_tests(globals())
