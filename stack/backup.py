"""All that a stack keeps, in one file: what the agent's and the pager's folder hold, and Prometheus' data.

A stack that runs is asked for a snapshot; of one that does not, the files are what there is.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import requests

from agentgauge.ledger import Ledger, LedgerError
from agentgauge.ledger.backup import back_up as back_up_ledger
from stack.errors import StackError
from stack.layout import Layout

STATE, DATA = "state", "prometheus"
"""The folders in the archive, which are those of a stack."""
BESIDE_SQLITE = ("-wal", "-shm")
SNAPSHOT_SECONDS = 300

Say = Callable[[str], None]


def back_up(layout: Layout, file: Path, say: Say, *, running: bool) -> None:
    """Write the archive, which only its owner can read; ``running`` is whether the stack is.

    StackError if the file exists, something cannot be read, or Prometheus makes no snapshot.
    """
    if file.exists():
        raise StackError(f"{file} exists already; name another file, so that no backup is lost")
    if not layout.state.is_dir():
        raise StackError(f"there is nothing to back up: {layout.state} does not exist")
    unfinished = file.with_name(f"{file.name}.unfinished")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with (
            tempfile.TemporaryDirectory(prefix="agentgauge-backup-", dir=file.parent) as folder,
            _prometheus_data(layout, say, running) as data,
            os.fdopen(os.open(unfinished, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "wb") as target,
            tarfile.open(fileobj=target, mode="w") as archive,
        ):
            say("copying the ledger and what else the agent keeps")
            _copy_state(layout, Path(folder) / STATE)
            archive.add(Path(folder) / STATE, STATE)
            if data is not None:
                say("adding Prometheus' data")
                archive.add(data, DATA, filter=_without_lock)
        unfinished.rename(file)
    except (OSError, LedgerError) as error:
        raise StackError(f"{file} cannot be written: {error}") from error
    finally:
        unfinished.unlink(missing_ok=True)


def restore(layout: Layout, file: Path) -> None:
    """Put an archive into the folder of a stack that has no data; StackError if it has, or this is not an archive."""
    for folder in (layout.state, layout.folder / DATA):
        if folder.exists() and any(folder.iterdir()):
            raise StackError(f"{folder} is not empty, and nothing is overwritten; move it away first")
    layout.folder.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(file) as archive, tempfile.TemporaryDirectory(dir=layout.folder) as unpacked:
            archive.extractall(unpacked, filter="data")
            if not (Path(unpacked) / STATE).is_dir():
                raise StackError(f"{file} is not a backup of a stack: it has no folder {STATE}")
            for name in (STATE, DATA):
                if (Path(unpacked) / name).is_dir():
                    shutil.rmtree(layout.folder / name, ignore_errors=True)
                    (Path(unpacked) / name).rename(layout.folder / name)
    except (OSError, tarfile.TarError) as error:
        raise StackError(f"{file} cannot be restored: {error}") from error


def _copy_state(layout: Layout, target: Path) -> None:
    """The folder of state; databases as of one moment, because processes may be writing into them."""
    databases = sorted(layout.state.rglob("*.sqlite"))
    beside = [f"{database.name}{suffix}" for database in databases for suffix in ("", *BESIDE_SQLITE)]
    shutil.copytree(layout.state, target, ignore=shutil.ignore_patterns(*beside, "*.sock", "*.lock"))
    for database in databases:
        copy = target / database.relative_to(layout.state)
        if database == layout.ledger:
            with contextlib.closing(Ledger.open(f"sqlite:///{database}")) as ledger:
                back_up_ledger(ledger, copy)
        else:
            _copy_database(database, copy)


def _copy_database(database: Path, copy: Path) -> None:
    copy.touch(mode=0o600)
    with contextlib.closing(sqlite3.connect(database)) as source, contextlib.closing(sqlite3.connect(copy)) as target:
        source.backup(target)


@contextlib.contextmanager
def _prometheus_data(layout: Layout, say: Say, running: bool) -> Iterator[Path | None]:
    """The folder to take Prometheus' data from, None without any; a snapshot is removed at the end."""
    data = layout.folder / DATA
    if not running:
        yield data if data.is_dir() else None
        return
    say("asking Prometheus for a snapshot")
    snapshot = data / "snapshots" / _snapshot(layout)
    try:
        yield snapshot
    finally:
        shutil.rmtree(snapshot, ignore_errors=True)


def _snapshot(layout: Layout) -> str:
    """The name of a new snapshot."""
    try:
        answer = requests.post(f"{layout.prometheus}/api/v1/admin/tsdb/snapshot", timeout=SNAPSHOT_SECONDS)
        said = answer.json()
    except (requests.RequestException, ValueError) as error:
        raise StackError(f"Prometheus at {layout.prometheus} made no snapshot: {error}") from error
    if said.get("status") != "success":
        raise StackError(
            f"Prometheus made no snapshot: {said.get('error')}. Stop the stack first (python -m stack down), or start "
            "it with `make up NATIVE=1 SNAPSHOTS=1`; any program of this machine can delete series then"
        )
    return str(said["data"]["name"])


def _without_lock(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    name = Path(entry.name).name
    return None if name in ("lock", "snapshots", "queries.active") else entry
