"""Requests that wait for people: what is needed to go on with them, here or in another process, after any crash.

A request is suspended with the actions it waits for, in one transaction. Once all of them are decided, one process
claims it for some seconds at a time and goes on; if that process dies, the claim runs out and the next one comes.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, delete, func, or_, select, update

from agentgauge.autonomy.actions import WAITING, Proposal, insert
from agentgauge.ledger.schema import ACTIONS, SUSPENSIONS
from agentgauge.ledger.store import Ledger

LEASE_SECONDS = 30.0


@dataclass(frozen=True)
class Suspension:
    """A request that waits for the decisions on its actions, or waited; ``state`` is the agent's own.

    ``answer`` is what its user is to hear once it has ended; None until then.
    """

    id: str
    session_id: str
    user_id: str | None
    action_ids: tuple[str, ...]
    state: Mapping[str, Any]
    answer: Mapping[str, Any] | None
    at: datetime


class ClaimLostError(Exception):
    """The claim of a request ran out, and another process ended it."""


class Suspensions:
    """The suspended requests of one agent. Methods work at once and raise SQLAlchemyError when the database cannot."""

    def __init__(self, ledger: Ledger, agent: str) -> None:
        self._ledger = ledger
        self._agent = agent

    def suspend(
        self, session_id: str, user_id: str | None, state: Mapping[str, Any], proposals: Iterable[Proposal]
    ) -> Suspension:
        """Keep a request and the actions that it waits for; when this returns, both survive a crash."""
        now = self._ledger.now()
        with self._ledger.writing() as connection:
            actions = insert(connection, self._agent, now, proposals)
            row = {
                "id": uuid.uuid4().hex,
                "agent": self._agent,
                "session_id": session_id,
                "user_id": user_id,
                "at": now.timestamp(),
                "action_ids": json.dumps([action.id for action in actions]),
                "state": json.dumps(state),
            }
            connection.execute(SUSPENSIONS.insert(), row)
            return self._get(connection, str(row["id"]))

    def suspend_again(
        self, suspension_id: str, state: Mapping[str, Any], proposals: Iterable[Proposal]
    ) -> tuple[str, ...]:
        """Let a claimed request wait for further actions, whose ids it returns. Raises ClaimLostError, as ``end``."""
        with self._ledger.writing() as connection:
            actions = insert(connection, self._agent, self._ledger.now(), proposals)
            ids = tuple(action.id for action in actions)
            self._leave(connection, suspension_id, state=json.dumps(state), action_ids=json.dumps(ids))
        return ids

    def end(self, suspension_id: str, state: Mapping[str, Any], answer: Mapping[str, Any]) -> None:
        """Keep the answer of a claimed request, until it is forgotten.

        Raises ClaimLostError if the claim had run out, and another process has ended the request.
        """
        with self._ledger.writing() as connection:
            self._leave(connection, suspension_id, state=json.dumps(state), answer=json.dumps(answer))

    def of_session(self, session_id: str) -> Suspension | None:
        """The request of a session that waits or, if it ended last, is not forgotten yet."""
        own = select(SUSPENSIONS).where(self._own(), SUSPENSIONS.c.session_id == session_id)
        with self._ledger.reading() as connection:
            row = connection.execute(own.order_by(SUSPENSIONS.c.at.desc()).limit(1)).one_or_none()
        return None if row is None else _suspension(row)

    def resumable(self, decided_seconds_ago: float = 0.0) -> list[Suspension]:
        """Those that can be claimed now, all of whose actions were decided that long ago, oldest first."""
        now = self._ledger.now().timestamp()
        free = select(SUSPENSIONS).where(self._own(), _is_free(now)).order_by(SUSPENSIONS.c.at)
        with self._ledger.reading() as connection:
            found = [_suspension(row) for row in connection.execute(free)]
            return [one for one in found if self._decided_by(connection, one, now - decided_seconds_ago)]

    def claim(self, suspension_id: str) -> Suspension | None:
        """Claim a request all of whose actions are decided, for LEASE_SECONDS; None if it cannot be claimed now."""
        now = self._ledger.now().timestamp()
        claiming = update(SUSPENSIONS).where(self._is(suspension_id), _is_free(now))
        with self._ledger.writing() as connection:
            if connection.execute(claiming.values(leased_until=now + LEASE_SECONDS)).rowcount != 1:
                return None
            # As it is now: since the caller looked, another process may have gone on with it, and suspended it again.
            claimed = self._get(connection, suspension_id)
            if not self._decided_by(connection, claimed, now):
                connection.execute(update(SUSPENSIONS).where(self._is(suspension_id)).values(leased_until=None))
                return None
        return claimed

    def renew(self, suspension_id: str) -> None:
        """Keep a claim for another LEASE_SECONDS."""
        until = self._ledger.now().timestamp() + LEASE_SECONDS
        with self._ledger.writing() as connection:
            connection.execute(update(SUSPENSIONS).where(self._is(suspension_id)).values(leased_until=until))

    def forget(self, suspension_id: str) -> None:
        """Delete a request that has ended, its answer delivered."""
        with self._ledger.writing() as connection:
            connection.execute(delete(SUSPENSIONS).where(self._is(suspension_id), SUSPENSIONS.c.answer.is_not(None)))

    def _leave(self, connection: Connection, suspension_id: str, **values: str) -> None:
        """Give up the claim, and write down how things are left."""
        going_on = and_(self._is(suspension_id), SUSPENSIONS.c.answer.is_(None))
        leaving = update(SUSPENSIONS).where(going_on).values(values | {"leased_until": None})
        if connection.execute(leaving).rowcount != 1:
            raise ClaimLostError(f"another process has ended {suspension_id}")

    def _decided_by(self, connection: Connection, suspension: Suspension, latest: float) -> bool:
        undecided = or_(WAITING, ACTIONS.c.decided_at > latest)
        waiting = select(func.count()).select_from(ACTIONS).where(ACTIONS.c.id.in_(suspension.action_ids), undecided)
        return not connection.execute(waiting).scalar_one()

    def _get(self, connection: Connection, suspension_id: str) -> Suspension:
        return _suspension(connection.execute(select(SUSPENSIONS).where(self._is(suspension_id))).one())

    def _own(self) -> ColumnElement[bool]:
        return SUSPENSIONS.c.agent == self._agent

    def _is(self, suspension_id: str) -> ColumnElement[bool]:
        return and_(self._own(), SUSPENSIONS.c.id == suspension_id)


def _is_free(now: float) -> ColumnElement[bool]:
    unclaimed = or_(SUSPENSIONS.c.leased_until.is_(None), SUSPENSIONS.c.leased_until < now)
    return and_(SUSPENSIONS.c.answer.is_(None), unclaimed)


def _suspension(row: Row[Any]) -> Suspension:
    return Suspension(
        id=row.id,
        session_id=row.session_id,
        user_id=row.user_id,
        action_ids=tuple(json.loads(row.action_ids)),
        state=json.loads(row.state),
        answer=None if row.answer is None else json.loads(row.answer),
        at=datetime.fromtimestamp(row.at, UTC),
    )
