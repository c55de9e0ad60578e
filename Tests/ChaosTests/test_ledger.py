"""Nothing acknowledged is lost and nothing is done twice while each process is killed in turn, under load."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from blackbox.region import Region, until

LEDGER = Path(__file__).with_name("ledger.py")
#: In the order of killing; each names a process of the region.
VICTIMS = ["worker", "backend", "cell", "worker", "control", "controller", "supervisor"]


class Nemesis:
    """Kills one process of a region and waits until the region is whole again."""

    def __init__(self, region: Region, seed: int) -> None:
        self.region, self.source = region, random.Random(seed)
        self.kills: list[tuple[str, float]] = []

    def candidates(self, kind: str) -> list[int]:
        """The process ids of a kind, told from their command lines."""
        found = []
        for pid, command in self.region.processes().items():
            program = command.split(" ")[0].rsplit("/", 1)[-1]
            matches = {
                "worker": program == "medcloudd",
                "controller": program == "medcloud-controller",
                "cell": program == "postgres" and "postgres/cell-1" in command,
                "control": program == "postgres" and "postgres/control" in command,
                "backend": command.startswith("postgres: ") and " t_" in command,
            }
            if matches[kind]:
                found.append(pid)
        return sorted(found)

    def kill(self, kind: str) -> None:
        """kill -9, then waits for readiness; fails when the region does not come back."""
        began = time.monotonic()
        if kind == "supervisor":
            os.kill(self.region.process.pid, signal.SIGKILL)
            self.region.process.wait()
            self.region.start()
        else:
            assert until(lambda: self.candidates(kind), 10), f"no {kind} to kill among {self.region.processes()}"
            os.kill(self.source.choice(self.candidates(kind)), signal.SIGKILL)
            self.region.wait_ready(20)
        self.kills.append((kind, round(time.monotonic() - began, 2)))

    def rampage(self, victims: list[str], seconds: float, least: int, pause: float) -> None:
        """Kills in turn until the time is over and at least `least` were killed."""
        end = time.monotonic() + seconds
        number = 0
        while time.monotonic() < end or number < least:
            self.kill(victims[number % len(victims)])
            number += 1
            time.sleep(pause * self.source.uniform(0.5, 1.5))
            assert time.monotonic() < end + seconds, f"too slow: {self.kills}"


def run(
    region: Region, folder: Path, victims: list[str], seconds: float, least: int, pause: float = 1.5, prepare=lambda region: None,
) -> tuple[int, dict, Nemesis]:
    """Load and kills side by side; the ledger's exit code and report, and who was killed."""
    tenant = region.create_tenant("chaos")
    prepare(region)
    key = region.state / "clients" / "chaos" / f"{tenant.client.identity}.json"
    process = subprocess.Popen(
        [sys.executable, str(LEDGER), "--client-key", str(key), "--ledger", str(folder / "ledger.jsonl"), "--seconds", str(seconds * 3)],
        stdout=subprocess.PIPE, text=True)
    nemesis = Nemesis(region, seed=20261121)
    try:
        assert until(lambda: (folder / "ledger.jsonl").exists() and (folder / "ledger.jsonl").stat().st_size > 20_000, 20)
        began = time.monotonic()
        nemesis.rampage(victims, seconds, least, pause)
        killed = time.monotonic() - began
        process.send_signal(signal.SIGTERM)
        # Every acknowledged write is looked up.
        output, _ = process.communicate(timeout=120 + 2 * seconds)
    finally:
        process.kill()
        process.wait()
    report = json.loads(output)
    print(json.dumps({"report": report, "kills": nemesis.kills}, indent=1))
    assert report["seconds"] >= killed, f"the load ended after {report['seconds']} s, {killed:.0f} s of kills: {report}"
    return process.returncode, report, nemesis


@pytest.fixture
def own_region():
    """A region that may be killed."""
    region = Region()
    try:
        region.start()
        yield region
    finally:
        region.stop()
        region.remove()


def test_nothing_acknowledged_is_lost_and_nothing_done_twice(own_region: Region, tmp_path: Path, pytestconfig: pytest.Config):
    """At least 12 kills of every kind of process in the short form, 10 minutes of them in the long one."""
    long = pytestconfig.getoption("--long")
    code, report, nemesis = run(own_region, tmp_path, VICTIMS, 600 if long else 45, 130 if long else 14)
    assert len(nemesis.kills) >= 12
    assert {kind for kind, _ in nemesis.kills} == set(VICTIMS)
    assert report["violations"] == 0, json.dumps(report, indent=1)
    assert report["unknown"] == []
    assert code == 0, f"too weak a run: {report}"


def test_answering_before_the_commit_is_durable_is_found(own_region: Region, tmp_path: Path):
    """The same run over a planted bug must fail, or the ledger proves nothing.

    Triggers make every transaction of the tenant commit asynchronously: it is answered before it is on disk. The worker
    cannot notice, since it checks the setting when it connects.
    """
    code, report, _ = run(own_region, tmp_path, ["backend", "cell"], 15, 8, pause=1.2, prepare=_commit_asynchronously)
    assert code == 1 and report["violations"] > 0, f"the planted bug was not found: {report}"


ASYNCHRONOUS = """
create function public.planted_fault() returns trigger language plpgsql as
$$ begin perform set_config('synchronous_commit', 'off', true); return null; end $$;
create trigger planted_fault after insert on fhir.change for each statement execute function public.planted_fault();
create trigger planted_fault after insert on audit.event for each statement execute function public.planted_fault();
create trigger planted_fault after insert on audit.read_batch for each statement execute function public.planted_fault();
create trigger planted_fault after insert on medcloud.idempotency for each statement execute function public.planted_fault();
"""


def _commit_asynchronously(region: Region) -> None:
    """Plants the fault in every tenant database of the region, as the superuser through the private socket."""
    def psql(database: str, statements: str) -> str:
        command = [
            "/usr/lib/postgresql/15/bin/psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", str(region.state / "run" / "cell-1"),
            "-U", "postgres", "-d", database, "-c", statements]
        if os.getuid() == 0:
            command = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", *command]
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, cwd="/")
        assert done.returncode == 0, done.stderr
        return done.stdout

    names = psql("postgres", r"select datname from pg_database where datname like 't\_%'").split()
    assert names
    for name in names:
        psql(name, ASYNCHRONOUS)
    # The background writer of the log would make most of it durable soon; here it takes its time.
    psql("postgres", "alter system set wal_writer_delay = '10s'")
    psql("postgres", "alter system set wal_writer_flush_after = '1GB'")
    psql("postgres", "select pg_reload_conf()")
