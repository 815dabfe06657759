"""What the runbooks do to the running agent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentgauge.cli import cache, throttles
from agentgauge.cli.asking import WITHIN, Why, ask, ask_those_there_are, with_replica
from agentgauge.cli.common import AsJson, By, agent, group, opened_ledger, refuse, say, stop
from agentgauge.cli.tables import Column, print_rows
from agentgauge.vocabulary import STEPS

if TYPE_CHECKING:
    from agentgauge.agent_app import AgentApp
    from agentgauge.ops.switches import Switches

app = group("ops")
app.add_typer(cache.app, name="cache")
app.command()(throttles.throttle)
app.command()(throttles.throttles)
app.command()(throttles.unthrottle)


def usd(amount: float) -> str:
    """An amount as tables show it."""
    return f"${amount:.4f}"


ELSEWHERE = "look for a deployment, or at what it depends on; `agentgauge prompts list` shows its prompts"
NOBODY_SPENT = "nobody has spent anything since 00:00 UTC; `agentgauge ops sessions` shows whether anybody is there"

COUNTS = [
    Column("turns", "turns", right=True),
    Column("tool_calls", "tool calls", right=True),
    Column("cost_usd", "cost", usd, right=True),
]


@app.command()
def sessions(as_json: AsJson = False) -> None:
    """List the live sessions of all replicas, most tool calls first."""
    from agentgauge.ops.asking import merged

    app = agent()
    with opened_ledger(app) as ledger:
        answers = ask(app, ledger, "sessions")
    rows = sorted(merged(answers), key=lambda row: -row["tool_calls"])
    columns = [Column("id", "session"), Column("age_seconds", "age", lambda age: f"{age:.0f} s", right=True), *COUNTS]
    nothing = (
        f"no session of {app.name} is live right now; `agentgauge ops looping` shows those that looped before, "
        "`agentgauge ops log` what people did"
    )
    print_rows(with_replica(columns, answers), rows, as_json=as_json, nothing=nothing)


@app.command()
def looping(as_json: AsJson = False) -> None:
    """List the sessions that passed the limit of tool calls: live ones, and those of which there is a transcript."""
    from agentgauge.ops.asking import merged
    from agentgauge.transcripts.store import Transcripts

    app = agent()
    with opened_ledger(app) as ledger:
        sessions = ask_those_there_are(app, ledger, "sessions")
        kept = Transcripts(ledger, app.name).newest("looping")
    rows: dict[str, dict[str, Any]] = {}
    for one in kept:
        counts = {"turns": one.turns, "tool_calls": one.tool_calls, "cost_usd": one.cost_usd}
        rows[one.session] = {"id": one.session, "at": one.at, "live": False, **counts}
    for row in merged(sessions):
        if row["is_over_tool_calls"]:
            rows[row["id"]] = {**rows.get(row["id"], {}), **row, "live": True}
    columns = [
        Column("id", "session"),
        Column("live", "live", lambda live: "yes" if live else "no"),
        Column("at", "transcript of (UTC)"),
        *COUNTS,
    ]
    live_first = sorted(rows.values(), key=lambda row: not row["live"])
    nothing = "no session passed the limit of tool calls; `agentgauge ops sessions` shows those that are live"
    print_rows(with_replica(columns, sessions), live_first, as_json=as_json, nothing=nothing)


@app.command()
def log(as_json: AsJson = False) -> None:
    """Show what people did to the agent, by whichever command, and why; newest last."""
    from agentgauge.ops.log import entries

    app = agent()
    with opened_ledger(app) as ledger:
        rows = [asdict(one) for one in entries(ledger, app.name)]
    columns = [
        Column("at", "at (UTC)"),
        Column("by", "by"),
        Column("what", "what", wraps=True),
        Column("why", "why", wraps=True),
    ]
    print_rows(columns, rows, as_json=as_json, nothing=f"nobody has done anything to {app.name} so far; {ELSEWHERE}")


@app.command("end-session")
def end_session(
    session: Annotated[str, typer.Argument(metavar="ID", help="As `ops sessions` shows it.")],
    why: Why = "",
    by: By = "unknown",
) -> None:
    """Close one live session, whichever replica has it; its user is asked to start a new one."""
    from agentgauge.ops.asking import merged
    from agentgauge.ops.operations import Operations

    app = agent()
    with opened_ledger(app) as ledger:
        answers = ask(app, ledger, "sessions")
        live = [row["id"] for row in merged(answers)]
        if session not in live and all(answer.problem is None for answer in answers):
            refuse(f"there is no live session {session!r}; `agentgauge ops sessions` lists them")
        Operations(ledger, app.name).add("end_session", {"session": session}, by, why)
    say(f"session {session} is closed {WITHIN}")


@app.command()
def tools(as_json: AsJson = False) -> None:
    """List the tools, whether the model is offered them, and which can be answered from a fallback."""
    app = agent()
    now = _in_force(app)
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
    print_rows(columns, rows, as_json=as_json, nothing=f"{app.name} declares no tools; name them in AgentApp(tools=…)")


@app.command("use-fallback")
def use_fallback(
    tools: Annotated[list[str] | None, typer.Argument(metavar="[TOOL]...", help="Default: all that have one.")] = None,
    off: Annotated[bool, typer.Option("--off", help="Back to the source itself.")] = False,
    why: Why = "",
    by: By = "unknown",
) -> None:
    """Answer look-ups from their fallback while the source is down; answers say how old it is."""
    app = agent()
    chosen = tools or [tool.name for tool in app.tools if tool.has_fallback]
    if not chosen:
        stop(f"no tool of {app.name} has a fallback; `agentgauge ops disable-tool TOOL` stops offering one")
    for name in chosen:
        if not app.tool(name).has_fallback:
            stop(f"{name} has no fallback; `agentgauge ops disable-tool {name}` stops offering it")
    _switch(app, lambda now: now.without_fallback(*chosen) if off else now.with_fallback(*chosen), by, why)


@app.command("disable-tool")
def disable_tool(tool: str, why: Why = "", by: By = "unknown") -> None:
    """Stop offering a tool to the model; it tells users that the tool is off."""
    app = agent()
    known = app.tool(tool).name
    _switch(app, lambda now: now.without(known), by, why)


@app.command("enable-tool")
def enable_tool(tool: str, why: Why = "", by: By = "unknown") -> None:
    """Offer a tool to the model again."""
    app = agent()
    known = app.tool(tool).name
    _switch(app, lambda now: now.with_tool(known), by, why)


@app.command("use-model")
def use_model(
    model: Annotated[str | None, typer.Argument(help="For example claude-haiku-5-5.")] = None,
    default: Annotated[bool, typer.Option("--default", help="Back to the configured model.")] = False,
    why: Why = "",
    by: By = "unknown",
) -> None:
    """Plan and answer with another model from the next call on."""
    if (model is None) != default:
        stop("name a model, or say --default")
    _switch(agent(), lambda now: now.with_model(model), by, why)


@app.command()
def tiers(as_json: AsJson = False) -> None:
    """List the steps, the tier that each runs on, and the models that its calls go to, in turn."""
    from agentgauge.cost.tiers import Models

    app = agent()
    now = _in_force(app)
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
    why: Why = "",
    by: By = "unknown",
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
    _switch(app, lambda now: now.with_tier(step, tier), by, why)


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
    print_rows(columns, rows, as_json=as_json, nothing=NOBODY_SPENT)


@app.command()
def who(pseudonym: Annotated[str, typer.Argument(help="12 hex digits, as pages and `ops spend` show.")]) -> None:
    """Print the user id behind a pseudonym: for the on-call, not for logs or tickets."""
    with opened_ledger(agent()) as ledger:
        user_id = ledger.user_behind(pseudonym)
    if user_id is None:
        refuse(f"the ledger knows no user {pseudonym!r}; `agentgauge ops spend` shows the pseudonyms of today")
    say(user_id)


def _in_force(app: AgentApp) -> Switches:
    from agentgauge.ops import switches

    with opened_ledger(app) as ledger:
        try:
            return switches.in_force(ledger, app.name)
        except ValueError as error:
            stop(str(error))


def _switch(app: AgentApp, changed: Callable[[Switches], Switches], by: str, why: str) -> None:
    from agentgauge.ops import switches

    with opened_ledger(app) as ledger:
        try:
            now = switches.change(ledger, app.name, changed, by, why)
        except ValueError as error:
            stop(str(error))
    say(f"{now}; in force {WITHIN}")
