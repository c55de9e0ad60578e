"""The client's side of SMART Backend Services: signed assertions and access tokens."""

from __future__ import annotations

import json
import threading
import time
import uuid
from pathlib import Path
from urllib.parse import urlencode

import jwt
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from .web import Answer, Web

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class Client:
    """An OAuth client out of the key file that `medcloud tenant create` wrote."""

    def __init__(self, path: Path) -> None:
        document = json.loads(path.read_text())
        self.document = document
        self.identity: str = _first(document, "clientId", "client_id", "clientID", "id")
        self.token_url: str = _first(document, "tokenUrl", "tokenEndpoint", "token_endpoint", "tokenURL", "token_url")
        self.base: str | None = _first(document, "fhirBase", "fhir_base", "baseUrl", "base", "fhirBaseURL", "baseURL", default=None)
        self.scope: str = _first(document, "scope", "scopes", default="system/*.cruds")
        if isinstance(self.scope, list):
            self.scope = " ".join(self.scope)
        jwk = _first(document, "privateKey", "jwk", "key", "private_jwk", "privateJwk", "privateKeyJwk", "private_key", default=None)
        pem = _first(document, "privateKeyPem", "pem", "privateKeyPEM", "private_key_pem", default=None)
        if isinstance(jwk, str) and jwk.startswith("-----"):
            jwk, pem = None, jwk
        if isinstance(jwk, str):
            jwk = json.loads(jwk)
        if jwk is not None:
            self.algorithm = jwk.get("alg") or {"EC": "ES384", "RSA": "RS384"}[jwk["kty"]]
            kind = ECAlgorithm if jwk["kty"] == "EC" else RSAAlgorithm
            self.key = kind.from_jwk(json.dumps(jwk))
            self.key_id = jwk.get("kid") or _first(document, "kid", "keyId", "keyID")
        else:
            from cryptography.hazmat.primitives.serialization import load_pem_private_key

            self.key = load_pem_private_key(pem.encode(), None)
            self.algorithm = _first(document, "algorithm", "alg", default="ES384")
            self.key_id = _first(document, "kid", "keyId", "keyID", "key_id")

    def claims(self, **changes) -> dict:
        """The claims of a valid assertion, changed as asked; a value of None takes a claim out."""
        now = int(time.time())
        claims = {
            "iss": self.identity, "sub": self.identity, "aud": self.token_url, "iat": now, "exp": now + 240,
            "jti": str(uuid.uuid4()),
        }
        claims.update(changes)
        return {name: value for name, value in claims.items() if value is not None}

    def assertion(self, claims: dict | None = None, headers: dict | None = None, key=None, algorithm: str | None = None) -> str:
        """A signed assertion."""
        head = {"kid": self.key_id, "typ": "JWT", **(headers or {})}
        return jwt.encode(
            claims or self.claims(), key or self.key, algorithm=algorithm or self.algorithm,
            headers={name: value for name, value in head.items() if value is not None})


def exchange(web: Web, client: Client, assertion: str | None = None, **form) -> Answer:
    """One token request; a form value of None takes the field out."""
    fields = {
        "grant_type": "client_credentials", "scope": client.scope, "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": assertion if assertion is not None else client.assertion(), **form,
    }
    fields = {name: value for name, value in fields.items() if value is not None}
    return web.request(
        "POST", client.token_url, urlencode(fields), {"Content-Type": "application/x-www-form-urlencoded"})


class AccessToken:
    """An access token that is renewed before it runs out. Safe to share between threads."""

    def __init__(self, web: Web, client: Client, scope: str | None = None) -> None:
        self._web, self._client, self._scope = web, client, scope
        self._text, self._until, self._lock = "", 0.0, threading.Lock()

    def __str__(self) -> str:
        with self._lock:
            if time.monotonic() > self._until:
                answer = exchange(self._web, self._client, scope=self._scope or self._client.scope)
                assert answer.status == 200, answer
                body = answer.json()
                self._text = body["access_token"]
                self._until = time.monotonic() + body["expires_in"] / 2
            return self._text


def _first(document: dict, *names: str, default=...):
    for name in names:
        if name in document:
            return document[name]
    if default is ...:
        raise KeyError(f"none of {names} in {sorted(document)}")
    return default
