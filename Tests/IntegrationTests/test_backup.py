"""Backups of a whole region: restored into an empty state, compared."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import uuid
from pathlib import Path

import pytest

from blackbox.region import Region, binaries
from blackbox.sharing import Reader

HAN = "𠮷野家"


@pytest.fixture(scope="module")
def original():
    """A region with two hospitals and something in both."""
    region = Region()
    try:
        region.start()
        for name in ("h1", "h2"):
            tenant = region.create_tenant(name)
            for number in range(25):
                tenant.fhir.create({
                    "resourceType": "Patient", "name": [{"family": f"{HAN} {name} {number}"}], "birthDate": "1970-01-01"})
            made = tenant.fhir.create({"resourceType": "Organization", "name": "Old"})
            made["name"] = "New"
            assert tenant.fhir.send("PUT", f"Organization/{made['id']}", json.dumps(made).encode()).status == 200
        yield region
    finally:
        region.stop()
        region.remove()


@pytest.fixture(scope="module")
def backup(original) -> Path:
    """A backup of it, made while it works."""
    return Path(json.loads(original.run("backup", "create", "-o", "json").stdout)["path"])


def exported(region: Region, tenant: str, name: str) -> dict[str, list[str]]:
    folder = region.state.parent / f"export-{tenant}-{name}"
    region.run("tenant", "export", tenant, str(folder))
    return {file.name: sorted(file.read_text().splitlines()) for file in folder.glob("*.ndjson")}


def test_a_restored_region_equals_the_one_that_was_backed_up(original, backup):
    """Resources byte for byte, histories, tenants, clients, keys."""
    restored = Region()
    try:
        restored.run("backup", "restore", str(backup))
        restored.start()
        for tenant in ("h1", "h2"):
            one, other = exported(original, tenant, "original"), exported(restored, tenant, "restored")
            assert one == other
            assert len(one["Patient.ndjson"]) == 25
            before, after = original.tenant(tenant), restored.tenant(tenant)
            organization = json.loads(one["Organization.ndjson"][0])["id"]
            path = f"Organization/{organization}/_history/1"
            assert before.fhir.get(path).body == after.fhir.get(path).body
        assert (original.run("tenant", "list", "-o", "json").stdout.replace(str(original.port), "PORT")
                == restored.run("tenant", "list", "-o", "json").stdout.replace(str(restored.port), "PORT"))
        restored.create_tenant("h3")
    finally:
        restored.stop()
        restored.remove()


def test_what_is_written_between_the_copies_of_the_clusters_is_found_after_a_restore(original):
    """The region's database is copied first: what it has not heard of then, it hears from the tenants' after the restore."""
    tenant, value = original.tenant("h1"), str(uuid.uuid4())
    command = [binaries() / "medcloud", "backup", "create", "-o", "json", "--state", str(original.state)]
    reader = Reader(original, "h2")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd="/") as copying:
        assert any("copying the cluster cell-1" in line for line in copying.stderr)
        made = tenant.fhir.create({
            "resourceType": "Patient", "identifier": [{"use": "official", "system": "urn:mrn", "value": value}]})
        reader.find(f"urn:mrn|{value}")
        path = json.loads(copying.communicate()[0])["path"]
    restored = Region()
    try:
        restored.run("backup", "restore", path)
        restored.start()
        assert restored.tenant("h1").fhir.get(f"Patient/{made['id']}").status == 200
        Reader(restored, "h2").find(f"urn:mrn|{value}")
    finally:
        restored.stop()
        restored.remove()
        shutil.rmtree(path)


def test_a_backup_is_private_and_listed(original, backup):
    """Secrets and profiles have mode 0600; the list shows it with its tenants."""
    for file in backup.rglob("*"):
        if file.is_file() and file.name.endswith((".key", ".json")) and "cell-1" not in str(file):
            assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    listed = json.loads(original.run("backup", "list", "-o", "json").stdout)
    assert [(b["id"], b["tenants"]) for b in listed] == [(backup.name, ["h1", "h2"])]


def test_a_backup_goes_into_an_empty_state_only(original, backup):
    """A region is never overwritten, neither a running one nor a stopped one."""
    result = original.run("backup", "restore", str(backup), check=False)
    assert result.returncode == 4
    stopped = Region()
    try:
        stopped.start()
        stopped.stop()
        result = stopped.run("backup", "restore", str(backup), check=False)
        assert result.returncode == 4
        assert "empty state directory" in result.stderr
    finally:
        stopped.stop()
        stopped.remove()


def test_a_damaged_backup_is_not_restored(original, backup, tmp_path):
    """Neither one with a changed file nor one with a missing one; nothing is left that could be started."""
    for number, spoil in enumerate([_change_key, _change_table, _remove_manifest]):
        copy = tmp_path / str(number) / "copy"
        copy.parent.mkdir()
        os.system(f"cp -a {backup} {copy}")
        spoil(copy)
        region = Region()
        try:
            result = region.run("backup", "restore", str(copy), check=False)
            assert result.returncode != 0
            assert not (region.state / "format").exists()
        finally:
            region.remove()


def _change_key(folder: Path) -> None:
    key = folder / "secrets" / "gateway" / "region.key"
    key.write_bytes(bytes(32))


def _change_table(folder: Path) -> None:
    file = max((f for f in (folder / "cell-1" / "base").rglob("*") if f.is_file()), key=lambda f: f.stat().st_size)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.write_bytes(content)


def _remove_manifest(folder: Path) -> None:
    (folder / "manifest.json").unlink()
