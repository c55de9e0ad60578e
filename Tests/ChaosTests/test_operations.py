"""The controller is killed at every record that it writes of a tenant's making, taking back and removal: 30 s later each is
done or undone, and nothing is left over.

Two controllers run side by side, so each kill also is a change of leaders.
"""

from __future__ import annotations

import os
import signal
import time

import pytest

from blackbox.control import Control, Moment, moments, tenant_body
from blackbox.region import Region, until

CREATE = ["create-entry-role", "create-gateway-role", "create-database", "migrate-database", "close-database"]
DELETE = ["check-dependents", "lock-gateway-role", "drop-database", "drop-gateway-role", "drop-entry-role", "forget-tenant"]
MADE = moments("tenant.create", CREATE)
REMOVED = moments("tenant.delete", DELETE)
#: Cancelled while the last step is being recorded: all three that can be taken back are.
UNDONE = moments("tenant.create", CREATE, undone=["create-database", "create-gateway-role", "create-entry-role"])


@pytest.fixture(scope="module")
def control():
    """A region whose controllers may be killed, with a second one standing by."""
    region = Region()
    plane = Control(region)
    try:
        region.start()
        plane.start_second()
        yield plane
    finally:
        plane.stop_second()
        region.stop()
        region.remove()


def variants(pytestconfig: pytest.Config, number: int) -> list[bool]:
    """Whether the record that the controller died at was written: both in the long form, one or the other in the short."""
    return [True, False] if pytestconfig.getoption("--long") else [number % 2 == 0]


def settle(control: Control, operation: str, began: float) -> dict:
    """The operation as it ended; within 30 s of the kill, with nothing left over."""
    ended = control.ended(operation, 30)
    print(f"{ended['kind']} {ended['phase']} {time.monotonic() - began:.2f} s after the kill")
    assert control.orphans() == []
    return ended


@pytest.mark.parametrize("moment", MADE, ids=str)
def test_a_tenant_is_made_though_the_controller_dies(control: Control, pytestconfig: pytest.Config, moment: Moment):
    """At each record of tenant.create."""
    number = MADE.index(moment)
    for keeps in variants(pytestconfig, number):
        name = f"made-{number}-{int(keeps)}"
        with control.held_at(moment) as hold:
            answer = control.region.api("POST", "/v1/tenants", tenant_body(name))
            assert answer.status == 202, answer
            hold.wait()
            control.kill_leader()
            began = time.monotonic()
            hold.let_go(keeps)
        assert settle(control, answer.json()["id"], began)["phase"] == "succeeded"
        assert control.region.api("GET", f"/v1/tenants/{name}").json()["state"] == "ready"


@pytest.mark.parametrize("moment", UNDONE, ids=str)
def test_a_cancelled_tenant_is_taken_back_though_the_controller_dies(control: Control, pytestconfig: pytest.Config, moment: Moment):
    """At each record of the taking back."""
    number = UNDONE.index(moment)
    for keeps in variants(pytestconfig, number):
        name = f"undone-{number}-{int(keeps)}"
        with control.busy_template():
            operation = control.region.api("POST", "/v1/tenants", tenant_body(name)).json()["id"]
            assert until(lambda: control.operation(operation)["step"] == "create-database", 20)
            with control.held_at(moment) as hold:
                assert control.region.api("POST", f"/v1/operations/{operation}/cancel").status == 202
                hold.wait()
                control.kill_leader()
                began = time.monotonic()
                hold.let_go(keeps)
            assert settle(control, operation, began)["phase"] == "cancelled"
        assert control.region.api("GET", f"/v1/tenants/{name}").status == 404


@pytest.mark.parametrize("moment", REMOVED, ids=str)
def test_a_tenant_is_removed_though_the_controller_dies(control: Control, pytestconfig: pytest.Config, moment: Moment):
    """At each record of tenant.delete."""
    number = REMOVED.index(moment)
    for keeps in variants(pytestconfig, number):
        name = f"gone-{number}-{int(keeps)}"
        control.ended(control.region.api("POST", "/v1/tenants", tenant_body(name)).json()["id"])
        with control.held_at(moment) as hold:
            answer = control.region.api("DELETE", f"/v1/tenants/{name}")
            assert answer.status == 202, answer
            hold.wait()
            control.kill_leader()
            began = time.monotonic()
            hold.let_go(keeps)
        assert settle(control, answer.json()["id"], began)["phase"] == "succeeded"
        assert control.region.api("GET", f"/v1/tenants/{name}").status == 404


def test_a_stopped_leader_that_wakes_up_does_no_harm(control: Control):
    """SIGSTOP: the standby takes over when the lease lapses; SIGCONT: the old one finds that and stands by."""
    control.start_second()
    assert until(lambda: len(control.controllers()) == 2, 20)
    old = control.leader()
    term = int(control.sql("select term from control.leadership"))
    os.kill(old, signal.SIGSTOP)
    try:
        operation = control.region.api("POST", "/v1/tenants", tenant_body("stopped")).json()["id"]
        assert control.ended(operation, 30)["phase"] == "succeeded"
        assert control.leader() != old
        assert int(control.sql("select term from control.leadership")) > term
    finally:
        os.kill(old, signal.SIGCONT)
    time.sleep(2)
    assert control.leader() != old
    operation = control.region.api("DELETE", "/v1/tenants/stopped").json()["id"]
    assert control.ended(operation, 30)["phase"] == "succeeded"
    assert control.orphans() == []


def test_controllers_are_small(control: Control):
    """At most 80 MB of memory, after all of this."""
    for pid in control.controllers():
        status = open(f"/proc/{pid}/status").read()
        peak = int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) // 1024
        print(f"controller {pid}: at most {peak} MiB resident")
        assert peak <= 80
