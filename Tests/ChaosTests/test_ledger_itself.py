"""The ledger finds what it must: a store in memory that drops connections is clean, one that lies is caught."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

LEDGER = Path(__file__).with_name("ledger.py")


class Store:
    """Patients with versions and idempotency keys; `lie` names what it does wrong, now and then."""

    def __init__(self, lie: str | None) -> None:
        self.lie, self.lock, self.source = lie, threading.RLock(), random.Random(1)
        self.began = time.monotonic()
        self.versions: dict[str, list[dict]] = {}
        self.keys: dict[str, tuple[int, dict, object]] = {}

    def lies(self, kind: str) -> bool:
        return self.lie == kind and self.source.random() < (0.5 if kind == "ignore-if-match" else 0.025)

    def write(self, identity: str, resource: dict) -> dict:
        history = self.versions.setdefault(identity, [])
        stored = {**resource, "id": identity, "meta": {"versionId": str(len(history) + 1)}}
        if not self.lies("lose"):
            history.append(stored)
        return stored

    def find(self, value: str) -> list[dict]:
        return [h[-1] for h in self.versions.values() if h and h[-1]["identifier"][0]["value"] == value]

    def handle(self, method: str, path: str, query: dict, headers, body) -> tuple[int, dict, object]:
        """Status, headers, body."""
        with self.lock:
            key = headers.get("Idempotency-Key")
            if key in self.keys and not self.lies("forget-keys"):
                return self.keys[key]
            answer = self._handle(method, path, query, headers, body)
            if key and answer[0] < 300:
                self.keys[key] = answer
            return answer

    def _handle(self, method: str, path: str, query: dict, headers, body) -> tuple[int, dict, object]:
        parts = path.removeprefix("/t/x/fhir").strip("/").split("/")
        if method == "POST" and parts == [""]:
            for entry in body["entry"]:
                self.write(uuid.uuid4().hex, entry["resource"])
            return 200, {}, {"resourceType": "Bundle"}
        if method == "POST":
            criteria = headers.get("If-None-Exist")
            if criteria and not self.lies("double"):
                found = self.find(criteria.split("|")[1])
                if found:
                    return 200, self._headers(found[0]), found[0]
            stored = self.write(uuid.uuid4().hex, body)
            return 201, self._headers(stored), stored
        if method == "GET" and len(parts) == 1:
            return 200, {}, {"entry": [{"search": {"mode": "match"}, "resource": r} for r in self.find(query["identifier"][0].split("|")[1])]}
        history = self.versions.get(parts[1], [])
        if method == "GET" and len(parts) == 3:
            return 200, {}, {"entry": [{"resource": r} for r in reversed(history)]}
        if method == "GET":
            return (200, self._headers(history[-1]), history[-1]) if history else (404, {}, {})
        wanted = headers.get("If-Match")
        stale = (wanted != f'W/"{len(history)}"') if wanted else bool(history)
        if stale and not self.lies("ignore-if-match"):
            return 412, {}, {}
        stored = self.write(parts[1], body)
        return 200 if history[1:] else 201, self._headers(stored), stored

    @staticmethod
    def _headers(stored: dict) -> dict:
        version = stored["meta"]["versionId"]
        return {"ETag": f'W/"{version}"', "Location": f"http://x/t/x/fhir/Patient/{stored['id']}/_history/{version}"}


def handler(store: Store):
    """An HTTP handler that drops one answer in ten after the store has done its work."""
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            raw = self.rfile.read(length)
            parts = urlsplit(self.path)
            if store.lie == "away" and time.monotonic() > store.began + 1 or store.lie == "no-token":
                status, headers, body = 503, {}, {}
            elif parts.path.endswith("/token"):
                status, headers, body = 200, {}, {"access_token": "x", "expires_in": 300}
            else:
                body = json.loads(raw) if raw else None
                if store.lie == "slow" and "identifier" in parts.query:
                    time.sleep(0.05)
                status, headers, body = store.handle(self.command, parts.path, parse_qs(parts.query), self.headers, body)
                if store.lies("no-tag"):
                    headers = {}
                if random.random() < 0.1:
                    self.close_connection = True
                    return
            text = json.dumps(body).encode()
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(text))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_PUT = answer

        def log_message(self, *_) -> None:
            """Silence."""
    return Handler


@pytest.mark.parametrize(("fault", "words"), [
    ("no-tag", "died of AttributeError"), ("away", "the load stood still for the last"), ("no-token", "no token: <503 "),
])
def test_a_load_that_ends_early_is_a_violation_by_name(tmp_path: Path, fault: str, words: str):
    """A client that stumbles over an answer dies and is told of; so is a server that comes back for nobody."""
    server, key = served(tmp_path, fault)
    try:
        done = subprocess.run(
            [sys.executable, str(LEDGER), "--client-key", str(key), "--ledger", str(tmp_path / "ledger"), "--seconds", "3",
             "--minimum", "1", "--quiet", "1", "--settle", "1", "--clients", "2"], capture_output=True, text=True, timeout=120)
        assert done.returncode == 1 and words in done.stdout, done.stdout + done.stderr
    finally:
        server.shutdown()


def served(folder: Path, fault: str | None) -> tuple[ThreadingHTTPServer, Path]:
    """A store that does something wrong, and the key of a client of it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(Store(fault)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base = f"http://127.0.0.1:{server.server_port}/t/x"
    jwk = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP384R1())))
    key = folder / "client.json"
    key.write_text(json.dumps({
        "clientID": "x", "tokenURL": f"{base}/oauth2/token", "fhirBase": f"{base}/fhir", "scope": "system/*.cruds",
        "privateKey": {**jwk, "kid": "k", "alg": "ES384"}}))
    return server, key


@pytest.mark.parametrize("lie", [None, "slow", "lose", "double", "forget-keys", "ignore-if-match"])
def test_lies_are_found_and_honesty_is_not_accused(tmp_path: Path, lie: str | None):
    """Exit code 0 for an honest store that drops answers, also when the look at all of it takes longer than settling one
    question may; 1 for each kind of lie.
    """
    server, key = served(tmp_path, lie)
    try:
        wanted = 1 if lie and lie != "slow" else 0
        # On a busy machine a short run does too little to meet a lie: again, and longer.
        for seconds in (2, 6, 18):
            done = subprocess.run(
                [sys.executable, str(LEDGER), "--client-key", str(key), "--ledger", str(tmp_path / f"ledger-{seconds}"),
                 "--seconds", str(seconds), "--minimum", "50", "--settle", "1" if lie == "slow" else "30"],
                capture_output=True, text=True, timeout=120)
            if done.returncode == wanted or (wanted == 0 and done.returncode != 2):
                break
        assert done.returncode == wanted, done.stdout + done.stderr
        assert re.search(r'"settledByRetry": [1-9]', done.stdout), done.stdout
    finally:
        server.shutdown()
