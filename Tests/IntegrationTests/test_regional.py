"""One hospital reads another's record because the patient agreed: the story, and every way around it."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import threading
import time
import urllib.parse
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from blackbox.fhir import link, outcome
from blackbox.region import Region, until
from blackbox.sharing import BASE, Reader, code, consent, resources
from blackbox.tokens import exchange


class World:
    """A bureau, two holders and a reader; one patient with records at both holders."""

    def __init__(self, region: Region, new_tenant) -> None:
        self.region = region
        self.bureau_tenant = region.create_bureau()
        self.a, self.b, self.c = new_tenant(), new_tenant(), new_tenant()
        self.reader = Reader(region, self.b.name)
        self.bureau = Reader(region, self.bureau_tenant, "system/*.cruds")
        self.mrn = f"urn:mrn|{uuid.uuid4()}"
        self.canary = f"canary{uuid.uuid4().hex}"
        self.local = self.fill(self.a, 12)
        self.fill(self.c, 7)
        self.patient = self.reader.find(self.mrn)
        # The other holder's part may be heard of a little later.
        assert until(lambda: len(self.log_of_links()) == 2, 20, 0.05)

    def fill(self, tenant, count: int) -> str:
        system, value = self.mrn.split("|")
        patient = tenant.fhir.create({
            "resourceType": "Patient", "identifier": [{"use": "official", "system": system, "value": value}], "name": [{"family": self.canary}]})
        practitioner = tenant.fhir.create({"resourceType": "Practitioner", "name": [{"family": "Who"}]})
        encounter = tenant.fhir.create({
            "resourceType": "Encounter", "status": "finished", "class": {"code": "AMB"}, "subject": {"reference": f"Patient/{patient['id']}"}})
        for number in range(count):
            tenant.fhir.create({
                "resourceType": "Observation", "status": "final", "code": {"coding": [{"system": "urn:c", "code": f"c{number % 2}"}]},
                "subject": {"reference": f"{tenant.base}/Patient/{patient['id']}" if number % 2 else f"Patient/{patient['id']}"},
                "encounter": {"reference": f"Encounter/{encounter['id']}"}, "performer": [{"reference": f"Practitioner/{practitioner['id']}"}],
                "valueString": f"{self.canary}-{tenant.name}-{number}"})
        tenant.fhir.create({
            "resourceType": "Condition", "subject": {"reference": f"Patient/{patient['id']}"}, "code": {"text": self.canary}})
        return patient["id"]

    def log_of_links(self) -> list[str]:
        return self.region.psql("control", "region", f"select tenant from region.patient_link where patient = '{self.patient}'").split()

    def permit(self, *institutions: str, **changes) -> dict:
        answer = self.bureau.fhir.send("POST", "Consent", consent(self.patient, *(institutions or (self.b.name,)), **changes))
        assert answer.status == 201, answer
        return answer.json()

    def revoke(self, made: dict) -> None:
        answer = self.bureau.fhir.send("PUT", f"Consent/{made['id']}", {**made, "status": "inactive"})
        assert answer.status == 200, answer

    def log(self) -> list[dict]:
        return self.bureau.fhir.search(f"AuditEvent?patient={self.patient}")


@pytest.fixture(scope="module")
def world(region, new_tenant) -> World:
    return World(region, new_tenant)


@pytest.fixture
def permitted(world):
    """An active consent for the reader, revoked at the end."""
    made = world.permit()
    yield made
    world.revoke(made)


def test_the_story(world):
    """Found without consent, refused without, answered with it, and both in the patient's log and in the holder's."""
    fhir, everything = world.reader.fhir, f"Patient/{world.patient}/$everything"
    found = fhir.get(f"Patient?identifier={world.mrn}").json()
    system, value = world.mrn.split("|")
    assert resources(found) == [{"resourceType": "Patient", "id": world.patient, "identifier": [{"system": system, "value": value}]}]
    refused = fhir.get(everything)
    assert (refused.status, code(refused)) == (403, "consent-required"), refused
    assert outcome(refused)["issue"][0]["code"] == "forbidden"

    made = world.permit()
    answer = fhir.get(everything)
    assert answer.status == 200, answer
    bundle = answer.json()
    kinds = [r["resourceType"] for r in resources(bundle)]
    assert kinds.count("Observation") == 19 and kinds.count("Condition") == 2 and kinds.count("Patient") == 3, kinds
    assert bundle["total"] == len(kinds) and not resources(bundle, "outcome")

    log = world.log()
    of_reader = [e for e in log if any(a.get("who", {}).get("identifier", {}).get("value") == world.b.name for a in e["agent"])]
    told = [(e["outcome"], e.get("outcomeDesc")) for e in of_reader if e["subtype"][0]["code"] == "operation"]
    assert told == [("0", "consent"), ("4", "no-consent")]
    event = next(e for e in of_reader if e.get("outcomeDesc") == "consent")
    custodians = {a["who"]["identifier"]["value"] for a in event["agent"] if a["type"]["coding"][0]["code"] == "CST"}
    assert custodians == {world.a.name, world.c.name}
    assert any(e.get("what", {}).get("reference") == f"Consent/{made['id']}/_history/1" for e in event["entity"])
    assert any(a["who"].get("reference") == "Practitioner/dr-2" and a["requestor"] for a in event["agent"])

    holder = world.a.fhir.search(f"AuditEvent?patient={world.local}&subtype=operation")
    assert len(holder) == 1, holder
    client = holder[0]["agent"][0]["who"]["identifier"]["value"]
    assert client == f"{world.b.name}/{world.reader.client.identity}"
    assert any(a["who"].get("reference") == "Practitioner/dr-2" for a in holder[0]["agent"])
    world.revoke(made)
    assert code(fhir.get(everything)) == "consent-required"


def test_ids_and_references_fit_together_and_name_no_holder(world, permitted):
    """Every reference to a resource of the compartment is an entry; neither ids nor references hold a tenant's name or base."""
    bundle = world.reader.fhir.get(f"Patient/{world.patient}/$everything").json()
    paths = {e["fullUrl"].removeprefix(world.region.origin + BASE + "/") for e in bundle["entry"]}
    assert len(paths) == len(bundle["entry"])
    for entry in bundle["entry"]:
        resource = entry["resource"]
        assert entry["fullUrl"].endswith(f"/{resource['resourceType']}/{resource['id']}")
        for reference in re.findall(r'"reference":\s*"([^"]+)"', json.dumps(resource)):
            assert reference in paths or reference.startswith("Practitioner/"), reference
            assert world.a.name not in reference and "/t/" not in reference
        if resource["resourceType"] in ("Observation", "Condition", "Encounter"):
            assert resource["subject"]["reference"] == f"Patient/{world.patient}"
    golden = next(r for r in resources(bundle) if r["id"] == world.patient)
    assert {l["other"]["reference"] for l in golden["link"]} <= paths and len(golden["link"]) == 2
    assert len({p.split("/")[1].split(".")[0] for p in paths if "." in p}) == 2


def test_read_vread_history_search_and_conditions(world, permitted):
    """The resources of an answer can be read one by one, in versions, and searched."""
    fhir = world.reader.fhir
    first = resources(fhir.get(f"Observation?patient={world.patient}&code=urn:c|c1&_count=1").json())[0]
    path = f"Observation/{first['id']}"
    read = fhir.get(path)
    assert read.status == 200 and read.json() == first
    assert fhir.get(path, If_None_Match=read.headers["ETag"]).status == 304
    assert fhir.get(path + "/_history/1").json() == first
    assert fhir.get(path + "/_history/2").status == 404
    history = fhir.get(path + "/_history").json()
    assert [e["resource"] for e in history["entry"]] == [first]
    codes = fhir.search(f"Observation?patient=Patient/{world.patient}&code=urn:c|c1&_count=3")
    assert len(codes) == 9 and len({r["id"] for r in codes}) == 9
    assert fhir.count(f"Observation?subject={world.patient}") == 19
    patient = fhir.get(f"Patient/{world.patient}").json()
    assert fhir.get(patient["link"][0]["other"]["reference"]).json()["name"][0]["family"] == world.canary
    assert fhir.get(f"Observation?patient={world.patient}&_elements=status&_count=1").json()["entry"][0]["resource"].keys() >= {"status", "id"}


def test_pages_are_whole_and_bound(world, permitted):
    """Pages of one hold everything once; a cursor is for its client, its question and its time."""
    fhir, found, url = world.reader.fhir, [], f"Patient/{world.patient}/$everything?_count=4"
    cursors = []
    while url:
        bundle = fhir.get(url).json()
        assert len([r for r in resources(bundle) if r["id"] != world.patient]) <= 4
        found += [(r["resourceType"], r["id"]) for r in resources(bundle)]
        url = link(bundle, "next")
        cursors.append(url)
    assert len(found) == len(set(found)) == 26
    cursor = cursors[1]
    other = Reader(world.region, world.b.name)
    assert other.fhir.get(cursor).status == 400
    assert fhir.get(cursor.replace("_count=4", "_count=5")).status == 400
    assert fhir.get(cursor.replace("$everything", "$everything").replace("_cursor=", "_cursor=A")).status == 400
    assert fhir.get(f"Observation?patient={world.patient}&" + cursor.split("?")[1]).status == 400


def test_purpose_and_practitioner_are_required(world, permitted):
    """Without them a crossing is refused with the rule, and recorded."""
    for practitioner, purpose in ((None, "TREAT"), ("Practitioner/1", None), (None, None), ("Practitioner/1", "CURIOUS")):
        fhir = world.reader.on_behalf(practitioner, purpose)
        for path in (f"Patient/{world.patient}/$everything", f"Patient?identifier={world.mrn}", f"Observation?patient={world.patient}", f"Patient/{world.patient}"):
            answer = fhir.get(path)
            assert (answer.status, code(answer)) == (403, "purpose-required"), f"{path}: {answer}"
    assert code(world.reader.on_behalf(purpose="HRESCH").get(f"Patient/{world.patient}/$everything")) == "consent-required"
    assert any(e.get("outcomeDesc") == "purpose-required" for e in world.log())


def test_refused_reads_of_single_records_are_in_the_patients_log(world, permitted):
    """For lack of a purpose or of a scope: read, history and version each once; nothing tells the client whose it was."""
    shared = resources(world.reader.fhir.get(f"Observation?patient={world.patient}&_count=1").json())[0]["id"]
    paths, before = [f"Observation/{shared}{suffix}" for suffix in ("", "/_history", "/_history/1")], len(world.log())
    strip = lambda a: re.sub(r"\(request [^)]*\)", "", a.text)
    for fhir, reason in ((world.reader.on_behalf(purpose=None), "purpose-required"),
                         (world.reader.on_behalf(scope="system/Condition.rs"), "insufficient-scope")):
        answers = [fhir.get(path) for path in (*paths, "Observation/00000000.never-there")]
        assert {(a.status, code(a)) for a in answers} == {(403, reason)} and len({strip(a) for a in answers}) == 1, answers
    # The first reading of the log is in it too.
    log = [(e.get("outcomeDesc"), e["subtype"][0]["code"]) for e in world.log()[:-before] if e["outcome"] == "4"]
    reads = ["vread", "history-instance", "read"]
    assert log == [("insufficient-scope", r) for r in reads] + [("purpose-required", r) for r in reads]


def test_refused_requests_that_name_a_patient_are_in_the_patients_log(world, permitted):
    """By an identifier, by the body of a consent, by a consent's id; and a list of consents for nobody in particular."""
    hospital, path = Reader(world.region, world.b.name, "system/*.cruds"), f"Consent/{permitted['id']}"
    before = len(world.log())
    asked = [
        (world.reader.on_behalf(purpose=None), "GET", f"Patient?identifier={world.mrn}", None, "purpose-required"),
        (world.reader.on_behalf(scope="system/Condition.rs"), "GET", f"Patient?identifier={world.mrn}", None, "insufficient-scope"),
        (hospital.fhir, "POST", "Consent", consent(world.patient, world.b.name), "bureau-required"),
        (hospital.fhir, "PUT", path, permitted, "bureau-required"), (hospital.fhir, "GET", path, None, "bureau-required"),
        (hospital.fhir, "GET", path + "/_history", None, "bureau-required"),
        (world.bureau.on_behalf(scope="system/Flag.cruds"), "PUT", path, permitted, "insufficient-scope")]
    for fhir, method, place, body, reason in asked:
        answer = fhir.send(method, place, body)
        assert (answer.status, code(answer)) == (403, reason), answer
    assert permitted["id"] in [c["id"] for c in world.bureau.fhir.search("Consent?status=active")]
    log = world.log()[:-before]
    # The first reading of the log is in it too.
    assert [e.get("outcomeDesc") for e in log if e["outcome"] == "4"] == [reason for *_, reason in reversed(asked)]
    queries = [base64.b64decode(x["query"]).decode() for e in log for x in e["entity"] if "query" in x]
    assert any(query.startswith("status=active") for query in queries)


def test_a_search_may_be_a_form(world, permitted):
    """What a form asks is what a URL asks: the same matches, pages, refusals and log."""
    form = {"Content_Type": "application/x-www-form-urlencoded"}
    ids = lambda bundle: [r["id"] for r in resources(bundle)]
    for fhir, kind, query in ((world.reader.fhir, "Patient", f"identifier={world.mrn}"),
                              (world.reader.fhir, "Observation", f"patient={world.patient}&code=urn:c|c1&_count=4"),
                              (world.reader.fhir, "Flag", f"patient={world.patient}"),
                              (world.bureau.fhir, "Consent", f"patient={world.patient}&status=active")):
        posted, got = fhir.send("POST", f"{kind}/_search", query, **form), fhir.get(f"{kind}?{query}")
        assert posted.status == got.status == 200 and ids(posted.json()) == ids(got.json()), posted
        following = link(posted.json(), "next")
        assert (following is None) == (link(got.json(), "next") is None)
        assert following is None or ids(fhir.get(following).json())
    half = world.reader.fhir.send("POST", f"Observation/_search?patient={world.patient}", "_count=1&_elements=status", **form)
    assert len(resources(half.json())) == 1, half
    logged = world.bureau.fhir.send("POST", "AuditEvent/_search", f"patient={world.patient}&_count=3", **form).json()
    queries = [base64.b64decode(x["query"]).decode() for e in resources(logged) for x in e["entity"] if "query" in x]
    assert any("_elements=status" in query for query in queries), queries
    refused = world.reader.fhir.send("POST", "Observation/_search", "patient=x", **form)
    assert (refused.status, code(refused)) == (400, "invalid-input"), refused
    assert world.reader.fhir.send("POST", "Observation/_search", {"patient": world.patient}).status == 415
    got = world.reader.fhir.get("Observation/_search")
    assert got.status == 405 and got.headers["Allow"] == "POST"


def test_scopes_and_realms(world, permitted, h1):
    """Scopes hold here too; a region token is nothing at a tenant's base, a tenant's or the operator's nothing here."""
    fhir = world.reader.on_behalf(scope="system/Condition.rs system/Patient.rs")
    assert code(fhir.get(f"Observation?patient={world.patient}")) == "insufficient-scope"
    kinds = {r["resourceType"] for r in resources(fhir.get(f"Patient/{world.patient}/$everything").json())}
    assert kinds == {"Patient", "Condition"}
    assert code(world.reader.fhir.send("POST", "Consent", consent(world.patient, world.b.name))) == "insufficient-scope"
    web, token = world.region.web, str(world.reader.fhir.token)
    for tenant in (world.a, world.b):
        answer = web.request("GET", f"{tenant.path}/Patient", None, {"Authorization": f"Bearer {token}"})
        nowhere = web.request("GET", "/t/no-such-tenant/fhir/Patient", None, {"Authorization": f"Bearer {token}"})
        assert answer.status == nowhere.status == 404
    own = web.request("GET", f"{BASE}/Patient?identifier={world.mrn}", None, {"Authorization": f"Bearer {world.b.token}"})
    assert own.status == 404
    operator = web.request("GET", f"{BASE}/Patient?identifier={world.mrn}", None, {"Authorization": f"Bearer {world.region.operator_token}"})
    assert (operator.status, code(operator)) == (403, "institution-required")
    assert web.request("GET", f"{BASE}/Patient").status == 401
    assert web.request("GET", f"{BASE}/metadata").json()["resourceType"] == "CapabilityStatement"
    discovery = web.request("GET", f"{BASE}/.well-known/smart-configuration").json()
    assert discovery["token_endpoint"].endswith("/region/oauth2/token")


def test_own_records_need_no_consent_but_are_recorded(world):
    """The holder reads what lies with itself; the other holder's part is left out without a word."""
    own = Reader(world.region, world.a.name)
    bundle = own.fhir.get(f"Patient/{world.patient}/$everything").json()
    assert [r["resourceType"] for r in resources(bundle)].count("Observation") == 12
    assert not resources(bundle, "outcome") and world.c.name not in json.dumps(bundle)
    assert world.log()[0]["outcomeDesc"] == "own-record"


def official(value: str) -> dict:
    """A Patient with an official identifier of system urn:mrn."""
    return {"resourceType": "Patient", "identifier": [{"use": "official", "system": "urn:mrn", "value": value}]}


def test_the_log_outlives_the_last_record_and_the_patient_comes_back_with_the_next(world):
    """Neither a deletion nor an identifier that is mistyped and corrected parts anybody from log and denial."""
    value = str(uuid.uuid4())
    identifier = f"urn:mrn|{value}"
    source = world.a.fhir.create(official(value))
    patient = world.reader.find(identifier)
    log = lambda: [e.get("outcomeDesc") for e in world.bureau.fhir.search(f"AuditEvent?patient={patient}")]
    gone = lambda: not world.reader.fhir.get(f"Patient?identifier={identifier}").json().get("entry")
    denial = world.bureau.fhir.send("POST", "Consent", consent(patient, world.b.name, deny=True))
    assert denial.status == 201, denial
    assert code(world.reader.fhir.get(f"Patient/{patient}/$everything")) == "consent-required"
    assert world.a.fhir.send("DELETE", f"Patient/{source['id']}").status == 204
    assert until(gone, 20, 0.05)
    assert world.reader.fhir.get(f"Patient/{patient}/$everything").status == 404
    assert log()[:1] == ["not-found"] and "no-consent" in log()

    source = world.c.fhir.create(official(value))
    assert world.reader.find(identifier) == patient
    wrong = world.a.fhir.create(official(str(uuid.uuid4())))
    world.reader.find("urn:mrn|" + wrong["identifier"][0]["value"])
    mistyped = {**source, "identifier": wrong["identifier"]}
    assert world.c.fhir.send("PUT", f"Patient/{source['id']}", mistyped).status == 200
    assert until(gone, 20, 0.05)
    assert world.c.fhir.send("PUT", f"Patient/{source['id']}", source).status == 200
    assert world.reader.find(identifier) == patient
    permission = world.bureau.fhir.send("POST", "Consent", consent(patient, world.b.name))
    assert permission.status == 201, permission
    assert code(world.reader.fhir.get(f"Patient/{patient}/$everything")) == "consent-required"
    assert "denied" in log()


@pytest.mark.parametrize("mark", [",", "|", "$", "\\"])
def test_an_identifier_is_searched_for_with_the_escapes_of_fhir(world, mark):
    """A backslash takes the meaning of a separator away; without it a comma or a bar makes more than one identifier."""
    value = f"{uuid.uuid4()}{mark}b"
    world.a.fhir.create(official(value))
    escaped = value.replace(mark, "\\" + mark)
    found = world.reader.find(urllib.parse.quote(f"urn:mrn|{escaped}"))
    answer = world.reader.fhir.get("Patient?identifier=" + urllib.parse.quote(f"urn:mrn|{escaped}")).json()
    assert resources(answer)[0]["identifier"] == [{"system": "urn:mrn", "value": value}] and resources(answer)[0]["id"] == found
    if mark in ",|":
        assert world.reader.fhir.get("Patient?identifier=" + urllib.parse.quote(f"urn:mrn|{value}")).status == 400


def test_who_asks_is_a_practitioner_of_the_institution(world, region):
    """An assertion that names somebody else, or another institution of the region, gets no token."""
    client = world.reader.client

    def ask(**named):
        claims = client.claims(extensions={"hl7-b2b": {"version": "1", "purpose_of_use": ["TREAT"], **named}})
        return exchange(region.web, client, client.assertion(claims))
    for subject in ("Patient/1", "Device/9", f"Organization/{world.b.name}", "https://h.example/fhir/RelatedPerson/1"):
        refused = ask(subject_id=subject)
        assert refused.json()["error"] == "invalid_client" and "subject_id" in refused.text, refused
    for organization in (
        f"Organization/{world.a.name}", f"{region.origin}/Organization/{world.a.name}", f"{region.origin}{BASE}/Organization/{world.a.name}",
        f"{region.origin}/t/{world.a.name}/fhir/Organization/1",
    ):
        refused = ask(subject_id="Practitioner/1", organization_id=organization)
        assert refused.json()["error"] == "invalid_client" and "organization_id" in refused.text, refused
    for organization in (f"Organization/{world.b.name}", f"{region.origin}{BASE}/Organization/{world.b.name}", "urn:oid:1.2.3", "https://h.example/Organization/7"):
        answer = ask(subject_id="https://h.example/fhir/Practitioner/1", organization_id=organization)
        assert answer.status == 200, answer


LEAKS = [
    "Observation?patient={p}", "Observation?patient={p}&_summary=count", "Observation?patient={p}&code=urn:c|c1", "Condition?patient={p}",
    "Patient/{p}", "Patient/{p}/$everything", "Patient/{p}/$everything?_type=Observation", "Patient/{p}/$everything?_summary=count",
    "Patient/{p}/$everything?_count=0", "{o}", "{o}/_history", "{o}/_history/1", "{r}", "{cursor}",
]


def test_without_consent_no_channel_says_anything(world):
    """Read, version, history, search, count, conditions, cursors: after a revocation each is what it is for what never was."""
    fhir, made = world.reader.fhir, world.permit()
    found = fhir.get(f"Observation?patient={world.patient}&_count=1").json()
    cursor, shared = link(found, "next"), f"Observation/{resources(found)[0]['id']}"
    record = fhir.get(f"Patient/{world.patient}").json()["link"][0]["other"]["reference"]
    tag = fhir.get(shared).headers["ETag"]
    world.revoke(made)
    names = {"p": world.patient, "o": shared, "r": record, "cursor": cursor}
    for path in LEAKS:
        answer = fhir.get(path.format(**names))
        assert answer.status in (403, 404), f"{path}: {answer}"
        assert world.canary not in answer.text and "total" not in answer.json(), answer
    strip = lambda a: re.sub(r"\(request [^)]*\)", "", a.text)
    never = f"Observation/{shared.split('/')[1].split('.')[0]}.never-there"
    unknown = "Observation/00000000.never-there"
    for suffix in ("", "/_history", "/_history/1"):
        answers = [fhir.get(p + suffix) for p in (shared, never, unknown)]
        assert [a.status for a in answers] == [404] * 3 and len({strip(a) for a in answers}) == 1, answers
    conditional = [fhir.get(p, If_None_Match=tag) for p in (shared, never)]
    assert [a.status for a in conditional] == [404, 404] and not any("ETag" in a.headers for a in conditional)
    # A type without a single resource and one with many are refused alike; an unknown patient is not found.
    assert strip(fhir.get(f"Observation?patient={world.patient}")) == strip(fhir.get(f"Immunization?patient={world.patient}"))
    assert fhir.get(f"Patient/{uuid.uuid4()}/$everything").status == fhir.get(f"Patient/{uuid.uuid4()}").status == 404


def test_nothing_leads_out_of_the_compartment(world, permitted):
    """Includes, chains, _has, references and browsing are refused; another patient's and shared resources are not found."""
    fhir, p = world.reader.fhir, world.patient
    for query in (
        "_include=Observation:performer", "_revinclude=Provenance:target", "_include:iterate=*", "_has:Provenance:target:agent=x",
        "patient.name=x", "encounter=Encounter/1", "performer=Practitioner/1", "subject:Patient.name=x", "_id=1", "_sort=date", "_total=accurate",
        "unknown=1", "_contained=true", "_query=x", "_filter=x", "code:missing2=true", "date=nonsense", "_count=x", "patient=x",
    ):
        answer = fhir.get(f"Observation?patient={p}&{query}")
        assert answer.status == 400, f"{query}: {answer}"
    for path in ("Observation", "Patient", "Patient?name=x", "Patient?identifier=7", "Patient?identifier=urn:mrn|", "Patient?identifier=|7",
                 "Patient?identifier=urn:mrn|1,urn:mrn|2", f"Patient/{p}/$everything?start=2020", f"Patient/{p}/$everything?_type=Practitioner"):
        assert fhir.get(path).status == 400, path
    for path in (f"Practitioner?patient={p}", "Nonsense?patient=1", f"Patient/{p}/Observation", f"Patient/{p}/_history", "_history", "$export", "",
                 "Binary/x", f"Group/{uuid.uuid4()}", "Patient/p1", "AuditEvent/audit-1"):
        assert fhir.get(path).status == 404, path
    assert fhir.send("DELETE", f"Patient/{p}").status == 405
    assert fhir.send("POST", "Observation", {"resourceType": "Observation"}).status == 405
    alias = fhir.get(f"Patient/{p}").json()["link"][0]["other"]["reference"].split("/")[1].split(".")[0]
    holder = world.a if fhir.get(f"Patient/{alias}.{world.local}").status == 200 else world.c
    stranger = holder.fhir.create({"resourceType": "Patient", "name": [{"family": "Stranger"}]})
    theirs = holder.fhir.create({"resourceType": "Condition", "subject": {"reference": f"Patient/{stranger['id']}"}})
    doctor = holder.fhir.create({"resourceType": "Practitioner", "name": [{"family": "X"}]})
    for path in (f"Patient/{alias}.{stranger['id']}", f"Condition/{alias}.{theirs['id']}", f"Practitioner/{alias}.{doctor['id']}"):
        assert fhir.get(path).status == fhir.get(path + "/_history").status == fhir.get(path + "/_history/1").status == 404, path


def test_what_is_about_another_stays_hidden_though_the_patient_said_it(world, permitted):
    """The compartment holds what the patient asserted, recorded or performed too; the consent is hers, not her child's."""
    child = world.a.fhir.create({"resourceType": "Patient", "name": [{"family": "Child"}]})
    mother, subject = {"reference": f"Patient/{world.local}"}, {"reference": f"Patient/{child['id']}"}
    secret = f"secret{uuid.uuid4().hex}"
    made = [world.a.fhir.create(resource) for resource in [
        {"resourceType": "Condition", "subject": subject, "asserter": mother, "code": {"text": secret}},
        {"resourceType": "AllergyIntolerance", "patient": subject, "recorder": mother, "code": {"text": secret}},
        {"resourceType": "Observation", "status": "final", "subject": subject, "performer": [mother], "code": {"text": secret}},
        {"resourceType": "Coverage", "status": "active", "policyHolder": mother, "beneficiary": subject, "payor": [mother],
         "subscriberId": secret},
    ]]
    alias = next(
        r["id"].split(".")[0] for r in resources(world.reader.fhir.get(f"Patient/{world.patient}/$everything").json())
        if r["resourceType"] == "Patient" and r["id"].endswith(world.local))
    fhir = world.reader.fhir
    for resource in made:
        kind = resource["resourceType"]
        assert fhir.get(f"{kind}/{alias}.{resource['id']}").status == 404, kind
        assert fhir.get(f"{kind}/{alias}.{resource['id']}/_history").status == 404, kind
        answer = fhir.get(f"{kind}?patient={world.patient}&_count=1000")
        assert answer.status == 200 and secret not in answer.text, kind
    assert secret not in fhir.get(f"Patient/{world.patient}/$everything?_count=1000").text
    # At the holder's own base the compartment is the standard's.
    assert [r["id"] for r in world.a.fhir.search(f"Patient/{world.local}/Condition?code:text={secret}")] == [made[0]["id"]]


def alias_at(world: World, tenant) -> str:
    """The alias of the patient's record at a holder, as the holder itself finds it."""
    own = Reader(world.region, tenant.name).fhir.get(f"Patient/{world.patient}").json()
    return own["link"][0]["other"]["reference"].removeprefix("Patient/").split(".")[0]


def test_what_names_the_patient_beside_others_is_not_hers(world, permitted):
    """A Patient that links to her, a Group that she is a member of: other people's data, by no channel."""
    secret, her = f"secret{uuid.uuid4().hex}", {"reference": f"Patient/{world.local}"}
    other = world.a.fhir.create({
        "resourceType": "Patient", "name": [{"family": secret}], "link": [{"other": her, "type": "seealso"}]})
    group = world.a.fhir.create({
        "resourceType": "Group", "type": "person", "actual": True,
        "member": [{"entity": her}, {"entity": {"reference": f"Patient/{other['id']}", "display": secret}}]})
    schedule = world.a.fhir.create({"resourceType": "Schedule", "actor": [{**her, "display": secret}]})
    fhir, alias = world.reader.fhir, alias_at(world, world.a)
    assert fhir.get(f"Patient/{alias}.{world.local}").status == 200
    for resource in (other, group, schedule):
        path = f"{resource['resourceType']}/{alias}.{resource['id']}"
        for suffix in ("", "/_history", "/_history/1"):
            assert fhir.get(path + suffix).status == 404, path + suffix
    assert secret not in fhir.get(f"Patient/{world.patient}/$everything?_count=1000").text
    for kind in ("Group", "Schedule"):
        assert fhir.get(f"{kind}?patient={world.patient}").status == 404, kind
        assert fhir.get(f"Patient/{world.patient}/$everything?_type={kind}").status == 400, kind
    served = {r["type"] for r in fhir.get("metadata").json()["rest"][0]["resource"]}
    assert {"Patient", "Coverage", "Appointment", "AuditEvent"} <= served and not {"Group", "Schedule"} & served


def test_versions_and_the_holders_log_are_of_the_patient_that_was_decided_on(world, permitted):
    """A Coverage is about its beneficiary, an Appointment about all its patients: so are their versions, and so says the log."""
    fhir, alias = world.reader.fhir, alias_at(world, world.a)
    her = {"reference": f"Patient/{world.local}"}
    other = {"reference": f"Patient/{world.a.fhir.create({'resourceType': 'Patient'})['id']}"}
    coverage = lambda holder, beneficiary: world.a.fhir.create({
        "resourceType": "Coverage", "status": "active", "policyHolder": holder, "beneficiary": beneficiary, "payor": [holder]})
    # She pays for another: corrected to herself, its first version stays the other's.
    corrected = coverage(her, other)
    world.a.fhir.put({**corrected, "beneficiary": her})
    path = f"Coverage/{alias}.{corrected['id']}"
    assert (fhir.get(path).status, fhir.get(path + "/_history/1").status, fhir.get(path + "/_history/2").status) == (200, 404, 200)
    assert [e["resource"]["meta"]["versionId"] for e in fhir.get(path + "/_history").json()["entry"]] == ["2"]
    # Another pays for her, or comes with her: hers in every version.
    paid = coverage(other, her)
    visit = world.a.fhir.create({
        "resourceType": "Appointment", "status": "proposed",
        "participant": [{"actor": other, "status": "accepted"}, {"actor": her, "status": "accepted"}]})
    for resource in (paid, visit):
        path = f"{resource['resourceType']}/{alias}.{resource['id']}"
        assert fhir.get(path).status == fhir.get(path + "/_history/1").status == 200, path
        assert [e["resource"]["meta"]["versionId"] for e in fhir.get(path + "/_history").json()["entry"]] == ["1"], path
    client = f"{world.b.name}/{world.reader.client.identity}"
    told = {}
    for reference in (her, other):
        events = world.a.fhir.search(f"AuditEvent?patient={reference['reference']}")
        told[reference["reference"]] = [
            (e["subtype"][0]["code"], e["outcome"], x["what"]["reference"]) for e in events
            if e["agent"][0]["who"]["identifier"]["value"] == client
            for x in e["entity"] if x.get("what", {}).get("reference", "").startswith(("Coverage/", "Appointment/"))]
    assert told[other["reference"]] == [], "nothing was read for the other patient"
    mine = told[her["reference"]]
    for resource in (paid, visit):
        name = f"{resource['resourceType']}/{resource['id']}"
        assert {(what, result) for what, result, where in mine if where.split("/_history")[0] == name} == {
            ("read", "0"), ("vread", "0"), ("history-instance", "0")}, mine
    name = f"Coverage/{corrected['id']}"
    assert {(result, where) for what, result, where in mine if what == "vread" and where.startswith(name)} == {
        ("4", name + "/_history/1"), ("0", name + "/_history/2")}, mine


def test_a_holder_behind_a_full_page_is_told_of_though_its_ids_are_too_long(world, permitted):
    """The page before has a next one and no total; the next one says what cannot be named."""
    holders = sorted(((alias_at(world, holder), holder) for holder in (world.a, world.c)), key=lambda pair: pair[0])
    (_, first), (_, second) = holders
    local = {tenant.name: tenant.fhir.ids(f"Patient?identifier={world.mrn}")[0] for tenant in (first, second)}
    basic = lambda tenant: {
        "resourceType": "Basic", "code": {"text": "x"}, "subject": {"reference": f"Patient/{local[tenant.name]}"}}
    first.fhir.create(basic(first))
    second.fhir.put({**basic(second), "id": "f" * 64})
    fhir = world.reader.fhir
    page = fhir.get(f"Basic?patient={world.patient}&_count=1").json()
    assert len(resources(page)) == 1 and "total" not in page and not resources(page, "outcome"), page
    last = fhir.get(link(page, "next")).json()
    assert not resources(last) and link(last, "next") is None, last
    issue = resources(last, "outcome")[0]["issue"][0]
    assert issue["code"] == "incomplete" and "55 characters" in issue["diagnostics"], issue


def test_versions_of_another_patient_stay_hidden(world, permitted):
    """A resource that was corrected to this patient does not show what it said of another."""
    alias_of = lambda: [l["other"]["reference"].split("/")[1] for l in world.reader.fhir.get(f"Patient/{world.patient}").json()["link"]]
    alias = next(a.split(".")[0] for a in alias_of() if a.endswith("." + world.local))
    other = world.a.fhir.create({"resourceType": "Patient"})
    made = world.a.fhir.create({"resourceType": "Condition", "subject": {"reference": f"Patient/{other['id']}"}, "code": {"text": "wrong one"}})
    world.a.fhir.put({**made, "subject": {"reference": f"Patient/{world.local}"}})
    path = f"Condition/{alias}.{made['id']}"
    assert world.reader.fhir.get(path).status == 200
    assert [e["resource"]["meta"]["versionId"] for e in world.reader.fhir.get(path + "/_history").json()["entry"]] == ["2"]
    assert world.reader.fhir.get(path + "/_history/1").status == 404
    assert world.reader.fhir.get(path + "/_history/2").status == 200
    world.a.fhir.send("DELETE", f"Condition/{made['id']}")
    assert world.reader.fhir.get(path).status == world.reader.fhir.get(path + "/_history").status == 404


def test_a_consent_for_some_types_leaves_the_others_out(world):
    """A limited consent opens its types and nothing else."""
    made = world.permit(types=("Condition",))
    fhir = world.reader.fhir
    assert {r["resourceType"] for r in resources(fhir.get(f"Patient/{world.patient}/$everything").json())} <= {"Patient", "Condition"}
    assert fhir.count(f"Condition?patient={world.patient}") >= 2
    assert code(fhir.get(f"Observation?patient={world.patient}")) == "consent-required"
    world.revoke(made)


def kinds(answer) -> set[str]:
    """The resource types in an answer, the region's own Patient aside; empty when it was refused."""
    if answer.status == 403:
        assert code(answer) == "consent-required", answer
        return set()
    assert answer.status == 200, answer
    return {r["resourceType"] for r in resources(answer.json()) if not (r["resourceType"] == "Patient" and "." not in r["id"])}


def test_consents_are_added_up_and_denials_taken_away(world):
    """Each counts for itself: one is revoked and the other stands; a denial takes its part, and gives it back when it is revoked."""
    fhir, everything = world.reader.fhir, f"Patient/{world.patient}/$everything"
    conditions, observations = world.permit(types=("Condition",)), world.permit(types=("Observation",))
    assert kinds(fhir.get(everything)) == {"Condition", "Observation"}
    assert kinds(fhir.get(f"Observation?patient={world.patient}")) == {"Observation"}
    shared = resources(fhir.get(f"Observation?patient={world.patient}&_count=1").json())[0]["id"]
    denial = world.permit(types=("Observation",), deny=True)
    assert kinds(fhir.get(everything)) == {"Condition"}
    for path in (f"Observation?patient={world.patient}", f"Observation?patient={world.patient}&_summary=count",
                 f"{everything}?_type=Observation&_summary=count", f"{everything}?_type=Observation"):
        answer = fhir.get(path)
        assert answer.status == 403 or answer.json().get("total", 0) == 0 and world.canary not in answer.text, f"{path}: {answer}"
    for path in (f"Observation/{shared}", f"Observation/{shared}/_history", f"Observation/{shared}/_history/1"):
        assert fhir.get(path).status == 404, path
    world.revoke(conditions)
    refused = fhir.get(everything)
    assert kinds(refused) == set()
    event = world.log()[0]
    named = [e["what"]["reference"] for e in event["entity"] if e.get("what", {}).get("reference", "").startswith("Consent/")]
    assert event["outcomeDesc"] == "denied" and {path.split("/")[1] for path in named} == {observations["id"], denial["id"]}
    world.revoke(denial)
    assert kinds(fhir.get(everything)) == {"Observation"}
    world.revoke(observations)
    never = fhir.get(everything)
    assert kinds(never) == set()
    strip = lambda a: re.sub(r"\(request [^)]*\)", "", a.text)
    assert strip(never) == strip(refused), "a client is not told of denials"


def test_a_denial_of_everything_leaves_ones_own(world, permitted):
    """No actor is everybody, no purpose everything; the holder's own record stays its own."""
    denial = consent(world.patient, deny=True)
    del denial["provision"]["actor"], denial["provision"]["purpose"]
    made = world.bureau.fhir.send("POST", "Consent", denial)
    assert made.status == 201, made
    try:
        assert kinds(world.reader.fhir.get(f"Patient/{world.patient}/$everything")) == set()
        assert "Observation" in kinds(Reader(world.region, world.a.name).fhir.get(f"Patient/{world.patient}/$everything"))
    finally:
        world.revoke(made.json())
    assert "Observation" in kinds(world.reader.fhir.get(f"Patient/{world.patient}/$everything"))


def test_who_records_may_be_denied(world):
    """A bureau that reads by another bureau's consent records the patient's denial against itself."""
    name = f"bureau-{uuid.uuid4().hex[:6]}"
    world.region.run("tenant", "create", name, "--name", "Second", "--time-zone", "UTC", "--language", "en", "--kind", "bureau")
    second = Reader(world.region, name, "system/*.cruds")
    made = world.permit(second.institution)
    everything = f"Patient/{world.patient}/$everything"
    assert second.fhir.get(everything).status == 200
    # Each changes what it recorded itself.
    assert second.fhir.send("PUT", f"Consent/{made['id']}", {**made, "status": "inactive"}).status == 404
    denial = second.fhir.send("POST", "Consent", consent(world.patient, second.institution, deny=True))
    assert denial.status == 201 and code(second.fhir.get(everything)) == "consent-required", denial
    lifted = {**denial.json(), "status": "inactive"}
    assert second.fhir.send("PUT", f"Consent/{lifted['id']}", lifted).status == 200
    assert second.fhir.get(everything).status == 200
    world.revoke(made)
    assert code(second.fhir.get(everything)) == "consent-required"


def test_a_consent_counts_from_its_beginning_to_its_end(world):
    """To the second, on both sides."""
    fhir, everything = world.reader.fhir, f"Patient/{world.patient}/$everything"

    def instant(seconds: float) -> str:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))

    later = consent(world.patient, world.b.name)
    later["provision"]["period"] = {"start": instant(3600), "end": instant(7200)}
    future = world.bureau.fhir.send("POST", "Consent", later).json()
    assert kinds(fhir.get(everything)) == set()
    short = consent(world.patient, world.b.name)
    short["provision"]["period"] = {"start": instant(-3600), "end": instant(5)}
    made = world.bureau.fhir.send("POST", "Consent", short)
    assert made.status == 201, made
    assert "Observation" in kinds(fhir.get(everything))
    assert until(lambda: kinds(fhir.get(everything)) == set(), 15, 0.2)
    # What is over can be closed, not kept open.
    assert world.bureau.fhir.send("PUT", f"Consent/{made.json()['id']}", made.json()).status == 422
    world.revoke(made.json())
    world.revoke(future)


def test_a_repeated_request_is_one_consent_though_its_worker_dies(world):
    """Killed between the consent and its answer: the same request again finds what the first one made, and only that."""
    region, key = world.region, str(uuid.uuid4())
    wanted = consent(world.patient, world.c.name, status="draft", sourceReference={"display": key})
    region.psql("control", "region", """
        create function public.planted_hold() returns trigger language plpgsql as $hold$ begin
            perform pg_advisory_xact_lock_shared(47110816);
            return null;
        end $hold$;
        create trigger planted_hold after insert on region.consent_version for each row execute function public.planted_hold();
    """)
    holder = subprocess.Popen(
        region.psql_command("control", "region"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd="/")
    try:
        holder.stdin.write("select pg_advisory_lock(47110816), 'held';\n")
        holder.stdin.flush()
        assert "held" in holder.stdout.readline()
        with ThreadPoolExecutor(1) as pool:
            lost = pool.submit(lambda: world.bureau.fhir.send("POST", "Consent", wanted, Idempotency_Key=key))
            waiting = "select count(*) from pg_locks where locktype = 'advisory' and objid = 47110816 and not granted"
            assert until(lambda: region.psql("control", "region", waiting).strip() == "1", 20)
            for pid in region.workers():
                os.kill(pid, 9)
            with pytest.raises(Exception):
                answer = lost.result(30)
                assert answer.status < 300, answer
    finally:
        holder.kill()
        holder.wait()
        region.psql("control", "region", "drop trigger planted_hold on region.consent_version; drop function public.planted_hold")
    region.wait_ready()
    first = world.bureau.fhir.send("POST", "Consent", wanted, Idempotency_Key=key)
    assert first.status == 201, first
    second = world.bureau.fhir.send("POST", "Consent", wanted, Idempotency_Key=key)
    assert second.body == first.body and second.headers["Location"] == first.headers["Location"]
    found = world.bureau.fhir.search(f"Consent?patient={world.patient}")
    assert [c["id"] for c in found if c.get("sourceReference", {}).get("display") == key] == [first.json()["id"]]
    other = world.bureau.fhir.send("POST", "Consent", {**wanted, "status": "active"}, Idempotency_Key=key)
    assert (other.status, code(other)) == (422, "idempotency-mismatch"), other
    path, active = f"Consent/{first.json()['id']}", {**first.json(), "status": "active"}
    versions = [world.bureau.fhir.send("PUT", path, active, Idempotency_Key=key).headers["ETag"] for _ in range(2)]
    assert versions == ['W/"2"', 'W/"2"']
    world.revoke(active)


def test_a_tenant_that_is_made_again_inherits_no_consent(world, new_tenant):
    """The name is the same, the institution is not; the consent can still be revoked, and a new version is for the new one."""
    tenant = new_tenant()
    made = world.permit(tenant.name)
    assert Reader(world.region, tenant.name).fhir.get(f"Patient/{world.patient}/$everything").status == 200
    world.region.run("tenant", "delete", tenant.name, "--yes")
    world.region.create_tenant(tenant.name)
    reader = Reader(world.region, tenant.name)
    # Tokens of the second in which the old institution went are refused with its own.
    assert until(lambda: reader.on_behalf().get(f"Patient/{world.patient}").status != 401, 5, 0.2)
    reader.fhir = reader.on_behalf()
    for path in (f"Patient/{world.patient}/$everything", f"Observation?patient={world.patient}", f"Patient/{world.patient}"):
        assert code(reader.fhir.get(path)) == "consent-required", path
    renewed = world.bureau.fhir.send("PUT", f"Consent/{made['id']}", made)
    assert renewed.status == 200, renewed
    assert reader.fhir.get(f"Patient/{world.patient}/$everything").status == 200
    world.revoke(made)
    assert code(reader.fhir.get(f"Patient/{world.patient}")) == "consent-required"


BAD_REQUESTS = [
    ("GET", "Observation", {}, 400, "patient"), ("GET", "Observation?patient=x", {}, 400, "patient"),
    ("GET", "Observation?patient={p}&patient={p}", {}, 400, "patient"), ("GET", "Observation?patient={p}&_count=x", {}, 400, "_count"),
    ("GET", "Observation?patient={p}&_cursor=x", {}, 400, "_cursor"), ("GET", "Observation?patient={p}&_include=*", {}, 400, "_include"),
    ("GET", "Observation?patient={p}&_revinclude=Provenance:target", {}, 400, "_revinclude"),
    ("GET", "Observation?patient={p}&subject:Patient.name=x", {}, 400, "subject:Patient.name"),
    ("GET", "Observation?patient={p}&_has:Provenance:target:agent=x", {}, 400, "_has:Provenance:target:agent"),
    ("GET", "Patient?name=x", {}, 400, "name"), ("GET", "Patient", {}, 400, "identifier"),
    ("GET", "Patient/{p}/$everything?_type=Practitioner", {}, 400, "_type"), ("GET", "Patient/{p}/$everything?_since=x", {}, 400, "_since"),
    ("GET", "Patient/{p}/$everything?start=2020", {}, 400, "start"), ("GET", "Consent?status=x", {}, 400, "status"),
    ("GET", "Consent?patient={p}&date=2020", {}, 400, "date"), ("GET", "AuditEvent", {}, 400, "patient"),
    ("GET", "AuditEvent?patient={p}&_cursor=x", {}, 400, "_cursor"),
    ("POST", "Consent", {"Idempotency_Key": "a b"}, 400, "header:Idempotency-Key"),
    ("POST", "Consent", {"If_None_Exist": "patient=1"}, 400, "header:If-None-Exist"),
    ("PUT", "Consent/{c}", {"If_Match": 'W/"1", W/"2"'}, 400, "header:If-Match"), ("PUT", "Consent/{c}", {"If_Match": 'W/"9"'}, 412, "header:If-Match"),
    ("PUT", "Consent/{c}", {"If_None_Match": "*"}, 412, "header:If-None-Match"), ("PUT", "Consent/{c}", {"If_None_Match": 'W/"1"'}, 400, "header:If-None-Match"),
    ("POST", "Consent", {"Content_Type": "text/plain"}, 415, "header:Content-Type"),
]


@pytest.mark.parametrize("method, path, headers, status, place", BAD_REQUESTS)
def test_bad_requests_are_refused_where_they_are_bad(world, permitted, method, path, headers, status, place):
    """An OperationOutcome that names the parameter or header, and its rule; nothing was written."""
    fhir = world.bureau.fhir if path.startswith(("Consent", "AuditEvent")) else world.reader.fhir
    body = {**permitted, "status": "active"} if method != "GET" else None
    answer = fhir.send(method, path.format(p=world.patient, c=permitted["id"]), body, **headers)
    assert answer.status == status, answer
    issues = [i for i in outcome(answer)["issue"] if place in i.get("expression", [])]
    assert issues and issues[0]["diagnostics"], answer
    assert world.bureau.fhir.get(f"Consent/{permitted['id']}").json()["meta"]["versionId"] == "1"


def test_a_bad_value_is_no_unknown_parameter(world, permitted):
    """docs/errors.md: what to correct is the value or the name."""
    values = ["Observation", "Observation?patient=x", "Observation?patient={p}&_count=-1", "Observation?patient={p}&date=yesterday",
              "Patient?identifier=7", "Patient/{p}/$everything?_since=2020", "Patient/{p}/$everything?_cursor=x"]
    names = ["Observation?patient={p}&based-on=1", "Observation?patient={p}&colour=red", "Patient?name=x", "Patient/{p}/$everything?start=2020"]
    of_bureau = ["Consent?status=active,draft", "Consent?patient=x", "AuditEvent?patient={p}&_count=x"]
    for fhir, paths, expected in ((world.reader.fhir, values, "invalid-input"), (world.reader.fhir, names, "unknown-parameter"),
                                  (world.bureau.fhir, of_bureau, "invalid-input"), (world.bureau.fhir, ["Consent?date=2020"], "unknown-parameter")):
        for path in paths:
            answer = fhir.get(path.format(p=world.patient))
            assert (answer.status, code(answer)) == (400, expected), f"{path}: {answer}"


def test_no_entries_are_a_count(world, permitted):
    """`_count=0` says how many there are: of consents, of the log, and as many of everything as an answer has."""
    for path in (f"Consent?patient={world.patient}&status=active", f"AuditEvent?patient={world.patient}"):
        before = len(world.bureau.fhir.search(path + "&_count=1000"))
        counted = world.bureau.fhir.get(path + "&_count=0").json()
        # That the log was read is in it too.
        assert counted["total"] == before + path.startswith("AuditEvent") and "entry" not in counted, counted
    for types in ("Condition,Patient", "Condition"):
        path = f"Patient/{world.patient}/$everything?_type={types}"
        whole = world.reader.fhir.get(path).json()
        for shape in ("_count=0", "_summary=count"):
            counted = world.reader.fhir.get(f"{path}&{shape}").json()
            assert counted["total"] == whole["total"] == len(whole["entry"]) and "entry" not in counted, (path, counted)


def bad_consents(world: World) -> list[tuple[str, dict, int, str]]:
    good = lambda **changes: consent(world.patient, world.b.name, **changes)
    def without(*path: str) -> dict:
        resource = good()
        node = resource
        for name in path[:-1]:
            node = node[name]
        del node[path[-1]]
        return resource
    def provision(**changes) -> dict:
        resource = good()
        resource["provision"].update(changes)
        return resource
    return [
        ("another's patient", good(performer=[{"reference": f"Patient/{uuid.uuid4()}"}]), 422, "Consent.performer[0]"),
        ("unknown patient", consent(str(uuid.uuid4()), world.b.name), 422, "Consent.patient"),
        ("a holder's patient", consent(world.local, world.b.name), 422, "Consent.patient"),
        ("no period", without("provision", "period"), 422, "Consent.provision.period"),
        ("no end", without("provision", "period", "end"), 422, "Consent.provision.period.end"),
        ("no start", without("provision", "period", "start"), 422, "Consent.provision.period.start"),
        ("over already", good(days=-2), 422, "Consent.provision.period"),
        ("for the recorder itself", consent(world.patient, world.bureau_tenant), 422, "Consent.provision.actor[0].reference"),
        ("unknown institution", consent(world.patient, "nobody-here"), 422, "Consent.provision.actor"),
        ("nobody", provision(actor=[]), 422, "Consent.provision.actor"),
        ("unknown purpose", good(purposes=("CURIOUS",)), 422, "Consent.provision.purpose[0]"),
        ("neither permit nor deny", without("provision", "type"), 422, "Consent.provision.type"),
        ("a permission that opts out", good(policyRule={"coding": [{"code": "OPTOUT"}]}), 422, "Consent.policyRule"),
        ("a denial that opts in", provision(type="deny"), 422, "Consent.policyRule"),
        ("a denial without end", {**consent(world.patient, deny=True), "provision": {"type": "deny"}}, 422, "Consent.provision.period"),
        ("another's absolute patient", good(performer=[{"reference": f"http://x/fhir/Patient/{uuid.uuid4()}"}]), 422, "Consent.performer[0]"),
        ("a patient by identifier", good(performer=[{"type": "Patient", "identifier": {"value": "7"}}]), 422, "Consent.performer[0]"),
        ("an institution for itself", good(performer=[{"reference": f"Organization/{world.b.name}"}]), 422, "Consent.performer[0]"),
        ("an institution for itself, by identifier", good(performer=[{"identifier": {"system": "urn:medcloud:tenant", "value": world.b.name}}]), 422, "Consent.performer[0]"),
        ("a nested provision", provision(provision=[{"type": "deny"}]), 422, "Consent.provision.provision"),
        ("unknown class", good(types=("Practitioner",)), 422, "Consent.provision.class[0]"),
        ("entered in error", good(status="entered-in-error"), 422, "Consent.status"),
        ("born inactive", good(status="inactive"), 422, "Consent.status"),
        ("no scope", without("scope"), 422, "Consent.scope"),
        ("an unknown element", good(consented=True), 422, "Consent.consented"),
        ("no Consent", {"resourceType": "Patient"}, 400, "resourceType"),
    ]


def test_bad_consents_are_refused_where_they_are_bad(world):
    """Each names its element and the rule; none is recorded."""
    before = world.bureau.fhir.search(f"Consent?patient={world.patient}")
    for name, resource, status, place in bad_consents(world):
        answer = world.bureau.fhir.send("POST", "Consent", resource)
        assert answer.status == status, f"{name}: {answer}"
        places = [x for issue in outcome(answer)["issue"] for x in issue.get("expression", [])]
        assert place in places, f"{name}: {answer}"
    assert world.bureau.fhir.search(f"Consent?patient={world.patient}") == before
    hospital = Reader(world.region, world.b.name, "system/*.cruds")
    for method, path, body in (("POST", "Consent", consent(world.patient, world.b.name)), ("GET", f"Consent?patient={world.patient}", None),
                               ("GET", f"AuditEvent?patient={world.patient}", None), ("GET", f"Consent/{uuid.uuid4()}", None)):
        answer = hospital.fhir.send(method, path, body)
        assert (answer.status, code(answer)) == (403, "bureau-required"), answer


def test_a_consent_has_versions_and_one_way(world):
    """draft → active → inactive with If-Match, history kept; an inactive one is closed and a repeated POST is one consent."""
    fhir, key = world.bureau.fhir, str(uuid.uuid4())
    draft = consent(world.patient, world.b.name, status="draft")
    made = fhir.send("POST", "Consent", draft, Idempotency_Key=key)
    assert made.status == 201 and made.headers["ETag"] == 'W/"1"'
    again = fhir.send("POST", "Consent", draft, Idempotency_Key=key)
    assert again.status == 201 and again.body == made.body
    path = f"Consent/{made.json()['id']}"
    assert code(world.reader.fhir.get(f"Patient/{world.patient}")) == "consent-required"
    active = {**made.json(), "status": "active"}
    assert fhir.send("PUT", path, active, If_Match='W/"7"').status == 412
    assert fhir.send("PUT", path, active, If_Match='W/"1"').status == 200
    assert world.reader.fhir.get(f"Patient/{world.patient}").status == 200
    back = fhir.send("PUT", path, {**active, "status": "draft"})
    assert (back.status, code(back)) == (422, "illegal-transition") and "active, inactive" in back.text
    elsewhere = {**active, "patient": {"reference": f"Patient/{uuid.uuid4()}"}}
    assert (fhir.send("PUT", path, elsewhere).status, fhir.send("DELETE", path).status) == (422, 405)
    assert fhir.send("PUT", path, {**active, "status": "inactive"}, If_Match="*").status == 200
    assert fhir.send("PUT", path, active).status == 422
    history = fhir.get(path + "/_history").json()
    assert [e["resource"]["status"] for e in history["entry"]] == ["inactive", "active", "draft"] and history["total"] == 3
    assert fhir.get(path + "/_history/2").json()["status"] == "active"
    assert fhir.get(path).json()["status"] == "inactive"
    assert made.json()["id"] in [c["id"] for c in fhir.search(f"Consent?patient={world.patient}&status=inactive&_count=2")]
    assert fhir.send("PUT", f"Consent/{uuid.uuid4()}", active).status in (404, 422)


def test_refused_consents_are_in_the_patients_log(world):
    """By a rule of the region, by a version, by a transition: each once, with its reason; what is recorded is not refused."""
    fhir, made = world.bureau.fhir, world.permit()
    path, before = f"Consent/{made['id']}", len(world.log())
    unbounded = consent(world.patient, world.b.name)
    del unbounded["provision"]["period"]
    assert fhir.send("POST", "Consent", unbounded).status == 422
    assert fhir.send("PUT", path, {**made, "status": "inactive"}, If_Match='W/"9"').status == 412
    assert fhir.send("PUT", path, {**made, "status": "draft"}).status == 422
    refused = [event for event in world.log()[:-before] if event["action"] != "E"]
    assert [(event["action"], event["outcome"]) for event in refused] == [("U", "4"), ("U", "4"), ("C", "4")]
    for event, reason in zip(refused, ("illegal-transition", "precondition-failed", "consent-refused")):
        assert reason in json.dumps(event), event
        assert event["agent"][0]["who"] and (event["action"] == "C" or made["id"] in json.dumps(event["entity"])), event
    world.revoke(made)


def test_revocation_while_100_readers_read(world):
    """No read that began after the revocation's answer returns anything: read, search, everything, history, count."""
    made = world.permit()
    shared = resources(world.reader.fhir.get(f"Observation?patient={world.patient}&_count=1").json())[0]["id"]
    paths = [f"Observation/{shared}", f"Observation?patient={world.patient}", f"Patient/{world.patient}/$everything",
             f"Observation/{shared}/_history", f"Observation?patient={world.patient}&_summary=count"]
    str(world.reader.fhir.token)
    revoking, revoked, late, early, stop = threading.Event(), [], [], [0] * 100, time.monotonic() + 30

    def read(number: int) -> None:
        path = paths[number % len(paths)]
        while time.monotonic() < stop:
            begun = time.monotonic()
            answer = world.reader.fhir.get(path)
            if answer.status == 429:
                continue
            if answer.status == 200:
                if revoked and begun > revoked[0]:
                    late.append(f"{path}: {answer}")
                else:
                    early[number] += 1
            elif revoked and begun > revoked[0] + 0.2:
                return
            else:
                assert revoking.is_set() or answer.status == 503, answer

    with ThreadPoolExecutor(100) as pool:
        futures = [pool.submit(read, number) for number in range(100)]
        assert until(lambda: all(early) or time.monotonic() > stop - 15, 20)
        revoking.set()
        world.revoke(made)
        revoked.append(time.monotonic())
        for future in futures:
            future.result()
    assert not late, f"{len(late)}: {late[:2]}"
    assert sum(1 for n in early if n) >= 90


def test_a_holder_that_is_away_is_named(world, permitted):
    """Its part is missing, and the answer says whose; a count is not a wrong number, a read of its resource is 503."""
    fhir, region = world.reader.fhir, world.region
    alias = next(l["other"]["reference"] for l in fhir.get(f"Patient/{world.patient}").json()["link"] if l["other"]["reference"].endswith(world.local))
    database = region.psql("control", "control", f"select database from control.tenant where id = '{world.a.name}'").strip()
    region.psql("cell-1", "postgres", f"alter database {database} allow_connections false")
    region.psql("cell-1", "postgres", f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{database}'")
    try:
        bundle = fhir.get(f"Patient/{world.patient}/$everything").json()
        issue = resources(bundle, "outcome")[0]["issue"][0]
        assert issue["code"] == "incomplete" and issue["details"]["coding"][0]["code"] == "holder-unavailable"
        assert world.a.name in issue["diagnostics"] and "total" not in bundle
        assert [r["resourceType"] for r in resources(bundle)].count("Observation") == 7
        count = fhir.get(f"Observation?patient={world.patient}&_summary=count").json()
        assert "total" not in count and resources(count, "outcome")
        answer = fhir.get(alias)
        assert (answer.status, code(answer)) == (503, "holder-unavailable"), answer
    finally:
        region.psql("cell-1", "postgres", f"alter database {database} allow_connections true")
    assert until(lambda: fhir.get(alias).status == 200, 10)


def test_a_slow_holder_has_a_deadline_of_its_own(world, permitted):
    """A locked table makes one holder late: the rest is answered within its deadline."""
    database = world.region.psql("control", "control", f"select database from control.tenant where id = '{world.a.name}'").strip()
    lock = subprocess.Popen(
        world.region.psql_command("cell-1", database), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        lock.stdin.write("begin; lock table fhir.resource in access exclusive mode; select 'held';\n")
        lock.stdin.flush()
        assert "held" in lock.stdout.readline()
        begun = time.monotonic()
        bundle = world.reader.fhir.get(f"Observation?patient={world.patient}").json()
        assert 4 < time.monotonic() - begun < 12
        assert world.a.name in resources(bundle, "outcome")[0]["issue"][0]["diagnostics"] and len(resources(bundle)) == 7
    finally:
        lock.kill()
        lock.wait()


def test_a_tenant_made_again_is_not_read_by_the_links_of_its_predecessor(world, new_tenant):
    """While its former sources are still being forgotten, an id that is somebody else's by now leads to nobody."""
    region, fhir, holder, mrn, secret = world.region, world.reader.fhir, new_tenant(), f"urn:mrn|{uuid.uuid4()}", f"secret{uuid.uuid4().hex}"
    identifier = {"use": "official", "system": "urn:mrn", "value": mrn.split("|")[1]}
    holder.fhir.put({"resourceType": "Patient", "id": "seven", "identifier": [identifier]})
    patient = world.reader.find(mrn)
    assert world.bureau.fhir.send("POST", "Consent", consent(patient, world.b.name)).status == 201
    alias = fhir.get(f"Patient/{patient}").json()["link"][0]["other"]["reference"]
    assert fhir.get(alias).status == 200
    # Whoever forgets them, or begins with the new database, waits for this row.
    lock = subprocess.Popen(
        region.psql_command("control", "region"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        lock.stdin.write(f"begin; select 'held' from region.feed where tenant = '{holder.name}' for update;\n")
        lock.stdin.flush()
        assert "held" in lock.stdout.readline()
        region.run("tenant", "delete", holder.name, "--yes")
        region.create_tenant(holder.name)
        # Tokens of the second in which the old institution went are refused with its own.
        assert until(lambda: region.tenant(holder.name).fhir.get("Patient?_count=1").status == 200, 5, 0.2)
        again = region.tenant(holder.name)
        again.fhir.put({"resourceType": "Patient", "id": "seven", "name": [{"family": secret}]})
        everything = fhir.get(f"Patient/{patient}/$everything")
        assert everything.status == 200 and secret not in everything.text, everything
        assert holder.name in resources(everything.json(), "outcome")[0]["issue"][0]["diagnostics"]
        for path in (alias, alias + "/_history", alias + "/_history/1"):
            answer = fhir.get(path)
            assert (answer.status, code(answer)) == (503, "holder-unavailable"), f"{path}: {answer}"
        # Nor is it the new one's own.
        assert code(Reader(region, holder.name).fhir.get(f"Patient/{patient}/$everything")) == "consent-required"
    finally:
        lock.kill()
        lock.wait()
    assert until(lambda: fhir.get(alias).status == 404, 20, 0.1)


def test_a_disabled_client_and_a_bad_client_are_nothing(world, permitted):
    """A region client ends within a second; one of the region needs an institution."""
    reader = Reader(world.region, world.b.name)
    assert reader.fhir.get(f"Patient/{world.patient}").status == 200
    world.region.run("client", "disable", reader.client.identity, "--region")
    assert until(lambda: reader.fhir.get(f"Patient/{world.patient}").status == 401, 1.2)
    body = {"id": "x", "name": "X", "scope": "system/*.rs", "jwks": {"keys": []}}
    for changes in ({}, {"institution": "nobody"}, {"institution": "B A D"}, {"institution": world.b.name, "kind": "operator"}):
        assert world.region.api("POST", "/v1/clients", {**body, **changes}).status == 400
    listed = world.region.api("GET", "/v1/clients").json()["items"]
    assert next(c for c in listed if c["id"] == reader.client.identity)["institution"] == world.b.name
    mine = {"Authorization": f"Bearer {world.b.token}"}
    assert world.region.web.request("GET", "/v1/clients", None, mine).status in (403, 404)


def test_the_log_pages_and_shows_what_was_asked(world):
    """Every page once, newest first; queries are in it."""
    world.reader.fhir.get(f"Condition?patient={world.patient}&code=urn:q|asked")
    events = world.bureau.fhir.search(f"AuditEvent?patient={world.patient}&_count=5")
    numbers = [int(e["id"].split("-")[1]) for e in events]
    assert numbers == sorted(numbers, reverse=True) and len(numbers) == len(set(numbers)) > 5
    queries = [base64.b64decode(x["query"]).decode() for e in events for x in e["entity"] if "query" in x]
    assert any("urn:q|asked" in q for q in queries)
    assert all(e["meta"]["profile"][0].startswith("https://profiles.ihe.net/ITI/BALP/") for e in events)
