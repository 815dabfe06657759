"""A real PostgreSQL for tests and chaos: on a port of its own, gone at the end."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from stack import debian
from stack.errors import StackError
from stack.layout import Ports

INSTALLED = Path("/usr/lib/postgresql")
"""Where Debian and Ubuntu put the server's programs, off PATH."""

UNPRIVILEGED = "nobody"
"""Who runs the server when root starts it: PostgreSQL refuses root."""

LOOPBACK = "127.0.0.1"


def programs(home: Path, installed: Path = INSTALLED) -> Path:
    """The folder of initdb, pg_ctl and postgres: from PATH, installed, or unpacked into ``home`` from the packages.

    Raises StackError when there are none.
    """
    on_path = shutil.which("pg_ctl")
    if on_path and shutil.which("initdb") and shutil.which("postgres"):
        return Path(on_path).resolve().parent
    unpacked = home / "debian" / "usr" / "lib" / "postgresql"
    instead = "install PostgreSQL 13 or newer"
    with debian.one_at_a_time(home):
        if not _newest(installed) and not _newest(unpacked):
            debian.unpack(["postgresql"], home, lambda _text: None, instead=instead, with_dependencies=True)
    found = _newest(installed) or _newest(unpacked)
    if found is None:
        raise StackError("the package postgresql holds no server programs; install PostgreSQL 13 or newer")
    return found


class PostgresServer:
    """A server with nothing in it, on an ``address``; ``within`` is the command that enters its network, if need be."""

    def __init__(self, home: Path, folder: Path, installed: Path, address: str, within: Sequence[str]) -> None:
        self._home, self._folder, self._within = home, folder, tuple(within)
        self._tools = programs(home, installed)
        self._user = UNPRIVILEGED if os.geteuid() == 0 else None
        self._address, self._port = address, Ports.free().agent
        if self._user:
            shutil.chown(folder, self._user)

    @property
    def url(self) -> str:
        """The URL to append a database's name to."""
        return f"postgresql+psycopg://tests@{self._address}:{self._port}/"

    def start(self) -> None:
        """Make and start it; StackError if it does not start."""
        data = self._folder / "data"
        self._run("initdb", f"--pgdata={data}", "--username=tests", "--auth=trust", "--encoding=UTF8")
        if self._address != LOOPBACK:
            with (data / "pg_hba.conf").open("a", encoding="utf-8") as rules:
                rules.write("host all all samenet trust\n")
        # Nobody needs the data after a power cut; what is tested is a client that dies.
        options = f"-p {self._port} -c listen_addresses={self._address} -c unix_socket_directories= -c fsync=off"
        log = self._folder / "log"
        self._run("pg_ctl", "start", "-w", f"-D{data}", f"-o{options} -c jit=off", f"-l{log}")

    def restart(self) -> None:
        """End it as a crash does, and start it again."""
        self._run("pg_ctl", "restart", "-w", f"-D{self._folder / 'data'}", "-mimmediate", f"-l{self._folder / 'log'}")

    def stop(self) -> None:
        """End it as a crash does."""
        self._run("pg_ctl", "stop", "-w", f"-D{self._folder / 'data'}", "-mimmediate")

    def freeze(self, *, thaw: bool = False) -> None:
        """Stop all its processes where they are, or let them go on: connections stay open, and nothing answers."""
        server = int((self._folder / "data" / "postmaster.pid").read_text(encoding="ascii").split()[0])
        below = Path(f"/proc/{server}/task/{server}/children").read_text(encoding="ascii").split()
        for pid in (server, *map(int, below)):  # the server first: it starts others
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT if thaw else signal.SIGSTOP)

    def _run(self, program: str, *arguments: str) -> None:
        _run(self._tools, self._user, self._home, self._within, program, *arguments)


@contextmanager
def running(home: Path, installed: Path = INSTALLED) -> Iterator[str]:
    """A server on loopback; yields the URL to append a database's name to. StackError if it does not start."""
    with started(home, installed) as server:
        yield server.url


@contextmanager
def started(
    home: Path, installed: Path = INSTALLED, address: str = LOOPBACK, within: Sequence[str] = ()
) -> Iterator[PostgresServer]:
    """A server for as long as the block runs. StackError if it does not start."""
    folder = Path(tempfile.mkdtemp(prefix="agentgauge-postgresql-"))  # pytest's folders are closed to other users
    try:
        server = PostgresServer(home, folder, installed, address, within)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)


def _newest(folder: Path) -> Path | None:
    versions = sorted(folder.glob("*/bin/pg_ctl"), key=lambda program: int(program.parent.parent.name))
    return versions[-1].parent if versions else None


def _run(tools: Path, user: str | None, home: Path, within: Sequence[str], program: str, *arguments: str) -> None:
    unpacked = home.absolute() / "debian"
    libraries = [str(path) for lib in ("lib", "usr/lib") for path in (unpacked / lib).glob("*-linux-gnu*")]
    as_user = ["setpriv", f"--reuid={user}", f"--regid={pwd.getpwnam(user).pw_gid}", "--clear-groups"] if user else []
    with tempfile.TemporaryFile("w+") as said:  # a pipe would stay open in the server
        try:
            subprocess.run(
                [*within, *as_user, str(tools / program), *arguments],
                env=os.environ | {"LC_ALL": "C", "LD_LIBRARY_PATH": ":".join(libraries)},
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                check=True,
            )
        except (OSError, subprocess.CalledProcessError) as error:
            said.seek(0)
            raise StackError(
                f"PostgreSQL's {program} failed as user {user or 'of the tests'}: {error}\n{said.read()}"
            ) from None
