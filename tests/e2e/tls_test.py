#!/usr/bin/env python3
"""TLS of both listeners on the real binary: chats, streams, administration; certificates that are changed by SIGHUP, and
those that cannot be used. Skips (77) without the openssl program."""
import http.client
import json
import os
import pathlib
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(__file__))
import faulty
import service

QUIET = {"SKILLYARD_DISCOVER": "off"}


def certify(folder, name):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
                    "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", folder / "key.pem", "-out", folder / "cert.pem"],
                   check=True, capture_output=True)
    os.chmod(folder / "key.pem", 0o600)


def files(folder):
    return {"certificate": str(folder / "cert.pem"), "key": str(folder / "key.pem")}


def settings(port, folder, admin):
    experts = [{"name": "echo", "url": f"http://127.0.0.1:{port}/v1"}]
    return service.config_file({"experts": experts, "tls": files(folder), "admin": {"tls": files(admin)}})


def ask(port, folder, method, path, body=None):
    """Over TLS, verified against the folder's certificate."""
    context = ssl.create_default_context(cafile=folder / "cert.pem")
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=20, context=context)
    connection.request(method, path, body and json.dumps(body), {"content-type": "application/json"})
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    return response.status, text


def name_at(port):
    pem = ssl.get_server_certificate(("127.0.0.1", port))
    return subprocess.run(["openssl", "x509", "-noout", "-subject"], input=pem, capture_output=True, text=True).stdout.strip()


def test_both_listeners_speak_tls_and_take_new_certificates():
    public, admin = (pathlib.Path(tempfile.mkdtemp(prefix="skillyard-tls-")) for _ in range(2))
    certify(public, "public")
    certify(admin, "admin")
    upstream, port, _ = faulty.serve()
    with service.Service(["--config", settings(port, public, admin), "--admin", "127.0.0.1:0"], env=QUIET) as served:
        chat = {"model": "echo", "messages": [{"role": "user", "content": "hi"}]}
        status, text = ask(served.port, public, "POST", "/v1/chat/completions", chat)
        assert status == 200 and "choices" in text, text
        status, text = ask(served.port, public, "POST", "/v1/chat/completions", chat | {"stream": True})
        assert status == 200 and text.rstrip().endswith("data: [DONE]"), text
        status, text = ask(served.admin_port(), admin, "GET", "/admin/experts")
        assert status == 200 and "echo" in text, text
        address = f"https://127.0.0.1:{served.admin_port()}"
        trusting = {**os.environ, "SKILLYARD_ADMIN_CA": str(admin / "cert.pem")}
        assert "echo" in service.run("expert", "list", "--admin", address, env=trusting).stdout
        assert service.run("expert", "list", "--admin", address, check=False).returncode == 2, "an unknown authority"
        plain, _, body = served.ask("GET", "/health/live")
        assert plain == 400 and "https://" in body["error"]["message"], body

        certify(public, "renewed")
        served.process.send_signal(signal.SIGHUP)
        assert service.eventually(lambda: name_at(served.port).endswith("renewed")), served.said()
        assert name_at(served.admin_port()).endswith("admin")
        os.chmod(public / "key.pem", 0o644)
        served.process.send_signal(signal.SIGHUP)
        assert service.eventually(lambda: "the running certificate is kept" in served.said()), served.said()
        assert "chmod 600" in served.said() and ask(served.port, public, "GET", "/health/live")[0] == 200
        assert served.stop() == 0, served.said()
        for line in (public / "key.pem").read_text().splitlines()[1:-1]:
            assert line not in served.said(), "the key is in the log"
    upstream.shutdown()


def refused(config):
    done = service.run("serve", "--config", config, "--listen", "127.0.0.1:0", "--data", tempfile.mkdtemp(), check=False,
                       env={**os.environ, **QUIET})
    assert done.returncode == 2, done
    return done.stderr


def test_a_certificate_that_cannot_be_used_ends_the_start_with_a_sentence():
    folder, other = (pathlib.Path(tempfile.mkdtemp(prefix="skillyard-tls-")) for _ in range(2))
    certify(folder, "one")
    certify(other, "other")
    config = settings(9, folder, other)
    shutil.copy(other / "key.pem", folder / "key.pem")
    assert "do not belong together" in refused(config)
    alone = service.config_file({"tls": {"certificate": str(folder / "cert.pem")}})
    assert "tls.key: is missing" in refused(alone)


if __name__ == "__main__":
    if not shutil.which("openssl"):
        print("skipped: needs the openssl program")
        sys.exit(77)
    service.run_tests(globals())
