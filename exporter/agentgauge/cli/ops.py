"""What the runbooks do to the running agent."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer
from rich.table import Table

from agentgauge.cli import cache, throttles
from agentgauge.cli.common import AGENT_URL, AgentUrl, ask_agent, known_tool, open_ledger, out, stop
from agentgauge.cost.tiers import Models
from agentgauge.files.watched_file import state_directory
from agentgauge.ops import operations_log, switches
from agentgauge.ops.transcripts import Transcripts, UnknownTranscriptError, as_text
from agentgauge.vocabulary import STEPS
from sample_agent import assembly
from sample_agent.sales.tools import TOOLS_BY_NAME

app = typer.Typer(no_args_is_help=True, help="What the runbooks do to the running agent.")
app.add_typer(cache.app, name="cache")
app.command()(throttles.throttle)
app.command()(throttles.throttles)
app.command()(throttles.unthrottle)


@app.command()
def sessions(url: AgentUrl = AGENT_URL) -> None:
    """List the live sessions, most tool calls first."""
    table = Table("session", "age", "turns", "tool calls", "cost")
    for row in ask_agent("GET", url, "/sessions").json():
        age = f"{row['age_seconds']:.0f} s"
        table.add_row(row["id"], age, str(row["turns"]), str(row["tool_calls"]), f"${row['cost_usd']:.4f}")
    out.print(table)


@app.command()
def looping() -> None:
    """List the latest sessions that passed the limit of tool calls, live ones included, by transcript."""
    table = Table("transcript", "last step", "turns", "tool calls", "cost")
    for one in Transcripts(state_directory()).all():
        table.add_row(one.id, one.at, str(one.turns), str(one.tool_calls), f"${one.cost_usd:.4f}")
    out.print(table)


@app.command()
def transcript(transcript_id: Annotated[str, typer.Argument(help="As `ops looping` shows it.")]) -> None:
    """Print what was said and called in a session: it holds what a user wrote, so not for tickets."""
    try:
        found = Transcripts(state_directory()).get(transcript_id)
    except UnknownTranscriptError as error:
        stop(str(error))
    out.print(as_text(found), markup=False, highlight=False, soft_wrap=True)


@app.command()
def log() -> None:
    """Show what was done by `ops` and when, newest last."""
    table = Table("at (UTC)", "by", "what")
    for operation in operations_log.recorded(state_directory()):
        table.add_row(operation.at, operation.by, operation.what)
    out.print(table)


@app.command("end-session")
def end_session(
    session: Annotated[str, typer.Argument(help="Id, as `ops sessions` shows it.")], url: AgentUrl = AGENT_URL
) -> None:
    """Close one live session; its user is told to start anew."""
    answer = ask_agent("DELETE", url, f"/sessions/{session}")
    if answer.status_code != 204:
        stop(answer.json()["error"])
    operations_log.record(state_directory(), f"end-session {session}")
    out.print(f"session {session} is closed")


@app.command()
def tools() -> None:
    """List the tools, whether the model is offered them, and which can be answered from the copy of the CRM."""
    now = switches.switch_file(state_directory()).value()
    table = Table("tool", "risk", "state", "fallback")
    for tool in TOOLS_BY_NAME.values():
        fallback = "in use" if tool.name in now.fallback_tools else "ready" if tool.with_fallback else "none"
        table.add_row(tool.name, tool.risk, "off" if tool.name in now.disabled_tools else "on", fallback)
    out.print(table)


@app.command("use-fallback")
def use_fallback(
    tools: Annotated[list[str] | None, typer.Argument(help="Default: all that have a fallback.")] = None,
    off: Annotated[bool, typer.Option("--off", help="Back to the CRM itself.")] = False,
) -> None:
    """Answer look-ups from last night's copy of the CRM while the CRM is down; answers say of which day it is."""
    chosen = tools or [tool.name for tool in TOOLS_BY_NAME.values() if tool.with_fallback]
    for name in chosen:
        if not TOOLS_BY_NAME[known_tool(name)].with_fallback:
            stop(f"{name} writes, so it has no fallback; `ops disable-tool {name}` stops offering it")
    now = switches.switch_file(state_directory()).value()
    _switch(now.without_fallback(*chosen) if off else now.with_fallback(*chosen))


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
    _switch(replace(switches.switch_file(state_directory()).value(), model=model))


@app.command()
def tiers() -> None:
    """List the steps, the tier that each runs on, and the models that its calls go to, in turn."""
    now = switches.switch_file(state_directory()).value()
    models = Models(assembly.tier_policy(), lambda: now)
    table = Table("step", "tier", "model", "when that is overloaded")
    for step in STEPS:
        model, *others = models.models(step)
        switched = " (switched)" if models.tier(step) != models.policy.tier_of(step) else ""
        table.add_row(step, f"{models.tier(step)}{switched}", model, ", ".join(others))
    out.print(table)


@app.command("use-tier")
def use_tier(
    step: Annotated[str, typer.Argument(help=f"One of: {', '.join(STEPS)}.")],
    tier: Annotated[str | None, typer.Argument(help="For example medium.")] = None,
    default: Annotated[bool, typer.Option("--default", help="Back to the configured tier.")] = False,
) -> None:
    """Run a step on another tier from the next call on; planning and synthesis are the slow and costly ones."""
    known = assembly.tier_policy().tiers
    if step not in STEPS:
        stop(f"there is no step {step!r}; the steps are {', '.join(STEPS)}")
    if (tier is None) != default:
        stop("name a tier, or say --default")
    if tier is not None and tier not in known:
        stop(f"there is no tier {tier!r}; the tiers are {', '.join(known)}")
    _switch(switches.switch_file(state_directory()).value().with_tier(step, tier))


@app.command()
def spend(top: Annotated[int, typer.Option(min=1, help="Show so many users.")] = 20) -> None:
    """Show what users spent since 00:00 UTC, costliest first, by the pseudonym that pages and panels show."""
    table = Table("user", "spend today", "turns")
    with open_ledger() as ledger:
        for user in ledger.top_spenders(assembly.AGENT, top):
            table.add_row(user.user, f"${user.cost_usd:.4f}", str(user.turns))
    out.print(table)


def users(
    pseudonym: Annotated[str | None, typer.Option("--who", help="Print the user id behind this pseudonym.")] = None,
) -> None:
    """Show what users spent today, by pseudonym, or who one of them is: see `ops spend` and `ops who`."""
    if pseudonym is None:
        spend()
    else:
        who(pseudonym)


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
    tiers = ", ".join(f"{step} on {tier}" for step, tier in new.tiers.items())
    off, fallback = (", ".join(names) or "none" for names in (new.disabled_tools, new.fallback_tools))
    model = new.model or "the configured one"
    now = f"tools off: {off}; on fallback: {fallback}; model: {model}; tiers: {tiers or 'the configured ones'}"
    operations_log.record(state_directory(), now)
    out.print(now, soft_wrap=True)
