"""The FHIR REST interactions on single resources, with their headers (https://hl7.org/fhir/R4/http.html)."""

from __future__ import annotations

import datetime
import email.utils
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlencode

import pytest

from blackbox.fhir import link, outcome


def patient(**members) -> dict:
    """A patient with an identifier of its own."""
    return {
        "resourceType": "Patient", "identifier": [{"system": "urn:test:mrn", "value": str(uuid.uuid4())}], "gender": "female",
        **members,
    }


def identifier(resource: dict) -> str:
    """The token search value of a resource's first identifier."""
    return f"urn:test:mrn|{resource['identifier'][0]['value']}"


def test_create_answers_with_location_etag_and_last_modified(h1):
    """201 and where the version lies."""
    answer = h1.fhir.send("POST", "Patient", patient(id="client-chosen"))
    assert answer.status == 201
    body = answer.json()
    assert body["id"] != "client-chosen"
    assert answer.headers["ETag"] == 'W/"1"'
    assert answer.headers["Location"] == f"{h1.base}/Patient/{body['id']}/_history/1"
    assert body["meta"]["versionId"] == "1"
    modified = email.utils.parsedate_to_datetime(answer.headers["Last-Modified"])
    stated = datetime.datetime.fromisoformat(body["meta"]["lastUpdated"].replace("Z", "+00:00"))
    assert abs((stated - modified).total_seconds()) < 1.5
    assert answer.headers["Content-Type"].startswith("application/fhir+json")


def test_prefer_return_chooses_the_body(h1):
    """minimal, representation and OperationOutcome."""
    minimal = h1.fhir.send("POST", "Patient", patient(), Prefer="return=minimal")
    assert (minimal.status, minimal.body) == (201, b"")
    full = h1.fhir.send("POST", "Patient", patient(), Prefer="return=representation")
    assert full.json()["resourceType"] == "Patient"
    outcome(h1.fhir.send("POST", "Patient", patient(), Prefer="return=OperationOutcome"))


def test_read_and_version_read(h1):
    """Each version stays readable."""
    first = h1.fhir.create(patient(gender="female"))
    h1.fhir.put({**first, "gender": "male"})
    now = h1.fhir.get(f"Patient/{first['id']}")
    assert now.json()["gender"] == "male"
    assert now.headers["ETag"] == 'W/"2"'
    old = h1.fhir.get(f"Patient/{first['id']}/_history/1")
    assert old.json()["gender"] == "female"
    assert old.headers["ETag"] == 'W/"1"'
    outcome(h1.fhir.get(f"Patient/{first['id']}/_history/3"))
    assert h1.fhir.get(f"Patient/{first['id']}/_history/3").status == 404


def test_conditional_read_answers_304(h1):
    """If-None-Match and If-Modified-Since."""
    stored = h1.fhir.send("POST", "Patient", patient())
    url = f"Patient/{stored.json()['id']}"
    same = h1.fhir.get(url, If_None_Match=stored.headers["ETag"])
    assert (same.status, same.body) == (304, b"")
    assert same.headers["ETag"] == stored.headers["ETag"]
    assert h1.fhir.get(url, If_None_Match='W/"7"').status == 200
    later = email.utils.format_datetime(
        datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=60), usegmt=True)
    assert h1.fhir.get(url, If_Modified_Since=later).status == 304
    assert h1.fhir.get(url, If_Modified_Since="Sat, 01 Jan 2000 00:00:00 GMT").status == 200


def test_head_answers_as_get_without_body(h1):
    """HTTP semantics of HEAD, where it is offered at all."""
    url = f"Patient/{h1.fhir.create(patient())['id']}"
    answer = h1.fhir.send("HEAD", url)
    assert answer.status in (200, 405)
    assert answer.body == b""


def test_absent_and_deleted_resources_differ(h1):
    """404 for what never was, 410 for what was deleted."""
    absent = h1.fhir.get("Patient/never-was")
    assert absent.status == 404
    outcome(absent)
    stored = h1.fhir.create(patient())
    url = f"Patient/{stored['id']}"
    deleted = h1.fhir.send("DELETE", url)
    assert deleted.status in (200, 204)
    assert deleted.headers["ETag"] == 'W/"2"'
    gone = h1.fhir.get(url)
    assert gone.status == 410
    outcome(gone)
    assert h1.fhir.get(f"{url}/_history/1").status == 200
    assert h1.fhir.get(f"{url}/_history/2").status == 410
    assert h1.fhir.send("DELETE", url).status in (200, 204)
    assert h1.fhir.send("DELETE", "Patient/never-was").status in (200, 204, 404)
    assert h1.fhir.ids(f"Patient?identifier={identifier(stored)}") == []
    again = h1.fhir.send("PUT", url, {**stored, "gender": "other"})
    assert again.status == 201
    assert again.headers["ETag"] == 'W/"3"'


def test_update_as_create_and_update(h1):
    """201 with a Location, then 200."""
    identity = f"own-{uuid.uuid4()}"
    created = h1.fhir.send("PUT", f"Patient/{identity}", patient(id=identity))
    assert created.status == 201
    assert created.headers["Location"] == f"{h1.base}/Patient/{identity}/_history/1"
    updated = h1.fhir.send("PUT", f"Patient/{identity}", patient(id=identity))
    assert (updated.status, updated.headers["ETag"]) == (200, 'W/"2"')


def test_if_match_refuses_stale_versions(h1):
    """412 and nothing written."""
    stored = h1.fhir.create(patient())
    url = f"Patient/{stored['id']}"
    assert h1.fhir.send("PUT", url, stored, If_Match='W/"1"').status == 200
    stale = h1.fhir.send("PUT", url, stored, If_Match='W/"1"')
    assert stale.status == 412
    outcome(stale)
    assert h1.fhir.get(url).headers["ETag"] == 'W/"2"'
    assert h1.fhir.send("DELETE", url, If_Match='W/"1"').status == 412
    assert h1.fhir.send("PUT", "Patient/never-there", patient(id="never-there"), If_Match='W/"1"').status == 412
    assert h1.fhir.get("Patient/never-there").status == 404
    assert h1.fhir.send("PUT", url, stored, If_Match="*").status == 200
    assert h1.fhir.send("PUT", "Patient/never-there", patient(id="never-there"), If_Match="*").status == 412
    assert h1.fhir.send("DELETE", "Patient/never-there", If_Match="*").status == 412
    assert h1.fhir.send("DELETE", url, If_Match='W/"3"').status in (200, 204)
    assert h1.fhir.send("PUT", url, stored, If_Match="*").status == 412


def test_if_none_match_star_only_creates(h1):
    """A create-only PUT."""
    identity = f"once-{uuid.uuid4()}"
    assert h1.fhir.send("PUT", f"Patient/{identity}", patient(id=identity), If_None_Match="*").status == 201
    assert h1.fhir.send("PUT", f"Patient/{identity}", patient(id=identity), If_None_Match="*").status == 412


def test_of_many_writers_with_the_same_version_one_wins(h1):
    """Compare and set under concurrency."""
    stored = h1.fhir.create(patient())

    def write(number: int) -> int:
        return h1.fhir.send(
            "PUT", f"Patient/{stored['id']}", {**stored, "birthDate": f"1990-01-{number + 1:02}"}, If_Match='W/"1"').status

    with ThreadPoolExecutor(16) as pool:
        statuses = list(pool.map(write, range(16)))
    assert sorted(statuses) == [200] + [412] * 15
    history = h1.fhir.get(f"Patient/{stored['id']}/_history").json()
    assert history["total"] == 2


def test_conditional_create(h1):
    """201, then 200 with the one that is there, 412 when criteria are not selective."""
    resource = patient()
    criteria = f"identifier={identifier(resource)}"
    first = h1.fhir.send("POST", "Patient", resource, If_None_Exist=criteria)
    assert first.status == 201
    second = h1.fhir.send("POST", "Patient", resource, If_None_Exist=criteria)
    assert second.status == 200
    assert second.headers["Location"] == first.headers["Location"]
    h1.fhir.create(resource)
    assert h1.fhir.send("POST", "Patient", resource, If_None_Exist=criteria).status == 412
    bad = h1.fhir.send("POST", "Patient", resource, If_None_Exist="no-such-parameter=1")
    assert bad.status == 400
    outcome(bad)


def test_of_parallel_conditional_creates_exactly_one_creates(h1):
    """200 identical ones: one 201."""
    resource = patient()
    criteria = f"identifier={identifier(resource)}"

    def create(_: int):
        return h1.fhir.send("POST", "Patient", resource, If_None_Exist=criteria)

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(create, range(200)))
    statuses = [answer.status for answer in answers]
    assert statuses.count(201) == 1, statuses
    assert set(statuses) <= {200, 201}
    assert len(h1.fhir.ids(f"Patient?{criteria}")) == 1


def test_criteria_may_begin_with_the_type(h1):
    """`Patient?identifier=…` as If-None-Exist, the form in which some clients send it."""
    mrn = str(uuid.uuid4())
    own = patient(identifier=[{"system": "urn:mrn", "value": mrn}])
    first = h1.fhir.send("POST", "Patient", own, If_None_Exist=f"identifier=urn:mrn|{mrn}")
    for criteria in (f"Patient?identifier=urn:mrn|{mrn}", f"?identifier=urn:mrn|{mrn}"):
        again = h1.fhir.send("POST", "Patient", own, If_None_Exist=criteria)
        assert (again.status, again.json()["id"]) == (200, first.json()["id"])
    assert h1.fhir.send("POST", "Patient", own, If_None_Exist=f"Observation?identifier={mrn}").status == 400


def test_conditional_update(h1):
    """No match creates, one updates, several are refused."""
    resource = patient()
    criteria = f"Patient?identifier={identifier(resource)}"
    created = h1.fhir.send("PUT", criteria, resource)
    assert created.status == 201
    updated = h1.fhir.send("PUT", criteria, {**resource, "gender": "male"})
    assert (updated.status, updated.headers["ETag"]) == (200, 'W/"2"')
    assert updated.json()["id"] == created.json()["id"]
    wrong = h1.fhir.send("PUT", criteria, {**resource, "id": "another"})
    assert wrong.status == 400
    h1.fhir.create(resource)
    assert h1.fhir.send("PUT", criteria, resource).status == 412


def test_parallel_conditional_updates_make_one_resource(h1):
    """Upsert is serialised by its criteria."""
    resource = patient()
    criteria = f"Patient?identifier={identifier(resource)}"
    with ThreadPoolExecutor(8) as pool:
        statuses = [a.status for a in pool.map(lambda _: h1.fhir.send("PUT", criteria, resource), range(24))]
    assert statuses.count(201) == 1, statuses
    assert set(statuses) <= {200, 201}
    assert len(h1.fhir.ids(criteria)) == 1


def test_conditional_delete(h1):
    """One match is deleted, several are refused."""
    resource = patient()
    criteria = f"Patient?identifier={identifier(resource)}"
    stored = h1.fhir.create(resource)
    assert h1.fhir.send("DELETE", criteria).status in (200, 204)
    assert h1.fhir.get(f"Patient/{stored['id']}").status == 410
    h1.fhir.create(resource)
    h1.fhir.create(resource)
    assert h1.fhir.send("DELETE", criteria).status == 412
    assert len(h1.fhir.ids(criteria)) == 2
    assert h1.fhir.send("DELETE", "Patient").status in (400, 405, 412)


def test_json_patch(h1):
    """add, replace, remove, test, move, copy; a failing test changes nothing."""
    stored = h1.fhir.create(patient(name=[{"family": "Old", "given": ["A", "B"]}]))
    url = f"Patient/{stored['id']}"

    def patch(operations: list, **headers: str):
        return h1.fhir.send("PATCH", url, operations, {"Content-Type": "application/json-patch+json"}, **headers)

    done = patch([
        {"op": "test", "path": "/gender", "value": "female"}, {"op": "replace", "path": "/name/0/family", "value": "New"},
        {"op": "add", "path": "/name/0/given/-", "value": "C"}, {"op": "remove", "path": "/name/0/given/0"},
        {"op": "add", "path": "/birthDate", "value": "1980-01-02"}, {"op": "copy", "from": "/name/0", "path": "/name/-"},
    ])
    assert done.status == 200, done
    body = done.json()
    assert body["name"] == [{"family": "New", "given": ["B", "C"]}] * 2
    assert body["meta"]["versionId"] == "2"
    failed = patch([{"op": "test", "path": "/gender", "value": "male"}, {"op": "remove", "path": "/gender"}])
    assert 400 <= failed.status < 500
    outcome(failed)
    invalid = patch([{"op": "replace", "path": "/gender", "value": "no-such-code"}])
    assert invalid.status in (400, 422)
    assert patch([{"op": "replace", "path": "/id", "value": "other"}]).status in (400, 422)
    assert patch([{"op": "remove", "path": "/nothing"}]).status in (400, 409, 422)
    assert patch([{"op": "remove", "path": "/gender"}], If_Match='W/"1"').status == 412
    assert h1.fhir.get(url).headers["ETag"] == 'W/"2"'
    missing = h1.fhir.send(
        "PATCH", "Patient/never-there", [], {"Content-Type": "application/json-patch+json"})
    assert missing.status == 404


def test_json_merge_patch(h1):
    """RFC 7396: members replace, null removes, what is not named keeps its bytes."""
    stored = h1.fhir.create(patient(
        birthDate="1970-01-01", active=True, extension=[{"url": "urn:x", "valueDecimal": 1.5}],
        maritalStatus={"text": "single", "coding": [{"system": "urn:m", "code": "S"}]}))
    url = f"Patient/{stored['id']}"

    def send(body, content_type: str = "application/merge-patch+json", **headers: str):
        return h1.fhir.send("PATCH", url, body, {"Content-Type": content_type, **headers})

    answer = send({"birthDate": None, "gender": "male", "maritalStatus": {"text": "married", "coding": None}, "name": [{"family": "X"}]})
    assert answer.status == 200, answer
    changed = answer.json()
    assert "birthDate" not in changed and changed["active"] is True
    assert (changed["gender"], changed["maritalStatus"], changed["name"]) == ("male", {"text": "married"}, [{"family": "X"}])
    assert send({"active": False}, "application/json").json()["meta"]["versionId"] == "3"
    assert send({"active": True}, **{"If-Match": 'W/"1"'}).status == 412
    for body, content_type, status in (
            ([{"op": "remove", "path": "/active"}], "application/merge-patch+json", 400), ({"active": True}, "application/json-patch+json", 400),
            ({"nothing": 1}, "application/merge-patch+json", 400), ({"id": "other"}, "application/merge-patch+json", 422),
            ({"gender": "wrong"}, "application/merge-patch+json", 422), ({"active": True}, "application/fhir+json", 415), ([], "application/json", 400)):
        answer = send(body, content_type)
        assert answer.status == status, answer
        outcome(answer)
    assert h1.fhir.get(url).json()["meta"]["versionId"] == "3"


def test_history_of_instance_type_and_system(new_tenant):
    """Every version once, newest first, with request and response."""
    own = new_tenant()
    stored = own.fhir.create(patient())
    own.fhir.put({**stored, "gender": "male"})
    own.fhir.send("DELETE", f"Patient/{stored['id']}")
    own.fhir.create({"resourceType": "Organization", "name": "X"})
    instance = own.fhir.get(f"Patient/{stored['id']}/_history").json()
    assert instance["type"] == "history"
    assert instance["total"] == 3
    assert [e["request"]["method"] for e in instance["entry"]] == ["DELETE", "PUT", "POST"]
    assert "resource" not in instance["entry"][0]
    assert [e["resource"]["meta"]["versionId"] for e in instance["entry"][1:]] == ["2", "1"]
    assert [e["response"]["etag"] for e in instance["entry"]] == ['W/"3"', 'W/"2"', 'W/"1"']
    of_type = own.fhir.get("Patient/_history").json()
    assert len(of_type["entry"]) == 3
    of_system = own.fhir.get("_history").json()
    assert len(of_system["entry"]) == 4
    assert of_system["entry"][0]["resource"]["resourceType"] == "Organization"
    paged, url = [], "_history?_count=1"
    while url:
        page = own.fhir.get(url).json()
        paged += [e["fullUrl"] + e["response"]["etag"] for e in page.get("entry", [])]
        url = next((l["url"] for l in page["link"] if l["relation"] == "next"), None)
        assert len(paged) <= 8
    assert paged == [e["fullUrl"] + e["response"]["etag"] for e in of_system["entry"]]
    since = instance["entry"][1]["resource"]["meta"]["lastUpdated"]
    recent = own.fhir.get(f"Patient/{stored['id']}/_history?_since={since}").json()
    assert [e["request"]["method"] for e in recent["entry"]] == ["DELETE", "PUT"]
    assert own.fhir.get("Patient/never-was/_history").status == 404


def test_history_at_lists_what_was_current(new_tenant):
    """`_at`: the versions that were current at some point of the time that the value stands for, at all three levels."""
    own = new_tenant()
    stored = own.fhir.create(patient())
    times = [stored["meta"]["lastUpdated"]]
    for gender in ("male", "female"):
        time.sleep(0.05)
        times.append(own.fhir.put({**stored, "gender": gender})["meta"]["lastUpdated"])
    time.sleep(0.05)
    own.fhir.send("DELETE", f"Patient/{stored['id']}")
    instance = f"Patient/{stored['id']}/_history"
    deleted = own.fhir.get(instance).json()["entry"][0]["response"]["lastModified"]
    other = own.fhir.create({"resourceType": "Organization", "name": "X"})

    def versions(path: str, **parameters: str) -> list[str]:
        answer = own.fhir.get(f"{path}?{urlencode({**parameters, '_count': '1'})}")
        found = []
        while True:
            assert answer.status == 200, answer
            bundle = answer.json()
            found += [e["response"]["etag"][3:-1] for e in bundle.get("entry", []) if stored["id"] in e["fullUrl"]]
            url = link(bundle, "next")
            if url is None:
                return found
            answer = own.fhir.get(url)

    for path in (instance, "Patient/_history", "_history"):
        assert versions(path, _at=times[0]) == ["1"], path
        assert versions(path, _at=times[1]) == ["2"]
        assert versions(path, _at=times[1].replace("Z", "+00:00")) == ["2"]
        assert versions(path, _at=deleted) == ["4"]
        assert versions(path, _at=times[0][:10]) == ["4", "3", "2", "1"]
        assert versions(path, _at=times[0][:4]) == ["4", "3", "2", "1"]
        assert versions(path, _at="2001") == []
        assert versions(path, _at=str(int(times[0][:4]) + 1)) == ["4"]
        assert versions(path, _at=times[0][:10], _since=times[2]) == ["4", "3"]
    assert own.fhir.get(f"Organization/{other['id']}/_history?_at=2001").json().get("entry") is None
    # The plus sign as some clients send it, and values that are no times.
    raw = times[0].replace("Z", "+00:00")
    assert len(own.fhir.get(f"{instance}?_since={raw}").json()["entry"]) == 4
    for query in ("_at=", "_at=yesterday", "_at=2026-13", "_at=2026&_at=2027", "_since=2026", "_count=-1", "_count=x", "_sort=_lastUpdated"):
        answer = own.fhir.get(f"{instance}?{query}")
        assert answer.status == 400, query
        assert outcome(answer)["issue"][0]["expression"] == [query.split("=")[0]]


def test_history_counts_without_entries(new_tenant):
    """`_count=0` answers with the number of versions alone."""
    own = new_tenant()
    stored = own.fhir.create(patient())
    second = own.fhir.put({**stored, "gender": "male"})["meta"]["lastUpdated"]
    own.fhir.create({"resourceType": "Organization", "name": "X"})
    for path, total in ((f"Patient/{stored['id']}/_history", 2), ("Patient/_history", 2), ("_history", 3)):
        bundle = own.fhir.get(f"{path}?_count=0").json()
        assert (bundle["type"], bundle["total"]) == ("history", total)
        assert "entry" not in bundle and link(bundle, "next") is None
    assert own.fhir.get(f"Patient/_history?_count=0&_since={second}").json()["total"] == 1
    assert own.fhir.get("Patient/never-was/_history?_count=0").status == 404


def test_reads_give_a_part_when_asked(h1):
    """`_summary` and `_elements` on read and vread; the part is marked, and other parameters are refused."""
    stored = h1.fhir.create(patient(birthDate="1970-01-01", photo=[{"title": "x"}], communication=[
        {"language": {"text": "zh"}}]))
    for path in (f"Patient/{stored['id']}", f"Patient/{stored['id']}/_history/1"):
        part = h1.fhir.get(f"{path}?_elements=birthDate").json()
        assert set(part) == {"resourceType", "id", "meta", "birthDate"}
        assert [tag["code"] for tag in part["meta"]["tag"]] == ["SUBSETTED"]
        assert part["meta"]["versionId"] == "1"
        summary = h1.fhir.get(f"{path}?_summary=true").json()
        assert "birthDate" in summary and "photo" not in summary
        assert set(h1.fhir.get(f"{path}?_summary=text").json()) == {"resourceType", "id", "meta"}
        assert h1.fhir.get(f"{path}?_summary=false&_format=json").json() == stored
        for query in ("_summary=count", "_summary=some", "_elements=nothing", "name=x"):
            answer = h1.fhir.get(f"{path}?{query}")
            assert answer.status == 400, query
            outcome(answer)
        assert h1.fhir.get(f"{path}?name=x", Prefer="handling=lenient").json() == stored
        assert h1.fhir.get(path, If_None_Match='W/"1"').status == 304
    event = h1.fhir.get("AuditEvent?_count=1").json()["entry"][0]["resource"]
    assert "agent" in h1.fhir.get(f"AuditEvent/{event['id']}?_elements=recorded").json()
    assert "entity" not in h1.fhir.get(f"AuditEvent/{event['id']}?_elements=recorded").json()


def test_another_version_of_fhir_is_refused(h1):
    """The parameter fhirVersion of a media type: R4 is served, others are 406 and 415."""
    stored = h1.fhir.create(patient())
    url = f"Patient/{stored['id']}"
    for version, status, taken in (("4.0", 200, 201), ("3.0", 406, 415), ("5.0", 406, 415)):
        media_type = f"application/fhir+json; fhirVersion={version}"
        assert h1.fhir.get(url, Accept=media_type).status == status
        assert h1.fhir.get(f"{url}?{urlencode({'_format': media_type})}").status == status
        assert h1.fhir.send("POST", "Patient", patient(), Content_Type=media_type).status == taken
    assert h1.fhir.get(url, Accept="application/fhir+json; fhirVersion=3.0, application/json;q=0.5").status == 200
    assert h1.fhir.get(f"{url}?_format=application/fhir+json;fhirVersion=4.0").status == 200


def test_metadata_has_an_entity_tag(h1):
    """Clients need not fetch an unchanged statement again."""
    first = h1.fhir.get("metadata")
    tag = first.headers["ETag"]
    assert tag.startswith('W/"')
    again = h1.fhir.get("metadata", If_None_Match=tag)
    assert (again.status, again.body, again.headers["ETag"]) == (304, b"", tag)
    assert h1.fhir.get("metadata", If_None_Match='W/"1"').status == 200


def test_a_resource_cannot_be_put_under_an_id_that_is_none(h1):
    """400 for the write, while nothing is found under such an id."""
    answer = h1.fhir.send("PUT", "Patient/no_id", {**patient(), "id": "no_id"})
    assert answer.status == 400
    assert "1 to 64" in outcome(answer)["issue"][0]["diagnostics"]
    assert h1.fhir.get("Patient/no_id").status == 404


def test_restore_from_history(h1):
    """A version read can be written back after a delete."""
    stored = h1.fhir.create(patient(birthDate="1970-01-01"))
    url = f"Patient/{stored['id']}"
    h1.fhir.send("DELETE", url)
    old = h1.fhir.get(f"{url}/_history/1")
    restored = h1.fhir.send("PUT", url, old.body)
    assert restored.status == 201
    now = h1.fhir.get(url).json()
    assert (now["birthDate"], now["meta"]["versionId"]) == ("1970-01-01", "3")


def test_xml_is_not_acceptable(h1):
    """XML is neither answered nor taken; JSON is."""
    url = f"Patient/{h1.fhir.create(patient())['id']}"
    assert h1.fhir.get(url, Accept="application/fhir+xml").status == 406
    assert h1.fhir.get(f"{url}?_format=xml").status == 406
    assert h1.fhir.get(f"{url}?_format=json", Accept="application/fhir+xml").status == 200
    for accept in ("application/json", "*/*", "text/html,application/xhtml+xml,*/*;q=0.8", "application/fhir+json;fhirVersion=4.0"):
        assert h1.fhir.get(url, Accept=accept).status == 200
    sent = h1.fhir.send("POST", "Patient", b"<Patient/>", {"Content-Type": "application/fhir+xml"})
    assert sent.status == 415


@pytest.mark.parametrize("content_type", ["application/json", "application/fhir+json; charset=utf-8", "application/json;charset=UTF-8"])
def test_json_content_types_are_taken(h1, content_type: str):
    """What clients really send."""
    assert h1.fhir.send("POST", "Patient", patient(), {"Content-Type": content_type}).status == 201


def test_an_idempotency_key_makes_a_create_happen_once(h1):
    """The same key and body get the byte-same answer; another body with the key is refused."""
    resource, key = patient(), str(uuid.uuid4())
    first = h1.fhir.send("POST", "Patient", resource, Idempotency_Key=key)
    second = h1.fhir.send("POST", "Patient", resource, Idempotency_Key=key)
    assert (first.status, second.status) == (201, 201)
    assert first.body == second.body
    for name in ("Location", "ETag", "Last-Modified"):
        assert first.headers[name] == second.headers[name]
    assert len(h1.fhir.ids(f"Patient?identifier={identifier(resource)}")) == 1
    other = h1.fhir.send("POST", "Patient", patient(), Idempotency_Key=key)
    assert other.status == 422
    outcome(other)


def test_parallel_requests_with_one_key_write_once(h1):
    """Answers are the same one, or 409 while the first is under way."""
    resource, key = patient(), str(uuid.uuid4())
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: h1.fhir.send("POST", "Patient", resource, Idempotency_Key=key), range(16)))
    assert {a.status for a in answers} <= {201, 409}
    assert len({a.json()["id"] for a in answers if a.status == 201}) == 1
    assert len(h1.fhir.ids(f"Patient?identifier={identifier(resource)}")) == 1
