"""Batch and transaction bundles."""

from __future__ import annotations

import json
import time
import uuid

from blackbox.fhir import batch, outcome


def entry(method: str, url: str, resource: dict | None = None, full_url: str | None = None, **conditions: str) -> dict:
    """A bundle entry."""
    made: dict = {"request": {"method": method, "url": url, **conditions}}
    if resource is not None:
        made["resource"] = resource
    if full_url is not None:
        made["fullUrl"] = full_url
    return made


def test_a_transaction_resolves_references_between_its_entries(h1):
    """urn:uuid and conditional references become ids, everywhere in the resource."""
    mrn = str(uuid.uuid4())
    known = h1.fhir.create({"resourceType": "Organization", "identifier": [{"system": "urn:o", "value": mrn}]})
    one, two = f"urn:uuid:{uuid.uuid4()}", f"urn:uuid:{uuid.uuid4()}"
    bundle = batch([
        entry("POST", "Observation", {
            "resourceType": "Observation", "status": "final", "code": {"text": "x"}, "subject": {"reference": one},
            "text": {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml"><a href="{one}">p</a></div>'},
            "performer": [{"reference": f"Organization?identifier=urn:o|{mrn}"}], "hasMember": [{"reference": two}],
        }),
        entry("POST", "Observation", {
            "resourceType": "Observation", "status": "final", "code": {"text": "y"}, "subject": {"reference": one}}, two),
        entry("POST", "Patient", {"resourceType": "Patient", "identifier": [{"system": "urn:p", "value": mrn}]}, one,
              ifNoneExist=f"identifier=urn:p|{mrn}"),
        entry("GET", f"Organization/{known['id']}"),
    ], "transaction")
    answer = h1.fhir.send("POST", "", bundle)
    assert answer.status == 200, answer
    body = answer.json()
    assert body["type"] == "transaction-response"
    statuses = [e["response"]["status"][:3] for e in body["entry"]]
    assert statuses == ["201", "201", "201", "200"]
    locations = [e["response"].get("location", "").removeprefix(f"{h1.base}/") for e in body["entry"]]
    observation, member, person = ["/".join(l.split("/")[:2]) for l in locations[:3]]
    stored = h1.fhir.get(observation).json()
    assert stored["subject"]["reference"] == person
    assert stored["hasMember"] == [{"reference": member}]
    assert stored["performer"] == [{"reference": f"Organization/{known['id']}"}]
    assert one not in json.dumps(stored)
    assert body["entry"][3]["resource"]["id"] == known["id"]
    again = h1.fhir.send("POST", "", bundle).json()
    assert again["entry"][2]["response"]["status"].startswith("200")
    assert again["entry"][2]["response"]["location"].startswith(body["entry"][2]["response"]["location"].split("/_history")[0])


def test_a_transaction_is_all_or_nothing(h1):
    """One bad entry, and none is stored; the outcome names it."""
    mrn = str(uuid.uuid4())
    good = {"resourceType": "Patient", "identifier": [{"system": "urn:t", "value": mrn}]}
    for bad in (
        entry("POST", "Patient", {"resourceType": "Patient", "gender": "wrong"}),
        entry("PUT", "Patient/absent", {"resourceType": "Patient", "id": "absent"}, ifMatch='W/"4"'),
        entry("POST", "Observation", {"resourceType": "Observation"}),
        entry("GET", "Patient/absent"),
    ):
        answer = h1.fhir.send("POST", "", batch([entry("POST", "Patient", good), bad], "transaction"))
        assert 400 <= answer.status < 500, answer
        text = json.dumps(outcome(answer))
        assert "entry[1]" in text or "absent" in text, text
        assert h1.fhir.count(f"Patient?identifier=urn:t|{mrn}") == 0


def test_a_batch_answers_each_entry_on_its_own(h1):
    """Failures stay with their entry."""
    mrn = str(uuid.uuid4())
    good = {"resourceType": "Patient", "identifier": [{"system": "urn:b", "value": mrn}]}
    answer = h1.fhir.send("POST", "", batch([
        entry("POST", "Patient", good), entry("POST", "Patient", {"resourceType": "Patient", "gender": "wrong"}),
        entry("GET", "Patient/never-was"), entry("GET", f"Patient?identifier=urn:b|{mrn}"), entry("GET", "Patient?nonsense=1"),
        entry("DELETE", f"Patient?identifier=urn:b|{mrn}"), entry("PUT", "Patient/batch-put", {"resourceType": "Patient", "id": "batch-put"}),
    ]))
    assert answer.status == 200, answer
    body = answer.json()
    assert body["type"] == "batch-response"
    statuses = [e["response"]["status"][:3] for e in body["entry"]]
    assert statuses[0] == "201"
    assert statuses[1] in ("400", "422")
    assert statuses[2:5] == ["404", "200", "400"]
    assert statuses[5] in ("200", "204")
    assert statuses[6] in ("200", "201")
    for position in (1, 2, 4):
        assert body["entry"][position]["response"]["outcome"]["resourceType"] == "OperationOutcome"


def test_the_same_resource_twice_in_a_transaction_is_refused(h1):
    """Identities may not overlap (http.html#trules)."""
    identity = f"twice-{uuid.uuid4()}"
    resource = {"resourceType": "Patient", "id": identity}
    answer = h1.fhir.send("POST", "", batch([entry("PUT", f"Patient/{identity}", resource)] * 2, "transaction"))
    assert 400 <= answer.status < 500, answer
    assert h1.fhir.get(f"Patient/{identity}").status == 404
    mrn = str(uuid.uuid4())
    upsert = entry("PUT", f"Patient?identifier=urn:t|{mrn}", {
        "resourceType": "Patient", "identifier": [{"system": "urn:t", "value": mrn}]})
    answer = h1.fhir.send("POST", "", batch([upsert] * 2, "transaction"))
    assert 400 <= answer.status < 500, answer
    assert h1.fhir.count(f"Patient?identifier=urn:t|{mrn}") == 0


def test_a_transaction_of_thousands_is_taken_whole(h1):
    """No limit on entries: 3,419 observations, the size of the largest patient seen."""
    code = str(uuid.uuid4())
    observation = {"resourceType": "Observation", "status": "final", "code": {"coding": [{"system": "urn:c", "code": code}]}}
    began = time.monotonic()
    answer = h1.fhir.send("POST", "", batch([entry("POST", "Observation", observation)] * 3419, "transaction"))
    assert answer.status == 200, answer.text[:500]
    assert time.monotonic() - began < 25
    assert h1.fhir.count(f"Observation?code=urn:c|{code}") == 3419


def test_a_body_over_the_limit_is_refused(h1):
    """8 MiB for single resources, 64 MiB for bundles: 413 with an outcome, and the server goes on."""
    answer = h1.fhir.send("POST", "Patient", {"resourceType": "Patient", "name": [{"text": "x" * 900}] * 10_000})
    assert answer.status == 413, answer.text[:300]
    outcome(answer)
    assert h1.fhir.get("Patient?_count=1").status == 200


def test_unknown_bundle_types_are_refused(h1):
    """Only batch and transaction are processed at the base."""
    for kind in ("collection", "document", "history", "searchset"):
        answer = h1.fhir.send("POST", "", {"resourceType": "Bundle", "type": kind})
        assert 400 <= answer.status < 500, kind
        outcome(answer)
    answer = h1.fhir.send("POST", "", {"resourceType": "Patient"})
    assert 400 <= answer.status < 500
    assert h1.fhir.send("POST", "", batch([])).status == 200
