"""Instances of a region as seen from outside: their processes, and the way in by SSH."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

from .region import Region, binaries


class Key:
    """A new pair of SSH keys in files."""

    def __init__(self, folder: Path, name: str) -> None:
        self.file = folder / name
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", self.file], check=True)
        self.public = self.file.with_suffix(".pub").read_text().strip()


class Shell:
    """SSH into an instance through `medcloud instance connect`, the way that docs/operations.md names."""

    def __init__(self, region: Region, tenant: str, instance: str, folder: Path) -> None:
        self.region, self.instance = region, instance
        self.known_hosts = folder / f"known-hosts-{instance}"
        self.proxy = f"{binaries()}/medcloud instance connect {instance} --tenant {tenant} --port 22 --state {region.state}"

    def run(self, key: Key, command: str, timeout: float = 600) -> subprocess.CompletedProcess:
        """Runs a command as the image's user. The first login learns the host's key; a changed one is refused."""
        options = {
            "ProxyCommand": self.proxy, "UserKnownHostsFile": self.known_hosts, "StrictHostKeyChecking": "accept-new",
            "IdentitiesOnly": "yes", "BatchMode": "yes", "ConnectTimeout": int(timeout), "LogLevel": "ERROR",
        }
        words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        return subprocess.run(
            ["ssh", "-F", "none", *words, "-i", key.file, f"debian@{self.instance}", command],
            capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL)

    def is_refused(self, key: Key) -> bool:
        """Whether that key is not let in."""
        result = self._login(key, "true")
        return result.returncode == 255 and "Permission denied" in result.stderr

    def _login(self, key: Key, command: str) -> subprocess.CompletedProcess:
        """Runs a command; tries again for ten minutes where SSH itself gives up, as it does on a host that is short of time."""
        end = time.monotonic() + 600
        while True:
            result = self.run(key, command)
            if result.returncode != 255 or "Permission denied" in result.stderr or time.monotonic() > end:
                return result

    def output(self, key: Key, command: str) -> str:
        """What a command prints that must end well."""
        result = self._login(key, command)
        assert result.returncode == 0, f"{command}: {result.returncode}\n{result.stdout}\n{result.stderr}"
        return result.stdout.strip()


def processes(resource: str) -> list[int]:
    """The QEMU processes of the domain of that name."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            command = (entry / "cmdline").read_bytes() if entry.name.isdigit() else b""
        except OSError:
            continue
        if command.split(b"\0")[0].endswith(b"qemu-system-x86_64") and resource.encode() in command:
            found.append(int(entry.name))
    return found


def has_programs(*names: str) -> str | None:
    """The first program that is not installed."""
    return next((name for name in names if shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin") is None), None)
