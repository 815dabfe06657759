"""What staged autonomy is made of, for one agent on one ledger."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from agentgauge.autonomy.action import Action
from agentgauge.autonomy.actions import Actions
from agentgauge.autonomy.approvals import Approvals
from agentgauge.autonomy.changes import Changes
from agentgauge.autonomy.decisions import Decisions
from agentgauge.autonomy.effects import Preview, Simulate, no_preview
from agentgauge.autonomy.logins import Logins
from agentgauge.autonomy.policy import Policy
from agentgauge.autonomy.real_actions import RealAction
from agentgauge.autonomy.standing import AutonomyStandings
from agentgauge.autonomy.suspensions import Suspensions
from agentgauge.ledger import Ledger
from agentgauge.transcripts.store import Transcripts

Check = Callable[[str, Mapping[str, Any]], object]
"""Raises ValueError, with a message that names the field, for arguments that do not fit a tool."""

RealActions = Callable[[Action], Sequence[RealAction]]
"""(suggestion) → what people did about the same matter, best match first; empty as long as there is nothing.

It reads the system that the tool would have acted on, and may block. It is asked again until it finds something, or
until the policy's ``shadow.wait_hours`` have passed.
"""


@dataclass(frozen=True)
class Autonomy:
    """The parts; ``policy`` returns the one in force. Made by ``Autonomy.on``."""

    policy: Callable[[], Policy]
    actions: Actions
    changes: Changes
    standings: AutonomyStandings
    suspensions: Suspensions
    approvals: Approvals
    logins: Logins
    decisions: Decisions
    transcripts: Transcripts
    preview: Preview = no_preview
    real_actions: RealActions | None = None
    simulate: Simulate | None = None

    @classmethod
    def on(
        cls,
        ledger: Ledger,
        agent: str,
        policy: Callable[[], Policy],
        check: Check,
        preview: Preview = no_preview,
        real_actions: RealActions | None = None,
        simulate: Simulate | None = None,
    ) -> Self:
        """The parts for an agent whose actions and decisions are in this ledger."""
        actions, changes = Actions(ledger, agent), Changes(ledger, agent)
        standings = AutonomyStandings(actions, changes)
        secret = real_actions is not None
        approvals = Approvals(actions, standings, policy, check, preview, suggestions_are_secret=secret)
        suspensions, logins, decisions = Suspensions(ledger, agent), Logins(ledger, agent), Decisions(ledger, agent)
        return cls(
            policy,
            actions,
            changes,
            standings,
            suspensions,
            approvals,
            logins,
            decisions,
            Transcripts(ledger, agent),
            preview,
            real_actions,
            simulate,
        )
