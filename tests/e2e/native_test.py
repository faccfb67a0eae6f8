#!/usr/bin/env python3
"""A GGUF model of this process as an expert, on a model that the program writes itself: chat, streaming, JSON, swap."""
import http.client
import json
import os
import pathlib
import signal
import sys
import tempfile

sys.path.insert(0, os.path.dirname(__file__))
import service

QUIET = {"OPENAI_BASE_URL": "", "OPENAI_API_KEY": "", "SKILLYARD_DISCOVER": "off"}
FOLDER = pathlib.Path(tempfile.mkdtemp(prefix="skillyard-native-"))


def model(name, seed):
    path = FOLDER / f"{name}.gguf"
    service.run("model", "synth", "--shape", "tiny", "--type", "Q8_0", "--seed", seed, "--out", path)
    return path


ONE, TWO = model("one", 1), model("two", 2)


def stream(served, body):
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)
    connection.request("POST", "/v1/chat/completions", json.dumps({**body, "stream": True}), {"content-type": "application/json"})
    response = connection.getresponse()
    assert response.status == 200, response.read()
    events = [line[6:].strip() for line in response.read().decode().split("\n") if line.startswith("data: ")]
    assert events[-1] == "[DONE]", events
    return [json.loads(event) for event in events[:-1]]


def test_chats_and_streams_the_same_text_with_usage():
    with service.Service(["--expert", f"tiny={ONE}"], env=QUIET) as served:
        body = {"model": "tiny", "messages": [{"role": "user", "content": "t300 t301"}], "max_tokens": 12, "seed": 5}
        status, _, whole = served.ask("POST", "/v1/chat/completions", body)
        assert status == 200, whole
        text = whole["choices"][0]["message"]["content"]
        usage = whole["usage"]
        assert text and usage["prompt_tokens"] > 3 and 1 <= usage["completion_tokens"] <= 12, whole
        assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
        events = stream(served, {**body, "stream_options": {"include_usage": True}})
        pieces = [c["delta"].get("content", "") for event in events for c in event["choices"]]
        assert "".join(pieces) == text, (pieces, text)
        assert events[-1]["usage"]["completion_tokens"] == usage["completion_tokens"], events[-1]
        metrics = served.ask("GET", "/metrics")[2]
        for line in ("skillyard_native_tokens_total", "skillyard_native_first_token_seconds", "skillyard_expert_completion_tokens_total"):
            assert line in metrics, line


def test_holds_a_reply_to_its_schema_and_refuses_what_it_cannot_hold():
    schema = {"type": "object", "properties": {"sure": {"type": "boolean"}, "colour": {"enum": ["red", "blue"]}},
              "required": ["sure", "colour"], "additionalProperties": False}
    with service.Service(["--expert", f"tiny={ONE}"], env=QUIET) as served:
        for seed in range(4):
            form = {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": schema}}
            status, _, body = served.chat("t300", model="tiny", response_format=form, seed=seed, max_tokens=200)
            assert status == 200, body
            reply = json.loads(body["choices"][0]["message"]["content"])
            assert list(reply) == ["sure", "colour"] and reply["colour"] in ("red", "blue"), reply
            assert body["choices"][0]["finish_reason"] == "stop", body
        form["json_schema"]["schema"] = {"type": "string", "pattern": "^a"}
        status, _, body = served.chat("t300", model="tiny", response_format=form)
        assert status == 400 and "`pattern`" in body["error"]["message"], body
        status, _, body = served.chat("t300", model="tiny", tools=[{"type": "function", "function": {"name": "f"}}])
        assert status == 400 and body["error"]["type"] == "invalid_request_error", body


def test_swaps_models_while_it_serves():
    def write(*experts):
        path.write_text(json.dumps({"experts": [{"name": name, "kind": "native", "path": str(file), "native": native}
                                                for name, file, native in experts]}))
    path = FOLDER / "config.json"
    write(("a", ONE, {"threads": 1}))
    with service.Service(["--config", path], env=QUIET) as served:
        ask = lambda name: served.chat("t300", model=name, max_tokens=8, seed=3)
        status, _, first = ask("a")
        assert status == 200, first
        # The same model in slots for a third of its experts, and another model under a new name.
        write(("a", ONE, {"threads": 1, "expert_bytes_max": 1_300_000}), ("b", TWO, {"threads": 1}))
        served.process.send_signal(signal.SIGHUP)
        assert service.eventually(lambda: ask("b")[0] == 200), served.said()
        status, _, again = ask("a")
        assert status == 200 and again["choices"][0]["message"] == first["choices"][0]["message"], (first, again)
        write(("b", TWO, {"threads": 1}))
        served.process.send_signal(signal.SIGHUP)
        assert service.eventually(lambda: ask("a")[0] == 404), served.said()
        assert ask("b")[0] == 200
        assert service.eventually(lambda: "unloaded" in served.said()), served.said()


def test_who_cannot_be_loaded_is_answered_by_an_expert_in_memory():
    def expert(name, seed, **changes):
        return {"name": name, "kind": "native", "path": str(model(name, seed)),
                "native": {"threads": 1, "kv_bytes_max": 4 << 20}, **changes}
    experts = [expert("giant", 1, resident_bytes=1 << 40), expert("away", 2), expert("here", 3)]
    residency = {"bytes_max": 64 << 20, "experts_max": 1}
    pools = [{"name": "auto", "default": "giant", "fallbacks_max": 1}]
    with service.Service(["--config", service.config_file({"experts": experts, "residency": residency, "pools": pools})],
                         env=QUIET) as served:
        assert served.chat("t300", model="here", max_tokens=2)[0] == 200
        status, headers, body = served.chat("t300", model="skillyard/auto", max_tokens=2)
        assert status == 200 and body["model"] == "here", body
        status, headers, body = served.chat("t300", model="giant", max_tokens=2)  # by its name: nobody else
        assert status == 503 and int(headers["retry-after"]) > 0, (status, body)
        assert "larger than" in body["error"]["message"], body
        metrics = served.ask("GET", "/metrics")[2]
        loads = [row for row in metrics.splitlines() if row.startswith("skillyard_resident_loads_total")]
        assert sum(float(row.split()[-1]) for row in loads) == 1, loads


if __name__ == "__main__":
    service.run_tests(globals())
