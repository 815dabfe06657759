"""A Docker engine for the tests, from Debian's packages unpacked below ``.stack``: nothing is installed on the host.

It has its data, its sockets, its mounts and its process ids to itself, so that nothing is left when it ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from stack import debian
from stack.errors import StackError

NEWER = ["docker.io", "docker-cli", "docker-compose", "docker-buildx", "containerd"]
"""They run on an older Debian; what is bound to its C library comes from the release itself."""
OWN = ["runc", "tini", "iptables", "libip4tc2", "libip6tc2", "libxtables12", "libnftnl11", "libmnl0"]

LINKS = {
    "iptables": "sbin/xtables-nft-multi",
    "ip6tables": "sbin/xtables-nft-multi",
    "docker-init": "bin/tini-static",
}
"""What only an installation makes: the names by which dockerd asks for programs of these packages."""

UNSHARE = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
ALONE = ["setpriv", "--pdeathsig", "KILL", *UNSHARE]
"""Runs a command in namespaces of its own: what it mounted and started ends with it, and it ends with its parent."""
BUILD_ONLY = ["--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-forward=false"]
"""dockerd's options to leave the host's network as it is: builds use it, and no container runs."""
START_SECONDS = 300.0

SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 0x1


@dataclass(frozen=True)
class Engine:
    """Where the unpacked programs are, and what a running engine keeps."""

    home: Path

    @property
    def unpacked(self) -> list[Path]:
        """The root of each package."""
        return [*(self.home / "newer" / name for name in NEWER), self.home / "debian"]

    @property
    def environment(self) -> dict[str, str]:
        """What finds this engine, its client and Compose; the daemon's own settings too."""
        programs = [self.home / "bin", *(root / place for root in self.unpacked for place in ("usr/bin", "usr/sbin"))]
        libraries = self.home / "debian" / "usr" / "lib" / f"{os.uname().machine}-linux-gnu"
        return os.environ | {
            "PATH": os.pathsep.join([*map(str, programs), os.environ["PATH"]]),
            "DOCKER_HOST": f"unix://{self.home / 'run' / 'docker.sock'}",
            "DOCKER_CONFIG": str(self.home / "config"),
            "COMPOSE_BAKE": "false",  # which asks at the terminal before a build may use the host's network
            "LD_LIBRARY_PATH": str(libraries),
            "XTABLES_LIBDIR": str(libraries / "xtables"),
        }

    @property
    def log(self) -> Path:
        """What dockerd wrote at its latest run."""
        return self.home / "dockerd.log"

    @contextlib.contextmanager
    def running(self, *options: str, before: list[str] | None = None) -> Iterator[None]:
        """The engine, as long as the block runs; StackError with the end of its log if it does not start."""
        run = self.home / "run"
        shutil.rmtree(run, ignore_errors=True)
        run.mkdir(parents=True)
        places = [f"--data-root={self.home / 'data'}", f"--exec-root={run / 'exec'}", f"--pidfile={run / 'pid'}"]
        command = [*(before or []), "dockerd", *places, f"--host=unix://{run / 'docker.sock'}", *options]
        with self.log.open("wb") as log:
            process = subprocess.Popen(
                command, env=self.environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
            )
        try:
            self._wait(process)
            yield
        finally:
            _end(process)

    def docker(self, *arguments: str) -> str:
        """Run the client; its output. StackError with what it said if it fails."""
        done = subprocess.run(["docker", *arguments], env=self.environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise StackError(f"docker {arguments[0]} failed: {done.stderr.strip()[-2000:]}")
        return done.stdout.strip()

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and process.poll() is None:
            with contextlib.suppress(StackError):
                self.docker("version", "--format={{.Server.Version}}")
                return
            time.sleep(0.2)
        said = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-5:]
        raise StackError("dockerd did not start; the end of its log:\n" + "\n".join(said))


def obstacle() -> str:
    """Why no engine can be started here; empty if one can be tried."""
    if os.geteuid() != 0:
        return "dockerd needs root, and this is somebody else"
    missing = [name for name in ("apt-get", "dpkg-deb", "setpriv", "unshare") if not shutil.which(name)]
    if missing:
        return f"an engine is unpacked from Debian's packages, and {', '.join(missing)} is not on PATH"
    tried = subprocess.run([*ALONE, "--net", "true"], capture_output=True, text=True, check=False)
    return f"namespaces cannot be made here: {tried.stderr.strip()}" if tried.returncode else ""


def bring(home: Path) -> Engine:
    """Unpack what is missing of the engine into the folder; StackError if it cannot be had."""
    engine = Engine(home.absolute())
    with debian.one_at_a_time(home):
        missing = [name for name in NEWER if not (home / "newer" / name).exists()]
        if missing:
            debian.unpack_newer(missing, home, say)
        if not all((home / "debian" / "usr" / program).exists() for program in LINKS.values()):
            debian.unpack(OWN, home, say, instead="start a Docker engine")
    (home / "bin").mkdir(exist_ok=True)
    for name, program in LINKS.items():
        _link(home / "bin" / name, engine.home / "debian" / "usr" / program)
    for name in ("docker-compose", "docker-buildx"):
        plugin = engine.home / "newer" / name / "usr" / "libexec" / "docker" / "cli-plugins" / name
        _link(home / "config" / "cli-plugins" / name, plugin)
    return engine


def raise_loopback() -> None:
    """Set ``lo`` up, which a new network namespace has down."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        request = struct.pack("16sh14x", b"lo", 0)
        (flags,) = struct.unpack_from("h", fcntl.ioctl(asked, SIOCGIFFLAGS, request), 16)
        fcntl.ioctl(asked, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))


def run(*command: str) -> str:
    """Run a command that prepares something; its output. StackError, with the end of what it said, if it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise StackError(f"{command[0]} cannot be run: {error.strerror}") from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise StackError(f"{command[0]} failed with status {done.returncode}: {said[-1] if said else 'no message'}")
    return done.stdout


def say(text: str) -> None:
    """A line about what is waited for."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _link(link: Path, target: Path) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(target)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the daemon in its own way. In its own namespaces it is the only child of ``unshare``, which ends with it."""
    program = Path(f"/proc/{process.pid}")
    with contextlib.suppress(OSError):
        is_behind = (program / "comm").read_text(encoding="ascii").strip() == UNSHARE[0]
        below = (program / "task" / str(process.pid) / "children").read_text(encoding="ascii").split()
        os.kill(int(below[0]) if is_behind and below else process.pid, signal.SIGTERM)
    try:
        process.wait(timeout=60)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
