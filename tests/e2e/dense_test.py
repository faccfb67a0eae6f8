#!/usr/bin/env python3
"""Passages found by meaning, through the real binary: a scripted encoder that knows synonyms, killed and slow and wrong."""
import json
import os
import pathlib
import signal
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(__file__))
import scripted
import service

QUIET = {"OPENAI_BASE_URL": "", "OPENAI_API_KEY": "", "SKILLYARD_DISCOVER": "off"}
MEANINGS = [{"boat", "ship", "vessel"}, {"doctor", "physician", "medic"}, {"car", "automobile", "vehicle"},
            {"forest", "wood", "grove"}, {"king", "monarch", "ruler"}, {"thief", "robber", "burglar"}]
FILLERS = 300


class Upstream(scripted.Handler):
    """`vec` counts the words of each meaning; `say` answers with what it was shown."""
    slow, broken, made, inputs = 0.0, False, 0, []

    def answer(self, request):
        state = type(self)
        if not self.path.endswith("/embeddings"):
            return self.complete(request, request["messages"][-1]["content"])
        if state.broken:
            return self.fail(500, "the encoder is broken")
        time.sleep(state.slow)
        if any("UNSPEAKABLE" in text for text in request["input"]):
            return self.fail(400, "not this text", "invalid_request_error")
        state.made += len(request["input"])
        state.inputs.extend(request["input"])
        vectors = [[0.01] + [float(sum(word in meaning for word in text.lower().replace(".", " ").replace("?", " ").split()))
                             for meaning in MEANINGS] for text in request["input"]]
        return self.embed(request, vectors)


def serve(folder, port, model="meanings-1", **more):
    config = folder / "config.json"
    url = f"http://127.0.0.1:{port}/v1"
    config.write_text(json.dumps({
        "experts": [{"name": "vec", "url": url, "model": model, "capabilities": {"embeddings": True},
                     "retries": {"count_max": 0}, "breaker": {"memory_calls": 0}, "usd_per_million_tokens": {"in": 5}},
                    {"name": "say", "url": url}],
        "retrieval": {"encoder": "vec", "encode_ms_max": 2000, "wait_ms_max": 5000, "encode_batch": 16, **more},
        "pools": [{"name": "auto", "retrieval": {"mode": "on"}}]}))
    return service.Service(["--config", config, "--admin", "127.0.0.1:0"], env=QUIET, data=str(folder / "data"))


def ask(served, text):
    status, _, body = served.chat(text, skillyard={"explain": True})
    assert status == 200, body
    return body["skillyard"]["retrieval"]


def first(retrieval):
    return pathlib.Path(retrieval["sources"][0]["source"]).name if retrieval["sources"] else None


def row(served):
    return served.admin("GET", "/admin/knowledge")[2]["data"][0]


def filled(served):
    now = row(served)
    return now["vectors"] == now["passages"]


def documents(folder):
    place = folder / "documents"
    place.mkdir()
    for words in (("boat", "sails"), ("doctor", "heals"), ("car", "drives"), ("forest", "grows"), ("king", "reigns"), ("thief", "steals")):
        (place / f"{words[0]}.txt").write_text(f"A {words[0]} {words[1]}.\n")
    for number in range(FILLERS):
        (place / f"filler{number}.txt").write_text(f"Filler number {number} says {number * 7919 % 1000}.\n")
    (place / "bad.txt").write_text("An UNSPEAKABLE word.\n")
    service.run("knowledge", "add", place, "--data", folder / "data", "--collection", "docs")


def check_killed_while_filling(folder, port):
    Upstream.slow = 0.3
    with serve(folder, port) as served:
        assert service.eventually(lambda: row(served)["vectors"] > 0, 20), served.said()
        part = row(served)["vectors"]
        assert part < FILLERS, part
        served.stop(signal.SIGKILL)
    made = Upstream.made
    Upstream.slow = 0
    with serve(folder, port) as served:
        assert service.eventually(lambda: filled(served), 60), (row(served), served.said())
        assert row(served)["encoder"] == "meanings-1" and row(served)["dimension"] == 7, row(served)
        assert served.stop() == 0, served.said()
    # What was committed before the kill is not made again; a batch of 16 was under way, another may have been committed unseen.
    assert Upstream.made - made <= FILLERS + 6 - part + 32, (Upstream.made, made, part)


def check_search(folder, port):
    with serve(folder, port) as served:
        meaning = lambda: first(ask(served, "Which vessel?")) == "boat.txt"
        assert service.eventually(meaning), ask(served, "Which vessel?")
        found = ask(served, "Which physician?")
        assert first(found) == "doctor.txt" and found["encoded"] == "ok", found
        assert found["sources"][0]["similarity"] > 0.99 and found["sources"][0]["score"] == 0, found
        assert first(ask(served, "The king and his monarch")) == "king.txt", "words and meaning agree"
        metrics = served.ask("GET", "/metrics")[2]
        assert f"skillyard_passage_vectors {FILLERS + 6}" in metrics, metrics
        decisions = lambda: served.ask("GET", "/v1/decisions?limit=1")[2]["data"]
        assert service.eventually(decisions) and decisions()[0]["cost_microusd"] == 5, "the query's vector is paid for"

        # New documents get theirs while the service serves.
        (folder / "late.txt").write_text("A burglar hides.\n")
        service.run("knowledge", "add", folder / "late.txt", "--data", folder / "data", "--collection", "docs")
        assert service.eventually(lambda: filled(served), 20), row(served)

        # Without the encoder, and when it is late, words alone find what they find, and in time.
        Upstream.broken = True
        found = ask(served, "Which boat sails?")
        assert first(found) == "boat.txt" and found["encoded"] == "failed", found
        found = ask(served, "Which boat sails?")
        assert first(found) == "boat.txt" and "encoded" not in found, "nobody waits for it again at once"
        assert ask(served, "Which vessel?")["sources"] == []
        Upstream.broken = False
        assert service.eventually(meaning, 15), "it is asked again"
        assert served.stop() == 0, served.said()
    with serve(folder, port, encode_ms_max=100) as served:
        assert service.eventually(lambda: ask(served, "Which vessel?")["sources"] != [])
        Upstream.slow = 3
        begin = time.monotonic()
        found = ask(served, "Which boat sails?")
        assert first(found) == "boat.txt" and found["encoded"] == "timed_out", found
        assert time.monotonic() - begin < 2, "it waited for the encoder"
        Upstream.slow = 0
        assert served.stop() == 0, served.said()


def check_another_encoder(folder, port):
    with serve(folder, port, model="meanings-2") as served:
        assert service.eventually(lambda: "has vectors of `meanings-1`" in served.said()), served.said()
        assert "forget-vectors docs" in served.said()
        assert "encoded" not in ask(served, "Which boat sails?")
        assert row(served)["encoder"] == "meanings-1", row(served)
        status, _, gone = served.admin("DELETE", "/admin/knowledge/docs?vectors=only")
        assert status == 200 and gone["vectors"] == FILLERS + 8 and gone["documents"] == 0, gone
        assert served.admin("DELETE", "/admin/knowledge/docs?vectors=all")[0] == 400
        assert served.admin("DELETE", "/admin/knowledge/nothing?vectors=only")[0] == 404
        assert service.eventually(lambda: filled(served) and row(served)["encoder"] == "meanings-2", 60), row(served)
        assert service.eventually(lambda: first(ask(served, "Which vessel?")) == "boat.txt")
        assert served.stop() == 0, served.said()
    done = service.run("knowledge", "list", "--data", folder / "data")
    assert "meanings-2 (7)" in done.stdout, done.stdout
    done = service.run("knowledge", "forget-vectors", "docs", "--data", folder / "data")
    assert f"{FILLERS + 8} vectors deleted" in done.stdout, done.stdout
    config = json.loads((folder / "config.json").read_text())
    config["retrieval"]["encoder"] = "say"
    (folder / "config.json").write_text(json.dumps(config))
    done = service.run("serve", "--config", folder / "config.json", "--data", folder / "data", check=False)
    assert done.returncode == 2 and "retrieval.encoder: no expert `say` makes embeddings" in done.stderr, done.stderr


def main():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="skillyard-dense-"))
    (folder / "data").mkdir()
    upstream, _ = scripted.serve(Upstream)
    documents(folder)
    check_killed_while_filling(folder, upstream.server_port)
    check_search(folder, upstream.server_port)
    check_another_encoder(folder, upstream.server_port)
    upstream.shutdown()
    print("ok")


if __name__ == "__main__":
    main()
