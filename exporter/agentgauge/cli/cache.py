"""The running agent's cache of tool results: how old it is, and how to empty it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentgauge.cli.asking import WITHIN, Why, ask, with_replica
from agentgauge.cli.common import AsJson, By, agent, opened_ledger, refuse, say, stop
from agentgauge.cli.tables import Column, print_rows

if TYPE_CHECKING:
    from agentgauge.agent_app import AgentApp
    from agentgauge.ledger import Ledger
    from agentgauge.ops.asking import Answer

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="The cache of tool results: show its ages, drop what is stale."
)


def seconds(age: float | None) -> str:
    """A time as the table shows it."""
    return "–" if age is None else f"{age:.0f} s"


COLUMNS = [
    Column("tool", "tool"),
    Column("seconds", "served for", lambda age: seconds(age) if age else "never", right=True),
    Column("scope", "shared by", lambda scope: "everybody" if scope == "tenant" else "nobody: by user"),
    Column("entries", "results", right=True),
    Column("oldest_seconds", "oldest", seconds, right=True),
    Column("newest_seconds", "newest", seconds, right=True),
    Column("hit_ratio", "hits", lambda ratio: "–" if ratio is None else f"{ratio:.0%}", right=True),
]
NO_TOOL = "the cache keeps results of no tool; stale answers come from the tools themselves: `agentgauge ops tools`"


@app.command()
def show(as_json: AsJson = False) -> None:
    """Show how many results each replica keeps of each tool, how old they are, and how often they serve."""
    app = agent()
    with opened_ledger(app) as ledger:
        answers, rows = _rows(app, ledger)
    print_rows(with_replica(COLUMNS, answers), rows, as_json=as_json, nothing=NO_TOOL)


@app.command()
def drop(
    tool: Annotated[str | None, typer.Option(help="Only the results of this tool.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="The results of every tool.")] = False,
    why: Why = "",
    by: By = "unknown",
) -> None:
    """Forget results on every replica, so that the next look-up asks the source."""
    from agentgauge.ops.operations import Operations

    if (tool is None) != everything:
        stop("name a tool with --tool, or say --all")
    app = agent()
    with opened_ledger(app) as ledger:
        if tool is not None:
            _, rows = _rows(app, ledger)
            cached = list(dict.fromkeys(row["tool"] for row in rows))
            if app.tool(tool).name not in cached:
                refuse(f"results of {tool!r} are never kept; those kept are of {', '.join(cached)}")
        Operations(ledger, app.name).add("cache_drop", {"tool": tool}, by, why)
    say(f"results of {tool or 'all tools'} are dropped {WITHIN}")


def _rows(app: AgentApp, ledger: Ledger) -> tuple[list[Answer], list[dict[str, Any]]]:
    """The answers of all replicas and their rows; ends the command if no replica can say."""
    from agentgauge.ops.asking import merged

    answers = ask(app, ledger, "cache")
    problems = [answer.problem for answer in answers if answer.problem is not None]
    if len(problems) == len(answers):
        refuse(str(problems[0]))
    return answers, merged(answers)
