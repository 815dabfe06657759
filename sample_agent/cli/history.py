"""Weeks of history for a stack that has just been made."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agentgauge.cli.common import opened_ledger, out, say, stop
from sample_agent.app import app
from sample_agent.settings import AGENT
from sample_agent.simulator.stories import STORIES

MOST_DAYS = 28
"""Prometheus keeps 30 days, and the widest window of active users is four weeks."""


def backfill(
    story: Annotated[str, typer.Option(help=f"One of: {', '.join(STORIES)}.")] = "healthy",
    days: Annotated[int, typer.Option(min=1, max=MOST_DAYS, help="How far back, in whole days.")] = 21,
    prometheus_data: Annotated[Path, typer.Option(help="Data folder of Prometheus.")] = Path(".stack", "prometheus"),
    rules: Annotated[Path, typer.Option(help="Folder of the rules.")] = Path("alerts", "rules"),
    programs: Annotated[Path, typer.Option(help="Folder of prometheus and promtool, else PATH.")] = Path(
        ".stack", "bin"
    ),
    instance: Annotated[str, typer.Option(help="Host and port of the agent's /metrics.")] = "127.0.0.1:9464",
) -> None:
    """Write made-up weeks into Prometheus's data folder and the ledger, before the stack's first start."""
    from agentgauge.ledger import LedgerError
    from sample_agent.simulator import backfill as writing

    if story not in STORIES:
        stop(f"there is no story {story!r}; the stories are {', '.join(STORIES)}")
    agent = writing.Agent(AGENT, instance)
    rule_files = sorted(rules.glob("*.yml"))
    if not rule_files:
        stop(f"there are no rules in {rules}; without what they record, alerts that look back for weeks stay silent")
    try:
        with opened_ledger(app()) as ledger, out.status("beginning") as status:
            tools = writing.Programs.find(programs)
            writing.backfill(STORIES[story], days, agent, ledger, prometheus_data, tools, rule_files, status.update)
    except (writing.BackfillError, LedgerError) as error:
        stop(str(error))
    say(f"{days} days of the story {story!r} are in {prometheus_data} and the ledger: {STORIES[story].description}")
