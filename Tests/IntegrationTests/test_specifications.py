"""Whatever a region is asked for by manifests: once applied, there is nothing left to do."""

from __future__ import annotations

import json
import os
import random
import time

import pytest

from blackbox.control import Control
from blackbox.region import Region
from blackbox.specifications import Specifications

#: Tenants at a time.
SLOTS = 6


@pytest.fixture(scope="module")
def simulated():
    """A region whose machines are simulated, with nothing in it."""
    running = Region("--hypervisor", "test:///default")
    try:
        running.start()
        yield running
        assert not running.crashes()
    finally:
        running.stop()
        running.remove()


def test_applied_twice_is_nothing_to_do(simulated, tmp_path, pytestconfig):
    """Tenants appear, change in every way that a manifest can ask for, and go. Each round is six specifications: five rounds in
    the short form, fifty in the long."""
    seed = int(os.environ.get("MEDCLOUD_SEED") or random.randrange(1 << 32))
    print(f"seed {seed}: repeat with MEDCLOUD_SEED={seed}")
    source, draw = Specifications(seed), random.Random(seed)
    control = Control(simulated)
    region: dict[int, dict] = {}
    places = dict.fromkeys(range(SLOTS), 0)
    changed = applied = 0
    began = time.monotonic()
    for number in range(50 if pytestconfig.getoption("--long") else 5):
        for slot in range(SLOTS):
            was = region.get(slot)
            if was is not None and draw.random() < 0.15:
                # Another tenant in its place, with other addresses: those of a network that goes are not free yet.
                was = None
                places[slot] = SLOTS - places[slot]
            region[slot] = source.tenant(was["id"] if was else f"s{slot}-{number}", slot + places[slot], was)
        for path in tmp_path.iterdir():
            path.unlink()
        for specification in region.values():
            (tmp_path / f"{specification['id']}.yaml").write_text(json.dumps(specification, ensure_ascii=False))
        words = ["-f", str(tmp_path), "--prune"]
        plan = simulated.run("plan", *words, "-o", "json", check=False)
        assert plan.returncode in (0, 2), f"seed {seed}, round {number}: {plan.stderr}"
        changed += len(json.loads(plan.stdout)["changes"])
        done = simulated.run("apply", *words, "--allow-replace", "--allow-delete", "--yes", check=False, timeout=180)
        assert done.returncode == 0, f"seed {seed}, round {number}: {done.stderr}\n{simulated.tail()}"
        applied += len(region)
        for verb in ("plan", "diff"):
            again = simulated.run(verb, *words, check=False)
            assert again.returncode == 0, f"seed {seed}, round {number}: {verb} → {again.returncode}\n{again.stdout}{again.stderr}"
        assert "Nothing to do" in simulated.run("apply", *words, "--yes").stderr
        assert control.sql("select * from control.recount()") == ""
        assert control.orphans() == []
    print(f"{applied} specifications, {changed} changes in {time.monotonic() - began:.0f} s")
