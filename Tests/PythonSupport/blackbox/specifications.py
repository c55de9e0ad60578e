"""Random specifications of tenants that follow every rule, and what may become of one by the next apply."""

from __future__ import annotations

import base64
import random
import struct

NAMES = ["Hospital One", "Клиника № 2", "北区诊所", "Spital \"Nord\" & Söhne", "it's: a # 'clinic'", "O"]
SCOPES = ["system/*.cruds", "system/Patient.rs", "system/*.rs system/Observation.c", "system/Patient.read"]
ZONES = ["UTC", "Europe/Berlin", "Asia/Shanghai", "America/Argentina/Buenos_Aires"]
MIB = 1 << 20


class Specifications:
    """A source of specifications; the same seed gives the same ones."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def tenant(self, name: str, slot: int, was: dict | None = None) -> dict:
        """What is asked for of a tenant whose networks lie in 10.(100 + slot); with `was`, something it may become."""
        draw = self._random
        kept = {i["name"]: i for i in (was or {}).get("instances", [])}
        instances = [self._instance(f"vm-{n}", kept.get(f"vm-{n}")) for n in range(4) if draw.random() < 0.5]
        networks = self._networks(slot, was, {i["network"] for i in [*instances, *kept.values()]})
        return {
            "id": name,
            # A partner has no records, so it stays one and nothing else becomes one.
            "kind": was["kind"] if was and (was["kind"] == "partner" or draw.random() < 0.7)
            else draw.choice(["hospital", "clinic", "pharmacy"] + ([] if was else ["partner"])),
            "name": draw.choice(NAMES), "timeZone": draw.choice(ZONES), "language": draw.choice(["de", "zh-Hans", "en", "sr-Latn-RS"]),
            "labels": {key: draw.choice(["", "north", "2", "A_b.c-d"]) for key in ("area", "tier", "x") if draw.random() < 0.5},
            "driftPolicy": draw.choice(["report", "repair"]),
            "quota": self._quota([was or {}, {"instances": instances, "networks": networks}]), "clients": self._clients(name, was),
            "networks": networks, "instances": instances,
        }

    def _networks(self, slot: int, was: dict | None, used: set[str]) -> list[dict]:
        draw = self._random
        before = {n["name"]: n for n in (was or {}).get("networks", [])}
        networks = []
        for number in range(4):
            name = f"net-{number}"
            if name in used and name in before:
                networks.append(before[name])
            elif name in used or draw.random() < 0.3:
                cidr = f"10.{100 + slot}.{64 * number + draw.choice([0, 16, 32])}.0/{draw.choice([20, 24, 26, 28])}"
                networks.append({"name": name, "cidr": cidr})
        draw.shuffle(networks)
        return networks

    def _instance(self, name: str, was: dict | None) -> dict:
        draw = self._random
        instance = {
            "name": name, "image": "probe", "vcpus": draw.randint(1, 4), "memory": f"{draw.choice([80, 96, 128, 1024])}MiB",
            "disk": f"{draw.choice([16, 32, 64])}MiB", "network": f"net-{draw.randrange(4)}"}
        if was is not None:
            instance["network"] = was["network"]
            instance["disk"] = max(instance["disk"], was["disk"], key=lambda text: int(text[:-3]))
        if draw.random() < 0.5:
            instance["sshKeys"] = [self._ssh_key() for _ in range(draw.randint(0, 3))]
        if draw.random() < 0.5:
            instance["running"] = draw.random() < 0.7
        if draw.random() < 0.6:
            instance["probe"] = draw.choice([
                {"tcp": {"port": draw.randint(1, 65535)}}, {"http": {"port": 80}}, {"http": {"port": 8080, "path": "/a/b?c=d&e=%20"}}])
        if draw.random() < 0.5:
            instance["probeDeadline"] = draw.randint(1, 3600)
        return instance

    def _ssh_key(self) -> str:
        kind = b"ssh-ed25519"
        body = struct.pack(">I", len(kind)) + kind + struct.pack(">I", 32) + self._random.randbytes(32)
        return " ".join(["ssh-ed25519", base64.b64encode(body).decode()] + self._random.choice([[], ["me@desk"], ["two words"]]))

    def _quota(self, things: list[dict]) -> dict:
        """Room for what comes beside what goes, which counts until it is gone. A dimension that is left out is nothing."""
        draw = self._random
        instances = [i for one in things for i in one.get("instances", [])]
        quota: dict[str, int | str] = {
            "instances": len(instances), "running": sum(i.get("running", True) for i in instances),
            "vcpus": sum(i["vcpus"] for i in instances), "networks": sum(len(one.get("networks", [])) for one in things)}
        quota = {key: value + draw.randrange(3) for key, value in quota.items()}
        for key, member in (("memory", "memory"), ("storage", "disk")):
            quota[key] = f"{sum(int(i[member][:-3]) for i in instances) + draw.randrange(3) * 512}MiB"
        return {key: value for key, value in quota.items() if value not in (0, "0MiB") or draw.random() < 0.5}

    def _clients(self, tenant: str, was: dict | None) -> list[dict]:
        draw = self._random
        before = {c["id"]: c for c in (was or {}).get("clients", [])}
        clients = []
        for number in range(3):
            name = f"{tenant}-client-{number}"
            if draw.random() < 0.5 and name not in before:
                continue
            client = {"id": name, "scopes": draw.choice(SCOPES)}
            realm = before[name].get("realm") if name in before else draw.choice([None, None, "tenant", "region"])
            if realm is not None:
                client["realm"] = realm
            if draw.random() < 0.7:
                client["name"] = draw.choice(NAMES)
            if realm != "region" and draw.random() < 0.3:
                client["kind"] = draw.choice(["system", "tenant-administrator"])
            if draw.random() < 0.3:
                client["origins"] = draw.sample(["https://a.example", "http://localhost:3000", "https://b.example:8443"], draw.randint(0, 2))
            if draw.random() < 0.3:
                client["keys"] = {"generate": True}
            if draw.random() < 0.2:
                client["disabled"] = draw.random() < 0.5
            clients.append(client)
        return clients
