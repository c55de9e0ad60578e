"""One region for all black-box suites of a pytest process."""

from __future__ import annotations

import itertools
import shutil
import subprocess
import pytest

from blackbox.region import Region, Tenant

def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="the long form of the suites that have one")


@pytest.fixture(scope="session")
def region():
    """A running region with nothing in it."""
    running = Region()
    try:
        running.start()
        yield running
        crashes = running.crashes()
        assert not crashes, f"{len(crashes)} traps:\n" + "\n".join(crashes[:3])
    finally:
        running.stop()
        running.remove()


@pytest.fixture(scope="session")
def h1(region: Region) -> Tenant:
    """The first hospital."""
    return region.create_tenant("h1")


@pytest.fixture(scope="session")
def h2(region: Region) -> Tenant:
    """The second hospital."""
    return region.create_tenant("h2")


@pytest.fixture(scope="session")
def new_tenant(region: Region):
    """Makes a tenant that no other test uses."""
    numbers = itertools.count(1)
    return lambda: region.create_tenant(f"own-{next(numbers)}")


@pytest.fixture(scope="session")
def curl() -> str:
    """The path of curl."""
    path = shutil.which("curl")
    if path is None:
        pytest.skip("curl is not installed")
    subprocess.run([path, "--version"], check=True, capture_output=True)
    return path
