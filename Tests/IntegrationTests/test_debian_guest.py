"""Debian in a guest, asked for by a manifest: the image is built here, the guest lets the manifest's key in, and it keeps what it
has over its own reboot and over the death of the controller. Takes minutes: with --long only."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from blackbox.figures import report
from blackbox.guests import Key, Shell, has_programs, processes
from blackbox.region import Region, binaries, until

TENANT = "vm-clinic"
MANIFEST = """\
id: vm-clinic
template: clinic
name: Clinic with Debian
timeZone: Europe/Berlin
language: de
quota: {{instances: 1, running: 1, vcpus: 1, memory: 512MiB, storage: 3GiB, networks: 1}}
networks:
  - {{name: lan, cidr: 10.78.1.0/24}}
instances:
  - name: desk
    image: debian-12
    vcpus: 1
    memory: 512MiB
    disk: 3GiB
    network: lan
    sshKeys: ["{key}"]
    probe: {{tcp: {{port: 22}}}}
    probeDeadline: 900
"""


#: Says which start of the machine this is.
START = "cat /proc/sys/kernel/random/boot_id"


class Guest:
    """The instance of the manifest, and its keys."""

    def __init__(self, region: Region, folder: Path) -> None:
        self.region, self.folder = region, folder
        self.first, self.second = Key(folder, "first"), Key(folder, "second")
        self.shell = Shell(region, TENANT, "desk", folder)
        self.manifests = folder / "manifests"
        self.manifests.mkdir()
        #: Which start of the machine was seen last.
        self.start = ""

    def ask(self, key: Key) -> None:
        """Writes the manifest."""
        (self.manifests / "vm-clinic.yaml").write_text(MANIFEST.format(key=key.public))

    def status(self) -> dict:
        """The instance's status; empty before there is one."""
        answer = self.region.api("GET", f"/v1/tenants/{TENANT}/instances/desk")
        return answer.json()["status"] if answer.status == 200 else {}

    def process(self) -> int:
        """The QEMU process."""
        resource = next((self.region.state / "instances").glob("i-*.qcow2")).stem
        found = processes(resource)
        assert len(found) == 1, found
        return found[0]


@pytest.fixture(scope="module")
def guest(request, tmp_path_factory):
    """A region with the image; the guest is made by the first test."""
    if not request.config.getoption("--long"):
        pytest.skip("takes minutes: with --long only")
    if os.geteuid() != 0:
        pytest.skip("guests need root")
    missing = has_programs("debootstrap", "qemu-system-x86_64", "ssh", "ssh-keygen")
    if missing:
        pytest.skip(f"{missing} is not installed")
    region = Region(compute=True)
    try:
        region.start()
        began = time.monotonic()
        built = region.run("image", "build", "debian-12", timeout=1800)
        assert "debian-12 is ready: Debian 12 revision" in built.stderr, built.stderr
        print(f"the image was there after {time.monotonic() - began:.0f} s")
        assert until(lambda: any(i["name"] == "debian-12" for i in region.api("GET", "/v1/images").json()["items"]), 120), region.tail()
        yield Guest(region, tmp_path_factory.mktemp("debian"))
        assert not region.crashes()
    finally:
        region.stop()
        region.remove()


def test_the_image_is_built_once(guest):
    """A second build finds it and changes no file."""
    folder = guest.region.state / "images"
    before = {p.name: p.stat().st_mtime_ns for p in folder.iterdir()}
    again = guest.region.run("image", "build", "debian-12", timeout=300)
    assert "debian-12 is there already" in again.stderr and "installing" not in again.stderr, again.stderr
    assert {p.name: p.stat().st_mtime_ns for p in folder.iterdir()} == before
    guest.region.run("image", "list", "--check", timeout=300)


def test_a_manifest_makes_it_and_its_key_logs_in(guest):
    """It runs and is not ready until its SSH has answered; then the manifest's key is let in and no other."""
    guest.ask(guest.first)
    log = guest.folder / "apply.log"
    began = time.monotonic()
    running = ready = 0.0
    early: list[dict] = []
    with log.open("wb") as output:
        apply = subprocess.Popen(
            [binaries() / "medcloud", "apply", "-f", guest.manifests, "--yes", "--state", guest.region.state],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd="/")
    try:
        while time.monotonic() - began < 900 and not ready:
            status = guest.status()
            now = time.monotonic()
            if status.get("observed") == "running" and not running:
                running = now
            if status.get("ready"):
                ready = now
            elif running:
                early.append(status)
            time.sleep(0.5)
        assert ready, f"{status}\n{log.read_text()}\n{guest.region.tail()}"
        assert apply.wait(120) == 0, log.read_text()
    finally:
        apply.kill()
        apply.wait()
    # It ran for a while, and was called neither running nor ready before its SSH answered.
    assert ready - running > 2 and "running" not in {s["state"] for s in early}, early[-1:]
    assert "TCP port 22" in early[-1]["reason"], early[-1]
    report("guest.debian.apply-to-ready", ready - began, "s")
    report("guest.debian.boot", ready - running, "s")
    status = guest.status()
    assert re.fullmatch(r"10\.78\.1\.\d+", status["address"]), status

    said = guest.shell.output(
        guest.first, f"echo kept > note && sync; hostname; whoami; sudo id -u; df --output=size -m / | tail -1; {START}")
    name, user, root, size, guest.start = said.splitlines()
    assert (name, user, root) == ("desk", "debian", "0"), said
    # The file system fills the disk that was asked for, not the image's.
    assert int(size) > 2500, said
    assert guest.shell.is_refused(guest.second)


def test_a_file_outlives_a_reboot(guest):
    """Another start of the same machine: same address, same host key, same file."""
    address, start = guest.status()["address"], guest.start
    began = time.monotonic()
    guest.region.run("instance", "reboot", "desk", "--tenant", TENANT, timeout=900)
    assert until(lambda: guest.status()["ready"], 900, 0.5), guest.status()
    report("guest.debian.reboot", time.monotonic() - began, "s")
    note, guest.start = guest.shell.output(guest.first, f"cat note; echo more >> note; sync; {START}").splitlines()
    assert note == "kept" and guest.start != start
    assert guest.status()["address"] == address


def test_the_controller_may_be_killed(guest):
    """The guest goes on, is shown as ready all the time, and is the same one for the next controller."""
    def shown() -> dict:
        """Without the time of the last look."""
        return {name: value for name, value in guest.status().items() if name != "seenAt"}

    before = shown()
    assert before["ready"], before
    process = guest.process()
    controllers = lambda: {p for p, c in guest.region.processes().items() if c.split(" ")[0].endswith("/medcloud-controller")}  # noqa: E731
    killed = controllers()
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    assert until(lambda: controllers() and not controllers() & killed, 30), guest.region.tail()
    until_then = time.monotonic() + 15
    while time.monotonic() < until_then:
        assert shown() == before
        time.sleep(0.1)
    assert guest.process() == process
    assert guest.shell.output(guest.first, f"cat note; {START}") == f"kept\nmore\n{guest.start}"
    # The next controller works on it.
    plan = guest.region.run("plan", "-f", str(guest.manifests))
    assert plan.returncode == 0, plan.stdout


def test_changed_keys_take_the_place_of_those_before(guest):
    """The plan calls it a restart, and so it is: then the new key is let in and the old one is not; the rest stays."""
    guest.ask(guest.second)
    plan = guest.region.run("plan", "-f", str(guest.manifests), check=False)
    assert plan.returncode == 2 and "restart" in plan.stdout and "sshKeys" in plan.stdout, plan.stdout
    address = guest.status()["address"]
    guest.region.run("apply", "-f", str(guest.manifests), "--yes", timeout=900)
    assert until(lambda: guest.status()["ready"], 900, 0.5), guest.status()
    # The host's key is checked against the one that the first login learned.
    assert guest.shell.output(guest.second, "hostname; cat note") == "desk\nkept\nmore"
    assert guest.shell.is_refused(guest.first)
    assert guest.status()["address"] == address
    assert guest.region.run("plan", "-f", str(guest.manifests)).returncode == 0


def test_it_is_taken_away(guest):
    """Asked for no more, nothing of it is left."""
    process = guest.process()
    manifest = guest.manifests / "vm-clinic.yaml"
    manifest.write_text(manifest.read_text().split("instances:\n")[0])
    guest.region.run("apply", "-f", str(guest.manifests), "--yes", "--allow-delete", timeout=300)
    assert until(lambda: not Path(f"/proc/{process}").exists(), 60)
    left = [p for p in (guest.region.state / "instances").rglob("*") if p.is_file()]
    assert not left, left
