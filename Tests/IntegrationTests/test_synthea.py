"""Realistic patients: whole transaction bundles into two hospitals, read back and compared."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

PATIENTS, SEED, REFERENCE_DATE = 3, 11, "20260101"


@pytest.fixture(scope="module")
def bundles(tmp_path_factory) -> list[bytes]:
    """Transaction bundles of synthetic patients, the same in every run."""
    folder = tmp_path_factory.mktemp("synthea")
    subprocess.run(
        [str(Path(sys.executable).parent / "synthea"), "-p", str(PATIENTS), "-s", str(SEED), "-r", REFERENCE_DATE,
         "-o", str(folder), "--threads", "1", "--log-level", "error"],
        check=True, capture_output=True, cwd=folder, timeout=240)
    found = [f.read_bytes() for f in sorted((folder / "fhir").glob("*.json"))]
    assert len(found) == PATIENTS
    return found


def test_synthetic_patients_are_stored_whole_in_two_hospitals(bundles, new_tenant):
    """Every resource comes back equal, references resolved, in both hospitals, and in neither anything else."""
    hospitals = [new_tenant(), new_tenant()]
    contents = []
    for hospital in hospitals:
        expected: dict[str, dict] = {}
        for body in bundles:
            answer = hospital.fhir.send("POST", "", body)
            assert answer.status == 200, answer.text[:2000]
            sent, back = _load(body), answer.json()
            places = [_relative(hospital, e["response"]["location"]) for e in back["entry"]]
            ids = {entry["fullUrl"]: place for entry, place in zip(sent["entry"], places, strict=True)}
            for entry, place in zip(sent["entry"], places, strict=True):
                assert place not in expected
                expected[place] = _bare(_resolved(entry["resource"], ids))
        stored: dict[str, dict] = {}
        for type_name in sorted({place.split("/")[0] for place in expected}):
            url = f"{type_name}?_count=1000"
            while url:
                page = _load(hospital.fhir.get(url).body)
                for entry in page.get("entry", []):
                    stored[f"{type_name}/{entry['resource']['id']}"] = _bare(entry["resource"])
                url = next((str(l["url"]) for l in page["link"] if l["relation"] == "next"), None)
        assert stored.keys() == expected.keys()
        different = [place for place in expected if stored[place] != expected[place]]
        assert not different, f"{len(different)}: {different[:5]}"
        contents.append(expected)
    assert len(contents[0]) == len(contents[1]) > 1000
    assert not contents[0].keys() & contents[1].keys()
    one, other = hospitals
    for person in one.fhir.ids("Patient?_count=50"):
        assert other.fhir.get(f"Patient/{person}").status == 404
        observations = one.fhir.ids(f"Observation?patient={person}&_count=1000")
        assert sorted(observations) == sorted(one.fhir.ids(f"Patient/{person}/Observation?_count=1000"))
        assert len(observations) == one.fhir.count(f"Observation?subject=Patient/{person}") > 0
        assert other.fhir.count(f"Observation?patient={person}") == 0


def _load(body: bytes):
    return json.loads(body, parse_float=lambda text: ("number", text), parse_int=lambda text: ("number", text))


def _bare(resource: dict) -> dict:
    """The resource without what the server owns."""
    kept = {name: value for name, value in resource.items() if name not in ("id", "meta")}
    meta = {n: v for n, v in resource.get("meta", {}).items() if n not in ("versionId", "lastUpdated")}
    return {**kept, "meta": meta} if meta else kept


def _relative(hospital, location: str) -> str:
    return "/".join(location.removeprefix(hospital.base + "/").split("/")[:2])


def _resolved(value, ids: dict):
    if isinstance(value, dict):
        return {name: _resolved(member, ids) for name, member in value.items()}
    if isinstance(value, list):
        return [_resolved(member, ids) for member in value]
    return ids.get(value, value) if isinstance(value, str) else value
