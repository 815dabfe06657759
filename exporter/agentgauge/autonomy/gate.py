"""The gate: what the policy decides about one call. Pure functions of policy, standing, call and a draw.

They see neither the conversation nor any tool result, so nothing that is said there can change a decision.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agentgauge.autonomy.policy import Policy, ToolPolicy, is_higher
from agentgauge.vocabulary import Disposition, Mode, Risk, Stage

DISPOSITION_OF: Mapping[Mode, Disposition] = {"suggest": "suggested", "approve": "approval", "auto": "auto"}


@dataclass(frozen=True)
class AutonomyStanding:
    """What the agent has earned so far: its stage, and the tools that were promoted and demoted in it."""

    stage: Stage
    promoted: frozenset[str] = frozenset()
    demoted: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Ruling:
    """What becomes of a call, and why; ``sampled`` says that people look at it afterwards."""

    risk: Risk
    disposition: Disposition
    why: str
    sampled: bool = False


def decide(
    policy: Policy, standing: AutonomyStanding, tool: str, arguments: Mapping[str, Any], draw: float = 1.0
) -> Ruling:
    """Decide on a call. ``draw``, from 0 to 1, is the chance of the audit: see ``draw_for``."""
    assessed, why = policy.assess(tool, arguments)
    if assessed == "denied":
        return Ruling(_risk_of(policy, tool), "denied", why)
    known = policy.tools[tool]
    mode = _mode(policy, standing, tool, known, assessed)
    sampled = mode == "auto" and known.side_effect and draw < policy.audit.share
    return Ruling(assessed, DISPOSITION_OF[mode], why, sampled)


def mode_of(policy: Policy, standing: AutonomyStanding, tool: str) -> Mode:
    """What a tool may do now, if the arguments do not raise the risk."""
    known = policy.tools[tool]
    return _mode(policy, standing, tool, known, known.risk)


def draw_for(policy: Policy, call_id: str) -> float:
    """The draw for a call: always the same for one seed and call, random without a seed."""
    seed = policy.audit.seed
    chance = random.Random() if seed is None else random.Random(f"{seed} {call_id}")  # noqa: S311 - a sample, no secret
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
        or (standing.stage == "semi_autonomous" and tool in standing.promoted and as_known)
        or (standing.stage == "autonomous" and not is_higher(risk, policy.autonomous.run_up_to))
    )
    return "auto" if runs_alone else "approve"


def _risk_of(policy: Policy, tool: str) -> Risk:
    return policy.tools[tool].risk if tool in policy.tools else "high"
