"""The open black-box suite sekmet-fhir 0.1.1: hospital scenarios against one of our tenants, as it comes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from cryptography.hazmat.primitives import serialization

#: What needs a part that comes with a later issue: subscriptions, messaging, bulk export.
LATER = {"subscription_roundtrip", "subscription_backport_roundtrip", "messaging_adt_orders", "bulk_export_group"}


def test_hospital_scenarios_pass(new_tenant, tmp_path: Path):
    """Every scenario of the library that the platform's parts allow."""
    own = new_tenant()
    key = tmp_path / "client.pem"
    key.write_bytes(own.client.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps({
        "data_dir": str(tmp_path / "data"), "own_private_key_path": str(tmp_path / "own.pem"), "base_url": "http://127.0.0.1:9/fhir",
        "peers": {"medcloud": {"base_url": own.base, "auth": {
            "type": "smart", "client_id": own.client.identity, "private_key_path": str(key), "kid": own.client.key_id, "alg": "ES384",
            "scope": "system/*.cruds"}}},
    }))
    command = Path(sys.executable).parent / "sekmet"
    done = subprocess.run(
        [command, "scenario", "run", "all", "--peer", "medcloud", "--no-serve", "--config", str(settings), "--report-dir", str(tmp_path / "reports")],
        capture_output=True, text=True, timeout=180, cwd=tmp_path)
    reports = {}
    for path in (tmp_path / "reports").glob("*/results.json"):
        for run in json.loads(path.read_text()):
            reports[Path(run["file"]).stem] = run
    assert reports, done.stdout + done.stderr
    failed = {
        name: [f"{s.get('name')}: {s.get('message')} {s.get('checks', '')}" for s in run.get("steps", []) if s.get("status") in ("failed", "error")]
        for name, run in reports.items() if run.get("status") in ("failed", "error")
    }
    unexpected = {name: steps for name, steps in failed.items() if name not in LATER}
    assert not unexpected, json.dumps(unexpected, indent=1, default=str)[:8000] + done.stdout[-3000:]
    assert len(reports) - len(failed) >= 8, done.stdout[-3000:]
