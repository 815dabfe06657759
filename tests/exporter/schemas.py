"""The statements by which released versions of the ledger's schema were made, so that upgrades start from real ones.

Frozen: a new version of the schema adds what it adds at the end, as its first release created it.
"""

from __future__ import annotations

from sqlalchemy import create_engine, text

KEY = "5a" * 32
"""The pseudonym key of such a ledger."""

STEPS: tuple[tuple[str, ...], ...] = (
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
    (
        "ALTER TABLE agentgauge_usage ADD COLUMN first_turn_at DOUBLE PRECISION",
        "ALTER TABLE agentgauge_usage ADD COLUMN last_turn_at DOUBLE PRECISION",
    ),
    (
        "ALTER TABLE agentgauge_action ADD COLUMN leased_until DOUBLE PRECISION",
        "ALTER TABLE agentgauge_action ADD COLUMN settled_at DOUBLE PRECISION",
        "ALTER TABLE agentgauge_action ADD COLUMN settled_by TEXT",
        "ALTER TABLE agentgauge_action ADD COLUMN settled_why TEXT",
        "ALTER TABLE agentgauge_action ADD COLUMN happened INTEGER",
        """
        CREATE INDEX agentgauge_action_unfinished ON agentgauge_action (agent)
        WHERE started_at IS NOT NULL AND finished_at IS NULL AND settled_at IS NULL
        """,
    ),
    (
        "ALTER TABLE agentgauge_action ADD COLUMN own INTEGER",
        "CREATE INDEX agentgauge_action_record ON agentgauge_action (agent, tool, decided_at, decision, own)",
    ),
    ("ALTER TABLE agentgauge_eval_run ADD COLUMN live INTEGER",),
    (
        """
        CREATE TABLE agentgauge_login (
            id TEXT NOT NULL PRIMARY KEY,
            agent TEXT NOT NULL,
            kind TEXT NOT NULL,
            person TEXT NOT NULL,
            until DOUBLE PRECISION NOT NULL
        )
        """,
    ),
    (
        "ALTER TABLE agentgauge_feedback ADD COLUMN session_id TEXT",
        """
        CREATE TABLE agentgauge_transcript (
            agent TEXT NOT NULL,
            session_id TEXT NOT NULL,
            user_pseudonym TEXT,
            at DOUBLE PRECISION NOT NULL,
            version TEXT NOT NULL,
            prompt_version TEXT NOT NULL,
            tool_calls INTEGER NOT NULL,
            turns INTEGER NOT NULL,
            cost_usd DOUBLE PRECISION NOT NULL,
            policy TEXT NOT NULL,
            occasions TEXT NOT NULL,
            messages TEXT,
            PRIMARY KEY (agent, session_id)
        )
        """,
        "CREATE INDEX agentgauge_transcript_at ON agentgauge_transcript (agent, at)",
    ),
    (
        "ALTER TABLE agentgauge_action ADD COLUMN effect TEXT",
        "ALTER TABLE agentgauge_action ADD COLUMN decided_effect TEXT",
    ),
    ("ALTER TABLE agentgauge_usage ADD COLUMN last_failed_at DOUBLE PRECISION",),
    (
        """
        CREATE TABLE agentgauge_decision (
            agent TEXT NOT NULL,
            number INTEGER NOT NULL,
            at DOUBLE PRECISION NOT NULL,
            action_id TEXT NOT NULL,
            kind TEXT NOT NULL,
            person TEXT NOT NULL,
            content TEXT NOT NULL,
            previous TEXT NOT NULL,
            hash TEXT NOT NULL,
            PRIMARY KEY (agent, number)
        )
        """,
        "CREATE INDEX agentgauge_decision_action ON agentgauge_decision (agent, action_id)",
    ),
    (
        "ALTER TABLE agentgauge_usage ADD COLUMN pseudonym TEXT",
        "CREATE INDEX agentgauge_usage_pseudonym ON agentgauge_usage (pseudonym, user_id)",
    ),
    (
        """
        CREATE TABLE agentgauge_budget_account (
            agent TEXT NOT NULL,
            kind TEXT NOT NULL,
            holder TEXT NOT NULL,
            day TEXT NOT NULL,
            spent_usd DOUBLE PRECISION NOT NULL,
            at DOUBLE PRECISION NOT NULL,
            PRIMARY KEY (agent, kind, holder, day)
        )
        """,
        """
        CREATE TABLE agentgauge_budget_hold (
            agent TEXT NOT NULL,
            kind TEXT NOT NULL,
            holder TEXT NOT NULL,
            day TEXT NOT NULL,
            id TEXT NOT NULL,
            usd DOUBLE PRECISION NOT NULL,
            until DOUBLE PRECISION NOT NULL,
            PRIMARY KEY (agent, kind, holder, day, id)
        )
        """,
        "CREATE INDEX agentgauge_budget_hold_id ON agentgauge_budget_hold (id)",
    ),
    (
        "CREATE INDEX agentgauge_usage_cost ON agentgauge_usage (agent, day, cost_usd)",
        """
        CREATE TABLE agentgauge_user (
            agent TEXT NOT NULL,
            user_id TEXT NOT NULL,
            runs TEXT NOT NULL,
            last_turn_at DOUBLE PRECISION,
            last_failed_at DOUBLE PRECISION,
            PRIMARY KEY (agent, user_id)
        )
        """,
        """
        CREATE TABLE agentgauge_user_count (
            agent TEXT NOT NULL,
            kind TEXT NOT NULL,
            slot INTEGER NOT NULL,
            users INTEGER NOT NULL,
            PRIMARY KEY (agent, kind, slot)
        )
        """,
        """
        CREATE TABLE agentgauge_figures (
            agent TEXT NOT NULL,
            name TEXT NOT NULL,
            value TEXT,
            read_at DOUBLE PRECISION NOT NULL,
            due_at DOUBLE PRECISION NOT NULL,
            PRIMARY KEY (agent, name)
        )
        """,
    ),
    (
        "ALTER TABLE agentgauge_action ADD COLUMN real_id TEXT",
        "ALTER TABLE agentgauge_action ADD COLUMN real_at DOUBLE PRECISION",
        "ALTER TABLE agentgauge_action ADD COLUMN difference TEXT",
        """
        CREATE INDEX agentgauge_action_to_compare ON agentgauge_action (agent)
        WHERE disposition = 'suggested' AND shadow_match IS NULL
        """,
        "CREATE INDEX agentgauge_action_real ON agentgauge_action (agent) WHERE real_id IS NOT NULL",
    ),
)


def create(url: str, version: int) -> None:
    """Make an empty ledger as that version left it."""
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE agentgauge_meta (name TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL)"))
        row = text("INSERT INTO agentgauge_meta (name, value) VALUES (:name, :value)")
        connection.execute(row, {"name": "schema_version", "value": str(version)})
        connection.execute(row, {"name": "pseudonym_key", "value": KEY})
        for statements in STEPS[:version]:
            for statement in statements:
                connection.execute(text(statement))
    engine.dispose()
