"""What an agent proposed to do, and what people decided: the memory behind approvals, audits and earned autonomy.

Every proposed action is a row. A decision is committed, together with what it measures, before the call returns, and
the first one stands: whoever comes second is told who was faster.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Row, and_, func, select, update

from agentgauge import metrics
from agentgauge.ledger.outbox import Measurement, put
from agentgauge.ledger.schema import ACTIONS
from agentgauge.ledger.store import Ledger

Risk = Literal["low", "medium", "high"]
Disposition = Literal["suggested", "auto", "approval", "denied"]
Decision = Literal["approved", "edited", "rejected", "expired"]
Verdict = Literal["ok", "problem"]

WAITING = and_(ACTIONS.c.disposition == "approval", ACTIONS.c.decision.is_(None))
TO_AUDIT = and_(ACTIONS.c.sampled == 1, ACTIONS.c.verdict.is_(None))


@dataclass(frozen=True)
class Proposal:
    """What an agent wants to do. ``context`` is what is needed to judge it, and to go on after the decision."""

    tool: str
    risk: Risk
    disposition: Disposition
    arguments: Mapping[str, Any]
    context: Mapping[str, Any]
    session_id: str | None = None
    user_id: str | None = None
    version: str = "unknown"
    prompt_version: str = "unknown"
    model: str = "unknown"
    expires_in_seconds: float | None = None
    sampled: bool = False


@dataclass(frozen=True)
class Action:
    """A proposal as the ledger keeps it, with what became of it; times are UTC."""

    id: str
    proposal: Proposal
    at: datetime
    expires_at: datetime | None
    decision: Decision | None
    decided_at: datetime | None
    decided_by: str | None
    decided_arguments: Mapping[str, Any] | None
    reason: str | None
    verdict: Verdict | None

    @property
    def final_arguments(self) -> Mapping[str, Any]:
        """The arguments to act with: as edited, or as proposed."""
        return self.proposal.arguments if self.decided_arguments is None else self.decided_arguments


class UnknownActionError(LookupError):
    """No action of this agent has that id."""


class AlreadyDecidedError(Exception):
    """Somebody was faster, or it expired; ``action`` says who and how."""

    def __init__(self, action: Action) -> None:
        super().__init__(f"{action.id} was {action.decision} before, by {action.decided_by}")
        self.action = action


class Actions:
    """The actions of one agent. Methods work at once and raise SQLAlchemyError when the database cannot."""

    def __init__(self, ledger: Ledger, agent: str) -> None:
        self._ledger = ledger
        self._agent = agent

    def propose(self, proposal: Proposal) -> Action:
        """Keep a proposal; when this returns, it survives a crash."""
        now = self._ledger.now()
        expires = None if proposal.expires_in_seconds is None else now.timestamp() + proposal.expires_in_seconds
        row = {
            "id": uuid.uuid4().hex[:12],
            "agent": self._agent,
            "tool": proposal.tool,
            "risk": proposal.risk,
            "disposition": proposal.disposition,
            "arguments": json.dumps(proposal.arguments),
            "context": json.dumps(proposal.context),
            "session_id": proposal.session_id,
            "user_id": proposal.user_id,
            "version": proposal.version,
            "prompt_version": proposal.prompt_version,
            "model": proposal.model,
            "at": now.timestamp(),
            "expires_at": expires,
            "sampled": int(proposal.sampled),
        }
        with self._ledger.writing() as connection:
            connection.execute(ACTIONS.insert(), row)
            return self._get(connection, str(row["id"]))

    def get(self, action_id: str) -> Action:
        """One action; UnknownActionError if there is none."""
        with self._ledger.reading() as connection:
            return self._get(connection, action_id)

    def waiting(self) -> list[Action]:
        """Those that wait for a decision, oldest first."""
        return self._list(WAITING)

    def waiting_count(self) -> int:
        """How many wait for a decision."""
        counting = select(func.count()).select_from(ACTIONS).where(ACTIONS.c.agent == self._agent, WAITING)
        with self._ledger.reading() as connection:
            return int(connection.execute(counting).scalar_one())

    def decided_since(self, since: datetime) -> list[Action]:
        """Those decided from then on, oldest first."""
        return self._list(ACTIONS.c.decided_at >= since.timestamp())

    def to_audit(self) -> list[Action]:
        """Those sampled for an audit that nobody judged yet, oldest first."""
        return self._list(TO_AUDIT)

    def decide(
        self,
        action_id: str,
        decision: Decision,
        by: str,
        arguments: Mapping[str, Any] | None = None,
        reason: str | None = None,
    ) -> Action:
        """Commit a decision; with ``arguments``, these replace the proposed ones.

        Raises UnknownActionError, and AlreadyDecidedError if it does not wait (any more).
        """
        now = self._ledger.now().timestamp()
        values = {
            "decision": decision,
            "decided_at": now,
            "decided_by": by,
            "decided_arguments": None if arguments is None else json.dumps(arguments),
            "reason": reason,
        }
        with self._ledger.writing() as connection:
            # One statement: of two people at once, the database lets one find it waiting.
            deciding = update(ACTIONS).where(self._is(action_id), WAITING).values(values)
            first = connection.execute(deciding).rowcount == 1
            action = self._get(connection, action_id)
            if not first:
                raise AlreadyDecidedError(action)
            proposal = action.proposal
            put(
                connection,
                self._agent,
                Measurement(metrics.APPROVALS, (proposal.tool, proposal.risk, decision)),
                Measurement(metrics.APPROVAL_WAIT, (proposal.tool,), now - action.at.timestamp()),
            )
        return action

    def audit(self, action_id: str, verdict: Verdict, by: str) -> Action:
        """Commit the verdict on a sampled action.

        Raises UnknownActionError, and AlreadyDecidedError if it is not to be audited (any more).
        """
        values = {"verdict": verdict, "audited_at": self._ledger.now().timestamp(), "audited_by": by}
        with self._ledger.writing() as connection:
            first = (
                connection.execute(update(ACTIONS).where(self._is(action_id), TO_AUDIT).values(values)).rowcount == 1
            )
            action = self._get(connection, action_id)
            if not first:
                raise AlreadyDecidedError(action)
            put(connection, self._agent, Measurement(metrics.AUDITS, (action.proposal.tool, verdict)))
        return action

    def _list(self, *conditions: ColumnElement[bool]) -> list[Action]:
        own = select(ACTIONS).where(ACTIONS.c.agent == self._agent, *conditions)
        with self._ledger.reading() as connection:
            return [_action(row) for row in connection.execute(own.order_by(ACTIONS.c.at, ACTIONS.c.id))]

    def _get(self, connection: Connection, action_id: str) -> Action:
        row = connection.execute(select(ACTIONS).where(self._is(action_id))).one_or_none()
        if row is None:
            raise UnknownActionError(f"{self._agent} has no action {action_id!r}")
        return _action(row)

    def _is(self, action_id: str) -> ColumnElement[bool]:
        return and_(ACTIONS.c.agent == self._agent, ACTIONS.c.id == action_id)


def _action(row: Row[Any]) -> Action:
    proposal = Proposal(
        tool=row.tool,
        risk=row.risk,
        disposition=row.disposition,
        arguments=json.loads(row.arguments),
        context=json.loads(row.context),
        session_id=row.session_id,
        user_id=row.user_id,
        version=row.version,
        prompt_version=row.prompt_version,
        model=row.model,
        expires_in_seconds=None if row.expires_at is None else row.expires_at - row.at,
        sampled=bool(row.sampled),
    )
    return Action(
        id=row.id,
        proposal=proposal,
        at=_utc(row.at),
        expires_at=None if row.expires_at is None else _utc(row.expires_at),
        decision=row.decision,
        decided_at=None if row.decided_at is None else _utc(row.decided_at),
        decided_by=row.decided_by,
        decided_arguments=None if row.decided_arguments is None else json.loads(row.decided_arguments),
        reason=row.reason,
        verdict=row.verdict,
    )


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
