"""Experts that misbehave on purpose, by model name: slow, flaky, cut, limited, secret, echo; vectors and numbers make embeddings. Loopback, standard library only."""
import base64
import json
import struct
import threading
import time

import recorded
import scripted


class Faulty(recorded.Recorded):
    seen, gone, bodies = {}, threading.Event(), []

    def count(self, model):
        self.seen[model] = self.seen.get(model, 0) + 1
        return self.seen[model]

    def chunk(self, text):
        data = f"data: {text}\n\n".encode()
        self.wfile.write(b"%x\r\n" % len(data) + data + b"\r\n")
        self.wfile.flush()

    def delta(self, model, content, finish=None):
        self.chunk(json.dumps({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": model,
                               "choices": [{"index": 0, "delta": {"content": content}, "finish_reason": finish}]}))

    def vectors_of(self, request):
        """`numbers` answers with numbers whatever `encoding_format` says; each input is [its length, 0.5]."""
        inputs = request["input"] if isinstance(request["input"], list) else [request["input"]]
        base64_wanted = request.get("encoding_format") == "base64" and request["model"] != "numbers"
        def vector(text):
            numbers = [float(len(text)), 0.5]
            return base64.b64encode(struct.pack("<2f", *numbers)).decode() if base64_wanted else numbers
        return [vector(text) for text in inputs]

    def answer(self, request):
        self.bodies.append(request)
        model = request["model"]
        calls = self.count(model)
        if self.path.endswith("/embeddings"):
            return self.embed(request, self.vectors_of(request))
        if model == "flaky" and calls % 2 == 1:
            return self.fail(500, "try again")
        if model == "limited":
            self.close_connection = True
            return self.fail(429, "slow down", "rate_limit_error", fields="retry-after: 7\r\n")
        if model == "secret":  # an expert that repeats the key it was given
            return self.fail(401, f"bad key {self.headers.get('authorization')}", "x")
        if not request.get("stream"):
            return self.complete(request, f"{model} says {request['messages'][-1]['content']}", 3, 4)
        self.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        try:
            for number in range(200 if model == "slow" else 5):
                self.delta(model, f"w{number} ")
                if model == "slow":
                    time.sleep(0.02)
                if model == "cut" and number == 2:
                    self.connection.close()
                    return None
            self.delta(model, "", "stop")
            if (request.get("stream_options") or {}).get("include_usage"):
                self.chunk(json.dumps({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": model,
                                       "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}}))
            self.chunk("[DONE]")
            self.wfile.write(b"0\r\n\r\n")
        except OSError:
            if model == "slow":
                self.gone.set()
            self.close_connection = True
        return None


def serve():
    """Returns (server, port, handler class); handler.seen counts calls per model, handler.gone is set when `slow` lost its client."""
    handler = type("Handler", (Faulty,), {"seen": {}, "gone": threading.Event(), "bodies": [],
                                          "models": {"slow", "flaky", "cut", "limited", "secret", "echo", "vectors", "numbers"}})
    server, _ = scripted.serve(handler)
    return server, server.server_port, handler
