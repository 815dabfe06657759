"""What the pager remembers: pages as they came, and the alarms that they make up, in SQLite."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, fields
from pathlib import Path

from alerts.pager.incidents import Alarm, Mending
from alerts.pager.notification import Page

KEPT_PAGES = 1000
KEPT_MENDINGS = 1000
KEPT_ALARMS = 1000
"""That have ended; those that are open are all kept."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS pages (id INTEGER PRIMARY KEY, page TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS alarms (
    id INTEGER PRIMARY KEY, labels TEXT NOT NULL, page TEXT NOT NULL, began_at TEXT NOT NULL, heard_at TEXT NOT NULL,
    ended_at TEXT NOT NULL DEFAULT '', acknowledged_by TEXT NOT NULL DEFAULT '',
    acknowledged_at TEXT NOT NULL DEFAULT '', silenced_by TEXT NOT NULL DEFAULT '',
    silenced_until TEXT NOT NULL DEFAULT '', escalated_at TEXT NOT NULL DEFAULT ''
);
CREATE TABLE IF NOT EXISTS mendings (
    id INTEGER PRIMARY KEY, alert TEXT NOT NULL, labels TEXT NOT NULL, who TEXT NOT NULL, began_at TEXT NOT NULL,
    commands TEXT NOT NULL DEFAULT '[]', problem TEXT NOT NULL DEFAULT '', done_at TEXT NOT NULL DEFAULT '',
    mended_at TEXT NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX IF NOT EXISTS open_alarm ON alarms (labels) WHERE ended_at = '';
"""
COLUMNS = [field.name for field in fields(Alarm)]


class Store:
    """Pages and alarms in a file that only its owner can read, or in memory if there is no path.

    Every method raises sqlite3.Error when the file cannot be read or written; what was kept before stays.
    """

    def __init__(self, path: Path | None = None) -> None:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))  # SQLite's other files get the same mode
        # One process, one thread at a time: the event loop's.
        self._connection = sqlite3.connect(path or ":memory:", check_same_thread=False, timeout=5)
        self._connection.executescript(SCHEMA)
        with self._connection as database:
            database.execute(
                "UPDATE mendings SET done_at = began_at, problem = 'the pager ended before the commands did'"
                " WHERE done_at = ''"
            )

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def add(self, pages: Iterable[Page]) -> None:
        """Keep what has arrived: all of it or, when that fails, nothing."""
        with self._connection as database:
            for page in pages:
                text = json.dumps(asdict(page))
                database.execute("INSERT INTO pages (page) VALUES (?)", (text,))
                labels = json.dumps([page.alert, page.severity, sorted(page.labels.items())])
                if page.status == "resolved":
                    ended = (page.ends_at or page.received_at, page.received_at, labels)
                    database.execute(
                        "UPDATE alarms SET ended_at = ?, heard_at = ? WHERE labels = ? AND ended_at = ''", ended
                    )
                else:
                    database.execute(
                        "INSERT INTO alarms (labels, page, began_at, heard_at) VALUES (?, ?, ?, ?)"
                        " ON CONFLICT (labels) WHERE ended_at = ''"
                        " DO UPDATE SET page = excluded.page, heard_at = excluded.heard_at",
                        (labels, text, page.starts_at, page.received_at),
                    )
            _forget(database, "pages", "1", KEPT_PAGES)
            _forget(database, "alarms", "ended_at != ''", KEPT_ALARMS)

    def pages(self) -> list[Page]:
        """The latest pages, the last one last."""
        return [_page(text) for (text,) in self._connection.execute("SELECT page FROM pages ORDER BY id")]

    def count_pages(self) -> int:
        """How many of them are kept."""
        (count,) = self._connection.execute("SELECT count(*) FROM pages").fetchone()
        return int(count)

    def alarms(self) -> list[Alarm]:
        """Those that are open, and the latest that have ended; in the order in which they began to be known."""
        rows = self._connection.execute(f"SELECT {', '.join(COLUMNS)} FROM alarms ORDER BY id")  # noqa: S608 - our own names
        return [
            Alarm(**(dict(zip(COLUMNS, row, strict=True)) | {"page": _page(row[COLUMNS.index("page")])}))
            for row in rows
        ]

    def acknowledge(self, alarms: Collection[int], by: str, at: str) -> None:
        """Note who has these alarms in hand."""
        self._note(alarms, "acknowledged_by = ?, acknowledged_at = ?", by, at)

    def silence(self, alarms: Collection[int], by: str, until: str) -> None:
        """Note that Alertmanager will not repeat these alarms until then."""
        self._note(alarms, "silenced_by = ?, silenced_until = ?", by, until)

    def escalate(self, alarms: Collection[int], at: str) -> None:
        """Note that somebody else was told of these alarms."""
        self._note(alarms, "escalated_at = ?", at)

    def begin_mending(self, alert: str, labels: Mapping[str, str], who: str, at: str) -> int:
        """Note that somebody has commands run; returns its id."""
        with self._connection as database:
            values = (alert, _text_of(labels), who, at)
            added = database.execute("INSERT INTO mendings (alert, labels, who, began_at) VALUES (?, ?, ?, ?)", values)
            _forget(database, "mendings", "1", KEPT_MENDINGS)
            return int(added.lastrowid or 0)

    def end_mending(self, mending: int, commands: Sequence[tuple[str, str]], problem: str, at: str) -> None:
        """Note which commands were begun, and why they did not do it if they did not."""
        values = (json.dumps(list(commands)), problem, at, mending)
        with self._connection as database:
            database.execute("UPDATE mendings SET commands = ?, problem = ?, done_at = ? WHERE id = ?", values)

    def note_mended(self, mending: int, at: str) -> None:
        """Note since when the alert no longer fires."""
        with self._connection as database:
            database.execute("UPDATE mendings SET mended_at = ? WHERE id = ? AND mended_at = ''", (at, mending))

    def last_mending(self, alert: str, labels: Mapping[str, str]) -> Mending | None:
        """The last one of an alert that was looked at by these labels; None if there is none."""
        columns = [field.name for field in fields(Mending)]
        row = self._connection.execute(
            f"SELECT {', '.join(columns)} FROM mendings WHERE alert = ? AND labels = ? ORDER BY id DESC LIMIT 1",  # noqa: S608 - our own names
            (alert, _text_of(labels)),
        ).fetchone()
        if row is None:
            return None
        kept = dict(zip(columns, row, strict=True))
        commands = [(at, line) for at, line in json.loads(kept["commands"])]
        return Mending(**(kept | {"labels": dict(labels), "commands": commands}))

    def _note(self, alarms: Collection[int], columns: str, *values: str) -> None:
        with self._connection as database:
            database.executemany(
                f"UPDATE alarms SET {columns} WHERE id = ?",  # noqa: S608 - our own names
                [(*values, alarm) for alarm in alarms],
            )


def _forget(database: sqlite3.Connection, table: str, which: str, kept: int) -> None:
    newest = f"SELECT id FROM {table} WHERE {which} ORDER BY id DESC LIMIT {kept}"  # noqa: S608 - our own names
    with closing(database.cursor()) as cursor:
        cursor.execute(f"DELETE FROM {table} WHERE {which} AND id NOT IN ({newest})")  # noqa: S608 - our own names


def _text_of(labels: Mapping[str, str]) -> str:
    return json.dumps(sorted(labels.items()))


def _page(text: str) -> Page:
    return Page(**json.loads(text))
