"""The gateway's own routes: health, self-description, problems, CORS, request ids, limits."""

from __future__ import annotations

import json
import socket
import uuid

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm


def test_health_and_readiness(region):
    """Public, cheap, true."""
    assert region.web.request("GET", "/healthz").status == 200
    assert region.web.request("GET", "/readyz").status == 200


def test_a_worker_is_not_ready_while_the_databases_are_of_other_schemas(region):
    """A controller that lives is not enough: it must have brought every database to the schemas of this worker."""
    mark = region.psql("control", "control", "select prepared_schemas from control.leadership").strip()
    assert len(mark) == 64
    try:
        region.psql("control", "control", "update control.leadership set prepared_schemas = 'of another version'")
        answer = region.web.request("GET", "/readyz")
        assert answer.status == 503 and answer.json()["checks"]["control-database"] == "failed", answer
    finally:
        region.psql("control", "control", f"update control.leadership set prepared_schemas = '{mark}'")
    assert region.web.request("GET", "/readyz").status == 200


def test_openapi_document_and_docs_page(region):
    """3.1, every path with operations; the page loads nothing from elsewhere."""
    answer = region.web.request("GET", "/openapi.json")
    document = answer.json()
    assert document["openapi"].startswith("3.1")
    assert "/t/{tenant}/fhir/metadata" in document["paths"]
    ids = [o["operationId"] for item in document["paths"].values() for m, o in item.items() if m in ("get", "post", "put", "delete", "patch")]
    assert len(ids) == len(set(ids))
    page = region.web.request("GET", "/docs")
    assert page.status == 200 and page.headers["Content-Type"].startswith("text/html")
    assert 'src="http' not in page.text and 'src="//' not in page.text and "cdn" not in page.text.lower()


def test_references_of_the_document_resolve(region):
    """No dangling $ref."""
    document = region.web.request("GET", "/openapi.json").json()

    def walk(value):
        if isinstance(value, dict):
            if isinstance(reference := value.get("$ref"), str):
                target = document
                assert reference.startswith("#/"), reference
                for part in reference[2:].split("/"):
                    target = target[part.replace("~1", "/").replace("~0", "~")]
            for member in value.values():
                walk(member)
        elif isinstance(value, list):
            for member in value:
                walk(member)

    walk(document)


def pages(region, path: str, between=lambda: None) -> list[dict]:
    """Every item of a list, page by page; `between` is called after each page."""
    items: list[dict] = []
    while path:
        answer = region.api("GET", path)
        assert answer.status == 200, answer
        page = answer.json()
        items += page["items"]
        path = page.get("next")
        between()
    return items


def test_a_client_of_a_type_that_fhir_does_not_have_is_not_made(region, new_tenant, tmp_path):
    """By the API, the command line and a manifest: the scope is named, and the rule."""
    tenant = new_tenant().name
    public = ec.generate_private_key(ec.SECP384R1()).public_key()
    body = {"id": "slip", "name": "Slip", "scope": "system/*.rs system/Patiant.rs",
            "jwks": {"keys": [{**json.loads(ECAlgorithm.to_jwk(public)), "kid": "k", "alg": "ES384"}]}}
    refused = region.api("POST", f"/v1/tenants/{tenant}/clients", body)
    made = region.run("client", "create", "slip", "--tenant", tenant, "--scope", body["scope"], check=False)
    (tmp_path / "slip.yaml").write_text(
        "id: slip\nkind: clinic\nname: Slip\ntimeZone: UTC\nlanguage: en\nclients:\n  - {id: slip, scopes: system/Patiant.rs}\n")
    planned = region.run("plan", "-f", str(tmp_path), check=False)
    assert (refused.status, made.returncode, planned.returncode) == (400, 64, 65), (refused, made.stderr, planned.stderr)
    for text in (refused.text, made.stderr, planned.stderr + planned.stdout):
        assert "system/Patiant.rs" in text and "FHIR R4" in text, text
    assert [client["id"] for client in region.api("GET", f"/v1/tenants/{tenant}/clients").json()["items"]] == [f"{tenant}-system"]


def test_clients_are_read_page_by_page_while_others_come_and_go(region, new_tenant):
    """Each that stays is on one page; the command line reads all pages."""
    public = ec.generate_private_key(ec.SECP384R1()).public_key()
    key = {"keys": [{**json.loads(ECAlgorithm.to_jwk(public)), "kid": "paged", "alg": "ES384"}]}
    tenant, other = new_tenant().name, new_tenant().name
    path = f"/v1/tenants/{tenant}/clients"

    def make(name: str) -> None:
        body = {"id": name, "name": name, "scope": "system/*.rs", "jwks": key}
        assert region.api("POST", path, body).status == 201

    for number in range(7):
        make(f"paged-{number}")
    turns = iter(range(100))

    def disturb() -> None:
        turn = next(turns)
        make(f"paged-0-{turn}")
        make(f"paged-5-{turn}")

    seen = [item["id"] for item in pages(region, path + "?limit=2", disturb)]
    assert len(seen) == len(set(seen)) and seen == sorted(seen)
    assert [name for name in seen if len(name) == 7] == [f"paged-{number}" for number in range(7)]
    for number in range(100):
        make(f"many-{number}")
    first = region.api("GET", path).json()
    assert len(first["items"]) == 100 and "next" in first
    listed = [client["id"] for client in json.loads(region.run("client", "list", "--tenant", tenant, "-o", "json").stdout)]
    assert listed == [item["id"] for item in pages(region, path)] and len(listed) > 107
    assert region.api("GET", first["next"].replace(f"/{tenant}/", f"/{other}/")).status == 400
    # More clients than a manifest may name: what reads specifications must not meet them.
    region.run("tenant", "delete", tenant, "--yes")


def test_tenants_clients_of_the_region_and_feeds_are_paged(region, h1, h2):
    """One at a time is the same as all at once; at most 1000 at once."""
    for path in ("/v1/tenants", "/v1/clients", "/v1/feeds"):
        whole = [list(item.values())[:2] for item in pages(region, path)]
        assert whole == [list(item.values())[:2] for item in pages(region, path + "?limit=1")]
        for bad in ("limit=0", "limit=1001", "after=x", "page=2"):
            answer = region.api("GET", f"{path}?{bad}")
            assert answer.status == 400 and f"query:{bad.split('=')[0]}" in answer.text, answer
    assert len(pages(region, "/v1/tenants?limit=1")) >= 2


def test_metrics_are_prometheus_text(region, h1):
    """Counts move with requests."""
    h1.fhir.get("Patient?_count=1")
    answer = region.web.request("GET", "/metrics")
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert any(line.startswith("# TYPE ") for line in answer.text.splitlines())
    assert "http" in answer.text


def test_problems_outside_fhir_are_rfc_9457(region):
    """type, title, status, code, requestId."""
    for method, path, status in (("GET", "/nowhere", 404), ("GET", "/v1/nowhere", 404), ("DELETE", "/healthz", 405), ("GET", "/v1/tenants", 401)):
        answer = region.web.request(method, path)
        assert answer.status in (status, 401 if path.startswith("/v1") else status), answer
        assert answer.headers["Content-Type"].startswith("application/problem+json"), answer
        body = answer.json()
        assert body["status"] == answer.status and body["title"] and body["code"] and body["requestId"]
        assert answer.headers["X-Request-Id"] == body["requestId"]


def test_request_ids_are_kept_or_made(region, h1):
    """A client's id comes back; a bad one is replaced."""
    own = str(uuid.uuid4())
    assert h1.fhir.get("Patient?_count=1", X_Request_Id=own).headers["X-Request-Id"] == own
    made = {h1.fhir.get("Patient?_count=1").headers["X-Request-Id"] for _ in range(5)}
    assert len(made) == 5
    assert h1.fhir.get("Patient?_count=1", X_Request_Id="a" * 5000).headers["X-Request-Id"] != "a" * 5000


def test_cors_is_for_registered_origins_only(region, h1):
    """Never `*`, never credentials, on authenticated routes."""
    for origin in ("https://evil.example", "null", "http://localhost:1"):
        for method in ("GET", "OPTIONS"):
            answer = region.web.request(method, f"{h1.path}/Patient", None, {
                "Origin": origin, "Access-Control-Request-Method": "GET", "Authorization": f"Bearer {h1.token}"})
            assert answer.headers.get("Access-Control-Allow-Origin") in (None,), answer.headers
            assert answer.headers.get("Access-Control-Allow-Credentials") is None


def test_the_platform_api_lists_tenants_for_the_operator_only(region, h1):
    """/v1 with the operator's token, an Idempotency-Key on writes, a typed refusal otherwise."""
    answer = region.api("GET", "/v1/tenants")
    assert answer.status == 200
    assert "h1" in {t["id"] for t in answer.json()["items"]}
    denied = region.web.request("GET", "/v1/tenants", None, {"Authorization": f"Bearer {h1.token}"})
    assert denied.status in (403, 404)
    headers = {"Authorization": f"Bearer {region.operator_token}", "Content-Type": "application/json"}
    body = json.dumps({"id": "no-key", "name": "x", "timeZone": "Asia/Shanghai", "language": "zh"})
    missing = region.web.request("POST", "/v1/tenants", body, headers)
    assert missing.status == 400, missing


@pytest.mark.parametrize("body, pointer", [
    ({}, "/id"), ({"id": "Upper"}, "/id"), ({"id": "-x"}, "/id"), ({"id": "x" * 40}, "/id"), ({"id": "region"}, "/id"), ({"id": "a/b"}, "/id"),
    ({"id": "a';drop"}, "/id"), ({"id": 7}, "/id"), ({"id": "ok-zone", "timeZone": "Mars/Base"}, "/timeZone"), ({"id": "ok-name", "name": ""}, "/name"),
    ({"id": "ok-name", "name": "a\u001b[31mb"}, "/name"), ({"id": "ok-name", "name": "a\nb"}, "/name"), ({"id": "ok-name", "name": "a\u202eb"}, "/name"),
    ({"id": "ok-label", "labels": {"A": "b"}}, "/labels"), ({"id": "ok-label", "labels": {"a": "b c"}}, "/labels"),
    ({"id": "ok-label", "labels": {f"a{n}": "b" for n in range(33)}}, "/labels"),
   
    ({"id": "ok-more", "more": 1}, "/more"), ({"id": "ok-kind", "kind": "bar"}, "/kind"), ({"id": "ok-language", "language": "no language"}, "/language"),
])
def test_bad_tenants_are_refused(region, body: dict, pointer: str):
    """By rule, with the field named."""
    full = {"name": "x", "timeZone": "Asia/Shanghai", "language": "zh", **body}
    answer = region.api("POST", "/v1/tenants", full)
    assert answer.status in (400, 409, 422), answer
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer], answer


def test_slow_and_idle_connections_are_closed_and_others_are_served(region, h1):
    """Many half-open requests do not keep a new client waiting."""
    held = []
    try:
        for _ in range(300):
            connection = socket.create_connection(("127.0.0.1", region.port), timeout=5)
            connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ")
            held.append(connection)
        region.web.close()
        assert h1.fhir.get("Patient?_count=1").status == 200
    finally:
        for connection in held:
            connection.close()


def test_pipelined_requests_are_answered_in_order(region, h1):
    """HTTP/1.1 pipelining on one connection, hot reads and searches mixed."""
    ids = [h1.fhir.create({"resourceType": "Patient", "name": [{"text": str(n)}]})["id"] for n in range(20)]
    with socket.create_connection(("127.0.0.1", region.port), timeout=20) as connection:
        lines = []
        for n, identity in enumerate(ids):
            path = f"{h1.path}/Patient/{identity}" if n % 3 else f"{h1.path}/Patient?_id={identity}"
            lines.append(f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {h1.token}\r\n"
                         + ("Connection: close\r\n" if n == len(ids) - 1 else "") + "\r\n")
        connection.sendall("".join(lines).encode())
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
    positions = [received.find(f'"id":"{identity}"'.encode()) for identity in ids]
    assert -1 not in positions
    assert positions == sorted(positions)
