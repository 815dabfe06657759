"""The CRM of the demo: a SQLite file made from the CSV files in `data/`."""

from __future__ import annotations

import csv
import fcntl
import json
import sqlite3
import threading
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
VERSION = 2
TABLES = ("accounts", "contacts", "deals", "products", "emails")

Row = dict[str, Any]

# An account answers to its name and to a name that adds or drops whole words: "globex" and "Globex Inc" both
# find Globex, "Glo" finds nothing. The asked names arrive as one JSON list, so five names are one query.
MATCHING_ACCOUNTS = """
    SELECT DISTINCT accounts.*, asked.value AS asked
    FROM json_each(:names) AS asked
    JOIN accounts
      ON instr(lower(accounts.name) || ' ', lower(trim(asked.value)) || ' ') = 1
      OR instr(lower(trim(asked.value)) || ' ', lower(accounts.name) || ' ') = 1
    ORDER BY accounts.name
"""


def build(path: Path) -> None:
    """Make the CRM at `path` from the shipped data; a CRM that is there already is left as it is.

    It is one transaction: a build that is cut off leaves nothing, and of two at once the second finds it done.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)  # contacts and drafts; SQLite gives the files beside it the same
    lock_path = path.with_suffix(".lock")
    lock_path.touch(mode=0o600)
    # SQLite does not wait where two want to change the journal at once. The lock has a file of its own: to close the
    # database's would end the locks that SQLite holds on it in this process.
    with (
        lock_path.open("rb") as lock,
        closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as connection,
    ):
        fcntl.flock(lock, fcntl.LOCK_EX)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("BEGIN IMMEDIATE")
        if version := _version(connection):
            if version == 1:  # of before reps wrote into it themselves
                for table in ("drafts", "notes"):
                    connection.execute(f"ALTER TABLE {table} ADD COLUMN written_by TEXT")
                connection.execute(f"PRAGMA user_version = {VERSION}")
            connection.execute("COMMIT")
            return
        for statement in (HERE / "schema.sql").read_text(encoding="utf-8").split(";"):
            connection.execute(statement)
        for table in TABLES:
            _load(connection, table)
        connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")


def _version(connection: sqlite3.Connection) -> int:
    """VERSION, an older one, or 0 if it was not built."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _load(connection: sqlite3.Connection, table: str) -> None:
    """Fill `table` from the CSV file of its name; an empty cell is NULL."""
    with (HERE / "data" / f"{table}.csv").open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file)
        columns = next(rows)
        connection.executemany(
            f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})",  # noqa: S608 - shipped names
            ([cell or None for cell in row] for row in rows),
        )


class Crm:
    """The CRM at `path`, safe to use from several threads; raises FileNotFoundError if it was not built."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            raise FileNotFoundError(f"no CRM at {path}: make it with crm.build()")
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=5)
        if not _version(self._connection):
            self._connection.close()
            raise FileNotFoundError(f"the file {path} is no CRM: delete it and make it with crm.build()")
        self._connection.row_factory = sqlite3.Row
        self._connection.execute("PRAGMA foreign_keys = ON")
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close the file; the object is of no use afterwards."""
        self._connection.close()

    def accounts(self, names: Sequence[str]) -> list[Row]:
        """Return the accounts that answer to `names`, each with `asked`, the name that found it."""
        return self._query(MATCHING_ACCOUNTS, names=json.dumps(list(names)))

    def contacts(self, account_ids: Sequence[str]) -> list[Row]:
        """Return the people at these accounts."""
        return self._of_accounts("SELECT * FROM contacts WHERE account_id IN (:ids) ORDER BY id", account_ids)

    def deals(self, account_ids: Sequence[str]) -> list[Row]:
        """Return the deals of these accounts, won, lost and open, newest first."""
        sql = "SELECT * FROM deals WHERE account_id IN (:ids) ORDER BY updated_on DESC, id"
        return self._of_accounts(sql, account_ids)

    def notes(self, account_ids: Sequence[str]) -> list[Row]:
        """Return what the agent noted on these accounts, newest first."""
        return self._of_accounts("SELECT * FROM notes WHERE account_id IN (:ids) ORDER BY id DESC", account_ids)

    def emails(self, account_ids: Sequence[str], words: str = "", limit: int = 10) -> list[Row]:
        """Return the latest e-mails of these accounts that hold `words` in subject or body, newest first."""
        return self._of_accounts(
            """
            SELECT emails.*, contacts.name AS contact
            FROM emails JOIN contacts ON contacts.id = emails.contact_id
            WHERE emails.account_id IN (:ids)
              AND instr(lower(emails.subject || ' ' || emails.body), lower(:words)) > 0
            ORDER BY sent_on DESC, emails.id DESC
            LIMIT :limit
            """,
            account_ids,
            words=words,
            limit=limit,
        )

    def products(self, words: Sequence[str] = ()) -> list[Row]:
        """Return the products whose name or family holds one of `words`; all of them for no words."""
        return self._query(
            """
            SELECT * FROM products
            WHERE :words = '[]' OR EXISTS (
                SELECT 1 FROM json_each(:words) AS word
                WHERE instr(lower(name || ' ' || family), lower(trim(word.value))) > 0
            )
            ORDER BY id
            """,
            words=json.dumps(list(words)),
        )

    def contact_with_email(self, email: str) -> Row | None:
        """Return the person with this address, or None."""
        return self._first("SELECT * FROM contacts WHERE lower(email) = lower(:email)", email=email)

    def add_draft(self, contact_id: str, subject: str, body: str, by: str | None = None) -> int:
        """Keep an e-mail that is not sent yet and return its number; ``by`` is the rep who wrote it, None the agent."""
        return self._insert(
            "INSERT INTO drafts (contact_id, subject, body, written_by) VALUES (:contact_id, :subject, :body, :by)",
            contact_id=contact_id,
            subject=subject,
            body=body,
            by=by,
        )

    def draft(self, draft_id: int) -> Row | None:
        """Return a draft with the address it goes to, sent or not, or None."""
        return self._first(
            """
            SELECT drafts.*, contacts.email AS recipient
            FROM drafts JOIN contacts ON contacts.id = drafts.contact_id
            WHERE drafts.id = :draft_id
            """,
            draft_id=draft_id,
        )

    def mark_sent(self, draft_id: int) -> bool:
        """Move a draft to the outbox; False if there is no such draft or it was sent before."""
        with self._lock:
            cursor = self._connection.execute(
                "UPDATE drafts SET sent_at = CURRENT_TIMESTAMP WHERE id = ? AND sent_at IS NULL", (draft_id,)
            )
            return cursor.rowcount == 1

    def add_note(self, account_id: str, kind: str, text: str, by: str | None = None) -> int:
        """Write a note, a next step or a risk on an account; returns its number. ``by`` is as in ``add_draft``."""
        return self._insert(
            "INSERT INTO notes (account_id, kind, text, written_by) VALUES (:account_id, :kind, :text, :by)",
            account_id=account_id,
            kind=kind,
            text=text,
            by=by,
        )

    def notes_by(self, person: str | None, account_ids: Sequence[str]) -> list[Row]:
        """Return what a rep wrote down on these accounts, each with the name of its ``account``."""
        return self._of_accounts(
            """
            SELECT notes.*, accounts.name AS account FROM notes JOIN accounts ON accounts.id = notes.account_id
            WHERE notes.account_id IN (:ids) AND notes.written_by = :person
            """,
            account_ids,
            person=person,
        )

    def emails_by(self, person: str | None, account_ids: Sequence[str]) -> list[Row]:
        """Return what a rep wrote to the people at these accounts, sent or not, each with its ``recipient``."""
        return self._of_accounts(
            """
            SELECT drafts.*, contacts.email AS recipient FROM drafts JOIN contacts ON contacts.id = drafts.contact_id
            WHERE contacts.account_id IN (:ids) AND drafts.written_by = :person
            """,
            account_ids,
            person=person,
        )

    def _of_accounts(self, sql: str, account_ids: Sequence[str], **values: Any) -> list[Row]:
        """Run a query whose `:ids` stands for any number of account ids."""
        sql = sql.replace("(:ids)", "(SELECT value FROM json_each(:ids))")
        return self._query(sql, ids=json.dumps(list(account_ids)), **values)

    def _query(self, sql: str, **values: Any) -> list[Row]:
        with self._lock:
            return [dict(row) for row in self._connection.execute(sql, values)]

    def _first(self, sql: str, **values: Any) -> Row | None:
        return next(iter(self._query(sql, **values)), None)

    def _insert(self, sql: str, **values: Any) -> int:
        with self._lock:
            number = self._connection.execute(sql, values).lastrowid
        assert number is not None  # noqa: S101 - sqlite3 sets it after every INSERT
        return number
