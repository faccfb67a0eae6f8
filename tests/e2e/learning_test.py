"""The circle of learning through the real binary: train, probe, serve with exploration, grade, value another
policy on the log against what is known of it, learn, and the gate that lets nothing worse through."""
import http.client
import json
import os
import pathlib
import sys
import tempfile

import recorded
import service

QUIET = {"SKILLYARD_DISCOVER": "off"}
ROWS = 300


def main():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="skillyard-learning-"))
    outcomes, picks, report = folder / "rows.jsonl", folder / "picks.jsonl", folder / "report.html"
    recorded.plant(outcomes)
    split = ["--outcomes", outcomes, "--share", "0.5"]
    service.run("train", *split, "--out", folder / "good")
    service.run("train", *split, "--limit", "40", "--out", folder / "poor")
    service.run("evaluate", *split, "--part", "test", "--policy", folder / "good", "--picks", picks, "--html", report,
                "--baselines", "--gate", "gain.lo > 0 && skills_worse == 0 && oracle.score > score")
    assert report.read_text().startswith("<!doctype html>") and "symbolic_moe" in report.read_text()
    failed = service.run("evaluate", *split, "--part", "test", "--policy", folder / "good", "--gate", "score > 2", check=False)
    assert failed.returncode == 1 and "fails  score > 2" in failed.stdout, failed

    probes = folder / "probes.jsonl"
    probes.write_text('{"query": "which contract has a tort?", "skill": "law", "expert": "cleo"}\n')
    service.run("probes", probes, "--policy", folder / "good")
    probes.write_text('{"query": "which contract has a tort?", "expert": "bert"}\n')
    assert service.run("probes", probes, "--policy", folder / "good", check=False).returncode == 1

    chosen = {pick["id"]: pick for pick in recorded.rows_of(picks)}
    upstream, port, models = recorded.serve(outcomes)
    config = folder / "config.json"
    config.write_text(json.dumps({"pools": [{"name": "auto", "explore": 0.5}], "store": {"keep_text": True},
                                  "experts": [{"name": name, "url": f"http://127.0.0.1:{port}/v1"} for name in models]}))
    data, truth = str(folder / "data"), []
    os.mkdir(data)
    with service.Service(["--config", config, "--policy", folder / "poor"], env=QUIET, data=data) as served:
        connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=30)
        for row in recorded.rows_of(outcomes):
            if row["id"] not in chosen or len(truth) == ROWS:
                continue
            status, headers, body = served.chat(row["text"], connection=connection)
            assert status == 200, body
            score = row["outcomes"][body["model"]]["score"]
            path = f"/v1/decisions/{headers['x-skillyard-decision']}/feedback"
            assert served.ask("POST", path, {"score": score}, connection=connection)[0] == 202
            truth.append(chosen[row["id"]]["score"])
        assert served.stop() == 0, served.said()
    upstream.shutdown()

    log, value = pathlib.Path(data) / "skillyard.db", folder / "value.json"
    service.run("evaluate", "--log", log, "--policy", folder / "good", "--json", value)
    found, known = json.loads(value.read_text()), sum(truth) / len(truth)
    print(f"known {known:.3f}, doubly robust {found['doubly_robust']}, SNIPS {found['snips']}, "
          f"effective rows {found['effective_rows']:.0f}")
    assert found["identifiable"] and found["rows"] == ROWS, found
    for estimate in ("doubly_robust", "snips"):  # wider than the interval: this may not fail one time in twenty
        mean, low, high = found[estimate]
        assert mean - 2 * (mean - low) <= known <= mean + 2 * (high - mean), (estimate, found, known)

    learn = ["learn", "--log", log, "--policy", folder / "poor", "--outcomes", outcomes, "--out"]
    service.run(*learn, folder / "new")
    service.run(*learn, folder / "again")
    assert (folder / "new").read_bytes() == (folder / "again").read_bytes(), "the same inputs gave other bytes"
    return 0


if __name__ == "__main__":
    sys.exit(main())
