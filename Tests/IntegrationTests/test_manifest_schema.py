"""`Tenants/schema.json`, which editors use, against our own verdict on the same manifests; no region is needed.

Our verdict comes from `medcloud plan` with a state directory that is not there: it reads the manifests first and says 65 when
one is wrong, 3 when all are right and only the region is missing.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import jsonschema
import pytest
import yaml

from blackbox.region import REPOSITORY, binaries

SCHEMA = json.loads((REPOSITORY / "Tenants" / "schema.json").read_text())
VALIDATOR = jsonschema.Draft7Validator(SCHEMA)

GOOD = {
    "id": "x1", "template": "hospital", "name": "One", "timeZone": "Europe/Berlin", "language": "de",
}
INSTANCE = {"name": "vm", "image": "probe", "vcpus": 1, "memory": "96MiB", "disk": "64MiB", "network": "lan"}
NETWORKS = [{"name": "lan", "cidr": "10.1.0.0/24"}]
SSH = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g operator@desk"


def client(**members) -> list[dict]:
    """A list with one client."""
    return [{"id": "c", "scopes": "system/*.rs", **members}]


def instance(**members) -> dict:
    """Members of a tenant with one instance."""
    return {"networks": NETWORKS, "instances": [{**INSTANCE, **members}]}


GOOD_ONES = [
    {}, {"template": "clinic"}, {"template": "bureau"}, {"template": "pharmacy"}, {"template": "partner"},
    {"name": "می\u200cخواهم"}, {"kind": "clinic"}, {"labels": {"area": "north", "tier": "2"}}, {"driftPolicy": "repair"},
    {"quota": {"memory": "2GiB", "storage": 0, "vcpus": 3}}, {"clients": client(realm="region")},
    {"clients": client(kind="tenant-administrator", name="Lab", origins=["https://a.example", "http://localhost:80"])},
    {"clients": client(keys={"generate": True, "keySetURL": "https://a.example/keys"}, disabled=True)},
    {"name": "北京医院"}, {"language": "zh-Hans-CN"}, {"timeZone": "America/Argentina/Ushuaia"}, {"timeZone": "UTC"},
    instance(), instance(sshKeys=[SSH], running=False, probeDeadline=30), instance(probe={"tcp": {"port": 22}}),
    instance(probe={"http": {"port": 80}}), instance(probe={"http": {"port": 80, "path": "/health?x=1"}}),
]

#: What the schema refuses too.
BAD_ONES = [
    {"id": None}, {"id": "Upper"}, {"id": "x" * 40}, {"id": "region"}, {"id": "a'; drop table x"}, {"id": 7},
    {"name": None}, {"name": ""}, {"name": "a\nb"}, {"name": " "}, {"name": "a\u2066b"}, {"name": "\u200c"}, {"name": "x" * 201}, {"name": 5}, {"template": "hopsital"},
    {"template": None}, {"kind": "shop"}, {"timeZone": "berlin"}, {"timeZone": "Europe/../etc"}, {"timeZone": True},
    {"language": "english"}, {"language": "de_DE"}, {"lables": {}}, {"labels": {"Area": "x"}}, {"labels": {"a": "b c"}},
    {"labels": {"a": 1}}, {"labels": []}, {"driftPolicy": "ignore"}, {"quota": []}, {"quota": {"disks": 1}},
    {"quota": {"vcpus": -1}}, {"quota": {"vcpus": "2"}}, {"quota": {"memory": 2048}}, {"quota": {"memory": "2GB"}},
    {"quota": {"memory": "1.5GiB"}}, {"quota": {"instances": 99999}}, {"clients": {}}, {"clients": [{"id": "c"}]},
    {"clients": [{"scopes": "system/*.rs"}]}, {"clients": client(id="$(id)")}, {"clients": client(scopes="everything")},
    {"clients": client(scopes="")}, {"clients": client(scopes="system/Patient.sr")}, {"clients": client(realm="world")},
    {"clients": client(realm="region", kind="tenant-administrator")}, {"clients": client(kind="operator")},
    {"clients": client(origins=["a.example"])}, {"clients": client(origins=["https://A.example"])},
    {"clients": client(origins=["https://a.example", "https://a.example"])}, {"clients": client(keys={})},
    {"clients": client(keys={"generate": False})}, {"clients": client(keys={"keySetURL": "https://a.example/k"})},
    {"clients": client(keys={"generate": True, "file": "x"})}, {"clients": client(keys={"secret": "x"})},
    {"clients": client(keys={"generate": True, "keySetURL": "http://a.example/k"})}, {"clients": client(disabled="no")},
    {"clients": client(keys={"jwks": {"keys": []}})}, {"networks": [{"name": "lan"}]}, {"networks": [{"cidr": "10.0.0.0/24"}]},
    {"networks": [{"name": "lan", "cidr": "10.0.0.0/8"}]}, {"networks": [{"name": "lan", "cidr": "8.8.8.0/24"}]},
    {"networks": [{"name": "lan", "cidr": "10.0.0.0"}]}, {"networks": [{"name": "<lan/>", "cidr": "10.0.0.0/24"}]},
    {"networks": [{"name": "lan", "cidr": "10.0.0.0/24", "vlan": 3}]}, instance(vcpus=0), instance(vcpus="1"),
    instance(memory=96), instance(memory="96MB"), instance(image="../probe"), instance(name="vm;reboot"), instance(flavor="x"),
    instance(sshKeys=["ssh-ed25519"]), instance(sshKeys=["-----BEGIN OPENSSH PRIVATE KEY-----"]), instance(running="yes"),
    instance(sshKeys=[SSH + "\nssh-rsa AAAA"]), instance(probe={}), instance(probe={"icmp": {}}),
    instance(probe={"tcp": {"port": 0}}), instance(probe={"tcp": {"port": 70000}}), instance(probe={"http": {"path": "/"}}),
    instance(probe={"http": {"port": 80, "path": "x y"}}), instance(probe={"tcp": {"port": 1}, "http": {"port": 2}}),
    instance(probeDeadline=0), {"instances": [{k: v for k, v in INSTANCE.items() if k != "network"}]},
]

#: What needs more than a schema: arithmetic, other members, tables of the machine.
BEYOND_A_SCHEMA = [
    {"networks": [{"name": "lan", "cidr": "10.0.0.1/24"}]}, {"networks": [{"name": "lan", "cidr": "10.0.0.300/24"}]},
    {"networks": [{"name": "lan", "cidr": "10.01.0.0/24"}]}, {"networks": NETWORKS + NETWORKS},
    {"networks": [{"name": "a", "cidr": "10.0.0.0/16"}, {"name": "b", "cidr": "10.0.7.0/24"}]},
    instance(network="wan"), instance(memory="1MiB"), instance(memory="96KiB"), {**instance(), "quota": {"instances": 0}},
    {**instance(), "quota": {"memory": "64MiB"}}, {"clients": client() + client()}, {"timeZone": "Europe/Atlantis"},
    {"clients": client(keys={"file": "not-there.json"})}, {"clients": client(keys={"jwks": {"keys": [{"kty": "EC"}]}})},
    {"clients": client(realm="region", id="operator")}, instance(sshKeys=["ssh-ed25519 " + "A" * 68]),
]


def manifest(members: dict) -> dict:
    """A good manifest but for some members; None takes one away."""
    return {key: value for key, value in {**GOOD, **members}.items() if value is not None}


def verdicts(manifests: list[dict], folder: Path) -> list[bool]:
    """Ours, one run a manifest."""
    found = []
    for number, value in enumerate(manifests):
        path = folder / f"{number}.yaml"
        path.write_text(yaml.safe_dump(value, allow_unicode=True, sort_keys=False))
        result = subprocess.run(
            [binaries() / "medcloud", "plan", "-f", path, "--state", folder / "nowhere"], capture_output=True, text=True, timeout=30)
        assert result.returncode in (3, 65), (value, result.stderr)
        if result.returncode == 65:
            assert f"{path}:" in result.stderr, result.stderr
        found.append(result.returncode == 3)
    return found


def test_the_schema_is_a_schema():
    """By its own meta-schema."""
    jsonschema.Draft7Validator.check_schema(SCHEMA)


def test_our_manifests_follow_the_schema_and_name_it(tmp_path):
    """Each begins with the comment that editors look for; all of them together are right by our own verdict."""
    files = sorted((REPOSITORY / "Tenants").glob("*.yaml"))
    assert len(files) >= 6
    for path in files:
        text = path.read_text()
        assert text.startswith("# yaml-language-server: $schema=./schema.json\n"), path
        VALIDATOR.validate(yaml.safe_load(text))
    kinds = [yaml.safe_load(path.read_text())["template"] for path in files]
    for kind, count in (("bureau", 1), ("hospital", 2), ("clinic", 1), ("pharmacy", 2)):
        assert kinds.count(kind) == count
    result = subprocess.run(
        [binaries() / "medcloud", "plan", "-f", REPOSITORY / "Tenants", "--state", tmp_path / "nowhere"],
        capture_output=True, text=True, timeout=30)
    assert result.returncode == 3, result.stderr


def test_a_clinic_is_ten_lines():
    """Comment included."""
    assert len((REPOSITORY / "Tenants" / "clinic-north.yaml").read_text().splitlines()) <= 10


@pytest.mark.parametrize("table, ours, schema", [
    (GOOD_ONES, True, True), (BAD_ONES, False, False), (BEYOND_A_SCHEMA, False, True)],
    ids=["good", "bad", "beyond a schema"])
def test_schema_and_verdict_agree(tmp_path, table, ours, schema):
    """What the schema refuses we refuse; what we take it takes; the difference is listed."""
    manifests = [manifest(members) for members in table]
    wrong = []
    for value, verdict in zip(manifests, verdicts(manifests, tmp_path)):
        if verdict is not ours:
            wrong.append(f"ours is {verdict}: {value}")
        if VALIDATOR.is_valid(value) is not schema:
            wrong.append(f"the schema's is {not schema}: {value}")
    assert not wrong, "\n".join(wrong)
