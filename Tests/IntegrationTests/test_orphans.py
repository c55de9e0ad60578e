"""What the host and the cells hold and no row names is shown to the operator with what to do; what is not looked at is unknown."""

from __future__ import annotations

import json
import subprocess
import time

import pytest

from blackbox.control import Control
from blackbox.region import Region, until

MIB = 1 << 20
QUOTA = {"instances": 4, "running": 4, "vcpus": 4, "memory": 1024 * MIB, "storage": 1024 * MIB, "networks": 1}
MACHINE = {"image": "probe", "vcpus": 1, "memory": 128 * MIB, "disk": 16 * MIB, "network": "lan"}


@pytest.fixture
def control():
    """A region of its own whose machines are simulated, with one tenant, network and machine."""
    region = Region("--hypervisor", "test:///default")
    plane = Control(region)
    try:
        region.start()
        region.create_tenant("c1")
        assert region.api("PUT", "/v1/tenants/c1/quota", QUOTA).status == 200
        assert until(lambda: region.api("GET", "/v1/images").json()["items"], 30)
        plane.ended(region.api("POST", "/v1/tenants/c1/networks", {"name": "lan", "cidr": "10.61.1.0/24"}).json()["id"])
        plane.ended(region.api("POST", "/v1/tenants/c1/instances", {"name": "web", **MACHINE}).json()["id"])
        yield plane
        assert not region.crashes()
    finally:
        region.stop()
        region.remove()


def orphans(control: Control) -> dict[str, str]:
    """What is found, by its name."""
    items = control.region.api("GET", "/v1/drift").json()["items"]
    return {item["name"]: item["found"] for item in items if item["kind"] == "orphan"}


def doctor(control: Control) -> dict[str, dict]:
    """What the doctor says of orphans, by the check's name."""
    findings = json.loads(control.region.run("doctor", "-o", "json", check=False).stdout)
    return {finding["name"]: finding for finding in findings if finding["name"].startswith("orphan")}


def test_what_no_row_names_is_shown_with_what_to_do(control: Control):
    """A database with its roles, a role alone, and a machine whose row was lost: in the API within ten seconds, and gone from
    it once the doctor's own commands have removed them."""
    assert doctor(control)["orphans"]["result"] == "ok"
    whole, part = "t_" + "q" * 26, "t_" + "r" * 26
    # Each a statement of its own: a database is not made in a transaction.
    control.sql(f"create role {whole}", "cell-1", "postgres")
    control.sql(f"create role {whole}_gw", "cell-1", "postgres")
    control.sql(f"create database {whole} owner {whole}", "cell-1", "postgres")
    control.sql(f"create role {part}_gw", "cell-1", "postgres")
    machine = control.sql("select resource from control.instance")
    control.sql("delete from control.reservation using control.instance i where holder = i.id; delete from control.instance;"
                " update control.quota set used = 0 where dimension <> 'networks'")
    planted = time.monotonic()
    wanted = {whole: "a database and roles", part: "roles", machine: "a domain and volumes"}
    assert until(lambda: orphans(control) == wanted, 15, pause=0.2), orphans(control)
    print(f"three orphans are shown {time.monotonic() - planted:.1f} s after they were planted")
    assert time.monotonic() - planted < 12

    found = doctor(control)
    assert set(found) == {f"orphan {name}" for name in wanted}
    for name, what in wanted.items():
        finding = found[f"orphan {name}"]
        assert finding["result"] == "!" and finding["found"].startswith(f"{what} that no row names"), finding
    advice = found[f"orphan {machine}"]["advice"]
    for part_of_it in ("restore the backup", "virsh -c test:///default undefine", f"undefine {machine}", f"vol-delete --pool medcloud-instances {machine}.qcow2"):
        assert part_of_it in advice, advice
    for name in (whole, part):
        commands = found[f"orphan {name}"]["advice"].split("or remove it: ")[1]
        done = subprocess.run(["bash", "-ec", commands], capture_output=True, text=True, timeout=30, cwd="/")
        assert done.returncode == 0, f"{commands}\n{done.stderr}"
    assert until(lambda: orphans(control) == {machine: "a domain and volumes"}, 15, pause=0.2), orphans(control)
    assert "orphan" in control.region.run("drift").stdout


def test_a_region_without_compute_does_not_say_what_machines_do(control: Control):
    """Started again with --no-compute: the state is unknown, and what was seen last is said with its time."""
    region = control.region
    show = lambda: region.api("GET", "/v1/tenants/c1/instances/web").json()["status"]
    assert until(lambda: show()["state"] == "running" and show()["ready"], 10), show()
    seen = show()["seenAt"]
    assert seen.endswith("Z")
    region.stop()
    region.options = ("--no-compute",)
    region.start()
    assert until(lambda: show()["state"] == "unknown", 20), show()
    status = show()
    assert status["ready"] is False and status["observed"] == "running" and status["seenAt"] >= seen, status
    assert status["reason"] == f"this region runs without compute; the machine was running when it was last seen at {status['seenAt']}"
    assert "unknown" in region.run("instance", "list", "--tenant", "c1").stdout
    refused = region.api("POST", "/v1/tenants/c1/instances/web/stop")
    assert refused.status >= 400, refused
    # With a hypervisor it is looked at again: here the simulated host has lost it.
    region.stop()
    region.options = ("--hypervisor", "test:///default")
    region.start()
    assert until(lambda: show()["state"] == "stopped", 20), show()
    assert [d["kind"] for d in region.api("GET", "/v1/drift").json()["items"]] == ["missing"]
