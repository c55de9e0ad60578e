"""The search parameters of AuditEvent, judged like those of the other types.

Audit events cannot be written, so the resources are those that a little traffic leaves; and each search leaves one more,
so every search is over the events up to a moment.
"""

from __future__ import annotations

import time

import pytest

from blackbox.queries import Query, queries
from blackbox.region import Region, Tenant
from blackbox.tokens import exchange

#: Parameters of which no event of the platform has a value.
WITHOUT_VALUES = {"agent-name", "agent-role", "altid", "entity-name", "policy", "site", "_security", "_source", "_tag"}


@pytest.fixture(scope="module")
def events(region: Region) -> tuple[Tenant, list[dict], str]:
    """A tenant with one event of every kind of access, its events, and the condition that holds for these alone."""
    tenant = region.create_tenant("audited")
    fhir = tenant.fhir
    patient = fhir.create({"resourceType": "Patient", "name": [{"family": "Chalmers"}]})
    path = f"Patient/{patient['id']}"
    observation = fhir.create({
        "resourceType": "Observation", "status": "final", "code": {"text": "a"}, "subject": {"reference": path}})
    fhir.put({**patient, "gender": "male"})
    for target in (path, f"{path}/_history/1", f"{path}/_history", "Patient/_history", "_history", "Patient/absent",
                   f"Observation/{observation['id']}", f"Observation?patient={patient['id']}", f"{path}/Observation", "?_type=Patient"):
        fhir.get(target)
    fhir.send("PATCH", path, [{"op": "add", "path": "/active", "value": True}], Content_Type="application/json-patch+json")
    claims = tenant.client.claims(extensions={
        "hl7-b2b": {"version": "1", "subject_id": "Practitioner/17", "purpose_of_use": ["TREAT"]}})
    for token in (
        exchange(region.web, tenant.client, tenant.client.assertion(claims)).json()["access_token"],
        exchange(region.web, tenant.client, scope="system/Observation.rs").json()["access_token"],
    ):
        for target in (path, f"{path}/_history/1", "Patient?gender=male"):
            region.web.request("GET", f"{tenant.path}/{target}", None, {"Authorization": f"Bearer {token}"})
    fhir.send("DELETE", f"Observation/{observation['id']}")
    found = fhir.search("AuditEvent?_count=1000")
    last = max(event["recorded"] for event in found)
    # The next event is of another millisecond.
    time.sleep(0.005)
    assert {event["action"] for event in found} == set("CRUDE")
    return tenant, found, f"_lastUpdated=le{last.replace('+', '%2B')}"


def test_audit_searches_find_what_matches_and_nothing_else(judged, events):
    """Every declared parameter, modifier and prefix; compares the ids the server finds with those the judge names."""
    tenant, found, moment = events
    kinds = {name: kind for type_name, name, kind in judged.declared() if type_name == "AuditEvent"}
    assert {"action", "agent", "date", "entity", "outcome", "patient", "subtype", "_id", "_lastUpdated"} <= set(kinds)
    asked, wrong, without = 0, [], set()
    for code, kind in kinds.items():
        if code in ("_id", "_lastUpdated"):
            continue
        values = [judged.judge.items(event, code) for event in found]
        made = queries(code, kind, values)
        if not any(values):
            without.add(code)
            made = [Query(f"{code}:missing", "true", lambda items: not items), Query(f"{code}:missing", "false", bool)]
        for query in {query.text: query for query in made}.values():
            expected = {event["id"] for event, items in zip(found, values, strict=True) if query.matches(items)}
            answer = tenant.fhir.get(f"AuditEvent?{query.text}&{moment}&_count=1000")
            asked += 1
            if answer.status != 200:
                wrong.append(f"{query.name}={query.value}: {answer.status} {answer.text[:300]}")
                continue
            ids = {e["resource"]["id"] for e in answer.json().get("entry", []) if e["search"]["mode"] == "match"}
            if ids != expected:
                wrong.append(f"{query.name}={query.value}: missing {sorted(expected - ids)}, wrong {sorted(ids - expected)}")
    assert not wrong, f"{len(wrong)} of {asked} searches are wrong:\n" + "\n".join(wrong[:60])
    assert without <= WITHOUT_VALUES, without
    assert asked > 100


def test_ids_and_last_updated_of_audit_events(events):
    """The two parameters that are columns."""
    tenant, found, moment = events
    ids = [event["id"] for event in found]
    for query, expected in [
        (f"_id={ids[0]}", {ids[0]}), (f"_id={ids[0]},{ids[-1]},none", {ids[0], ids[-1]}), ("_id=none", set()),
        ("_lastUpdated=gt2020", set(ids)), ("_lastUpdated=lt2020", set()),
    ]:
        assert set(tenant.fhir.ids(f"AuditEvent?{query}&{moment}&_count=1000")) == expected, query


@pytest.mark.parametrize("sort", ["", "&_sort=date", "&_sort=-date", "&_sort=-_id", "&_sort=patient", "&_sort=-action"])
def test_pages_of_audit_events_lose_and_repeat_none(events, sort: str):
    """Reads and other accesses come from two tables; a page may end anywhere."""
    tenant, found, moment = events
    url, ids = f"AuditEvent?{moment}&_count=3{sort}", []
    while url:
        bundle = tenant.fhir.get(url).json()
        ids += [entry["resource"]["id"] for entry in bundle["entry"]]
        url = next((link["url"] for link in bundle["link"] if link["relation"] == "next"), None)
        url = url and url.split("/fhir/", 1)[1]
    assert len(ids) == len(set(ids))
    assert set(ids) == {event["id"] for event in found}
