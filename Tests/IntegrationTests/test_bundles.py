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


def _observation(subject: str) -> dict:
    return {"resourceType": "Observation", "status": "final", "code": {"text": "x"}, "subject": {"reference": subject}}


def _person(mrn: str) -> dict:
    return {"resourceType": "Patient", "identifier": [{"system": "urn:p", "value": mrn}]}


def _ids(answer) -> list[str]:
    """`Type/id` of each entry of a response bundle."""
    assert answer.status == 200, answer
    return ["/".join(e["response"].get("location", "").split("/")[-4:-2]) for e in answer.json()["entry"]]


def test_a_conditional_reference_finds_what_the_transaction_makes(h1):
    """They are resolved last, whatever the order of the entries; a match that is gone then is none."""
    mrn = str(uuid.uuid4())
    reference = f"Patient?identifier=urn:p|{mrn}"
    answer = h1.fhir.send("POST", "", batch([
        entry("POST", "Observation", _observation(reference)), entry("POST", "Patient", _person(mrn))], "transaction"))
    observation, person = _ids(answer)
    assert h1.fhir.get(observation).json()["subject"]["reference"] == person
    assert h1.fhir.get(observation).json()["meta"]["versionId"] == "1"
    # A second one makes it ambiguous, although one was there before.
    refused = h1.fhir.send("POST", "", batch([
        entry("POST", "Patient", _person(mrn)), entry("POST", "Observation", _observation(reference))], "transaction"))
    assert refused.status == 412
    assert "several" in outcome(refused)["issue"][0]["diagnostics"]
    gone = h1.fhir.send("POST", "", batch([
        entry("DELETE", person), entry("POST", "Observation", _observation(reference))], "transaction"))
    assert gone.status == 412
    assert h1.fhir.get(person).status == 200
    # The audit log has each write once: that of the patient, and that of the observation of the patient.
    events = h1.fhir.search(f"AuditEvent?entity={person}&action=C")
    assert len(events) == 2


def test_deletes_of_a_transaction_come_first(h1):
    """A create with a condition does not find what the same transaction deletes."""
    mrn = str(uuid.uuid4())
    old = h1.fhir.create(_person(mrn))
    criteria = f"identifier=urn:p|{mrn}"
    answer = h1.fhir.send("POST", "", batch([
        entry("POST", "Patient", _person(mrn), "urn:uuid:0c3c", ifNoneExist=criteria),
        entry("DELETE", f"Patient?{criteria}"),
        entry("POST", "Observation", _observation("urn:uuid:0c3c")),
    ], "transaction"))
    assert [e["response"]["status"][:3] for e in answer.json()["entry"]] == ["201", "204", "201"], answer
    person, _, observation = _ids(answer)
    assert person != f"Patient/{old['id']}"
    assert h1.fhir.get(f"Patient/{old['id']}").status == 410
    assert h1.fhir.get(observation).json()["subject"]["reference"] == person
    assert h1.fhir.ids(f"Patient?{criteria}") == [person.removeprefix("Patient/")]
    # By id likewise, and nothing to delete is no obstacle.
    answer = h1.fhir.send("POST", "", batch([
        entry("DELETE", person), entry("DELETE", f"Patient?identifier=urn:p|none-{mrn}"),
        entry("PUT", f"Patient?{criteria}", _person(mrn))], "transaction"))
    assert [e["response"]["status"][:3] for e in answer.json()["entry"]] == ["204", "204", "201"], answer


def test_relative_references_follow_the_full_urls(h1):
    """`Patient/1` in the entry `http://a/Observation/2` is the entry `http://a/Patient/1`, not ours of that id."""
    h1.fhir.put({"resourceType": "Patient", "id": "full-url-1"})
    answer = h1.fhir.send("POST", "", batch([
        entry("POST", "Patient", {"resourceType": "Patient", "id": "full-url-1"}, "https://a.example/fhir/Patient/full-url-1"),
        entry("POST", "Observation", _observation("Patient/full-url-1"), "https://a.example/fhir/Observation/2"),
        entry("POST", "Observation", _observation("https://a.example/fhir/Patient/full-url-1"), "urn:uuid:77"),
        entry("POST", "Observation", _observation("Patient/full-url-1"), "https://b.example/fhir/Observation/2"),
        entry("PUT", "Practitioner/full-url-2", {"resourceType": "Practitioner", "id": "full-url-2"},
              "https://a.example/fhir/Practitioner/full-url-2"),
        entry("POST", "Observation", {**_observation("Patient/full-url-1"), "performer": [
            {"reference": "https://a.example/fhir/Practitioner/full-url-2"}]}),
    ], "transaction"))
    person, first, second, other, _, last = _ids(answer)
    assert person != "Patient/full-url-1"
    assert [h1.fhir.get(o).json()["subject"]["reference"] for o in (first, second, other)] == [person, person, "Patient/full-url-1"]
    assert h1.fhir.get(last).json()["performer"] == [{"reference": "Practitioner/full-url-2"}]


def test_a_temporary_reference_that_leads_nowhere_is_refused(h1):
    """Nobody could resolve it later; a stored Bundle keeps its own."""
    nowhere = f"urn:uuid:{uuid.uuid4()}"
    mrn = str(uuid.uuid4())
    answer = h1.fhir.send("POST", "", batch([
        entry("POST", "Patient", _person(mrn)), entry("POST", "Observation", _observation(nowhere))], "transaction"))
    assert answer.status == 400
    issue = outcome(answer)["issue"][0]
    assert issue["expression"] == ["Bundle.entry[1].resource"]
    assert nowhere in issue["diagnostics"]
    assert h1.fhir.ids(f"Patient?identifier={mrn}") == []
    document = {
        "resourceType": "Bundle", "type": "collection", "entry": [
            {"fullUrl": nowhere, "resource": _person(mrn)}, {"fullUrl": "urn:uuid:1", "resource": _observation(nowhere)},
            {"fullUrl": "urn:uuid:2", "resource": _observation("Patient?identifier=nobody")}]}
    kept = _ids(h1.fhir.send("POST", "", batch([entry("POST", "Bundle", document)], "transaction")))[0]
    assert h1.fhir.get(kept).json()["entry"] == document["entry"]


def test_reads_in_bundles_have_their_conditions(h1):
    """ifModifiedSince and ifNoneMatch answer 304, HEAD has no body, `_elements` gives a part."""
    stored = h1.fhir.create({"resourceType": "Patient", "birthDate": "1970-01-01", "active": True})
    url = f"Patient/{stored['id']}"
    for kind in ("batch", "transaction"):
        answer = h1.fhir.send("POST", "", batch([
            entry("GET", url, ifModifiedSince="2099-01-01T00:00:00Z"), entry("GET", url, ifModifiedSince="2001-01-01T00:00:00Z"),
            entry("GET", url, ifNoneMatch='W/"1"'), entry("HEAD", url), entry("GET", url + "?_elements=active"),
        ], kind)).json()
        assert [e["response"]["status"][:3] for e in answer["entry"]] == ["304", "200", "304", "200", "200"]
        assert ["resource" in e for e in answer["entry"]] == [False, True, False, False, True]
        assert "birthDate" not in answer["entry"][4]["resource"]
    bad = h1.fhir.send("POST", "", batch([entry("GET", url, ifModifiedSince="yesterday")])).json()
    assert bad["entry"][0]["response"]["status"].startswith("400")


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


def test_a_bundle_may_ask_for_metadata(h1):
    """Once: it is the same long answer however often."""
    for kind in ("batch", "transaction"):
        answer = h1.fhir.send("POST", "", batch([entry("GET", "metadata"), entry("GET", "Patient?_summary=count")], kind))
        assert answer.status == 200, answer
        first, second = answer.json()["entry"]
        assert first["response"]["status"].startswith("200") and first["resource"] == h1.fhir.get("metadata").json()
        assert second["response"]["status"].startswith("200")
    body = h1.fhir.send("POST", "", batch([entry("GET", "metadata")] * 3)).json()
    assert [e["response"]["status"][:3] for e in body["entry"]] == ["200", "400", "400"]
