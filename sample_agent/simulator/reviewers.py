"""Simulated reviewers: they read what the agent proposes, and decide by that alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from agentgauge.autonomy.approvals import Approvals

FORMAL_OPENING = re.compile(r"\s*Dear (Sir|Madam|Mr|Mrs|Ms|Dr|\w+ \w+)\b")
""""Dear Jane" is friendly, "Dear Jane Cooper" and "Dear Ms Cooper" are not."""


def objection(arguments: Mapping[str, Any]) -> str | None:
    """The reason for which a rep rejects a call with these arguments; None if there is nothing against it."""
    if FORMAL_OPENING.match(str(arguments.get("body", ""))):
        return "too formal"
    return None


def review(approvals: Approvals, by: str) -> None:
    """Decide on all that waits."""
    for action in approvals.waiting():
        reason = objection(action.proposal.arguments)
        if reason is None:
            approvals.approve(action.id, by)
        else:
            approvals.reject(action.id, by, reason)
