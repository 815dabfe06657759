"""Show changes as a unified diff, and write them: all, or none."""

from __future__ import annotations

import contextlib
import difflib
import errno
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from agentgauge.starting.plan import Change


class WriteError(Exception):
    """Nothing was written; the message says why, and what to do."""


def diff(changes: Iterable[Change]) -> str:
    """What would change, for people to read: line ends and byte order marks are not shown."""
    return "".join(_of_file(change) for change in changes)


def changed_in_git(root: Path, changes: Iterable[Change]) -> list[PurePosixPath]:
    """Those of the files to change that git tracks and that differ from its last commit; none without git."""
    paths = [change.path for change in changes if change.before is not None]
    if not paths:
        return []
    command = ["git", "-C", str(root), "status", "--porcelain", "-z", "--untracked-files=no", "--", *map(str, paths)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return []
    if done.returncode != 0:
        return []
    entries = [entry[3:] for entry in done.stdout.split("\0") if len(entry) > 3]
    return [path for path in paths if any(entry == str(path) or entry.endswith(f"/{path}") for entry in entries)]


def write(root: Path, changes: Sequence[Change]) -> None:
    """Write all files; raises WriteError, and leaves every file as it was, if one has changed or cannot be written."""
    for change in changes:
        if _now(root / change.path) != change.before:
            raise WriteError(f"{change.path} has changed since it was read; run this again")
    done: list[Change] = []
    folders: list[Path] = []
    try:
        for change in changes:
            path = root / change.path
            folders += [folder for folder in reversed((path.parent, *path.parent.parents)) if not folder.exists()]
            path.parent.mkdir(parents=True, exist_ok=True)
            _replace(path, change.after)
            done.append(change)
    except OSError as error:
        for change in done:
            _restore(root / change.path, change.before)
        for folder in reversed(folders):
            with contextlib.suppress(OSError):
                folder.rmdir()
        where = error.filename2 or error.filename or root
        raise WriteError(f"{where} cannot be written: {error.strerror}; nothing was changed") from None


def _of_file(change: Change) -> str:
    before, after = _lines(change.before), _lines(change.after)
    old = "/dev/null" if change.before is None else f"a/{change.path}"
    return "".join(f"{line}\n" for line in difflib.unified_diff(before, after, old, f"b/{change.path}", lineterm=""))


def _lines(data: bytes | None) -> list[str]:
    return (data or b"").decode("utf-8-sig", errors="replace").splitlines()


def _now(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise WriteError(f"{path} cannot be read: {error.strerror}") from None


def _replace(path: Path, data: bytes) -> None:
    """At once, with the rights that the file has; a link stays a link."""
    target = path.resolve()
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        if target.exists():
            if not os.access(target, os.W_OK):
                raise PermissionError(errno.EACCES, "it is read-only", str(target))
            shutil.copymode(target, name)
        else:
            Path(name).chmod(0o644)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _restore(path: Path, before: bytes | None) -> None:
    with contextlib.suppress(OSError):
        if before is None:
            path.unlink(missing_ok=True)
        else:
            _replace(path, before)
