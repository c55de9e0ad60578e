"""Audit from the first day: every access leaves an AuditEvent that can be searched and not written."""

from __future__ import annotations

import importlib
import json
import uuid

import pytest

from blackbox.region import Tenant, until
from blackbox.tokens import exchange


@pytest.fixture
def own(new_tenant) -> Tenant:
    return new_tenant()


def events(tenant: Tenant, query: str) -> list[dict]:
    """Matching audit events, newest first."""
    return tenant.fhir.search(f"AuditEvent?{query}&_sort=-date&_count=100")


def test_each_interaction_is_recorded_with_who_what_and_outcome(own):
    """create, read, update, delete, search, each with the patient it is about."""
    patient = own.fhir.create({"resourceType": "Patient"}, X_Request_Id=(request := str(uuid.uuid4())))
    reference = f"Patient/{patient['id']}"
    own.fhir.get(reference)
    own.fhir.put({**patient, "gender": "male"})
    own.fhir.get(f"Observation?patient={patient['id']}")
    own.fhir.send("DELETE", reference)
    assert own.fhir.get(reference).status == 410
    found = events(own, f"entity={reference}")
    actions = [e["action"] for e in found]
    assert {"C", "R", "U", "D"} <= set(actions), actions
    created = next(e for e in found if e["action"] == "C")
    assert created["outcome"] == "0"
    assert own.client.identity in str(created["agent"])
    assert request in str(created)
    assert sorted(set(e["id"] for e in found)) == sorted(e["id"] for e in found)
    by_patient = events(own, f"patient={reference}")
    assert len(by_patient) >= 5
    search = next(e for e in events(own, "action=E") if "Observation" in str(e))
    assert search["entity"]


def test_denials_are_recorded(own, region):
    """403 and 404 leave their event with an outcome that is not success."""
    narrow = exchange(region.web, own.client, scope="system/Observation.rs").json()["access_token"]
    answer = region.web.request("GET", f"{own.path}/Patient/secret", None, {"Authorization": f"Bearer {narrow}"})
    assert answer.status == 403
    assert any(e["outcome"] != "0" for e in events(own, "date=gt2020")), "no denial recorded"


def test_practitioner_and_purpose_of_the_assertion_are_recorded(own, region):
    """A system client may name whom it acts for and why."""
    claims = own.client.claims(extensions={"hl7-b2b": {"version": "1", "subject_id": "Practitioner/17", "purpose_of_use": ["TREAT"]}})
    token = exchange(region.web, own.client, own.client.assertion(claims)).json()["access_token"]
    stored = own.fhir.create({"resourceType": "Patient"})
    assert region.web.request("GET", f"{own.path}/Patient/{stored['id']}", None, {"Authorization": f"Bearer {token}"}).status == 200
    event = next(e for e in events(own, f"entity=Patient/{stored['id']}") if e["action"] == "R")
    assert "Practitioner/17" in str(event)
    assert "TREAT" in str(event)


def test_a_read_is_recorded_before_its_answer(own):
    """What was answered is in the log, at once."""
    stored = own.fhir.create({"resourceType": "Patient"})
    for expected in range(1, 6):
        own.fhir.get(f"Patient/{stored['id']}")
        reads = [e for e in events(own, f"entity=Patient/{stored['id']}") if e["action"] == "R"]
        assert len(reads) == expected


def test_a_failed_write_leaves_no_trace_of_success(own):
    """A refused update is a U with outcome 4, and none with outcome 0."""
    stored = own.fhir.create({"resourceType": "Patient"})
    assert own.fhir.send("PUT", f"Patient/{stored['id']}", stored, If_Match='W/"9"').status == 412
    updates = [e for e in events(own, f"entity=Patient/{stored['id']}") if e["action"] == "U"]
    assert [e["outcome"] for e in updates] == ["4"]


def test_audit_events_cannot_be_written_changed_or_deleted(own):
    """By no interaction, and not through a bundle."""
    own.fhir.create({"resourceType": "Patient"})
    event = events(own, "action=C")[0]
    read = own.fhir.get(f"AuditEvent/{event['id']}")
    assert read.status == 200
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        path = "AuditEvent" if method == "POST" else f"AuditEvent/{event['id']}"
        answer = own.fhir.send(method, path, event if method != "DELETE" else None)
        assert answer.status in (403, 405), answer
        bundle = {"resourceType": "Bundle", "type": "batch", "entry": [{
            "request": {"method": method, "url": path}, **({"resource": event} if method != "DELETE" else {})}]}
        assert own.fhir.send("POST", "", bundle).json()["entry"][0]["response"]["status"][0] == "4"
    assert own.fhir.get(f"AuditEvent/{event['id']}").json() == read.json()


def test_audit_events_are_valid_resources(own):
    """fhir.resources accepts them, and they can be stored by another server of ours as they are."""
    model = importlib.import_module("fhir.resources.R4B.auditevent").AuditEvent
    own.fhir.create({"resourceType": "Patient"})
    assert until(lambda: len(events(own, "date=gt2020")) > 0, 2)
    for event in events(own, "date=gt2020"):
        model.model_validate_json(json.dumps(event))
        assert {"type", "recorded", "agent", "source"} <= set(event)


@pytest.mark.parametrize("query", ["action=C", "outcome=0", "date=ge2020-01-01", "type=rest", "subtype=create", "agent-name=x", "_id=audit-1"])
def test_declared_audit_searches_answer(own, query: str):
    """Those that metadata declares for AuditEvent, and an undeclared one is refused."""
    statement = own.fhir.get("metadata").json()
    declared = {p["name"] for r in statement["rest"][0]["resource"] if r["type"] == "AuditEvent" for p in r["searchParam"]}
    answer = own.fhir.get(f"AuditEvent?{query}")
    name = query.split("=")[0]
    assert answer.status == (200 if name in declared else 400), answer
