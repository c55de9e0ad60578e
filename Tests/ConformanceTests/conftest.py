"""A tenant that holds, for every resource type, resources that match its search parameters and resources that do not."""

from __future__ import annotations

import dataclasses
import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from blackbox.definitions import Definitions, r4
from blackbox.fhir import batch
from blackbox.judge import Judge
from blackbox.region import Region, Tenant
from blackbox.samples import Samples


@dataclasses.dataclass
class Judged:
    """The stored resources by type, and what is needed to judge searches over them."""

    tenant: Tenant
    definitions: Definitions
    judge: Judge
    metadata: dict
    resources: dict[str, list[dict]]

    def declared(self) -> list[tuple[str, str, str]]:
        """(type, parameter, kind) of every search parameter the server declares."""
        return [
            (entry["type"], parameter["name"], parameter["type"])
            for entry in self.metadata["rest"][0]["resource"]
            for parameter in entry.get("searchParam", [])
        ]


@pytest.fixture(scope="session")
def judged(region: Region) -> Judged:
    """Stores the samples of every type in a tenant of their own."""
    tenant = region.create_tenant("conformance")
    definitions = r4()
    samples = Samples(definitions)
    metadata = tenant.fhir.get("metadata").json()
    resources: dict[str, list[dict]] = {}
    for type_name in definitions.resource_types:
        made = [
            samples.build(type_name, f"{flavour}{variant}", variant, flavour)
            for variant in range(samples.variants(type_name)) for flavour in "ab"
        ] + [samples.build(type_name, "bare", 0, "bare")]
        resources[type_name] = made
    # Audit events are the platform's own and cannot be written.
    every = [resource for name, made in resources.items() for resource in made if name != "AuditEvent"]

    def store(chunk: list[dict]) -> list[str]:
        entries = [
            {"resource": r, "request": {"method": "PUT", "url": f"{r['resourceType']}/{r['id']}"}} for r in chunk
        ]
        answer = tenant.fhir.send("POST", "", batch(entries))
        assert answer.status == 200, answer
        return [
            f"{r['resourceType']}/{r['id']}: {e['response']['status']} {json.dumps(e['response'].get('outcome'))}"
            for r, e in zip(chunk, answer.json()["entry"], strict=True)
            if not e["response"]["status"].startswith("201")
        ]

    with ThreadPoolExecutor(2) as pool:
        refused = [line for lines in pool.map(store, _chunks(every, 50)) for line in lines]
    assert not refused, f"{len(refused)} valid resources were refused:\n" + "\n".join(refused[:40])
    return Judged(tenant, definitions, Judge(definitions), metadata, {t: json.loads(json.dumps(r)) for t, r in resources.items()})


def _chunks(values: list, size: int):
    return [values[start:start + size] for start in range(0, len(values), size)]
