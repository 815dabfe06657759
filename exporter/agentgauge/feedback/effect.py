"""Whether a new version of the prompts helped: what people decide of its proposals, beside those of the one before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from agentgauge.autonomy.action import Action
from agentgauge.evals import intervals
from agentgauge.evals.intervals import Interval, Share

Helped = Literal["helped", "made it worse", "not known yet"]


@dataclass(frozen=True)
class LiveEffect:
    """Of one tool: how many of its proposals people approved as they were, before and after, and the difference."""

    tool: str
    before: Share
    after: Share
    difference: Interval

    @property
    def verdict(self) -> Helped:
        """What the interval says."""
        if self.difference.low > 0:
            return "helped"
        return "made it worse" if self.difference.high < 0 else "not known yet"


def live_effects(decided: Iterable[Action], before: str, after: str) -> list[LiveEffect]:
    """Compare two versions of the prompts, tool by tool, over the decisions of people; a tool needs some in both."""
    shares: dict[tuple[str, str], list[bool]] = {}
    for action in decided:
        # What expired says that nobody had the time, and nothing about the proposal.
        if action.decision in ("approved", "edited", "rejected"):
            proposal = action.proposal
            shares.setdefault((proposal.tool, proposal.prompt_version), []).append(action.decision == "approved")
    tools = sorted({tool for tool, version in shares if version == after and (tool, before) in shares})
    return [_effect(tool, shares, before, after) for tool in tools]


def _effect(tool: str, shares: Mapping[tuple[str, str], list[bool]], before: str, after: str) -> LiveEffect:
    old, new = (Share(sum(shares[tool, version]), len(shares[tool, version])) for version in (before, after))
    return LiveEffect(tool, old, new, intervals.difference([old], [new]))
