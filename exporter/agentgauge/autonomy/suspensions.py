"""Requests that wait for people: what is needed to go on with them, here or in another process, after any crash.

A request is suspended with the actions it waits for, in one transaction. Once all of them are decided, one process
claims it for some seconds at a time and goes on; if that process dies, the claim runs out and the next one comes.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, ColumnElement, Connection, Row, and_, cast, delete, func, or_, select, true, update

from agentgauge.autonomy.action import LEASE_SECONDS, Action, Proposal
from agentgauge.autonomy.action_rows import insert, with_ids
from agentgauge.ledger.schema import ACTIONS, SUSPENSIONS
from agentgauge.ledger.store import Ledger


@dataclass(frozen=True)
class Suspension:
    """A request that waits for the decisions on its actions, or waited; ``at`` is UTC.

    ``state`` is the agent's own, ``record`` what the library needs to go on. ``answer`` is what came of it once it has
    ``ended``; None until then.
    """

    id: str
    session_id: str
    user_id: str | None
    actions: tuple[Action, ...]
    state: Any
    at: datetime
    ended: bool = False
    answer: Any = None
    record: Mapping[str, Any] = field(default_factory=dict)

    @property
    def action_ids(self) -> tuple[str, ...]:
        """The ids of its actions."""
        return tuple(action.id for action in self.actions)

    @property
    def undecided(self) -> tuple[Action, ...]:
        """The actions that nobody has decided yet."""
        return tuple(action for action in self.actions if action.decision is None)


@dataclass(frozen=True)
class Due:
    """A request all of whose actions are decided, the last of them at ``decided_at`` (UTC)."""

    id: str
    session_id: str
    decided_at: datetime


class ClaimLostError(Exception):
    """The claim of a request ran out, and another process has ended the request, or suspended it again."""


class Suspensions:
    """The suspended requests of one agent. Methods work at once and raise SQLAlchemyError when the database cannot."""

    def __init__(self, ledger: Ledger, agent: str) -> None:
        self._ledger = ledger
        self._agent = agent

    def suspend(
        self,
        session_id: str,
        user_id: str | None,
        state: Any,
        proposals: Iterable[Proposal],
        record: Mapping[str, Any] | None = None,
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
                "action_ids": _ids(actions),
                "state": _document(state, record),
            }
            connection.execute(SUSPENSIONS.insert(), row)
            return self._get(connection, str(row["id"]))

    def suspend_again(
        self,
        suspension_id: str,
        state: Any,
        proposals: Iterable[Proposal],
        record: Mapping[str, Any] | None = None,
    ) -> Suspension:
        """Let a claimed request wait for further actions. Raises ClaimLostError, as ``end`` does."""
        with self._ledger.writing() as connection:
            actions = insert(connection, self._agent, self._ledger.now(), proposals)
            self._give_up_claim(connection, suspension_id, state=_document(state, record), action_ids=_ids(actions))
            return self._get(connection, suspension_id)

    def end(self, suspension_id: str, answer: Any) -> None:
        """Keep the answer of a claimed request, until it is forgotten.

        Raises ClaimLostError if the claim had run out, and another process has ended the request or suspended it again.
        """
        with self._ledger.writing() as connection:
            self._give_up_claim(connection, suspension_id, answer=json.dumps(answer))

    def of_session(self, session_id: str) -> Suspension | None:
        """The newest request of a session that waits or, if it has ended, is not forgotten yet."""
        newest = select(SUSPENSIONS).where(self._own(), SUSPENSIONS.c.session_id == session_id)
        with self._ledger.reading() as connection:
            row = connection.execute(newest.order_by(SUSPENSIONS.c.at.desc()).limit(1)).one_or_none()
            return None if row is None else self._suspension(connection, row)

    def mark(self, session_id: str) -> tuple[str, str, bool] | None:
        """What changes whenever the newest request of a session waits for something else, or ends; cheap to poll."""
        ended = SUSPENSIONS.c.answer.is_not(None)
        newest = select(SUSPENSIONS.c.id, SUSPENSIONS.c.action_ids, ended.label("ended"))
        newest = newest.where(self._own(), SUSPENSIONS.c.session_id == session_id)
        with self._ledger.reading() as connection:
            row = connection.execute(newest.order_by(SUSPENSIONS.c.at.desc()).limit(1)).one_or_none()
            return None if row is None else (row.id, row.action_ids, bool(row.ended))

    def due(self) -> list[Due]:
        """Those that can be claimed now: nobody has them, and all of their actions are decided; oldest first."""
        now = self._ledger.now().timestamp()
        with self._ledger.reading() as connection:
            if connection.dialect.name == "postgresql":
                ids = func.json_array_elements_text(cast(SUSPENSIONS.c.action_ids, JSON))
            else:
                ids = func.json_each(SUSPENSIONS.c.action_ids)
            ids_of_each = ids.table_valued("value")
            each = SUSPENSIONS.join(ids_of_each, true()).join(ACTIONS, ACTIONS.c.id == ids_of_each.c.value)
            decided_at = func.max(ACTIONS.c.decided_at)
            decided = (
                select(SUSPENSIONS.c.id, SUSPENSIONS.c.session_id, decided_at.label("decided_at"))
                .select_from(each)
                .where(self._own(), _is_free(now))
                .group_by(SUSPENSIONS.c.id, SUSPENSIONS.c.session_id, SUSPENSIONS.c.at)
                .having(func.count() == func.count(ACTIONS.c.decided_at))
                .order_by(SUSPENSIONS.c.at)
            )
            rows = connection.execute(decided).all()
        return [Due(row.id, row.session_id, datetime.fromtimestamp(row.decided_at, UTC)) for row in rows]

    def claim(self, suspension_id: str) -> Suspension | None:
        """Claim a request all of whose actions are decided, for LEASE_SECONDS; None if it cannot be claimed now."""
        now = self._ledger.now().timestamp()
        claiming = update(SUSPENSIONS).where(self._is(suspension_id), _is_free(now))
        with self._ledger.writing() as connection:
            if connection.execute(claiming.values(leased_until=now + LEASE_SECONDS)).rowcount != 1:
                return None
            # As it is now: since the caller looked, another process may have gone on with it, and suspended it again.
            claimed = self._get(connection, suspension_id)
            if claimed.undecided:
                connection.execute(update(SUSPENSIONS).where(self._is(suspension_id)).values(leased_until=None))
                return None
        return claimed

    def now(self) -> datetime:
        """The ledger's time, in UTC."""
        return self._ledger.now()

    def renew(self, suspension_id: str) -> None:
        """Keep a claim for another LEASE_SECONDS; does nothing if the request is not claimed any more."""
        until = self._ledger.now().timestamp() + LEASE_SECONDS
        with self._ledger.writing() as connection:
            connection.execute(update(SUSPENSIONS).where(self._is_claimed(suspension_id)).values(leased_until=until))

    def forget(self, suspension_id: str) -> None:
        """Delete a request that has ended, its answer delivered."""
        with self._ledger.writing() as connection:
            connection.execute(delete(SUSPENSIONS).where(self._is(suspension_id), SUSPENSIONS.c.answer.is_not(None)))

    def _give_up_claim(self, connection: Connection, suspension_id: str, **values: str) -> None:
        """End the claim, and write down how things stand."""
        ending = update(SUSPENSIONS).where(self._is_claimed(suspension_id)).values(values | {"leased_until": None})
        if connection.execute(ending).rowcount != 1:
            raise ClaimLostError(f"another process has gone on with {suspension_id}")

    def _get(self, connection: Connection, suspension_id: str) -> Suspension:
        row = connection.execute(select(SUSPENSIONS).where(self._is(suspension_id))).one()
        return self._suspension(connection, row)

    def _suspension(self, connection: Connection, row: Row[Any]) -> Suspension:
        document = json.loads(row.state)
        return Suspension(
            id=row.id,
            session_id=row.session_id,
            user_id=row.user_id,
            actions=with_ids(connection, self._agent, json.loads(row.action_ids)),
            state=document["state"],
            at=datetime.fromtimestamp(row.at, UTC),
            ended=row.answer is not None,
            answer=None if row.answer is None else json.loads(row.answer),
            record=document["record"],
        )

    def _own(self) -> ColumnElement[bool]:
        return SUSPENSIONS.c.agent == self._agent

    def _is_claimed(self, suspension_id: str) -> ColumnElement[bool]:
        claimed = and_(SUSPENSIONS.c.answer.is_(None), SUSPENSIONS.c.leased_until.is_not(None))
        return and_(self._is(suspension_id), claimed)

    def _is(self, suspension_id: str) -> ColumnElement[bool]:
        return and_(self._own(), SUSPENSIONS.c.id == suspension_id)


def _is_free(now: float) -> ColumnElement[bool]:
    unclaimed = or_(SUSPENSIONS.c.leased_until.is_(None), SUSPENSIONS.c.leased_until < now)
    return and_(SUSPENSIONS.c.answer.is_(None), unclaimed)


def _document(state: Any, record: Mapping[str, Any] | None) -> str:
    return json.dumps({"state": state, "record": record or {}})


def _ids(actions: Iterable[Action]) -> str:
    return json.dumps([action.id for action in actions])
