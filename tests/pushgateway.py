"""A real Pushgateway for the tests: on loopback, on a port of its own, keeping nothing, gone at the end."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stack import debian
from stack.errors import StackError
from tests.ports import free_port

PACKAGE = "prometheus-pushgateway"
READY = "Listening on"


def program(home: Path) -> Path:
    """The Pushgateway: from PATH, or unpacked into a folder of ``home`` from the distribution's package.

    Raises StackError when there is none.
    """
    if on_path := shutil.which("pushgateway") or shutil.which(PACKAGE):
        return Path(on_path)
    unpacked = home / "debian" / "usr" / "bin" / PACKAGE
    with debian.one_at_a_time(home):
        if not unpacked.exists():
            debian.unpack([PACKAGE], home, lambda _text: None, instead="install Prometheus' Pushgateway")
    return unpacked


@contextmanager
def running(home: Path) -> Iterator[str]:
    """A server with nothing in it; yields its URL."""
    address = f"127.0.0.1:{free_port()}"
    with subprocess.Popen(
        [program(home), f"--web.listen-address={address}", "--persistence.file="],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stderr is not None
            said = []
            for line in process.stderr:
                said.append(line)
                if READY in line:
                    break
            else:
                raise StackError(f"the Pushgateway did not start:\n{''.join(said)}")
            yield f"http://{address}"
        finally:
            process.kill()
