"""What the capability statement declares is served, and nothing else is."""

from __future__ import annotations

import pytest

SEARCH_RESULT_PARAMETERS = ["_sort=_lastUpdated", "_count=1", "_total=accurate", "_summary=true", "_elements=id"]


def test_metadata_is_public_and_describes_r4_json(region, h1):
    """The statement needs no credential."""
    answer = region.web.request("GET", f"{h1.path}/metadata")
    assert answer.status == 200
    statement = answer.json()
    assert statement["resourceType"] == "CapabilityStatement"
    assert statement["fhirVersion"] == "4.0.1"
    assert {"json", "application/fhir+json"} & set(statement["format"])
    assert statement["kind"] == "instance"
    assert statement["implementation"]["url"].rstrip("/").endswith(h1.path)


def test_every_type_of_the_definitions_is_declared_once(judged):
    """146 resource types."""
    declared = [entry["type"] for entry in judged.metadata["rest"][0]["resource"]]
    assert sorted(declared) == judged.definitions.resource_types


def test_every_declared_interaction_works(judged):
    """One of each, on every type."""
    fhir, wrong = judged.tenant.fhir, []

    def check(what: str, answer, *statuses: int) -> None:
        if answer.status not in statuses:
            wrong.append(f"{what}: {answer.status} {answer.text[:200]}")

    for entry in judged.metadata["rest"][0]["resource"]:
        name = entry["type"]
        codes = {interaction["code"] for interaction in entry["interaction"]}
        sample = judged.resources[name][-1]
        if name == "AuditEvent":
            for method, path in (("POST", name), ("PUT", f"{name}/bare"), ("DELETE", f"{name}/bare")):
                body = sample if method != "DELETE" else None
                check(f"{method} {path}", fhir.send(method, path, body), 403, 405)
            continue
        own = {**sample, "id": "crawl"}
        served = {
            "update": lambda: fhir.send("PUT", f"{name}/crawl", own),
            "read": lambda: fhir.get(f"{name}/crawl"),
            "vread": lambda: fhir.get(f"{name}/crawl/_history/1"),
            "patch": lambda: fhir.send(
                "PATCH", f"{name}/crawl", [{"op": "add", "path": "/language", "value": "de"}],
                {"Content-Type": "application/json-patch+json"}),
            "history-instance": lambda: fhir.get(f"{name}/crawl/_history"),
            "history-type": lambda: fhir.get(f"{name}/_history?_count=1"),
            "create": lambda: fhir.send("POST", name, {k: v for k, v in sample.items() if k != "id"}),
            "search-type": lambda: fhir.get(f"{name}?_count=1"),
            "delete": lambda: fhir.send("DELETE", f"{name}/crawl"),
        }
        for code, call in served.items():
            if code not in codes:
                wrong.append(f"{name} does not declare {code}")
                continue
            answer = call()
            check(f"{name} {code}", answer, *((200, 201, 204) if code in ("create", "update", "delete") else (200,)))
            if code == "create" and answer.status == 201:
                fhir.send("DELETE", f"{name}/{answer.json()['id']}")
        unknown = codes - set(served)
        if unknown:
            wrong.append(f"{name} declares {unknown}, which this test does not know")
    assert not wrong, f"{len(wrong)}:\n" + "\n".join(wrong[:40])


def test_declared_includes_are_accepted_and_others_refused(judged):
    """`_include` and `_revinclude` by the statement."""
    fhir, wrong = judged.tenant.fhir, []
    for entry in judged.metadata["rest"][0]["resource"]:
        name = entry["type"]
        for parameter, values in (("_include", entry.get("searchInclude", [])), ("_revinclude", entry.get("searchRevInclude", []))):
            for value in values[:6]:
                answer = fhir.get(f"{name}?_id=a0&{parameter}={value}")
                if answer.status != 200:
                    wrong.append(f"{name}?{parameter}={value}: {answer.status} {answer.text[:160]}")
        answer = fhir.get(f"{name}?_include={name}:no-such-parameter")
        if answer.status != 400:
            wrong.append(f"{name}?_include={name}:no-such-parameter: {answer.status}")
    assert not wrong, f"{len(wrong)}:\n" + "\n".join(wrong[:40])


@pytest.mark.parametrize("parameter", SEARCH_RESULT_PARAMETERS)
def test_search_result_parameters_work_on_every_type(judged, parameter: str):
    """No type is forgotten."""
    wrong = []
    for name in judged.definitions.resource_types:
        answer = judged.tenant.fhir.get(f"{name}?{parameter}")
        if answer.status != 200:
            wrong.append(f"{name}?{parameter}: {answer.status} {answer.text[:160]}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(("method", "path"), [
    ("GET", "Patient/$everything-else"), ("POST", "Patient/$no-such-operation"), ("GET", "$no-such-operation"),
    ("GET", "NoSuchType"), ("GET", "NoSuchType/1"), ("POST", "NoSuchType"), ("PUT", "NoSuchType/1"),
    ("PUT", "Patient"), ("DELETE", ""), ("PATCH", "Patient"), ("POST", "Patient/1/_history"), ("PUT", "metadata"),
])
def test_undeclared_interactions_are_refused(judged, method: str, path: str):
    """4xx with an OperationOutcome, never 5xx or a silent success."""
    body = {"resourceType": "Patient"} if method in ("POST", "PUT", "PATCH") else None
    answer = judged.tenant.fhir.send(method, path, body)
    assert 400 <= answer.status < 500, answer
    assert answer.json()["resourceType"] == "OperationOutcome"


def test_search_declares_no_parameter_it_does_not_serve(judged):
    """A parameter that is not declared is refused on every type, and the answer names the valid ones."""
    wrong = []
    for entry in judged.metadata["rest"][0]["resource"]:
        name = entry["type"]
        answer = judged.tenant.fhir.get(f"{name}?definitely-not=1")
        body = answer.text
        if answer.status != 400 or "_id" not in body:
            wrong.append(f"{name}: {answer.status} {body[:160]}")
    assert not wrong, "\n".join(wrong)
