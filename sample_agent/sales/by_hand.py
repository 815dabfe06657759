"""What reps do themselves in the CRM and the outbox: the record that suggestions are compared with."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from agentgauge.autonomy.action import Action
from agentgauge.autonomy.real_actions import RealAction
from sample_agent.sales.crm import Crm, Row

BEFORE = timedelta(hours=1)
"""A rep may have done so long before what they asked the agent for."""


def real_actions(database: Path, suggestion: Action) -> list[RealAction]:
    """What the user of a suggestion wrote to or about the same account, nearest in time first."""
    shown, user = suggestion.shown, suggestion.proposal.user_id
    with closing(Crm(database)) as crm:
        if suggestion.proposal.tool == "update_crm":
            accounts = [account["id"] for account in crm.accounts([shown["account"]])]
            found = [_note(row) for row in crm.notes_by(user, accounts)]
        else:
            contact = crm.contact_with_email(shown["to"])
            accounts = [] if contact is None else [contact["account_id"]]
            only_sent = suggestion.proposal.tool == "send_email"
            found = [_email(row) for row in crm.emails_by(user, accounts) if row["sent_at"] or not only_sent]
    recent = [one for one in found if one.at >= suggestion.at - BEFORE]
    return sorted(recent, key=lambda one: abs(one.at - suggestion.at))


def _note(row: Row) -> RealAction:
    effect = {"account": row["account"], "kind": row["kind"], "text": row["text"]}
    return RealAction(f"note {row['id']}", row["written_by"], _time(row["created_at"]), effect)


def _email(row: Row) -> RealAction:
    effect = {"to": row["recipient"], "subject": row["subject"], "body": row["body"]}
    return RealAction(f"e-mail {row['id']}", row["written_by"], _time(row["sent_at"] or row["created_at"]), effect)


def _time(text: str) -> datetime:
    """SQLite's CURRENT_TIMESTAMP."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
