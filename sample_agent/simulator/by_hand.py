"""What simulated reps do themselves in the CRM, where the agent only watches: what they had asked it for."""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path

from sample_agent.sales.crm import Crm

NOTE = re.compile(r"Log a note in the CRM for (?P<account>.+?): (?P<text>.+)")
EMAIL = re.compile(r"Draft a renewal proposal email to our contact at (?P<account>.+)")


def do_by_hand(database: Path, user_id: str, question: str) -> None:
    """Do what the rep had asked for; nothing, if that was only a look-up.

    They know nothing of what the agent would have done. Raises FileNotFoundError without a CRM.
    """
    note, email = NOTE.fullmatch(question), EMAIL.fullmatch(question)
    with closing(Crm(database)) as crm:
        if note:
            (account,) = crm.accounts([note["account"]])
            crm.add_note(account["id"], "note", note["text"], by=user_id)
        elif email:
            (account,) = crm.accounts([email["account"]])
            person = crm.contacts([account["id"]])[0]
            body = f"Hi {person['name'].split()[0]},\n\nhere is our proposal for the next year. Shall we talk?"
            crm.add_draft(person["id"], f"Your renewal, {account['name']}", body, by=user_id)
