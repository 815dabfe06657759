"""A real PostgreSQL for the tests: on loopback, on a port of its own, gone at the end."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stack import debian
from stack.errors import StackError
from tests.ports import free_port

INSTALLED = Path("/usr/lib/postgresql")
"""Where Debian and Ubuntu put the server's programs, off PATH."""

UNPRIVILEGED = "nobody"
"""Who runs the server when root runs the tests: PostgreSQL refuses root."""


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


@contextmanager
def running(home: Path, installed: Path = INSTALLED) -> Iterator[str]:
    """A server with nothing in it; yields the URL to append a database's name to. StackError if it does not start."""
    folder = Path(tempfile.mkdtemp(prefix="agentgauge-postgresql-"))  # pytest's folders are closed to other users
    user = UNPRIVILEGED if os.geteuid() == 0 else None
    if user:
        shutil.chown(folder, user)
    data, port = folder / "data", free_port()
    # Nobody needs the data after a power cut; what is tested is a client that dies.
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off -c jit=off"
    try:
        tools = programs(home, installed)
        _run(tools, user, home, "initdb", f"--pgdata={data}", "--username=tests", "--auth=trust", "--encoding=UTF8")
        _run(tools, user, home, "pg_ctl", "start", "-w", f"-D{data}", f"-o{options}", f"-l{folder / 'log'}")
        try:
            yield f"postgresql+psycopg://tests@127.0.0.1:{port}/"
        finally:
            _run(tools, user, home, "pg_ctl", "stop", "-w", f"-D{data}", "-mimmediate")
    finally:
        shutil.rmtree(folder)


def _newest(folder: Path) -> Path | None:
    versions = sorted(folder.glob("*/bin/pg_ctl"), key=lambda program: int(program.parent.parent.name))
    return versions[-1].parent if versions else None


def _run(tools: Path, user: str | None, home: Path, program: str, *arguments: str) -> None:
    unpacked = home.absolute() / "debian"
    libraries = [str(path) for lib in ("lib", "usr/lib") for path in (unpacked / lib).glob("*-linux-gnu*")]
    with tempfile.TemporaryFile("w+") as said:  # a pipe would stay open in the server
        try:
            subprocess.run(
                [str(tools / program), *arguments],
                env=os.environ | {"LC_ALL": "C", "LD_LIBRARY_PATH": ":".join(libraries)},
                cwd="/",
                user=user,
                group=pwd.getpwnam(user).pw_gid if user else None,
                extra_groups=[] if user else None,
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
