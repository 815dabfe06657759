"""The running agent's cache of tool results: how old it is, and how to empty it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from agentgauge.cli.common import AGENT_URL, AgentUrl, AsJson, agent, ask_agent, refuse, say, stop
from agentgauge.cli.tables import Column, print_rows
from agentgauge.ops import operations_log

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


@app.command()
def show(url: AgentUrl = AGENT_URL, as_json: AsJson = False) -> None:
    """Show how many results are kept of each tool, how old they are, and how often they serve."""
    print_rows(COLUMNS, _asked("GET", url), as_json=as_json, nothing="the cache keeps results of no tool")


@app.command()
def drop(
    tool: Annotated[str | None, typer.Option(help="Only the results of this tool.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="The results of every tool.")] = False,
    url: AgentUrl = AGENT_URL,
) -> None:
    """Forget results, so that the next look-up asks the source."""
    if (tool is None) != everything:
        stop("name a tool with --tool, or say --all")
    app = agent()
    dropped = _asked("DELETE", url, "" if tool is None else f"?tool={app.tool(tool).name}")["dropped"]
    operations_log.record(app.state, f"cache drop {tool or '--all'}: {dropped} results")
    say(f"results dropped: {dropped}")


def _asked(method: str, url: str, query: str = "") -> Any:
    answer = ask_agent(method, url, f"/cache{query}")
    if answer.status_code != 200:
        refuse(answer.json()["error"])
    return answer.json()
