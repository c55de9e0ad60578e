"""State directories of earlier commits open and migrate (ops/keep-state keeps them)."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from urllib.parse import quote

import pytest

from blackbox.region import Region, until

KEPT = sorted((Path(__file__).resolve().parents[1] / "Fixtures").glob("state-*.tar.xz"))


@pytest.mark.skipif(not KEPT, reason="ops/keep-state has kept none yet")
@pytest.mark.parametrize("archive", KEPT, ids=lambda path: path.name)
def test_a_state_of_an_earlier_commit_opens_and_migrates(archive: Path):
    """Its data is read, found and versioned as before, and it can be written to."""
    region = Region()
    try:
        region.state.mkdir()
        subprocess.run(["tar", "--extract", "--file", archive, "--directory", region.state], check=True)
        region.start()
        # It said that it is ready: then no database is of an earlier schema.
        version = "select max(version) from medcloud.schema_migration where series = 'tenant'"
        database = region.rows("control", "control", "select database from control.tenant where id = 'kept'")[0][0]
        assert region.rows("cell-1", database, version) == region.rows("cell-1", "medcloud_template", version)
        kept = region.tenant("kept")
        person = kept.fhir.get("Patient/kept")
        assert person.status == 200
        assert person.json()["name"][0] == {"family": "𠮷野", "given": ["New"]}
        assert kept.fhir.get("Patient/kept/_history/1").json()["name"][0]["given"] == ["Old"]
        assert kept.fhir.ids("Patient?family=" + quote("𠮷野")) == ["kept"]
        assert kept.fhir.ids("Observation?patient=kept&value-quantity=1.5%7C%7Ckg") == ["kept"]
        assert b"1.50" in kept.fhir.get("Observation/kept").body
        changed = person.json() | {"gender": "female"}
        assert kept.fhir.send("PUT", "Patient/kept", json.dumps(changed).encode()).status == 200
        region.create_tenant("new")
        # What was written before there was an index is in it.
        counted = "select sum(count) from region.holding where tenant = 'kept' and patient_id = 'kept'"
        assert until(lambda: region.rows("control", "region", counted) != [[""]], 10)
    finally:
        region.stop()
        region.remove()
