"""Starts and stops the real binary for a test, and talks to it. Standard library only."""
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]


def binary():
    return os.environ.get("SKILLYARD_BIN", str(ROOT / "build/dev/skillyard"))


def run(*args, check=True, **options):
    done = subprocess.run([binary(), *map(str, args)], capture_output=True, text=True, timeout=300, **options)
    if check and done.returncode != 0:
        raise SystemExit(f"skillyard {' '.join(map(str, args))}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done


def upload(served, text, purpose="batch", headers=None):
    """The lines of a batch as a file of the service."""
    mark = "----boundary7"
    form = (f'--{mark}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\n{purpose}\r\n'
            f'--{mark}\r\nContent-Disposition: form-data; name="file"; filename="asked.jsonl"\r\n'
            f"Content-Type: application/jsonl\r\n\r\n{text}\r\n--{mark}--\r\n").encode()
    headers = {"authorization": "Bearer x"} if headers is None else headers
    return served.ask("POST", "/v1/files", form, {"content-type": f"multipart/form-data; boundary={mark}", **headers})


def config_file(text):
    path = pathlib.Path(tempfile.mkdtemp(prefix="skillyard-config-")) / "config.json"
    path.write_text(text if isinstance(text, str) else json.dumps(text))
    return path


def eventually(check, seconds=10):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if check():
            return True
        time.sleep(0.05)
    return False


def run_tests(names):
    """Every function of a module's globals() whose name begins with test_, in the order of the file."""
    for name, test in list(names.items()):
        if name.startswith("test_"):
            print(name, flush=True)
            test()


def npm_package(name, version):
    """A folder with the package from npm, installed once below the build folder; None when that is impossible here."""
    if not shutil.which("node") or not shutil.which("npm"):
        print("needs node and npm")
        return None
    place = pathlib.Path(binary()).resolve().parent / f"{name}-client"
    if not (place / f"node_modules/{name}/package.json").exists():
        place.mkdir(exist_ok=True)
        done = subprocess.run(["npm", "install", "--prefix", place, "--no-audit", "--no-fund", "--ignore-scripts",
                               f"{name}@{version}"], capture_output=True, text=True, timeout=240)
        if done.returncode != 0:
            print(f"npm could not install {name}: {done.stderr[-2000:]}")
            return None
    return place


class Service:
    """`with Service(["--expert", ...]) as service:` serves on a free loopback port until the block ends."""

    def __init__(self, args, env=None, data=None, under=()):
        self.data = data or tempfile.mkdtemp(prefix="skillyard-")
        self.log = open(os.path.join(self.data, "serve.log"), "wb+")
        self.process = subprocess.Popen(
            [*under, binary(), "serve", "--listen", "127.0.0.1:0", "--data", self.data, *map(str, args)],
            stdout=self.log, stderr=subprocess.STDOUT, env={**os.environ, **(env or {})})
        self.port = self.wait_for_port()

    def wait_for_port(self):
        for _ in range(300):
            found = re.findall(r"listening on [^ ]*:(\d+)", self.said())
            if found:
                return int(found[-1])
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        self.stop()
        raise SystemExit(f"skillyard serve did not start:\n{self.said()}")

    def said(self):
        self.log.flush()
        return pathlib.Path(self.log.name).read_text(errors="replace")

    def ask(self, method, path, body=None, headers=None, connection=None):
        """One request; returns (status, headers, parsed JSON or text)."""
        own = connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        data = json.dumps(body).encode() if body is not None and not isinstance(body, bytes) else body
        own.request(method, path, data, {"content-type": "application/json", **(headers or {})})
        response = own.getresponse()
        text = response.read().decode()
        kind = response.headers.get("content-type", "")
        if connection is None:
            own.close()
        return response.status, response.headers, json.loads(text) if kind.startswith("application/json") and text else text

    def admin(self, method, path, body=None, key=None, port=None, **headers):
        """One request to the administrators' listener, which `--admin 127.0.0.1:0` asks for; If_Match= names a field."""
        port = port or self.admin_port()
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        if key:
            fields["authorization"] = f"Bearer {key}"
        own = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            return self.ask(method, path, body, fields, own)
        finally:
            own.close()

    def admin_port(self):
        return int(re.findall(r"administrators on [^ ]*, port (\d+)", self.said())[-1])

    def chat(self, text, model="skillyard/auto", connection=None, **fields):
        body = {"model": model, "messages": [{"role": "user", "content": text}], **fields}
        return self.ask("POST", "/v1/chat/completions", body, connection=connection)

    def stop(self, how=signal.SIGTERM, wait_s=20):
        if self.process.poll() is None:
            self.process.send_signal(how)
            try:
                self.process.wait(wait_s)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        return self.process.returncode

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
