#!/usr/bin/env python3
"""The batch API on the real binary: files, batches, bad lines, cancelling, kill -9 in the middle, the offline command.

`batch_test.py --kills 100` kills the service at that many random moments of one batch instead of at five.
"""
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(__file__))
import scripted
import service

QUIET = {"OPENAI_BASE_URL": "", "OPENAI_API_KEY": "", "SKILLYARD_DISCOVER": "off"}
FOLDER = pathlib.Path(tempfile.mkdtemp(prefix="skillyard-batch-"))
KILLS = int(sys.argv[sys.argv.index("--kills") + 1]) if "--kills" in sys.argv else 5


class Echo(scripted.Handler):
    """Says what it was asked, prettily printed over several lines, after a while."""
    delay_s = 0.0
    padding = ""
    asked = 0

    def answer(self, request):
        Echo.asked += 1
        time.sleep(Echo.delay_s)
        self.complete(request, "echo " + request["messages"][-1]["content"] + Echo.padding)

    def reply(self, status, body, fields=""):
        self.send(status, "application/json", json.dumps(body, indent=1), fields)


def upstream(delay_s=0.0, padding=""):
    Echo.delay_s = delay_s
    Echo.padding = padding
    Echo.asked = 0
    server, url = scripted.serve(Echo)
    return server, ["--expert", f"echo={url}"]


def line(number, **changes):
    body = {"model": "echo", "messages": [{"role": "user", "content": f"question {number}"}]}
    return json.dumps({"custom_id": f"q{number}", "method": "POST", "url": "/v1/chat/completions", "body": body, **changes})


def bearer(secret):
    return {"authorization": f"Bearer {secret}"}


def create(served, file, **changes):
    return served.ask("POST", "/v1/batches", {"input_file_id": file, "endpoint": "/v1/chat/completions",
                                              "completion_window": "24h", **changes})


def begin(served, text):
    status, _, file = service.upload(served, text)
    assert status == 200, file
    status, _, batch = create(served, file["id"])
    assert status == 200 and batch["status"] == "validating", batch
    return batch["id"]


def show(served, batch):
    return served.ask("GET", f"/v1/batches/{batch}")[2]


def wait_for(served, batch, *ends, seconds=60):
    assert service.eventually(lambda: show(served, batch)["status"] in ends, seconds), show(served, batch)
    return show(served, batch)


def rows_of(served, file):
    status, _, text = served.ask("GET", f"/v1/files/{file}/content")
    assert status == 200, text
    return [json.loads(row) for row in text.splitlines()]


def test_a_batch_with_good_and_bad_lines():
    server, experts = upstream()
    lines = [line(n) for n in range(40)]
    lines[5] = "{not json"
    lines[9] = line(8)  # a custom_id twice
    lines[11] = line(11, url="/v1/embeddings")
    lines[13] = line(13, body={"model": "nobody", "messages": [{"role": "user", "content": "x"}]})
    lines[15] = line(15, body={"model": "echo", "stream": True, "messages": [{"role": "user", "content": "x"}]})
    with service.Service(experts, env=QUIET) as served:
        status, _, file = service.upload(served, "\n".join(lines) + "\n\n")
        assert status == 200 and file["object"] == "file" and file["purpose"] == "batch", file
        status, _, batch = create(served, file["id"], metadata={"team": "a"})
        assert status == 200, batch
        done = wait_for(served, batch["id"], "completed")
        assert done["request_counts"] == {"total": 40, "completed": 35, "failed": 5}, done
        assert done["metadata"] == {"team": "a"} and done["completed_at"] and done["errors"] is None, done
        good = rows_of(served, done["output_file_id"])
        assert [row["custom_id"] for row in good] == [f"q{n}" for n in range(40) if n not in (5, 9, 11, 13, 15)]
        for row in good:
            assert row["response"]["status_code"] == 200 and row["error"] is None, row
            said = row["response"]["body"]["choices"][0]["message"]["content"]
            assert said == "echo question " + row["custom_id"][1:], row
        bad = rows_of(served, done["error_file_id"])
        assert [row["error"]["code"] if row["error"] else row["response"]["status_code"] for row in bad] == [
            "invalid_line", "duplicate_custom_id", "invalid_line", 404, 400], bad
        listed = served.ask("GET", "/v1/batches?limit=1")[2]
        assert listed["data"][0]["id"] == batch["id"] and listed["has_more"] is False, listed
        files = served.ask("GET", "/v1/files")[2]["data"]
        assert [f["purpose"] for f in files] == ["batch_output", "batch_output", "batch"], files
        gone = served.ask("DELETE", f"/v1/files/{file['id']}")[2]
        assert gone == {"id": file["id"], "object": "file", "deleted": True}, gone
        assert served.ask("GET", f"/v1/files/{file['id']}")[0] == 404
        assert served.ask("DELETE", f"/v1/files/{file['id']}")[0] == 404
    server.shutdown()


def test_what_is_no_batch_is_refused():
    server, experts = upstream()
    with service.Service(experts, env=QUIET) as served:
        assert service.upload(served, line(1), headers={})[0] == 400  # a web page could send this
        assert service.upload(served, line(1), purpose="fine-tune")[0] == 400
        assert served.ask("POST", "/v1/files", b"--x", {"content-type": "multipart/form-data; boundary=x",
                                                        "authorization": "Bearer x"})[0] == 400
        assert create(served, "file-unknown")[0] == 404
        file = service.upload(served, line(1))[2]["id"]
        assert create(served, file, endpoint="/v1/embeddings")[0] == 400
        assert create(served, file, completion_window="1h")[0] == 400
        assert create(served, file, metadata={"k" * 65: "v"})[0] == 400
        assert served.ask("GET", "/v1/batches/batch_unknown")[0] == 404
        assert served.ask("POST", "/v1/batches/batch_unknown/cancel", {})[0] == 404
        short = json.dumps({"custom_id": "x", "method": "POST", "url": "/v1/chat/completions", "body": {}})
        for text, code in (("\n".join([short] * 50_001), "too_many_lines"), ("\n\n", "empty_file")):
            failed = wait_for(served, begin(served, text), "failed")
            assert failed["errors"]["data"][0]["code"] == code and failed["output_file_id"] is None, failed
    assert Echo.asked == 0
    server.shutdown()


def test_a_cancelled_batch_keeps_what_it_has():
    server, experts = upstream(delay_s=0.05)
    with service.Service(experts, env=QUIET) as served:
        batch = begin(served, "\n".join(line(n) for n in range(3000)))
        assert service.eventually(lambda: show(served, batch)["request_counts"]["completed"] > 20)
        assert served.ask("POST", f"/v1/batches/{batch}/cancel", {})[0] == 200
        done = wait_for(served, batch, "cancelled")
        assert len(rows_of(served, done["output_file_id"])) == done["request_counts"]["completed"] < 3000
        assert served.ask("POST", f"/v1/batches/{batch}/cancel", {})[0] == 400
        assert served.chat("still here", model="echo")[0] == 200
    server.shutdown()


def test_kill_9_loses_no_line_and_repeats_none():
    server, experts = upstream(delay_s=0.02)
    chance = random.Random(11)
    data, batch, lines = tempfile.mkdtemp(prefix="skillyard-"), None, max(400, 60 * KILLS)
    for kill in range(KILLS):
        with service.Service(experts, env=QUIET, data=data) as served:
            if batch is None:
                batch = begin(served, "\n".join(line(n) for n in range(lines)))
            if kill % 4 > 0:  # else also while it starts, reads the file or plans
                asked = Echo.asked
                assert service.eventually(lambda: Echo.asked > asked or show(served, batch)["status"] == "completed", 30)
            time.sleep(chance.uniform(0, 0.25))
            served.stop(signal.SIGKILL)
    with service.Service(experts, env=QUIET, data=data) as served:
        before = show(served, batch)
        done = wait_for(served, batch, "completed", seconds=120)
        ids = [row["custom_id"] for row in rows_of(served, done["output_file_id"])]
        assert sorted(ids) == sorted(f"q{n}" for n in range(lines)), (len(ids), len(set(ids)))
        assert done["request_counts"] == {"total": lines, "completed": lines, "failed": 0}, done
        print(f"  {KILLS} kills, {lines} lines, {Echo.asked} asked; in the middle of it: {before['request_counts']}")
    server.shutdown()


def test_a_full_disk_holds_a_batch_up_and_loses_no_line():
    data = tempfile.mkdtemp(prefix="skillyard-small-")
    disk = ["unshare", "-rm", "sh", "-c", f'mount -t tmpfs -o size=32m tmpfs {data} && exec "$0" "$@"']
    if not shutil.which("unshare") or subprocess.run([*disk, "true"], stderr=subprocess.DEVNULL).returncode != 0:
        print("  skipped: no disk of its own can be mounted here")
        return
    server, experts = upstream(delay_s=0.05, padding="x" * 8_000)
    with service.Service(experts, env=QUIET, data=data, under=disk) as served:
        batch = begin(served, "\n".join(line(n) for n in range(400)))
        filler = pathlib.Path(f"/proc/{served.process.pid}/root{data}/filler")
        try:
            filler.write_bytes(bytes(32 << 20))
        except OSError:
            pass  # that was the last byte
        assert service.eventually(lambda: "outcomes wait" in served.said(), 30), served.said()[-2000:]
        assert service.eventually(lambda: show(served, batch)["status"] == "in_progress")
        asked = Echo.asked
        time.sleep(1)
        assert Echo.asked <= asked + 64, "what cannot be written down is still being asked"
        assert served.ask("GET", "/health/live")[0] == 200
        filler.unlink()
        done = wait_for(served, batch, "completed")
        ids = [row["custom_id"] for row in rows_of(served, done["output_file_id"])]
        assert ids == [f"q{n}" for n in range(400)], (len(ids), len(set(ids)))
        assert Echo.asked == 400, "a line was asked again"
    server.shutdown()


def test_a_batch_of_panels_loads_each_expert_few_times():
    names = [f"e{n}" for n in range(6)]
    chance = random.Random(5)
    for n, name in enumerate(names):
        service.run("model", "synth", "--shape", "tiny", "--type", "Q8_0", "--seed", n + 1, "--out", FOLDER / f"{name}.gguf")
    native = {"threads": 1, "kv_bytes_max": 4 << 20}
    config = service.config_file({
        "experts": [{"name": name, "kind": "native", "path": str(FOLDER / f"{name}.gguf"), "native": native} for name in names],
        "residency": {"experts_max": 2, "min_resident_ms": 0},
        "pools": [{"name": f"p{n}", "experts": chance.sample(names, 3)} for n in range(12)]})
    lines = [line(n, body={"model": f"skillyard/p{n % 12}@k3", "max_tokens": 3, "messages": [
        {"role": "user", "content": "t17 t300 t41"}]}) for n in range(60)]
    with service.Service(["--config", config], env=QUIET) as served:
        done = wait_for(served, begin(served, "\n".join(lines)), "completed", seconds=120)
        assert done["request_counts"] == {"total": 60, "completed": 60, "failed": 0}, done
        metrics = served.ask("GET", "/metrics")[2]
        loads = sum(float(row.split()[-1]) for row in metrics.splitlines() if row.startswith("skillyard_resident_loads_total"))
        calls = sum(float(row.split()[-1]) for row in metrics.splitlines() if row.startswith("skillyard_resident_waits_total"))
        print(f"  60 panels of three, {calls:.0f} calls, {loads:.0f} loads of 6 experts")
        assert calls >= 120 and loads <= 18, (calls, loads)


def test_a_key_sees_and_pays_for_its_own_batches():
    server, _ = upstream()
    expert = {"name": "echo", "url": f"http://127.0.0.1:{server.server_address[1]}/v1", "model": "m",
              "usd_per_million_tokens": {"in": 0, "out": 100}}  # 2 tokens a reply: 200 micro-USD
    config = service.config_file({"experts": [expert], "admin": {"listen": "127.0.0.1:0"},
                                  "batches": {"key_bytes_max": 100_000, "key_batches_max": 1}})
    with service.Service(["--config", str(config)], env=QUIET) as served:
        chief = served.admin("POST", "/admin/keys", {"role": "admin"})[2]["secret"]
        made = [served.admin("POST", "/admin/keys", {"usd_per_day": 0.0011}, key=chief)[2] for _ in range(2)]
        mine, other = (bearer(key["secret"]) for key in made)
        assert service.upload(served, line(0), headers={})[0] in (400, 401) and create(served, "file-x")[0] == 401
        body = {"max_tokens": 2, "model": "echo", "messages": [{"role": "user", "content": "x"}]}
        file = service.upload(served, "\n".join(line(n, body=body) for n in range(20)), headers=mine)[2]["id"]
        ask = lambda method, path, head, body=None: served.ask(method, path, body, head)
        wish = {"input_file_id": file, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
        assert ask("POST", "/v1/batches", other, wish)[0] == 404, "another's file"
        status, _, batch = ask("POST", "/v1/batches", mine, wish)
        assert status == 200, batch
        path = f"/v1/batches/{batch['id']}"
        assert service.eventually(lambda: ask("GET", path, mine)[2]["status"] == "completed", 30)
        done = ask("GET", path, mine)[2]
        assert done["request_counts"] == {"total": 20, "completed": 5, "failed": 15}, done
        spent = served.admin("GET", f"/admin/keys/{made[0]['id']}", key=chief)[2]
        assert (spent["spent_microusd_day"], spent["reserved_microusd"]) == (1000, 0), spent
        for path in (path, f"/v1/files/{done['output_file_id']}", f"/v1/files/{done['output_file_id']}/content"):
            seen = [ask("GET", path, head)[0] for head in (mine, other, bearer(chief), {})]
            assert seen == [200, 404, 200, 401], (path, seen)
        assert ask("POST", f"/v1/batches/{batch['id']}/cancel", other, {})[0] == 404
        assert ask("DELETE", f"/v1/files/{file}", other)[0] == 404
        for path, count in (("/v1/batches", 1), ("/v1/files", 3)):
            assert [len(ask("GET", path, head)[2]["data"]) for head in (mine, other, bearer(chief))] == [count, 0, count]
        assert service.upload(served, "x" * 100_000, headers=mine)[0] == 413, "key_bytes_max"
        Echo.delay_s = 5
        slow = service.upload(served, line(1, body=body), headers=other)[2]["id"]
        assert ask("POST", "/v1/batches", other, {**wish, "input_file_id": slow})[0] == 200
        status, _, refused = ask("POST", "/v1/batches", other, {**wish, "input_file_id": slow})
        assert status == 429 and "key_batches_max" in refused["error"]["message"], refused
    server.shutdown()


def test_offline_goes_on_after_a_kill():
    server, experts = upstream(delay_s=0.02)
    asked, out = FOLDER / "asked.jsonl", FOLDER / "answers.jsonl"
    asked.write_text("\n".join([line(n) for n in range(300)] + ["{broken"]))
    command = [service.binary(), "batch", str(asked), "--out", str(out), "--data", str(FOLDER), *experts]
    killed = subprocess.Popen(command, env={**os.environ, **QUIET}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(0.4)
    killed.kill()
    killed.wait()
    done = subprocess.run(command, env={**os.environ, **QUIET}, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and "301 lines, 1 failed" in done.stdout, done.stdout + done.stderr
    assert [json.loads(row)["custom_id"] for row in out.read_text().splitlines()] == [f"q{n}" for n in range(300)]
    assert len(pathlib.Path(str(out) + ".errors").read_text().splitlines()) == 1
    assert not pathlib.Path(str(out) + ".progress").exists()
    server.shutdown()


if __name__ == "__main__":
    service.run_tests(globals())
