"""Clients nobody here wrote, unmodified."""

from __future__ import annotations

import asyncio
import importlib
import json
import subprocess
import uuid

import pytest
from fhirpy import AsyncFHIRClient, SyncFHIRClient


def test_fhirpy_sync(h1):
    """fhirpy 2.3.1: save, read, search, include, update, patch, get or create, delete."""
    client = SyncFHIRClient(h1.base, authorization=f"Bearer {h1.token}")
    mrn = str(uuid.uuid4())
    patient = client.resource("Patient", name=[{"family": "Fhirpy", "given": ["Sync"]}], identifier=[{"system": "urn:fp", "value": mrn}])
    patient.save()
    assert patient.id
    found = client.resources("Patient").search(identifier=f"urn:fp|{mrn}").fetch()
    assert [p.id for p in found] == [patient.id]
    assert client.resources("Patient").search(identifier=f"urn:fp|{mrn}").count() == 1
    patient["birthDate"] = "1980-01-01"
    patient.save()
    assert client.reference("Patient", patient.id).to_resource()["birthDate"] == "1980-01-01"
    patient.patch(gender="female", birthDate=None)
    read = client.reference("Patient", patient.id).to_resource()
    assert (read["gender"], read.get("birthDate"), read["name"][0]["family"]) == ("female", None, "Fhirpy")
    matching = client.resources("Patient").search(identifier=f"urn:fp|{mrn}")
    same, is_new = matching.get_or_create(client.resource("Patient", identifier=[{"system": "urn:fp", "value": mrn}]))
    assert (same.id, is_new) == (patient.id, False)
    assert matching.patch(active=True)["active"] is True
    updated, is_new = matching.update(client.resource("Patient", identifier=[{"system": "urn:fp", "value": mrn}], name=[{"family": "Fhirpy"}]))
    assert (updated.id, is_new) == (patient.id, False)
    other = client.resources("Patient").search(identifier=f"urn:fp|{mrn}-2")
    made, is_new = other.get_or_create(client.resource("Patient", identifier=[{"system": "urn:fp", "value": f"{mrn}-2"}]))
    assert is_new and made.id != patient.id
    assert other.first().id == made.id and other.get().id == made.id
    other.delete()
    assert other.first() is None
    # Saved again with its id: the patch and update above made new versions.
    patient = client.reference("Patient", patient.id).to_resource()
    observations = []
    for number in range(7):
        observation = client.resource(
            "Observation", status="final", code={"text": str(number)}, subject=patient.to_reference())
        observation.save()
        observations.append(observation.id)
    listed = client.resources("Observation").search(subject=f"Patient/{patient.id}").limit(3).fetch_all()
    assert sorted(o.id for o in listed) == sorted(observations)
    bundle = client.resources("Observation").search(subject=f"Patient/{patient.id}").include("Observation", "subject").fetch_raw()
    assert {e["resource"]["resourceType"] for e in bundle["entry"]} == {"Observation", "Patient"}
    for identity in observations:
        client.resource("Observation", id=identity).delete()
    patient.delete()
    assert client.resources("Patient").search(identifier=f"urn:fp|{mrn}").fetch() == []


def test_fhirpy_async(h1):
    """The asynchronous client, many at once."""
    async def use() -> list[str]:
        client = AsyncFHIRClient(h1.base, authorization=f"Bearer {h1.token}")
        mrn = str(uuid.uuid4())

        async def make(number: int) -> str:
            patient = client.resource("Patient", identifier=[{"system": "urn:fa", "value": f"{mrn}-{number}"}])
            await patient.save()
            return patient.id

        ids = await asyncio.gather(*(make(number) for number in range(20)))
        values = ",".join(f"urn:fa|{mrn}-{number}" for number in range(20))
        found = await client.resources("Patient").search(identifier=values).limit(6).fetch_all()
        assert sorted(p.id for p in found) == sorted(ids)
        await client.resource("Patient", id=ids[0]).delete()
        return ids

    assert len(asyncio.run(use())) == 20


def test_fhirclient(h1):
    """fhirclient 4.4.0: metadata, create, read, search, update, delete."""
    fhirclient = importlib.import_module("fhirclient.client")
    models = {n: importlib.import_module(f"fhirclient.models.{n}") for n in ("patient", "humanname", "identifier")}
    smart = fhirclient.FHIRClient(settings={"app_id": "test", "api_base": h1.base})
    smart.server.session.headers["Authorization"] = f"Bearer {h1.token}"
    assert smart.server.capabilityStatement.fhirVersion == "4.0.1"
    mrn = str(uuid.uuid4())
    patient = models["patient"].Patient({
        "name": [{"family": "Fhirclient", "given": ["X"]}], "identifier": [{"system": "urn:fc", "value": mrn}]})
    created = patient.create(smart.server)
    assert created["resourceType"] == "Patient"
    read = models["patient"].Patient.read(created["id"], smart.server)
    assert read.name[0].family == "Fhirclient"
    found = models["patient"].Patient.where({"identifier": f"urn:fc|{mrn}"}).perform_resources(smart.server)
    assert [p.id for p in found] == [created["id"]]
    read.gender = "other"
    read.update(smart.server)
    assert models["patient"].Patient.read(created["id"], smart.server).gender == "other"
    read.delete()
    assert models["patient"].Patient.where({"identifier": f"urn:fc|{mrn}"}).perform_resources(smart.server) == []


@pytest.mark.parametrize("name", ["patient", "observation", "encounter", "bundle", "condition"])
def test_fhir_resources_parses_what_is_served(h1, name: str):
    """fhir.resources 8.3.0 (its R4B models) accepts stored resources and searchsets."""
    module = importlib.import_module(f"fhir.resources.R4B.{name}")
    model = getattr(module, name.capitalize())
    mrn = str(uuid.uuid4())
    person = h1.fhir.create({"resourceType": "Patient", "identifier": [{"system": "urn:fr", "value": mrn}], "name": [{"family": "李"}]})
    subject = {"reference": f"Patient/{person['id']}"}
    resources = {
        "patient": person,
        "observation": {"resourceType": "Observation", "status": "final", "code": {"text": "x"}, "subject": subject, "valueQuantity": {"value": 1.5}},
        "encounter": {"resourceType": "Encounter", "status": "finished", "class": {"system": "urn:c", "code": "AMB"}, "subject": subject},
        "condition": {"resourceType": "Condition", "subject": subject, "code": {"text": "x"}},
    }
    if name == "bundle":
        h1.fhir.create(resources["observation"])
        text = h1.fhir.get(f"Observation?subject=Patient/{person['id']}&_include=Observation:subject").text
        assert len(model.model_validate_json(text).entry) == 2
        history = h1.fhir.get(f"Patient/{person['id']}/_history").text
        assert len(model.model_validate_json(history).entry) == 1
        return
    stored = person if name == "patient" else h1.fhir.create(resources[name])
    text = h1.fhir.get(f"{stored['resourceType']}/{stored['id']}").text
    assert model.model_validate_json(text).id == stored["id"]


def test_curl(h1, curl: str):
    """What the documentation prints."""
    def run(*arguments: str) -> str:
        command = [curl, "-sS", "--fail-with-body", "-H", f"Authorization: Bearer {h1.token}", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout

    created = json.loads(run(
        "-X", "POST", "-H", "Content-Type: application/fhir+json", "-d", '{"resourceType":"Patient","gender":"female"}', f"{h1.base}/Patient"))
    assert json.loads(run(f"{h1.base}/Patient/{created['id']}"))["gender"] == "female"
    assert json.loads(run(f"{h1.base}/Patient?_id={created['id']}"))["type"] == "searchset"
    assert "HTTP/1.1 200" in run("-I", f"{h1.base}/metadata") or json.loads(run(f"{h1.base}/metadata"))
    big = json.dumps({"resourceType": "Patient", "name": [{"text": "x" * 20000}]})
    assert json.loads(run("-X", "POST", "-H", "Content-Type: application/fhir+json", "-H", "Expect: 100-continue", "-d", big, f"{h1.base}/Patient"))
    run("-X", "DELETE", f"{h1.base}/Patient/{created['id']}")


def test_the_cli_hands_out_a_token_for_curl(region, h1):
    """`medcloud token --tenant T --client C` prints a token and nothing else on standard output."""
    result = region.run("token", "--tenant", "h1", "--client", h1.client.identity)
    token = result.stdout.strip()
    assert token.count("\n") == 0
    answer = region.web.request("GET", f"{h1.path}/Patient?_count=1", None, {"Authorization": f"Bearer {token}"})
    assert answer.status == 200
