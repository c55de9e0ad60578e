"""What bad input gets: 4xx with an OperationOutcome that says where, and nothing stored."""

from __future__ import annotations

import json
import random
import socket
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from blackbox.fhir import batch, outcome

P = '{"resourceType":"Patient",'


def nested(depth: int) -> str:
    """A patient whose innermost value lies `depth` levels deep."""
    extension, closing = '"extension":[{"url":"u",', "}]"
    levels = (depth - 1) // 2
    return P + extension * levels + '"valueBoolean":true' + closing * levels + "}"


#: (name, body, allowed statuses, text the expression or diagnostics must name)
BODIES = [
    ("empty", "", {400}, ""),
    ("not JSON", "hello", {400}, ""),
    ("truncated", '{"resourceType":"Patient","name":[{"family":"x"', {400}, ""),
    ("trailing bytes", P + '"gender":"male"} x', {400}, ""),
    ("two documents", "{}{}", {400}, ""),
    ("array", "[]", {400, 422}, ""),
    ("number", "1", {400, 422}, ""),
    ("null", "null", {400, 422}, ""),
    ("comment", '{"resourceType":"Patient"/* c */}', {400}, ""),
    ("trailing comma", '{"resourceType":"Patient",}', {400}, ""),
    ("single quotes", "{'resourceType':'Patient'}", {400}, ""),
    ("NaN", P + '"multipleBirthInteger":NaN}', {400}, ""),
    ("leading zero", P + '"multipleBirthInteger":01}', {400}, ""),
    ("plus sign", P + '"multipleBirthInteger":+1}', {400}, ""),
    ("bare dot", '{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueQuantity":{"value":1.}}', {400}, ""),
    ("no type", '{"gender":"male"}', {400, 422}, ""),
    ("unknown type", '{"resourceType":"Nobody"}', {400, 422}, ""),
    ("other type than the path", '{"resourceType":"Observation","status":"final","code":{"text":"x"}}', {400, 422}, ""),
    ("type is a number", '{"resourceType":7}', {400, 422}, ""),
    ("duplicate member", P + '"gender":"male","gender":"female"}', {400, 422}, "gender"),
    ("duplicate member, escaped", P + '"gender":"male","gend\\u0065r":"female"}', {400, 422}, "gender"),
    ("duplicate member, nested", P + '"name":[{"family":"a","family":"b"}]}', {400, 422}, "family"),
    ("duplicate resourceType", '{"resourceType":"Patient","resourceType":"Patient"}', {400, 422}, ""),
    ("depth 65", nested(65), {400, 413, 422}, ""),
    ("depth 20,000", "[" * 20000, {400, 413, 422}, ""),
    ("lone high surrogate", P + '"name":[{"family":"\\ud800"}]}', {400, 422}, "family"),
    ("lone low surrogate", P + '"name":[{"family":"\\udc00x"}]}', {400, 422}, "family"),
    ("reversed surrogates", P + '"name":[{"family":"\\udc00\\ud800"}]}', {400, 422}, "family"),
    ("U+0000 escaped", P + '"name":[{"family":"a\\u0000b"}]}', {400, 422}, "family"),
    ("U+0000 raw", P.encode() + b'"name":[{"family":"a\x00b"}]}', {400, 422}, ""),
    ("raw control character", P.encode() + b'"name":[{"family":"a\x01b"}]}', {400, 422}, ""),
    ("invalid UTF-8", P.encode() + b'"name":[{"family":"a\xffb"}]}', {400, 422}, ""),
    ("overlong UTF-8", P.encode() + b'"name":[{"family":"\xc0\xaf"}]}', {400, 422}, ""),
    ("UTF-8 surrogate", P.encode() + b'"name":[{"family":"\xed\xa0\x80"}]}', {400, 422}, ""),
    ("UTF-16", (P + '"gender":"male"}').encode("utf-16"), {400}, ""),
    ("bad escape", P + '"name":[{"family":"\\x41"}]}', {400}, ""),
    ("unknown element", P + '"nickname":"x"}', {400, 422}, "Patient.nickname"),
    ("unknown nested element", P + '"name":[{"famly":"x"}]}', {400, 422}, "Patient.name[0].famly"),
    ("element of another type", P + '"status":"final"}', {400, 422}, "status"),
    ("wrong case", P + '"Gender":"male"}', {400, 422}, "Gender"),
    ("object for array", P + '"name":{"family":"x"}}', {400, 422}, "Patient.name"),
    ("array for single", P + '"gender":["male"]}', {400, 422}, "Patient.gender"),
    ("string for boolean", P + '"active":"true"}', {400, 422}, "Patient.active"),
    ("number for string", P + '"name":[{"family":7}]}', {400, 422}, "Patient.name[0].family"),
    ("string for number", P + '"multipleBirthInteger":"1"}', {400, 422}, "multipleBirth"),
    ("fraction for integer", P + '"multipleBirthInteger":1.5}', {400, 422}, "multipleBirth"),
    ("integer over 32 bits", P + '"multipleBirthInteger":2147483648}', {400, 422}, "multipleBirth"),
    ("null value", P + '"gender":null}', {400, 422}, "gender"),
    ("empty string", P + '"gender":""}', {400, 422}, "gender"),
    ("empty object", P + '"maritalStatus":{}}', {400, 422}, "maritalStatus"),
    ("empty array", P + '"name":[]}', {400, 422}, "name"),
    ("code out of a required binding", P + '"gender":"man"}', {400, 422}, "Patient.gender"),
    ("two choices", P + '"deceasedBoolean":true,"deceasedDateTime":"2020-01-01"}', {400, 422}, "deceased"),
    ("choice without type", P + '"deceased":true}', {400, 422}, "deceased"),
    ("choice of a wrong type", P + '"deceasedString":"yes"}', {400, 422}, "deceased"),
    ("missing required", '{"resourceType":"Patient","communication":[{"preferred":true}]}', {400, 422}, "communication[0].language"),
    ("reference to a wrong type", P + '"managingOrganization":{"reference":"Patient/1"}}', {400, 422}, "managingOrganization"),
    ("reference to no type", P + '"managingOrganization":{"reference":"Nothing/1"}}', {400, 422}, "managingOrganization"),
    ("reference with a bad id", P + '"managingOrganization":{"reference":"Organization/a b"}}', {400, 422}, "managingOrganization"),
    ("id with a slash", P + '"id":"a/b"}', {400, 422}, ""),
    *[(f"birthDate {value}", P + f'"birthDate":"{value}"}}', {400, 422}, "Patient.birthDate") for value in (
        "1980-13", "1980-02-30", "1980-1-1", "80-01-01", "1980/01/01", "1980-01-01T00:00:00Z", "yesterday", "1900-02-29", "0000-01-01", " 1980")],
    *[(f"deceasedDateTime {value}", P + f'"deceasedDateTime":"{value}"}}', {400, 422}, "deceased") for value in (
        "2020-01-01T10:00", "2020-01-01T10:00:00", "2020-01-01T25:00:00Z", "2020-01-01T10:61:00Z", "2020-01-01T10:00:00+25:00", "2020-01-01 10:00:00Z")],
    ("5 MB string", P + '"name":[{"family":"' + "x" * 5_000_000 + '"}]}', {400, 413, 422}, ""),
    ("2,000,000 elements", P + '"name":[' + "{}," * 300_000 + "{}]}", {400, 413, 422}, ""),
    ("number of 100,000 digits", '{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueQuantity":{"value":' + "9" * 100_000 + "}}",
     {400, 413, 422}, ""),
]


@pytest.fixture(scope="module")
def empty(new_tenant):
    """A tenant in which nothing may ever be stored."""
    own = new_tenant()
    yield own
    assert own.fhir.get("_history").json().get("entry", []) == []


@pytest.mark.parametrize(("body", "statuses", "names"), [case[1:] for case in BODIES], ids=[case[0] for case in BODIES])
def test_bad_bodies_are_refused_and_nothing_is_stored(empty, body, statuses: set[int], names: str):
    """By POST, PUT and inside a batch; the outcome names the element."""
    kind = "Observation" if not isinstance(body, bytes) and '"Observation"' in body and '"Patient"' not in body and "status" in body and "value" in body else "Patient"
    answer = empty.fhir.send("POST", kind, body if isinstance(body, bytes) else body.encode())
    assert answer.status in statuses, answer
    text = json.dumps(outcome(answer))
    assert names in text, text
    if names:
        assert any(names in e for issue in answer.json()["issue"] for e in issue.get("expression", [])), text
    for leak in ("SELECT ", "postgres", "/Sources/", ".swift", "ERROR:"):
        assert leak not in text
    assert empty.fhir.send("PUT", f"{kind}/bad", body if isinstance(body, bytes) else body.encode()).status in statuses
    if not isinstance(body, bytes) and len(body) < 10_000:
        raw = '{"resourceType":"Bundle","type":"transaction","entry":[{"resource":%s,"request":{"method":"POST","url":"%s"}}]}' % (
            body or "7", kind)
        assert 400 <= empty.fhir.send("POST", "", raw).status < 500
    assert empty.fhir.count(kind) == 0


def test_depth_64_is_taken(h1):
    """The limit itself is allowed."""
    answer = h1.fhir.send("POST", "Patient", nested(64))
    assert answer.status in (201, 400, 422)
    assert "depth" not in answer.text.lower(), answer


@pytest.mark.parametrize(("method", "path", "body"), [
    ("PUT", "Patient/one", {"resourceType": "Patient", "id": "two"}), ("PUT", "Patient/one", {"resourceType": "Patient"}),
    ("PUT", "Patient/one", {"resourceType": "Group", "id": "one", "type": "person", "actual": True}),
    ("PUT", "patient/one", {"resourceType": "Patient", "id": "one"}), ("PUT", "Nobody/one", {"resourceType": "Nobody", "id": "one"}),
    ("PUT", "Patient/" + "x" * 65, {"resourceType": "Patient", "id": "x" * 65}), ("PUT", "Patient/a_b", {"resourceType": "Patient", "id": "a_b"}),
    ("PUT", "Patient/%00", {"resourceType": "Patient", "id": "\x00"}), ("PUT", "Patient/%2e%2e", {"resourceType": "Patient", "id": ".."}),
    ("POST", "AuditEvent", {"resourceType": "AuditEvent"}), ("DELETE", "AuditEvent/audit-1", None),
])
def test_paths_and_bodies_that_differ_are_refused(empty, method: str, path: str, body):
    """Id or type that differs from the path, ids that are none, types that may not be written."""
    answer = empty.fhir.send(method, path, body)
    assert 400 <= answer.status < 500, answer
    outcome(answer)


@pytest.mark.parametrize(("name", "value"), [
    ("If-Match", "1"), ("If-Match", 'W/"abc"'), ("If-Match", 'W/"99999999999999999999"'), ("If-None-Match", "nonsense"),
    ("If-None-Exist", ""), ("If-None-Exist", "%%%"), ("If-None-Exist", "identifier"), ("Idempotency-Key", ""), ("Idempotency-Key", "x" * 5000),
    ("Prefer", "return=everything"), ("Content-Type", "text/plain"), ("Content-Type", "nonsense"), ("Accept", "nonsense"),
    ("Content-Type", "application/fhir+json; charset=iso-8859-1"), ("If-Modified-Since", "yesterday"),
])
def test_bad_headers_never_break_the_server(h1, name: str, value: str):
    """4xx or ignored, never 5xx."""
    method, path = ("POST", "Patient") if name in ("If-None-Exist", "Idempotency-Key", "Content-Type", "Prefer") else ("PUT", "Patient/headers")
    answer = h1.fhir.send(method, path, {"resourceType": "Patient", "id": "headers"}, {name: value})
    assert answer.status < 500, answer


def test_bad_patches_change_nothing(h1):
    """Operations that are none, pointers that lead nowhere, results that are invalid."""
    stored = h1.fhir.create({"resourceType": "Patient", "gender": "male", "name": [{"family": "x"}]})
    for operations in (
        "{}", "[1]", "nonsense", '[{"op":"add"}]', '[{"op":"nothing","path":"/gender"}]', '[{"op":"replace","path":"gender","value":"female"}]',
        '[{"op":"add","path":"/name/7","value":{"family":"y"}}]', '[{"op":"add","path":"/nickname","value":"x"}]',
        '[{"op":"remove","path":"/resourceType"}]', '[{"op":"remove","path":""}]', '[{"op":"replace","path":"","value":{"resourceType":"Group"}}]',
        '[{"op":"add","path":"/name/0/family","value":"\\ud800"}]', '[{"op":"move","from":"/name","path":"/name/0/given"}]',
        '[{"op":"add","path":"/gender","value":"a","value":"b"}]', '[{"op":"replace","path":"/meta/versionId","value":"9"}]',
    ):
        answer = h1.fhir.send("PATCH", f"Patient/{stored['id']}", operations, {"Content-Type": "application/json-patch+json"})
        if "versionId" in operations and answer.status == 200:
            assert answer.json()["meta"]["versionId"] == "2"
            return
        assert 400 <= answer.status < 500, f"{operations}: {answer}"
        outcome(answer)
    assert h1.fhir.get(f"Patient/{stored['id']}").headers["ETag"] == 'W/"1"'


def test_bad_bundles_are_refused_whole(empty):
    """Entries that are none."""
    patient = {"resourceType": "Patient"}
    for entry in (
        {}, {"resource": patient}, {"request": {"method": "POST"}, "resource": patient}, {"request": {"url": "Patient"}, "resource": patient},
        {"request": {"method": "BREW", "url": "Patient"}, "resource": patient}, {"request": {"method": "POST", "url": "Patient"}},
        {"request": {"method": "POST", "url": "../../h2/fhir/Patient"}, "resource": patient},
        {"request": {"method": "POST", "url": "http://other.example/fhir/Patient"}, "resource": patient},
        {"request": {"method": "POST", "url": "Patient"}, "resource": {"resourceType": "Observation"}},
        {"request": {"method": "PUT", "url": "Patient/a"}, "resource": {"resourceType": "Patient", "id": "b"}},
        {"request": {"method": "DELETE", "url": "Patient"}},
        {"request": {"method": "POST", "url": "Observation"}, "resource": {
            "resourceType": "Observation", "status": "final", "code": {"text": "x"}, "subject": {"reference": "Patient?identifier=nobody"}}},
    ):
        answer = empty.fhir.send("POST", "", batch([entry], "transaction"))
        assert 400 <= answer.status < 500, f"{entry}: {answer}"
        outcome(answer)
    assert empty.fhir.count("Patient") == 0
    assert empty.fhir.count("Observation") == 0


def test_mutated_resources_never_break_the_server(h1):
    """Thousands of damaged documents: 2xx or 4xx with an outcome, and still there afterwards."""
    source = random.Random(20261121)
    seed = json.dumps({
        "resourceType": "Patient", "name": [{"family": "李é😀", "given": ["a", "b"]}], "birthDate": "1980-01-02", "active": True,
        "multipleBirthInteger": 2, "contact": [{"telecom": [{"system": "phone", "value": "1"}]}],
        "extension": [{"url": "u", "valueQuantity": {"value": 1.50}}]}, ensure_ascii=False).encode()
    pieces = [b"{", b"}", b"[", b"]", b'"', b",", b":", b"\\", b"\\u", b"\xff", b"\x00", b"null", b"1e999", b"-", b"true", b" ", b'"a":1,', b"\\ud83d"]

    def damaged(number: int) -> bytes:
        body = bytearray(seed)
        for _ in range(source.randint(1, 4)):
            position = source.randrange(len(body))
            kind = source.randrange(4)
            if kind == 0:
                del body[position:position + source.randint(1, 12)]
            elif kind == 1:
                body[position:position] = source.choice(pieces)
            elif kind == 2:
                body[position] = source.randrange(256)
            else:
                body[position:position] = body[position:position + source.randint(1, 30)]
        return bytes(body)

    bodies = [damaged(number) for number in range(2000)]

    def send(body: bytes) -> str | None:
        answer = h1.fhir.send("POST", "Patient", body)
        if answer.status in (201, 400, 413, 422):
            return None
        return f"{answer.status} for {body!r}: {answer.text[:200]}"

    with ThreadPoolExecutor(4) as pool:
        wrong = [line for line in pool.map(send, bodies) if line]
    assert not wrong, wrong[:5]


def test_raw_http_damage_never_breaks_the_server(region, h1):
    """Damaged requests on raw sockets: an answer below 500 or a closed connection, the processes stay the same."""
    source = random.Random(7)
    # Postgres' own children come and go.
    def processes():
        return {pid for pid, command in region.processes().items() if not command.startswith("postgres:")}

    before = processes()
    head = (
        f"POST {h1.path}/Patient HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {h1.token}\r\nContent-Type: application/fhir+json\r\n"
        "Content-Length: 26\r\nConnection: close\r\n\r\n").encode() + b'{"resourceType":"Patient"}'
    fixed = [
        b"\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", b"\x00" * 2000,
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 5000 + b"\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"b" * 100_000 + b"\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n", b"GET / HTTP/1.1\r\nHost: x\r\nA\x00: b\r\n\r\n",
        b"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /t/%2e%2e/fhir HTTP/1.1\r\nHost: x\r\n\r\n", b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET http://other/ HTTP/1.1\r\nHost: x\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        b"CONNECT evil:443 HTTP/1.1\r\nHost: evil:443\r\n\r\n", b"TRACE / HTTP/1.1\r\nHost: x\r\n\r\n",
    ]

    def damaged() -> bytes:
        body = bytearray(head)
        for _ in range(source.randint(1, 5)):
            position = source.randrange(len(body))
            if source.random() < 0.5:
                body[position] = source.randrange(256)
            else:
                del body[position:position + source.randint(1, 9)]
        return bytes(body)

    requests = fixed + [damaged() for _ in range(1500)]

    def send(raw: bytes) -> str | None:
        with socket.create_connection(("127.0.0.1", region.port), timeout=10) as connection:
            connection.settimeout(10)
            try:
                connection.sendall(raw)
                connection.shutdown(socket.SHUT_WR)
                received = b""
                while chunk := connection.recv(65536):
                    received += chunk
            except (ConnectionResetError, BrokenPipeError):
                return None
            except TimeoutError:
                return f"no answer and no close for {raw[:200]!r}"
        status = int(received[9:12]) if received.startswith(b"HTTP/1") else 0
        return f"{status} for {raw[:300]!r}: {received[:300]!r}" if status >= 500 and status not in (501, 505) else None

    with ThreadPoolExecutor(8) as pool:
        wrong = [line for line in pool.map(send, requests) if line]
    assert not wrong, wrong[:5]
    assert processes() == before
    assert h1.fhir.create({"resourceType": "Patient", "identifier": [{"value": str(uuid.uuid4())}]})
