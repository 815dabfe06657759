"""Who is slowed down or stopped for what they cost, by whom, why and until when: all replicas read it here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Row, or_, select, update

from agentgauge.ledger.schema import THROTTLES
from agentgauge.ledger.store import Ledger
from agentgauge.ops.operations import Operations

Level = Literal["throttle", "stop"]


@dataclass(frozen=True)
class Throttle:
    """A user who may ask less often (``throttle``) or not at all (``stop``). ``until`` None is until it is lifted.

    One that was lifted has ``lifted_by``, and is kept to the end of the day so that no budget sets it again.
    """

    user_id: str
    level: Level
    since: datetime
    until: datetime | None
    set_by: str
    reason: str
    lifted_by: str | None = None


class Throttles:
    """The throttles of one agent's users. Methods work at once and raise SQLAlchemyError when the database cannot."""

    def __init__(self, ledger: Ledger, agent: str) -> None:
        self._ledger = ledger
        self._agent = agent
        self._operations = Operations(ledger, agent)

    def put(self, user_id: str, level: Level, until: datetime | None, by: str, reason: str) -> None:
        """Set one, in place of the user's last one of that level; an operation that `ops log` shows."""
        detail = {
            "user": self._ledger.pseudonym(user_id),
            "level": level,
            "until": None if until is None else until.isoformat(timespec="minutes"),
        }
        with self._ledger.writing() as connection:
            self._upsert(connection, user_id, level, until, by, reason, replaced=None)
            self._operations.add_within(connection, "throttle", detail, by, reason)

    def put_first(self, user_id: str, level: Level, until: datetime | None, by: str, reason: str) -> bool:
        """Set one, unless one of that level is in force or was lifted today; whether it was set.

        So of several replicas that come to the same conclusion one sets it, and none takes a person's word back.
        """
        now = self._ledger.now().timestamp()
        with self._ledger.writing() as connection:
            return self._upsert(connection, user_id, level, until, by, reason, replaced=THROTTLES.c.until <= now)

    def lift(self, user_id: str, by: str, reason: str = "") -> int:
        """Lift what is in force for a user, an operation that `ops log` shows; returns how many throttles that were."""
        lifting = update(THROTTLES).where(*self._current(), THROTTLES.c.user_id == user_id)
        with self._ledger.writing() as connection:
            lifted = connection.execute(
                lifting.where(THROTTLES.c.lifted_by.is_(None)).values(
                    lifted_by=by, until=end_of_day(self._ledger.now()).timestamp()
                )
            )
            if lifted.rowcount:
                detail = {"user": self._ledger.pseudonym(user_id)}
                self._operations.add_within(connection, "unthrottle", detail, by, reason)
            return lifted.rowcount

    def current(self) -> list[Throttle]:
        """Those that are in force, and those that were lifted today, by when they were set."""
        with self._ledger.reading() as connection:
            rows = connection.execute(select(THROTTLES).where(*self._current()).order_by(THROTTLES.c.since))
            return [_throttle(row) for row in rows]

    def _current(self) -> tuple[ColumnElement[bool], ...]:
        until = THROTTLES.c.until
        return THROTTLES.c.agent == self._agent, or_(until.is_(None), until > self._ledger.now().timestamp())

    def _upsert(
        self,
        connection: Connection,
        user_id: str,
        level: Level,
        until: datetime | None,
        by: str,
        reason: str,
        replaced: ColumnElement[bool] | None,
    ) -> bool:
        """Insert a row, or update the one that there is if it is ``replaced``; whether there was anything to do."""
        content = {
            "since": self._ledger.now().timestamp(),
            "until": None if until is None else until.timestamp(),
            "set_by": by,
            "reason": reason,
            "lifted_by": None,
        }
        key = {"agent": self._agent, "user_id": user_id, "level": level}
        inserting = self._ledger.upserting(THROTTLES).values(key | content)
        upserting = inserting.on_conflict_do_update(index_elements=list(key), set_=content, where=replaced)
        return connection.execute(upserting.returning(THROTTLES.c.user_id)).first() is not None


def end_of_day(now: datetime) -> datetime:
    """The next 00:00 UTC."""
    return datetime.combine(now.astimezone(UTC).date() + timedelta(days=1), time(), UTC)


def _throttle(row: Row[Any]) -> Throttle:
    return Throttle(
        row.user_id,
        row.level,
        datetime.fromtimestamp(row.since, UTC),
        None if row.until is None else datetime.fromtimestamp(row.until, UTC),
        row.set_by,
        row.reason,
        row.lifted_by,
    )
