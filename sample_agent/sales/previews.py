"""What a call would do, for those who decide on it: a number of a draft says nothing about the e-mail."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from sample_agent.errors import ToolInputError
from sample_agent.sales.crm import Crm
from sample_agent.sales.tools import account_named, recipient

REPLACED = ("next_step", "risk")
"""Kinds of entries of which the newest is the one in force; notes pile up."""

SO_FAR = "so_far"
"""The field with the entry in force."""


def preview(database: Path, tool: str, arguments: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The e-mail that would be drafted or sent, or the entry in the CRM beside the one in force; None for look-ups.

    Raises ToolInputError for a call that could not be carried out: there is no such draft, contact or account.
    """
    if tool not in PREVIEWS:
        return None
    with closing(Crm(database)) as crm:
        return PREVIEWS[tool](crm, **arguments)


def _new_draft(crm: Crm, to: str, subject: str, body: str) -> Mapping[str, Any]:
    return {"to": recipient(crm, to)["email"], "subject": subject, "body": body}


def _draft(crm: Crm, draft_id: int) -> Mapping[str, Any]:
    draft = crm.draft(draft_id)
    if draft is None:
        raise ToolInputError(f"send_email: draft_id: there is no draft {draft_id}")
    if draft["sent_at"] is not None:
        raise ToolInputError(f"send_email: draft_id: draft {draft_id} was sent before")
    return {"to": draft["recipient"], "subject": draft["subject"], "body": draft["body"]}


def _entry(crm: Crm, account: str, text: str, kind: str = "note") -> Mapping[str, Any]:
    row = account_named(crm, account)
    in_force = next((one["text"] for one in crm.notes([row["id"]]) if one["kind"] == kind), None)
    so_far = {SO_FAR: in_force} if kind in REPLACED and in_force is not None else {}
    return {"account": row["name"], "kind": kind, **so_far, "text": text}


PREVIEWS: dict[str, Callable[..., Mapping[str, Any]]] = {
    "draft_email": _new_draft,
    "send_email": _draft,
    "update_crm": _entry,
}
