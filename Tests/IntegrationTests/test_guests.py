"""A real guest under the region's own hypervisor, asked for by a manifest: it boots, serves, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from blackbox.figures import report
from blackbox.region import Region, binaries, until

MANIFEST = """\
id: vm-clinic
template: clinic
name: Clinic with a machine
timeZone: Europe/Berlin
language: de
quota: {{instances: 1, running: 1, vcpus: 1, memory: 128MiB, storage: 64MiB, networks: 1}}
networks:
  - {{name: lan, cidr: 10.77.1.0/24}}
instances:
{instances}
"""
INSTANCE = """\
  - name: desk
    image: probe
    vcpus: 1
    memory: 96MiB
    disk: 64MiB
    network: lan
    probe: {http: {port: 80, path: /}}
    probeDeadline: 180
"""


# Names of instances, kept when their files are gone.
guests_seen: set[str] = set()


@pytest.fixture(scope="module")
def cloud():
    """A region with a private hypervisor and the small image."""
    if os.geteuid() != 0:
        pytest.skip("guests need root")
    if shutil.which("qemu-system-x86_64") is None:
        pytest.skip("QEMU is not installed")
    running = Region(compute=True)
    try:
        running.start()
        running.run("image", "build", "probe", timeout=300)
        assert until(
            lambda: any(i["name"] == "probe" for i in running.api("GET", "/v1/images").json()["items"]), 120), running.tail()
        yield running
        assert not running.crashes()
    finally:
        running.stop()
        running.remove()


def guests(region: Region) -> list[str]:
    """The QEMU processes that run one of this region's disks."""
    names = {p.name.split(".")[0] for p in (region.state / "instances").rglob("i-*") if p.is_file()} | guests_seen
    guests_seen.update(names)
    found = []
    for entry in Path("/proc").iterdir():
        try:
            command = (entry / "cmdline").read_bytes() if entry.name.isdigit() else b""
        except OSError:
            continue
        if b"qemu-system" in command and any(name.encode() in command for name in names):
            found.append(entry.name)
    return found


def show(region: Region) -> dict:
    """The instance as the platform shows it."""
    return region.api("GET", "/v1/tenants/vm-clinic/instances/desk").json()


def connect(region: Region, name: str, port: int, request: bytes) -> tuple[int, bytes, str]:
    """The exit code and both outputs of `medcloud instance connect` that is given a request."""
    result = subprocess.run(
        [binaries() / "medcloud", "instance", "connect", name, "--tenant", "vm-clinic", "--port", str(port), "--state", region.state],
        input=request, capture_output=True, timeout=60, cwd="/")
    return result.returncode, result.stdout, result.stderr.decode()


def the_way_in_is_connect(region: Region) -> None:
    """Bytes go to the guest's port and back, both ways to their ends; what is not there is said in one line."""
    code, answer, error = connect(region, "desk", 80, b"GET /cgi-bin/status HTTP/1.0\r\n\r\n")
    assert code == 0 and not error, error
    head, body = answer.split(b"\r\n\r\n", 1)
    assert b" 200 " in head.splitlines()[0] and json.loads(body)["host"] == "desk", answer
    note = bytes(range(1, 256)) * 400
    code, answer, error = connect(
        region, "desk", 80, b"POST /cgi-bin/note HTTP/1.0\r\nContent-Length: %d\r\n\r\n%s" % (len(note), note))
    assert code == 0 and answer.endswith(note), (code, len(answer), error)
    code, answer, error = connect(region, "desk", 81, b"")
    assert code == 5 and not answer and error.count("\n") == 1 and "port 81" in error, (code, error)
    code, answer, error = connect(region, "dusk", 80, b"")
    assert code == 3 and not answer and error.count("\n") == 1 and '"dusk"' in error, (code, error)


def starts(region: Region) -> int:
    """How often the guest has started, by its own count; 0 when it does not answer."""
    code, answer, _ = connect(region, "desk", 80, b"GET /cgi-bin/status HTTP/1.0\r\n\r\n")
    return json.loads(answer.split(b"\r\n\r\n", 1)[1])["starts"] if code == 0 and b"\r\n\r\n{" in answer else 0


def a_stop_is_taken_back(region: Region) -> None:
    """Cancelled when the guest has been asked to power off already: it does, and is started again."""
    path = "/v1/tenants/vm-clinic/instances/desk"
    before = starts(region)
    stop = region.api("POST", f"{path}/stop").json()["id"]
    operation = lambda: region.api("GET", f"/v1/operations/{stop}").json()
    assert until(lambda: operation()["step"] == "wait-until-off", 30, pause=0.01), operation()
    assert region.api("POST", f"/v1/operations/{stop}/cancel").status == 202, operation()
    assert until(lambda: operation()["phase"] == "cancelled", 60), operation()
    assert until(lambda: starts(region) == before + 1, 120), show(region)
    assert until(lambda: show(region)["status"]["ready"], 60), show(region)
    assert show(region)["status"]["state"] == "running" and len(guests(region)) == 1, show(region)


def test_a_manifest_makes_a_machine_that_serves(cloud, tmp_path):
    """Applied, ready with its address once its page answers; the same again is nothing to do; taken away, nothing is left."""
    file = tmp_path / "vm-clinic.yaml"
    file.write_text(MANIFEST.format(instances=INSTANCE))
    began = time.monotonic()
    cloud.run("apply", "-f", str(tmp_path), "--yes", timeout=240)
    assert until(lambda: show(cloud)["status"]["ready"], 180), show(cloud)
    report("guest.probe.apply-to-ready", time.monotonic() - began, "s", at_most=30)
    status = show(cloud)["status"]
    assert status["state"] == "running" and status["address"].startswith("10.77.1."), status
    assert len(guests(cloud)) == 1
    assert cloud.run("plan", "-f", str(tmp_path)).returncode == 0
    assert until(lambda: "desk serves" in cloud.run("instance", "console", "--tenant", "vm-clinic", "desk").stdout, 60)
    the_way_in_is_connect(cloud)

    cloud.run("instance", "stop", "--tenant", "vm-clinic", "desk", timeout=240)
    assert until(lambda: show(cloud)["status"]["state"] == "stopped", 60), show(cloud)
    assert not show(cloud)["status"]["ready"] and not guests(cloud)
    cloud.run("instance", "start", "--tenant", "vm-clinic", "desk", timeout=240)
    assert until(lambda: show(cloud)["status"]["ready"], 180), show(cloud)
    assert show(cloud)["status"]["address"] == status["address"]
    a_stop_is_taken_back(cloud)

    file.write_text(MANIFEST.format(instances="  []"))
    cloud.run("apply", "-f", str(tmp_path), "--yes", "--allow-delete", timeout=120)
    assert until(lambda: not guests(cloud), 60)
    left = [p for p in (cloud.state / "instances").rglob("*") if p.is_file()]
    assert not left, left
    usage = cloud.api("GET", "/v1/tenants/vm-clinic/usage").json()
    assert usage["items"], json.dumps(usage)
