"""Weeks of made-up history for a stack that is started for the first time."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from agentgauge.ledger import Ledger, LedgerError
from sample_agent.settings import AGENT, ledger_url
from sample_agent.simulator import backfill
from sample_agent.simulator.stories import STORIES
from stack.errors import StackError
from stack.layout import Layout

DAYS = 21

Say = Callable[[str], None]


def write(layout: Layout, programs: dict[str, Path], name: str, say: Say) -> None:
    """Tell a story to a stack that is prepared and not running; one that has data already keeps that and no more.

    StackError if there is no such story, or it cannot be written.
    """
    if name not in STORIES:
        raise StackError(f"there is no story {name!r}; the stories are {', '.join(STORIES)}")
    data = layout.folder / "prometheus"
    if backfill.has_data(data):
        say(f"keeping the history in {data}; remove that folder and {layout.state} to have another made up")
        return
    story = STORIES[name]
    say(f"making up a history of {DAYS} days (about 15 s): {story.description}")
    agent = backfill.Agent(AGENT, f"127.0.0.1:{layout.ports.metrics}")
    tools = backfill.Programs(programs["prometheus"], programs["promtool"])
    rules = sorted((layout.etc / "rules").glob("*.yml"))
    try:
        with closing(Ledger.open(ledger_url(layout.state))) as ledger:
            backfill.backfill(story, DAYS, agent, ledger, data, tools, rules, say)
    except (backfill.BackfillError, LedgerError) as error:
        raise StackError(str(error)) from error
