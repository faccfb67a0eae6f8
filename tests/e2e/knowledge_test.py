#!/usr/bin/env python3
"""Collections of the knowledge, changed while the service serves, and which keys may look into which."""
import json
import os
import sys

sys.path.insert(0, os.path.dirname(__file__))
import faulty
import service

QUIET = {"OPENAI_BASE_URL": "", "OPENAI_API_KEY": "", "SKILLYARD_DISCOVER": "off"}
BYTES = {"content_type": "application/octet-stream"}


def serving(port):
    config = service.config_file({"pools": [{"name": "auto", "retrieval": {"mode": "on"}}],
                                  "experts": [{"name": "one", "url": f"http://127.0.0.1:{port}/v1", "model": "echo"}]})
    return service.Service(["--config", config, "--admin", "127.0.0.1:0"], env=QUIET)


def put(served, collection, source, text, **more):
    query = "&".join([f"source={source}"] + [f"{name}={value}" for name, value in more.items()])
    body = text if isinstance(text, bytes) else text.encode()
    return served.admin("PUT", f"/admin/knowledge/{collection}?{query}", body, **BYTES)


def test_documents_come_and_go_while_the_service_serves():
    upstream, port, _ = faulty.serve()
    with serving(port) as served:
        assert served.admin("GET", "/admin/knowledge")[2]["data"] == []
        assert served.admin("GET", "/admin/knowledge/handbook")[0] == 404
        assert served.admin("DELETE", "/admin/knowledge/handbook")[0] == 404
        status, _, filed = put(served, "handbook", "leave.md", "# Leave\n\nThirty days of leave.", format="markdown")
        assert status == 201 and filed["added"] == 1 and filed["passages"] == 1, filed
        assert put(served, "handbook", "leave.md", "# Leave\n\nThirty days of leave.", format="markdown")[2]["unchanged"] == 1
        status, _, filed = put(served, "handbook", "leave.md", "# Leave\n\nForty days of leave.", format="markdown")
        assert status == 200 and filed["replaced"] == 1, filed
        lines = [{"id": "a", "text": "Alpha rules."}, {"id": "b", "text": "Beta rules."}, {"id": "c"}]
        status, _, filed = put(served, "handbook", "rules.jsonl", "\n".join(map(json.dumps, lines)), format="jsonl")
        assert filed["added"] == 2 and filed["left_out"] == 1 and "rules.jsonl" in filed["faults"][0], filed
        (row,) = served.admin("GET", "/admin/knowledge")[2]["data"]
        assert (row["name"], row["documents"]) == ("handbook", 3), row
        status, fields, exported = served.admin("GET", "/admin/knowledge/handbook")
        assert status == 200 and "ndjson" in fields["content-type"], exported
        assert put(served, "copy", "copy", exported, format="jsonl")[2]["added"] == 3
        assert served.admin("GET", "/admin/knowledge/copy")[2] == exported, "what is exported is not what is read back"
        assert served.admin("DELETE", "/admin/knowledge/handbook?source=a")[2]["documents"] == 1
        assert served.admin("DELETE", "/admin/knowledge/handbook?source=a")[0] == 404
        assert served.admin("DELETE", "/admin/knowledge/copy")[2]["documents"] == 3
        assert [row["name"] for row in served.admin("GET", "/admin/knowledge")[2]["data"]] == ["handbook"]
        for bad, part in ((put(served, "handbook", "x", b"a\0b"), None), (put(served, "handbook", "x", b"\xff\xfe"), None)):
            assert bad[0] == 200 and bad[2]["left_out"] == 1 and bad[2]["faults"], bad
        assert put(served, "Hand%20book", "x", "text")[0] == 422
        assert put(served, "handbook", "x", "text", format="pdf")[0] == 400
        assert put(served, "handbook", "", "text")[0] == 400
        assert served.admin("DELETE", "/admin/knowledge/handbook?sorce=x")[0] == 400
    upstream.shutdown()


def test_a_key_reaches_its_collections_and_no_others():
    upstream, port, _ = faulty.serve()
    with serving(port) as served:
        put(served, "open", "open.txt", "The frobnicator of Quuxville is green.")
        put(served, "secret", "secret.txt", "The frobnicator of Quuxville is secretly red.")
        made = served.admin("POST", "/admin/keys", {"collections": ["open"]})[2]
        assert made["collections"] == ["open"], made
        anyone = served.admin("POST", "/admin/keys", {})[2]["secret"]
        status, _, bad = served.admin("POST", "/admin/keys", {"collections": "open"})
        assert status == 400 and "GET /admin/knowledge" in bad["error"]["message"], bad

        def sources(key, **skillyard):
            body = {"model": "skillyard/auto", "messages": [{"role": "user", "content": "What is the frobnicator of Quuxville?"}],
                    "skillyard": {"explain": True, **skillyard}}
            status, _, answer = served.ask("POST", "/v1/chat/completions", body, {"authorization": f"Bearer {key}"})
            if status != 200:
                return status, answer["error"]
            shown = answer["skillyard"].get("retrieval") or {"sources": []}  # none until the file was noticed
            return status, {source["collection"] for source in shown["sources"]}

        assert service.eventually(lambda: sources(anyone) == (200, {"open", "secret"})), sources(anyone)
        assert sources(made["secret"]) == (200, {"open"})
        assert sources(made["secret"], collections=["open"]) == (200, {"open"})
        status, error = sources(made["secret"], collections=["open", "secret"])
        assert status == 403 and error["param"] == "skillyard.collections" and "`secret`" in error["message"], error
        rotated = served.admin("POST", f"/admin/keys/{made['id']}/rotate", {})  # no admin key: loopback may
        assert rotated[0] == 200 and sources(rotated[2]["secret"]) == (200, {"open"}), rotated
    upstream.shutdown()


if __name__ == "__main__":
    service.run_tests(globals())
