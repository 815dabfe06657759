"""Who can log in to decide: list them, give them a token, take it away."""

from __future__ import annotations

from typing import Annotated

import typer

from agentgauge.cli.common import AsJson, agent, opened_ledger, refuse, say, stop
from agentgauge.cli.deciding import people_of
from agentgauge.cli.tables import Column, print_rows

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Who can log in to decide: list, add, remove.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="What the record calls them.")]

COLUMNS = [Column("name", "name"), Column("roles", "roles", ", ".join)]


@app.command("list")
def list_all(as_json: AsJson = False) -> None:
    """List who can log in, with their roles."""
    rows = [{"name": name, "roles": list(person.roles)} for name, person in people_of(agent()).items()]
    print_rows(COLUMNS, rows, as_json=as_json, nothing="nobody can log in; `agentgauge approvals people add NAME`")


@app.command()
def add(
    name: Name,
    role: Annotated[list[str] | None, typer.Option(help="A role that the policy names; as often as needed.")] = None,
) -> None:
    """Give somebody a token, and print it: it is shown once. One that they had before ends, and so do their logins."""
    from agentgauge.autonomy.people import People, TokenError

    app = agent()
    with opened_ledger(app) as ledger:
        try:
            token = People.of(app.state).add(name, tuple(role or ()))
        except TokenError as error:
            stop(str(error))
        app.autonomy(ledger).logins.close_all(name)
    say(token)


@app.command()
def remove(name: Name) -> None:
    """Take somebody's token away, and log them out."""
    from agentgauge.autonomy.people import People, TokenError

    app = agent()
    with opened_ledger(app) as ledger:
        try:
            removed = People.of(app.state).remove(name)
        except TokenError as error:
            stop(str(error))
        if not removed:
            refuse(f"{name} has no token; `agentgauge approvals people list` shows who has")
        app.autonomy(ledger).logins.close_all(name)
    say(f"{name} cannot log in any more")
