"""The gate: what the policy decides about one call. Pure functions of policy, standing, call and a draw.

They see neither the conversation nor any tool result, so nothing that is said there can change a decision.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agentgauge.autonomy.effects import Effect
from agentgauge.autonomy.policy import Policy, ToolPolicy, is_higher
from agentgauge.vocabulary import Disposition, Mode, Risk, Stage

DISPOSITION_OF: Mapping[Mode, Disposition] = {"suggest": "suggested", "approve": "approval", "auto": "auto"}


@dataclass(frozen=True)
class AutonomyStanding:
    """What the agent has earned so far: its stage, and the tools that were promoted and demoted in it.

    ``shares`` is promoted tool → the share of its calls that runs unasked so far; all of them if it is left out.
    """

    stage: Stage
    promoted: frozenset[str] = frozenset()
    demoted: frozenset[str] = frozenset()
    shares: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Ruling:
    """What becomes of a call, and why; ``sampled`` says that people look at it afterwards."""

    risk: Risk
    disposition: Disposition
    why: str
    sampled: bool = False


def decide(
    policy: Policy,
    standing: AutonomyStanding,
    tool: str,
    arguments: Mapping[str, Any],
    draw: float = 1.0,
    canary: float = 0.0,
    effect: Effect | None = None,
) -> Ruling:
    """Decide on a call, which would have this ``effect`` where the policy asks for it.

    ``draw`` and ``canary``, from 0 to 1, are the chances of the audit and of a new promotion: see ``draw_for``.
    """
    assessed, why = policy.assess(tool, arguments, effect)
    if assessed == "denied":
        return Ruling(_risk_of(policy, tool), "denied", why)
    known = policy.tools[tool]
    mode = _mode(policy, standing, tool, known, assessed)
    share = standing.shares.get(tool, 1.0)
    if mode == "auto" and canary >= share and _is_by_promotion(standing, tool, known, assessed):
        return Ruling(assessed, "approval", f"{tool} is newly promoted: {share:.0%} of its calls run unasked so far")
    sampled = mode == "auto" and known.side_effect and draw < policy.audit.share
    return Ruling(assessed, DISPOSITION_OF[mode], why, sampled)


def mode_of(policy: Policy, standing: AutonomyStanding, tool: str) -> Mode:
    """What a tool may do now, if the arguments do not raise the risk."""
    known = policy.tools[tool]
    return _mode(policy, standing, tool, known, known.risk)


def draw_for(policy: Policy, call_id: str, what: str = "audit") -> float:
    """The draw for a call: always the same for one seed, call and ``what`` it is for; random without a seed."""
    seed = policy.audit.seed
    known = f"{seed} {call_id}" if what == "audit" else f"{seed} {what} {call_id}"
    chance = random.Random() if seed is None else random.Random(known)  # noqa: S311 - a sample, no secret
    return chance.random()


def _mode(policy: Policy, standing: AutonomyStanding, tool: str, known: ToolPolicy, risk: Risk) -> Mode:
    if standing.stage == "shadow" and known.side_effect:
        return "suggest"  # whatever else the policy says of the tool
    as_known = risk == known.risk
    if known.mode is not None:
        # An exception is for calls of the risk that the tool is known for: one of a higher risk waits.
        return "approve" if known.mode == "auto" and not as_known else known.mode
    if tool in standing.demoted:
        return "approve"
    runs_alone = (
        risk == "low"
        or (standing.stage == "shadow" and not known.side_effect)
        or _is_by_promotion(standing, tool, known, risk)
        or (standing.stage == "autonomous" and not is_higher(risk, policy.autonomous.run_up_to))
    )
    return "auto" if runs_alone else "approve"


def _is_by_promotion(standing: AutonomyStanding, tool: str, known: ToolPolicy, risk: Risk) -> bool:
    """Whether a call runs because its tool was promoted: for the risk in force, whatever that was at the time."""
    promoted = standing.stage == "semi_autonomous" and tool in standing.promoted and known.mode is None
    return promoted and risk == known.risk == "medium"


def _risk_of(policy: Policy, tool: str) -> Risk:
    return policy.tools[tool].risk if tool in policy.tools else "high"
