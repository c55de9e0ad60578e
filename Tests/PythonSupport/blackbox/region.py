"""A region of one's own: started from the built binaries in a temporary state, stopped and removed at the end."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import http.client
import json
import os
import pwd
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from pathlib import Path

from .fhir import Fhir
from .tokens import AccessToken, Client
from .web import Answer, Web

REPOSITORY = Path(__file__).resolve().parents[3]
PR_SET_PDEATHSIG = 1


def binaries() -> Path:
    """The folder of the executables: MEDCLOUD_BIN or the debug build."""
    return Path(os.environ.get("MEDCLOUD_BIN") or REPOSITORY / ".build" / "debug")


class Region:
    """One running `medcloud up`."""

    def __init__(self, *options: str, compute: bool = False, environment: dict[str, str] | None = None) -> None:
        """`options` are further words of `medcloud up`. A hypervisor of its own is for those who ask for it: it takes time."""
        self.environment = environment or {}
        chosen = compute or "--hypervisor" in options
        self.options = options if chosen else ("--no-compute", *options)
        self.state = Path(tempfile.mkdtemp(prefix="medcloud-test-"))
        self.state.chmod(0o755)
        self.state = self.state / "state"
        self.port = _free_port()
        self.origin = f"http://127.0.0.1:{self.port}"
        self.web = Web(self.origin)
        self.process: subprocess.Popen | None = None
        self.log = self.state.parent / "up.log"

    def start(self) -> None:
        """Starts the region and waits until it says it is ready."""
        _ensure_user("medcloud")
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [binaries() / "medcloud", "up", "--state", self.state, "--port", str(self.port), "--empty", *self.options],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/",
                env={**os.environ, **self.environment}, preexec_fn=_die_with_parent)
        self.wait_ready()

    @property
    def operator(self) -> Client:
        """The operator's client."""
        return Client(self.state / "operator.json")

    def api(self, method: str, path: str, body=None, **headers: str) -> Answer:
        """One call of the platform API as the operator."""
        token = self.operator_token
        sent = {"Authorization": f"Bearer {token}", "Idempotency-Key": str(uuid.uuid4())}
        if body is not None:
            sent["Content-Type"] = "application/json"
            body = json.dumps(body)
        return self.web.request(method, path, body, {**sent, **headers})

    @functools.cached_property
    def operator_token(self) -> AccessToken:
        """An access token of the operator, renewed as needed."""
        return AccessToken(self.web, self.operator)

    def wait_ready(self, seconds: float = 60) -> None:
        """Returns when /readyz answers 200 many times on connections of their own: every worker is ready."""
        def ready() -> bool:
            if self.process is not None and self.process.poll() is not None:
                raise AssertionError(f"medcloud up ended with {self.process.returncode}:\n{self.tail()}")
            try:
                for _ in range(8):
                    probe = Web(self.origin, timeout=2)
                    status = probe.request("GET", "/readyz").status
                    probe.close()
                    if status != 200:
                        return False
                return True
            except (OSError, http.client.HTTPException):
                return False
        assert until(ready, seconds), f"not ready after {seconds} s:\n{self.tail()}"

    def stop(self) -> None:
        """Stops the region as Ctrl-C would; kills it when that takes longer than 20 s."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                for pid in self.processes():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                self.process.kill()
                self.process.wait()
        self.process = None

    def remove(self) -> None:
        """Removes the state directory; keeps it when MEDCLOUD_KEEP is set."""
        if not os.environ.get("MEDCLOUD_KEEP"):
            shutil.rmtree(self.state.parent, ignore_errors=True)

    def crashes(self) -> list[str]:
        """What the runtime said of traps, by log file: a process that was killed from outside leaves nothing."""
        found = []
        for path in sorted((self.state / "logs").glob("*.log")):
            text = path.read_text(errors="replace")
            for match in re.finditer(r"^.*(?:Fatal error|\*\*\* (?:Signal|Program crashed)).*$", text, re.MULTILINE):
                found.append(f"{path.name}: {text[match.start():match.start() + 3000]}")
        return found

    def tail(self) -> str:
        """The last lines of the log of `medcloud up` and of the processes."""
        files = [self.log, *sorted((self.state / "logs").glob("*"))]
        return "\n".join(f"== {f}\n" + "\n".join(f.read_text(errors="replace").splitlines()[-20:]) for f in files if f.is_file())

    def run(self, *arguments: str, check: bool = True, timeout: float = 60) -> subprocess.CompletedProcess:
        """Runs one CLI command against this region."""
        result = subprocess.run(
            [binaries() / "medcloud", *arguments, "--state", str(self.state)], capture_output=True, text=True, timeout=timeout,
            cwd="/")
        assert not check or result.returncode == 0, f"{arguments} → {result.returncode}\n{result.stdout}\n{result.stderr}"
        return result

    def create_tenant(self, name: str) -> Tenant:
        """Makes a tenant by the CLI and opens it."""
        self.run("tenant", "create", name, "--name", f"Hospital {name}", "--time-zone", "Asia/Shanghai", "--language", "zh")
        return self.tenant(name)

    def create_bureau(self) -> str:
        """The name of the region's bureau; made by the first call."""
        name = "bureau"
        if self.api("GET", f"/v1/tenants/{name}").status == 404:
            self.run("tenant", "create", name, "--name", "Bureau", "--time-zone", "Asia/Shanghai", "--language", "zh", "--kind", "bureau")
        return name

    def psql_command(self, cluster: str, database: str) -> list[str]:
        """psql as superuser in one database of a cluster."""
        program = ["/usr/lib/postgresql/15/bin/psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", str(self.state / "run" / cluster), "-d", database]
        return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", *program] if os.getuid() == 0 else [*program, "-U", "postgres"]

    def psql(self, cluster: str, database: str, statement: str) -> str:
        """What one statement prints, as superuser."""
        result = subprocess.run([*self.psql_command(cluster, database), "-c", statement], capture_output=True, text=True, timeout=30, cwd="/")
        assert result.returncode == 0, f"{statement}\n{result.stderr}"
        return result.stdout

    def tenant(self, name: str) -> Tenant:
        """A tenant whose clients' keys lie in the state directory."""
        return Tenant(self, name)

    def rows(self, cluster: str, database: str, statement: str) -> list[list[str]]:
        """The rows of a statement that the superuser runs in the cluster `control` or `cell-1`."""
        return [line.split("|") for line in self.psql(cluster, database, statement).splitlines()]

    def workers(self) -> list[int]:
        """The process ids of the gateway workers."""
        return [pid for pid, command in self.processes().items() if command.split(" ")[0].endswith("/medcloudd")]

    def processes(self) -> dict[int, str]:
        """The command lines of the supervisor's children and theirs, by process id."""
        if self.process is None:
            return {}
        found: dict[int, str] = {}
        parents: dict[int, int] = {}
        commands: dict[int, str] = {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                parents[int(entry.name)] = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
                commands[int(entry.name)] = command
            except (OSError, IndexError, ValueError):
                continue
        wanted = {self.process.pid}
        while True:
            more = {pid for pid, parent in parents.items() if parent in wanted} - wanted
            if not more:
                break
            wanted |= more
        for pid in wanted - {self.process.pid}:
            found[pid] = commands[pid]
        return found


class Tenant:
    """One tenant of a region with its clients."""

    def __init__(self, region: Region, name: str) -> None:
        self.region, self.name = region, name
        folder = region.state / "clients" / name
        self.clients = {path.stem: Client(path) for path in sorted(folder.glob("*.json"))}
        assert self.clients, f"no client keys in {folder}"
        self.client = next(
            (c for c in self.clients.values() if "*.cruds" in c.scope), next(iter(self.clients.values())))
        self.path = f"/t/{name}/fhir"
        self.base = self.client.base
        self.token = AccessToken(region.web, self.client)
        self.fhir = Fhir(region.web, self.path, self.token)


def until(condition, seconds: float, pause: float = 0.02) -> bool:
    """Polls until the condition holds; false when it never did within the time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(pause)
    return bool(condition())


def _free_port() -> int:
    """A port that the kernel gives to no outgoing connection: while a region is down, whoever knocks at it would else get the
    very port that it is to listen on again, and even meet itself there.
    """
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.randrange(10_000, lowest)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def _die_with_parent() -> None:
    os.setpgid(0, 0)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _ensure_user(name: str) -> None:
    if os.getuid() != 0:
        return
    try:
        pwd.getpwnam(name)
    except KeyError:
        subprocess.run(["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", name], check=True)
