"""The CRM as reps use it themselves, without the agent: what they do is compared with what it suggests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from agentgauge.cli.common import say, stop
from sample_agent.settings import state_directory

if TYPE_CHECKING:
    from sample_agent.sales.crm import Crm

app = typer.Typer(no_args_is_help=True, help="Work in the CRM yourself, as reps do: note, email.")


@app.command()
def note(
    account: str,
    text: str,
    kind: Annotated[Literal["note", "next_step", "risk"], typer.Option(help="What is written down.")] = "note",
) -> None:
    """Write something down on an account."""
    from sample_agent.me import my_name

    with _crm() as crm:
        found = crm.accounts([account])
        if len(found) != 1:
            stop(f"{len(found)} accounts answer to {account!r}; give the name of one")
        number = crm.add_note(found[0]["id"], kind, text, by=my_name())
    say(f"note {number} on {found[0]['name']}")


@app.command()
def email(
    to: Annotated[str, typer.Argument(help="Address of a contact.")],
    subject: Annotated[str, typer.Option()],
    body: Annotated[str, typer.Option()],
) -> None:
    """Send an e-mail to a contact: it is in the outbox."""
    from sample_agent.me import my_name

    with _crm() as crm:
        contact = crm.contact_with_email(to)
        if contact is None:
            stop(f"no contact in the CRM has the address {to}")
        number = crm.add_draft(contact["id"], subject, body, by=my_name())
        crm.mark_sent(number)
    say(f"e-mail {number} to {contact['email']}")


@contextmanager
def _crm() -> Iterator[Crm]:
    from sample_agent.sales import crm

    database = state_directory() / "crm.sqlite"
    crm.build(database)
    with closing(crm.Crm(database)) as opened:
        yield opened
