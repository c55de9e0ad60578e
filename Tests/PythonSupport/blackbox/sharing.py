"""The region's FHIR base as its clients see it: clients for institutions, consents, and tokens that say on whose behalf."""

from __future__ import annotations

import datetime
import threading
import time
import uuid

from .fhir import Fhir
from .region import Region, until
from .tokens import Client, exchange

BASE = "/region/fhir"
REASON = "http://terminology.hl7.org/CodeSystem/v3-ActReason"


class BehalfToken:
    """A region token whose assertion names practitioner and purpose; None leaves one out. Renewed before it runs out."""

    def __init__(self, region: Region, client: Client, practitioner: str | None, purpose: str | None, scope: str | None = None) -> None:
        self._region, self._client, self._scope = region, client, scope
        self._named = {k: v for k, v in (("subject_id", practitioner), ("purpose_of_use", [purpose] if purpose else None)) if v}
        self._text, self._until, self._lock = "", 0.0, threading.Lock()

    def __str__(self) -> str:
        with self._lock:
            if time.monotonic() > self._until:
                extensions = {"hl7-b2b": {"version": "1", **self._named}} if self._named else None
                assertion = self._client.assertion(self._client.claims(extensions=extensions))
                answer = exchange(self._region.web, self._client, assertion, scope=self._scope or self._client.scope)
                assert answer.status == 200, answer
                self._text = answer.json()["access_token"]
                self._until = time.monotonic() + 150
            return self._text


class Reader:
    """A client of the region that acts for an institution."""

    def __init__(self, region: Region, institution: str, scope: str = "system/*.rs") -> None:
        self.region, self.institution = region, institution
        name = f"{institution}-{uuid.uuid4().hex[:6]}"
        region.run("client", "create", name, "--region", "--institution", institution, "--scope", scope)
        self.client = Client(region.state / "clients" / "region" / f"{name}.json")
        self.fhir = self.on_behalf()

    def on_behalf(self, practitioner: str | None = "Practitioner/dr-2", purpose: str | None = "TREAT", scope: str | None = None) -> Fhir:
        """The region's base with a token that names these."""
        return Fhir(self.region.web, BASE, BehalfToken(self.region, self.client, practitioner, purpose, scope))

    def find(self, identifier: str) -> str:
        """The region's id of a patient; waits until the index has heard of it."""
        found: list[str] = []

        def known() -> bool:
            answer = self.fhir.get(f"Patient?identifier={identifier}")
            assert answer.status == 200, answer
            found[:] = [e["resource"]["id"] for e in answer.json().get("entry", [])]
            return bool(found)
        assert until(known, 20, 0.05), f"the region never heard of {identifier}"
        return found[0]


def consent(patient: str, *institutions: str, purposes=("TREAT",), status: str = "active", types=(), days: int = 365,
            deny: bool = False, **changes) -> dict:
    """A Consent by the region's profile; with `deny` a denial."""
    today = datetime.date.today()
    provision = {
        "type": "deny" if deny else "permit", "period": {"start": str(today - datetime.timedelta(days=1)), "end": str(today + datetime.timedelta(days=days))},
        "actor": [{
            "role": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "IRCP"}]},
            "reference": {"reference": f"Organization/{name}"}} for name in institutions],
        "purpose": [{"system": REASON, "code": code} for code in purposes]}
    if types:
        provision["class"] = [{"system": "http://hl7.org/fhir/resource-types", "code": name} for name in types]
    return {
        "resourceType": "Consent", "status": status, "patient": {"reference": f"Patient/{patient}"},
        "scope": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}]},
        "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
        "policyRule": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "OPTOUT" if deny else "OPTIN"}]},
        "provision": provision, **changes}


def code(answer) -> str | None:
    """The problem code of an OperationOutcome."""
    for issue in answer.json().get("issue", []):
        for coding in issue.get("details", {}).get("coding", []):
            if coding.get("system") == "urn:medcloud:problem":
                return coding["code"]
    return None


def resources(bundle: dict, mode: str = "match") -> list[dict]:
    """The resources of a searchset's entries of one mode."""
    return [e["resource"] for e in bundle.get("entry", []) if e.get("search", {}).get("mode") == mode]
