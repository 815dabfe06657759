"""Simulated reviewers: they read what the agent proposes, and decide by that alone."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from agentgauge.autonomy.action import AlreadyDecidedError
from agentgauge.autonomy.approvals import Approvals

FORMAL_OPENING = re.compile(r"\s*Dear (Sir|Madam|Mr|Mrs|Ms|Dr|\w+ \w+)\b")
""""Dear Jane" is friendly, "Dear Jane Cooper" and "Dear Ms Cooper" are not."""


def objection(arguments: Mapping[str, Any]) -> str | None:
    """The reason for which a rep rejects a call with these arguments; None if there is nothing against it."""
    if FORMAL_OPENING.match(str(arguments.get("body", ""))):
        return "too formal"
    return None


def review(approvals: Approvals, by: str, waiting_since: datetime | None = None) -> None:
    """Decide on all that waits, or on what has waited since then; what somebody else decides meanwhile is decided."""
    for action in approvals.waiting():
        if waiting_since is not None and action.at > waiting_since:
            continue
        reason = objection(action.proposal.arguments)
        with contextlib.suppress(AlreadyDecidedError):
            if reason is None:
                approvals.approve(action.id, by)
            else:
                approvals.reject(action.id, by, reason)
