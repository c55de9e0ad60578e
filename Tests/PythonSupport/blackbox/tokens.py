"""The client's side of SMART Backend Services: signed assertions and access tokens."""

from __future__ import annotations

import json
import threading
import time
import uuid
from pathlib import Path
from urllib.parse import urlencode

import jwt

from .web import Answer, Web

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class Client:
    """An OAuth client out of a key file: that of a tenant's client, or the operator's profile."""

    def __init__(self, path: Path) -> None:
        document = json.loads(path.read_text())
        self.identity: str = document["clientID"]
        key = document["privateKey"]
        self.key_id: str = key["kid"]
        self.key = jwt.PyJWK(key).key
        self.algorithm = "ES384"
        self.token_url: str = document.get("tokenURL") or document["baseURL"] + "/region/oauth2/token"
        self.base: str | None = document.get("fhirBase")
        self.scope: str = document.get("scope", "")

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
