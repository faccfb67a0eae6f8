"""`skillyard bench-aggregators` on scripted experts: one that is good, one that repeats whatever stands first, one that
says nothing, one that names an expert nobody asked. Then the result in the configuration, and the modes a request may set."""
import json
import pathlib
import re
import tempfile

import recorded
import scripted
import service

QUIET = {"SKILLYARD_DISCOVER": "off"}
READERS = ("good", "first", "mute", "stranger")


class Reader(scripted.Handler):
    gold, asked = {}, []

    def say(self, model, text):
        question = re.search(r"<question (\w+)>\n(.*?)\n</question \1>", text, re.S)
        if not question:  # asked as a seat, not as a reader
            return {"good": "The answer is (D).", "first": "The answer is (D).", "mute": "The answer is (A)."}.get(model, "?")
        answers = re.findall(rf"<answer \d+ {question.group(1)}>\n(.*?)\n</answer", text, re.S)
        return {"good": f"Answer: {self.gold.get(question.group(2))}", "first": f"Answer: {answers[0]}", "mute": "",
                "stranger": "Answer: expert dora"}[model]

    def answer(self, request):
        model, text = request["model"], request["messages"][-1]["content"]
        Reader.asked.append(model)
        self.complete(request, self.say(model, text), len(text) // 4, 4)


def check_bench(folder, config, outcomes):
    table = folder / "table.json"
    bench = ["bench-aggregators", "--config", config, "--data", folder, "--outcomes", outcomes, "--items", 80]
    told = service.run(*bench, "--dry-run").stdout
    assert not Reader.asked, "a dry run asks nobody"
    assert re.search(r"\d+ calls to each of 4 experts", told) and re.search(r"about 0\.\d+ USD in all", told), told
    done = service.run(*bench, "--json", table)
    assert '"aggregation": {"mode": "synthesised", "expert": "good"}' in done.stdout, done.stdout
    report = json.loads(table.read_text())
    assert report["pick"] == "good" and report["incumbent"] == "vote" and 60 < report["items"] <= 80, report
    by_name = {one["name"]: one for one in report["results"]}
    assert by_name["good"]["accuracy"][0] > 0.999 and by_name["good"]["gain"][1] > 0 and by_name["good"]["cost_usd"] > 0
    assert by_name["good"]["order_sensitive"] == 0 < by_name["first"]["order_sensitive"], by_name
    assert by_name["mute"]["mute"] == by_name["stranger"]["mute"] == 1, by_name
    poor = service.run(*bench, "--candidates", "first,mute,stranger").stdout
    assert "nobody is clearly better than `vote`" in poor, poor

    def refused(*args):
        done = service.run("bench-aggregators", "--config", config, "--data", folder, *args, check=False)
        return done.stderr if done.returncode == 2 else ""
    assert "--outcomes FILES or --log" in refused()
    assert "no expert `nobody`" in refused("--outcomes", outcomes, "--candidates", "nobody")
    assert "no pool `deep`" in refused("--outcomes", outcomes, "--pool", "deep")
    assert "is not among the candidates" in refused("--outcomes", outcomes, "--incumbent", "dora")
    (folder / "none.jsonl").write_text('{"id":"1","text":"Why?","outcomes":{"a":{"score":1}}}\n')
    assert "fewer than two experts" in refused("--outcomes", folder / "none.jsonl")


def check_modes(config, question):
    with service.Service(["--config", config], env=QUIET) as served:
        def ask(pool="auto", **knobs):
            status, _, body = served.chat(question, f"skillyard/{pool}", skillyard={"explain": True, **knobs})
            assert status == 200, body
            return body["skillyard"]
        own = ask(k=3)
        assert own["mode"] == "synthesised" and own["replies"][-1]["expert"] == "good", own
        for call in own["replies"]:
            assert call["prompt_tokens"] > 0 and call["cost_microusd"] >= 0 and call["total_us"] > 0, call
        assert own["replies"][0]["vote"] == "D" and "changed" in own, own
        assert ask(k=3, aggregation="plurality")["mode"] == "plurality"
        assert ask(k=3, aggregation="single")["mode"] == "single"
        own = ask("named", k=3, aggregation="best_of")
        assert own["mode"] == "single", "the reader named nobody that was asked: the best of the others"
        status, _, body = served.chat(question, skillyard={"aggregation": "loudest"})
        assert status == 400 and body["error"]["param"] == "skillyard.aggregation", body

        status, _, text = served.chat(question, stream=True, skillyard={"explain": True, "k": 3, "aggregation": "plurality"})
        events = [json.loads(line[6:]) for line in text.split("\n\n") if line.startswith("data: {")]
        assert events[0]["choices"] == [] and len(events[0]["skillyard"]["asking"]) == 3, events[0]
        assert events[-1]["skillyard"]["decision"] == events[0]["skillyard"]["decision"], events
        metrics = served.ask("GET", "/metrics")[2]
        assert int(re.search(r"skillyard_panels_total (\d+)", metrics).group(1)) >= 3, metrics


def main():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="skillyard-aggregators-"))
    outcomes = folder / "planted.jsonl"
    recorded.plant(outcomes, rows=400)
    Reader.gold = {row["text"]: row["gold"] for row in recorded.rows_of(outcomes)}
    upstream, url = scripted.serve(Reader)
    prices = {"in": 1, "out": 2}
    experts = [{"name": name, "url": url, "usd_per_million_tokens": prices}
               for name in READERS]
    config, serving = folder / "config.json", folder / "serving.json"
    config.write_text(json.dumps({"experts": experts}))
    serving.write_text(json.dumps({"experts": experts, "pools": [
        {"name": "auto", "default": "good", "aggregation": {"mode": "synthesised", "expert": "good"}},
        {"name": "named", "default": "good", "aggregation": {"expert": "stranger"}}]}))
    check_bench(folder, config, outcomes)
    check_modes(serving, next(iter(Reader.gold)))
    upstream.shutdown()
    print("ok")


if __name__ == "__main__":
    main()
