#!/usr/bin/env python3
"""The pool that comes with the program, on the real binary without any configuration: right answers from different
experts, a panel, a notice for what is outside, and what becomes of it when another expert comes."""
import collections
import concurrent.futures
import gzip
import http.client
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
from unittest import mock

sys.path.insert(0, os.path.dirname(__file__))
import faulty
import service

FOLDER = service.ROOT / "experts/embedded"
ALONE = {"OPENAI_BASE_URL": "", "OPENAI_API_KEY": "", "SKILLYARD_DISCOVER": "off"}
EXPERTS = [expert["name"] for expert in json.loads((FOLDER / "pool.json").read_text())["experts"]]


def questions():
    with gzip.open(FOLDER / "questions.jsonl.gz", "rt") as lines:
        return [json.loads(line) for line in lines]


def some_of_each_skill(count):
    by_skill = collections.defaultdict(list)
    for question in questions():
        if question["gold"] and len(by_skill[question["domain"]]) < count:
            by_skill[question["domain"]].append(question)
    return [question for group in by_skill.values() for question in group]


def is_right(text, gold):
    said = re.search(r"The answer is (.*?)\.?$", text.strip())
    return bool(said) and said.group(1) == gold


def streamed(served, text, **fields):
    """The text, the expert and the head of a streamed reply."""
    body = {"model": "skillyard/auto", "messages": [{"role": "user", "content": text}], "stream": True, **fields}
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)
    connection.request("POST", "/v1/chat/completions", json.dumps(body), {"content-type": "application/json"})
    response = connection.getresponse()
    events = [line[6:] for line in response.read().decode().split("\n") if line.startswith("data: ")]
    assert response.status == 200 and events[-1] == "[DONE]", (response.status, events)
    chunks = [json.loads(event) for event in events[:-1]]
    pieces = [choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"]]
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop", chunks[-1]
    return "".join(pieces), response.headers


def test_answers_right_with_nothing_configured():
    asked = some_of_each_skill(3)
    with service.Service([], env=ALONE) as served:
        assert "embedded experts: " + EXPERTS[0] in served.said(), served.said()

        def ask(numbered):
            number, question = numbered
            if number % 3 == 0:
                text, head = streamed(served, question["text"])
                return is_right(text, question["gold"]), head["x-skillyard-expert"]
            status, head, body = served.chat(question["text"])
            assert status == 200, body
            assert body["model"] == head["x-skillyard-expert"] and head["x-skillyard-policy"].strip("0"), body
            return is_right(body["choices"][0]["message"]["content"], question["gold"]), body["model"]

        with concurrent.futures.ThreadPoolExecutor(4) as several:
            outcomes = list(several.map(ask, enumerate(asked)))
        right = sum(good for good, _ in outcomes)
        who = collections.Counter(expert for _, expert in outcomes)
        print(f"  {right} of {len(asked)} right, by {dict(who)}", flush=True)
        assert right >= 0.7 * len(asked), outcomes
        assert len(who) >= 4 and set(who) <= set(EXPERTS), who

        status, _, body = served.chat("What is 347 + 588?")
        assert status == 200 and "935" in body["choices"][0]["message"]["content"], body
        status, _, route = served.ask("POST", "/v1/route", {"model": "skillyard/auto", "messages": [{"role": "user", "content": "What is 347 + 588?"}]})
        assert status == 200 and route["experts"] == [body["model"]] and route["reason"] == "learned", route
        assert route["skills"][0]["skill"] == "arithmetic" and not route["outside"], route


def test_says_what_it_can_do_when_a_question_is_outside():
    text = "Who painted the ceiling of the Sistine Chapel?"
    with service.Service([], env=ALONE) as served:
        status, head, body = served.chat(text, skillyard={"explain": True})
        said = body["choices"][0]["message"]["content"]
        assert status == 200 and body["choices"][0]["finish_reason"] == "stop", body
        assert "outside" in said and "arithmetic" in said and body["object"] == "chat.completion", body
        assert head["x-skillyard-abstained"] == "outside" and body["skillyard"]["abstained"] is True, (head, body)
        whole, stream_head = streamed(served, text)
        assert whole == said and stream_head["x-skillyard-abstained"] == "outside", whole

        decision = f"/v1/decisions/{head['x-skillyard-decision']}"
        assert service.eventually(lambda: served.ask("GET", decision)[0] == 200)
        logged = served.ask("GET", decision)[2]
        assert logged["abstained"] and logged["reason"] == "outside" and logged["calls"] == [], logged
        status, _, explained = served.ask("GET", decision + "/explain")
        assert status == 200, explained
        why = explained["explanation"]
        assert why["bound_by"] == "outside" and any("never seen" in line for line in why["sentences"]), why
        # Who names an expert is not kept from it.
        status, head, body = served.chat(text, model=EXPERTS[0], max_tokens=20)
        assert status == 200 and body["model"] == EXPERTS[0] and "x-skillyard-abstained" not in head, body
        # It talks nonsense then, but always the same: its file says that replies are greedy.
        again = served.chat(text, model=EXPERTS[0], max_tokens=20)[2]
        assert again["choices"][0]["message"] == body["choices"][0]["message"], (again, body)


def test_votes_in_a_panel():
    with service.Service([], env=ALONE) as served:
        status, _, body = served.chat("What is 347 + 588?", skillyard={"k": 3, "explain": True})
        assert status == 200 and "935" in body["choices"][0]["message"]["content"], body
        assert 1 <= len(body["skillyard"]["replies"]) <= 3, body
        assert all(reply["expert"] in EXPERTS for reply in body["skillyard"]["replies"]), body


def test_makes_way_for_another_expert_and_can_be_kept_out():
    upstream, port, _ = faulty.serve()
    echo = {"name": "big", "url": f"http://127.0.0.1:{port}/v1", "model": "echo"}
    with service.Service(["--admin", "127.0.0.1:0"], env=ALONE) as served:
        listed = served.admin("GET", "/admin/experts")[2]["data"]
        assert {expert["origin"] for expert in listed} == {"embedded"} and len(listed) == len(EXPERTS), listed
        status, _, body = served.admin("PUT", "/admin/experts/big", echo)
        assert status == 201, body
        assert [expert["name"] for expert in served.admin("GET", "/admin/experts")[2]["data"]] == ["big"]
        assert served.chat("Who painted the Sistine Chapel?")[2]["model"] == "big"
    with service.Service(["--config", service.config_file({"embedded": "always", "experts": [echo]})], env=ALONE) as served:
        models = {model["id"] for model in served.ask("GET", "/v1/models")[2]["data"]}
        assert {"big", *EXPERTS} <= models, models
    with service.Service(["--no-embedded"], env=ALONE) as served:
        status, _, body = served.chat("What is 347 + 588?")
        assert status == 503 and "expert" in body["error"]["message"], body
    upstream.shutdown()


def test_probes_them_from_the_command_line():
    folder = tempfile.mkdtemp(prefix="skillyard-probe-")
    out = os.path.join(folder, "outcomes.jsonl.gz")
    wish = ["expert", "probe", EXPERTS[0], "--data", folder, "--questions", FOLDER / "questions.jsonl.gz", "--per-skill", 2,
            "--skills", "arithmetic,strings", "--tokens", 60]
    told = service.run(*wish, "--out", out, "--dry-run", env={**os.environ, **ALONE}).stdout
    assert told.startswith("4 calls to 1 experts, 2 skills"), told
    service.run(*wish, "--out", out, env={**os.environ, **ALONE})
    with gzip.open(out, "rt") as lines:
        rows = [json.loads(line) for line in lines]
    assert len(rows) == 4 and all(row["outcomes"][EXPERTS[0]]["score"] in (0, 1) for row in rows), rows
    report = service.run("evaluate", "--outcomes", FOLDER / "outcomes.jsonl.gz", "--policy", FOLDER / "policy.bin").stdout
    assert "best_single" in report or "best single" in report, report


def test_is_installed_together_with_the_program():
    with tempfile.TemporaryDirectory(prefix="skillyard-installed-") as folder:
        prefix = os.path.realpath(folder)
        subprocess.run(["cmake", "--install", pathlib.Path(service.binary()).parent, "--prefix", prefix], check=True,
                       capture_output=True)
        with mock.patch.dict(os.environ, SKILLYARD_BIN=f"{prefix}/bin/skillyard"), \
                service.Service(["--admin", "127.0.0.1:0"], env=ALONE) as served:
            listed = served.admin("GET", "/admin/experts")[2]["data"]
            assert {expert["name"] for expert in listed} == set(EXPERTS), listed
            assert all(expert["document"]["path"].startswith(prefix) for expert in listed), listed
            status, head, body = served.chat("What is 347 + 588?")
            assert status == 200 and "935" in body["choices"][0]["message"]["content"], body
            assert head["x-skillyard-policy"].strip("0"), "its policy comes along"


if __name__ == "__main__":
    service.run_tests(globals())
