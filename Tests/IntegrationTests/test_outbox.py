"""What is written in a hospital reaches the region's patient index and record locator, whatever dies meanwhile."""

from __future__ import annotations

import http.client
import itertools
import json
import os
import random
import signal
import threading
import time

import pytest

from blackbox.fhir import Fhir
from blackbox.region import Region, Tenant, until
from blackbox.web import Web

RESIDENT = "urn:oid:2.16.156.10011.1.3"
REACHES_SECONDS = 5.0


@pytest.fixture(scope="module")
def region():
    """A region whose processes may be killed, with two hospitals."""
    own = Region()
    try:
        own.start()
        own.create_tenant("h1")
        own.create_tenant("h2")
        yield own
        crashes = own.crashes()
        assert not crashes, "\n".join(crashes[:3])
    finally:
        own.stop()
        own.remove()


def resident(number: int) -> str:
    """A valid resident identity number, born 1949-12-31."""
    digits = f"11010519491231{number:03d}"
    weights = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2]
    return digits + "10X98765432"[sum(int(d) * w for d, w in zip(digits, weights)) % 11]


def patient(id: str, *numbers: str, **more) -> dict:
    return {
        "resourceType": "Patient", "id": id, "birthDate": "1949-12-31",
        "identifier": [{"system": RESIDENT, "value": number} for number in numbers], **more,
    }


def observation(id: str, subject: str) -> dict:
    return {
        "resourceType": "Observation", "id": id, "status": "final", "code": {"text": "weight"},
        "subject": {"reference": f"Patient/{subject}"},
    }


def holders(region: Region, number: str) -> dict[str, dict[str, int]]:
    """What the region says who holds for a number: `TENANT/ID` → type → count."""
    rows = region.rows("control", "region", (
        "select h.tenant || '/' || h.patient_id, array_to_json(h.types), array_to_json(h.counts) "
        f"from region.find_patient('region', '{RESIDENT}', '{number}') p, region.holders('region', p.patient) h"))
    return {source: dict(zip(json.loads(types), json.loads(counts))) for source, types, counts in rows}


def arrives(condition, seconds: float = REACHES_SECONDS) -> bool:
    return until(condition, seconds, pause=0.1)


def test_a_patient_of_two_hospitals_is_one_person(region: Region):
    """Writes, a move to another patient, a correction and a deletion all reach the region."""
    h1, h2 = region.tenant("h1"), region.tenant("h2")
    number, other = resident(2), resident(3)
    h1.fhir.put(patient("one", number))
    h2.fhir.put(patient("two", number))
    h1.fhir.put(observation("o1", "one"))
    h1.fhir.put(observation("o2", "one"))
    both = {"h1/one": {"Observation": 2, "Patient": 1}, "h2/two": {"Patient": 1}}
    assert arrives(lambda: holders(region, number) == both), holders(region, number)

    h1.fhir.put(patient("elsewhere", other))
    h1.fhir.put(observation("o2", "elsewhere"))
    assert h1.fhir.send("DELETE", "Observation/o1").status in (200, 204)
    assert arrives(lambda: holders(region, number).get("h1/one") == {"Patient": 1}), holders(region, number)
    assert arrives(lambda: holders(region, other) == {"h1/elsewhere": {"Observation": 1, "Patient": 1}})

    h2.fhir.put(patient("two", resident(4)))
    assert arrives(lambda: set(holders(region, number)) == {"h1/one"})
    assert set(holders(region, resident(4))) == {"h2/two"}


def test_what_identifies_nobody_links_nobody(region: Region):
    """Placeholders, wrong check digits, another birth date, no system: the patients stay apart."""
    h1, h2 = region.tenant("h1"), region.tenant("h2")
    bad = [
        {"system": RESIDENT, "value": "110105194912310021"}, {"system": RESIDENT, "value": "000000000000000000"},
        {"value": "no-system"}, {"use": "official", "system": "urn:example:mrn", "value": "000000"},
        {"system": "urn:example:mrn", "value": "only-usual-17"},
        {"use": "old", "system": RESIDENT, "value": resident(9)},
    ]
    for number, identifier in enumerate(bad):
        for hospital in (h1, h2):
            hospital.fhir.put(patient(f"bad-{number}") | {"identifier": [identifier]})
    for hospital in (h1, h2):
        hospital.fhir.put(patient("bad-birth", resident(8)) | {"birthDate": "1950-01-01"})

    def persons() -> list[list[str]]:
        return region.rows("control", "region", (
            "select patient, count(*) from region.patient_link where patient_id like 'bad-%' group by patient"))
    assert arrives(lambda: len(persons()) == 2 * (len(bad) + 1)), persons()
    assert holders(region, resident(8)) == holders(region, resident(9)) == {}


def test_a_source_with_the_numbers_of_two_persons_is_a_candidate(region: Region):
    """No silent merge: the third hospital's record stands for itself until somebody decides."""
    h1, h2 = region.tenant("h1"), region.tenant("h2")
    first, second = resident(11), resident(12)
    h1.fhir.put(patient("c1", first))
    h2.fhir.put(patient("c2", second))
    assert arrives(lambda: holders(region, first) and holders(region, second))
    h1.fhir.put(patient("c3", first, second))

    def candidates() -> list[list[str]]:
        return region.rows(
            "control", "region", "select tenant, patient_id from region.match_candidates('region', 100)")
    assert arrives(lambda: ["h1", "c3"] in candidates())
    assert set(holders(region, first)) == {"h1/c1"} and set(holders(region, second)) == {"h2/c2"}


def differences(region: Region) -> list[str]:
    """Where the locator is not what the hospitals' databases hold."""
    found = []
    tenants = region.rows("control", "control", "select id, database from control.tenant where state = 'ready'")
    for tenant, database in tenants:
        known = {
            (id, int(count)) for id, count in region.rows("control", "region", (
                f"select patient_id, sum(count) from region.holding where tenant = '{tenant}' group by 1"))}
        held = {
            (id, int(count)) for id, count in region.rows("cell-1", database, (
                "select r.patient, count(*) from fhir.resource r where not r.deleted and r.patient in "
                "(select p.id from fhir.resource p where p.patient = p.id and not p.deleted) group by 1"))}
        found += [f"{tenant}: {entry}" for entry in sorted(known ^ held)]
    return found


def test_killed_workers_lose_nothing(region: Region):
    """kill -9 of one worker after another under load: every acknowledged write is counted in the end."""
    stop = threading.Event()
    acknowledged = itertools.count()
    done = [0]

    def write(worker: int) -> None:
        tenant: Tenant = region.tenant(("h1", "h2")[worker % 2])
        rng = random.Random(worker)
        fhir = tenant.fhir
        number = 0
        while not stop.is_set():
            number += 1
            subject = f"k{worker}-{rng.randrange(5)}"
            resource = (
                observation(f"k{worker}-{number}", subject) if rng.random() < 0.7
                else patient(subject, resident(100 + rng.randrange(200))))
            while not stop.is_set():
                try:
                    fhir = Fhir(Web(region.origin, timeout=5), tenant.path, tenant.token) if fhir is None else fhir
                    answer = fhir.send("PUT", f"{resource['resourceType']}/{resource['id']}", resource)
                    if answer.status < 300:
                        done[0] = next(acknowledged)
                        break
                    assert answer.status == 503, answer
                except (OSError, http.client.HTTPException):
                    fhir = None
                time.sleep(0.05)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    kills = 0
    deadline = time.monotonic() + 8
    while time.monotonic() < deadline:
        time.sleep(1.5)
        workers = region.workers()
        if workers:
            os.kill(random.choice(workers), signal.SIGKILL)
            kills += 1
    stop.set()
    for thread in threads:
        thread.join(30)
    region.wait_ready()
    assert kills >= 4 and done[0] > 50, (kills, done)
    assert arrives(lambda: not differences(region), 15), differences(region)[:10]


def test_a_rebuild_restores_what_the_region_lost(region: Region):
    """And the operator sees the feeds."""
    h1 = region.tenant("h1")
    number = resident(20)
    h1.fhir.put(patient("r1", number))
    assert arrives(lambda: set(holders(region, number)) == {"h1/r1"})
    person = region.rows("control", "region", f"select patient from region.find_patient('region', '{RESIDENT}', '{number}')")
    region.rows("control", "region", "set region.acting = 'region'; delete from region.holding where tenant = 'h1'")
    feeds = json.loads(region.run("feed", "list", "-o", "json").stdout)
    assert {(feed["tenant"], feed["consumer"]) for feed in feeds} >= {("h1", "patient-index"), ("h2", "patient-index")}
    region.run("feed", "rebuild", "h1")
    assert arrives(lambda: not differences(region), 20), differences(region)[:10]
    assert region.rows("control", "region", f"select patient from region.find_patient('region', '{RESIDENT}', '{number}')") == person
    assert region.api("POST", "/v1/feeds/nobody/retry").status == 404
    assert h1.fhir.web.request("GET", "/v1/feeds", None, {"Authorization": f"Bearer {h1.token}"}).status == 403


def test_a_parked_change_is_shown_by_the_name_of_its_type(region: Region):
    """With its reason, until the operator has it tried again."""
    h1 = region.tenant("h1")
    h1.fhir.put(patient("parked", resident(40)))
    assert arrives(lambda: set(holders(region, resident(40))) == {"h1/parked"})
    database = region.rows("control", "control", "select database from control.tenant where id = 'h1'")[0][0]
    region.psql("cell-1", database, (
        "insert into outbox.deferred (consumer, seq, rid, attempts, due_at, is_parked, reason) "
        "select 'patient-index', k.seq, k.rid, 8, now(), true, 'planted' from fhir.change k "
        "where k.id = 'parked' order by k.seq desc limit 1"))
    h1.fhir.put(observation("parked-1", "parked"))

    def feed() -> dict:
        items = region.api("GET", "/v1/feeds?limit=1000").json()["items"]
        return next(item for item in items if item["tenant"] == "h1" and item["consumer"] == "patient-index")
    assert arrives(lambda: feed()["parked"] == 1), feed()
    change = feed()["parkedChanges"][0]
    assert (change["type"], change["id"], change["version"], change["attempts"], change["reason"]) == ("Patient", "parked", 1, 8, "planted")
    assert change["event"].startswith(database + "-")
    # What comes behind it in other resources went on.
    assert arrives(lambda: holders(region, resident(40)) == {"h1/parked": {"Observation": 1, "Patient": 1}})
    region.run("feed", "retry", "h1")
    assert arrives(lambda: feed()["parked"] == feed()["waiting"] == 0 and feed()["parkedChanges"] == []), feed()


#: Transactions a second in `control` and `region` together while nobody asks for anything: heartbeats of three processes.
IDLE_TRANSACTIONS = 40


def test_an_idle_region_leaves_its_tenants_alone(region: Region):
    """Once the feeds have let go there is not one transaction in a tenant's database, and few in the shared ones."""
    def transactions(cluster: str) -> dict[str, int]:
        rows = region.rows(cluster, "postgres", (
            "select datname, xact_commit + xact_rollback from pg_stat_database "
            "where datname in ('control', 'region') or datname like 't\\_%'"))
        return {name: int(count) for name, count in rows}

    seen: list[str] = []

    def is_idle() -> bool:
        before, shared, began = transactions("cell-1"), transactions("control"), time.monotonic()
        time.sleep(4)
        after, now, took = transactions("cell-1"), transactions("control"), time.monotonic() - began
        rate = sum(now[name] - shared[name] for name in now) / took
        seen.append(f"{ {name: after[name] - before[name] for name in after if after[name] != before[name]} }, {rate:.1f}/s")
        return after == before and rate <= IDLE_TRANSACTIONS
    assert len(transactions("cell-1")) >= 2
    # A vacuum of Postgres itself may fall into one window.
    assert until(is_idle, 40, 0), seen
    held = region.rows("control", "region", "select count(*) from outbox.lease where holder is not null and expires_at > clock_timestamp()")
    assert held == [["0"]]
    print("idle:", seen[-1])


def test_the_lag_is_a_metric(region: Region):
    text = region.web.request("GET", "/metrics", None, {}).body.decode()
    assert 'medcloud_outbox_delay_seconds_count{worker="' in text
    assert "medcloud_outbox_lag_milliseconds" in text or "medcloud_outbox_delivered_total" in text


def test_a_deleted_tenant_is_forgotten(region: Region):
    """Nothing in the region names its patients any more."""
    gone = region.create_tenant("gone")
    number = resident(30)
    gone.fhir.put(patient("g1", number))
    assert arrives(lambda: set(holders(region, number)) == {"gone/g1"})
    region.run("tenant", "delete", "gone", "--yes")
    assert arrives(lambda: holders(region, number) == {}, 30)
    rows = region.rows("control", "region", "select count(*) from region.patient_link where tenant = 'gone'")
    assert rows == [["0"]]
