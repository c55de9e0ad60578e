"""The controller is killed at every record that it writes of a machine's and a network's making, taking back and removal: 30 s
later each is done or undone, and the host and the ledger are as the rows say.

Real guests on a private hypervisor, which lives on while controllers die. One kill serves several moments, each of another
operation: a round holds the making of one machine, the removal of the one before, the taking back of a third, and a network.
"""

from __future__ import annotations

import os
import signal
import time

import pytest

from blackbox.control import Control, Moment, moments
from blackbox.hypervisor import Host, differences, region_with_machines
from blackbox.region import until

MIB = 1 << 20
TENANT = "machines"
PATH = f"/v1/tenants/{TENANT}"
STEPS = ["create-disk", "create-seed", "define-domain", "start-domain", "wait-until-ready"]
MADE = moments("instance.create", STEPS)
REMOVED = moments("instance.delete", ["undefine-domain", "remove-volumes"])
#: Cancelled while its probe is waited for: all four that can be taken back are.
UNDONE = moments("instance.create", [], undone=STEPS[3::-1])
NETWORK_MADE = moments("network.create", ["define-network"])
NETWORK_REMOVED = moments("network.delete", ["remove-network"])


@pytest.fixture(scope="module")
def control():
    """A region with machines whose controllers may be killed, with a second one standing by."""
    with region_with_machines() as region:
        plane = Control(region)
        try:
            plane.start_second()
            region.create_tenant(TENANT)
            quota = {"instances": 8, "running": 8, "vcpus": 8, "memory": 1024 * MIB, "storage": 1024 * MIB, "networks": 8}
            assert region.api("PUT", f"{PATH}/quota", quota).status == 200
            plane.ended(ask(plane, "POST", "networks", {"name": "lan", "cidr": "10.81.0.0/24"}))
            yield plane
        finally:
            plane.stop_second()


def ask(control: Control, method: str, where: str, body: dict | None = None) -> str:
    """The operation that this becomes."""
    answer = control.region.api(method, f"{PATH}/{where}", body)
    assert answer.status == 202, answer
    return answer.json()["id"]


def machine(name: str, deadline: int, running: bool = True) -> dict:
    """A machine whose probe never answers: it is made when `deadline` is over, seconds."""
    return {"name": name, "image": "probe", "vcpus": 1, "memory": 80 * MIB, "disk": 64 * MIB, "network": "lan",
            "running": running, "probe": {"tcp": {"port": 9}}, "probeDeadline": deadline}


def rounds(count: int) -> list[dict[str, Moment]]:
    """What is held in each round. Every moment comes; no two claims come together, because a claim stops all others."""
    plan = []
    for number in range(count):
        held = {"made": MADE[number % len(MADE)], "removed": REMOVED[(number + 3) % len(REMOVED)]}
        if number % len(MADE) < len(UNDONE):
            # Backwards: what takes longest of the taking back does not meet what takes longest of the making.
            held["undone"] = UNDONE[-1 - number % len(MADE)]
        if 2 <= number % len(MADE) < 6:
            held["network"] = NETWORK_MADE[number % len(MADE) - 2]
        if 6 <= number % len(MADE) < 10:
            held["network"] = NETWORK_REMOVED[number % len(MADE) - 6]
        plan.append(held)
    return plan


def test_every_moment_is_held():
    """The plan leaves none out, and holds one claim at most."""
    plan = rounds(len(MADE))
    assert {m for held in plan for m in held.values()} == {*MADE, *REMOVED, *UNDONE, *NETWORK_MADE, *NETWORK_REMOVED}
    assert all(sum(m.what == "claim" for m in held.values()) <= 1 for held in plan)


def test_machines_and_networks_are_whole_though_the_controller_dies(control: Control, pytestconfig: pytest.Config):
    """In the short form each record is written or lost with its writer, in turn, and machines are started only where that is
    looked at; in the long form both for each record, and all are started."""
    host = Host(control.region)
    long = pytestconfig.getoption("--long")
    control.ended(ask(control, "POST", "instances", machine("made-0", 1)))
    for number, held in enumerate(rounds(len(MADE) * (2 if long else 1))):
        # So that a removal, which comes twice in the short form, has it both ways.
        keeps = (number + number // len(REMOVED) + number // len(MADE)) % 2 == 0
        starts = long or held["made"] in MADE[MADE.index(Moment("instance.create", "begin", "start-domain")):]
        play(control, host, number, held, keeps, starts)
    control.ended(ask(control, "DELETE", f"instances/made-{number + 1}"))
    assert control.region.api("GET", f"{PATH}/instances").json()["items"] == []
    assert differences(control, host) == []
    assert until(lambda: control.region.api("GET", "/v1/drift").json()["items"] == [], 10)
    # The record of use is whole: each machine that ever was has ended.
    assert control.sql("select count(*) from (select distinct on (instance) reason from control.usage order by instance, seq desc) u"
                       " where reason <> 'deleted'") == "0"


def play(control: Control, host: Host, number: int, held: dict[str, Moment], keeps: bool, starts: bool) -> None:
    """One round: everything is brought to its moment, the leader is killed, and what it left is looked at."""
    requests = {
        "made": ("POST", "instances", machine(f"made-{number + 1}", 1, starts)),
        "removed": ("DELETE", f"instances/made-{number}", None),
        "network": ("POST", "networks", {"name": f"net-{number % 4}", "cidr": f"10.82.{number % 4}.0/24"})
        if held.get("network") in NETWORK_MADE else ("DELETE", f"networks/net-{number % 4}", None),
    }
    subjects = {"made": f"made-{number + 1}", "removed": f"made-{number}", "undone": f"undone-{number}", "network": f"net-{number % 4}"}
    ends = {}
    if "undone" in held:
        undone = ask(control, "POST", "instances", machine(subjects["undone"], 600))
        assert until(lambda: control.operation(undone)["step"] == "wait-until-ready", 60), control.operation(undone)
    planted = [Moment(m.kind, m.what, m.step, subjects[what]) for what, m in held.items()]
    with control.held_at(*planted) as hold:
        # A guest's start takes longest, so it comes first: a controller that waits for a record gives up after ten seconds.
        # Whoever claims comes last, because it is stopped with all that is still to be claimed.
        order = sorted(held, key=lambda what: (held[what].what == "claim", what != "made", what))
        for count, what in enumerate(order):
            if held[what].what == "claim":
                hold.wait(count, 60)
            if what == "undone":
                assert control.region.api("POST", f"/v1/operations/{undone}/cancel").status == 202
                ends[undone] = "cancelled"
            else:
                ends[ask(control, *requests[what])] = "succeeded"
            if what == "made":
                hold.wait(count + 1, 60)
        hold.wait(len(held), 60)
        control.kill_leader()
        killed = time.monotonic()
        hold.let_go(keeps)
    for operation, phase in ends.items():
        ended = control.ended(operation, 30 - (time.monotonic() - killed))
        assert ended["phase"] == phase, ended
    found: list[str] = []

    def is_whole() -> bool:
        found[:] = differences(control, host)
        return not found
    assert until(is_whole, 30 - (time.monotonic() - killed), pause=0.2), f"{[str(p) for p in planted]}: {found}"
    print(f"round {number}: whole {time.monotonic() - killed:.1f} s after the kill at {', '.join(str(p) for p in planted)}")


@pytest.mark.parametrize("policy", ["report", "repair"])
def test_a_killed_guest_is_reported_or_started_again(control: Control, policy: str):
    """kill -9 of QEMU: seen within ten seconds, and put right where that is the tenant's policy."""
    control.sql(f"begin; set local control.acting = 'region'; select control.set_drift_policy('test', '{TENANT}', '{policy}'); commit")
    host = Host(control.region)
    control.ended(ask(control, "POST", "instances", machine("victim", 1)))
    (name,) = host.guests()
    (pid,) = host.guest_pids()
    os.kill(pid, signal.SIGKILL)
    killed = time.monotonic()
    if policy == "report":
        found = lambda: [(d["kind"], d["name"], d["action"]) for d in control.region.api("GET", "/v1/drift").json()["items"]]
        assert until(lambda: found() == [("stopped", "victim", "reported")], 10), found()
        assert control.region.api("GET", f"{PATH}/instances/victim").json()["status"]["state"] == "stopped"
    else:
        assert until(lambda: host.guests() == {name}, 10), control.region.tail()
    print(f"{policy} {time.monotonic() - killed:.2f} s after the kill")
    control.ended(ask(control, "DELETE", "instances/victim"))
    assert differences(control, host) == []
