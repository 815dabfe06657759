"""The databases that a ledger can be in: a file of SQLite, or PostgreSQL."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from sqlalchemy import URL, Connection, NullPool, create_engine, event
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from agentgauge.forks import around_forks, in_forked_children

WAIT_SECONDS = 5
"""How long to wait for another writer's lock, or for the database to answer a connection."""
MOMENT_SECONDS = 0.5
"""How long to wait for a lock for which somebody waited in vain."""
MOST_KEPT = 4
"""How many unused connections to a file of SQLite stay open."""


class FileState(NamedTuple):
    """Which file it is, which its WAL, and whether the file may be written to."""

    file: tuple[int, int] | None
    wal: tuple[int, int] | None
    is_writable: bool


class LedgerError(Exception):
    """The ledger cannot be opened; the message says which one, why, and what to do. It never holds the password."""


class Database(Protocol):
    """Transactions on one database; errors are SQLAlchemy's."""

    @property
    def dialect(self) -> str:
        """``sqlite`` or ``postgresql``."""

    def writing(self) -> AbstractContextManager[Connection]:
        """A transaction that may write: committed at the end of the ``with``, rolled back if it raises."""

    def reading(self) -> AbstractContextManager[Connection]:
        """A transaction that only reads, and so never waits for a writer."""

    def close(self) -> None:
        """Close the connections that wait for use; the next transaction opens a new one."""


def open_database(url: URL) -> Database:
    """The database behind a URL. Raises LedgerError if there is no such kind, or its file or driver is missing."""
    try:
        if url.get_backend_name() == "sqlite":
            return SqliteFile(url)
        if url.get_backend_name() == "postgresql":
            return PostgresqlServer(url)
    except ModuleNotFoundError as error:
        raise LedgerError(
            f"the ledger {shown(url)} needs {error.name}, which is not installed; "
            'pip install "agentgauge[postgresql]" brings psycopg, for postgresql+psycopg://…'
        ) from None
    except OSError as error:
        raise LedgerError(f"the ledger {shown(url)} cannot be made: {error.strerror or error}") from error
    raise LedgerError(
        f"the ledger {shown(url)} is neither sqlite:///path/to/file nor postgresql+psycopg://user@host/name"
    )


def shown(url: URL) -> str:
    """A URL as it can be shown to people: without its password."""
    return url.render_as_string(hide_password=True)


class SqliteFile:
    """A file of SQLite. Connections stay open between transactions: to open one takes longer than most transactions.

    None is open while the process forks, used or unused: the child would believe that it holds the parent's locks. A
    fork waits WAIT_SECONDS at most for the transactions of other threads. A connection is closed instead of being used
    again after an error, and when its file is not the one it was: replaced, removed, or made read-only.
    """

    dialect = "sqlite"

    def __init__(self, url: URL) -> None:
        if not url.database or url.database == ":memory:":
            raise LedgerError("a ledger in memory would forget everything; name a file: sqlite:///path/to/file")
        self._file = Path(url.database).resolve()
        self._wal, _index = _beside(self._file)
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            # It holds user ids and the pseudonym key. A file that is there already must not be opened here, because
            # closing it would release the locks of this process's other connections to it.
            self._file.touch(mode=0o600, exist_ok=False)
        options: dict[str, Any] = {"timeout": WAIT_SECONDS, "isolation_level": None}
        self._engine = create_engine(url, poolclass=NullPool, hide_parameters=True, connect_args=options)
        event.listen(self._engine, "do_connect", _connecting_to(self._file))
        event.listen(self._engine, "connect", _use_wal)
        self._waited_in_vain = False
        self._unused: list[Connection] = []
        self._state = self._state_now()  # of what the unused connections are connected to
        self._state_number = 0
        self._begin_unused()
        around_forks(self._stop_for_fork, self._go_on, self._begin_unused)
        weakref.finalize(self, _close_all, self._unused)

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that takes the writer's lock at its start, and waits for it."""
        with self._connection() as connection, connection.begin():
            self._begin_immediate(connection)
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees the file as it is at its first query."""
        with self._connection() as connection, connection.begin():
            connection.exec_driver_sql("BEGIN")
            yield connection

    def close(self) -> None:
        """Close the unused connections."""
        with self._changed:
            _close_all(self._unused)

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        connection = self._take()
        try:
            yield connection
        except BaseException:
            self._give_back(connection, is_sound=False)
            raise
        self._give_back(connection, is_sound=True)

    def _take(self) -> Connection:
        """An unused connection or a new one; at a fork, wait until that is over."""
        with self._changed:
            now = self._state_now()
            if now != self._state:
                self._leave(now)
            self._in_use += 1
            if self._unused:
                return self._unused.pop()
            state_number = self._state_number
        try:
            connection = self._engine.connect()
        except BaseException:
            with self._changed:
                self._in_use -= 1
                self._changed.notify_all()
            raise
        connection.info["state"] = state_number
        return connection

    def _give_back(self, connection: Connection, *, is_sound: bool) -> None:
        with self._changed:
            try:
                if is_sound and connection.info["state"] == self._state_number and len(self._unused) < MOST_KEPT:
                    if self._state.wal is None:  # the first transaction made it
                        self._state = self._state._replace(wal=_identity(self._wal))
                    self._unused.append(connection)
                else:
                    connection.close()
            finally:
                self._in_use -= 1
                self._changed.notify_all()

    def _state_now(self) -> FileState:
        return FileState(_identity(self._file), _identity(self._wal), os.access(self._file, os.W_OK))

    def _leave(self, now: FileState) -> None:
        """Close the connections to what is not there any more.

        SQLite leaves the WAL of a file that was replaced or renamed, and would apply it to the file that is there now.
        """
        left, self._state = self._state, now
        self._state_number += 1
        is_replaced = left.file != now.file and left.wal is not None and left.wal == now.wal
        if is_replaced and self._unused:
            with contextlib.suppress(SQLAlchemyError):  # what it holds belongs into the old file
                self._unused[-1].exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)")
        _close_all(self._unused)
        if is_replaced:
            for beside in _beside(self._file):
                beside.unlink(missing_ok=True)
            self._state = self._state_now()

    def _begin_immediate(self, connection: Connection) -> None:
        """Take the writer's lock: a transaction that reads first could not wait for it, only fail.

        Once one has waited in vain, those after it wait for a moment only, until one gets through: else every thread of
        the agent would soon be waiting, those that only read as well.
        """
        is_hurried = self._waited_in_vain
        if is_hurried:
            _wait_at_most(connection, MOMENT_SECONDS)
        try:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        except OperationalError as error:
            self._waited_in_vain = getattr(error.orig, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY
            raise
        self._waited_in_vain = False
        if is_hurried:
            _wait_at_most(connection, WAIT_SECONDS)

    def _stop_for_fork(self) -> None:
        self._changed.acquire()
        self._changed.wait_for(lambda: not self._in_use, WAIT_SECONDS)
        _close_all(self._unused)

    def _go_on(self) -> None:
        self._changed.release()

    def _begin_unused(self) -> None:
        self._changed = threading.Condition()
        self._in_use = 0


def _identity(file: Path) -> tuple[int, int] | None:
    """Which file it is, whatever its name; None if there is none."""
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _close_all(connections: list[Connection]) -> None:
    while connections:
        connections.pop().close()


def _connecting_to(file: Path) -> Callable[..., sqlite3.Connection]:
    """Connects to a file, but makes none if it was removed: it would be empty, and everybody could read it."""

    def connect(_dialect: object, _record: object, _arguments: object, options: dict[str, Any]) -> sqlite3.Connection:
        _make_writable_beside(file)
        connection: sqlite3.Connection = sqlite3.connect(f"{file.as_uri()}?mode=rw", **(options | {"uri": True}))
        return connection

    return connect


def _make_writable_beside(file: Path) -> None:
    """While a file is read-only, SQLite makes what it has beside it read-only, too, and would not write ever after."""
    for beside in _beside(file):
        if beside.exists() and os.access(file, os.W_OK) and not os.access(beside, os.W_OK):
            beside.chmod(stat.S_IMODE(file.stat().st_mode))


def _beside(file: Path) -> tuple[Path, Path]:
    """The WAL of a file of SQLite, and the index of it."""
    return file.with_name(f"{file.name}-wal"), file.with_name(f"{file.name}-shm")


def _wait_at_most(connection: Connection, seconds: float) -> None:
    connection.exec_driver_sql(f"PRAGMA busy_timeout = {seconds * 1000:.0f}")


def _use_wal(connection: Any, _record: object) -> None:
    # The file must be nobody else's for the change to WAL, and SQLite does not wait for that as it does for a lock:
    # without this, one of two that open a new ledger at the same time is told that it is locked.
    give_up = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL").close()
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > give_up:
                raise
        time.sleep(0.01)


class PostgresqlServer:
    """A database of PostgreSQL."""

    dialect = "postgresql"

    def __init__(self, url: URL) -> None:
        if url.drivername == "postgresql":
            url = url.set(drivername="postgresql+psycopg")
        defaults = {"connect_timeout": str(WAIT_SECONDS), "tcp_user_timeout": str(WAIT_SECONDS * 1000)}
        url = url.update_query_dict({name: value for name, value in defaults.items() if name not in url.query})
        # Few connections: one thread writes, and feedback is rare. Each is tried before use, so that a restarted
        # database is found again.
        self._engine = create_engine(
            url, pool_size=2, pool_timeout=WAIT_SECONDS, pool_pre_ping=True, hide_parameters=True
        )
        event.listen(self._engine, "do_connect", _connect_to_postgresql)
        in_forked_children(self._forget_connections)

    def writing(self) -> AbstractContextManager[Connection]:
        """A transaction."""
        return self._engine.begin()

    def reading(self) -> AbstractContextManager[Connection]:
        """A transaction; it needs nothing that writing does not."""
        return self._engine.begin()

    def close(self) -> None:
        """Close the unused connections."""
        self._engine.dispose()

    def _forget_connections(self) -> None:
        self._engine.dispose(close=False)  # they are the parent's


def _connect_to_postgresql(_dialect: object, _record: object, arguments: list[Any], options: dict[str, Any]) -> Any:
    from agentgauge.ledger.answering import AnsweringConnection  # psycopg is for those who have PostgreSQL

    return AnsweringConnection.connect(*arguments, **options)
