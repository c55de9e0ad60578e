"""The description at /openapi.json, held against the running region by schemathesis: requests made from the description must
not meet an error of ours, and every answer must be one that the description names.

Each part runs in a region of its own, because the requests delete tenants and clients too.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from blackbox.region import Region
from blackbox.sharing import Reader

# A stream of events does not end by itself. Whether a key lies on its curve, or a plan's hash is right, no schema can say:
# so valid by schema is not always accepted, and that check is left out.
NOT_BOUNDED = "/events$"
WITHOUT = "positive_data_acceptance"


@pytest.fixture(scope="module")
def own_region():
    """A region that may be taken apart."""
    running = Region()
    try:
        running.start()
        yield running
        crashes = running.crashes()
        assert not crashes, "\n".join(crashes[:3])
    finally:
        running.stop()
        running.remove()


@pytest.mark.parametrize("part", ["fhir", "region", "platform"])
def test_every_answer_is_described(own_region: Region, part: str, request: pytest.FixtureRequest) -> None:
    """Runs in this order: the last part may delete the tenants that the first two need."""
    if part == "fhir":
        tenant = own_region.create_tenant("h1")
        tenant.fhir.create({"resourceType": "Patient", "name": [{"family": "Described"}]})
        token, paths = tenant.fhir.token, "^/t/"
    elif part == "region":
        bureau = Reader(own_region, own_region.create_bureau(), "system/*.cruds")
        token, paths = bureau.on_behalf().token, "^/region/"
    else:
        token, paths = own_region.operator_token, "^/(v1/|healthz|readyz|metrics|docs|openapi)"
    examples = 300 if request.config.getoption("--long") else 15
    with tempfile.TemporaryDirectory() as folder:
        result = subprocess.run(
            [Path(sys.executable).parent / "schemathesis", "run", f"{own_region.origin}/openapi.json", "--url", own_region.origin,
             "--header", f"Authorization: Bearer {token}", "--include-path-regex", paths, "--exclude-path-regex", NOT_BOUNDED,
             "--phases", "examples,coverage,fuzzing", "--max-examples", str(examples), "--seed", "1", "--exclude-checks", WITHOUT,
             "--no-color"],
            cwd=folder, capture_output=True, text=True, timeout=280)
    assert result.returncode == 0, result.stdout[-12000:] + result.stderr[-2000:]
