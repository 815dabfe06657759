"""What people decided, in the order in which they did: the log that `agentgauge approvals verify` checks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Row, select

from agentgauge.ledger import decision_chain
from agentgauge.ledger.schema import ACTIONS, DECISIONS
from agentgauge.ledger.store import Ledger
from agentgauge.vocabulary import DECISIONS as DECISION_KINDS

AGREED = "agreed"
"""Of the first of two people whom the policy wants: it decides nothing yet."""


@dataclass(frozen=True)
class Head:
    """The newest row: who keeps it elsewhere finds out later whether everything before it was rewritten."""

    number: int
    hash: str

    def __str__(self) -> str:
        return f"{self.number}:{self.hash}"


@dataclass(frozen=True)
class Verified:
    """What a check of the log came to: how many rows, the newest, and what is wrong, a sentence each."""

    rows: int
    head: Head | None
    problems: tuple[str, ...]


class Decisions:
    """The log of one agent. Methods work at once and raise SQLAlchemyError when the database cannot."""

    def __init__(self, ledger: Ledger, agent: str) -> None:
        self._ledger = ledger
        self._agent = agent

    def verify(self, kept: Head | None = None) -> Verified:
        """Check the chain, and every decided action against it; with ``kept``, that this row is still the same."""
        with self._ledger.reading() as connection:
            own = select(DECISIONS).where(DECISIONS.c.agent == self._agent).order_by(DECISIONS.c.number)
            rows = connection.execute(own).all()
            problems = [*decision_chain.breaks(rows), *self._misfits(connection, rows)]
        if kept is not None:
            problems += _differs(kept, rows)
        head = Head(rows[-1].number, rows[-1].hash) if rows else None
        return Verified(len(rows), head, tuple(problems))

    def _misfits(self, connection: Connection, rows: Sequence[Row[Any]]) -> Iterator[str]:
        """Decided actions that are not in the log as they are, and those of the log that are gone."""
        logged = {row.action_id: row for row in rows if row.kind in DECISION_KINDS}
        decided = select(ACTIONS.c.id, ACTIONS.c.tool, ACTIONS.c.decision, ACTIONS.c.decided_by, ACTIONS.c.decided_at)
        decided = decided.where(ACTIONS.c.agent == self._agent)
        known = {row.id: row for row in connection.execute(decided)}
        for action in known.values():
            row = logged.get(action.id)
            if row is None:
                if action.decision is not None and rows and action.decided_at >= rows[0].at:
                    yield f"action {action.id} ({action.tool}) is {action.decision}, and the log has no such decision"
            elif (row.kind, row.person) != (action.decision, action.decided_by):
                was = f"{row.kind} by {row.person}"
                yield (
                    f"action {action.id} ({action.tool}) says {action.decision} by {action.decided_by}, and decision "
                    f"{row.number} says {was}"
                )
        oldest = (self._ledger.now() - timedelta(days=self._ledger.retention_days)).timestamp()
        for row in logged.values():
            if row.action_id not in known and json.loads(row.content)["proposed_at"] >= oldest:
                yield f"action {row.action_id}, which decision {row.number} is about, is missing"


def agreed(connection: Connection, agent: str, action_id: str, seal: str) -> list[str]:
    """Who has agreed to an action so far, as it was sealed."""
    of_action = select(DECISIONS.c.person, DECISIONS.c.content).where(
        DECISIONS.c.agent == agent, DECISIONS.c.action_id == action_id, DECISIONS.c.kind == AGREED
    )
    return [row.person for row in connection.execute(of_action) if json.loads(row.content)["seal"] == seal]


def _differs(kept: Head, rows: Sequence[Row[Any]]) -> list[str]:
    by_number = {row.number: row for row in rows}
    if kept.number not in by_number:
        if rows and kept.number < rows[0].number:
            return [f"decision {kept.number} is older than what is kept, so it cannot be compared"]
        return [f"decision {kept.number} is missing, which was there when its hash was written down"]
    if by_number[kept.number].hash != kept.hash:
        return [f"decision {kept.number} is another one than when its hash was written down"]
    return []
