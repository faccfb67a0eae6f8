#!/usr/bin/env python3
"""The official `openai` client from npm against the real binary. Skips (77) where Node or the registry is missing."""
import json
import os
import pathlib
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(__file__))
import faulty
import service

def main():
    place = service.npm_package("openai", 6)
    if place is None:
        print("skipped: the openai client is not there")
        return 77
    upstream, port, handler = faulty.serve()
    config = place / "config.json"
    names = ["echo", "flaky", "cut", "limited", "slow", "secret"]
    expert = {"url": f"http://127.0.0.1:{port}/v1", "key_env": "PLANTED_KEY"}
    encoder = {**expert, "capabilities": {"embeddings": True}, "usd_per_million_tokens": {"in": 1}}
    config.write_text(json.dumps({
        "experts": [{**encoder, "name": n, "model": n} for n in ["vectors", "numbers"]] +
                   [{**expert, "name": n, "model": n} for n in names],
        "pools": [{"name": "steady", "experts": ["echo"]}]}))
    script = place / "openai_client.mjs"
    shutil.copy(pathlib.Path(__file__).parent / "openai_client.mjs", script)
    with service.Service(["--config", config], env={"PLANTED_KEY": "sk-planted-secret"}) as served:
        done = subprocess.run(["node", script, f"http://127.0.0.1:{served.port}/v1"], capture_output=True, text=True, timeout=120)
        print(done.stdout, done.stderr)
        assert done.returncode == 0, "the client's checks failed"
        rows = served.ask("GET", "/v1/decisions?expert=vectors&limit=1")[2]["data"]
        assert rows[0]["mode"] == "embeddings" and rows[0]["cost_microusd"] == 1, rows
        assert handler.gone.wait(10), "the expert's stream was not cancelled when the client aborted"
        last = handler.bodies[-1]
        assert last["tools"][0]["function"]["name"] == "f" and last["response_format"] == {"type": "json_object"} and last["seed"] == 7
        assert "skillyard" not in last and last["model"] == "echo"
        assert served.stop() == 0, served.said()
        assert "sk-planted-secret" not in served.said(), "the key is in the log"
    for path in pathlib.Path(served.data).iterdir():
        assert b"sk-planted-secret" not in path.read_bytes(), f"the key is in {path.name}"
    upstream.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
