#!/usr/bin/env python3
"""A policy that was trained with an encoder's vectors, through the real binary: words say nothing, vectors all. A scripted
encoder that is asked once for each text, then killed, slow, wrong and another one."""
import json
import os
import pathlib
import random
import sys
import tempfile
import time
import zlib

sys.path.insert(0, os.path.dirname(__file__))
import recorded
import scripted
import service

QUIET = {"OPENAI_BASE_URL": "", "OPENAI_API_KEY": "", "SKILLYARD_DISCOVER": "off"}
KNOWS = ["alice", "bob", "carol"]
NUMBERS, ROWS = 24, 900


def meaning_of(text):
    return zlib.crc32(text.encode()) % 3


def vector_of(text, turn):
    noise = random.Random(f"{text}{turn}")
    vector = [(0.8 if i % 2 == 0 else -0.6) + noise.uniform(-.4, .4) for i in range(NUMBERS)]
    vector[(5 * meaning_of(text) + 7 * turn) % NUMBERS] += 1
    return vector


class Upstream(scripted.Handler):
    """`vec` makes vectors, everybody else says its own name."""
    slow, broken, turn, shrinks, texts = 0.0, False, 0, False, 0

    def answer(self, request):
        state = type(self)
        if not self.path.endswith("/embeddings"):
            return self.complete(request, request["model"])
        if state.broken:
            return self.fail(500, "the encoder is broken")
        time.sleep(state.slow)
        state.texts += len(request["input"])
        less = 1 if state.shrinks and state.texts > 200 else 0
        return self.embed(request, [vector_of(text, state.turn)[less:] for text in request["input"]])


def strange(draw):
    return " ".join("".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=7)) for _ in range(6))


def plant(path):
    draw = random.Random(3)
    with open(path, "w", encoding="utf-8") as out:
        for number in range(ROWS):
            text = strange(draw)
            chances = [.95 if meaning_of(text) == e else .3 for e in range(2)] + [.62]
            outcomes = {name: {"score": float(draw.random() < chance)} for name, chance in zip(KNOWS, chances)}
            out.write(json.dumps({"id": f"r{number}", "text": text, "domain": f"m{meaning_of(text)}", "outcomes": outcomes}) + "\n")


class World:
    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="skillyard-encoder-"))
        self.rows, self.policy, self.vectors = (self.folder / name for name in ("rows.jsonl", "policy", "vectors.db"))
        plant(self.rows)
        self.server, self.url = scripted.serve(Upstream)
        self.encoder = ["--encoder", f"vec={self.url},model=meanings-1"]

    def train(self, *more, out=None, vectors=None, check=True):
        return service.run("train", "--outcomes", self.rows, "--share", "0.6", "--out", out or self.policy,
                           "--vectors", vectors or self.vectors, *more, check=check)

    def evaluate(self, *more, vectors=None, check=True):
        return service.run("evaluate", "--outcomes", self.rows, "--share", "0.6", "--part", "test", "--policy", self.policy,
                           "--vectors", vectors or self.vectors, *more, check=check)

    def serve(self, data="data", model="meanings-1", **routing):
        config = self.folder / "config.json"
        (self.folder / data).mkdir(exist_ok=True)
        once = {"retries": {"count_max": 0}, "breaker": {"memory_calls": 0}}
        vec = {"name": "vec", "url": self.url, "model": model, "capabilities": {"embeddings": True},
               "usd_per_million_tokens": {"in": 7}, **once}
        config.write_text(json.dumps({"policy": str(self.policy), "routing": {"encode_ms_max": 5000, **routing},
                                      "store": {"keep_text": True}, "experts": [vec, *({"name": name, "url": self.url} for name in KNOWS)]}))
        return service.Service(["--config", config, "--admin", "127.0.0.1:0"], env=QUIET, data=str(self.folder / data))


def check_training(world):
    said = world.train(*world.encoder).stdout
    assert "with the vectors of" in said, said
    asked = Upstream.texts
    again = world.folder / "again"
    world.train(*world.encoder, out=again)
    assert Upstream.texts == asked, "what is kept is not asked for again"
    assert again.read_bytes() == world.policy.read_bytes(), "the same rows and vectors give the same bytes"
    world.train(out=world.folder / "words")
    before = world.evaluate("--gate", "gain.lo > 0.05", check=False)
    assert before.returncode == 1 and "are decided by words alone" in before.stdout, before.stdout
    assert Upstream.texts == asked, "nobody is asked without --encoder"
    world.evaluate(*world.encoder, "--gate", "gain.lo > 0.05")
    kept = world.evaluate("--gate", "gain.lo > 0.05")
    assert "by words alone" not in kept.stdout, kept.stdout
    diff = service.run("policy", "diff", world.folder / "words", world.policy, "--outcomes", world.rows, "--share", "0.6", "--part",
                       "test", "--vectors", world.vectors, "--json", "-").stdout
    replay = json.loads(diff)["replay"]
    assert replay["by_words"] == 0 and replay["gain"][1] > 0.05, replay
    probes = world.folder / "probes.jsonl"
    rows = [row for row in recorded.rows_of(world.rows) if meaning_of(row["text"]) == 0][:20]
    probes.write_text("".join(json.dumps({"query": row["text"], "expert": "alice"}) + "\n" for row in rows))
    service.run("probes", probes, "--policy", world.policy, "--pass", "0.9", "--vectors", world.vectors)


def check_wrong_encoders(world):
    fresh = world.folder / "fresh.db"
    Upstream.turn = 1
    other = world.evaluate(*world.encoder, vectors=fresh, check=False)
    assert other.returncode == 2 and "another model" in other.stderr, other
    named = world.evaluate("--encoder", f"vec={world.url},model=meanings-2", check=False)
    assert named.returncode == 2 and "needs the vectors of `meanings-1`" in named.stderr, named
    Upstream.turn = 0
    part = world.folder / "part.db"
    world.train(*world.encoder, vectors=part, out=world.folder / "part")
    Upstream.turn = 1
    mixed = world.evaluate(*world.encoder, vectors=part, check=False)
    assert mixed.returncode == 2 and "makes other vectors than those that" in mixed.stderr, mixed
    Upstream.turn, Upstream.broken = 0, True
    dead = world.train(*world.encoder, vectors=world.folder / "dead.db", check=False)
    assert dead.returncode == 2 and "the encoder `vec` cannot be used" in dead.stderr, dead.stderr
    Upstream.broken, Upstream.shrinks, Upstream.texts = False, True, 0
    shrunk = world.train(*world.encoder, vectors=world.folder / "shrunk.db", check=False)
    assert shrunk.returncode == 2 and "sends vectors of 23 numbers, 24 before" in shrunk.stderr, shrunk.stderr
    Upstream.shrinks = False
    native = world.train("--encoder", "vec=model.gguf", check=False)
    assert native.returncode == 2 and "embeddings endpoint" in native.stderr, native.stderr


def route(served, text):
    status, _, body = served.ask("POST", "/v1/route", {"model": "skillyard/auto", "messages": [{"role": "user", "content": text}]})
    assert status == 200, body
    return body


def decided(served, text):
    """The reply's model, and the decision behind it."""
    status, head, body = served.chat(text)
    assert status == 200, body
    return body["model"], f"/v1/decisions/{head['x-skillyard-decision']}"


def check_serving(world):
    draw = random.Random(11)
    with world.serve() as served:
        asked, right = Upstream.texts, 0
        texts = [strange(draw) for _ in range(40)]
        for text in texts:
            routed = route(served, text)
            assert routed["with_vector"], routed
            status, _, body = served.chat(text)
            assert status == 200 and body["model"] == routed["experts"][0], body
            right += body["model"] == KNOWS[meaning_of(text)]
        assert right >= 36, right
        assert Upstream.texts - asked == len(texts) + 1, "each text once, and the fingerprint"
        row = served.ask("GET", decided(served, strange(draw))[1])[2]
        assert row["cost_microusd"] == 7, f"the vector is paid for: {row}"
        assert served.chat("hello", model="bob")[2]["model"] == "bob"

        # A dead encoder: words alone, at once, and it is said.
        Upstream.broken = True
        text = strange(draw)
        assert not route(served, text)["with_vector"]
        model, decision = decided(served, text)
        assert model == "carol", "the guard's word for queries without a vector"
        why = served.ask("GET", decision + "/explain")[2]["explanation"]
        assert any("Decided by words alone" in sentence for sentence in why["sentences"]), why
        assert route(served, texts[0])["with_vector"], "what is kept needs no encoder"
        Upstream.broken = False
        assert service.eventually(lambda: route(served, strange(draw))["with_vector"], 15), "it is asked again"
        assert served.stop() == 0, served.said()
    with world.serve(encode_ms_max=100) as served:
        assert service.eventually(lambda: route(served, strange(draw))["with_vector"], 15)
        Upstream.slow = 3
        begin = time.monotonic()
        status, _, body = served.chat(strange(draw))
        assert status == 200 and body["model"] == "carol", body
        assert time.monotonic() - begin < 2, "it waited for the encoder"
        Upstream.slow = 0
        assert served.stop() == 0, served.said()


def check_jobs(world):
    """Evaluation and training in the service ask the same encoder."""
    with world.serve(data="jobs") as served:
        rows = world.rows.read_bytes()
        assert served.admin("PUT", "/eval/outcomes/rows.jsonl", rows, content_type="application/octet-stream")[0] == 201

        def ended(path, body):
            status, _, made = served.admin("POST", path, body)
            assert status == 202, made
            where = ("/eval/runs/" if path == "/eval/runs" else "/admin/jobs/") + made["id"]
            assert service.eventually(lambda: served.admin("GET", where)[2]["status"] not in ("queued", "running"), 60)
            done = served.admin("GET", where)[2]
            assert done["status"] == "done", done
            return done["report"]

        judged = ended("/eval/runs", {"outcomes": ["rows.jsonl"], "share": 0.6, "part": "test", "gate": "gain.lo > 0.05"})
        assert judged["gate"]["passed"] and judged["notes"] == [], judged
        trained = ended("/admin/policies/train", {"outcomes": ["rows.jsonl"], "share": 0.6})
        assert trained["trained"]["vectors_help"] and trained["passes"], trained
        assert served.stop() == 0, served.said()


def check_another_encoder(world):
    draw = random.Random(12)
    with world.serve(model="meanings-2") as served:
        assert "trained with the vectors of `meanings-1`" in served.said(), served.said()
        assert not route(served, strange(draw))["with_vector"]
        assert served.stop() == 0, served.said()
    Upstream.turn = 1  # the right name, another model
    with world.serve() as served:
        asked = Upstream.texts
        assert not route(served, strange(draw))["with_vector"]
        assert service.eventually(lambda: "makes other vectors than the `meanings-1`" in served.said()), served.said()
        assert served.chat(strange(draw))[2]["model"] == "carol"
        assert Upstream.texts - asked == 2, "it is not asked again"
        assert served.stop() == 0, served.said()
    Upstream.turn = 0


def main():
    world = World()
    for check in (check_training, check_wrong_encoders, check_serving, check_jobs, check_another_encoder):
        print(check.__name__, flush=True)
        check(world)
    world.server.shutdown()
    print("ok")


if __name__ == "__main__":
    main()
