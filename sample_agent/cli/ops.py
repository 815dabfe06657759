"""What the runbooks do to the running agent."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from sample_agent import assembly, switches
from sample_agent.cli.common import AGENT_URL, AgentUrl, ask_agent, known_tool, open_ledger, out, stop
from sample_agent.sales.tools import TOOLS_BY_NAME
from sample_agent.state_file import state_directory

app = typer.Typer(no_args_is_help=True, help="What the runbooks do to the running agent.")


@app.command()
def sessions(url: AgentUrl = AGENT_URL) -> None:
    """List the live sessions, most tool calls first."""
    table = Table("session", "age", "turns", "tool calls", "cost")
    for row in ask_agent("GET", url, "/sessions").json():
        age = f"{row['age_seconds']:.0f} s"
        table.add_row(row["id"], age, str(row["turns"]), str(row["tool_calls"]), f"${row['cost_usd']:.4f}")
    out.print(table)


@app.command("end-session")
def end_session(
    session: Annotated[str, typer.Argument(help="Id, as `ops sessions` shows it.")], url: AgentUrl = AGENT_URL
) -> None:
    """Close one live session; its user is told to start anew."""
    answer = ask_agent("DELETE", url, f"/sessions/{session}")
    if answer.status_code != 204:
        stop(answer.json()["error"])
    out.print(f"session {session} is closed")


@app.command()
def tools() -> None:
    """List the tools and whether the model is offered them."""
    off = switches.switch_file(state_directory()).value().disabled_tools
    table = Table("tool", "risk", "state")
    for tool in TOOLS_BY_NAME.values():
        table.add_row(tool.name, tool.risk, "off" if tool.name in off else "on")
    out.print(table)


@app.command("disable-tool")
def disable_tool(tool: str) -> None:
    """Stop offering a tool to the model; it tells users that the tool is off."""
    known_tool(tool)
    _switch(switches.switch_file(state_directory()).value().without(tool))


@app.command("enable-tool")
def enable_tool(tool: str) -> None:
    """Offer a tool to the model again."""
    known_tool(tool)
    _switch(switches.switch_file(state_directory()).value().with_tool(tool))


@app.command("use-model")
def use_model(
    model: Annotated[str | None, typer.Argument(help="For example claude-haiku-5-5.")] = None,
    default: Annotated[bool, typer.Option("--default", help="Back to the configured model.")] = False,
) -> None:
    """Plan and answer with another model from the next call on."""
    if (model is None) != default:
        stop("name a model, or say --default")
    now = switches.switch_file(state_directory()).value()
    _switch(switches.Switches(now.disabled_tools, model))


@app.command()
def spend(top: Annotated[int, typer.Option(min=1, help="Show so many users.")] = 20) -> None:
    """Show what users spent since 00:00 UTC, costliest first, by the pseudonym that pages and panels show."""
    table = Table("user", "spend today", "turns")
    with open_ledger() as ledger:
        for user in ledger.top_spenders(assembly.AGENT, top):
            table.add_row(user.user, f"${user.cost_usd:.4f}", str(user.turns))
    out.print(table)


@app.command()
def who(pseudonym: Annotated[str, typer.Argument(help="12 hex digits, as pages and `ops spend` show.")]) -> None:
    """Print the user id behind a pseudonym: for the on-call, not for logs or tickets."""
    with open_ledger() as ledger:
        user_id = ledger.user_behind(pseudonym)
    if user_id is None:
        stop(f"the ledger knows no user {pseudonym!r}; `ops spend` shows the pseudonyms of today")
    out.print(user_id, markup=False, highlight=False, soft_wrap=True)


def _switch(new: switches.Switches) -> None:
    switches.write(state_directory(), new)
    out.print(f"tools off: {', '.join(new.disabled_tools) or 'none'}; model: {new.model or 'the configured one'}")
