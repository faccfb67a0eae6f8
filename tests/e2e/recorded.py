"""Outcome files as experts: reads recorded answers, makes planted ones, serves them over HTTP.

Standard library only. An outcome file is JSON Lines (gzip allowed), one question a line, as README.md
describes it. `serve()` answers POST /v1/chat/completions for every model of the file with what that
model answered when the file was made; the question is the last user message, word for word.
"""
import gzip
import json
import random

import scripted


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


class Recorded(scripted.Handler):
    questions, models, calls = {}, set(), {}

    def do_GET(self):
        if self.path == "/v1/models":
            return self.reply(200, {"object": "list", "data": [{"id": name, "object": "model"} for name in sorted(self.models)]})
        return self.fail(404, self.path, "invalid_request_error", "not_found")

    def answer(self, request):
        model = request["model"]
        asked = [m for m in request["messages"] if m["role"] == "user"][-1]["content"]
        outcomes = self.questions.get(asked)
        if model not in self.models or outcomes is None:
            return self.fail(404, f"{model}: {asked[:80]}", "invalid_request_error", "not_recorded")
        self.calls[model] = self.calls.get(model, 0) + 1
        outcome = outcomes.get(model)
        text = say(outcome.get("answer") if outcome else None)
        return self.complete(request, text, max(1, len(asked) // 4), max(1, len(text) // 4))


def serve(path, port=0):
    """Starts the recorded experts on loopback; returns (server, port, model names)."""
    handler = type("Handler", (Recorded,), {"questions": {}, "models": set(), "calls": {}})
    for row in rows_of(path):
        handler.questions[row["text"]] = row["outcomes"]
        handler.models.update(row["outcomes"])
    server, _ = scripted.serve(handler, port)
    return server, server.server_port, sorted(handler.models)
