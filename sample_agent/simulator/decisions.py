"""What simulated reps decide on the actions that wait for them."""

from __future__ import annotations

import random
from typing import Any, Literal

from sample_agent.faults import FaultFile
from sample_agent.simulator.reviewers import objection

Choice = Literal["approve", "edit", "reject", "leave"]

USUAL: dict[Choice, float] = {"approve": 0.88, "edit": 0.07, "reject": 0.04, "leave": 0.01}
PICKY: dict[Choice, float] = {"approve": 0.1, "edit": 0.1, "reject": 0.8}
RUBBER_STAMPING: dict[Choice, float] = {"approve": 1.0}
ABSENT: dict[Choice, float] = {"leave": 1.0}

REASONS = ("wrong time for this customer", "not what I asked for", "I know something that is not in the CRM")
EDITS = {"draft_email": ("body", "\n\nP.S. I am in town next week."), "update_crm": ("text", " (told me by phone)")}
"""Tool → the argument that reps edit, and what they add to it."""


def shares(faults: FaultFile) -> dict[Choice, float]:
    """How often each choice is made now."""
    if faults.in_force("absent-reviewers"):
        return ABSENT
    if faults.in_force("picky-reviewers"):
        return PICKY
    return RUBBER_STAMPING if faults.in_force("rubber-stamping") else USUAL


def decision(action: dict[str, Any], rng: random.Random, now: dict[Choice, float]) -> dict[str, Any] | None:
    """A rep's decision on an action, as the service takes it; None leaves it to a colleague, or to expire."""
    choice = rng.choices(list(now), weights=list(now.values()))[0]
    if choice == "leave":
        return None
    if now is not RUBBER_STAMPING and (reason := objection(action["arguments"])):
        return {"decision": "reject", "reason": reason}
    if choice == "edit" and action["tool"] in EDITS:
        return {"decision": "edit", "arguments": _edited(action), "reason": "added what I know"}
    if choice == "reject":
        return {"decision": "reject", "reason": rng.choice(REASONS)}
    return {"decision": "approve", "seen": action.get("seal")}


def _edited(action: dict[str, Any]) -> dict[str, Any]:
    argument, added = EDITS[action["tool"]]
    return {**action["arguments"], argument: action["arguments"][argument] + added}
