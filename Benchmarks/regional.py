"""Everything of one patient across two holders: 500 resources each, with consent, as the reader's client sees it."""

import datetime
import json
import pathlib
import statistics
import time
import urllib.request
import uuid

HOLDERS = ("h1", "h3")
EACH = 500
BASE = "/region/fhir"
REASON = "http://terminology.hl7.org/CodeSystem/v3-ActReason"


def call(region, token: str, path: str, method: str = "GET", body: dict | None = None) -> tuple[dict, bytes]:
    request = urllib.request.Request(
        region.base + path, data=None if body is None else json.dumps(body).encode(), method=method,
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/fhir+json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        content = answer.read()
    return json.loads(content), content


def token(region, client: str) -> str:
    return region.cli(
        "token", "--region", "--client", client, "--practitioner", "Practitioner/bench", "--purpose", "TREAT").strip()


def fill(region, tenant: str, value: str):
    """One patient and its resources, in one transaction."""
    entries = [{
        "fullUrl": "urn:uuid:00000000-0000-4000-8000-000000000001", "request": {"method": "POST", "url": "Patient"},
        "resource": {"resourceType": "Patient", "identifier": [{"use": "official", "system": "urn:bench", "value": value}], "name": [{"family": "Bench"}]}}]
    for number in range(EACH - 1):
        entries.append({"request": {"method": "POST", "url": "Observation"}, "resource": {
            "resourceType": "Observation", "status": "final", "effectiveDateTime": f"2026-01-{number % 28 + 1:02}T08:00:00Z",
            "code": {"coding": [{"system": "http://loinc.org", "code": "8302-2", "display": "Body height"}]},
            "subject": {"reference": "urn:uuid:00000000-0000-4000-8000-000000000001"},
            "valueQuantity": {"value": 150 + number / 10, "unit": "cm", "system": "http://unitsofmeasure.org", "code": "cm"}}})
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    region.fhir(tenant, "/", region.token(tenant), "POST", json.dumps(bundle).encode())


def run(region, figure, note, rounds: int):
    for name, kind in (("h2", "hospital"), ("h3", "hospital"), ("bureau", "bureau")):
        region.cli("tenant", "create", name, "--name", name, "--time-zone", "Europe/Berlin", "--language", "en", "--kind", kind)
    region.cli("client", "create", "bench-reader", "--region", "--institution", "h2")
    region.cli("client", "create", "bench-bureau", "--region", "--institution", "bureau", "--scope", "system/*.cruds")
    reader, bureau = token(region, "bench-reader"), token(region, "bench-bureau")
    value = str(uuid.uuid4())
    for holder in HOLDERS:
        fill(region, holder, value)
    deadline = time.monotonic() + 30
    patient, links = None, 0
    while time.monotonic() < deadline and links < len(HOLDERS):
        found, _ = call(region, reader, f"{BASE}/Patient?identifier=urn:bench%7C{value}")
        if found.get("entry") and patient is None:
            patient = found["entry"][0]["resource"]["id"]
            today = datetime.date.today()
            call(region, bureau, f"{BASE}/Consent", "POST", {
                "resourceType": "Consent", "status": "active", "patient": {"reference": f"Patient/{patient}"},
                "scope": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}]},
                "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
                "policyRule": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "OPTIN"}]},
                "provision": {
                    "type": "permit", "period": {"start": str(today - datetime.timedelta(days=1)), "end": str(today + datetime.timedelta(days=9))},
                    "actor": [{"role": {"coding": [{"code": "IRCP"}]}, "reference": {"reference": "Organization/h2"}}],
                    "purpose": [{"system": REASON, "code": "TREAT"}]}})
        if patient:
            links = len(call(region, reader, f"{BASE}/Patient/{patient}")[0].get("link", []))
        time.sleep(0.05)
    if links < len(HOLDERS):
        raise SystemExit("the region never heard of both holders")
    durations = []
    for _ in range(10 * rounds):
        began = time.monotonic()
        bundle, content = call(region, reader, f"{BASE}/Patient/{patient}/$everything?_count=1000")
        durations.append((time.monotonic() - began) * 1000)
        if bundle["total"] != 2 * EACH + 1:
            raise SystemExit(f"{bundle['total']} resources instead of {2 * EACH + 1}")
    note("regional.bytes", len(content) / 1024, "KiB")
    note("regional.slowest", max(durations), "ms")
    figure("regional.everything", statistics.median(durations), "ms", 200, False)
