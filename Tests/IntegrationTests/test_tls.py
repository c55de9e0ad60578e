"""TLS from a private authority: `medcloud up` with a certificate, and who of the operator's commands believes it."""

from __future__ import annotations

import json
import os
import signal
import ssl
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from blackbox.region import Region, binaries, until


def openssl(*words) -> None:
    subprocess.run(["openssl", *words], check=True, capture_output=True, timeout=20)


def authority(folder: Path, name: str) -> Path:
    """A certificate authority; its certificate."""
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
            "-subj", f"/CN={name}", "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem")
    return folder / f"{name}.pem"


def certificate(folder: Path, name: str, signer: str, names: str) -> tuple[Path, Path]:
    """A server's certificate for `names`, signed by `signer`; with its key."""
    request, extension = folder / f"{name}.csr", folder / f"{name}.ext"
    extension.write_text(f"subjectAltName={names}\n")
    openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
            "-keyout", folder / f"{name}.key", "-out", request)
    openssl("x509", "-req", "-in", request, "-days", "2", "-CA", folder / f"{signer}.pem", "-CAkey",
            folder / f"{signer}.key", "-CAcreateserial", "-extfile", extension, "-out", folder / f"{name}.pem")
    (folder / f"{name}.key").chmod(0o644)
    return folder / f"{name}.pem", folder / f"{name}.key"


class SecureRegion:
    """A region that serves with a certificate of a private authority."""

    def __init__(self, names: str = "IP:127.0.0.1", trusting: bool = True) -> None:
        self.place = Region()
        self.state, self.folder = self.place.state, self.place.state.parent
        self.origin = f"https://127.0.0.1:{self.place.port}"
        self.authority = authority(self.folder, "authority")
        self.other = authority(self.folder, "stranger")
        chain, key = certificate(self.folder, "server", "authority", names)
        self.words = ["--tls-certificate", chain, "--tls-key", key, "--no-compute"]
        if trusting:
            self.words += ["--ca-file", self.authority]
        self.log = self.folder / "up.log"
        self.process: subprocess.Popen | None = None

    def start(self, *words) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [binaries() / "medcloud", "up", "--state", self.state, "--port", str(self.place.port), *self.words, *words],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/")
        assert until(self.is_ready, 60), self.log.read_text()

    def is_ready(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        return "Ctrl-C stops" in self.log.read_text()

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(30)
            self.process = None

    def run(self, *words, **environment: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [binaries() / "medcloud", *words, "--state", self.state], capture_output=True, text=True, timeout=60, cwd="/",
            env={**os.environ, **environment})

    def remove(self) -> None:
        self.stop()
        self.place.remove()


@pytest.fixture(scope="module")
def secure():
    """One whose operator names the authority, with a tenant."""
    region = SecureRegion()
    try:
        region.start("--empty")
        made = region.run("tenant", "create", "h1", "--name", "H", "--time-zone", "Europe/Berlin", "--language", "de")
        assert made.returncode == 0, made
        yield region
    finally:
        region.remove()


def one_line(result: subprocess.CompletedProcess, code: int, *words: str) -> None:
    assert result.returncode == code, result
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1 and all(word in lines[0] for word in words), result
    assert result.stdout == "", result


def test_the_profiles_that_up_and_create_write_work(secure):
    """Without another word: the authority is named in the operator's profile and in the client's file."""
    for file in ("operator.json", "clients/h1/h1-system.json", "region.json"):
        assert json.loads((secure.state / file).read_text())["caFile"] == str(secure.authority)
    assert "h1" in secure.run("tenant", "list", "-o", "name").stdout
    status = secure.run("status")
    assert status.returncode == 0 and "ready" in status.stdout, status
    region = [c for c in json.loads(secure.run("doctor", "-o", "json").stdout) if c["name"] == "region"]
    assert [c["result"] for c in region] == ["ok"], region
    assert secure.run("docs").stdout.strip() == f"{secure.origin}/docs"


def test_a_token_that_was_got_over_tls_reads_over_tls_only(secure):
    """curl with the authority, as the welcome prints it; in the clear, the port answers nothing."""
    token = secure.run("token", "--tenant", "h1").stdout.strip()
    request = urllib.request.Request(
        f"{secure.origin}/t/h1/fhir/Patient", headers={"Authorization": f"Bearer {token}"})
    trust = ssl.create_default_context(cafile=secure.authority)
    with urllib.request.urlopen(request, context=trust, timeout=10) as answer:
        assert json.load(answer)["resourceType"] == "Bundle"
    with pytest.raises(OSError):
        urllib.request.urlopen(secure.origin.replace("https", "http") + "/healthz", timeout=10)
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(request, context=ssl.create_default_context(cafile=secure.other), timeout=10)


def test_another_authority_is_refused_in_one_line(secure):
    """By option and by variable; the option is the stronger."""
    wrong, right = str(secure.other), str(secure.authority)
    for command in (["tenant", "list"], ["token", "--tenant", "h1"], ["docs"]):
        one_line(secure.run(*command, "--ca-file", wrong), 5, "certificate", secure.origin, wrong, "--ca-file")
    one_line(secure.run("tenant", "list", MEDCLOUD_CA_FILE=wrong), 5, "certificate", wrong)
    assert secure.run("tenant", "list", "--ca-file", right, MEDCLOUD_CA_FILE=wrong).returncode == 0
    found = secure.run("doctor", "--ca-file", wrong)
    assert found.returncode == 1 and wrong in found.stdout, found


def test_a_file_of_authorities_that_holds_none_is_refused(secure):
    """Missing, or something else."""
    one_line(secure.run("tenant", "list", "--ca-file", "/nowhere/ca.pem"), 3, "/nowhere/ca.pem")
    other = secure.folder / "server.ext"
    one_line(secure.run("tenant", "list", "--ca-file", other), 1, str(other), "PEM", "--ca-file")


def test_a_profile_in_the_clear_reaches_no_region_over_tls(secure):
    """An address in the clear reaches no region, and one line says so."""
    profile = secure.state / "operator.json"
    good = profile.read_text()
    try:
        profile.write_text(good.replace("https://", "http://"))
        one_line(secure.run("tenant", "list"), 5, "does not answer")
    finally:
        profile.write_text(good)


def test_the_first_tenants_are_made_over_tls():
    """`up` on an empty state applies its folder over the certificate, and what it prints works as printed."""
    region = SecureRegion()
    folder = region.folder / "manifests"
    folder.mkdir()
    (folder / "h1.yaml").write_text(
        "id: h1\ntemplate: hospital\nname: First\ntimeZone: Europe/Berlin\nlanguage: de\n")
    try:
        region.start("--tenants", folder)
        said = region.log.read_text()
        assert f"curl -s --cacert {region.authority} -H" in said, said
        assert region.run("tenant", "list", "-o", "name").stdout.split() == ["h1"]
        assert region.run("token", "--tenant", "h1").stdout.strip()
    finally:
        region.remove()


def test_up_says_when_its_own_commands_do_not_believe_the_certificate():
    """No authority is named, and then one whose certificate is for another name: the region serves, and one line says why."""
    region = SecureRegion(trusting=False)
    try:
        region.start("--empty")
        assert "commands on this machine cannot use it" in region.log.read_text()
        one_line(region.run("tenant", "list"), 5, "no authority that this machine trusts", "--ca-file")
        assert region.run("tenant", "list", "--ca-file", region.authority).returncode == 0
    finally:
        region.remove()
    region = SecureRegion(names="DNS:region.example")
    try:
        region.start("--empty")
        assert "is for other names" in region.log.read_text()
        one_line(region.run("tenant", "list"), 5, "is for other names", "--base-url")
    finally:
        region.remove()


def test_up_refuses_certificates_that_no_worker_could_serve_with():
    """Before anything is made: one line that names the file."""
    region = SecureRegion()
    folder = region.folder
    chain, key = folder / "server.pem", folder / "server.key"
    (folder / "stranger.key").chmod(0o644)

    def up(*words) -> subprocess.CompletedProcess:
        return region.run("up", "--empty", "--no-compute", "--port", "0", *words)

    try:
        one_line(up("--tls-certificate", key, "--tls-key", key), 1, str(key), "certificate", "--tls-certificate")
        one_line(up("--tls-certificate", chain, "--tls-key", chain), 1, str(chain), "key", "--tls-key")
        one_line(up("--tls-certificate", chain, "--tls-key", folder / "stranger.key"), 1, "is not the key of")
        one_line(up("--tls-certificate", folder / "none.pem", "--tls-key", key), 3, "none.pem")
        one_line(up("--tls-certificate", chain, "--tls-key", key, "--ca-file", key), 1, str(key), "--ca-file")
        if os.geteuid() == 0:
            key.chmod(0o600)
            one_line(up("--tls-certificate", chain, "--tls-key", key), 4, "medcloud", str(key))
        assert up("--tls-certificate", chain).returncode == 64
        clear = up("--tls-certificate", chain, "--tls-key", key, "--base-url", "http://127.0.0.1")
        assert clear.returncode == 64 and "https://" in clear.stderr, clear
        assert not region.state.exists()
    finally:
        region.remove()
