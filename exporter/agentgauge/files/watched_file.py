"""Files that a running process follows, and JSON files that one process writes and others notice."""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

from agentgauge.files.data_file import read_json
from agentgauge.forks import in_forked_children

log = logging.getLogger(__name__)

T = TypeVar("T")

Version = tuple[int, int, int]
"""What tells one version of a file from the next."""


def write_json(path: Path, document: Any) -> None:
    """Replace the file in one step, so that a reader never sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    temporary.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    temporary.replace(path)


def version_of(path: Path) -> Version | None:
    """What changes with every version of a file, at the cost of a ``stat``; None for a missing file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def json_reader(parse: Callable[[Any], T]) -> Callable[[Path], T]:
    """A ``read`` for WatchedFile: ``parse`` gets the decoded JSON, and raises ValueError if it has another shape."""
    return lambda path: parse(read_json(path))


class WatchedFile(Generic[T]):
    """What is in a file, read again whenever the file changes; one ``stat`` while it does not.

    ``read`` returns the content; it raises OSError or ValueError for a file that cannot be used. Such a file, and one
    that is missing, gives ``default``; with ``keeping_last``, it gives the last content that could be used. Either way
    each version that cannot be used is logged once, as a warning, and ``on_read`` is called once a version, with
    whether it can be used. Any thread may ask; while one reads a new version, the others wait for it.
    """

    def __init__(self, path: Path, read: Callable[[Path], T], default: T) -> None:
        self.path = path
        self._read = read
        self._default = default
        self._keeps_last = False
        self._on_read: Callable[[bool], object] = lambda _usable: None
        self._seen: Version | None = None
        self._value = default
        self._begin_unread()
        in_forked_children(self._begin_unread)

    @classmethod
    def keeping_last(
        cls, path: Path, read: Callable[[Path], T], on_read: Callable[[bool], object] = lambda _usable: None
    ) -> Self:
        """Watch a file whose last good version stays in force; raises what ``read`` raises for the first version."""
        seen = version_of(path)
        watched = cls(path, read, read(path))
        watched._seen, watched._keeps_last, watched._on_read = seen, True, on_read
        on_read(True)
        return watched

    def value(self) -> T:
        """The content now."""
        if version_of(self.path) != self._seen:
            with self._reading:
                version = version_of(self.path)
                if version != self._seen:
                    self._value = self._newest(missing=version is None)
                    self._seen = version
        return self._value

    def _begin_unread(self) -> None:
        self._reading = threading.RLock()  # not Lock: `on_read` may ask, too

    def _newest(self, *, missing: bool) -> T:
        if missing and not self._keeps_last:
            return self._default
        try:
            content = self._read(self.path)
            self._on_read(True)
            return content
        except (OSError, ValueError) as error:
            self._on_read(False)
            if self._keeps_last:
                log.warning("%s cannot be used, so its last good version stays in force: %s", self.path, error)
                return self._value
            log.warning("%s cannot be read (%s): it is ignored until it is fixed", self.path, error)
            return self._default
