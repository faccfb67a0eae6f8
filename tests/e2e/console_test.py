#!/usr/bin/env python3
"""The administrators' page in a real browser (Debian's chromium, driven by playwright-core from npm) against the real
binary. Skips (77) where one of them is missing. SKILLYARD_SHOTS=DIR keeps pictures of every view."""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(__file__))
import recorded
import service

KEY_ENV = {"SKILLYARD_DISCOVER": "off"}


def prepared(folder):
    outcomes, policy = folder / "rows.jsonl", folder / "policy"
    recorded.plant(outcomes)
    service.run("train", "--outcomes", outcomes, "--share", "0.7", "--out", policy)
    return outcomes, policy


def fill(served, outcomes):
    """Something to see in every view: traffic, changes, a run, keys; returns an administrator's key."""
    for row in list(recorded.rows_of(outcomes))[:30]:
        assert served.chat(row["text"])[0] == 200
    assert served.admin("PUT", "/admin/pools/cheap?comment=for+drafts", {"experts": ["dora", "alma"]})[0] == 201
    assert served.admin("PATCH", "/admin/experts/bert?comment=slower+machine", {"concurrency_max": 8}, If_Match="*")[0] == 200
    assert served.admin("PUT", "/eval/outcomes/rows.jsonl", outcomes.read_bytes(), content_type="application/octet-stream")[0] == 201
    wish = {"outcomes": ["rows.jsonl"], "share": 0.7, "part": "test"}
    run = served.admin("POST", "/eval/runs", wish)[2]["id"]
    assert service.eventually(lambda: served.admin("GET", f"/eval/runs/{run}")[2]["status"] == "done", 60)
    line_of = lambda number, model: json.dumps({"custom_id": number, "method": "POST", "url": "/v1/chat/completions", "body": {
        "model": model, "messages": [{"role": "user", "content": next(recorded.rows_of(outcomes))["text"]}]}})
    lines = "\n".join([line_of("good", "skillyard/auto"), line_of("bad", "nobody")])
    wish = {"input_file_id": service.upload(served, lines)[2]["id"], "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    batch = served.ask("POST", "/v1/batches", wish)[2]["id"]
    assert service.eventually(lambda: served.ask("GET", f"/v1/batches/{batch}")[2]["status"] == "completed", 30)
    made = served.admin("POST", "/admin/keys", {"name": "<b>ops</b>", "role": "admin"})
    assert made[0] == 201, made
    return made[2]["secret"]


def main():
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    place = service.npm_package("playwright-core", 1)
    if chromium is None or place is None:
        print("skipped: needs chromium and playwright-core from npm")
        return 77
    script = place / "console_client.mjs"
    shutil.copy(pathlib.Path(__file__).parent / "console_client.mjs", script)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="skillyard-console-"))
    outcomes, policy = prepared(folder)
    upstream, port, models = recorded.serve(outcomes)
    experts = [{"name": name, "url": f"http://127.0.0.1:{port}/v1"} for name in models]
    config = service.config_file({"experts": experts, "store": {"keep_text": True}})
    with service.Service(["--config", config, "--policy", policy, "--admin", "127.0.0.1:0"], env=KEY_ENV) as served:
        key = fill(served, outcomes)
        plan = {"base": f"http://127.0.0.1:{served.admin_port()}", "key": key, "chromium": chromium,
                "profile": str(folder / "profile"), "shots": os.environ.get("SKILLYARD_SHOTS", "")}
        done = subprocess.run(["node", script, json.dumps(plan)], capture_output=True, text=True, timeout=240)
        print(done.stdout, done.stderr)
        assert done.returncode == 0, "the page's checks failed"
        state = served.admin("GET", "/admin/experts/alma", key=key)[2]["document"]
        assert state.get("enabled", True), "enabling over the page did not arrive"
        verbs = [row["verb"] for row in served.admin("GET", "/admin/versions", key=key)[2]["data"]]
        assert verbs == ["rollback to 1", "enable", "disable", "patch", "put"], verbs
        assert key not in served.said(), "the key is in the log"
        assert served.stop() == 0, served.said()
    upstream.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
