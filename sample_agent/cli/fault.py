"""Break the running agent on purpose, and mend it."""

from __future__ import annotations

from typing import Annotated

import typer

from agentgauge.cli.common import AsJson, say, stop
from agentgauge.cli.tables import Column, print_rows
from sample_agent import faults
from sample_agent.settings import state_directory

app = typer.Typer(no_args_is_help=True, help="Break the running agent on purpose: inject, list, clear.")

COLUMNS = [
    Column("name", "fault"),
    Column("description", "what it does", wraps=True),
    Column("in_force", "in force"),
]


@app.command()
def inject(
    name: Annotated[str, typer.Argument(metavar="NAME", help="As `fault list` shows it.")],
    tool: Annotated[str | None, typer.Option(help="Only this tool (faults of tools).")] = None,
) -> None:
    """Put a fault in force, beside those that already are."""
    from sample_agent.sales.tools import TOOLS_BY_NAME

    if tool is not None and tool not in TOOLS_BY_NAME:
        stop(f"there is no tool {tool!r}; the tools are {', '.join(TOOLS_BY_NAME)}")
    try:
        faults.inject(state_directory(), faults.Fault(name, tool))
    except ValueError as error:
        stop(str(error))
    _say_what_is_in_force()


@app.command("list")
def list_all(as_json: AsJson = False) -> None:
    """List the faults, what each does, and which are in force."""
    active = faults.FaultFile(state_directory()).active()
    rows = [
        {
            "name": name,
            "description": kind.description,
            "in_force": [one.tool or "yes" for one in active if one.name == name],
        }
        for name, kind in faults.FAULTS.items()
    ]
    print_rows(COLUMNS, rows, as_json=as_json, nothing="")


@app.command()
def clear(name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Only this one.")] = None) -> None:
    """End the faults in force, or only those of this name."""
    try:
        faults.clear(state_directory(), name)
    except ValueError as error:
        stop(str(error))
    _say_what_is_in_force()


def _say_what_is_in_force() -> None:
    active = faults.FaultFile(state_directory()).active()
    now = ", ".join(f"{one.name} ({one.tool})" if one.tool else one.name for one in active)
    say(f"faults in force: {now or 'none'}")
