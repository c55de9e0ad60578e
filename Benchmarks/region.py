"""A region of its own for a benchmark: temporary state, free port, two hospitals, tokens."""

import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
BINARIES = pathlib.Path(os.environ.get("MEDCLOUD_BIN", ROOT / ".build" / "release"))
PG = pathlib.Path("/usr/lib/postgresql/15/bin")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Region:
    """Starts `medcloud up` on entry, stops it and removes its state on exit."""

    def __init__(self, keep: bool = False):
        self.keep = keep
        self.state = pathlib.Path(tempfile.mkdtemp(prefix="medcloud-bench-"))
        os.chmod(self.state, 0o755)
        self.port = free_port()
        self.process = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()
        if not self.keep:
            shutil.rmtree(self.state, ignore_errors=True)

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, timeout: float = 60) -> float:
        """Starts the region and returns the seconds until /readyz answered 200."""
        log = open(self.state.with_suffix(".log"), "ab")
        began = time.monotonic()
        self.process = subprocess.Popen(
            [BINARIES / "medcloud", "up", "--state", self.state, "--port", str(self.port), "--empty", "--no-compute"],
            stdout=log, stderr=log, start_new_session=True)
        while time.monotonic() - began < timeout:
            if self.process.poll() is not None:
                raise SystemExit(f"medcloud up ended with {self.process.returncode}; see {log.name}")
            try:
                with urllib.request.urlopen(self.base + "/readyz", timeout=1) as answer:
                    if answer.status == 200:
                        return time.monotonic() - began
            except (urllib.error.URLError, ConnectionError, TimeoutError, OSError):
                time.sleep(0.01)
        raise SystemExit("the region was not ready in time")

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(timeout=60)

    def cli(self, *words: str) -> str:
        return subprocess.run(
            [BINARIES / "medcloud", *words, "--state", self.state],
            check=True, capture_output=True, text=True).stdout

    def tenant(self, name: str):
        self.cli("tenant", "create", name, "--name", name, "--time-zone", "Europe/Berlin", "--language", "en")

    def token(self, tenant: str) -> str:
        return self.cli("token", "--tenant", tenant, "--client", f"{tenant}-system").strip()

    def fhir(self, tenant: str, path: str, token: str, method: str = "GET", body: bytes | None = None):
        request = urllib.request.Request(
            f"{self.base}/t/{tenant}/fhir{path}", data=body, method=method,
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/fhir+json"})
        with urllib.request.urlopen(request, timeout=300) as answer:
            return json.loads(answer.read() or b"null")

    def psql(self, database: str, sql: str, cluster: str = "cell-1") -> str:
        return subprocess.run(
            [*self.as_postgres(), PG / "psql", "-XAtq", "-h", self.state / "run" / cluster, "-U", "postgres",
             "-d", database, "-c", sql], check=True, capture_output=True, text=True).stdout.strip()

    def as_postgres(self) -> list[str]:
        if os.geteuid() != 0:
            return []
        return ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]

    def tenant_database(self) -> str:
        """The one tenant database that holds resources."""
        names = self.psql("postgres", r"select datname from pg_database where datname like 't\_%'").split()
        return max(names, key=lambda name: int(self.psql(name, "select count(*) from fhir.resource")))

    def pgbench(self, database: str, script: pathlib.Path, clients: int, seconds: int, mode: str = "prepared") -> float:
        """Transactions a second of `script`."""
        text = subprocess.run(
            [*self.as_postgres(), PG / "pgbench", "-n", "-M", mode, "-c", str(clients), "-j", "2",
             "-T", str(seconds), "-f", script, "-h", self.state / "run" / "cell-1", "-U", "postgres", database],
            check=True, capture_output=True, text=True).stdout
        for line in text.splitlines():
            if line.startswith("tps ="):
                return float(line.split()[2])
        raise SystemExit("pgbench printed no tps")

    def worker_rss_mb(self) -> list[float]:
        sizes = []
        for entry in pathlib.Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                command = (entry / "cmdline").read_bytes().split(b"\0")
                if not command[0].endswith(b"medcloudd") or str(self.state).encode() not in b" ".join(command):
                    if str(self.state).encode() not in (entry / "environ").read_bytes():
                        continue
                    if not command[0].endswith(b"medcloudd"):
                        continue
                for line in (entry / "status").read_text().splitlines():
                    if line.startswith("VmRSS"):
                        sizes.append(int(line.split()[1]) / 1024)
            except (OSError, IndexError):
                continue
        return sizes
