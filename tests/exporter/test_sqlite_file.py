"""Connections to a ledger in SQLite stay open, and nothing comes of that but speed."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from threading import Barrier
from unittest.mock import patch

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from agentgauge.ledger import Ledger
from agentgauge.ledger.backup import back_up
from agentgauge.ledger.databases import MOST_KEPT
from tests.exporter.conftest import sql

REASONS = "SELECT reason FROM agentgauge_feedback ORDER BY at"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the ledger is."""
    return tmp_path / "ledger.sqlite"


@pytest.fixture
def ledger(file: Path) -> Iterator[Ledger]:
    """A ledger with one rating in it, and a connection that is kept."""
    with closing(Ledger.open(f"sqlite:///{file}")) as opened:
        rate(opened, "before")
        yield opened


def rate(ledger: Ledger, reason: str) -> None:
    """Write a rating."""
    ledger.add_feedback("a", "rep-1", "up", reason)


def reasons(file: Path) -> list[str]:
    """The ratings that another program reads in a file."""
    return [row.reason for row in sql(f"sqlite:///{file}", REASONS)]


def test_a_connection_is_used_again(file: Path) -> None:
    """By transactions one after the other, of whatever kind and thread."""
    with (
        patch("sqlite3.connect", wraps=sqlite3.connect) as connect,
        closing(Ledger.open(f"sqlite:///{file}")) as ledger,
    ):
        rate(ledger, "one")
        with ThreadPoolExecutor(1) as other:
            other.submit(rate, ledger, "two").result()
        ledger.users("a")
        assert connect.call_count == 1


def test_threads_work_at_the_same_time_and_few_connections_stay(ledger: Ledger, file: Path) -> None:
    """Each transaction has its own; of many, some are kept."""
    threads = 2 * MOST_KEPT
    together = Barrier(threads, timeout=60)

    def read(_thread: int) -> None:
        with ledger.reading() as connection:
            together.wait()  # all of them are in their transactions
            assert connection.execute(text(REASONS)).scalars().all() == ["before"]

    with patch("sqlite3.connect", wraps=sqlite3.connect) as connect:
        for new in (threads - 1, threads - MOST_KEPT):
            connect.reset_mock()
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(read, range(threads)))
            assert connect.call_count == new


def test_a_closed_ledger_leaves_nothing_open_and_can_be_used_again(ledger: Ledger, file: Path) -> None:
    """SQLite removes what it has beside the file when the last connection is closed."""
    ledger.close()
    assert [path.name for path in file.parent.iterdir()] == [file.name]
    rate(ledger, "after")
    ledger.close()
    assert reasons(file) == ["before", "after"]


NOBODY_CLOSES = """
import sys
from agentgauge.ledger import Ledger
Ledger.open(f"sqlite:///{sys.argv[1]}").users("a")
kept = Ledger.open(f"sqlite:///{sys.argv[2]}")
kept.users("a")
"""


def test_a_ledger_that_nobody_closed_closes_its_connections(tmp_path: Path) -> None:
    """When it is collected, and at the end of the process, without a warning."""
    files = {"collected.sqlite", "kept.sqlite"}
    command = [sys.executable, "-W", "error", "-c", NOBODY_CLOSES, *(str(tmp_path / name) for name in sorted(files))]
    assert not subprocess.run(command, check=True, stderr=subprocess.PIPE, text=True, timeout=120).stderr
    assert {path.name for path in tmp_path.iterdir()} == files


def test_a_transaction_that_fails_leaves_nothing_behind(ledger: Ledger, file: Path) -> None:
    """What it wrote is taken back, its lock is free, and its connection, which may be broken, is not used again."""
    with suppress(ZeroDivisionError), ledger.writing() as connection:
        connection.execute(text("DELETE FROM agentgauge_feedback"))
        raise ZeroDivisionError
    with patch("sqlite3.connect", wraps=sqlite3.connect) as connect:
        rate(ledger, "after")
        assert connect.call_count == 1
    assert reasons(file) == ["before", "after"]


def test_what_is_read_in_part_holds_up_nobody(ledger: Ledger, file: Path) -> None:
    """A query whose rows were not all fetched would go on reading what was there at its time."""
    rate(ledger, "more")
    with ledger.reading() as connection:
        assert next(iter(connection.execute(text(REASONS)))).reason == "before"
    with closing(sqlite3.connect(file)) as other:
        other.execute("DELETE FROM agentgauge_feedback")
        other.commit()
    rate(ledger, "after")
    assert reasons(file) == ["after"]


def test_a_file_that_was_replaced_is_used_from_then_on(ledger: Ledger, file: Path) -> None:
    """And holds what it held: the WAL of the old file is not applied to it."""
    copy = file.with_name("copy.sqlite")
    back_up(ledger, copy)
    for number in range(100):
        rate(ledger, f"gone {number}")
    copy.replace(file)
    rate(ledger, "after")
    assert reasons(file) == ["before", "after"]
    assert [row[0] for row in sql(f"sqlite:///{file}", "PRAGMA integrity_check")] == ["ok"]


def test_a_file_that_was_renamed_has_all_that_was_written_to_it(ledger: Ledger, file: Path) -> None:
    """Without it there is no ledger, and none is made; with it the ledger goes on."""
    for number in range(3):
        rate(ledger, f"more {number}")
    aside = file.with_name("aside.sqlite")
    file.rename(aside)
    for _ in range(2):
        with pytest.raises(OperationalError, match="unable to open database file"):
            rate(ledger, "lost")
    assert [path.name for path in file.parent.iterdir()] == [aside.name]
    assert reasons(aside) == ["before", "more 0", "more 1", "more 2"]
    aside.rename(file)
    rate(ledger, "after")
    assert reasons(file)[-1] == "after"


def test_a_wal_that_somebody_removed_is_not_written_to(ledger: Ledger, file: Path) -> None:
    """What is written there would be seen by nobody else, and lost at the end."""
    file.with_name(f"{file.name}-wal").unlink()
    rate(ledger, "after")
    assert reasons(file)[-1] == "after"


READ_ONLY = """
import os, sys, tempfile
from pathlib import Path
from sqlalchemy.exc import OperationalError
from sqlalchemy import text
from agentgauge.ledger import Ledger
def ratings():
    with ledger.reading() as connection:
        return connection.execute(text("SELECT reason FROM agentgauge_feedback")).scalars().all()
with tempfile.TemporaryDirectory() as folder:
    file = Path(folder, "ledger.sqlite")
    Ledger.open(f"sqlite:///{file}").close()
    if os.getuid() == 0:  # whom no permission stops
        for path in (folder, file):
            os.chown(path, 65534, 65534)
        os.setresuid(65534, 65534, 0)
    ledger = Ledger.open(f"sqlite:///{file}")
    ledger.add_feedback("a", "rep-1", "up", "before")
    file.chmod(0o400)
    try:
        ledger.add_feedback("a", "rep-1", "up", "now")
    except OperationalError as error:
        print(error.orig)
    print(ratings())
    file.chmod(0o600)
    ledger.add_feedback("a", "rep-1", "up", "after")
    print(ratings())
    ledger.close()
    os.setresuid(0, 0, 0) if os.getresuid()[2] == 0 else None
"""


def test_a_file_that_becomes_read_only_is_not_written_to() -> None:
    """Though a connection that is open still could; it is read, and written to when that is allowed again."""
    assert python(READ_ONLY) == "attempt to write a readonly database\n['before']\n['before', 'after']\n"


WHILE_WRITING = """
import os, sys, threading
from sqlalchemy import text
from agentgauge.ledger import Ledger
ledger = Ledger.open(sys.argv[1])
writing, go_on = threading.Event(), threading.Event()
def write():
    with ledger.writing() as connection:
        connection.execute(text("DELETE FROM agentgauge_feedback"))
        writing.set()
        go_on.wait()
thread = threading.Thread(target=write)
thread.start()
writing.wait()
os.register_at_fork(before=go_on.set)
child = os.fork()
if child == 0:
    ledger.add_feedback("a", "rep-1", "up", "of the child")
    ledger.close()
    os._exit(0)
thread.join()
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_fork_waits_for_a_transaction_of_another_thread(ledger: Ledger, file: Path) -> None:
    """Else the child would be told that the ledger is locked, for ever: by a thread that it does not have."""
    python(WHILE_WRITING, f"sqlite:///{file}")
    assert reasons(file) == ["of the child"]


PARENT_ENDS_FIRST = """
import os, sys
from sqlalchemy import text
from agentgauge.ledger import Ledger
ledger = Ledger.open(sys.argv[1])
ledger.add_feedback("a", "rep-1", "up", "of the parent")
(wrote, writes), (may_commit, ended) = os.pipe(), os.pipe()
child = os.fork()
if child == 0:
    os.close(ended)
    with ledger.writing() as connection:
        connection.execute(text("UPDATE agentgauge_feedback SET reason = 'of the child'"))
        os.write(writes, b"1")
        os.read(may_commit, 1)
    os._exit(0)
os.read(wrote, 1)
ledger.users("a")
ledger.close()
os.close(ended)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_forked_child_has_its_own_locks(tmp_path: Path) -> None:
    """A child that believed to have its parent's would lose what it writes when the parent closes the ledger."""
    file = tmp_path / "ledger.sqlite"
    python(PARENT_ENDS_FIRST, f"sqlite:///{file}")
    assert reasons(file) == ["of the child"]


def python(script: str, *arguments: str) -> str:
    """What a script says in a process of its own."""
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", script, *arguments]  # it forks with threads
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=120).stdout
