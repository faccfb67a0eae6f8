"""Experts that a test scripts: OpenAI-compatible servers on loopback whose subclass decides what is said. Standard library only."""
import http.server
import json
import re
import socketserver
import threading


class Handler(http.server.BaseHTTPRequestHandler):
    """A subclass has answer(request), which ends in complete() or reply(); its class attributes are shared by all connections."""
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, request):
        raise NotImplementedError

    def do_POST(self):
        self.answer(json.loads(self.rfile.read(int(self.headers["content-length"]))))

    def reply(self, status, body, fields=""):
        self.send(status, "application/json", json.dumps(body), fields)

    def fail(self, status, message, kind="server_error", code=None, fields=""):
        self.reply(status, {"error": {"message": message, "type": kind, "param": None, "code": code}}, fields)

    def send(self, status, kind, text, fields=""):
        body = text.encode()
        head = f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n{fields}\r\n"
        try:
            self.wfile.write(head.encode() + body)
        except OSError:  # whoever asked was killed, or waits no longer
            self.close_connection = True

    def complete(self, request, text, prompt_tokens=3, completion_tokens=2):
        """A chat completion, streamed word by word where the request wants that."""
        usage = {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens,
                 "total_tokens": prompt_tokens + completion_tokens}
        shared = {"id": "chatcmpl-1", "created": 1, "model": request["model"]}
        if not request.get("stream"):
            return self.reply(200, shared | {"object": "chat.completion", "usage": usage, "choices": [
                {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}]})
        shared["object"] = "chat.completion.chunk"
        deltas = [{"role": "assistant", "content": ""}] + [{"content": word} for word in re.findall(r"\s*\S+|\s+$", text)]
        events = [shared | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
        events.append(shared | {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        if (request.get("stream_options") or {}).get("include_usage"):
            events.append(shared | {"choices": [], "usage": usage})
        body = "".join(f"data: {json.dumps(event)}\n\n" for event in events)
        return self.send(200, "text/event-stream", body + "data: [DONE]\n\n")

    def embed(self, request, vectors):
        data = [{"object": "embedding", "index": i, "embedding": vector} for i, vector in enumerate(vectors)]
        self.reply(200, {"object": "list", "data": data, "model": request["model"],
                         "usage": {"prompt_tokens": len(data), "total_tokens": len(data)}})


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, *_):
        pass  # whoever asked was killed


def serve(handler, port=0):
    """Starts a server; shutdown() ends it. Returns it and the URL of its /v1."""
    server = Server(("127.0.0.1", port), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, f"http://127.0.0.1:{server.server_port}/v1"
