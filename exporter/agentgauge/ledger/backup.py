"""A ledger as one file, and back from it: the backup of a ledger in any database is a ledger in SQLite.

So it is read with the same code, moves between SQLite and PostgreSQL, and is checked as any ledger is.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import Connection, Table, func, select, text

from agentgauge.ledger.databases import LedgerError
from agentgauge.ledger.schema import FIGURES, META, REPLICAS, NewerSchemaError, check_is_known, tables
from agentgauge.ledger.store import Ledger

BATCH = 1000
"""Rows that are in memory at once."""

COPIED = tuple(table for table in tables.sorted_tables if table not in (FIGURES, REPLICAS))
"""All that a ledger keeps; where its replicas listen, and what they last read, is true only while they run."""


class BackupError(LedgerError):
    """A backup cannot be made or restored; the message says of which file, why, and what to do."""


def back_up(ledger: Ledger, file: Path) -> int:
    """Write all of a ledger, as it is at one moment, into a new file that only its owner can read; returns the rows.

    Agents may go on working with the ledger meanwhile. BackupError if the file exists or cannot be written, or if the
    ledger is of a later version, of which this one knows only a part.
    """
    if file.exists():
        raise BackupError(f"{file} exists already; name another file, so that no backup is lost")
    unfinished = file.with_name(f"{file.name}.unfinished")
    try:
        _remove(unfinished)
        with _opened(unfinished) as copy, ledger.reading() as source:
            _see_one_moment(source)
            check_is_known(source)
            rows = _copy(source, copy)
        _make_one_file(unfinished)
        unfinished.rename(file)
    except NewerSchemaError as error:
        raise BackupError(f"{file} was not written, it would lack a part of the ledger: {error}") from error
    except OSError as error:
        raise BackupError(f"{file} cannot be written: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            _remove(unfinished)
    return rows


def restore(file: Path, ledger: Ledger) -> int:
    """Put a backup into a ledger with nothing in it, all or none; returns the rows. The file stays as it is.

    Pseudonyms are those of the backup from then on, so agents that have this ledger open must be started again.
    BackupError if the file is not a backup of a ledger, or the ledger is not empty.
    """
    with _readable(file) as source, ledger.writing() as target:
        for table in COPIED:
            if table is not META and target.execute(select(func.count()).select_from(table)).scalar_one():
                raise BackupError(
                    f"{file} was not restored: the ledger has rows in {table.name}, and nothing is overwritten; "
                    "give the agent a new, empty ledger"
                )
        target.execute(META.delete())
        return _copy(source, target)


@contextlib.contextmanager
def _readable(file: Path) -> Iterator[Connection]:
    """A backup to read from: a copy, because opening a ledger of an older version changes it."""
    _check_is_ledger(file)
    with tempfile.TemporaryDirectory(prefix="agentgauge-restore-") as folder:
        copy = Path(folder) / "ledger.sqlite"
        try:
            shutil.copyfile(file, copy)
            opened = Ledger.open(f"sqlite:///{copy}")
        except OSError as error:
            raise BackupError(f"{file} cannot be copied to be read: {error.strerror or error}") from error
        except LedgerError as error:
            raise BackupError(f"{file} cannot be restored: {error.__cause__}") from error
        with contextlib.closing(opened), opened.reading() as connection:
            try:
                check_is_known(connection)
            except NewerSchemaError as error:
                raise BackupError(f"{file} cannot be restored: {error}") from error
            yield connection


def _check_is_ledger(file: Path) -> None:
    if not file.is_file():
        raise BackupError(f"there is no file {file}")
    try:
        with contextlib.closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as database:
            database.execute(f"SELECT value FROM {META.name}").close()  # noqa: S608 – a constant of the schema
    except sqlite3.Error as error:
        raise BackupError(f"{file} is not a backup of a ledger: {error}") from error


@contextlib.contextmanager
def _opened(file: Path) -> Iterator[Connection]:
    """A new ledger to fill, in one transaction."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.closing(Ledger.open(f"sqlite:///{file}")) as made, made.writing() as connection:
        connection.execute(META.delete())
        yield connection


def _remove(file: Path) -> None:
    """Remove what is left of a backup that did not come to its end, with what SQLite has beside it."""
    for suffix in ("", "-wal", "-shm"):
        file.with_name(file.name + suffix).unlink(missing_ok=True)


def _see_one_moment(connection: Connection) -> None:
    """Read every table as of now, whatever is written meanwhile; SQLite's transactions do so anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))


def _copy(source: Connection, target: Connection) -> int:
    return sum(_copy_table(table, source, target) for table in COPIED)


def _copy_table(table: Table, source: Connection, target: Connection) -> int:
    rows = 0
    with source.execute(select(table).execution_options(yield_per=BATCH)) as result:
        for batch in result.mappings().partitions():
            target.execute(table.insert(), [dict(row) for row in batch])
            rows += len(batch)
    return rows


def _make_one_file(file: Path) -> None:
    """Leave nothing beside the file, and have it on the disk before it gets its name."""
    with contextlib.closing(sqlite3.connect(file)) as database:
        database.execute("PRAGMA journal_mode = DELETE").close()
    with file.open("rb") as written:
        os.fsync(written.fileno())
