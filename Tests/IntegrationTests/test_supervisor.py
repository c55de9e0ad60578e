"""`medcloud up`: what it refuses, what it restarts, what is left when it dies."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import time
import urllib.request

import pytest

from blackbox.region import Region, binaries, until

RESTART_SECONDS = 1.0


@pytest.fixture(scope="module")
def own_region():
    """A region whose processes may be killed."""
    region = Region()
    try:
        region.start()
        region.create_tenant("h1")
        yield region
    finally:
        region.stop()
        region.remove()


@pytest.fixture
def empty():
    """A state directory that nothing runs in."""
    region = Region()
    yield region
    region.remove()


def up(region: Region, *options: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [binaries() / "medcloud", "up", "--empty", "--no-compute", "--state", region.state, *options],
        capture_output=True, text=True, timeout=30, cwd="/")


def refused(result: subprocess.CompletedProcess, *words: str) -> None:
    assert result.returncode == 4, result
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, lines
    assert all(word in lines[0] for word in words), lines


def test_a_busy_port_is_refused_in_one_line(empty):
    """And nothing has been made by then."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused(up(empty, "--port", str(port)), f"Port {port} is in use", "--port")
    assert not (empty.state / "format").exists()


def test_a_newer_state_is_refused_in_one_line(empty):
    """Data of a newer version is not touched."""
    empty.state.mkdir()
    (empty.state / "format").write_text("999\n")
    refused(up(empty, "--port", "0"), "newer", "999")


def test_a_directory_of_something_else_is_refused_in_one_line(empty):
    """Somebody's home is not overwritten."""
    empty.state.mkdir()
    (empty.state / "thesis.txt").write_text("years")
    refused(up(empty, "--port", "0"), "not a medcloud state directory")


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_full_disk_is_refused_in_one_line(empty):
    """Before Postgres would find out in the middle of a write."""
    empty.state.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", empty.state], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("this sandbox may not mount")
    try:
        refused(up(empty, "--port", "0"), "MiB free")
    finally:
        subprocess.run(["umount", empty.state], check=True)


def test_a_second_supervisor_is_refused_in_one_line(own_region):
    """The one that runs is not disturbed."""
    refused(up(own_region, "--port", "0"), f"in use by process {own_region.process.pid}")
    assert status(own_region)["phase"] == "ready"


def status(region: Region) -> dict:
    return json.loads(region.run("status", "-o", "json", check=False).stdout)


def running(region: Region, name: str) -> dict | None:
    return next((p for p in json.loads((region.state / "region.json").read_text())["processes"] if p["name"] == name), None)


@pytest.mark.parametrize("name", ["gateway-1", "gateway-2", "controller", "control", "cell-1"])
def test_a_killed_process_is_back_within_a_second(own_region, name: str):
    """A new process id, counted as a restart, and the region is ready again."""
    before = running(own_region, name)
    os.kill(before["pid"], signal.SIGKILL)
    killed = time.monotonic()
    assert until(lambda: (running(own_region, name) or {}).get("pid") not in (None, before["pid"]), RESTART_SECONDS)
    assert time.monotonic() - killed <= RESTART_SECONDS
    assert running(own_region, name)["restarts"] == before["restarts"] + 1
    own_region.wait_ready(20)
    tenant = own_region.tenant("h1")
    assert until(lambda: tenant.fhir.get("Patient?_summary=count").status == 200, 10)


def test_nothing_is_left_when_the_supervisor_is_killed_and_the_data_stays(own_region):
    """The kernel ends the children; the next start recovers."""
    tenant = own_region.tenant("h1")
    made = tenant.fhir.create({"resourceType": "Patient", "name": [{"family": "Stays"}]})
    children = own_region.processes()
    assert len(children) >= 5
    own_region.process.kill()
    own_region.process.wait()
    assert until(lambda: not any(alive(pid) for pid in children), 10), [c for p, c in children.items() if alive(p)]
    own_region.process = None
    own_region.start()
    assert own_region.tenant("h1").fhir.get(f"Patient/{made['id']}").status == 200


def alive(pid: int) -> bool:
    try:
        return open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_an_existing_state_is_ready_soon(own_region):
    """The bar of 1.5 s is for the release build and taken by ops/bench; this one is for the debug build."""
    own_region.stop()
    own_region.start()
    assert until(lambda: 0 < json.loads((own_region.state / "region.json").read_text()).get("readyAfter", 0) < 10_000, 15)


@pytest.mark.parametrize("words, code, meant", [
    (["tenant", "show", "h2"], 3, '"h1"'), (["tenant", "lst"], 64, '"list"'), (["logs", "gatway-1"], 3, '"gateway-1"'),
    (["token", "--tenant", "h11"], 3, '"h1"'), (["client", "disable", "h1-systm", "--tenant", "h1"], 3, '"h1-system"'),
    (["tenant", "create", "h3", "--name", "N", "--time-zone", "Europe/Berln", "--language", "de"], 64, '"Europe/Berlin"'),
    (["tenant", "list", "--ouput", "json"], 64, "--output"),
])
def test_the_nearest_right_name_is_suggested(own_region, words: list[str], code: int, meant: str):
    """With the documented exit code, on standard error."""
    result = own_region.run(*words, check=False)
    assert result.returncode == code, result
    assert meant in result.stderr
    assert result.stdout == ""


def test_keys_are_private_and_never_printed(own_region):
    """Mode 0600, and no command shows what is in them."""
    result = own_region.run("client", "create", "h1-laboratory", "--tenant", "h1", "--scope", "system/Observation.rs")
    path = own_region.state / "clients" / "h1" / "h1-laboratory.json"
    assert path.stat().st_mode & 0o777 == 0o600
    secret = json.loads(path.read_text())["privateKey"]["d"]
    shown = [result.stdout, result.stderr, own_region.run("client", "list", "--tenant", "h1", "-o", "json").stdout]
    assert all(secret not in text for text in shown)
    for log in (own_region.state / "logs").glob("*.log"):
        assert secret not in log.read_text(errors="replace")
    again = own_region.run("client", "create", "h1-laboratory", "--tenant", "h1", check=False)
    assert again.returncode == 4
    assert json.loads(path.read_text())["privateKey"]["d"] == secret


def test_a_deleted_tenant_is_gone_with_its_keys(own_region):
    """Asked for by name, refused without --yes, shown by --dry-run."""
    own_region.create_tenant("gone")
    assert own_region.run("tenant", "delete", "gone", check=False).returncode == 4
    assert "gone-system" in own_region.run("tenant", "delete", "gone", "--dry-run").stderr
    assert own_region.run("tenant", "show", "gone").returncode == 0
    own_region.run("tenant", "delete", "gone", "--yes")
    assert own_region.run("tenant", "show", "gone", check=False).returncode == 3
    assert not (own_region.state / "clients" / "gone").exists()
    own_region.create_tenant("gone")


def test_the_first_tenants_are_made_in_an_empty_region_only(own_region, tmp_path):
    """What a first start has left over changes nothing that somebody has made since."""
    own_region.create_tenant("made-since")
    own_region.stop()
    (tmp_path / "late.yaml").write_text("id: late\ntemplate: clinic\nname: Late\ntimeZone: UTC\nlanguage: en\n")
    left = own_region.state / "demo.pending"
    left.write_text(str(tmp_path))
    own_region.start()
    assert until(lambda: not left.exists(), 20)
    tenants = own_region.run("tenant", "list", "-o", "name").stdout.split()
    assert "made-since" in tenants and "late" not in tenants
    assert "could not be made" not in own_region.log.read_text()


def test_tls_is_ended_by_the_workers(empty):
    """`up` passes certificate and key on: https answers, its URLs say so, and the clear is not spoken."""
    folder = empty.state.parent
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
         "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
        check=True, capture_output=True, timeout=20)
    key.chmod(0o644)
    process = subprocess.Popen(
        [binaries() / "medcloud", "up", "--empty", "--no-compute", "--state", empty.state, "--port", str(empty.port), "--tls-certificate",
         certificate, "--tls-key", key],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/")
    trust = ssl.create_default_context(cafile=certificate)

    def ask(path: str):
        return urllib.request.urlopen(f"https://127.0.0.1:{empty.port}{path}", context=trust, timeout=5)

    def ready() -> bool:
        try:
            return ask("/readyz").status == 200
        except OSError:
            return False

    try:
        assert until(ready, 30)
        with ask("/openapi.json") as answer:
            assert answer.headers["Strict-Transport-Security"]
            assert json.load(answer)["servers"][0]["url"].startswith(f"https://127.0.0.1:{empty.port}")
        with pytest.raises((OSError, http.client.HTTPException)):
            urllib.request.urlopen(f"http://127.0.0.1:{empty.port}/healthz", timeout=5)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(20)
