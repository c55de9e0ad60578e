"""No tenant sees, touches or infers anything of another: every route of /openapi.json, every place an id fits (reliability S4)."""

from __future__ import annotations

import json
import re
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from blackbox.fhir import batch, link
from blackbox.region import Tenant


class Stock:
    """A tenant with a canary in every place a text fits, and what it has that could be used elsewhere."""

    def __init__(self, tenant: Tenant) -> None:
        self.tenant = tenant
        self.canary = f"canary{uuid.uuid4().hex}"
        fhir = tenant.fhir
        self.patient = fhir.put({
            "resourceType": "Patient", "id": f"{self.canary[:30]}-p", "name": [{"family": self.canary, "given": [self.canary]}],
            "identifier": [{"system": f"urn:{self.canary}", "value": self.canary}], "address": [{"city": self.canary}],
            "meta": {"tag": [{"system": f"urn:{self.canary}", "code": self.canary}], "profile": [f"http://example.org/{self.canary}"]}})
        self.observation = fhir.create({
            "resourceType": "Observation", "status": "final", "code": {"text": self.canary, "coding": [{"system": "urn:c", "code": self.canary}]},
            "subject": {"reference": f"Patient/{self.patient['id']}"}, "valueString": self.canary})
        fhir.put({**self.patient, "gender": "female"})
        fhir.create({"resourceType": "Patient", "name": [{"family": self.canary}]})
        self.cursor = link(fhir.get(f"Patient?family={self.canary}&_count=1").json(), "next")
        self.history_cursor = link(fhir.get("_history?_count=1").json(), "next")
        self.key = str(uuid.uuid4())
        self.keyed = {"resourceType": "Patient", "name": [{"family": self.canary}]}
        assert fhir.send("POST", "Patient", self.keyed, Idempotency_Key=self.key).status == 201
        self.version = 'W/"2"'


@pytest.fixture(scope="module")
def stocks(new_tenant) -> tuple[Stock, Stock]:
    """The victim and the other."""
    return Stock(new_tenant()), Stock(new_tenant())


def leaks(victim: Stock, *answers) -> list[str]:
    """Which answers carry the victim's canary in body or headers."""
    return [str(a) for a in answers if victim.canary in a.text or victim.canary in str(a.headers)]


def test_another_tenants_base_looks_like_none_at_all(stocks, region):
    """A valid credential of another tenant: the same 404 as for a tenant that does not exist."""
    victim, other = stocks
    paths = ["Patient", f"Patient/{victim.patient['id']}", "_history", f"Patient/{victim.patient['id']}/_history/1", "Patient?_count=1"]
    for path in paths:
        for method in ("GET", "PUT", "POST", "DELETE", "PATCH"):
            body = json.dumps({"resourceType": "Patient"}) if method in ("PUT", "POST", "PATCH") else None
            headers = {"Authorization": f"Bearer {other.tenant.token}", "Content-Type": "application/fhir+json"}
            there = region.web.request(method, f"{victim.tenant.path}/{path}", body, headers)
            nowhere = region.web.request(method, f"/t/no-such-tenant/fhir/{path}", body, headers)
            assert (there.status, nowhere.status) == (404, 404), f"{method} {path}: {there} {nowhere}"
            strip = lambda a: re.sub(r"no-such-tenant|" + victim.tenant.name + r"|[0-9a-zA-Z-]{20,}", "", a.text)
            assert strip(there) == strip(nowhere)
            assert {k.lower() for k in there.headers} == {k.lower() for k in nowhere.headers}
            assert not leaks(victim, there)


def test_ids_versions_cursors_and_keys_of_another_tenant_are_nothing(stocks):
    """Each is tried in each place it fits, with the other's own credential at its own base."""
    victim, other = stocks
    fhir, vid, oid = other.tenant.fhir, victim.patient["id"], victim.observation["id"]
    for path in (f"Patient/{vid}", f"Patient/{vid}/_history", f"Patient/{vid}/_history/1", f"Observation/{oid}"):
        assert fhir.get(path).status == 404
        assert fhir.get(path, If_None_Match=victim.version).status == 404
    assert fhir.send("DELETE", f"Observation/{oid}").status in (200, 204, 404)
    assert victim.tenant.fhir.get(f"Observation/{oid}").status == 200
    assert fhir.send("PUT", f"Patient/{vid}", {"resourceType": "Patient", "id": vid}, If_Match=victim.version).status == 412
    created = fhir.send("PUT", f"Patient/{vid}", {"resourceType": "Patient", "id": vid})
    assert (created.status, created.headers["ETag"]) == (201, 'W/"1"')
    assert victim.tenant.fhir.get(f"Patient/{vid}").headers["ETag"] == victim.version
    answers = [
        fhir.get(f"Patient?family={victim.canary}"), fhir.get(f"Patient?identifier=urn:{victim.canary}|{victim.canary}"),
        fhir.get(f"Patient?_tag=urn:{victim.canary}|{victim.canary}&_count=5"), fhir.get(f"Observation?code=urn:c|{victim.canary}"),
        fhir.get(f"Patient?_has:Observation:patient:code={victim.canary}"), fhir.get(f"Observation?patient.family={victim.canary}"),
        fhir.get(f"Patient?_id={vid}&_revinclude=Observation:subject"),
    ]
    for answer in answers[:6]:
        assert answer.status == 200 and not answer.json().get("entry"), answer
    assert len(answers[6].json()["entry"]) == 1
    for cursor in (victim.cursor, victim.history_cursor):
        path = cursor.removeprefix(victim.tenant.base + "/")
        assert fhir.get(path).status == 400
        assert not leaks(victim, *[a for a in [fhir.get(path)] if "self" in a.text])
    repeated = fhir.send("POST", "Patient", {"resourceType": "Patient"}, Idempotency_Key=victim.key)
    assert repeated.status == 201 and not leaks(victim, repeated)
    answer = fhir.send("POST", "Patient", {"resourceType": "Patient", "name": [{"family": "x"}]}, If_None_Exist=f"identifier={victim.canary}")
    assert answer.status == 201


def test_references_and_bundles_do_not_cross(stocks):
    """Absolute references, bundle entries, includes."""
    victim, other = stocks
    fhir = other.tenant.fhir
    absolute = f"{victim.tenant.base}/Patient/{victim.patient['id']}"
    stored = fhir.create({
        "resourceType": "Observation", "status": "final", "code": {"text": "x"}, "subject": {"reference": absolute}})
    bundle = fhir.get(f"Observation?_id={stored['id']}&_include=Observation:subject").json()
    assert [e["resource"]["id"] for e in bundle["entry"]] == [stored["id"]]
    for url in (absolute, f"../../{victim.tenant.name}/fhir/Patient/{victim.patient['id']}", f"/t/{victim.tenant.name}/fhir/Patient"):
        answer = fhir.send("POST", "", batch([{"request": {"method": "GET", "url": url}}]))
        assert victim.canary[:32] not in json.dumps([e.get("resource") for e in answer.json().get("entry", [])]) or "OperationOutcome" in answer.text
        assert f'"family":"{victim.canary}"' not in answer.text.replace(" ", "")
        assert fhir.send("POST", "", batch([{
            "request": {"method": "POST", "url": url}, "resource": {"resourceType": "Patient"}}])).json()["entry"][0]["response"]["status"][0] == "4"
    for header in ({"X-Tenant": victim.tenant.name}, {"X-FHIR-Tenant-ID": victim.tenant.name}, {"Host": f"{victim.tenant.name}.example"},
                   {"X-Forwarded-Prefix": victim.tenant.path}, {"X-Original-URL": victim.tenant.path}):
        answer = fhir.send("GET", f"Patient?family={victim.canary}", None, header)
        assert answer.status in (200, 400) and not answer.json().get("entry")


def test_paths_cannot_leave_the_tenant(stocks, region):
    """Dots, encodings and doubled separators are never another tenant's."""
    victim, other = stocks
    name, vid = victim.tenant.name, victim.patient["id"]
    for path in (
        f"{other.tenant.path}/../../{name}/fhir/Patient/{vid}", f"{other.tenant.path}/%2e%2e/%2e%2e/{name}/fhir/Patient/{vid}",
        f"{other.tenant.path}/..%2f..%2f{name}%2ffhir%2fPatient%2f{vid}", f"/t/{other.tenant.name}%2f..%2f{name}/fhir/Patient/{vid}",
        f"/t//{name}/fhir/Patient/{vid}", f"//t/{name}/fhir/Patient/{vid}", f"/t/{name.upper()}/fhir/Patient/{vid}", f"/t/{name}%00/fhir/Patient/{vid}",
        f"/t/{name}%20/fhir/Patient/{vid}", f"/T/{name}/fhir/Patient/{vid}", f"/t/{name};x/fhir/Patient/{vid}", f"/t/./{name}/fhir/Patient/{vid}",
    ):
        answer = region.web.request("GET", path, None, {"Authorization": f"Bearer {other.tenant.token}"})
        assert answer.status in (400, 404, 405), f"{path}: {answer}"
        assert f'"family":"{victim.canary}"' not in answer.text.replace(" ", "")


def test_every_route_of_the_documents_refuses_the_other(stocks, region):
    """Each operation of /openapi.json with the other tenant's token, an operator's, and none; no canary in any answer."""
    victim, other = stocks
    document = region.web.request("GET", "/openapi.json").json()
    values = {
        "tenant": victim.tenant.name, "id": victim.patient["id"], "type": "Patient", "resourceType": "Patient", "vid": "1", "versionId": "1",
        "version": "1", "compartment": "Patient", "compartmentId": victim.patient["id"], "client": victim.tenant.client.identity, "clientId": victim.tenant.client.identity,
    }
    tried, wrong = 0, []
    for template, item in document["paths"].items():
        for method, operation in item.items():
            if method not in ("get", "put", "post", "delete", "patch", "head"):
                continue
            # Metrics are open to scrapers on the machine itself, which this test is.
            public = template == "/metrics" or operation.get("security") == [] or {} in operation.get("security", [])
            path = re.sub(r"\{(\w+)[^}]*\}", lambda m: values.get(m.group(1), victim.patient["id"]), template)
            destructive = method == "delete" and path.startswith("/v1")
            for actor, token in (("other", str(other.tenant.token)), ("none", None)):
                headers = {"Content-Type": "application/fhir+json"} if method in ("put", "post", "patch") else {}
                if token:
                    headers["Authorization"] = f"Bearer {token}"
                if actor == "other" and path.startswith("/v1"):
                    headers["Idempotency-Key"] = str(uuid.uuid4())
                body = "{}" if method in ("put", "post", "patch") else None
                answer = region.web.request(method.upper(), path, body, headers)
                tried += 1
                if f'"{victim.canary}"' in answer.text or (answer.status >= 500):
                    wrong.append(f"{actor} {method} {path}: {answer}")
                elif not public and answer.status < 400:
                    wrong.append(f"{actor} {method} {path}: {answer}")
                assert not destructive or answer.status >= 400
    assert not wrong, f"{len(wrong)}:\n" + "\n".join(wrong[:20])
    assert tried > 30


def test_canaries_stay_at_home_under_parallel_mixed_load(stocks, h1, h2):
    """Four tenants on the same pools, at once: no answer carries another's canary."""
    tenants = [*stocks, Stock(h1), Stock(h2)]

    def work(number: int) -> list[str]:
        own = tenants[number % 4]
        fhir, found = own.tenant.fhir, []
        calls = [
            lambda: fhir.get("Patient?_count=20&_sort=-_lastUpdated"), lambda: fhir.get("_history?_count=20"), lambda: fhir.get(f"Patient/{own.patient['id']}"),
            lambda: fhir.get(f"Patient/{tenants[(number + 1) % 4].patient['id']}"), lambda: fhir.get("Observation?_include=Observation:subject&_count=10"),
            lambda: fhir.get("Patient?_summary=count"), lambda: fhir.send("POST", "Patient", {"resourceType": "Patient", "gender": "wrong"}),
            lambda: fhir.get(f"Patient?family={tenants[(number + 2) % 4].canary}"), lambda: fhir.get("AuditEvent?_count=5"),
        ]
        answer = calls[number % len(calls)]()
        for stock in tenants:
            if stock is not own and f'"{stock.canary}"' in answer.text:
                found.append(f"{own.tenant.name} saw {stock.tenant.name}: {answer}")
        return found

    with ThreadPoolExecutor(12) as pool:
        wrong = [line for lines in pool.map(work, range(1800)) for line in lines]
    assert not wrong, wrong[:3]


def test_metrics_and_errors_name_no_tenants_content(stocks, region):
    """Neither metrics nor error texts carry a canary or a database's name."""
    victim, other = stocks
    metrics = region.web.request("GET", "/metrics").text
    assert victim.canary not in metrics
    assert not re.search(r"\bt_[a-z2-7]{26}\b", metrics)
    for path in ("Patient?birthdate=x", "Patient/%ff", "Nobody/1", "Patient?_cursor=x"):
        answer = other.tenant.fhir.get(path)
        assert not re.search(r"\bt_[a-z2-7]{26}\b", answer.text), answer
