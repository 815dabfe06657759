"""The tables, and the numbered steps that lead to them.

Names start with ``agentgauge_``, so that the ledger can live in a database with other things in it. Days are ISO dates
in UTC, times are Unix seconds: both dialects read, order and compare these alike.
"""

from __future__ import annotations

import secrets

from sqlalchemy import Column, Connection, Double, Integer, MetaData, Table, Text, inspect, text

tables = MetaData()

META = Table(
    "agentgauge_meta",
    tables,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

USAGE = Table(
    "agentgauge_usage",
    tables,
    Column("agent", Text, primary_key=True),
    Column("day", Text, primary_key=True),
    Column("user_id", Text, primary_key=True),
    Column("sessions", Integer, nullable=False),
    Column("turns", Integer, nullable=False),
    Column("cost_usd", Double, nullable=False),
)

FEEDBACK = Table(
    "agentgauge_feedback",
    tables,
    Column("id", Text, primary_key=True),
    Column("agent", Text, nullable=False),
    Column("at", Double, nullable=False),
    Column("user_id", Text),
    Column("rating", Text, nullable=False),
    Column("reason", Text, nullable=False),
)

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """
        CREATE TABLE agentgauge_usage (
            agent TEXT NOT NULL,
            day TEXT NOT NULL,
            user_id TEXT NOT NULL,
            sessions INTEGER NOT NULL,
            turns INTEGER NOT NULL,
            cost_usd DOUBLE PRECISION NOT NULL,
            PRIMARY KEY (agent, day, user_id)
        )
        """,
        """
        CREATE TABLE agentgauge_feedback (
            id TEXT NOT NULL PRIMARY KEY,
            agent TEXT NOT NULL,
            at DOUBLE PRECISION NOT NULL,
            user_id TEXT,
            rating TEXT NOT NULL,
            reason TEXT NOT NULL
        )
        """,
        "CREATE INDEX agentgauge_feedback_agent_at ON agentgauge_feedback (agent, at)",
    ),
)
"""The statements of each version, oldest first. A released one is never edited: a change is a new one at the end."""

VERSION = len(MIGRATIONS)

MIGRATION_LOCK = 0x61676C65
"""The advisory lock of PostgreSQL under which one replica migrates and the others wait; any number of our own."""


class NewerSchemaError(Exception):
    """The database has a schema that this version of the code does not know."""


def migrate(connection: Connection) -> bytes:
    """Bring the schema to VERSION, within the caller's transaction; returns the pseudonym key, made at first use.

    Raises NewerSchemaError, and changes nothing, when the database is ahead of the code.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK})
    if not inspect(connection).has_table(META.name):
        connection.execute(text("CREATE TABLE agentgauge_meta (name TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL)"))
        connection.execute(META.insert().values(name="schema_version", value="0"))
        connection.execute(META.insert().values(name="pseudonym_key", value=secrets.token_bytes(32).hex()))
    rows = connection.execute(META.select()).all()
    kept = {row.name: row.value for row in rows}
    version = int(kept["schema_version"])
    if version > VERSION:
        raise NewerSchemaError(
            f"its schema has version {version}, this agentgauge knows {VERSION} at most; "
            "upgrade agentgauge (schemas are never taken back)"
        )
    for statements in MIGRATIONS[version:]:
        for statement in statements:
            connection.execute(text(statement))
    if version < VERSION:
        connection.execute(META.update().where(META.c.name == "schema_version").values(value=str(VERSION)))
    return bytes.fromhex(kept["pseudonym_key"])
