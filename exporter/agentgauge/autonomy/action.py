"""An action as the ledger keeps it: what an agent proposed, what people decided, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from agentgauge.autonomy.effects import Effect, Simulated, seal
from agentgauge.autonomy.real_actions import RealAction
from agentgauge.vocabulary import AuditVerdict, Decision, Disposition, Risk, ShadowDifference, ShadowMatch

LEASE_SECONDS = 30.0
"""For so long, until it is renewed, nobody else takes over what a process carries out."""


@dataclass(frozen=True)
class Proposal:
    """What an agent wants to do; ``context`` is what people need to judge it, and the agent to go on after that.

    ``effect`` is what it would do, in plain fields; None if the arguments say it all. ``simulated`` is what the agent
    was told that a suggestion came to; as an action it is in ``result``.
    """

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
    effect: Effect | None = None
    simulated: Simulated | None = None


@dataclass(frozen=True)
class Settlement:
    """What a person found out about an unresolved action: whether it happened, and ``why`` they know; ``at`` is UTC."""

    happened: bool
    at: datetime
    by: str
    why: str


@dataclass(frozen=True)
class Action:
    """A proposal as the ledger keeps it, with what became of it; times are UTC.

    ``decided_*`` is the decision on a proposal, or what a person did instead of a suggestion; ``real`` is that as the
    system of record has it, and ``difference`` how far it is from the suggestion.
    ``started_at`` without ``finished_at`` means that it is under way until ``leased_until``; after that, nobody knows
    whether it happened, until there is a ``settlement``.
    """

    id: str
    proposal: Proposal
    at: datetime
    expires_at: datetime | None
    decision: Decision | None
    decided_at: datetime | None
    decided_by: str | None
    decided_arguments: Mapping[str, Any] | None
    reason: str | None
    started_at: datetime | None
    finished_at: datetime | None
    result: Mapping[str, Any] | None
    shadow_match: ShadowMatch | None
    verdict: AuditVerdict | None
    leased_until: datetime | None = None
    settlement: Settlement | None = None
    decided_effect: Effect | None = None
    real: RealAction | None = None
    difference: ShadowDifference | None = None

    @property
    def lease_ends(self) -> datetime | None:
        """Until when it may still be carried out; None if it was never begun, or its end is known."""
        if self.started_at is None or self.finished_at is not None or self.settlement is not None:
            return None
        return self.leased_until or self.started_at + timedelta(seconds=LEASE_SECONDS)

    @property
    def shown(self) -> Mapping[str, Any]:
        """What people read of the proposal: its effect or, if the arguments say it all, these."""
        return self.proposal.arguments if self.proposal.effect is None else self.proposal.effect

    @property
    def seal(self) -> str:
        """Changes with whatever is proposed; a decision names the one that it was made on."""
        return seal(self.proposal.tool, self.proposal.arguments, self.proposal.effect)

    @property
    def final_seal(self) -> str:
        """That of what people decided to let happen."""
        edited = self.decided_arguments is not None
        return seal(self.proposal.tool, self.final_arguments, self.decided_effect if edited else self.proposal.effect)

    @property
    def final_arguments(self) -> Mapping[str, Any]:
        """The arguments to act with: as edited, or as proposed."""
        return self.proposal.arguments if self.decided_arguments is None else self.decided_arguments


class UnknownActionError(LookupError):
    """No action of this agent has that id."""


class AlreadyDecidedError(Exception):
    """It was decided before, it expired, or it never waited for this; ``action`` says how it stands."""

    def __init__(self, action: Action) -> None:
        super().__init__(f"{action.id} {_became(action)}")
        self.action = action


class NotUnresolvedError(Exception):
    """Nothing is to be settled: it still runs, its end is known, or it was never begun; ``action`` says which."""

    def __init__(self, action: Action, now: datetime) -> None:
        super().__init__(_why_not_unresolved(action, now))
        self.action = action


def _became(action: Action) -> str:
    if action.decision == "expired":
        return "has expired: nobody decided in time"
    if action.decision is not None:
        return f"was {action.decision} before, by {action.decided_by}"
    if action.verdict is not None:
        return f"was audited before: {action.verdict}"
    if action.shadow_match is not None:
        return f"was compared before: {action.shadow_match}"
    return f"does not wait for that: the policy decided {action.proposal.disposition!r}"


def _why_not_unresolved(action: Action, now: datetime) -> str:
    if action.settlement is not None:
        found = "it happened" if action.settlement.happened else "it did not happen"
        return f"{action.id} was settled before, by {action.settlement.by}: {found}"
    if action.started_at is None:
        return f"{action.id} was not begun, so there is nothing to settle"
    if action.result is not None:
        return f"{action.id} has ended, and its outcome is known: {action.result['status']}"
    left = ((action.lease_ends or now) - now).total_seconds()
    return f"{action.id} is still being carried out; if its process does not go on with it, that shows in {left:.0f} s"
