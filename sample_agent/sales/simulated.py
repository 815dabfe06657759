"""In the stage shadow: what a call that writes would have come to, so that work of several steps goes on to its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agentgauge.autonomy.effects import Effect, Simulated, SimulatedStep
from sample_agent.errors import ToolInputError
from sample_agent.sales.previews import SO_FAR, preview

FIRST_NUMBER = 1_000_000_000
"""Of drafts and entries that were never written: the CRM's own numbers do not get there."""


def simulate(
    database: Path, tool: str, arguments: Mapping[str, Any], earlier: Sequence[SimulatedStep]
) -> Simulated | None:
    """The result that the tool would have had, and the effect that people's own actions are compared with.

    Nothing is written. None for a tool that only looks up; raises ToolInputError where the tool would.
    """
    number = FIRST_NUMBER + len(earlier)
    match tool:
        case "draft_email":
            email = _effect(database, tool, arguments)
            return Simulated({"draft_id": number, **email, "status": "draft"}, email)
        case "send_email":
            email = _draft(database, arguments["draft_id"], earlier)
            sent = {"draft_id": arguments["draft_id"], "to": email["to"], "subject": email["subject"]}
            return Simulated({**sent, "status": "sent"}, email)
        case "update_crm":
            entry = _effect(database, tool, arguments)
            return Simulated({"note_id": number, **entry, "status": "saved"}, entry)
    return None


def _effect(database: Path, tool: str, arguments: Mapping[str, Any]) -> Effect:
    """What the call would write; what stood there before is nothing that anybody did."""
    effect = preview(database, tool, arguments) or {}
    return {name: value for name, value in effect.items() if name != SO_FAR}


def _draft(database: Path, draft_id: int, earlier: Sequence[SimulatedStep]) -> Effect:
    """The e-mail of a draft: one that was only simulated, once, or a real one."""
    if any(step.tool == "send_email" and step.arguments["draft_id"] == draft_id for step in earlier):
        raise ToolInputError(f"send_email: draft_id: draft {draft_id} was sent before")
    for step in earlier:
        if step.tool == "draft_email" and step.outcome.result["draft_id"] == draft_id:
            return step.outcome.effect or {}
    return _effect(database, "send_email", {"draft_id": draft_id})
