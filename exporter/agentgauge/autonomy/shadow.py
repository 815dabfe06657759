"""Compares what the agent suggested with what a person did."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentgauge.argument_diff import differing_fields
from agentgauge.autonomy.actions import Action, Actions
from agentgauge.autonomy.policy import Policy
from agentgauge.vocabulary import ShadowMatch


def record(
    actions: Actions, policy: Policy, action_id: str, done: Mapping[str, Any] | None, by: str
) -> tuple[Action, list[str]]:
    """Commit what a person did instead of a suggestion, None for something else; returns where the two differ.

    Raises UnknownActionError, and AlreadyDecidedError if it is not a suggestion or was compared before.
    """
    proposal = actions.get(action_id).proposal
    known = policy.tools.get(proposal.tool)
    compared = None if known is None else known.compared
    differences = list(proposal.arguments) if done is None else differing_fields(proposal.arguments, done, compared)
    match: ShadowMatch = "misaligned" if done is None or differences else "aligned"
    return actions.compare(action_id, match, done, by), differences
