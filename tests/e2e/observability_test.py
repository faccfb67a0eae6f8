#!/usr/bin/env python3
"""What operators look at: the dashboard's metrics exist, the log is JSON where it should be, secrets are in neither,
and the shell completes the commands that there are."""
import json
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(__file__))
import faulty
import service

QUIET = {"SKILLYARD_DISCOVER": "off", "PLANTED_KEY": "sk-planted-secret"}


def test_every_metric_of_the_dashboard_is_there():
    dashboard = json.loads((service.ROOT / "config/grafana.json").read_text())
    used = {}
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            expression = re.sub(r"by \([^)]*\)|{[^}]*}", "", target["expr"])  # labels
            for name in re.findall(r"\b(?:skillyard|gen_ai)_[a-z_]+", expression):
                used.setdefault(name, panel["title"])
    upstream, port, _ = faulty.serve()
    experts = [{"name": "echo", "url": f"http://127.0.0.1:{port}/v1"}]
    with service.Service(["--config", service.config_file({"experts": experts})], env=QUIET) as served:
        assert served.chat("hi", model="echo")[0] == 200
        assert served.chat("hi", model="echo", stream=True)[0] == 200
        metrics = served.ask("GET", "/metrics")[2]
    upstream.shutdown()
    there = set(re.findall(r"^([a-z_]+)(?:\{| )", metrics, re.MULTILINE))
    missing = {name: title for name, title in used.items() if name not in there}
    assert len(used) > 20 and not missing, missing


def test_the_log_is_json_and_holds_no_secret():
    upstream, port, _ = faulty.serve()
    experts = [{"name": "echo", "url": f"http://127.0.0.1:{port}/v1", "key_env": "PLANTED_KEY",
                "headers": [{"name": "x-team", "value": "planted-header"}]}]
    config = service.config_file({"experts": experts, "log_format": "json", "log_level": "trace"})
    with service.Service(["--config", config, "--admin", "127.0.0.1:0"], env=QUIET) as served:
        made = served.admin("POST", "/admin/keys", {"name": 'a "quoted"\nname', "role": "admin"})[2]
        key = made["secret"]
        assert served.ask("POST", "/v1/chat/completions", {"model": "echo", "messages": [{"role": "user", "content": "hi"}]},
                          {"x-request-id": "mine-1"})[0] == 200
        down = {"name": "down", "url": "http://127.0.0.1:1/v1"}
        assert served.admin("PUT", "/admin/experts/down", down, key=key)[0] == 201
        failed = served.chat("hi", model="down")
        assert failed[0] == 502, failed
        assert served.admin("PATCH", "/admin/experts/echo", {"queue_max": 7}, key=key, If_Match="*", x_request_id="mine-2")[0] == 200
        assert served.admin("GET", "/admin/experts", key="sk-sky-wrong-planted")[0] == 401
        assert served.admin("POST", "/admin/experts/echo/check", {}, key=key)[0] == 200
        assert served.stop() == 0
        lines = [json.loads(line) for line in served.said().splitlines()]
        assert all(line.keys() - {"request_id"} == {"time", "level", "message"} for line in lines), lines
        of = lambda request: [(line["level"], line["message"]) for line in lines if line.get("request_id") == request]
        (level, said), = of("mine-1")
        assert level == "debug" and said.startswith("POST /v1/chat/completions: 200 after") and "decision dec_" in said, said
        (level, said), = of(failed[1]["x-request-id"])
        assert level == "warning" and ": 502 after" in said, "a failure is told at the usual level"
        assert any(said.startswith("version 2 by ") for _, said in of("mine-2")), of("mine-2")
        assert any('a "quoted"' in line["message"] and line["level"] == "info" for line in lines), lines
        for secret in (key, "sk-planted-secret", "planted-header", "sk-sky-wrong-planted"):
            assert secret not in served.said(), f"{secret} is in the log"
    upstream.shutdown()


def completed(script, words):
    asked = f"source {script}; COMP_WORDS=({' '.join(words)} ''); COMP_CWORD={len(words)}; _skillyard; echo ${{COMPREPLY[@]}}"
    return subprocess.run(["bash", "-c", asked], capture_output=True, text=True, check=True).stdout.split()


def test_shells_complete_commands_and_options():
    scripts = {shell: service.run("completion", shell).stdout for shell in ("bash", "zsh", "fish")}
    script = service.config_file(scripts["bash"])
    assert {"serve", "expert", "completion"} <= set(completed(script, ["skillyard"]))
    assert {"add", "list", "disable"} <= set(completed(script, ["skillyard", "expert"]))
    assert {"--replace", "--comment"} <= set(completed(script, ["skillyard", "expert", "add"]))
    assert "add" not in completed(script, ["skillyard", "serve"]), "a word of another command"
    for shell, text in scripts.items():
        assert "knowledge" in text and "--outcomes".lstrip("-" if shell == "fish" else "") in text, shell
        if shutil.which(shell):
            subprocess.run([shell, "-n", service.config_file(text)], check=True)
    assert service.run("completion", "tcsh", check=False).returncode == 2


if __name__ == "__main__":
    service.run_tests(globals())
