"""Tokens: what system clients may get, and that every bad assertion or access token is refused (reliability S6)."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import hmac
import json
import os
import signal
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlencode

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from blackbox.region import Region, until
from blackbox.tokens import ASSERTION_TYPE, Client, exchange

STRANGER_EC = ec.generate_private_key(ec.SECP384R1())
STRANGER_RSA = rsa.generate_private_key(65537, 2048)


def encoded(part) -> str:
    """base64url of JSON, text or bytes."""
    if not isinstance(part, (str, bytes)):
        part = json.dumps(part)
    if isinstance(part, str):
        part = part.encode()
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def public_pem(client: Client) -> bytes:
    """The client's public key as text, for the attack that uses it as an HMAC secret."""
    return client.key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def hmac_signed(secret: bytes, header: dict, claims: dict, algorithm: str) -> str:
    """A token signed with HMAC, which PyJWT refuses to do with a public key."""
    message = f"{encoded(header)}.{encoded(claims)}"
    digest = hmac.new(secret, message.encode(), getattr(hashlib, "sha" + algorithm[2:])).digest()
    return f"{message}.{encoded(digest)}"


@dataclasses.dataclass(frozen=True)
class Bad:
    """A bad assertion by name; `make` gets the client and another tenant's client."""

    name: str
    make: object


def _claims(name: str, **changes) -> Bad:
    return Bad(name, lambda c, o: c.assertion(c.claims(**{k: v(c) if callable(v) else v for k, v in changes.items()})))


def _headers(name: str, **changes) -> Bad:
    return Bad(name, lambda c, o: c.assertion(headers=changes))


def _raw(name: str, header, claims=None, signature: str | None = None) -> Bad:
    def make(client: Client, other: Client) -> str:
        signed = client.assertion().split(".")
        head = header(client) if callable(header) else header
        body = claims(client) if callable(claims) else claims
        return ".".join([
            signed[0] if head is None else encoded(head), signed[1] if body is None else encoded(body),
            signed[2] if signature is None else signature])
    return Bad(name, make)


def _resigned(name: str, claims: object) -> Bad:
    """Signed over claims given as text, for JSON that no encoder writes."""
    def make(client: Client, other: Client) -> str:
        text = claims(client)
        message = f'{encoded({"alg": "ES384", "typ": "JWT", "kid": client.key_id})}.{encoded(text)}'
        signature = jwt.algorithms.ECAlgorithm(jwt.algorithms.ECAlgorithm.SHA384).sign(message.encode(), client.key)
        return f"{message}.{encoded(signature)}"
    return Bad(name, make)


NOW = time.time
BAD_ASSERTIONS = [
    # signature and algorithm
    _raw("alg none", {"alg": "none", "typ": "JWT"}, signature=""), _raw("alg None", {"alg": "None"}, signature=""),
    _raw("alg nOnE", {"alg": "nOnE"}, signature=""), _raw("alg missing", {"typ": "JWT"}), _raw("alg empty", {"alg": ""}),
    _raw("alg number", {"alg": 384}), _raw("alg list", {"alg": ["ES384"]}), _raw("no signature", None, signature=""),
    _raw("signature of zeros", None, signature=encoded(b"\0" * 96)), _raw("short signature", None, signature=encoded(b"\1" * 95)),
    _raw("long signature", None, signature=encoded(b"\1" * 97)), _raw("signature of a DER sequence", None, signature=encoded(b"0E" + b"\1" * 94)),
    *[Bad(f"{a} with the public key as secret", lambda c, o, a=a: hmac_signed(public_pem(c), {"alg": a, "typ": "JWT", "kid": c.key_id}, c.claims(), a))
      for a in ("HS256", "HS384", "HS512")],
    Bad("HS384 with an empty secret", lambda c, o: hmac_signed(b"", {"alg": "HS384", "kid": c.key_id}, c.claims(), "HS384")),
    *[_raw(f"header says {a}", lambda c, a=a: {"alg": a, "typ": "JWT", "kid": c.key_id}) for a in (
        "RS256", "RS384", "RS512", "PS256", "PS384", "ES256", "ES512", "EdDSA", "ES384 ", "es384", "A128KW", "dir", "ES256K")],
    Bad("another's key, own kid", lambda c, o: c.assertion(key=STRANGER_EC)),
    Bad("another's RSA key", lambda c, o: c.assertion(key=STRANGER_RSA, algorithm="RS384")),
    Bad("another tenant's client's key", lambda c, o: c.assertion(key=o.key)),
    Bad("another tenant's client's key and kid", lambda c, o: c.assertion(key=o.key, headers={"kid": o.key_id})),
    Bad("key inside the token", lambda c, o: c.assertion(key=STRANGER_EC, headers={"jwk": json.loads(
        jwt.algorithms.ECAlgorithm.to_jwk(STRANGER_EC.public_key()))})),
    _headers("foreign jku", jku="https://evil.example/jwks.json"), _headers("foreign jku of this host", jku="http://127.0.0.1:1/jwks"),
    _headers("x5u", x5u="https://evil.example/cert"), _headers("crit", crit=["exp"]), _headers("crit unknown", crit=["b64"], b64=False),
    _headers("unknown kid", kid="nobody"), _headers("no kid", kid=None), _headers("empty kid", kid=""),
    _headers("kid with a path", kid="../../../../dev/null"), _headers("kid with SQL", kid="' or 1=1 --"),
    _headers("kid of 10,000 bytes", kid="k" * 10_000), _headers("typ of an access token", typ="at+jwt"), _headers("typ nonsense", typ="JOSE+JSON"),
    # form
    *[Bad(f"text {text[:24]!r}", lambda c, o, t=text: t) for text in (
        "", ".", "..", "...", "a.b.c", "null", "{}", "eyJhbGciOiJub25lIn0..", " ", "\0", "a" * 9000, "€.€.€", "..a", "Bearer x")],
    Bad("five parts", lambda c, o: c.assertion() + ".a.b"), Bad("two parts", lambda c, o: c.assertion().rsplit(".", 1)[0]),
    Bad("padded", lambda c, o: c.assertion() + "=="), Bad("standard base64", lambda c, o: c.assertion() + "+/"),
    Bad("trailing space", lambda c, o: c.assertion() + " "), Bad("leading newline", lambda c, o: "\n" + c.assertion()),
    Bad("first part changed", lambda c, o: "e" + c.assertion()[2:]), Bad("signature with one bit changed", lambda c, o: _flipped(c.assertion())),
    Bad("JSON serialisation", lambda c, o: json.dumps(dict(zip(("protected", "payload", "signature"), c.assertion().split("."))))),
    _resigned("claims are a list", lambda c: json.dumps([c.claims()])), _resigned("claims are text", lambda c: '"x"'),
    _resigned("claims are nothing", lambda c: ""), _resigned("claims are damaged", lambda c: json.dumps(c.claims())[:-1]),
    _resigned("claims with trailing bytes", lambda c: json.dumps(c.claims()) + " {}"),
    _resigned("duplicate exp", lambda c: json.dumps(c.claims())[:-1] + f',"exp":{int(NOW()) + 200}}}'),
    _resigned("duplicate iss", lambda c: f'{{"iss":"nobody",{json.dumps(c.claims())[1:]}'),
    _resigned("lone surrogate", lambda c: json.dumps(c.claims())[:-1] + ',"x":"\\ud800"}'),
    _resigned("NUL in jti", lambda c: json.dumps(c.claims(jti="a\0b"))), _resigned("64 levels deep", lambda c: json.dumps(c.claims())[:-1] + ',"x":' + "[" * 70 + "]" * 70 + "}"),
    _resigned("16 KiB of claims", lambda c: json.dumps(c.claims(filler="x" * 16384))),
    _resigned("exp written 1e99", lambda c: json.dumps(c.claims(exp=0)).replace('"exp": 0', '"exp": 1e99')),
    # claims
    *[_claims(f"no {name}", **{name: None}) for name in ("iss", "sub", "aud", "exp", "jti")],
    *[_claims(f"empty {name}", **{name: ""}) for name in ("iss", "sub", "aud", "jti")],
    *[_claims(f"{name} a number", **{name: 7}) for name in ("iss", "sub", "aud", "jti")],
    _claims("exp text", exp=lambda c: str(int(NOW()) + 100)), _claims("exp null", exp=lambda c: [int(NOW())]), _claims("exp negative", exp=-1),
    _claims("exp zero", exp=0), _claims("exp a minute ago", exp=lambda c: int(NOW()) - 60), _claims("exp 10 minutes ahead", exp=lambda c: int(NOW()) + 600),
    _claims("exp a year ahead", exp=lambda c: int(NOW()) + 31_000_000), _claims("exp in milliseconds", exp=lambda c: int(NOW() * 1000)),
    _claims("exp beyond 64 bits", exp=10**30), _claims("exp true", exp=True), _claims("nbf a minute ahead", nbf=lambda c: int(NOW()) + 60),
    _claims("nbf text", nbf="now"), _claims("iat a minute ahead", iat=lambda c: int(NOW()) + 60), _claims("iat text", iat="now"),
    _claims("iss of nobody", iss="nobody"), _claims("sub of nobody", sub="nobody"), _claims("iss and sub of nobody", iss="nobody", sub="nobody"),
    Bad("iss and sub of another tenant's client", lambda c, o: c.assertion(c.claims(iss=o.identity, sub=o.identity))),
    Bad("another tenant's assertion", lambda c, o: o.assertion()), Bad("another tenant's assertion for this audience", lambda c, o: o.assertion(o.claims(aud=c.token_url))),
    Bad("aud of another tenant", lambda c, o: c.assertion(c.claims(aud=o.token_url))), _claims("aud of the region", aud=lambda c: c.token_url.split("/t/")[0] + "/region/oauth2/token"),
    _claims("aud with a slash", aud=lambda c: c.token_url + "/"), _claims("aud with a query", aud=lambda c: c.token_url + "?x"), _claims("aud in upper case", aud=lambda c: c.token_url.upper()),
    _claims("aud with another port", aud=lambda c: c.token_url.replace("/t/", "1/t/")), _claims("aud the FHIR base", aud=lambda c: c.base),
    _claims("aud an empty list", aud=[]), _claims("aud a list of others", aud=["https://a.example", "https://b.example"]), _claims("aud an object", aud={"a": 1}),
    _claims("iss with U+200B", iss=lambda c: c.identity + "\u200b", sub=lambda c: c.identity + "\u200b"),
    _claims("iss in full width", iss=lambda c: "ｈ1-system", sub=lambda c: "ｈ1-system"), _claims("iss in upper case", iss=lambda c: c.identity.upper(), sub=lambda c: c.identity.upper()),
    _claims("iss with a space", iss=lambda c: c.identity + " ", sub=lambda c: c.identity + " "), _claims("iss with SQL", iss="' or '1'='1", sub="' or '1'='1"),
    _claims("iss with NUL", iss=lambda c: c.identity + "\0", sub=lambda c: c.identity + "\0"), _claims("jti of 5,000 bytes", jti="j" * 5000),
    _claims("practitioner an object", extensions={"hl7-b2b": {"version": "1", "subject_id": {"a": 1}}}), _claims("extensions a text", extensions="x"),
]


def _flipped(assertion: str) -> str:
    head, body, signature = assertion.split(".")
    return f"{head}.{body}.{'A' if signature[0] != 'A' else 'B'}{signature[1:]}"


def test_there_are_enough_bad_tokens():
    """S6 asks for at least 120, assertions and access tokens together."""
    assert len(BAD_ASSERTIONS) + len(BAD_ACCESS_TOKENS) >= 120


@pytest.mark.parametrize("bad", BAD_ASSERTIONS, ids=lambda bad: bad.name)
def test_bad_assertions_get_no_token(region, h1, h2, bad: Bad):
    """401 or 403, or 400 with the error OAuth names for it."""
    assertion = bad.make(h1.client, h2.client)
    answer = exchange(region.web, h1.client, assertion)
    assert answer.status in (400, 401, 403), answer
    body = answer.json()
    assert body["error"] in ("invalid_client", "invalid_request", "invalid_grant", "unauthorized_client"), answer
    assert "access_token" not in body
    assert not assertion or len(assertion) < 20 or assertion not in answer.text


@pytest.mark.parametrize(("change", "errors"), [
    ({"grant_type": None}, {"invalid_request", "unsupported_grant_type"}), ({"grant_type": "password"}, {"unsupported_grant_type"}),
    ({"grant_type": "authorization_code"}, {"unsupported_grant_type", "invalid_request", "unauthorized_client"}), ({"client_assertion_type": None}, {"invalid_request", "invalid_client"}),
    ({"client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"}, {"invalid_request", "invalid_client"}),
    ({"client_assertion": None}, {"invalid_request", "invalid_client"}), ({"scope": "patient/*.rs"}, {"invalid_scope"}),
    ({"scope": "user/*.cruds"}, {"invalid_scope"}), ({"scope": "system/*.sr"}, {"invalid_scope"}), ({"scope": "system/*.x"}, {"invalid_scope"}), ({"scope": "openid"}, {"invalid_scope"}), ({"scope": "system/Patiant.rs"}, {"invalid_scope"}),
    ({"scope": "system/*.cruds\u0000"}, {"invalid_scope"}), ({"scope": "operator"}, {"invalid_scope"}), ({"client_id": "another"}, {"invalid_client", "invalid_request"}),
])
def test_bad_token_requests_are_refused(region, h1, change: dict, errors: set[str]):
    """The rest of the form."""
    answer = exchange(region.web, h1.client, **change)
    assert answer.status in (400, 401), answer
    assert answer.json()["error"] in errors, answer
    assert answer.headers["Cache-Control"] == "no-store"


def test_damaged_forms_are_refused(region, h1):
    """Repeated fields, wrong content types, wrong methods."""
    form = [("grant_type", "client_credentials"), ("client_assertion_type", ASSERTION_TYPE), ("scope", "system/*.rs")]
    content_type = {"Content-Type": "application/x-www-form-urlencoded"}
    twice = urlencode(form + [("client_assertion", h1.client.assertion()), ("client_assertion", h1.client.assertion())])
    assert region.web.request("POST", h1.client.token_url, twice, content_type).status == 400
    once = urlencode(form + [("client_assertion", h1.client.assertion())])
    assert region.web.request("POST", h1.client.token_url, once, {"Content-Type": "application/json"}).status in (400, 415)
    assert region.web.request("GET", f"{h1.client.token_url}?{once}").status in (404, 405)
    assert region.web.request("POST", h1.client.token_url, b"\xff\xfe%zz", content_type).status == 400
    assert region.web.request("POST", h1.client.token_url, "a" * 2_000_000, content_type).status in (400, 413)


def test_a_good_assertion_gets_a_bounded_token(region, h1):
    """expires_in of at most 300 s, no refresh token, the scope that was granted, not to be cached."""
    answer = exchange(region.web, h1.client, scope="system/Patient.rs")
    assert answer.status == 200, answer
    body = answer.json()
    assert body["token_type"].lower() == "bearer"
    assert 0 < body["expires_in"] <= 300
    assert body["scope"] == "system/Patient.rs"
    assert "refresh_token" not in body
    assert answer.headers["Cache-Control"] == "no-store"


def test_an_rs384_client_gets_a_token(region, h1):
    """Both algorithms of SMART; the client is registered by the platform API."""
    key = rsa.generate_private_key(65537, 2048)
    public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key()))
    name = f"rsa-{uuid.uuid4().hex[:8]}"
    made = region.api("POST", "/v1/tenants/h1/clients", {
        "id": name, "name": "RSA", "scope": "system/*.rs",
        "jwks": {"keys": [{**{k: public[k] for k in ("kty", "n", "e")}, "alg": "RS384", "use": "sig", "kid": "r1"}]}})
    assert made.status == 201, made
    claims = h1.client.claims(iss=name, sub=name)
    good = h1.client.assertion(claims, {"kid": "r1"}, key, "RS384")
    answer = exchange(region.web, h1.client, good, scope="system/*.rs")
    assert answer.status == 200, answer
    for algorithm in ("RS256", "RS512", "PS384"):
        bad = h1.client.assertion(h1.client.claims(iss=name, sub=name), {"kid": "r1"}, key, algorithm)
        assert exchange(region.web, h1.client, bad, scope="system/*.rs").status in (400, 401)
    wider = h1.client.assertion(h1.client.claims(iss=name, sub=name), {"kid": "r1"}, key, "RS384")
    answer = exchange(region.web, h1.client, wider, scope="system/*.cruds")
    assert answer.status == 400 or "c" not in answer.json()["scope"].split(".")[-1], answer


def test_scopes_are_enforced(region, h1):
    """Each letter of a scope opens one kind of access, for the types it names."""
    def token(scope: str) -> dict:
        answer = exchange(region.web, h1.client, scope=scope)
        assert answer.status == 200, answer
        return {"Authorization": f"Bearer {answer.json()['access_token']}", "Content-Type": "application/fhir+json"}

    stored = h1.fhir.create({"resourceType": "Patient"})
    path, patient = f"{h1.path}/Patient", json.dumps({"resourceType": "Patient"})
    calls = {
        "c": lambda t: region.web.request("POST", path, patient, t), "r": lambda t: region.web.request("GET", f"{path}/{stored['id']}", None, t),
        "u": lambda t: region.web.request("PUT", f"{path}/{stored['id']}", json.dumps({"resourceType": "Patient", "id": stored["id"]}), t),
        "s": lambda t: region.web.request("GET", f"{path}?_count=1", None, t), "d": lambda t: region.web.request("DELETE", f"{path}/{stored['id']}", None, t),
    }
    for letter in "crusd":
        held = token(f"system/Patient.{letter}")
        for other, call in calls.items():
            answer = call(held)
            assert (answer.status < 300) == (other == letter), f"scope {letter}, call {other}: {answer.status}"
            if other != letter:
                assert answer.status == 403
                assert 'error="insufficient_scope"' in answer.headers["WWW-Authenticate"]
        assert region.web.request("GET", f"{h1.path}/Observation?_count=1", None, held).status == 403
        assert region.web.request("GET", f"{h1.path}/AuditEvent?_count=1", None, held).status == 403
        history = region.web.request("GET", f"{h1.path}/_history?_count=50", None, held)
        assert history.status == (200 if letter == "r" else 403)
        if letter == "r":
            assert {e["fullUrl"].split("/")[-2] for e in history.json()["entry"]} == {"Patient"}
    held = token("system/Patient.cruds")
    bundle = {"resourceType": "Bundle", "type": "batch", "entry": [
        {"request": {"method": "GET", "url": "Observation?_count=1"}}, {"request": {"method": "GET", "url": "Patient?_count=1"}},
        {"request": {"method": "POST", "url": "Group"}, "resource": {"resourceType": "Group", "type": "person", "actual": True}}]}
    answer = region.web.request("POST", h1.path, json.dumps(bundle), held)
    assert [e["response"]["status"][:3] for e in answer.json()["entry"]] == ["403", "200", "403"], answer
    for query in ("_has:Observation:patient:code=x", "_revinclude=Observation:subject", "_include=Patient:general-practitioner:Practitioner",
                  "general-practitioner:Practitioner.name=x"):
        answer = region.web.request("GET", f"{path}?{query}", None, held)
        assert answer.status == 403 or (answer.status == 200 and "Observation" not in answer.text), f"{query}: {answer}"


def test_denied_requests_do_not_wait_for_one_another(region, h1):
    """Many refusals at once, each within a transaction of its own, are refusals and no time-outs."""
    narrow = exchange(region.web, h1.client, scope="system/Observation.rs").json()["access_token"]

    def ask(number: int) -> tuple[int, float]:
        began = time.monotonic()
        answer = region.web.request("POST", f"{h1.path}/Patient", '{"resourceType":"Patient"}', {
            "Authorization": f"Bearer {narrow}", "Content-Type": "application/fhir+json", "Idempotency-Key": f"denied-{uuid.uuid4()}"})
        return answer.status, time.monotonic() - began

    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(ask, range(96)))
    assert {status for status, _ in answers} == {403}
    assert max(seconds for _, seconds in answers) < 5


BAD_ACCESS_TOKENS = [
    "", "x", "a.b.c", "null", "Bearer", "..", "eyJhbGciOiJub25lIn0.e30.", "assertion", "none", "changed-signature", "changed-claims", "stripped", "other-key",
    "hs256", "two-tokens", "upper", "space", "long", "expired-shape", "introspected", "operator",
]


@pytest.mark.parametrize("kind", BAD_ACCESS_TOKENS)
def test_bad_access_tokens_are_refused(region, h1, kind: str):
    """401 with a challenge and an OperationOutcome, whatever is asked for."""
    good = str(h1.token)
    head, body, signature = good.split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    header = json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    made = {
        "assertion": lambda: h1.client.assertion(), "none": lambda: f"{encoded({**header, 'alg': 'none'})}.{body}.",
        "changed-signature": lambda: _flipped(good), "changed-claims": lambda: f"{head}.{encoded({**claims, 'scope': 'system/*.cruds user/*.cruds'})}.{signature}",
        "stripped": lambda: f"{head}.{body}.", "other-key": lambda: jwt.encode(claims, STRANGER_EC, "ES384", headers=header),
        "hs256": lambda: hmac_signed(public_pem(h1.client), {**header, "alg": "HS256"}, claims, "HS256"), "two-tokens": lambda: f"{good}, {good}",
        "upper": good.upper, "space": lambda: f"{good} x", "long": lambda: "a" * 9000,
        "expired-shape": lambda: jwt.encode({**claims, "exp": int(NOW()) - 10}, h1.client.key, "ES384", headers=header),
        "introspected": lambda: json.dumps({"active": True}), "operator": lambda: str(region.operator_token),
    }.get(kind, lambda: kind)()
    for path in (f"{h1.path}/Patient?_count=1", f"{h1.path}/Patient/none", "/t/no-such-tenant/fhir/Patient"):
        answer = region.web.request("GET", path, None, {"Authorization": f"Bearer {made}"})
        if kind == "operator":
            assert answer.status in (401, 403, 404), answer
            continue
        assert answer.status in (401, 431), f"{path}: {answer}"
        if answer.status == 401:
            assert "bearer" in answer.headers["WWW-Authenticate"].lower()
            assert answer.json()["resourceType"] == "OperationOutcome"
    if kind != "operator":
        assert region.web.request("GET", "/v1/tenants", None, {"Authorization": f"Bearer {made}"}).status in (401, 431)


@pytest.mark.parametrize("header", [None, "", "Basic eDp5", "Bearer", "bearer", "Token x", "Digest a=b", "{good}", "Basic {good}", "Bearer\t{good}x"])
def test_requests_without_a_bearer_token_are_refused(region, h1, header: str | None):
    """401 on every kind of call."""
    sent = {} if header is None else {"Authorization": header.replace("{good}", str(h1.token))}
    for method, path in (("GET", f"{h1.path}/Patient"), ("POST", f"{h1.path}/Patient"), ("POST", h1.path), ("DELETE", f"{h1.path}/Patient/1"),
                         ("GET", f"{h1.path}/_history"), ("GET", "/v1/tenants"), ("GET", "/t/nobody/fhir/Patient")):
        answer = region.web.request(method, path, None, sent)
        assert answer.status == 401, f"{method} {path}: {answer}"
        assert "WWW-Authenticate" in answer.headers
    in_query = region.web.request("GET", f"{h1.path}/Patient?access_token={h1.token}")
    assert in_query.status in (400, 401)


def test_an_assertion_is_good_once(region, h1):
    """The second use is refused, on whatever worker and connection."""
    for _ in range(5):
        assertion = h1.client.assertion()
        assert exchange(region.web, h1.client, assertion).status == 200
        for _ in range(8):
            region.web.close()
            answer = exchange(region.web, h1.client, assertion)
            assert answer.status in (400, 401) and answer.json()["error"] in ("invalid_client", "invalid_grant"), answer
    claims = h1.client.claims()
    assert exchange(region.web, h1.client, h1.client.assertion(claims)).status == 200
    assert exchange(region.web, h1.client, h1.client.assertion({**claims, "exp": claims["exp"] + 5})).status in (400, 401)


def test_a_used_assertion_stays_used_after_kill_and_restart(region):
    """Kill -9 of every worker, then a stop and start of the whole region."""
    own = region.create_tenant("replay")
    first, second = own.client.assertion(own.client.claims(exp=int(NOW()) + 295)), own.client.assertion(own.client.claims(exp=int(NOW()) + 295))
    assert exchange(region.web, own.client, first).status == 200
    assert exchange(region.web, own.client, second).status == 200
    for pid, command in region.processes().items():
        if command.split(" ")[0].endswith("/medcloudd"):
            os.kill(pid, signal.SIGKILL)
    region.web.close()
    region.wait_ready(10)
    assert exchange(region.web, own.client, first).status in (400, 401)
    region.stop()
    region.start()
    region.web.close()
    for assertion in (first, second):
        assert exchange(region.web, own.client, assertion).status in (400, 401)
    assert exchange(region.web, own.client).status == 200


def test_revocation_is_effective_within_a_second(region, h1):
    """A revoked token and a disabled client's tokens, at every worker."""
    def status(token: str) -> set[int]:
        found = set()
        for _ in range(6):
            region.web.close()
            found.add(region.web.request("GET", f"{h1.path}/Patient?_count=1", None, {"Authorization": f"Bearer {token}"}).status)
        return found

    token = exchange(region.web, h1.client).json()["access_token"]
    assert status(token) == {200}
    form = urlencode({"token": token, "client_assertion_type": ASSERTION_TYPE, "client_assertion": h1.client.assertion()})
    answer = region.web.request(
        "POST", h1.client.token_url.replace("/token", "/revoke"), form, {"Content-Type": "application/x-www-form-urlencoded"})
    assert answer.status == 200, answer
    assert until(lambda: status(token) == {401}, 1.2), "still good after a second"

    key = ec.generate_private_key(ec.SECP384R1())
    public = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(key.public_key()))
    name = f"gone-{uuid.uuid4().hex[:8]}"
    made = region.api("POST", "/v1/tenants/h1/clients", {
        "id": name, "name": "Gone", "scope": "system/*.cruds",
        "jwks": {"keys": [{**{k: public[k] for k in ("kty", "crv", "x", "y")}, "alg": "ES384", "use": "sig", "kid": "k1"}]}})
    assert made.status == 201, made

    def ask():
        claims = h1.client.claims(iss=name, sub=name)
        return exchange(region.web, h1.client, h1.client.assertion(claims, {"kid": "k1"}, key))

    token = ask().json()["access_token"]
    assert status(token) == {200}
    assert region.api("DELETE", f"/v1/tenants/h1/clients/{name}").status < 300
    assert until(lambda: status(token) == {401}, 1.2), "still good after a second"
    assert ask().status in (400, 401)


def test_introspection_and_discovery(region, h1, h2):
    """What the documents say is so."""
    document = region.web.request("GET", f"{h1.path}/.well-known/smart-configuration").json()
    assert document["token_endpoint"] == h1.client.token_url
    assert {"ES384", "RS384"} <= set(document["token_endpoint_auth_signing_alg_values_supported"])
    assert "private_key_jwt" in document["token_endpoint_auth_methods_supported"]
    assert "client_credentials" in document["grant_types_supported"]
    assert {"client-confidential-asymmetric", "permission-v2"} <= set(document["capabilities"])
    keys = region.web.request("GET", document["jwks_uri"]).json()["keys"]
    token = str(h1.token)
    header = jwt.get_unverified_header(token)
    key = next(k for k in keys if k["kid"] == header["kid"])
    assert "d" not in key
    claims = jwt.decode(token, jwt.PyJWK(key).key, ["ES384"], audience=h1.base)
    assert claims["exp"] - claims["iat"] <= 300

    def introspect(tenant, token: str) -> dict:
        form = urlencode({"token": token, "client_assertion_type": ASSERTION_TYPE, "client_assertion": tenant.client.assertion(
            tenant.client.claims())})
        answer = region.web.request(
            "POST", tenant.client.token_url.replace("/token", "/introspect"), form, {"Content-Type": "application/x-www-form-urlencoded"})
        assert answer.status == 200, answer
        return answer.json()

    mine = introspect(h1, token)
    assert mine["active"] is True and mine["client_id"] == h1.client.identity
    assert introspect(h2, token) == {"active": False}
    assert introspect(h1, "nonsense") == {"active": False}
    assert region.web.request("POST", document["introspection_endpoint"], urlencode({"token": token}), {
        "Content-Type": "application/x-www-form-urlencoded"}).status in (400, 401)


def test_nothing_secret_is_logged_or_measured(region: Region, h1):
    """No access token, assertion, private key or patient's name in logs, metrics or command lines."""
    secrets = [str(h1.token), str(region.operator_token), h1.client.assertion()]
    exchange(region.web, h1.client, secrets[2])
    exchange(region.web, h1.client, secrets[2])
    name = f"Geheim{uuid.uuid4().hex}"
    h1.fhir.create({"resourceType": "Patient", "name": [{"family": name}]})
    h1.fhir.get(f"Patient?family={name}")
    h1.fhir.send("POST", "Patient", {"resourceType": "Patient", "name": [{"family": name}], "gender": name})
    h1.fhir.get(f"Patient?nonsense={name}")
    wanted = [part for secret in secrets for part in secret.split(".") if len(part) > 60] + [name]
    wanted.append(json.loads((region.state / "clients" / "h1" / f"{h1.client.identity}.json").read_text())["privateKey"]["d"])
    metrics = region.web.request("GET", "/metrics").text
    logs = [region.log, *(region.state / "logs").glob("**/*")]
    for path in logs:
        if path.is_file():
            text = path.read_text(errors="replace")
            for secret in wanted:
                assert secret not in text, f"{secret[:12]}… in {path}"
    for secret in wanted:
        assert secret not in metrics
        assert secret not in str(region.processes())
    assert len(logs) > 2


def test_key_files_are_private(region: Region, h1):
    """Mode 0600, and never printed."""
    for path in [region.state / "operator.json", *(region.state / "clients" / "h1").glob("*.json")]:
        assert path.stat().st_mode & 0o077 == 0, path
    shown = region.run("tenant", "show", "h1")
    private = json.loads(path.read_text())["privateKey"]["d"]
    assert private not in shown.stdout + shown.stderr
    assert private not in Path(region.log).read_text(errors="replace")
