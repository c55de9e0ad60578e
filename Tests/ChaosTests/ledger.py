"""An outside process that writes to a tenant, keeps a ledger of what was acknowledged, and checks it at the end.

    python ledger.py --client-key FILE --ledger FILE --seconds N [--clients 8]

It loads until the time is over or SIGTERM comes; a client that dies, or a load that stands still at its end, is a violation.
Then it settles what is unknown by repeating it with the same Idempotency-Key,
compares the store with the ledger, and prints a report in JSON. Exit code 0: nothing wrong; 1: a violation; 2: too weak.

Words: acknowledged = a complete 2xx; rejected = a 4xx that says so for good; unknown = anything else.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import signal
import sys
import threading
import time
import traceback
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "PythonSupport"))

from blackbox.fhir import Fhir, batch, link  # noqa: E402
from blackbox.tokens import Client, exchange  # noqa: E402
from blackbox.web import Answer, Web  # noqa: E402

SYSTEM = "urn:chaos"
OWN_REGISTERS, SHARED_REGISTERS = 6, 4
#: 409 and 425 say that the same key is under way; the rest that the server is busy or away.
TRY_AGAIN = {401, 408, 409, 425, 429, 500, 502, 503, 504}


class Ledger:
    """Lines of JSON, each on disk before the load goes on."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)
        self._lock = threading.Lock()
        self.entries: list[dict] = []
        self.acknowledged = 0

    def note(self, **entry) -> None:
        """Writes and fsyncs one line."""
        entry["t"] = time.monotonic()
        line = json.dumps(entry).encode() + b"\n"
        with self._lock:
            self._file.write(line)
            os.fsync(self._file.fileno())
            self.entries.append(entry)
            self.acknowledged += entry["phase"] == "ack"


class Tokens:
    """An access token, fetched when it is needed."""

    def __init__(self, web: Web, client: Client) -> None:
        self._web, self._client, self._lock = web, client, threading.Lock()
        self._text, self._until = "", 0.0

    def __str__(self) -> str:
        """Raises OSError or HTTPException when there is none just now."""
        with self._lock:
            if time.monotonic() > self._until:
                answer = exchange(self._web, self._client)
                if answer.status != 200:
                    raise ConnectionError(f"no token: {answer}")
                self._text = answer.json()["access_token"]
                self._until = time.monotonic() + 150
            return self._text

    def renew(self) -> None:
        """The next use fetches a new one."""
        self._until = 0.0


class Load:
    """The clients, and what they know."""

    def __init__(self, fhir: Fhir, ledger: Ledger, tokens: Tokens, run: str) -> None:
        self.fhir, self.ledger, self.tokens, self.run = fhir, ledger, tokens, run
        self.stop = threading.Event()
        #: When nobody tries any longer, and how long one question is repeated at most.
        self.give_up = self.patience = float("inf")
        self.violations: list[str] = []
        self.unknown: list[str] = []
        #: By client: what it repeats just now, and how that went last.
        self.obstacles: dict[str, str] = {}
        self.retries = 0
        self.rejected = 0
        self.operations = 0
        self._conditional = 0
        self._lock = threading.Lock()

    def violated(self, text: str) -> None:
        with self._lock:
            self.violations.append(text)

    def until_settled(self, operation: str, send) -> Answer | None:
        """Repeats a request until it is acknowledged or rejected; None when the time to give up has come."""
        self.operations += 1
        first = True
        client = threading.current_thread().name
        end = time.monotonic() + self.patience
        while time.monotonic() < min(end, self.give_up):
            try:
                answer = send()
                if answer.status == 401:
                    self.tokens.renew()
                if answer.status not in TRY_AGAIN:
                    if answer.status >= 500:
                        self.violated(f"{operation}: {answer}")
                    self.rejected += answer.status >= 400
                    self.obstacles.pop(client, None)
                    return answer
                self.obstacles[client] = f"{operation}: {answer}"
                if answer.status == 500:
                    self.violated(f"{operation} answered 500: {answer.text[:300]}")
            except (OSError, http.client.HTTPException) as error:
                self.obstacles[client] = f"{operation}: {error!r}"
            if first:
                first = False
                self.retries += 1
            time.sleep(0.03)
        self.unknown.append(operation)
        return None

    def client(self, number: int) -> None:
        """One client's life; a death before its time is a violation, for the others go on without it."""
        try:
            self.live(number)
        except BaseException as error:
            traceback.print_exc()
            self.violated(f"client {number} died of {type(error).__name__}: {error}")

    def live(self, number: int) -> None:
        """Writes and reads until the load stops."""
        source = random.Random(f"{self.run}-{number}")
        versions: dict[str, int] = {}
        while not self.stop.is_set():
            choice = source.random()
            if choice < 0.35:
                self.own_register(number, source, versions)
            elif choice < 0.45:
                self.shared_register(number, source)
            elif choice < 0.60:
                self.create(number)
            elif choice < 0.75:
                self.conditional_create(number, source)
            elif choice < 0.80:
                self.transaction(number)
            else:
                self.read(number, source, versions)

    def _register(self, identity: str, nonce: str) -> dict:
        return {"resourceType": "Patient", "id": identity, "identifier": [{"system": SYSTEM, "value": nonce}]}

    def own_register(self, number: int, source: random.Random, versions: dict[str, int]) -> None:
        """Compare and set by the register's only writer: it must succeed, and count on by one."""
        identity = f"{self.run}-own-{number}-{source.randrange(OWN_REGISTERS)}"
        version = versions.get(identity, 0)
        nonce, key = uuid.uuid4().hex, str(uuid.uuid4())
        self.ledger.note(phase="invoke", op="put", id=identity, nonce=nonce)
        condition = {"If-Match": f'W/"{version}"'} if version else {"If-None-Match": "*"}
        answer = self.until_settled(f"put {identity}", lambda: self.fhir.send(
            "PUT", f"Patient/{identity}", self._register(identity, nonce), {"Idempotency-Key": key, **condition}))
        if answer is None:
            return
        if answer.status not in (200, 201):
            self.violated(f"only writer of {identity} at version {version} was refused: {answer.status} {answer.text[:300]}")
            self.ledger.note(phase="reject", op="put", id=identity, nonce=nonce)
            return
        got = int(answer.headers["ETag"].split('"')[1])
        self.ledger.note(phase="ack", op="put", id=identity, nonce=nonce, version=got)
        if got != version + 1:
            self.violated(f"{identity}: version {version} was followed by {got}")
        versions[identity] = got

    def shared_register(self, number: int, source: random.Random) -> None:
        """Compare and set among all clients: a stale version is rejected, never lost."""
        identity = f"{self.run}-shared-{source.randrange(SHARED_REGISTERS)}"
        read = self.until_settled(f"get {identity}", lambda: self.fhir.get(f"Patient/{identity}"))
        if read is None:
            return
        nonce, key = uuid.uuid4().hex, str(uuid.uuid4())
        condition = {"If-Match": read.headers["ETag"]} if read.status == 200 else {"If-None-Match": "*"}
        self.ledger.note(phase="invoke", op="put", id=identity, nonce=nonce)
        answer = self.until_settled(f"put {identity}", lambda: self.fhir.send(
            "PUT", f"Patient/{identity}", self._register(identity, nonce), {"Idempotency-Key": key, **condition}))
        if answer is None:
            return
        if answer.status in (200, 201):
            before = int(read.headers["ETag"].split('"')[1]) if read.status == 200 else None
            got = int(answer.headers["ETag"].split('"')[1])
            if before is not None and got != before + 1:
                self.violated(f"{identity}: written over version {before}, became {got}")
            self.ledger.note(phase="ack", op="put", id=identity, nonce=nonce, version=got)
        elif answer.status == 412:
            self.ledger.note(phase="reject", op="put", id=identity, nonce=nonce)
        else:
            self.violated(f"put {identity}: {answer.status} {answer.text[:300]}")

    def create(self, number: int) -> None:
        """A create with an Idempotency-Key happens once, however often it is sent."""
        value, key = f"{self.run}-create-{uuid.uuid4().hex}", str(uuid.uuid4())
        self.ledger.note(phase="invoke", op="create", value=value)
        resource = {"resourceType": "Patient", "identifier": [{"system": SYSTEM, "value": value}]}
        answer = self.until_settled(f"create {value}", lambda: self.fhir.send("POST", "Patient", resource, Idempotency_Key=key))
        if answer is None:
            return
        if answer.status != 201:
            self.violated(f"create {value}: {answer.status} {answer.text[:300]}")
            return
        self.ledger.note(phase="ack", op="create", value=value, id=answer.json()["id"])

    def conditional_create(self, number: int, source: random.Random) -> None:
        """All clients race for the same few criteria: one creates, the others are given what is there."""
        with self._lock:
            if source.random() < 0.25:
                self._conditional += 1
            value = f"{self.run}-once-{self._conditional}"
        self.ledger.note(phase="invoke", op="once", value=value)
        resource = {"resourceType": "Patient", "identifier": [{"system": SYSTEM, "value": value}]}
        answer = self.until_settled(f"conditional create {value}", lambda: self.fhir.send(
            "POST", "Patient", resource, If_None_Exist=f"identifier={SYSTEM}|{value}"))
        if answer is None:
            return
        if answer.status not in (200, 201):
            self.violated(f"conditional create {value}: {answer.status} {answer.text[:300]}")
            return
        self.ledger.note(phase="ack", op="once", value=value, id=answer.headers["Location"].split("/Patient/")[1].split("/")[0])

    def transaction(self, number: int) -> None:
        """Three resources or none."""
        value, key = f"{self.run}-three-{uuid.uuid4().hex}", str(uuid.uuid4())
        self.ledger.note(phase="invoke", op="three", value=value)
        entry = {
            "request": {"method": "POST", "url": "Patient"},
            "resource": {"resourceType": "Patient", "identifier": [{"system": SYSTEM, "value": value}]}}
        answer = self.until_settled(f"transaction {value}", lambda: self.fhir.send(
            "POST", "", batch([entry] * 3, "transaction"), Idempotency_Key=key))
        if answer is None:
            return
        if answer.status != 200:
            self.violated(f"transaction {value}: {answer.status} {answer.text[:300]}")
            return
        self.ledger.note(phase="ack", op="three", value=value)

    def read(self, number: int, source: random.Random, versions: dict[str, int]) -> None:
        """A read that begins after an acknowledgement never shows less."""
        if not versions:
            return
        identity = source.choice(sorted(versions))
        answer = self.until_settled(f"get {identity}", lambda: self.fhir.get(f"Patient/{identity}"))
        if answer is None:
            return
        if answer.status != 200:
            self.violated(f"{identity} was acknowledged and is {answer.status}")
            return
        got = int(answer.headers["ETag"].split('"')[1])
        if got != versions[identity]:
            self.violated(f"{identity}: acknowledged version {versions[identity]}, read {got}")


def verify(load: Load) -> None:
    """Compares the store with the ledger."""
    entries, fhir = load.ledger.entries, load.fhir
    invoked = {e["nonce"] for e in entries if e["phase"] == "invoke" and e["op"] == "put"}
    rejected = {e["nonce"] for e in entries if e["phase"] == "reject"}
    by_register: dict[str, dict[int, str]] = {}
    for entry in entries:
        if entry["op"] == "put":
            known = by_register.setdefault(entry["id"], {})
            if entry["phase"] == "ack":
                if known.get(entry["version"], entry["nonce"]) != entry["nonce"]:
                    load.violated(f"{entry['id']}: version {entry['version']} was acknowledged to two writers")
                known[entry["version"]] = entry["nonce"]

    def register(item: tuple[str, dict[int, str]]) -> None:
        identity, known = item
        have: dict[int, str] = {}
        order: list[int] = []
        url: str | None = f"Patient/{identity}/_history?_count=500"
        while url:
            answer = load.until_settled(f"history {identity}", lambda: fhir.get(url))
            if answer is None or answer.status != 200:
                if known:
                    load.violated(f"{identity}: no history although acknowledged: {answer}")
                return
            page = answer.json()
            for entry in page.get("entry", []):
                version = int(entry["resource"]["meta"]["versionId"])
                order.append(version)
                have[version] = entry["resource"]["identifier"][0]["value"]
            url = link(page, "next")
        if order != list(range(len(order), 0, -1)):
            load.violated(f"{identity}: versions with a gap or a repetition: {order[:20]}")
        for version, nonce in known.items():
            if have.get(version) != nonce:
                load.violated(f"{identity}: acknowledged version {version} is lost or another's")
        if len(set(have.values())) != len(have):
            load.violated(f"{identity}: one write happened twice")
        for nonce in have.values():
            if nonce not in invoked:
                load.violated(f"{identity}: holds what nobody wrote")
            if nonce in rejected:
                load.violated(f"{identity}: holds what was rejected")

    def value(item: tuple[str, str, set[str]]) -> None:
        operation, wanted, ids = item
        answer = load.until_settled(f"search {wanted}", lambda: fhir.get(f"Patient?identifier={SYSTEM}|{wanted}&_elements=id"))
        if answer is None or answer.status != 200:
            load.violated(f"search for {wanted}: {answer}")
            return
        found = [e["resource"]["id"] for e in answer.json().get("entry", []) if e["search"]["mode"] == "match"]
        expected = 3 if operation == "three" else 1
        if ids and len(found) != expected:
            load.violated(f"{operation} {wanted}: acknowledged, {len(found)} in the store")
        elif len(found) not in (0, expected):
            load.violated(f"{operation} {wanted}: {len(found)} in the store")
        if operation != "three" and ids and set(found) != ids:
            load.violated(f"{operation} {wanted}: acknowledged as {sorted(ids)}, found as {found}")

    values: dict[tuple[str, str], set[str]] = {}
    for entry in entries:
        if "value" in entry:
            ids = values.setdefault((entry["op"], entry["value"]), set())
            if entry["phase"] == "ack":
                ids.add(entry.get("id", "some"))
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(register, by_register.items()))
        list(pool.map(value, [(operation, text, ids) for (operation, text), ids in values.items()]))


def main() -> int:
    """Loads, settles, verifies, reports."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--client-key", type=Path, required=True, help="key file of a client with scope system/*.cruds")
    options.add_argument("--ledger", type=Path, required=True, help="where to keep the ledger")
    options.add_argument("--seconds", type=float, default=60, help="how long to load at most")
    options.add_argument("--clients", type=int, default=8)
    options.add_argument("--settle", type=float, default=30, help="how long to try to settle what is unknown")
    options.add_argument("--quiet", type=float, default=60, help="how long nothing may be acknowledged when the load ends")
    options.add_argument("--minimum", type=int, default=500, help="fewer acknowledged writes are too weak a run")
    given = options.parse_args()

    client = Client(given.client_key)
    web = Web(client.base, timeout=5)
    tokens = Tokens(web, client)
    ledger = Ledger(given.ledger)
    load = Load(Fhir(web, "/" + client.base.split("/", 3)[3], tokens), ledger, tokens, f"r{uuid.uuid4().hex[:8]}")
    # No event: a handler that comes while the main thread waits for one would wait for itself.
    asked_to_end: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: asked_to_end.append(number))
    threads = [threading.Thread(target=load.client, args=(n,), daemon=True) for n in range(given.clients)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    longest, last, seen = 0.0, began, 0
    while not asked_to_end and time.monotonic() - began < given.seconds:
        time.sleep(0.05)
        if ledger.acknowledged != seen:
            seen, last = ledger.acknowledged, time.monotonic()
        longest = max(longest, time.monotonic() - last)
    load.stop.set()
    if time.monotonic() - last > given.quiet:
        load.violated(f"the load stood still for the last {time.monotonic() - last:.0f} s: {sorted(load.obstacles.values())}")
    load.give_up = time.monotonic() + given.settle
    for thread in threads:
        thread.join(given.settle + 10)
        if thread.is_alive():
            load.violated("a client did not end")
    loaded = time.monotonic() - began
    # However much there is to look up; each answer is waited for.
    load.give_up, load.patience = float("inf"), given.settle
    verify(load)
    report = {
        "seconds": round(loaded, 1), "operations": load.operations, "acknowledged": ledger.acknowledged, "rejected": load.rejected,
        "settledByRetry": load.retries, "unknown": load.unknown[:20], "longestGapSeconds": round(longest, 2),
        "violations": len(load.violations), "first": load.violations[:20],
    }
    print(json.dumps(report, indent=1))
    if load.violations or load.unknown:
        return 1
    return 0 if ledger.acknowledged >= given.minimum else 2


if __name__ == "__main__":
    sys.exit(main())
