"""A tenant's administrator, and calls of the platform API in somebody else's name than the operator's."""

from __future__ import annotations

import json
import uuid

from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from .region import Region
from .tokens import AccessToken, Client
from .web import Answer


def administrator(region: Region, tenant: str) -> AccessToken:
    """A token of the tenant's administrator, made when it is first asked for."""
    path = region.state / "clients" / tenant / f"{tenant}-admin-test.json"
    if not path.exists():
        key = ec.generate_private_key(ec.SECP384R1())
        private = {**json.loads(ECAlgorithm.to_jwk(key)), "kid": "admin", "alg": "ES384"}
        public = {name: value for name, value in private.items() if name != "d"}
        answer = region.api("POST", f"/v1/tenants/{tenant}/clients", {
            "id": path.stem, "name": "Administrator", "kind": "tenant-administrator", "scope": "system/Patient.rs",
            "jwks": {"keys": [public]}})
        assert answer.status == 201, answer
        path.write_text(json.dumps({
            "clientID": path.stem, "privateKey": private, "tokenURL": answer.json()["tokenEndpoint"],
            "scope": "system/Patient.rs"}))
    return AccessToken(region.web, Client(path))


def call(region: Region, token, method: str, path: str, body=None, **headers: str) -> Answer:
    """One call with another's token."""
    sent = {"Authorization": f"Bearer {token}", "Idempotency-Key": str(uuid.uuid4()), **headers}
    if body is not None:
        sent["Content-Type"] = "application/json"
        body = json.dumps(body)
    return region.web.request(method, path, body, sent)
