"""The private hypervisor of a region from outside: its own files and processes, so that nothing here asks the product."""

from __future__ import annotations

import contextlib
import os
import shutil
import xml.etree.ElementTree as xml
from collections.abc import Iterator
from pathlib import Path

import pytest

from .control import Control
from .region import Region, until

#: What an instance has on the host's disk.
VOLUMES = ("qcow2", "seed", "log")


@contextlib.contextmanager
def region_with_machines() -> Iterator[Region]:
    """A region with a hypervisor of its own and the small image; skips where guests cannot run."""
    if os.geteuid() != 0:
        pytest.skip("guests need root")
    if shutil.which("qemu-system-x86_64") is None:
        pytest.skip("QEMU is not installed")
    region = Region(compute=True)
    try:
        region.start()
        region.run("image", "build", "probe", timeout=300)
        images = lambda: [i["name"] for i in region.api("GET", "/v1/images").json()["items"]]
        assert until(lambda: "probe" in images(), 120), region.tail()
        yield region
        assert not region.crashes()
    finally:
        region.stop()
        region.remove()


class Host:
    """What the private hypervisor of a region holds."""

    def __init__(self, region: Region) -> None:
        self._region, self._state = region, region.state

    def _definitions(self, folder: str) -> dict[str, xml.Element]:
        found = {}
        for path in (self._state / "hypervisor" / "etc" / folder).glob("[in]-*.xml"):
            # It may go while we look.
            with contextlib.suppress(FileNotFoundError):
                found[path.stem] = xml.parse(path).getroot()
        return found

    def domains(self) -> set[str]:
        """Names of the domains that are defined."""
        return set(self._definitions("qemu"))

    def networks(self) -> set[str]:
        """Names of the networks that are defined."""
        return set(self._definitions("qemu/networks"))

    def reservations(self) -> set[tuple[str, str, str]]:
        """Network, MAC and address of each reservation of DHCP."""
        return {(name, host.get("mac"), host.get("ip"))
                for name, network in self._definitions("qemu/networks").items() for host in network.findall("ip/dhcp/host")}

    def files(self) -> set[str]:
        """Names of the files of instances."""
        return {path.name for path in (self._state / "instances").iterdir()}

    def _qemus(self) -> dict[str, int]:
        # libvirt keeps a log of each domain that ever ran.
        ours = {path.stem for path in (self._state / "hypervisor" / "log" / "qemu").glob("i-*.log")}
        running = {word.split(",")[0].removeprefix("guest="): pid for pid, words in processes("qemu-system-x86_64")
                   for word in words if word.startswith("guest=")}
        return {name: pid for name, pid in running.items() if name in ours}

    def guests(self) -> set[str]:
        """Names of this region's domains that a QEMU process runs."""
        return set(self._qemus())

    def guest_pids(self) -> set[int]:
        """Ids of those processes."""
        return set(self._qemus().values())

    def servers(self) -> set[str]:
        """Names of the networks that a DHCP server runs for; of this region's supervisor, so of this region."""
        children = self._region.processes()
        return {Path(word).stem for pid, words in processes("dnsmasq") if pid in children for word in words
                if word.startswith("--conf-file=")}


def processes(program: str) -> Iterator[tuple[int, list[str]]]:
    """Process id and command line of all processes of a program."""
    for folder in Path("/proc").iterdir():
        # It may go while we look.
        with contextlib.suppress(OSError):
            words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0") if folder.name.isdigit() else [""]
            if Path(words[0]).name == program:
                yield int(folder.name), words


def differences(control: Control, host: Host) -> list[str]:
    """Where the host or the ledger differs from what the rows of the control database ask for; empty is as specified."""
    def rows(statement: str) -> set[tuple[str, ...]]:
        return {tuple(line.split("|")) for line in control.sql(statement).splitlines()}

    instances = rows(
        "select i.resource, n.resource, i.mac, host(i.address), i.running and i.state <> 'failed'"
        " from control.instance i join control.network n on n.id = i.network")
    names = {row[0] for row in instances}
    networks = {row[0] for row in rows("select resource from control.network")}
    wanted: dict[str, tuple[set, set]] = {
        "domains": (names, host.domains()),
        "guests": ({row[0] for row in instances if row[4] == "t"}, host.guests()),
        "files": ({f"{name}.{use}" for name in names for use in VOLUMES}, host.files()),
        "networks": (networks, host.networks()),
        "DHCP servers": (networks, host.servers()),
        "DHCP reservations": ({(row[1], row[2], row[3]) for row in instances}, host.reservations()),
        "holders of quota": (
            rows("select id from control.instance union select id from control.network"),
            rows("select distinct holder from control.reservation")),
        "quota": (
            rows("select tenant, count(*), sum(running::integer), sum(vcpus), sum(memory), sum(disk) from control.instance group by tenant"),
            rows("select tenant, max(used) filter (where dimension = 'instances'), max(used) filter (where dimension = 'running'),"
                 " max(used) filter (where dimension = 'vcpus'), max(used) filter (where dimension = 'memory'),"
                 " max(used) filter (where dimension = 'storage') from control.quota group by tenant having max(used) filter"
                 " (where dimension = 'instances') > 0")),
        "ledger and recount": (set(), rows("select * from control.recount()")),
        "open operations": (set(), rows("select id, kind, phase from control.operation where ended_at is null")),
    }
    return [f"{what}: {sorted(asked ^ found)}" for what, (asked, found) in wanted.items() if asked != found]
