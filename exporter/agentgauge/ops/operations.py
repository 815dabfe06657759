"""What people do to a running agent: numbered rows in the ledger, which each of its processes follows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import Connection, Row, Select, func, select, text

from agentgauge.ledger.schema import OPERATIONS
from agentgauge.ledger.store import Ledger

Kind = Literal["switches", "cache_drop", "end_session", "throttle", "unthrottle", "incident"]

MOST_AT_ONCE = 1000


@dataclass(frozen=True)
class Operation:
    """One thing that somebody did.

    ``number`` counts an agent's operations from 1, ``at`` is UTC. ``detail`` depends on the ``kind``; it names tools,
    models, sessions and pseudonyms, never users.
    """

    number: int
    at: datetime
    by: str
    why: str
    kind: Kind
    detail: Mapping[str, Any]


class Operations:
    """The operations of one agent. Methods work at once and raise SQLAlchemyError when the database cannot."""

    def __init__(self, ledger: Ledger, agent: str) -> None:
        self._ledger = ledger
        self._agent = agent

    def add(self, kind: Kind, detail: Mapping[str, Any], by: str, why: str) -> Operation:
        """Commit an operation; the agent's processes carry it out within seconds."""
        with self._ledger.writing() as connection:
            return self.add_within(connection, kind, detail, by, why)

    def add_within(self, connection: Connection, kind: Kind, detail: Mapping[str, Any], by: str, why: str) -> Operation:
        """Add an operation to the caller's transaction."""
        self.lock(connection)
        newest = connection.execute(self._newest_number()).scalar() or 0
        now = self._ledger.now()
        row = {
            "agent": self._agent,
            "number": newest + 1,
            "at": now.timestamp(),
            "done_by": by,
            "why": why,
            "kind": kind,
            "detail": json.dumps(detail),
        }
        connection.execute(OPERATIONS.insert(), row)
        return Operation(newest + 1, now, by, why, kind, detail)

    def lock(self, connection: Connection) -> None:
        """Let nobody else add an operation before the caller's transaction ends.

        So the numbers are in the order of the commits: whoever has seen a number has seen all before it.
        """
        if connection.dialect.name == "postgresql":  # SQLite lets one write at a time anyway
            connection.execute(text(f"LOCK TABLE {OPERATIONS.name} IN EXCLUSIVE MODE"))

    def newest_number(self) -> int:
        """The number of the last operation, 0 if there is none."""
        with self._ledger.reading() as connection:
            return connection.execute(self._newest_number()).scalar() or 0

    def newest(self, kind: Kind) -> Operation | None:
        """The last operation of a kind."""
        with self._ledger.reading() as connection:
            return self.newest_within(connection, kind)

    def newest_within(self, connection: Connection, kind: Kind) -> Operation | None:
        """The last operation of a kind, as the caller's transaction sees it."""
        of_kind = self._own().where(OPERATIONS.c.kind == kind)
        row = connection.execute(of_kind.order_by(OPERATIONS.c.number.desc()).limit(1)).one_or_none()
        return None if row is None else _operation(row)

    def since(self, number: int) -> list[Operation]:
        """The operations after this number, oldest first, MOST_AT_ONCE at most."""
        later = self._own().where(OPERATIONS.c.number > number).order_by(OPERATIONS.c.number).limit(MOST_AT_ONCE)
        with self._ledger.reading() as connection:
            return [_operation(row) for row in connection.execute(later)]

    def all(self) -> list[Operation]:
        """Every operation that is kept, oldest first."""
        with self._ledger.reading() as connection:
            return [_operation(row) for row in connection.execute(self._own().order_by(OPERATIONS.c.number))]

    def _own(self) -> Select[Any]:
        return select(OPERATIONS).where(OPERATIONS.c.agent == self._agent)

    def _newest_number(self) -> Select[Any]:
        return select(func.max(OPERATIONS.c.number)).where(OPERATIONS.c.agent == self._agent)


def _operation(row: Row[Any]) -> Operation:
    at = datetime.fromtimestamp(row.at, UTC)
    return Operation(row.number, at, row.done_by, row.why, row.kind, json.loads(row.detail))
