"""What a call would do, for those who decide on it: a number of a draft says nothing about the e-mail."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from sample_agent.errors import ToolInputError
from sample_agent.sales.crm import Crm


def preview(database: Path, tool: str, arguments: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The e-mail that would be sent; None for tools whose arguments say it all.

    Raises ToolInputError if there is no such draft, or it was sent.
    """
    if tool != "send_email":
        return None
    with closing(Crm(database)) as crm:
        draft = crm.draft(arguments["draft_id"])
    if draft is None:
        raise ToolInputError(f"send_email: draft_id: there is no draft {arguments['draft_id']}")
    if draft["sent_at"] is not None:
        raise ToolInputError(f"send_email: draft_id: draft {arguments['draft_id']} was sent before")
    return {"to": draft["recipient"], "subject": draft["subject"], "body": draft["body"]}
