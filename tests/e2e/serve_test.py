#!/usr/bin/env python3
"""The service's life on the real binary: no expert, discovery, drain, reload, kill -9, bad configuration."""
import http.client
import json
import os
import signal
import sqlite3
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(__file__))
import faulty
import service

QUIET = {"OPENAI_BASE_URL": "", "OPENAI_API_KEY": "", "SKILLYARD_DISCOVER": "off"}


def test_without_an_expert_it_serves_everything_but_chat():
    with service.Service(["--no-embedded"], env=QUIET) as served:
        assert served.ask("GET", "/health/live")[0] == 200
        assert served.ask("GET", "/health/ready")[0] == 503
        assert served.ask("GET", "/v1/models")[0] == 200
        status, _, body = served.chat("hello")
        assert status == 503 and "--expert" in body["error"]["message"], body
        status, _, body = served.ask("POST", "/v1/route", {"model": "skillyard/auto", "messages": [{"role": "user", "content": "hi"}]})
        assert status == 200 and body["candidates"] == [] and body["reason"] == "nobody", body
        assert served.stop() == 0


def test_finds_the_server_that_the_environment_names():
    upstream, port, handler = faulty.serve()
    env = {**QUIET, "OPENAI_BASE_URL": f"http://127.0.0.1:{port}/v1", "OPENAI_API_KEY": "sk-planted-secret"}
    del env["SKILLYARD_DISCOVER"]
    with service.Service([], env=env) as served:
        names = [model["id"] for model in served.ask("GET", "/v1/models")[2]["data"]]
        assert "echo" in names, names
        status, _, body = served.chat("hello", model="echo")
        assert status == 200 and body["choices"][0]["message"]["content"] == "echo says hello", body
        assert "sk-planted-secret" not in served.said()
    upstream.shutdown()


def test_drains_on_sigterm_and_refuses_new_connections():
    upstream, port, _ = faulty.serve()
    with service.Service(["--expert", f"slow=http://127.0.0.1:{port}/v1,model=slow"], env=QUIET) as served:
        connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=30)
        connection.request("POST", "/v1/chat/completions", json.dumps(
            {"model": "slow", "stream": True, "messages": [{"role": "user", "content": "x"}]}), {"content-type": "application/json"})
        response = connection.getresponse()
        first = response.readline()
        assert first.startswith(b"data:") or first.startswith(b":"), first
        served.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        try:
            late = http.client.HTTPConnection("127.0.0.1", served.port, timeout=2)
            late.request("GET", "/health/live")
            assert late.getresponse().status == 503, "a new request was served while draining"
        except OSError:
            pass
        rest = response.read().decode()
        assert "[DONE]" in rest and '"finish_reason": "stop"' in rest or '"finish_reason":"stop"' in rest, rest[-300:]
        served.process.wait(20)
        assert served.process.returncode == 0, served.said()
    upstream.shutdown()


def test_a_second_signal_ends_at_once():
    upstream, port, _ = faulty.serve()
    with service.Service(["--expert", f"slow=http://127.0.0.1:{port}/v1,model=slow"], env=QUIET) as served:
        asking = threading.Thread(target=lambda: swallow(lambda: served.chat("x", model="slow", stream=True)))
        asking.start()
        time.sleep(0.5)
        served.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        before = time.monotonic()
        served.process.send_signal(signal.SIGTERM)
        served.process.wait(10)
        assert time.monotonic() - before < 3, "the second signal was not heeded"
        asking.join()
    upstream.shutdown()


def locked(path):
    """A connection of somebody else who keeps everybody from writing."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    return connection


def test_a_second_signal_ends_at_once_while_the_log_is_flushed():
    with service.Service(["--no-embedded"], env=QUIET) as served:
        holder = locked(os.path.join(served.data, "skillyard.db"))
        served.chat("a row of the log")
        served.process.send_signal(signal.SIGTERM)
        assert service.eventually(lambda: "draining" in served.said())
        time.sleep(0.5)
        assert served.process.poll() is None, "the log is not flushed"
        served.process.send_signal(signal.SIGTERM)
        assert served.process.wait(3) == 1, "the second signal was not heeded"
        holder.close()


def test_ends_without_requests_that_cannot_be_cancelled():
    path = service.config_file({"http": {"drain_ms_max": 100}})
    with service.Service(["--config", path], env=QUIET) as served:  # native experts: something waits for their last pointer
        holder = locked(os.path.join(served.data, "batches.db"))
        form = (b'--b\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
                b'--b\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\nx\r\n--b--\r\n')
        head = {"content-type": "multipart/form-data; boundary=b", "authorization": "Bearer x"}
        asking = [threading.Thread(target=lambda: swallow(lambda: served.ask("POST", "/v1/files", form, head)))
                  for _ in range(4)]
        for thread in asking:
            thread.start()
        time.sleep(0.5)
        assert served.stop() == 1, served.said()
        assert "ends without them" in served.said(), served.said()
        holder.close()
        for thread in asking:
            thread.join()


def swallow(call):
    try:
        call()
    except (OSError, http.client.HTTPException):
        pass


def test_reloads_on_sighup_and_keeps_the_old_configuration_when_the_new_one_is_bad():
    upstream, port, _ = faulty.serve()
    expert = {"url": f"http://127.0.0.1:{port}/v1", "model": "echo"}
    path = service.config_file({"experts": [{"name": "one", **expert}]})
    with service.Service(["--config", path], env=QUIET) as served:
        names = lambda: {model["id"] for model in served.ask("GET", "/v1/models")[2]["data"]}
        assert "one" in names() and "two" not in names()
        path.write_text(json.dumps({"experts": [{"name": "one", **expert}, {"name": "two", **expert}]}))
        served.process.send_signal(signal.SIGHUP)
        assert service.eventually(lambda: "two" in names()), names()
        assert served.chat("hello", model="two")[0] == 200
        path.write_text('{"experts": [{"name": "three"')
        served.process.send_signal(signal.SIGHUP)
        time.sleep(0.5)
        assert {"one", "two"} <= names() and "kept" in served.said(), served.said()
    upstream.shutdown()


def test_a_logged_decision_survives_kill_nine():
    upstream, port, _ = faulty.serve()
    args = ["--expert", f"echo=http://127.0.0.1:{port}/v1,model=echo"]
    with service.Service(args, env=QUIET) as served:
        acknowledged = []
        for number in range(30):
            decision = served.chat(f"question {number}")[1]["x-skillyard-decision"]
            if served.ask("GET", f"/v1/decisions/{decision}")[0] == 200:
                acknowledged.append(decision)
        assert len(acknowledged) == 30
        status, _, body = served.ask("POST", f"/v1/decisions/{acknowledged[0]}/feedback", {"score": 1})
        assert status in (200, 201, 202), body
        status, _, why = served.ask("GET", f"/v1/decisions/{acknowledged[0]}/explain")
        assert status == 200 and why["explanation"]["chosen"] == "echo" and why["explanation"]["sentences"], why
        served.process.kill()
        served.process.wait()
        with service.Service(args, env=QUIET, data=served.data) as again:
            for decision in acknowledged:
                status, _, body = again.ask("GET", f"/v1/decisions/{decision}")
                assert status == 200 and body["expert"] == "echo", body
            assert len(again.ask("GET", "/v1/decisions?limit=100")[2]["data"]) >= 30
    upstream.shutdown()


def test_a_bad_configuration_names_every_fault_at_once():
    path = service.config_file({"experts": [{"name": "a", "url": "ftp://x"}, {"name": "a", "url": "http://127.0.0.1:1/v1", "retires": {}}],
                        "http": {"body_bytes_max": "big"}, "pools": [{"name": "p", "experts": ["ghost"]}]})
    done = service.run("serve", "--config", path, check=False)
    assert done.returncode == 2, done
    for part in ("experts[0].url", "experts[1].name", "retires", "did you mean `retries`", "http.body_bytes_max", "ghost"):
        assert part in done.stderr, f"{part} is not in:\n{done.stderr}"
    done = service.run("serve", "--config", service.config_file('{"experts": [\n{"name" "x"}]}'), check=False)
    assert done.returncode == 2 and "line 2" in done.stderr, done.stderr
    done = service.run("serve", "--policy", "/nonexistent/policy.bin", "--listen", "127.0.0.1:0", "--data", tempfile.mkdtemp(), check=False)
    assert done.returncode == 2 and "/nonexistent/policy.bin" in done.stderr, done.stderr


if __name__ == "__main__":
    service.run_tests(globals())
