"""The tables, each written once: a new ledger gets them all, an older one what it lacks of them.

Names start with ``agentgauge_``, so that the ledger can live in a database with other things in it. Days are ISO dates
in UTC, times are Unix seconds: both dialects read, order and compare these alike.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable

from sqlalchemy import DOUBLE_PRECISION, Column, Connection, Index, Integer, MetaData, Table, Text, inspect, text
from sqlalchemy.schema import CreateColumn

VERSION = 17
"""Raise it by one with every change of the tables below: it makes ledgers of before catch up when they are opened.

Tables, columns and indexes can be added; a new column comes last and can be null. What is there is never changed or
taken away, because replicas of the version before still use it.
"""

COUNTS_SINCE = 16
"""The version that began to count users as their usage is written."""

OLDEST_USER = COUNTS_SINCE
"""The lowest version whose code may go on with a ledger of VERSION: one before would leave out what is kept since.

Raise it to VERSION with a change that older code must not write beside, and leave it where something is only added.
"""

tables = MetaData()


def _partial_index(name: str, column: str, where: str) -> Index:
    # PostgreSQL gets its condition in `migrate`: naming it here would load that dialect for every ledger in SQLite.
    return Index(name, column, sqlite_where=text(where))


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
    Column("cost_usd", DOUBLE_PRECISION, nullable=False),
    Column("first_turn_at", DOUBLE_PRECISION),
    Column("last_turn_at", DOUBLE_PRECISION),
    Column("last_failed_at", DOUBLE_PRECISION),
    Column("pseudonym", Text),  # of the user; null where that was not written down
    Index("agentgauge_usage_pseudonym", "pseudonym", "user_id"),
    Index("agentgauge_usage_cost", "agent", "day", "cost_usd"),
)

USERS = Table(
    "agentgauge_user",
    tables,
    Column("agent", Text, primary_key=True),
    Column("user_id", Text, primary_key=True),
    Column("runs", Text, nullable=False),  # JSON
    Column("last_turn_at", DOUBLE_PRECISION),
    Column("last_failed_at", DOUBLE_PRECISION),
)
"""The recent activity of each user; ``activity.py`` says what a run is."""

USER_COUNTS = Table(
    "agentgauge_user_count",
    tables,
    Column("agent", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("slot", Integer, primary_key=True),
    Column("users", Integer, nullable=False),
)
"""How many users of ``agentgauge_user`` have something in a slot of time."""

FIGURES = Table(
    "agentgauge_figures",
    tables,
    Column("agent", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("value", Text),  # JSON; null until they were read for the first time
    Column("read_at", DOUBLE_PRECISION, nullable=False),
    Column("due_at", DOUBLE_PRECISION, nullable=False),
)
"""What one replica read and all show."""

FEEDBACK = Table(
    "agentgauge_feedback",
    tables,
    Column("id", Text, primary_key=True),
    Column("agent", Text, nullable=False),
    Column("at", DOUBLE_PRECISION, nullable=False),
    Column("user_id", Text),
    Column("rating", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("session_id", Text),
    Index("agentgauge_feedback_agent_at", "agent", "at"),
)

ACTIONS = Table(
    "agentgauge_action",
    tables,
    Column("id", Text, primary_key=True),
    Column("agent", Text, nullable=False),
    Column("tool", Text, nullable=False),
    Column("risk", Text, nullable=False),
    Column("disposition", Text, nullable=False),
    Column("arguments", Text, nullable=False),  # JSON
    Column("context", Text, nullable=False),  # JSON
    Column("session_id", Text),
    Column("user_id", Text),
    Column("version", Text, nullable=False),
    Column("prompt_version", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("at", DOUBLE_PRECISION, nullable=False),
    Column("expires_at", DOUBLE_PRECISION),
    Column("decision", Text),
    Column("decided_at", DOUBLE_PRECISION),
    Column("decided_by", Text),
    Column("decided_arguments", Text),  # JSON
    Column("reason", Text),
    Column("started_at", DOUBLE_PRECISION),
    Column("finished_at", DOUBLE_PRECISION),
    Column("result", Text),  # JSON
    Column("shadow_match", Text),
    Column("sampled", Integer, nullable=False),
    Column("verdict", Text),
    Column("audited_at", DOUBLE_PRECISION),
    Column("audited_by", Text),
    Column("leased_until", DOUBLE_PRECISION),
    Column("settled_at", DOUBLE_PRECISION),
    Column("settled_by", Text),
    Column("settled_why", Text),
    Column("happened", Integer),
    Column("own", Integer),  # decided by the user who had asked for it; null where that was not written down
    Column("effect", Text),  # JSON
    Column("decided_effect", Text),  # JSON
    Column("real_id", Text),  # in the system of record: what a person did instead of a suggestion
    Column("real_at", DOUBLE_PRECISION),
    Column("difference", Text),
    Index("agentgauge_action_agent_at", "agent", "at"),
    # These hold all that a track record needs: the rows themselves are long, with whole conversations in them.
    Index("agentgauge_action_decisions", "agent", "tool", "decided_at", "decision"),
    Index("agentgauge_action_record", "agent", "tool", "decided_at", "decision", "own"),
    Index("agentgauge_action_audits", "agent", "tool", "audited_at", "verdict"),
    # What waits is few among many.
    _partial_index("agentgauge_action_waiting", "agent", "disposition = 'approval' AND decision IS NULL"),
    # So is what was begun and has no end.
    _partial_index(
        "agentgauge_action_unfinished",
        "agent",
        "started_at IS NOT NULL AND finished_at IS NULL AND settled_at IS NULL",
    ),
    # Replicas look every minute for what people did instead.
    _partial_index("agentgauge_action_to_compare", "agent", "disposition = 'suggested' AND shadow_match IS NULL"),
    _partial_index("agentgauge_action_real", "agent", "real_id IS NOT NULL"),
)

SUSPENSIONS = Table(
    "agentgauge_suspension",
    tables,
    Column("id", Text, primary_key=True),
    Column("agent", Text, nullable=False),
    Column("session_id", Text, nullable=False),
    Column("user_id", Text),
    Column("at", DOUBLE_PRECISION, nullable=False),
    Column("action_ids", Text, nullable=False),  # JSON
    Column("state", Text, nullable=False),  # JSON
    Column("leased_until", DOUBLE_PRECISION),
    Column("answer", Text),  # JSON
    Index("agentgauge_suspension_session", "agent", "session_id"),
    # Requests that have not ended are few, and replicas look for them twice a second.
    _partial_index("agentgauge_suspension_open", "agent", "answer IS NULL"),
)

DECISIONS = Table(
    "agentgauge_decision",
    tables,
    Column("agent", Text, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("at", DOUBLE_PRECISION, nullable=False),
    Column("action_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("person", Text, nullable=False),
    Column("content", Text, nullable=False),  # JSON
    Column("previous", Text, nullable=False),
    Column("hash", Text, nullable=False),
    Index("agentgauge_decision_action", "agent", "action_id"),
)
"""Rows are only ever added, each with the hash of the one before; retention writes down where the chain goes on."""

LOGINS = Table(
    "agentgauge_login",
    tables,
    Column("id", Text, primary_key=True),  # the hash of what is handed out
    Column("agent", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("person", Text, nullable=False),
    Column("until", DOUBLE_PRECISION, nullable=False),
)

AUTONOMY_CHANGES = Table(
    "agentgauge_autonomy_change",
    tables,
    Column("id", Text, primary_key=True),
    Column("agent", Text, nullable=False),
    Column("at", DOUBLE_PRECISION, nullable=False),
    Column("subject", Text, nullable=False),
    Column("before", Text),
    Column("after", Text, nullable=False),
    Column("changed_by", Text, nullable=False),
    Column("reason", Text, nullable=False),
)

OUTBOX = Table(
    "agentgauge_outbox",
    tables,
    Column("id", Text, primary_key=True),
    Column("agent", Text, nullable=False),
    Column("metric", Text, nullable=False),
    Column("labels", Text, nullable=False),  # JSON
    Column("value", DOUBLE_PRECISION, nullable=False),
)

EVAL_RUNS = Table(
    "agentgauge_eval_run",
    tables,
    Column("id", Text, primary_key=True),
    Column("agent", Text, nullable=False),
    Column("suite", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("prompt_version", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("source_commit", Text, nullable=False),
    Column("partial", Integer, nullable=False),
    Column("started_at", DOUBLE_PRECISION, nullable=False),
    Column("finished_at", DOUBLE_PRECISION),
    Column("result", Text),
    Column("live", Integer),  # 1: the version in production was evaluated; 0 or null: a candidate
)

EVAL_TRIALS = Table(
    "agentgauge_eval_trial",
    tables,
    Column("run_id", Text, primary_key=True),
    Column("scenario", Text, primary_key=True),
    Column("trial", Integer, primary_key=True),
    Column("score", DOUBLE_PRECISION, nullable=False),
    Column("passed", Integer, nullable=False),
    Column("turns", Integer, nullable=False),
    Column("cost_usd", DOUBLE_PRECISION, nullable=False),
    Column("judge_cost_usd", DOUBLE_PRECISION, nullable=False),
    Column("seconds", DOUBLE_PRECISION, nullable=False),
    Column("failures", Text, nullable=False),  # JSON
    Column("transcript", Text, nullable=False),  # JSON
)

PROMPT_ACTIVATIONS = Table(
    "agentgauge_prompt_activation",
    tables,
    Column("id", Text, primary_key=True),
    Column("agent", Text, nullable=False),
    Column("at", DOUBLE_PRECISION, nullable=False),
    Column("version", Text, nullable=False),
    Column("activated_by", Text, nullable=False),
    Column("reason", Text, nullable=False),
)

THROTTLES = Table(
    "agentgauge_throttle",
    tables,
    Column("agent", Text, primary_key=True),
    Column("user_id", Text, primary_key=True),
    Column("level", Text, primary_key=True),
    Column("since", DOUBLE_PRECISION, nullable=False),
    Column("until", DOUBLE_PRECISION),
    Column("set_by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("lifted_by", Text),
)

BUDGET_ACCOUNTS = Table(
    "agentgauge_budget_account",
    tables,
    Column("agent", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("holder", Text, primary_key=True),  # the id of the session or of the user
    Column("day", Text, primary_key=True),  # empty for a session
    Column("spent_usd", DOUBLE_PRECISION, nullable=False),
    Column("at", DOUBLE_PRECISION, nullable=False),
)

BUDGET_HOLDS = Table(
    "agentgauge_budget_hold",
    tables,
    Column("agent", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("holder", Text, primary_key=True),
    Column("day", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("usd", DOUBLE_PRECISION, nullable=False),
    Column("until", DOUBLE_PRECISION, nullable=False),
    Index("agentgauge_budget_hold_id", "id"),
)

OPERATIONS = Table(
    "agentgauge_operation",
    tables,
    Column("agent", Text, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("at", DOUBLE_PRECISION, nullable=False),
    Column("done_by", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("detail", Text, nullable=False),  # JSON
    Index("agentgauge_operation_kind", "agent", "kind", "number"),
)

TRANSCRIPTS = Table(
    "agentgauge_transcript",
    tables,
    Column("agent", Text, primary_key=True),
    Column("session_id", Text, primary_key=True),
    Column("user_pseudonym", Text),
    Column("at", DOUBLE_PRECISION, nullable=False),
    Column("version", Text, nullable=False),
    Column("prompt_version", Text, nullable=False),
    Column("tool_calls", Integer, nullable=False),
    Column("turns", Integer, nullable=False),
    Column("cost_usd", DOUBLE_PRECISION, nullable=False),
    Column("policy", Text, nullable=False),
    Column("occasions", Text, nullable=False),  # JSON
    Column("messages", Text),  # JSON
    Index("agentgauge_transcript_at", "agent", "at"),
)

REPLICAS = Table(
    "agentgauge_replica",
    tables,
    Column("agent", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("address", Text, nullable=False),
    Column("certificate", Text),  # PEM
    Column("version", Text, nullable=False),
    Column("started_at", DOUBLE_PRECISION, nullable=False),
    Column("seen_at", DOUBLE_PRECISION, nullable=False),
)

SCHEMA_VERSION, OLDEST_USER_NAME = "schema_version", "oldest_user"
"""Rows of META: the schema's version, and the lowest version whose code may use it."""

MIGRATION_LOCK = 0x61676C65
"""The advisory lock of PostgreSQL under which one replica migrates and the others wait; an arbitrary number."""


class NewerSchemaError(Exception):
    """The database has a schema that this version of the code must not use."""

    def __init__(self, version: int) -> None:
        super().__init__(
            f"its schema has version {version}, this agentgauge knows {VERSION} at most; "
            "upgrade agentgauge (schemas are never taken back)"
        )


def migrate(connection: Connection, count_users: Callable[[Connection], None]) -> bytes:
    """Bring the schema to VERSION, within the caller's transaction; returns the pseudonym key, made at first use.

    ``count_users`` counts the users of a ledger that has usage, but no counts of its users yet.
    A later schema that says that this code may go on with it is left as it is. Raises NewerSchemaError, and changes
    nothing, when it does not say so.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK})
        for index in (index for table in tables.sorted_tables for index in table.indexes):
            index.dialect_options["postgresql"]["where"] = index.dialect_options["sqlite"]["where"]
    if not inspect(connection).has_table(META.name):
        META.create(connection)
        connection.execute(META.insert().values(name=SCHEMA_VERSION, value="0"))
        connection.execute(META.insert().values(name="pseudonym_key", value=secrets.token_bytes(32).hex()))
    version, key = _stored(connection)
    if version < VERSION:
        _add_what_is_missing(connection)
        if 0 < version < COUNTS_SINCE:
            count_users(connection)
        connection.execute(META.update().where(META.c.name == SCHEMA_VERSION).values(value=str(VERSION)))
        connection.execute(META.delete().where(META.c.name == OLDEST_USER_NAME))
        connection.execute(META.insert().values(name=OLDEST_USER_NAME, value=str(OLDEST_USER)))
    return key


def key_if_current(connection: Connection) -> bytes | None:
    """The pseudonym key, if the schema has VERSION or a later one; None if ``migrate`` has something to do.

    It only reads. Raises NewerSchemaError, as ``migrate`` does.
    """
    if not inspect(connection).has_table(META.name):
        return None
    version, key = _stored(connection)
    return key if version >= VERSION else None


def check_is_known(connection: Connection) -> None:
    """Raise NewerSchemaError if the database may have tables or columns that this code does not know."""
    version, _key = _stored(connection)
    if version > VERSION:
        raise NewerSchemaError(version)


def _stored(connection: Connection) -> tuple[int, bytes]:
    """The version and the pseudonym key; NewerSchemaError when the code is too old for the database."""
    stored = {row.name: row.value for row in connection.execute(META.select())}
    version = int(stored[SCHEMA_VERSION])
    if version > VERSION and int(stored.get(OLDEST_USER_NAME, version)) > VERSION:
        raise NewerSchemaError(version)
    return version, bytes.fromhex(stored["pseudonym_key"])


def _add_what_is_missing(connection: Connection) -> None:
    """Add the tables, columns and indexes that the database lacks; what it has stays as it is."""
    tables.create_all(connection)
    found = inspect(connection)
    for table in tables.sorted_tables:
        columns = {column["name"] for column in found.get_columns(table.name)}
        for column in table.columns:
            if column.name not in columns:
                definition = CreateColumn(column).compile(dialect=connection.dialect)
                connection.execute(text(f"ALTER TABLE {table.name} ADD COLUMN {definition}"))
        indexes = {index["name"] for index in found.get_indexes(table.name)}
        for index in table.indexes:
            if index.name not in indexes:
                index.create(connection)
