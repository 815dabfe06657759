"""Small JSON files in the state folder that one process writes and running processes notice."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, TypeVar

log = logging.getLogger(__name__)

T = TypeVar("T")


def state_directory() -> Path:
    """The folder that the processes of the demo share: AGENTGAUGE_STATE, or ``.stack/state`` here."""
    return Path(os.environ.get("AGENTGAUGE_STATE") or Path(".stack", "state"))


def write_json(path: Path, document: Any) -> None:
    """Replace the file in one step, so that a reader never sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    temporary.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    temporary.replace(path)


def version_of(path: Path) -> tuple[int, int, int] | None:
    """What tells one version of a file from the next, at the cost of a ``stat``; None if there is no such file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


class WatchedFile(Generic[T]):
    """The parsed content of a JSON file, read anew whenever the file changes; one ``stat`` while it does not.

    ``parse`` gets the decoded document and raises ValueError if it has another shape. A file that is missing, or
    that cannot be read, gives ``default``; the latter with one warning for each version of the file.
    """

    def __init__(self, path: Path, parse: Callable[[Any], T], default: T) -> None:
        self.path = path
        self._parse = parse
        self._default = default
        self._seen: tuple[int, int, int] | None = None
        self._value = default

    def value(self) -> T:
        """The content now."""
        version = version_of(self.path)
        if version != self._seen:
            self._value = self._default if version is None else self._read()
            self._seen = version
        return self._value

    def _read(self) -> T:
        try:
            return self._parse(json.loads(self.path.read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            log.warning("%s cannot be read (%s): it is as if it were not there", self.path, error)
            return self._default
