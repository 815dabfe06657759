"""Changes of what an agent may do without asking: stage, tools, policy. The last change of each is its state."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, select, text

from agentgauge.ledger.outbox import Measurement, put
from agentgauge.ledger.schema import AUTONOMY_CHANGES
from agentgauge.ledger.store import Ledger

SHORTEST_STEP_SECONDS = 1e-3
"""Two changes of one subject are at least this far apart, so that it is clear which was the last."""


@dataclass(frozen=True)
class StateChange:
    """Who changed what, when and why. ``before`` is None for the first change of a subject."""

    subject: str
    before: str | None
    after: str
    changed_by: str
    reason: str
    at: datetime


class Changes:
    """The changes of one agent. Methods work at once and raise SQLAlchemyError when the database cannot."""

    def __init__(self, ledger: Ledger, agent: str) -> None:
        self._ledger = ledger
        self._agent = agent

    def record(
        self, subject: str, before: str | None, after: str, by: str, reason: str, *measurements: Measurement
    ) -> bool:
        """Commit a change and what it measures; return False and write nothing if the state is no longer ``before``.

        Of several replicas that come to the same conclusion, one records it.
        """
        with self._ledger.writing() as connection:
            if connection.dialect.name == "postgresql":
                # SQLite lets one write at a time anyway.
                connection.execute(text(f"LOCK TABLE {AUTONOMY_CHANGES.name} IN EXCLUSIVE MODE"))
            last = self._last(connection, subject)
            if (None if last is None else last.after) != before:
                return False
            now = self._ledger.now().timestamp()
            at = now if last is None else max(now, last.at.timestamp() + SHORTEST_STEP_SECONDS)
            row = {
                "id": uuid.uuid4().hex,
                "agent": self._agent,
                "at": at,
                "subject": subject,
                "before": before,
                "after": after,
                "changed_by": by,
                "reason": reason,
            }
            connection.execute(AUTONOMY_CHANGES.insert(), row)
            put(connection, self._agent, *measurements)
        return True

    def now(self) -> datetime:
        """The ledger's time, in UTC."""
        return self._ledger.now()

    def last(self, subject: str) -> StateChange | None:
        """The last change of a subject: its state."""
        with self._ledger.reading() as connection:
            return self._last(connection, subject)

    def state(self) -> dict[str, StateChange]:
        """The last change of every subject."""
        return {change.subject: change for change in self.history()}

    def history(self) -> list[StateChange]:
        """All changes, oldest first."""
        with self._ledger.reading() as connection:
            return [_change(row) for row in connection.execute(self._own().order_by(AUTONOMY_CHANGES.c.at))]

    def _last(self, connection: Connection, subject: str) -> StateChange | None:
        of_subject = self._own().where(AUTONOMY_CHANGES.c.subject == subject)
        row = connection.execute(of_subject.order_by(AUTONOMY_CHANGES.c.at.desc()).limit(1)).one_or_none()
        return None if row is None else _change(row)

    def _own(self) -> Select[Any]:
        return select(AUTONOMY_CHANGES).where(AUTONOMY_CHANGES.c.agent == self._agent)


def _change(row: Row[Any]) -> StateChange:
    at = datetime.fromtimestamp(row.at, UTC)
    return StateChange(row.subject, row.before, row.after, row.changed_by, row.reason, at)
