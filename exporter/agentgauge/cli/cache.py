"""The running agent's cache of tool results: how old it is, and a way to be rid of it."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.table import Column, Table

from agentgauge.cli.common import AGENT_URL, AgentUrl, ask_agent, known_tool, out, stop
from agentgauge.files.watched_file import state_directory
from agentgauge.ops import operations_log

app = typer.Typer(no_args_is_help=True, help="The cache of tool results: show its ages, drop what is stale.")


@app.command()
def show(url: AgentUrl = AGENT_URL) -> None:
    """Show how many results are kept of each tool, how old they are, and how often they serve."""
    table = Table(Column("tool", no_wrap=True), "served for", "shared by", "results", "oldest", "newest", "hits")
    for row in _asked("GET", url):
        hits = "-" if row["hit_ratio"] is None else f"{row['hit_ratio']:.0%}"
        table.add_row(
            row["tool"],
            _seconds(row["seconds"]) if row["seconds"] else "never",
            "everybody" if row["scope"] == "tenant" else "nobody: by user",
            str(row["entries"]),
            _seconds(row["oldest_seconds"]),
            _seconds(row["newest_seconds"]),
            hits,
        )
    out.print(table)


@app.command()
def drop(
    tool: Annotated[str | None, typer.Option(help="Only the results of this tool.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="The results of every tool.")] = False,
    url: AgentUrl = AGENT_URL,
) -> None:
    """Forget results, so that the next look-up asks the source."""
    if (tool is None) != everything:
        stop("name a tool with --tool, or say --all")
    dropped = _asked("DELETE", url, "" if tool is None else f"?tool={known_tool(tool)}")["dropped"]
    operations_log.record(state_directory(), f"cache drop {tool or '--all'}: {dropped} results")
    out.print(f"results dropped: {dropped}", highlight=False)


def _asked(method: str, url: str, query: str = "") -> Any:
    answer = ask_agent(method, url, f"/cache{query}")
    if answer.status_code != 200:
        stop(answer.json()["error"])
    return answer.json()


def _seconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:.0f} s"
