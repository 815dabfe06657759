"""What the agent suggested beside what a person did: aligned, or where not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentgauge.autonomy.actions import Action, Actions
from agentgauge.autonomy.policy import Policy
from agentgauge.vocabulary import ShadowMatch


def differing(suggested: Mapping[str, Any], done: Mapping[str, Any], compared: list[str] | None = None) -> list[str]:
    """The fields in which the two differ, or those of ``compared`` only; white space does not count."""
    fields = compared if compared is not None else list({**suggested, **done})
    return [field for field in fields if _plain(suggested.get(field)) != _plain(done.get(field))]


def record(
    actions: Actions, policy: Policy, action_id: str, done: Mapping[str, Any] | None, by: str
) -> tuple[Action, list[str]]:
    """Commit what a person did instead of a suggestion, None for something else; returns where the two differ.

    Raises UnknownActionError, and AlreadyDecidedError if it is no suggestion or was compared before.
    """
    proposal = actions.get(action_id).proposal
    known = policy.tools.get(proposal.tool)
    compared = None if known is None else known.compared
    differences = list(proposal.arguments) if done is None else differing(proposal.arguments, done, compared)
    match: ShadowMatch = "misaligned" if done is None or differences else "aligned"
    return actions.compare(action_id, match, done, by), differences


def _plain(value: Any) -> Any:
    return " ".join(value.split()) if isinstance(value, str) else value
