"""A region whose machines run on a libvirtd that was there already: by its Unix socket, and by TLS with client certificates."""

from __future__ import annotations

import os
import shutil

import pytest

from blackbox.guests import has_programs, processes
from blackbox.libvirtd import Libvirtd
from blackbox.region import Region, until

MIB = 1 << 20
QUOTA = {"instances": 2, "running": 2, "vcpus": 2, "memory": 256 * MIB, "storage": 64 * MIB, "networks": 1}


@pytest.fixture
def libvirtd(request):
    """One that listens as the test's parameter says."""
    if os.geteuid() != 0:
        pytest.skip("libvirtd needs root")
    missing = has_programs("libvirtd", "qemu-system-x86_64", "openssl", "unshare")
    if missing:
        pytest.skip(f"{missing} is not installed")
    running = Libvirtd(tls=request.param)
    try:
        yield running
    finally:
        running.stop()


def finish(region: Region, answer) -> dict:
    """The operation that an answer names, once it has ended well."""
    assert answer.status == 202, answer
    last: dict = {}

    def is_over() -> bool:
        last.update(region.api("GET", answer.headers["Location"]).json())
        return last["phase"] in ("succeeded", "failed", "cancelled")

    assert until(is_over, 120) and last["phase"] == "succeeded", (last, region.tail())
    return last


def a_life(region: Region, libvirtd: Libvirtd) -> None:
    """Images are listed; a network and a machine are made, the machine runs, and nothing is left of it afterwards."""
    region.run("image", "build", "probe", timeout=300)
    # What docs/operations.md tells the operator to do.
    for file in (region.state / "images").iterdir():
        shutil.copy(file, libvirtd.images)
    region.create_tenant("c1")
    assert region.api("PUT", "/v1/tenants/c1/quota", QUOTA).status == 200
    assert until(lambda: region.api("GET", "/v1/images").json()["items"], 90), libvirtd.log() + region.tail()
    assert [i["name"] for i in region.api("GET", "/v1/images").json()["items"]] == ["probe"]
    finish(region, region.api("POST", "/v1/tenants/c1/networks", {"name": "lan", "cidr": "10.79.1.0/24"}))
    finish(region, region.api("POST", "/v1/tenants/c1/instances", {
        "name": "desk", "image": "probe", "vcpus": 1, "memory": 96 * MIB, "disk": 32 * MIB, "network": "lan", "probeDeadline": 1,
        "probe": {"tcp": {"port": 80}}}))
    # Whether it is ready cannot be told here: its network is on the other machine.
    status = region.api("GET", "/v1/tenants/c1/instances/desk").json()["status"]
    assert status["state"] == "running" and status["address"].startswith("10.79.1."), status
    (domain,) = libvirtd.domains()
    assert len(processes(domain)) == 1
    assert sorted(p.name for p in libvirtd.instances.iterdir()) == [f"{domain}.{kind}" for kind in ("log", "qcow2", "seed")]
    finish(region, region.api("DELETE", "/v1/tenants/c1/instances/desk"))
    finish(region, region.api("DELETE", "/v1/tenants/c1/networks/lan"))
    assert not libvirtd.domains() and not processes(domain) and not list(libvirtd.instances.iterdir())


@pytest.mark.parametrize("libvirtd", [False], indirect=True, ids=["unix"])
def test_by_its_socket(libvirtd):
    """qemu+unix."""
    region = Region("--hypervisor", libvirtd.unix_uri)
    try:
        region.start()
        a_life(region, libvirtd)
        assert not region.crashes()
    finally:
        region.stop()
        region.remove()


@pytest.mark.parametrize("libvirtd", [True], indirect=True, ids=["tls"])
def test_by_tls(libvirtd):
    """qemu+tls: whoever has no certificate of its CA is refused, which the controller's log says; whoever has one may."""
    stranger = Region("--hypervisor", libvirtd.tls_uri("stranger"))
    try:
        stranger.start()
        assert until(lambda: "no connection to the hypervisor" in (stranger.state / "logs/controller.log").read_text(), 60), stranger.tail()
        assert not stranger.api("GET", "/v1/images").json()["items"]
    finally:
        stranger.stop()
        stranger.remove()
    region = Region("--hypervisor", libvirtd.tls_uri())
    try:
        region.start()
        a_life(region, libvirtd)
        assert not region.crashes()
    finally:
        region.stop()
        region.remove()
