"""What the runbooks do to the running agent."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Annotated

import typer

from agentgauge.cli import cache, throttles
from agentgauge.cli.common import AGENT_URL, AgentUrl, AsJson, agent, ask_agent, group, opened_ledger, refuse, say, stop
from agentgauge.cli.tables import Column, print_rows
from agentgauge.ops import operations_log, switches
from agentgauge.vocabulary import STEPS

app = group("ops")
app.add_typer(cache.app, name="cache")
app.command()(throttles.throttle)
app.command()(throttles.throttles)
app.command()(throttles.unthrottle)


def usd(amount: float) -> str:
    """An amount as tables show it."""
    return f"${amount:.4f}"


COUNTS = [
    Column("turns", "turns", right=True),
    Column("tool_calls", "tool calls", right=True),
    Column("cost_usd", "cost", usd, right=True),
]


@app.command()
def sessions(url: AgentUrl = AGENT_URL, as_json: AsJson = False) -> None:
    """List the live sessions, most tool calls first."""
    columns = [Column("id", "session"), Column("age_seconds", "age", lambda age: f"{age:.0f} s", right=True), *COUNTS]
    print_rows(
        columns, ask_agent("GET", url, "/sessions").json(), as_json=as_json, nothing="no session is live right now"
    )


@app.command()
def looping(as_json: AsJson = False) -> None:
    """List the latest sessions that passed the limit of tool calls, live ones included, by transcript."""
    from agentgauge.ops.transcripts import Transcripts

    rows = [asdict(one) for one in Transcripts(agent().state).all()]
    for row in rows:
        del row["messages"]  # what users wrote
    columns = [Column("id", "transcript"), Column("at", "last step"), *COUNTS]
    print_rows(columns, rows, as_json=as_json, nothing="no session passed the limit of tool calls")


@app.command()
def transcript(transcript_id: Annotated[str, typer.Argument(metavar="ID", help="As `ops looping` shows it.")]) -> None:
    """Print what was said and called in a session: it holds what a user wrote, so not for tickets."""
    from agentgauge.ops.transcripts import Transcripts, UnknownTranscriptError, as_text

    try:
        say(as_text(Transcripts(agent().state).get(transcript_id)))
    except UnknownTranscriptError as error:
        refuse(str(error))


@app.command()
def log(as_json: AsJson = False) -> None:
    """Show what was done by `ops` and when, newest last."""
    columns = [Column("at", "at (UTC)"), Column("by", "by"), Column("what", "what", wraps=True)]
    rows = [asdict(one) for one in operations_log.recorded(agent().state)]
    print_rows(columns, rows, as_json=as_json, nothing="nothing was done by `ops` so far")


@app.command("end-session")
def end_session(
    session: Annotated[str, typer.Argument(metavar="ID", help="As `ops sessions` shows it.")],
    url: AgentUrl = AGENT_URL,
) -> None:
    """Close one live session; its user is asked to start a new one."""
    answer = ask_agent("DELETE", url, f"/sessions/{session}")
    if answer.status_code != 204:
        refuse(answer.json()["error"])
    operations_log.record(agent().state, f"end-session {session}")
    say(f"session {session} is closed")


@app.command()
def tools(as_json: AsJson = False) -> None:
    """List the tools, whether the model is offered them, and which can be answered from a fallback."""
    app = agent()
    now = switches.switch_file(app.state).value()
    rows = [
        {
            "tool": tool.name,
            "risk": tool.risk,
            "state": "off" if tool.name in now.disabled_tools else "on",
            "fallback": "in use" if tool.name in now.fallback_tools else "ready" if tool.has_fallback else "none",
        }
        for tool in app.tools
    ]
    columns = [Column(key, key) for key in ("tool", "risk", "state", "fallback")]
    print_rows(columns, rows, as_json=as_json, nothing=f"{app.name} declares no tools")


@app.command("use-fallback")
def use_fallback(
    tools: Annotated[list[str] | None, typer.Argument(metavar="[TOOL]...", help="Default: all that have one.")] = None,
    off: Annotated[bool, typer.Option("--off", help="Back to the source itself.")] = False,
) -> None:
    """Answer look-ups from their fallback while the source is down; answers say how old it is."""
    app = agent()
    chosen = tools or [tool.name for tool in app.tools if tool.has_fallback]
    if not chosen:
        stop(f"no tool of {app.name} has a fallback; `agentgauge ops disable-tool TOOL` stops offering one")
    for name in chosen:
        if not app.tool(name).has_fallback:
            stop(f"{name} has no fallback; `agentgauge ops disable-tool {name}` stops offering it")
    now = switches.switch_file(app.state).value()
    _switch(now.without_fallback(*chosen) if off else now.with_fallback(*chosen))


@app.command("disable-tool")
def disable_tool(tool: str) -> None:
    """Stop offering a tool to the model; it tells users that the tool is off."""
    app = agent()
    _switch(switches.switch_file(app.state).value().without(app.tool(tool).name))


@app.command("enable-tool")
def enable_tool(tool: str) -> None:
    """Offer a tool to the model again."""
    app = agent()
    _switch(switches.switch_file(app.state).value().with_tool(app.tool(tool).name))


@app.command("use-model")
def use_model(
    model: Annotated[str | None, typer.Argument(help="For example claude-haiku-5-5.")] = None,
    default: Annotated[bool, typer.Option("--default", help="Back to the configured model.")] = False,
) -> None:
    """Plan and answer with another model from the next call on."""
    if (model is None) != default:
        stop("name a model, or say --default")
    _switch(replace(switches.switch_file(agent().state).value(), model=model))


@app.command()
def tiers(as_json: AsJson = False) -> None:
    """List the steps, the tier that each runs on, and the models that its calls go to, in turn."""
    from agentgauge.cost.tiers import Models

    app = agent()
    now = switches.switch_file(app.state).value()
    models = Models(app.tier_policy(), lambda: now)
    rows = []
    for step in STEPS:
        tier = models.tier(step)
        switched = tier != models.policy.tier_of(step)
        model, *others = models.models(step)
        rows.append({"step": step, "tier": tier, "switched": switched, "model": model, "overloaded": others})
    columns = [
        Column("step", "step"),
        Column("tier", "tier"),
        Column("switched", "", lambda switched: "switched" if switched else ""),
        Column("model", "model"),
        Column("overloaded", "when that is overloaded"),
    ]
    print_rows(columns, rows, as_json=as_json, nothing="")


@app.command("use-tier")
def use_tier(
    step: Annotated[str, typer.Argument(help="As `ops tiers` shows it.")],
    tier: Annotated[str | None, typer.Argument(help="For example medium.")] = None,
    default: Annotated[bool, typer.Option("--default", help="Back to the configured tier.")] = False,
) -> None:
    """Run a step on another tier from the next call on; planning and synthesis are the slow and costly ones."""
    app = agent()
    known = app.tier_policy().tiers
    if step not in STEPS:
        stop(f"there is no step {step!r}; the steps are {', '.join(STEPS)}")
    if (tier is None) != default:
        stop("name a tier, or say --default")
    if tier is not None and tier not in known:
        stop(f"there is no tier {tier!r}; the tiers are {', '.join(known)}")
    _switch(switches.switch_file(app.state).value().with_tier(step, tier))


@app.command()
def spend(top: Annotated[int, typer.Option(min=1, help="Show so many users.")] = 20, as_json: AsJson = False) -> None:
    """Show what users spent since 00:00 UTC, costliest first, by the pseudonym that pages and panels show."""
    app = agent()
    with opened_ledger(app) as ledger:
        rows = [asdict(one) for one in ledger.top_spenders(app.name, top)]
    columns = [
        Column("user", "user"),
        Column("cost_usd", "spend today", usd, right=True),
        Column("turns", "turns", right=True),
    ]
    print_rows(columns, rows, as_json=as_json, nothing="nobody has spent anything today")


@app.command()
def who(pseudonym: Annotated[str, typer.Argument(help="12 hex digits, as pages and `ops spend` show.")]) -> None:
    """Print the user id behind a pseudonym: for the on-call, not for logs or tickets."""
    with opened_ledger(agent()) as ledger:
        user_id = ledger.user_behind(pseudonym)
    if user_id is None:
        refuse(f"the ledger knows no user {pseudonym!r}; `agentgauge ops spend` shows the pseudonyms of today")
    say(user_id)


def _switch(new: switches.Switches) -> None:
    state = agent().state
    switches.write(state, new)
    tiers = ", ".join(f"{step} on {tier}" for step, tier in new.tiers.items())
    off, fallback = (", ".join(names) or "none" for names in (new.disabled_tools, new.fallback_tools))
    model = new.model or "the configured one"
    now = f"tools off: {off}; on fallback: {fallback}; model: {model}; tiers: {tiers or 'the configured ones'}"
    operations_log.record(state, now)
    say(now)
