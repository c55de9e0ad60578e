"""The control plane from outside: its databases as the superuser, its leader, and faults planted at recorded steps.

The product has no switch for faults. A trigger in the control database waits for a lock that the test holds, so the controller
stops exactly while it writes one record; the test kills it there and takes the trigger away.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass

from .region import Region, until

PSQL = "/usr/lib/postgresql/15/bin/psql"
#: The advisory lock that planted triggers wait for.
HOLD = 47110815


@dataclass(frozen=True)
class Moment:
    """One record that a controller writes: `what` is claim, begin, end, undoing, undo-begin, undo-end or outcome."""

    kind: str
    what: str
    step: str = ""
    #: What the operation is for; empty is whatever comes first.
    subject: str = ""

    def __str__(self) -> str:
        return "-".join(part for part in (self.kind, self.what, self.step, self.subject) if part)

    @property
    def condition(self) -> str:
        """When the trigger holds, in terms of its row."""
        return {
            "claim": "new.phase = 'running' and old.phase = 'queued'",
            "undoing": "new.phase = 'undoing' and old.phase = 'running'",
            "outcome": "new.ended_at is not null and old.ended_at is null",
            "begin": "tg_op = 'INSERT' and new.undo_started_at is null",
            "end": "tg_op = 'UPDATE' and old.ended_at is null and new.ended_at is not null",
            "undo-begin": "tg_op = 'UPDATE' and old.undo_started_at is null and new.undo_started_at is not null",
            "undo-end": "tg_op = 'UPDATE' and old.undone_at is null and new.undone_at is not null",
        }[self.what]

    @property
    def guard(self) -> tuple[str, str]:
        """The table that the record is in, and when a row of it is that record."""
        subject = f" and {{}}.subject = '{self.subject}'" if self.subject else ""
        if self.what in ("claim", "undoing", "outcome"):
            return "operation", f"new.kind = '{self.kind}' and {self.condition}" + subject.format("new")
        return "operation_step", (
            f"new.name = '{self.step}' and {self.condition} and exists (select from control.operation o"
            f" where o.id = new.operation and o.kind = '{self.kind}'{subject.format('o')})")


@dataclass(frozen=True)
class Answered:
    """The record that a worker writes of its answer to a write with this Idempotency-Key."""

    key: str

    @property
    def guard(self) -> tuple[str, str]:
        """As ``Moment.guard``."""
        return "idempotency", f"tg_op = 'UPDATE' and new.key = '{self.key}' and new.status is not null"


def hold_statements(held: tuple[Moment | Answered, ...]) -> list[str]:
    """Triggers that wait at each of these records. Each in a transaction of its own: with the locks of two tables in hand, it
    and a controller could wait for each other."""
    guards: dict[str, list[str]] = {}
    for record in held:
        table, guard = record.guard
        guards.setdefault(table, []).append(f"({guard})")
    return [f"""
        create function public.planted_hold_{table}() returns trigger language plpgsql as $hold$ begin
            if tg_op <> 'DELETE' and ({" or ".join(conditions)}) then
                perform pg_advisory_xact_lock_shared({HOLD});
            end if;
            return null;
        end $hold$;
        create trigger planted_hold after insert or update on control.{table}
            for each row execute function public.planted_hold_{table}();
    """ for table, conditions in guards.items()]


def moments(kind: str, steps: list[str], undone: list[str] | None = None) -> list[Moment]:
    """Every record of an operation that goes forward; with `undone`, of one that is taken back instead."""
    if undone is not None:
        back = [Moment(kind, what, step) for step in undone for what in ("undo-begin", "undo-end")]
        return [Moment(kind, "undoing"), *back, Moment(kind, "outcome")]
    forward = [Moment(kind, what, step) for step in steps for what in ("begin", "end")]
    return [Moment(kind, "claim"), *forward, Moment(kind, "outcome")]


class Control:
    """The control plane of a running region."""

    def __init__(self, region: Region) -> None:
        self.region = region
        self._second: subprocess.Popen | None = None

    # Databases

    def _command(self, cluster: str, database: str) -> list[str]:
        command = [
            PSQL, "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", str(self.region.state / "run" / cluster),
            "-U", "postgres", "-d", database]
        if os.getuid() == 0:
            command = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", *command]
        return command

    def sql(self, statements: str, cluster: str = "control", database: str = "control") -> str:
        """Runs statements as the superuser; what they print, without the last line end."""
        done = subprocess.run(
            [*self._command(cluster, database), "-c", statements], capture_output=True, text=True, timeout=30, cwd="/")
        assert done.returncode == 0, done.stderr
        return done.stdout.rstrip("\n")

    def orphans(self) -> list[str]:
        """Databases and roles of the cell that no tenant owns, and tenants that lack one of theirs."""
        present = set(self.sql(
            r"select datname from pg_database where datname ~ '^t_[a-z2-7]{26}$' union all "
            r"select rolname from pg_roles where rolname ~ '^t_[a-z2-7]{26}(_gw)?$'", "cell-1", "postgres").split())
        wanted = set()
        for name in self.sql("select database from control.tenant where state = 'ready'").split():
            wanted |= {name, f"{name}_gw"}
        return sorted(present ^ wanted)

    # Operations

    def operation(self, identity: str) -> dict:
        """The operation as the API shows it."""
        answer = self.region.api("GET", f"/v1/operations/{identity}")
        assert answer.status == 200, answer
        return answer.json()

    def ended(self, identity: str, seconds: float = 30) -> dict:
        """The operation once it has ended; fails when it has not in time."""
        found: dict = {}

        def has_ended() -> bool:
            found.update(self.operation(identity))
            return found["phase"] in ("succeeded", "failed", "cancelled")
        assert until(has_ended, seconds, pause=0.05), f"not ended after {seconds} s: {found}\n{self.region.tail()}"
        return found

    # Leaders

    def leader(self) -> int:
        """The process id of the controller that leads."""
        return int(self.sql("select process from control.leadership"))

    def controllers(self) -> list[int]:
        """The process ids of the region's own controller, and of the second one."""
        found = [pid for pid, command in self.region.processes().items()
                 if command.split(" ")[0].endswith("/medcloud-controller")]
        if self._second is not None and self._second.poll() is None:
            found.append(self._second.pid)
        return found

    def start_second(self) -> None:
        """Starts another controller beside the supervisor's, with the same arguments: it stands by."""
        if self._second is not None and self._second.poll() is None:
            return
        commands: list[str] = []

        def find() -> bool:
            commands[:] = [c for c in self.region.processes().values() if c.split(" ")[0].endswith("/medcloud-controller")]
            return bool(commands)
        assert until(find, 20), self.region.tail()
        command = commands[0].split(" ")
        if os.getuid() == 0:
            command = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", *command]
        with (self.region.state.parent / "second-controller.log").open("ab") as log:
            self._second = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/")

    def stop_second(self) -> None:
        """Ends the second controller, whatever state it is in."""
        if self._second is not None:
            self._second.kill()
            self._second.wait()
            self._second = None

    def kill_leader(self) -> None:
        """kill -9; what stood by takes over, and the dead one is started again as a standby."""
        pid = self.leader()
        os.kill(pid, signal.SIGKILL)
        if self._second is not None and self._second.pid == pid:
            self._second.wait()
        self.start_second()

    # Faults

    @contextlib.contextmanager
    def held_at(self, *held: Moment | Answered) -> Iterator[Hold]:
        """Plants triggers, and holds whoever comes to one of these records until ``Hold.let_go`` or the end."""
        keeper = subprocess.Popen(
            self._command("control", "control"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd="/")
        hold = Hold(self, keeper)
        try:
            hold.take()
            for statement in hold_statements(held):
                self.sql(statement)
            yield hold
        finally:
            hold.let_go(keeps_record=True)
            # One by one, as they were planted.
            for table in {record.guard[0] for record in held}:
                self.sql(f"drop function if exists public.planted_hold_{table}() cascade")

    @contextlib.contextmanager
    def busy_template(self) -> Iterator[None]:
        """Somebody is in the database that tenants are copied from: no tenant can be made meanwhile, and each try is repeated."""
        guest = subprocess.Popen(
            self._command("cell-1", "medcloud_template"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd="/")
        try:
            guest.stdin.write("\\echo in\n")
            guest.stdin.flush()
            assert guest.stdout.readline().strip() == "in"
            yield
        finally:
            guest.stdin.close()
            guest.wait(10)


class Hold:
    """A record at which the controller is stopped."""

    def __init__(self, control: Control, keeper: subprocess.Popen) -> None:
        self._control, self._keeper = control, keeper

    def take(self) -> None:
        """Takes the lock that the trigger waits for."""
        self._keeper.stdin.write(f"select pg_advisory_lock({HOLD});\n\\echo held\n")
        self._keeper.stdin.flush()
        for line in self._keeper.stdout:
            if line.strip() == "held":
                return
        raise AssertionError("the lock was not given")

    def _waiting(self) -> list[str]:
        return self._control.sql(
            f"select pid from pg_locks where locktype = 'advisory' and not granted and objid = {HOLD} and objsubid = 1").split()

    def wait(self, count: int = 1, seconds: float = 20) -> None:
        """Returns once so many are stopped at their records."""
        assert until(lambda: len(self._waiting()) >= count, seconds), f"nobody came to the record\n{self._control.region.tail()}"

    def let_go(self, keeps_record: bool) -> None:
        """Lets the record be written after all, although its writer is dead; or ends its session, so that it is lost."""
        if self._keeper.poll() is not None:
            return
        if not keeps_record:
            for pid in self._waiting():
                self._control.sql(f"select pg_terminate_backend({pid}, 5000)")
        self._keeper.stdin.close()
        self._keeper.wait(10)


def tenant_body(name: str) -> dict:
    """What `POST /v1/tenants` takes."""
    return {"id": name, "name": f"Hospital {name}", "timeZone": "Asia/Shanghai", "language": "zh"}


def events(region: Region, path: str, token: str, last: int | None = None, seconds: float = 30) -> Iterator[tuple[str, str, dict]]:
    """The server-sent events of a stream: id, name and data of each, until it ends or the time is over."""
    import http.client
    connection = http.client.HTTPConnection("127.0.0.1", region.port, timeout=seconds)
    headers = {"Authorization": f"Bearer {token}", "Accept": "text/event-stream"}
    if last is not None:
        headers["Last-Event-ID"] = str(last)
    connection.request("GET", path, headers=headers)
    response = connection.getresponse()
    assert response.status == 200, response.read()
    assert response.headers["Content-Type"] == "text/event-stream"
    end = time.monotonic() + seconds
    fields: dict[str, str] = {}
    try:
        while time.monotonic() < end:
            line = response.readline().decode()
            if not line:
                return
            line = line.rstrip("\n")
            if line:
                name, _, value = line.partition(": ")
                fields[name] = value
            elif "data" in fields:
                yield fields.get("id", ""), fields["event"], json.loads(fields["data"])
                fields = {}
    finally:
        connection.close()
