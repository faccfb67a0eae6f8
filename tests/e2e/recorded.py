"""Outcome files as experts: reads recorded answers, makes planted ones, serves them over HTTP.

Standard library only. An outcome file is JSON Lines (gzip allowed), one question a line, as README.md
describes it. `serve()` answers POST /v1/chat/completions for every model of the file with what that
model answered when the file was made; the question is the last user message, word for word.
"""
import gzip
import http.server
import json
import random
import socketserver
import threading
import time


def rows_of(path):
    opener = gzip.open if str(path).endswith(".gz") else open
    with opener(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def repeated_texts(path):
    """Questions that stand in the file more than once, under different ids."""
    seen, twice = set(), set()
    for row in rows_of(path):
        (twice if row["text"] in seen else seen).add(row["text"])
    return twice


SKILLS = {
    "algebra": "solve equation variable polynomial root factor linear quadratic coefficient unknown".split(),
    "botany": "leaf petal stem root flower seed pollen moss fern chlorophyll".split(),
    "law": "contract tort statute plaintiff court liability damages clause appeal verdict".split(),
    "music": "chord melody tempo octave scale rhythm violin sonata tenor harmony".split(),
}
EXPERTS = {"alma": {"algebra": .95}, "bert": {"botany": .95}, "cleo": {"law": .95, "music": .9}, "dora": {}}
OTHERWISE = {"alma": .35, "bert": .35, "cleo": .3, "dora": .6}
COST = {"alma": .002, "bert": .002, "cleo": .003, "dora": .001}


def plant(path, rows=1200, seed=7, experts=EXPERTS, otherwise=OTHERWISE):
    """Writes an outcome file whose truth is known: three specialists and a cheap generalist."""
    draw = random.Random(seed)
    with open(path, "w", encoding="utf-8") as out:
        for number in range(rows):
            skill = draw.choice(list(SKILLS))
            words = draw.choices(SKILLS[skill], k=7)
            text = f"Question {number}: which {words[0]} has a {' '.join(words[1:])}?\nA. one\nB. two\nC. three\nD. four"
            gold = draw.choice("ABCD")
            wrong = [letter for letter in "ABCD" if letter != gold]
            outcomes = {}
            for expert, strengths in experts.items():
                right = draw.random() < strengths.get(skill, otherwise[expert])
                outcomes[expert] = {"score": float(right), "cost": COST[expert],
                                    "answer": gold if right else draw.choice(wrong)}
            out.write(json.dumps({"id": f"planted/{number}", "text": text, "domain": skill, "gold": gold,
                                  "outcomes": outcomes}) + "\n")


def say(answer):
    if answer is None:
        return "I could not find an answer."
    return f"The answer is ({answer})." if len(answer) == 1 and answer.isalpha() else f"The answer is {answer}."


class Recorded(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    questions, models, calls = {}, set(), {}

    def log_message(self, *_):
        pass

    def reply(self, status, body):
        self.wfile_write(status, "application/json", json.dumps(body).encode())

    def wfile_write(self, status, kind, body):
        head = f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n"
        self.wfile.write(head.encode() + body)

    def fail(self, status, code, message):
        self.reply(status, {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}})

    def do_GET(self):
        if self.path == "/v1/models":
            return self.reply(200, {"object": "list", "data": [{"id": name, "object": "model"} for name in sorted(self.models)]})
        return self.fail(404, "not_found", self.path)

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        model = request["model"]
        asked = [m for m in request["messages"] if m["role"] == "user"][-1]["content"]
        outcomes = self.questions.get(asked)
        if model not in self.models or outcomes is None:
            return self.fail(404, "not_recorded", f"{model}: {asked[:80]}")
        self.calls[model] = self.calls.get(model, 0) + 1
        outcome = outcomes.get(model)
        text = say(outcome.get("answer") if outcome else None)
        usage = {"prompt_tokens": max(1, len(asked) // 4), "completion_tokens": max(1, len(text) // 4)}
        usage["total_tokens"] = sum(usage.values())
        shared = {"id": f"chatcmpl-{self.calls[model]}", "created": int(time.time()), "model": model}
        if not request.get("stream"):
            return self.reply(200, shared | {"object": "chat.completion", "usage": usage, "choices": [
                {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}]})
        shared["object"] = "chat.completion.chunk"
        deltas = [{"role": "assistant", "content": ""}] + [{"content": word + " "} for word in text.split(" ")]
        events = [shared | {"choices": [{"index": 0, "delta": d, "finish_reason": None}]} for d in deltas]
        events.append(shared | {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        if (request.get("stream_options") or {}).get("include_usage"):
            events.append(shared | {"choices": [], "usage": usage})
        body = "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"
        self.wfile_write(200, "text/event-stream", body.encode())


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 256


def serve(path, port=0):
    """Starts the recorded experts on loopback; returns (server, port, model names)."""
    handler = type("Handler", (Recorded,), {"questions": {}, "models": set(), "calls": {}})
    for row in rows_of(path):
        handler.questions[row["text"]] = row["outcomes"]
        handler.models.update(row["outcomes"])
    server = Server(("127.0.0.1", port), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, server.server_address[1], sorted(handler.models)
