#!/usr/bin/env python3
"""Administrators at work on the real binary: resources, versions, ownership, keys, limits, the command line."""
import concurrent.futures
import json
import os
import random
import re
import signal
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(__file__))
import faulty
import scripted
import service

QUIET = {"OPENAI_BASE_URL": "", "OPENAI_API_KEY": "", "SKILLYARD_DISCOVER": "off"}
PING = [{"role": "user", "content": "ping"}]


def serving(experts, more=None, data=None, args=()):
    path = service.config_file({"experts": experts, **(more or {})})
    served = service.Service(["--config", path, "--admin", "127.0.0.1:0", *args], env=QUIET, data=data)
    served.config = path
    return served


def echo(port, name, **more):
    return {"name": name, "url": f"http://127.0.0.1:{port}/v1", "model": "echo", **more}


def names(served):
    return {model["id"] for model in served.ask("GET", "/v1/models")[2]["data"]}


def test_a_resource_is_made_changed_and_removed_while_the_service_serves():
    upstream, port, _ = faulty.serve()
    with serving([echo(port, "one")]) as served:
        assert served.ask("GET", "/admin/experts")[0] == 404, "administration on the public listener"
        status, fields, made = served.admin("PUT", "/admin/experts/org/two?comment=second+one", echo(port, "org/two"))
        assert status == 201 and made["version"] == 1 and made["outcome"] == "applied", made
        assert served.chat("hi", model="org/two")[0] == 200
        assert served.admin("PATCH", "/admin/experts/org/two", {"context_tokens": 4096})[0] == 428
        assert served.admin("PATCH", "/admin/experts/org/two", {"context_tokens": 4096}, If_Match='"0000"')[0] == 412
        tag = fields["etag"]
        status, fields, patched = served.admin("PATCH", "/admin/experts/org/two", {"context_tokens": 4096}, If_Match=tag)
        assert status == 200 and patched["diff"] == [{"op": "add", "path": "/context_tokens", "value": 4096}], patched
        assert served.admin("PATCH", "/admin/experts/org/two", {"context_tokens": 5}, If_Match=tag)[0] == 412, "a lost update"
        status, fields, shown = served.admin("GET", "/admin/experts/org/two")
        assert status == 200 and shown["document"]["context_tokens"] == 4096 and shown["origin"] == "admin", shown
        assert shown["status"]["outcomes"] == {"ok": 1} or shown["status"]["healthy"], shown
        status, _, listed = served.admin("GET", "/admin/experts?limit=1")
        assert listed["has_more"] and len(listed["data"]) == 1, listed
        status, _, version = served.admin("GET", "/admin/versions/1")
        assert version["comment"] == "second one" and version["changes"][0]["after"]["name"] == "org/two", version
        assert served.admin("DELETE", "/admin/experts/org/two", If_Match="*")[0] == 200
        assert "org/two" not in names(served)
        assert served.admin("GET", "/admin/experts/org/two")[0] == 404
        status, _, would = served.admin("POST", "/admin/versions/2/rollback?validate=1", {})
        assert status == 200 and would["diff"].keys() == {"experts/org/two"} and "org/two" not in names(served), would
        status, _, back = served.admin("POST", "/admin/versions/2/rollback", {})
        assert status == 200 and "org/two" in names(served), back
        assert [row["verb"] for row in served.admin("GET", "/admin/versions")[2]["data"]] == ["rollback to 2", "remove", "patch", "put"]
        assert served.admin("POST", "/admin/versions/77/rollback", {})[0] == 404
    upstream.shutdown()


def test_what_is_wrong_is_told_at_once_and_changes_nothing():
    upstream, port, _ = faulty.serve()
    with serving([echo(port, "one")], {"pools": [{"name": "p", "experts": ["one"]}]}) as served:
        before = served.admin("GET", "/admin/config")[2]
        wrong = {"url": "ftp://x", "retires": {}, "concurrency_max": 0}
        status, _, body = served.admin("PUT", "/admin/experts/bad?validate=1", wrong)
        faults = body["error"]["faults"]
        assert status == 422 and len(faults) >= 2, body
        assert any("did you mean `retries`" in fault for fault in faults) and any("concurrency_max" in fault for fault in faults), faults
        status, _, body = served.admin("PUT", "/admin/pools/q", {"experts": ["onne"]})
        assert status == 422 and "did you mean `one`" in body["error"]["message"], body
        status, _, body = served.admin("DELETE", "/admin/experts/one?force=1", If_Match="*")
        assert status == 422 and "pools[p]" in body["error"]["message"], body
        status, _, body = served.admin("POST", "/admin/experts/one/disable", {})
        assert status == 409 and "pool `auto`" in body["error"]["message"] and "force=1" in body["error"]["message"], body
        status, _, body = served.admin("PUT", "/admin/experts/nokey", echo(port, "nokey", key_env="NO_SUCH_VARIABLE"))
        assert status == 422 and "NO_SUCH_VARIABLE" in body["error"]["message"], body
        status, _, body = served.admin("PUT", "/admin/experts/x", echo(port, "y"))
        assert status == 422 and "name" in body["error"]["faults"][0], body
        assert served.admin("PUT", "/admin/experts/x", b'{"url": "http://h/v1", "url": "http://i/v1"}')[0] == 400
        assert served.admin("PUT", "/admin/experts/x", b'{"model": "' + b"x" * (10 << 20) + b'"}')[0] == 413
        assert served.admin("PUT", "/admin/experts/x", b"[" * 100_000)[0] == 400
        assert served.admin("PUT", "/admin/experts/x?validat=1", echo(port, "x"))[0] == 400
        assert served.admin("POST", "/admin/experts/one/disable", {}, content_type="text/plain")[0] == 415
        for host in ("evil.example:80", "127.evil.example", "localhost.evil.example:8301", "[::1].evil.example"):
            assert served.admin("GET", "/admin/config", Host=host)[0] == 403, f"a page that rebinds its name: {host}"
        for host in ("localhost", "127.0.0.1:8301", "[::1]:8301"):
            assert served.admin("GET", "/admin/config", Host=host)[0] == 200, host
        status, _, body = served.admin("PUT", "/admin/experts/gone", {"kind": "native", "path": "/nonexistent/model.gguf"})
        assert status == 422 and "/nonexistent/model.gguf" in body["error"]["message"], body
        status, _, body = served.admin("PUT", "/admin/experts/two?validate=1", echo(port, "two"))
        assert status == 200 and body["outcome"] == "valid" and body["document"]["name"] == "two", body
        assert served.admin("GET", "/admin/config")[2] == before and names(served) == {"one", "skillyard/auto", "skillyard/p"}
        assert before["version"] == 0 and before["origins"]["/experts/0/url"] == "file", before["origins"]
        assert before["origins"]["/admin/listen"] == "command line" and before["origins"]["/http/net_threads"] == "default"
    upstream.shutdown()


def test_what_a_version_needs_has_to_be_there_when_it_is_gone_back_to():
    upstream, port, _ = faulty.serve()
    folder = tempfile.mkdtemp(prefix="skillyard-keys-")
    secret = os.path.join(folder, "key")
    with open(secret, "w") as file:
        file.write("sk-planted\n")
    with serving([echo(port, "one")]) as served:
        os.chmod(secret, 0o644)
        status, _, body = served.admin("PUT", "/admin/experts/two", echo(port, "two", key_file=secret))
        assert status == 422 and "chmod 600" in body["error"]["message"], body
        os.chmod(secret, 0o600)
        assert served.admin("PUT", "/admin/experts/two", echo(port, "two", key_file=secret))[0] == 201
        assert served.admin("PATCH", "/admin/experts/two", b'{"model": "' + b"x" * (10 << 20) + b'"}', If_Match="*")[0] == 413
        assert served.admin("DELETE", "/admin/experts/two", If_Match="*")[0] == 200
        os.remove(secret)
        status, _, body = served.admin("POST", "/admin/versions/1/rollback", {})
        assert status == 422 and secret in body["error"]["message"], body
        assert names(served) == {"one", "skillyard/auto"} and served.chat("hi", model="one")[0] == 200
        assert served.admin("GET", "/admin/versions")[2]["data"][0]["version"] == 2, "a refused rollback is no version"
        assert "sk-planted" not in served.said()
    upstream.shutdown()


def test_every_field_of_a_body_is_in_the_document():
    upstream, port, _ = faulty.serve()
    with serving([echo(port, "one")]) as served:
        document = served.admin("GET", "/admin/openapi.json")[2]
        schemas = document["components"]["schemas"]
        orders = 0
        for pattern, methods in document["paths"].items():
            body = methods.get("post", {}).get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
            if "$ref" not in body or pattern.startswith("/v1/"):
                continue
            orders += 1
            known = schemas[body["$ref"].rsplit("/", 1)[1]]["properties"]
            status, _, refused = served.admin("POST", pattern.replace("{name}", "one"), {"surprise": 1})
            listed = re.search(r"surprise: unknown; .*? has ([a-z_, ]+)", refused["error"]["message"]).group(1)
            assert status in (400, 422) and set(listed.replace(" and ", ", ").split(", ")) == set(known), (pattern, listed, known)
        assert orders == 5, "probe, train, learn, an evaluation and a key"
        expert = schemas["experts"]["properties"]
        assert {"url", "stage", "share", "retries"} <= set(expert) and "connect_ms_max" not in schemas["pools"]["properties"], expert
    upstream.shutdown()


def test_disabling_takes_effect_on_the_next_decision_and_survives_a_restart():
    upstream, port, handler = faulty.serve()
    experts = [echo(port, "one"), echo(port, "two")]
    with serving(experts) as served:
        assert served.chat("hi", model="one")[0] == 200
        assert served.admin("POST", "/admin/experts/one/disable?comment=it+smokes", {})[0] == 200
        for number in range(20):
            assert served.chat(f"hi {number}")[1]["x-skillyard-expert"] == "two"
        assert served.chat("hi", model="one")[0] == 404
        assert served.admin("GET", "/admin/experts/one")[2]["status"]["state"] == "disabled"
        served.process.kill()
        served.process.wait()
        with serving(experts, data=served.data) as again:
            assert again.chat("hi")[1]["x-skillyard-expert"] == "two"
            assert again.admin("POST", "/admin/experts/one/enable", {})[2]["version"] == 2
            assert again.chat("hi", model="one")[0] == 200
    upstream.shutdown()


def test_a_resource_belongs_to_the_file_until_an_administrator_touches_it():
    upstream, port, _ = faulty.serve()
    with serving([echo(port, "one"), echo(port, "two")]) as served:
        assert served.admin("PATCH", "/admin/experts/two", {"context_tokens": 1000}, If_Match="*")[0] == 200
        served.config.write_text(json.dumps({"experts": [echo(port, "one", context_tokens=7), echo(port, "two", context_tokens=7),
                                                         echo(port, "three")]}))
        served.process.send_signal(signal.SIGHUP)
        assert service.eventually(lambda: "three" in names(served)), served.said()
        shown = {row["name"]: row for row in served.admin("GET", "/admin/experts")[2]["data"]}
        assert shown["one"]["document"]["context_tokens"] == 7 and shown["one"]["origin"] == "file", shown
        assert shown["two"]["document"]["context_tokens"] == 1000 and shown["two"]["origin"] == "admin", shown
        assert "experts/two of the file is not used" in served.said(), served.said()
        assert served.admin("POST", "/admin/experts/two/release", {})[0] == 200
        assert served.admin("GET", "/admin/experts/two")[2]["document"]["context_tokens"] == 7
        assert served.admin("DELETE", "/admin/experts/three", If_Match="*")[0] == 200
        served.process.send_signal(signal.SIGHUP)
        assert service.eventually(lambda: "experts/three of the file is not used" in served.said()), served.said()
        assert "three" not in names(served)
        served.stop()
        with serving([echo(port, "one"), echo(port, "three")], data=served.data, args=["--file-only"]) as again:
            assert "three" in names(again)
            assert again.admin("GET", "/admin/versions?limit=1")[2]["data"][0]["comment"] == "--file-only"
    upstream.shutdown()


def test_secrets_are_masked_and_kept():
    upstream, port, _ = faulty.serve()
    secret = echo(port, "one", headers=[{"name": "x-token", "value": "planted-secret"}])
    with serving([secret]) as served:
        status, fields, shown = served.admin("GET", "/admin/experts/one")
        assert shown["document"]["headers"][0]["value"] == "***", shown
        shown["document"]["context_tokens"] = 5000
        assert served.admin("PUT", "/admin/experts/one", shown["document"], If_Match=fields["etag"])[0] == 200
        for path in ("/admin/config", "/admin/experts", "/admin/versions/1"):
            assert "planted-secret" not in json.dumps(served.admin("GET", path)[2]), path
        assert served.chat("hi", model="one")[0] == 200
        served.stop()
        with serving([], data=served.data) as again:  # the database has the whole document
            assert again.chat("hi", model="one")[0] == 200
    upstream.shutdown()


def test_an_expert_can_be_checked_before_clients_ask_it():
    upstream, port, handler = faulty.serve()
    with serving([echo(port, "one")]) as served:
        served.admin("PUT", "/admin/experts/two", echo(port, "two", enabled=False))
        status, _, body = served.admin("POST", "/admin/experts/two/check", {})
        assert status == 200 and body["good"] and body["outcome"] == "ok", body
        assert handler.bodies[-1]["max_tokens"] == 1 and handler.bodies[-1]["model"] == "echo", handler.bodies[-1]
        served.admin("PUT", "/admin/experts/dead", {"name": "dead", "url": "http://127.0.0.1:1/v1"})
        status, _, body = served.admin("POST", "/admin/experts/dead/check", {})
        assert status == 200 and not body["good"] and body["outcome"] == "unreachable" and body["error"], body
        served.admin("PUT", "/admin/experts/locked", echo(port, "locked", model="secret"))
        status, _, body = served.admin("POST", "/admin/experts/locked/check", {})
        assert body["outcome"] == "credentials", body
        assert served.admin("GET", "/admin/experts/dead")[2]["status"]["outcomes"] == {}, "a check is no call of a client"
        assert served.admin("POST", "/admin/experts/ghost/check", {})[0] == 404
        told = {row["name"]: row["status"]["checked"] for row in served.admin("GET", "/admin/experts")[2]["data"]}
        assert told["one"] is None and told["two"]["good"] and "unreachable" in told["dead"]["reason"], told
        assert "credentials" in told["locked"]["reason"] and told["locked"]["unix_us"] > 1e15, told
        served.process.kill()
        served.process.wait()
        with serving([echo(port, "one")], data=served.data) as again:
            assert {row["name"]: row["status"]["checked"] for row in again.admin("GET", "/admin/experts")[2]["data"]} == told
    upstream.shutdown()


def make_key(served, key=None, **terms):
    status, _, made = served.admin("POST", "/admin/keys", terms, key=key)
    assert status == 201 and made["secret"].startswith("sk-sky-"), made
    return made


def status_of(served, path, key, method, admin_side):
    fields = {"authorization": f"Bearer {key}"} if key else {}
    body = None
    if method in ("POST", "PUT", "PATCH"):
        body = {"model": "one", "messages": PING} if path.startswith("/v1/chat") or path == "/v1/route" else {}
    if admin_side:
        kind = {"content_type": "application/octet-stream"} if method == "PUT" and path.startswith(("/admin/policies", "/admin/knowledge", "/eval/")) else {}
        return served.admin(method, path, body, key=key, **kind)[0]
    return served.ask(method, path, body, fields)[0]


def test_every_endpoint_asks_every_role_for_its_key():
    upstream, port, _ = faulty.serve()
    with serving([echo(port, "one"), echo(port, "two")]) as served:
        assert served.chat("hi", model="one")[0] == 200, "no key was ever made: nobody is asked for one"
        document = served.admin("GET", "/admin/openapi.json")[2]
        client = make_key(served, role="client", name="c")["secret"]
        admin = make_key(served, role="admin", name="a")["secret"]
        gone = make_key(served, key=admin, role="client")
        assert served.admin("DELETE", f"/admin/keys/{gone['id']}", key=admin)[0] == 200
        expired = make_key(served, key=admin, role="admin", expires_in_s=1)["secret"]
        time.sleep(1.1)
        endpoints = 0
        for pattern, methods in document["paths"].items():
            path = pattern.replace("{name}", "ghost").replace("{id}", "ghost").replace("{version}", "9")
            for method, operation in methods.items():
                admin_side = pattern.startswith(("/admin/", "/eval/"))
                access = operation["x-skillyard-access"]
                for key, role in ((None, None), ("sk-sky-" + "0" * 64, None), (gone["secret"], None), (expired, None),
                                  (client, "client"), (admin, "admin")):
                    got = status_of(served, path, key, method.upper(), admin_side)
                    allowed = access == "open" or role == "admin" or (role == access == "client")
                    place = f"{method} {pattern} as {role}: {got}"
                    if allowed:
                        assert got not in (401, 403, 405), place
                    else:
                        assert got == (401 if role is None else 403), place
                    endpoints += 1
        assert endpoints > 150, endpoints
        assert served.admin("GET", "/admin/config", key=None)[0] == 401
        for secret in (client, admin, gone["secret"]):
            assert secret not in served.said(), "a key in the log"
        assert client not in json.dumps(served.admin("GET", "/admin/keys", key=admin)[2])
        data = b"".join(open(os.path.join(served.data, name), "rb").read() for name in os.listdir(served.data) if "db" in name)
        assert client.encode() not in data and admin.encode() not in data, "a key on the disk"
        last = [row["id"] for row in served.admin("GET", "/admin/keys", key=admin)[2]["data"] if row["name"] == "a"][0]
        assert served.admin("DELETE", f"/admin/keys/{last}", key=admin)[0] == 409, "the last admin key"
        rotated = served.admin("POST", f"/admin/keys/{last}/rotate", {}, key=admin)[2]["secret"]
        assert served.admin("GET", "/admin/keys", key=admin)[0] == 401 and served.admin("GET", "/admin/keys", key=rotated)[0] == 200
    upstream.shutdown()


def test_a_key_is_held_to_its_models_and_rates():
    upstream, port, _ = faulty.serve()
    with serving([echo(port, "one"), echo(port, "two")]) as served:
        key = make_key(served, models=["one"], requests_per_minute=3, tokens_per_minute=2000)["secret"]
        head = {"authorization": f"Bearer {key}"}
        ask = lambda model, **more: served.ask("POST", "/v1/chat/completions", {"model": model, "messages": PING, "max_tokens": 100, **more}, head)
        assert [model["id"] for model in served.ask("GET", "/v1/models", headers=head)[2]["data"]] == ["one"]
        status, _, body = ask("two")
        assert status == 403 and "two" in body["error"]["message"], body
        assert ask("skillyard/auto")[0] == 403
        status, fields, _ = ask("one")
        assert status == 200 and fields["x-ratelimit-limit-requests"] == "3" and fields["x-ratelimit-remaining-requests"] == "2", dict(fields)
        assert fields["x-ratelimit-limit-tokens"] == "2000" and 0 < int(fields["x-ratelimit-remaining-tokens"]) < 2000
        status, fields, body = ask("one", max_tokens=5000)
        assert status == 429 and "can never pass" in body["error"]["message"], body
        assert ask("one")[0] == 200
        status, fields, body = ask("one")
        assert status == 429 and body["error"]["code"] == "rate_limit_exceeded" and int(fields["retry-after"]) >= 1, body
    upstream.shutdown()


def test_a_listener_that_others_can_reach_wants_an_admin_key_from_the_first_request():
    upstream, port, _ = faulty.serve()
    path = service.config_file({"experts": [echo(port, "one")], "admin": {"listen": "0.0.0.0:0", "require_key": True}})
    with service.Service(["--config", path], env=QUIET) as served:
        assert served.chat("hi", model="one")[0] == 401, "require_key"
        status, _, body = served.admin("GET", "/admin/config")
        assert status == 401 and "--data" in body["error"]["message"], body
        add = lambda *args: service.run("key", "add", "--data", served.data, *args).stdout.strip()
        client = add()
        served.process.send_signal(signal.SIGHUP)
        head = {"authorization": f"Bearer {client}"}
        assert service.eventually(lambda: served.ask("GET", "/v1/models", headers=head)[0] == 200), served.said()
        assert served.admin("GET", "/admin/config", key=client)[0] == 401, "no admin key was ever made"
        admin = add("--role", "admin")
        served.process.send_signal(signal.SIGHUP)
        assert service.eventually(lambda: served.admin("GET", "/admin/config", key=admin)[0] == 200), served.said()
        assert served.admin("GET", "/admin/config", key=client)[0] == 403
    upstream.shutdown()


class Priced(scripted.Handler):
    """Uses a random number of tokens, up to max_tokens, and adds up what that costs."""
    lock, tokens = threading.Lock(), 0
    draw = random.Random(8)

    def answer(self, request):
        with self.lock:
            used = self.draw.randint(1, request["max_tokens"])
            type(self).tokens += used
            pause = self.draw.random() * 0.01
        time.sleep(pause)
        self.complete(request, "x", 0, used)


def test_a_budget_is_held_against_what_no_integer_holds():
    expert = {"name": "priced", "url": "http://127.0.0.1:9/v1", "model": "m", "usd_per_million_tokens": {"in": 0, "out": 60}}
    with serving([expert]) as served:
        made = make_key(served, usd_per_day=1.0)
        status, _, body = served.ask("POST", "/v1/chat/completions",
                                     {"model": "priced", "messages": PING, "max_tokens": 2**31 - 1, "n": 128},
                                     {"authorization": f"Bearer {made['secret']}"})
        assert (status, body["error"]["code"]) == (429, "insufficient_quota"), body


def test_64_clients_never_spend_more_than_the_budget():
    upstream, url = scripted.serve(Priced)
    expert = {"name": "priced", "url": url, "model": "m",
              "usd_per_million_tokens": {"in": 0, "out": 100}}
    with serving([expert], {"http": {"net_threads": 2}}) as served:
        made = make_key(served, usd_per_day=1.0)
        head = {"authorization": f"Bearer {made['secret']}"}
        dear = 200  # tokens of the dearest call: 0.02 USD

        def client(number):
            draw, answered, refused = random.Random(number), 0, 0
            while refused < 3:
                status, _, body = served.ask("POST", "/v1/chat/completions",
                                             {"model": "priced", "messages": PING, "max_tokens": draw.randint(1, dear)}, head)
                assert status == 200 or (status, body["error"]["code"]) == (429, "insufficient_quota"), body
                answered += status == 200
                refused += status == 429
                if status == 429:
                    time.sleep(0.1)
            return answered

        with concurrent.futures.ThreadPoolExecutor(64) as clients:
            answered = sum(clients.map(client, range(64)))
        spent = served.admin("GET", f"/admin/keys/{made['id']}")[2]
        assert spent["reserved_microusd"] == 0 and spent["overruns"] == 0, spent
        assert spent["spent_microusd_day"] == Priced.tokens * 100, (spent, Priced.tokens)
        assert 1_000_000 - dear * 100 <= spent["spent_microusd_day"] <= 1_000_000, spent
        print(f"  {answered} calls spent {spent['spent_microusd_day']} of 1000000 micro-USD")
        assert served.stop() == 0
        with serving([expert], data=served.data) as again:
            kept = again.admin("GET", f"/admin/keys/{made['id']}")[2]
            assert kept["spent_microusd_day"] == spent["spent_microusd_day"], (kept, spent)
    upstream.shutdown()


def test_the_command_line_administers_a_running_service():
    upstream, port, _ = faulty.serve()
    with serving([echo(port, "one")]) as served:
        env = {**os.environ, "SKILLYARD_ADMIN": f"http://127.0.0.1:{served.admin_port()}"}
        env.pop("SKILLYARD_ADMIN_KEY", None)
        run = lambda *args, **more: service.run(*args, check=False, env={**env, **more})
        added = run("expert", "add", f"org/two=http://127.0.0.1:{port}/v1,model=echo", "--comment", "by hand")
        assert added.returncode == 0 and "applied, version 1" in added.stdout, added
        again = run("expert", "add", f"org/two=http://127.0.0.1:{port}/v1,model=echo")
        assert again.returncode == 1 and "If-Match" in again.stderr, again
        replaced = run("expert", "add", f"org/two=http://127.0.0.1:{port}/v1,model=cut", "--replace", "--json")
        assert json.loads(replaced.stdout)["document"]["model"] == "cut", replaced
        listed = run("expert", "list").stdout.splitlines()
        assert listed[0].split()[:3] == ["NAME", "STATE", "HEALTHY"] and len(listed) == 3, listed
        assert {row["name"] for row in json.loads(run("expert", "list", "--json").stdout)["data"]} == {"one", "org/two"}
        assert run("expert", "disable", "org/two").returncode == 0 and "org/two" not in names(served)
        refused = run("expert", "disable", "one")
        assert refused.returncode == 1 and "pool `auto`" in refused.stderr, refused
        assert run("expert", "enable", "org/two").returncode == 0
        assert json.loads(run("expert", "show", "org/two").stdout)["origin"] == "admin"
        assert run("expert", "remove", "org/two").returncode == 0 and names(served) == {"one", "skillyard/auto"}
        assert run("rollback", "2").returncode == 0 and "org/two" in names(served)
        assert "by hand" in run("versions").stdout and "rollback to 2" in run("versions").stdout
        assert json.loads(run("versions", "--show", "1").stdout)["author"] == "loopback"
        assert run("pool", "list").stdout.startswith("NAME")
        client = run("key", "add", "--name", "app", "--model", "one", "--requests-per-minute", "5")
        assert client.stdout.startswith("sk-sky-") and "sk-sky-" not in client.stderr, client
        admin = run("key", "add", "--role", "admin").stdout.strip()
        closed = run("key", "list")
        assert closed.returncode == 1 and "API key" in closed.stderr, closed
        table = run("key", "list", SKILLYARD_ADMIN_KEY=admin).stdout
        assert "app" in table and client.stdout.strip() not in table, table
        identifier = [line.split()[0] for line in table.splitlines() if "app" in line][0]
        assert run("key", "revoke", identifier, SKILLYARD_ADMIN_KEY=admin).returncode == 0
        offline = run("key", "add", "--role", "admin", "--data", served.data).stdout.strip()
        served.process.send_signal(signal.SIGHUP)
        assert service.eventually(lambda: run("key", "list", SKILLYARD_ADMIN_KEY=offline).returncode == 0), served.said()
        admins = [row["id"] for row in json.loads(run("key", "list", "--json", SKILLYARD_ADMIN_KEY=offline).stdout)["data"]
                  if row["role"] == "admin"]
        revoke = lambda *args: run("key", "revoke", *args, SKILLYARD_ADMIN_KEY=offline)
        last = [revoke(identifier) for identifier in admins]
        assert sorted(done.returncode for done in last) == [0, 1], last
        kept = admins[[done.returncode for done in last].index(1)]
        assert revoke(kept, "--force").returncode == 0, "even the last one"
        nowhere = run("expert", "list", "--admin", "http://127.0.0.1:1")
        assert nowhere.returncode == 2 and "no answer" in nowhere.stderr, nowhere
        typed = run("key", "revok", "x")
        assert typed.returncode == 2 and "did you mean `revoke`" in typed.stderr, typed
    upstream.shutdown()


if __name__ == "__main__":
    service.run_tests(globals())
