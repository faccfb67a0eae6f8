#!/usr/bin/env python3
"""An expert names the skills of rows that have none: `skillyard annotate`, then a policy is trained on what it named."""
import json
import os
import pathlib
import random
import sys
import tempfile

sys.path.insert(0, os.path.dirname(__file__))
import recorded
import scripted
import service

QUIET = {**os.environ, "SKILLYARD_DISCOVER": "off", "OPENAI_BASE_URL": ""}


class Namer(scripted.Handler):
    """Names the planted skill of a question in one of several spellings, among whims of its own; sometimes answers instead."""
    draw = random.Random(5)

    def answer(self, asked):
        text = asked["messages"][-1]["content"]
        assert asked["temperature"] > 0 and "<<<" in text, asked
        words = set(text.lower().replace("?", " ").split())
        skill = max(recorded.SKILLS, key=lambda name: len(words & set(recorded.SKILLS[name])))
        said = self.draw.choice([f"{skill.title()}, whim {self.draw.random()}", f"Keywords: reading; {skill}",
                                 f"1. {skill}\n2. whim {self.draw.random()}", "The answer is one of the four that you have listed here."])
        self.complete(asked, said, 50, 6)


def test_named_skills_train_a_policy():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="skillyard-annotate-"))
    planted, bare, named = folder / "planted.jsonl", folder / "bare.jsonl", folder / "named.jsonl"
    recorded.plant(planted, rows=600)
    rows = list(recorded.rows_of(planted))
    truth = {row["id"]: row.pop("domain") for row in rows}
    bare.write_text("".join(json.dumps(row) + "\n" for row in rows))
    server, url = scripted.serve(Namer)
    expert = f"namer={url}"
    told = service.run("annotate", bare, "--expert", expert, "--data", folder, "--dry-run", env=QUIET).stdout
    assert told.startswith("3000 calls to namer"), told
    said = service.run("annotate", bare, "--expert", expert, "--data", folder, "--out", named, "--concurrency", "16", env=QUIET).stdout
    server.shutdown()
    annotated = list(recorded.rows_of(named))
    assert [row["id"] for row in annotated] == [row["id"] for row in rows]
    assert all(row["outcomes"] == old["outcomes"] and row["gold"] == old["gold"] for row, old in zip(annotated, rows))
    found = [set(row.get("skills", [row["domain"]] if "domain" in row else [])) for row in annotated]
    right = sum(truth[row["id"]] in names for row, names in zip(annotated, found))
    assert right > 0.85 * len(rows), (right, said)
    vocabulary = set().union(*found)
    assert set(recorded.SKILLS) <= vocabulary <= {*recorded.SKILLS, "reading"}, vocabulary
    trained = service.run("train", "--outcomes", named, "--share", "0.6", "--out", folder / "policy").stdout
    assert f"{len(vocabulary)} skills" in trained, trained
    service.run("evaluate", "--outcomes", named, "--share", "0.6", "--part", "test", "--policy", folder / "policy",
                "--gate", "gain.lo > 0")


def test_what_cannot_be_annotated_is_said():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="skillyard-annotate-"))
    rows = folder / "rows.jsonl"
    rows.write_text('{"id":"a","text":"What is 1 + 1?"}\n')
    for args, why in ((["--expert", "a=http://127.0.0.1:9/v1", "--expert", "b=http://127.0.0.1:9/v1"], "--by NAME"),
                      (["--expert", "a=http://127.0.0.1:9/v1", "--by", "c"], "no such expert: c"),
                      (["--expert", "a=http://127.0.0.1:9/v1"], "--out FILE")):
        done = service.run("annotate", rows, "--data", folder, *args, env=QUIET, check=False)
        assert done.returncode != 0 and why in done.stderr, (args, done.stderr)
    unreachable = service.run("annotate", rows, "--data", folder, "--expert", "a=http://127.0.0.1:9/v1", "--out", folder / "out",
                              env=QUIET, check=False)
    assert unreachable.returncode == 1 and "calls failed" in unreachable.stdout, unreachable
    assert not (folder / "out").exists()


if __name__ == "__main__":
    service.run_tests(globals())
