#!/usr/bin/env python3
"""The bars of the platform, one line a figure: `name value unit bar pass|fail`.

Ratios are taken in one run, the two sides in turn, because machines are noisy; audit is on, as always.
Usage: bench.py [NAME…] with NAME of: start memory tenant ingest search read put regional locator
"""

import concurrent.futures
import http.client
import json
import os
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse

import patients
import put_sql
import regional
from region import Region

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
SECONDS = int(os.environ.get("BENCH_SECONDS", "5"))
failed = False


def figure(name: str, value: float, unit: str, bar: float, at_least: bool):
    global failed
    ok = value >= bar if at_least else value <= bar
    failed = failed or not ok
    sign = ">=" if at_least else "<="
    print(f"{name} {value:.2f} {unit} {sign}{bar:g} {'pass' if ok else 'fail'}", flush=True)


def note(name: str, value: float, unit: str):
    print(f"# {name} {value:.1f} {unit}", flush=True)


def wrk(region: Region, script: str, seconds: int = SECONDS, clients: int = 64) -> tuple[float, float]:
    """Requests a second and p99 in ms; any answer that is not 2xx or 3xx ends the benchmark."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua", delete=False) as file:
        file.write(script)
    text = subprocess.run(
        ["wrk", "-t2", f"-c{clients}", f"-d{seconds}s", "--latency", "-s", file.name, region.base],
        check=True, capture_output=True, text=True).stdout
    os.unlink(file.name)
    if "Non-2xx" in text or "Socket errors" in text:
        raise SystemExit("wrk met errors:\n" + text)
    rate = next(float(line.split()[1]) for line in text.splitlines() if line.startswith("Requests/sec"))
    p99 = next(line.split()[1] for line in text.splitlines() if line.strip().startswith("99%"))
    scale = 1.0 if p99.endswith("ms") else 0.001 if p99.endswith("us") else 1000.0
    return rate, float(p99.rstrip("mus")) * scale


def bundles() -> list[pathlib.Path]:
    """Transaction bundles of 50 synthetic patients, made once by ops/synthea."""
    folder = pathlib.Path(os.environ["BENCH_BUNDLES"])
    files = sorted(folder.glob("*.json"))
    if not files:
        raise SystemExit(f"no bundles in {folder}")
    return files


def ingest(region: Region):
    """Posts every bundle with four clients; the data stays for the other figures."""
    files = bundles()
    contents = [file.read_bytes() for file in files]
    resources = sum(len(json.loads(content)["entry"]) for content in contents)
    token = region.token("h1")
    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda content: region.fhir("h1", "/", token, "POST", content), contents))
    seconds = time.monotonic() - began
    note("ingest.resources", resources, "resources")
    figure("ingest", resources / seconds, "resources/s", 600, True)
    note("memory.during-ingest", max(region.worker_rss_mb()), "MB")
    # A worker gives back what the bundles needed once it is quiet, within four looks.
    time.sleep(25)
    figure("memory.after-ingest", max(region.worker_rss_mb()), "MB", 75, False)


def read(region: Region):
    """Reads by id at 64 clients against pgbench's select by primary key on the same rows."""
    patients.load(region)
    database = region.tenant_database()
    type_code = int(region.psql(database, "select type from fhir.resource where id = 'b1'"))
    token = region.token("h1")
    # The requests are made beforehand: the client shares the cores with the server.
    script = (
        f"wrk.headers['Authorization'] = 'Bearer {token}'\n"
        "local requests = {}\n"
        "init = function(args)\n"
        "  math.randomseed(os.time())\n"
        f"  for n = 1, {patients.COUNT} do requests[n] = wrk.format('GET', '/t/h1/fhir/Patient/b' .. n) end\n"
        "end\n"
        f"request = function() return requests[math.random({patients.COUNT})] end\n")
    select = pathlib.Path(tempfile.mkstemp(suffix=".sql")[1])
    select.write_text(
        f"\\set n random(1, {patients.COUNT})\n"
        f"select version, last_updated, content from fhir.resource where type = {type_code} "
        "and id = 'b' || (:n)::text;\n")
    os.chmod(select, 0o644)
    wrk(region, script, seconds=2)
    ratios, simple = [], []
    for _ in range(ROUNDS):
        theirs = region.pgbench(database, select, 64, SECONDS)
        # As pgbench does when nobody tells it otherwise: each select is parsed and planned.
        unprepared = region.pgbench(database, select, 64, SECONDS, mode="simple")
        ours, p99 = wrk(region, script)
        note("read.pgbench", theirs, "tps")
        note("read.pgbench.simple", unprepared, "tps")
        note("read.gateway", ours, f"req/s (p99 {p99:.1f} ms)")
        ratios.append(ours / theirs)
        simple.append(ours / unprepared)
    # How far more clients share the commits of the audit events.
    crowd, p99 = wrk(region, script, clients=256)
    note("read.gateway.256-clients", crowd, f"req/s (p99 {p99:.1f} ms)")
    figure("read.ratio", statistics.median(ratios), "of-pgbench", 0.7, True)
    print(f"read.ratio.simple {statistics.median(simple):.2f} of-pgbench - measured", flush=True)


SEARCHES = [
    "/Patient?family={family}", "/Patient?name={family}&_count=20", "/Patient?gender=female&_count=20",
    "/Patient?birthdate=ge1950&birthdate=lt1980", "/Patient?_id={patient}", "/Patient?identifier={identifier}",
    "/Observation?patient={patient}&_count=50", "/Observation?patient={patient}&_sort=-date&_count=20",
    "/Observation?code=http://loinc.org|8302-2&_count=50", "/Observation?code=8302-2&value-quantity=gt150&_count=20",
    "/Observation?patient={patient}&code=8302-2", "/Observation?category=vital-signs&date=ge2015&_count=20",
    "/Observation?subject:Patient.family={family}&_count=20", "/Encounter?patient={patient}",
    "/Encounter?date=ge2018&_sort=date&_count=20", "/Encounter?patient={patient}&_include=Encounter:subject",
    "/Condition?patient={patient}", "/Condition?clinical-status=active&_count=20",
    "/Patient?_has:Observation:patient:code=8302-2&_count=20", "/Patient?_id={patient}&_revinclude=Condition:patient",
    "/MedicationRequest?patient={patient}", "/MedicationRequest?status=active&_count=20",
    "/Procedure?patient={patient}&date=ge2010", "/Immunization?patient={patient}",
    "/DiagnosticReport?patient={patient}&_count=20", "/Claim?patient={patient}&_count=10",
    "/Observation?_lastUpdated=ge2020-01-01&_count=10", "/Patient?address-city={city}",
    "/Observation?patient={patient}&_summary=count", "/Patient?active:missing=true&_count=5",
]


def search(region: Region):
    token = region.token("h1")
    patients = [
        entry["resource"] for entry in region.fhir("h1", "/Patient?_count=50", token)["entry"]]
    randomness = random.Random(7)
    durations: dict[str, list[float]] = {}
    for turn in range(20):
        for template in SEARCHES:
            patient = randomness.choice(patients)
            values = {
                "family": patient["name"][0]["family"], "patient": patient["id"],
                "identifier": patient["identifier"][0]["value"],
                "city": (patient.get("address") or [{}])[0].get("city", "Boston"),
            }
            path = template.format(**{key: urllib.parse.quote(value) for key, value in values.items()})
            path = path.replace("|", "%7C")
            began = time.monotonic()
            region.fhir("h1", path, token)
            if turn:
                durations.setdefault(template, []).append((time.monotonic() - began) * 1000)
    everything = [value for values in durations.values() for value in values]
    for template, values in sorted(durations.items(), key=lambda item: -statistics.median(item[1]))[:5]:
        note("search.slowest " + template, statistics.median(values), "ms")
    note("search.p99", sorted(everything)[int(len(everything) * 0.99)], "ms")
    figure("search.p50", statistics.median(everything), "ms", 30, False)


def put(region: Region):
    """PUT of small changes at 64 clients against pgbench calling the same SQL with the same values."""
    put_sql.run(region, wrk, figure, note, ROUNDS, SECONDS)


def everything(region: Region):
    """Everything of a patient with 1,000 resources at two holders, read by a third institution."""
    regional.run(region, figure, note, ROUNDS)


def locator(region: Region):
    """How long after its write the region knows of a record, at 200 writes a second."""
    rate, seconds, threads = 200, max(5, 2 * SECONDS), 8
    token = region.token("h1")

    def write(worker: int) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", region.port, timeout=30)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/fhir+json"}
        began = time.monotonic()
        count = rate * seconds // threads
        for number in range(count):
            time.sleep(max(0.0, began + number * threads / rate - time.monotonic()))
            name = f"lag-{worker}-{number}"
            body = json.dumps(patients.patient(name, "Lag") | {"identifier": [
                {"use": "official", "system": "urn:bench:lag", "value": name}]})
            connection.request("PUT", f"/t/h1/fhir/Patient/{name}", body, headers)
            answer = connection.getresponse()
            answer.read()
            if answer.status not in (200, 201):
                raise SystemExit(f"a write was answered with {answer.status}")
        return count

    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        written = sum(pool.map(write, range(threads)))
    reached = written / (time.monotonic() - began)
    rows = "from region.holding where tenant = 'h1' and patient_id like 'lag-%' and type = 'Patient'"
    deadline = time.monotonic() + 30
    while int(region.psql("region", f"select count(*) {rows}", cluster="control")) < written:
        if time.monotonic() > deadline:
            raise SystemExit("the locator did not catch up within 30 s")
        time.sleep(0.2)
    median, p99, last = map(float, region.psql(
        "region", "select array_to_string(percentile_cont(array[0.5, 0.99, 1]) within group (order by extract(epoch "
        f"from noted_at - last_change) * 1000), ' ') {rows}", cluster="control").split())
    note("locator.rate", reached, "writes/s")
    note("locator.median", median, "ms")
    note("locator.max", last, "ms")
    figure("locator.p99", p99, "ms", 500, False)


def tenant(region: Region):
    times = []
    for number in range(3):
        began = time.monotonic()
        region.tenant(f"bench-{number}")
        times.append(time.monotonic() - began)
    figure("tenant.create", statistics.median(times), "s", 2, False)


def start(region: Region):
    times = []
    for _ in range(ROUNDS):
        region.stop()
        times.append(region.start())
    figure("start.ready", statistics.median(times), "s", 1.5, False)


def memory(region: Region):
    sizes = region.worker_rss_mb()
    if not sizes:
        raise SystemExit("no worker found")
    figure("memory.worker", max(sizes), "MB", 75, False)


ALL = {"start": start, "memory": memory, "tenant": tenant, "ingest": ingest, "search": search, "read": read, "put": put,
       "regional": everything, "locator": locator}
NEEDS_DATA = {"search", "read", "put"}


def main():
    names = sys.argv[1:] or list(ALL)
    for name in names:
        if name not in ALL:
            raise SystemExit(f"no benchmark {name!r}; there are: {' '.join(ALL)}")
    if NEEDS_DATA & set(names) and "ingest" not in names:
        names = ["ingest", *names]
    with Region(keep=bool(os.environ.get("BENCH_KEEP"))) as region:
        region.tenant("h1")
        for name in sorted(names, key=list(ALL).index):
            ALL[name](region)
    raise SystemExit(1 if failed else 0)


if __name__ == "__main__":
    main()
