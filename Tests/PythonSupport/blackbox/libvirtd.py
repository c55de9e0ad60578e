"""A libvirtd that is not the region's: in namespaces of its own, as on another machine, so that nothing here notices it."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path

from .region import until

#: The directories of libvirt that it sees its own of.
PLACES = {"etc": "/etc/libvirt", "lib": "/var/lib/libvirt", "cache": "/var/cache/libvirt", "log": "/var/log/libvirt"}

#: The first process in the namespaces. It waits, so that what libvirtd leaves behind is reaped.
START = f"""set -e
mount --make-rprivate /
mount -t tmpfs tmpfs /run
mount -t sysfs sysfs /sys
hostname other
ip link set lo up
if [ -e /dev/kvm ]; then mount --bind /dev/null /dev/kvm; fi
{chr(10).join(f'mkdir -p {place} && mount --bind "$1/{name}" {place}' for name, place in PLACES.items())}
shift
libvirtd "$@" &
wait
"""

#: Joins a socket that listens outside to a port of the inside, where it runs. Each connection is two threads.
RELAY = """
import socket, sys, threading

def copy(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass
    for end in (source, target):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

listener = socket.socket(fileno=int(sys.argv[1]))
while True:
    client, _ = listener.accept()
    server = socket.create_connection(("127.0.0.1", int(sys.argv[2])))
    for pair in ((client, server), (server, client)):
        threading.Thread(target=copy, args=pair, daemon=True).start()
"""


class Libvirtd:
    """Reached by its Unix socket, and with `tls` by TCP from this machine too, for holders of a certificate of its CA."""

    def __init__(self, tls: bool = False) -> None:
        # Short: the path of a Unix socket has 107 bytes at most. Open: the controller runs as a user of its own.
        self.folder = Path(tempfile.mkdtemp(prefix="libvirtd-", dir="/tmp"))
        self.folder.chmod(0o755)
        for name in (*PLACES, "run", "lib/medcloud-images"):
            (self.folder / name).mkdir()
        self.images = self.folder / "lib/medcloud-images"
        self.instances = self.folder / "lib/medcloud-instances"
        settings = {
            "unix_sock_dir": f'"{self.folder}/run"', "unix_sock_rw_perms": '"0777"', "auth_unix_rw": '"none"',
            "unix_sock_group": '"root"', "host_uuid": f'"{uuid.uuid4()}"', "log_outputs": '"3:stderr"', "listen_tls": 0,
        }
        self.processes: list[subprocess.Popen] = []
        self.listener: socket.socket | None = None
        if tls:
            self._make_certificates()
            settings |= {
                "listen_tls": 1, "listen_addr": '"127.0.0.1"', "ca_file": f'"{self.folder}/server/cacert.pem"',
                "cert_file": f'"{self.folder}/server/cert.pem"', "key_file": f'"{self.folder}/server/key.pem"',
            }
        (self.folder / "etc/libvirtd.conf").write_text("".join(f"{name} = {value}\n" for name, value in settings.items()))
        (self.folder / "etc/qemu.conf").write_text(
            'user = "root"\ngroup = "root"\nsecurity_driver = "none"\nstdio_handler = "file"\n'
            "namespaces = []\ncgroup_controllers = []\n")
        with (self.folder / "libvirtd.log").open("wb") as log:
            namespaces = ["--mount", "--net", "--uts", "--ipc", "--pid", "--fork", "--kill-child=KILL", "--mount-proc"]
            words = ["unshare", *namespaces, "sh", "-c", START, "sh", self.folder, *(["--listen"] if tls else [])]
            self.processes.append(subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log))
        assert until(self._answers, 60), self.log()
        if tls:
            self._relay()

    @property
    def unix_uri(self) -> str:
        """By its Unix socket."""
        return f"qemu+unix:///system?socket={self.folder}/run/libvirt-sock"

    def tls_uri(self, client: str = "client") -> str:
        """By TLS, with the certificate in that folder: `client` is one of its CA, `stranger` is not."""
        assert self.listener is not None
        return f"qemu+tls://127.0.0.1:{self.listener.getsockname()[1]}/system?pkipath={self.folder}/{client}"

    def log(self) -> str:
        """What it said."""
        return (self.folder / "libvirtd.log").read_text(errors="replace")

    def domains(self) -> list[str]:
        """Names of the domains that it keeps."""
        return sorted(p.stem for p in (self.folder / "etc/qemu").glob("*.xml"))

    def stop(self) -> None:
        """Ends it with everything that runs in it, and removes its files."""
        if self.listener is not None:
            self.listener.close()
        for process in self.processes:
            process.kill()
            process.wait()
        shutil.rmtree(self.folder)

    def _answers(self) -> bool:
        assert self.processes[0].poll() is None, self.log()
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(f"{self.folder}/run/libvirt-sock") == 0

    def _relay(self) -> None:
        """Makes its port for TLS reachable from here: its network is another one."""
        self.listener = socket.create_server(("127.0.0.1", 0))
        descriptor = self.listener.fileno()
        first = subprocess.run(
            ["ps", "--ppid", str(self.processes[0].pid), "-o", "pid="], capture_output=True, text=True, check=True).stdout.strip()
        words = ["nsenter", "--target", first, "--net", sys.executable, "-c", RELAY, str(descriptor), "16514"]
        self.processes.append(subprocess.Popen(words, pass_fds=[descriptor], stdin=subprocess.DEVNULL))

    def _make_certificates(self) -> None:
        """A CA with a certificate for the server and one for a client, and another CA with one for a stranger."""
        for ca in ("ca", "other-ca"):
            folder = self.folder / ca
            folder.mkdir()
            self._openssl(
                "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
                f"/CN={ca}", "-addext", "keyUsage=critical,keyCertSign", "-keyout", folder / "key.pem", "-out", folder / "cert.pem")
        for name, ca, usage, file in (
            ("server", "ca", "serverAuth", ""), ("client", "ca", "clientAuth", "client"),
            ("stranger", "other-ca", "clientAuth", "client"),
        ):
            folder = self.folder / name
            folder.mkdir()
            (folder / "extensions").write_text(
                "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature,keyEncipherment\n"
                f"extendedKeyUsage={usage}\nsubjectAltName=IP:127.0.0.1\n")
            key, certificate = folder / f"{file}key.pem", folder / f"{file}cert.pem"
            self._openssl(
                "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
                "-keyout", key, "-out", folder / "request.pem")
            self._openssl(
                "x509", "-req", "-days", "2", "-in", folder / "request.pem", "-CA", self.folder / ca / "cert.pem", "-CAkey",
                self.folder / ca / "key.pem", "-extfile", folder / "extensions", "-out", certificate)
            # Of the server's CA also for the stranger, who is to fail by its own certificate.
            shutil.copy(self.folder / "ca/cert.pem", folder / "cacert.pem")
            # The controller is another user.
            key.chmod(0o644)

    @staticmethod
    def _openssl(*words: str | Path) -> None:
        subprocess.run(["openssl", *words], check=True, capture_output=True)
