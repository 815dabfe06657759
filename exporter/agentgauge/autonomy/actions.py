"""What an agent proposed to do, and what people decided: the memory behind approvals, audits and earned autonomy.

Every proposed action is a row. A decision is committed, together with what it measures, before the call returns. The
first decision stands; a second one raises AlreadyDecidedError, which says who was faster.

Who carries an action out leases it for some seconds at a time. If its process dies, the lease runs out, and nobody
knows whether the action happened: it is unresolved until a person has looked, and settles it. It is never carried out
again.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, case, func, or_, select, update

from agentgauge import metrics
from agentgauge.autonomy.action import (
    LEASE_SECONDS,
    Action,
    AlreadyDecidedError,
    NotUnresolvedError,
    Proposal,
    UnknownActionError,
)
from agentgauge.autonomy.action_rows import action_of, insert, logged
from agentgauge.autonomy.decisions import AGREED, AUDITED, SETTLED, agreed
from agentgauge.autonomy.effects import Effect, Simulated, SimulatedStep
from agentgauge.autonomy.real_actions import RealAction
from agentgauge.ledger.decision_chain import alone, append
from agentgauge.ledger.outbox import Measurement, put
from agentgauge.ledger.schema import ACTIONS
from agentgauge.ledger.store import Ledger
from agentgauge.vocabulary import RISKS, AuditVerdict, Decision, Risk, ShadowDifference, ShadowMatch

WAITING = and_(ACTIONS.c.disposition == "approval", ACTIONS.c.decision.is_(None))
NOBODY = "nobody"
"""Who decided what expired."""

TO_AUDIT = and_(ACTIONS.c.sampled == 1, ACTIONS.c.verdict.is_(None))
TO_COMPARE = and_(ACTIONS.c.disposition == "suggested", ACTIONS.c.shadow_match.is_(None))
UNFINISHED = and_(ACTIONS.c.started_at.is_not(None), ACTIONS.c.finished_at.is_(None), ACTIONS.c.settled_at.is_(None))
LEASED_UNTIL = func.coalesce(ACTIONS.c.leased_until, ACTIONS.c.started_at + LEASE_SECONDS)
"""An older agentgauge writes down no lease."""


@dataclass(frozen=True)
class TrackRecord:
    """How people decided on a tool's proposals in a period, and how many audits found a problem.

    ``approved`` and ``edited`` are decisions of others than the user who had asked; ``own`` is how often that user
    approved or edited what they had asked for, which says nothing about the agent, and ``lower`` how often something
    was approved or edited as of a lower risk than it has by now. ``misaligned`` are suggestions that people did
    otherwise.
    """

    approved: int = 0
    edited: int = 0
    rejected: int = 0
    expired: int = 0
    problems: int = 0
    own: int = 0
    lower: int = 0
    misaligned: int = 0

    @property
    def decisions(self) -> int:
        """How often somebody else than the user decided; expired proposals do not count."""
        return self.approved + self.edited + self.rejected


@dataclass(frozen=True)
class Queue:
    """What waits for a decision: how many, and the age of the oldest in seconds; 0 where nothing waits."""

    length: int
    oldest_seconds: float


class AlreadyComparedError(Exception):
    """What a person did was compared with another suggestion of the tool, perhaps by another replica just now."""


class Actions:
    """The actions of one agent. Methods work at once and raise SQLAlchemyError when the database cannot."""

    def __init__(self, ledger: Ledger, agent: str) -> None:
        self._ledger = ledger
        self._agent = agent

    def now(self) -> datetime:
        """The ledger's time, in UTC."""
        return self._ledger.now()

    def propose(self, proposal: Proposal) -> Action:
        """Keep a proposal; when this returns, it survives a crash."""
        (action,) = self.propose_all([proposal])
        return action

    def propose_all(self, proposals: Iterable[Proposal]) -> list[Action]:
        """Keep proposals, all of them or, if it raises, none; returned in their order."""
        with self._ledger.writing() as connection:
            return insert(connection, self._agent, self._ledger.now(), proposals)

    def get(self, action_id: str) -> Action:
        """One action; UnknownActionError if there is none."""
        with self._ledger.reading() as connection:
            return self._get(connection, action_id)

    def waiting(self) -> list[Action]:
        """Those that wait for a decision and can still be decided, oldest first."""
        return self._list(WAITING, self._not_overdue())

    def queue(self) -> Queue:
        """How many wait for a decision and can still be decided, and for how long the oldest has."""
        counting = select(func.count().label("length"), func.min(ACTIONS.c.at).label("oldest_at"))
        counting = counting.where(ACTIONS.c.agent == self._agent, WAITING, self._not_overdue())
        with self._ledger.reading() as connection:
            row = connection.execute(counting).one()
        oldest = 0.0 if row.oldest_at is None else max(0.0, self.now().timestamp() - row.oldest_at)
        return Queue(int(row.length), oldest)

    def decided_since(self, since: datetime) -> list[Action]:
        """Those decided from then on, oldest first."""
        return self._list(ACTIONS.c.decided_at >= since.timestamp(), ACTIONS.c.decision.is_not(None))

    def last_decided(self, tools: Collection[str], since: datetime, count: int) -> list[Action]:
        """The ``count`` last decisions on these tools from then on, newest first."""
        # By their ids, which an index by tool leads to: sorting whole rows would read every conversation in them.
        last = (
            select(ACTIONS.c.id)
            .where(ACTIONS.c.agent == self._agent, ACTIONS.c.tool.in_(tools))
            .where(ACTIONS.c.decided_at >= since.timestamp(), ACTIONS.c.decision.is_not(None))
            .order_by(ACTIONS.c.decided_at.desc())
            .limit(count)
        )
        return sorted(self._list(ACTIONS.c.id.in_(last)), key=lambda action: action.decided_at or since, reverse=True)

    def to_compare(self) -> list[Action]:
        """Suggestions that have not been compared yet with what a person did, oldest first."""
        return self._list(TO_COMPARE)

    def compared_since(self, since: datetime) -> list[Action]:
        """Suggestions that were compared since then with what a person did, oldest first."""
        return self._list(ACTIONS.c.decided_at >= since.timestamp(), ACTIONS.c.shadow_match.is_not(None))

    def track_record(self, tool: str, since: datetime, risk: Risk = "low") -> TrackRecord:
        """A tool's decided proposals and audited actions from then on, counted; ``risk`` is the one in force."""
        # Nobody vetted what the user approved who had asked for it; a rejection counts whoever made it.
        own = and_(ACTIONS.c.decision.in_(("approved", "edited")), func.coalesce(ACTIONS.c.own, 1) == 1)
        lower = and_(ACTIONS.c.decision.in_(("approved", "edited")), ACTIONS.c.risk.in_(RISKS[: RISKS.index(risk)]))
        counted_as = case((own, "own"), (lower, "lower"), else_=ACTIONS.c.decision).label("counted_as")
        decisions = (
            select(counted_as, func.count().label("number"))
            .where(self._of(tool), ACTIONS.c.decided_at >= since.timestamp(), ACTIONS.c.decision.is_not(None))
            .group_by(counted_as)
        )
        problems = (
            select(func.count())
            .select_from(ACTIONS)
            .where(self._of(tool), ACTIONS.c.audited_at >= since.timestamp(), ACTIONS.c.verdict == "problem")
        )
        misaligned = (
            select(func.count())
            .select_from(ACTIONS)
            .where(self._of(tool), ACTIONS.c.decided_at >= since.timestamp(), ACTIONS.c.shadow_match == "misaligned")
        )
        with self._ledger.reading() as connection:
            counts = {row.counted_as: row.number for row in connection.execute(decisions)}
            return TrackRecord(
                **counts,
                problems=connection.execute(problems).scalar_one(),
                misaligned=connection.execute(misaligned).scalar_one(),
            )

    def judged_since(self, tool: str, since: datetime) -> bool:
        """Whether somebody has decided on a call of the tool, which was not their own, or audited one since then."""
        vetted = and_(ACTIONS.c.decision.in_(("approved", "edited")), ACTIONS.c.own == 0)
        decided = and_(ACTIONS.c.decided_at >= since.timestamp(), or_(vetted, ACTIONS.c.decision == "rejected"))
        judged = or_(decided, ACTIONS.c.audited_at >= since.timestamp())
        with self._ledger.reading() as connection:
            return connection.execute(select(ACTIONS.c.id).where(self._of(tool), judged).limit(1)).first() is not None

    def to_audit(self) -> list[Action]:
        """Those sampled for an audit that have not been judged yet, oldest first."""
        return self._list(TO_AUDIT)

    def decide(
        self,
        action_id: str,
        decision: Decision,
        by: str,
        arguments: Mapping[str, Any] | None = None,
        reason: str | None = None,
        effect: Effect | None = None,
    ) -> Action:
        """Commit a person's decision; with ``arguments``, these replace the proposed ones, and ``effect`` is theirs.

        Raises UnknownActionError, and AlreadyDecidedError if it does not wait (any more), or has waited too long.
        """
        values = {
            "decision": decision,
            "decided_by": by,
            "decided_arguments": None if arguments is None else json.dumps(arguments),
            "decided_effect": None if effect is None else json.dumps(effect),
            "reason": reason,
        }
        with self._ledger.writing() as connection:
            if self._decide(connection, and_(self._is(action_id), self._not_overdue()), values):
                return self._get(connection, action_id)
            raise AlreadyDecidedError(self.as_due(self._get(connection, action_id)))

    def agree(self, action_id: str, by: str, people: int) -> Action:
        """Commit that somebody lets a proposal happen; it is approved once so many different people have.

        Raises as ``decide`` does; that somebody has agreed before is not an error, and does not count twice.
        """
        with self._ledger.writing() as connection:
            alone(connection, self._agent)
            action = self.as_due(self._get(connection, action_id))
            if action.decision is not None or action.proposal.disposition != "approval":
                raise AlreadyDecidedError(action)
            before = set(agreed(connection, self._agent, action_id, action.seal))
            if len(before | {by}) >= people:
                self._decide(connection, self._is(action_id), {"decision": "approved", "decided_by": by})
            elif by not in before:
                now = self._ledger.now().timestamp()
                append(connection, self._agent, now, action_id, AGREED, by, logged(action))
            return self._get(connection, action_id)

    def agreed(self, action: Action) -> list[str]:
        """Who has agreed to a proposal that takes more than one person, as it is now."""
        with self._ledger.reading() as connection:
            return agreed(connection, self._agent, action.id, action.seal)

    def as_due(self, action: Action) -> Action:
        """The action as it stands: one that waited too long has expired, also while that is not recorded yet."""
        waits = action.proposal.disposition == "approval" and action.decision is None
        if waits and action.expires_at is not None and action.expires_at <= self.now():
            return replace(action, decision="expired", decided_by=NOBODY, decided_at=action.expires_at)
        return action

    def expire_due(self) -> None:
        """Record that those expired which waited too long. For the keeper: everybody else only reads that."""
        overdue = and_(ACTIONS.c.agent == self._agent, WAITING, ACTIONS.c.expires_at <= self.now().timestamp())
        with self._ledger.reading() as connection:
            if connection.execute(select(ACTIONS.c.id).where(overdue).limit(1)).first() is None:
                return  # as nearly always: a write would keep others from theirs
        with self._ledger.writing() as connection:
            self._decide(connection, overdue, {"decision": "expired", "decided_by": NOBODY})

    def start(self, action_id: str) -> bool:
        """Claim the execution of an approved action; True for one caller once, whoever else asks and whenever.

        The action is leased to the caller for LEASE_SECONDS; one that takes longer calls ``renew``.
        """
        due = and_(self._is(action_id), ACTIONS.c.started_at.is_(None), ACTIONS.c.decision.in_(("approved", "edited")))
        now = self._ledger.now().timestamp()
        starting = update(ACTIONS).where(due).values(started_at=now, leased_until=now + LEASE_SECONDS)
        with self._ledger.writing() as connection:
            return connection.execute(starting).rowcount == 1

    def renew(self, action_id: str) -> None:
        """Say that an action is still being carried out, for another LEASE_SECONDS."""
        until = self._ledger.now().timestamp() + LEASE_SECONDS
        with self._ledger.writing() as connection:
            connection.execute(update(ACTIONS).where(self._is(action_id), UNFINISHED).values(leased_until=until))

    def finish(self, action_id: str, result: Mapping[str, Any]) -> None:
        """Record the result of an execution."""
        values = {"finished_at": self._ledger.now().timestamp(), "result": json.dumps(result)}
        with self._ledger.writing() as connection:
            connection.execute(update(ACTIONS).where(self._is(action_id)).values(values))

    def unresolved(self) -> list[Action]:
        """Those that were begun and have no end, and whose lease has run out: nobody knows whether they happened."""
        return self._list(self._is_unresolved())

    def unresolved_by_tool(self) -> dict[str, int]:
        """How many of each tool are unresolved; tools without any are left out."""
        counting = select(ACTIONS.c.tool, func.count().label("number")).where(
            ACTIONS.c.agent == self._agent, self._is_unresolved()
        )
        with self._ledger.reading() as connection:
            return {row.tool: row.number for row in connection.execute(counting.group_by(ACTIONS.c.tool))}

    def is_unresolved(self, action: Action) -> bool:
        """Whether that is one of those."""
        return action.lease_ends is not None and action.lease_ends <= self.now()

    def settle(self, action_id: str, happened: bool, by: str, why: str) -> Action:
        """Commit what a person found out about an unresolved action; it is not carried out again, whatever that is.

        Raises UnknownActionError, and NotUnresolvedError if there is nothing to settle (any more).
        """
        now = self._ledger.now()
        values = {"happened": int(happened), "settled_at": now.timestamp(), "settled_by": by, "settled_why": why}
        settling = update(ACTIONS).where(self._is(action_id), self._is_unresolved()).values(values)
        with self._ledger.writing() as connection:
            first = connection.execute(settling).rowcount == 1
            action = self._get(connection, action_id)
            if first:
                found = {"happened": happened, "why": why}
                append(connection, self._agent, now.timestamp(), action_id, SETTLED, by, logged(action) | found)
        if not first:
            raise NotUnresolvedError(action, now)
        return action

    def simulated_steps(self, session_id: str) -> list[SimulatedStep]:
        """The suggestions of a conversation whose outcome was simulated, oldest first."""
        found = self._list(
            ACTIONS.c.session_id == session_id, ACTIONS.c.disposition == "suggested", ACTIONS.c.result.is_not(None)
        )
        return [
            SimulatedStep(
                one.proposal.tool,
                one.proposal.arguments,
                Simulated((one.result or {}).get("simulated"), one.proposal.effect),
            )
            for one in found
        ]

    def real_ids(self, tool: str) -> set[str]:
        """What people did, by its id in the system of record, that was compared with a suggestion of this tool."""
        compared = select(ACTIONS.c.real_id).where(self._of(tool), ACTIONS.c.real_id.is_not(None))
        with self._ledger.reading() as connection:
            return set(connection.execute(compared).scalars())

    def compare(
        self,
        action_id: str,
        match: ShadowMatch,
        arguments: Mapping[str, Any] | None,
        by: str,
        difference: ShadowDifference | None = None,
        real: RealAction | None = None,
    ) -> Action:
        """Commit what a person did instead of a suggestion: the tool's arguments, or None for something else.

        ``real`` is what they did as the system of record has it, where it was read there. Raises UnknownActionError,
        AlreadyDecidedError if it is not a suggestion or was compared before, and AlreadyComparedError if what they did
        was compared with another suggestion of the tool.
        """
        values = {
            "shadow_match": match,
            "difference": difference,
            "decided_at": self._ledger.now().timestamp(),
            "decided_by": by,
            "decided_arguments": None if arguments is None else json.dumps(arguments),
            "decided_effect": None if real is None else json.dumps(real.effect),
            "real_id": None if real is None else real.id,
            "real_at": None if real is None else real.at.timestamp(),
        }
        with self._ledger.writing() as connection:
            comparing = update(ACTIONS).where(self._is(action_id), TO_COMPARE).values(values)
            first = connection.execute(comparing).rowcount == 1
            action = self._get(connection, action_id)
            if not first:
                raise AlreadyDecidedError(action)
            if real is not None:
                alone(connection, self._agent)  # of two replicas, the second one sees what the first has taken
                taken = select(func.count()).where(self._of(action.proposal.tool), ACTIONS.c.real_id == real.id)
                if connection.execute(taken).scalar_one() > 1:
                    raise AlreadyComparedError(f"{real.id} was compared with another suggestion")
            put(connection, self._agent, Measurement(metrics.SHADOW_DECISIONS, (action.proposal.tool, match)))
        return action

    def audit(self, action_id: str, verdict: AuditVerdict, by: str) -> Action:
        """Commit the verdict on a sampled action.

        Raises UnknownActionError, and AlreadyDecidedError if it is not to be audited (any more).
        """
        now = self._ledger.now().timestamp()
        values = {"verdict": verdict, "audited_at": now, "audited_by": by}
        with self._ledger.writing() as connection:
            first = (
                connection.execute(update(ACTIONS).where(self._is(action_id), TO_AUDIT).values(values)).rowcount == 1
            )
            action = self._get(connection, action_id)
            if not first:
                raise AlreadyDecidedError(action)
            content = logged(action) | {"verdict": verdict}
            append(connection, self._agent, now, action_id, AUDITED, by, content)
            put(connection, self._agent, Measurement(metrics.AUDITS, (action.proposal.tool, verdict)))
        return action

    def _decide(self, connection: Connection, which: ColumnElement[bool], values: Mapping[str, Any]) -> int:
        """Decide those that wait, and put what that measures with it; returns how many waited."""
        now = self._ledger.now().timestamp()
        # One statement: of two people at once, the database lets one find the action waiting.
        own = case((ACTIONS.c.user_id == values["decided_by"], 1), else_=0)
        deciding = update(ACTIONS).where(which, WAITING).values(**values, decided_at=now, own=own)
        decided = connection.execute(deciding.returning(ACTIONS)).all()
        for row in decided:
            action = action_of(row)
            content = logged(action) | {"final": action.final_seal, "reason": action.reason}
            append(connection, self._agent, now, row.id, values["decision"], values["decided_by"], content)
            put(
                connection,
                self._agent,
                Measurement(metrics.APPROVALS, (row.tool, row.risk, values["decision"])),
                Measurement(metrics.APPROVAL_WAIT, (row.tool,), now - row.at),
            )
        return len(decided)

    def _not_overdue(self) -> ColumnElement[bool]:
        return or_(ACTIONS.c.expires_at.is_(None), ACTIONS.c.expires_at > self.now().timestamp())

    def _is_unresolved(self) -> ColumnElement[bool]:
        return and_(UNFINISHED, self.now().timestamp() >= LEASED_UNTIL)

    def _list(self, *conditions: ColumnElement[bool]) -> list[Action]:
        own = select(ACTIONS).where(ACTIONS.c.agent == self._agent, *conditions)
        with self._ledger.reading() as connection:
            return [action_of(row) for row in connection.execute(own.order_by(ACTIONS.c.at, ACTIONS.c.id))]

    def _get(self, connection: Connection, action_id: str) -> Action:
        row = connection.execute(select(ACTIONS).where(self._is(action_id))).one_or_none()
        if row is None:
            raise UnknownActionError(f"{self._agent} has no action {action_id!r}")
        return action_of(row)

    def _of(self, tool: str) -> ColumnElement[bool]:
        return and_(ACTIONS.c.agent == self._agent, ACTIONS.c.tool == tool)

    def _is(self, action_id: str) -> ColumnElement[bool]:
        return and_(ACTIONS.c.agent == self._agent, ACTIONS.c.id == action_id)
