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
    Column("at", Double, nullable=False),
    Column("expires_at", Double),
    Column("decision", Text),
    Column("decided_at", Double),
    Column("decided_by", Text),
    Column("decided_arguments", Text),  # JSON
    Column("reason", Text),
    Column("started_at", Double),
    Column("finished_at", Double),
    Column("result", Text),  # JSON
    Column("shadow_match", Text),
    Column("sampled", Integer, nullable=False),
    Column("verdict", Text),
    Column("audited_at", Double),
    Column("audited_by", Text),
)

SUSPENSIONS = Table(
    "agentgauge_suspension",
    tables,
    Column("id", Text, primary_key=True),
    Column("agent", Text, nullable=False),
    Column("session_id", Text, nullable=False),
    Column("user_id", Text),
    Column("at", Double, nullable=False),
    Column("action_ids", Text, nullable=False),  # JSON
    Column("state", Text, nullable=False),  # JSON
    Column("leased_until", Double),
    Column("answer", Text),  # JSON
)

AUTONOMY_CHANGES = Table(
    "agentgauge_autonomy_change",
    tables,
    Column("id", Text, primary_key=True),
    Column("agent", Text, nullable=False),
    Column("at", Double, nullable=False),
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
    Column("value", Double, nullable=False),
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
    Column("started_at", Double, nullable=False),
    Column("finished_at", Double),
    Column("result", Text),
)

EVAL_TRIALS = Table(
    "agentgauge_eval_trial",
    tables,
    Column("run_id", Text, primary_key=True),
    Column("scenario", Text, primary_key=True),
    Column("trial", Integer, primary_key=True),
    Column("score", Double, nullable=False),
    Column("passed", Integer, nullable=False),
    Column("turns", Integer, nullable=False),
    Column("cost_usd", Double, nullable=False),
    Column("judge_cost_usd", Double, nullable=False),
    Column("seconds", Double, nullable=False),
    Column("failures", Text, nullable=False),  # JSON
    Column("transcript", Text, nullable=False),  # JSON
)

PROMPT_ACTIVATIONS = Table(
    "agentgauge_prompt_activation",
    tables,
    Column("id", Text, primary_key=True),
    Column("agent", Text, nullable=False),
    Column("at", Double, nullable=False),
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
    Column("since", Double, nullable=False),
    Column("until", Double),
    Column("set_by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("lifted_by", Text),
)

OPERATIONS = Table(
    "agentgauge_operation",
    tables,
    Column("agent", Text, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("at", Double, nullable=False),
    Column("done_by", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("detail", Text, nullable=False),  # JSON
)

REPLICAS = Table(
    "agentgauge_replica",
    tables,
    Column("agent", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("address", Text, nullable=False),
    Column("certificate", Text),  # PEM
    Column("version", Text, nullable=False),
    Column("started_at", Double, nullable=False),
    Column("seen_at", Double, nullable=False),
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
    (
        """
        CREATE TABLE agentgauge_action (
            id TEXT NOT NULL PRIMARY KEY,
            agent TEXT NOT NULL,
            tool TEXT NOT NULL,
            risk TEXT NOT NULL,
            disposition TEXT NOT NULL,
            arguments TEXT NOT NULL,
            context TEXT NOT NULL,
            session_id TEXT,
            user_id TEXT,
            version TEXT NOT NULL,
            prompt_version TEXT NOT NULL,
            model TEXT NOT NULL,
            at DOUBLE PRECISION NOT NULL,
            expires_at DOUBLE PRECISION,
            decision TEXT,
            decided_at DOUBLE PRECISION,
            decided_by TEXT,
            decided_arguments TEXT,
            reason TEXT,
            started_at DOUBLE PRECISION,
            finished_at DOUBLE PRECISION,
            result TEXT,
            shadow_match TEXT,
            sampled INTEGER NOT NULL,
            verdict TEXT,
            audited_at DOUBLE PRECISION,
            audited_by TEXT
        )
        """,
        "CREATE INDEX agentgauge_action_agent_at ON agentgauge_action (agent, at)",
        # These hold all that a track record needs: the rows themselves are long, with whole conversations in them.
        "CREATE INDEX agentgauge_action_decisions ON agentgauge_action (agent, tool, decided_at, decision)",
        "CREATE INDEX agentgauge_action_audits ON agentgauge_action (agent, tool, audited_at, verdict)",
        # What waits is few among many.
        """
        CREATE INDEX agentgauge_action_waiting ON agentgauge_action (agent)
        WHERE disposition = 'approval' AND decision IS NULL
        """,
        """
        CREATE TABLE agentgauge_suspension (
            id TEXT NOT NULL PRIMARY KEY,
            agent TEXT NOT NULL,
            session_id TEXT NOT NULL,
            user_id TEXT,
            at DOUBLE PRECISION NOT NULL,
            action_ids TEXT NOT NULL,
            state TEXT NOT NULL,
            leased_until DOUBLE PRECISION,
            answer TEXT
        )
        """,
        "CREATE INDEX agentgauge_suspension_session ON agentgauge_suspension (agent, session_id)",
        """
        CREATE TABLE agentgauge_autonomy_change (
            id TEXT NOT NULL PRIMARY KEY,
            agent TEXT NOT NULL,
            at DOUBLE PRECISION NOT NULL,
            subject TEXT NOT NULL,
            before TEXT,
            after TEXT NOT NULL,
            changed_by TEXT NOT NULL,
            reason TEXT NOT NULL
        )
        """,
        """
        CREATE TABLE agentgauge_outbox (
            id TEXT NOT NULL PRIMARY KEY,
            agent TEXT NOT NULL,
            metric TEXT NOT NULL,
            labels TEXT NOT NULL,
            value DOUBLE PRECISION NOT NULL
        )
        """,
        """
        CREATE TABLE agentgauge_eval_run (
            id TEXT NOT NULL PRIMARY KEY,
            agent TEXT NOT NULL,
            suite TEXT NOT NULL,
            version TEXT NOT NULL,
            prompt_version TEXT NOT NULL,
            model TEXT NOT NULL,
            source_commit TEXT NOT NULL,
            partial INTEGER NOT NULL,
            started_at DOUBLE PRECISION NOT NULL,
            finished_at DOUBLE PRECISION,
            result TEXT
        )
        """,
        """
        CREATE TABLE agentgauge_eval_trial (
            run_id TEXT NOT NULL,
            scenario TEXT NOT NULL,
            trial INTEGER NOT NULL,
            score DOUBLE PRECISION NOT NULL,
            passed INTEGER NOT NULL,
            turns INTEGER NOT NULL,
            cost_usd DOUBLE PRECISION NOT NULL,
            judge_cost_usd DOUBLE PRECISION NOT NULL,
            seconds DOUBLE PRECISION NOT NULL,
            failures TEXT NOT NULL,
            transcript TEXT NOT NULL,
            PRIMARY KEY (run_id, scenario, trial)
        )
        """,
        """
        CREATE TABLE agentgauge_prompt_activation (
            id TEXT NOT NULL PRIMARY KEY,
            agent TEXT NOT NULL,
            at DOUBLE PRECISION NOT NULL,
            version TEXT NOT NULL,
            activated_by TEXT NOT NULL,
            reason TEXT NOT NULL
        )
        """,
        """
        CREATE TABLE agentgauge_throttle (
            agent TEXT NOT NULL,
            user_id TEXT NOT NULL,
            level TEXT NOT NULL,
            since DOUBLE PRECISION NOT NULL,
            until DOUBLE PRECISION,
            set_by TEXT NOT NULL,
            reason TEXT NOT NULL,
            lifted_by TEXT,
            PRIMARY KEY (agent, user_id, level)
        )
        """,
    ),
    (
        """
        CREATE TABLE agentgauge_operation (
            agent TEXT NOT NULL,
            number INTEGER NOT NULL,
            at DOUBLE PRECISION NOT NULL,
            done_by TEXT NOT NULL,
            why TEXT NOT NULL,
            kind TEXT NOT NULL,
            detail TEXT NOT NULL,
            PRIMARY KEY (agent, number)
        )
        """,
        "CREATE INDEX agentgauge_operation_kind ON agentgauge_operation (agent, kind, number)",
        """
        CREATE TABLE agentgauge_replica (
            agent TEXT NOT NULL,
            id TEXT NOT NULL,
            address TEXT NOT NULL,
            certificate TEXT,
            version TEXT NOT NULL,
            started_at DOUBLE PRECISION NOT NULL,
            seen_at DOUBLE PRECISION NOT NULL,
            PRIMARY KEY (agent, id)
        )
        """,
    ),
    (
        # Requests that have not ended are few, and replicas look for them twice a second.
        """
        CREATE INDEX agentgauge_suspension_open ON agentgauge_suspension (agent)
        WHERE answer IS NULL
        """,
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
