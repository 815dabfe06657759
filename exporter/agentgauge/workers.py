"""Several worker processes that share their metrics in PROMETHEUS_MULTIPROC_DIR, and one port to show them on."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path
from typing import IO

from prometheus_client.multiprocess import mark_process_dead

_LIVE_GAUGES = re.compile(r"gauge_live\w+_(\d+)\.db")


def folder() -> Path | None:
    """Where the workers share their metrics; None for a process that works alone."""
    path = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    return Path(path) if path else None


def folder_for(port: int) -> Path | None:
    """Where the workers share their metrics, if they can listen on this port together; port 0 is a free one of each."""
    return folder() if port and hasattr(socket, "SO_REUSEPORT") else None


def sweep(shared: Path) -> None:
    """Delete what dead processes say about now, as their open sessions; what they counted stays, as it did happen.

    The workers must see each other's processes: one container, not one each.
    """
    pids = {int(match[1]) for path in shared.iterdir() if (match := _LIVE_GAUGES.fullmatch(path.name))}
    for pid in pids:
        if not _is_alive(pid):
            mark_process_dead(pid, str(shared))  # type: ignore[no-untyped-call]  # prometheus_client leaves it untyped


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it is there, and another user's
        return True
    return True


class SharedPort:
    """The right of this folder's workers to listen on one port together; the kernel gives each scrape to one of them.

    The first worker looks whether anybody else listens there; the others come to it, also after it died.
    """

    def __init__(self, shared: Path, address: str, port: int) -> None:
        """Raises OSError with EADDRINUSE when a program other than these workers listens on the port."""
        import fcntl  # not on Windows, where workers cannot share a port

        self._lock: IO[str] = (shared / f"port_{port}.lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pass  # another worker listens, or is about to
        else:
            try:
                with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as alone:
                    alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    alone.bind((address, port))
            except OSError:
                self._lock.close()
                raise
        fcntl.flock(self._lock, fcntl.LOCK_SH)

    def close(self) -> None:
        """Give it up, as a process that ends does by itself."""
        self._lock.close()
