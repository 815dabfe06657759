"""A real Redis for tests and chaos: on a port of its own, keeping nothing, gone at the end."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from stack import debian
from stack.errors import StackError
from stack.layout import Ports

READY = "Ready to accept connections"


def program(home: Path) -> Path:
    """redis-server: from PATH, or unpacked into a folder of ``home`` from the distribution's packages.

    Raises StackError when there is none.
    """
    if on_path := shutil.which("redis-server"):
        return Path(on_path)
    unpacked = home / "debian" / "usr" / "bin" / "redis-server"
    instead = "install Redis 6 or newer"
    with debian.one_at_a_time(home):
        if not unpacked.exists():
            debian.unpack(["redis-server"], home, lambda _text: None, instead=instead, with_dependencies=True)
    return unpacked


class RedisServer:
    """A server that can be stopped and started again at the same address; it forgets everything when it stops."""

    def __init__(self, home: Path, address: str = "127.0.0.1", within: Sequence[str] = ()) -> None:
        self._address, self._within = address, tuple(within)
        self._program = program(home)
        self._libraries = [str(path) for path in (home / "debian" / "usr" / "lib").glob("*-linux-gnu*")]
        self._port = Ports.free().agent
        self._process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        """Where it listens, or would."""
        return f"redis://{self._address}:{self._port}/0"

    def start(self) -> None:
        """Start it, and return when it answers."""
        options = ["--port", str(self._port), "--bind", self._address, "--save", "", "--appendonly", "no"]
        if self._address != "127.0.0.1":  # in a network of its own
            options += ["--protected-mode", "no"]
        self._process = subprocess.Popen(
            [*self._within, str(self._program), *options],
            env=os.environ | {"LD_LIBRARY_PATH": ":".join(self._libraries)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        said = []
        for line in self._process.stdout or ():
            said.append(line)
            if READY in line:
                return
        raise StackError(f"Redis did not start:\n{''.join(said)}")

    def stop(self) -> None:
        """End it, if it runs."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


@contextmanager
def running(home: Path, address: str = "127.0.0.1", within: Sequence[str] = ()) -> Iterator[RedisServer]:
    """A server with nothing in it, on an address; ``within`` is the command that enters its network, if need be."""
    server = RedisServer(home, address, within)
    server.start()
    try:
        yield server
    finally:
        server.stop()
