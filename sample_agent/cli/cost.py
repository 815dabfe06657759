"""What the levers on cost save."""

from __future__ import annotations

from typing import Annotated

import typer

from agentgauge.cli.common import out, problems
from sample_agent.simulator.workload import PEOPLE, SESSIONS_A_DAY

app = typer.Typer(no_args_is_help=True, help="What the levers on cost save.")


@app.command()
def report(
    conversations: Annotated[
        int, typer.Option(min=1, help="How many there are on the day; the default is what the whole floor has.")
    ] = PEOPLE * SESSIONS_A_DAY,
    seed: Annotated[int, typer.Option(help="Same seed, same day.")] = 1,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the table as Markdown.")] = False,
) -> None:
    """Live through the same simulated day with each lever off and on, and compare dollars, calls, tokens and time.

    It runs in this process, on the local Messages API, and touches nothing of the running agent.
    """
    import asyncio

    from rich.progress import Progress

    from sample_agent.sales.levers import Levers
    from sample_agent.simulator import day
    from sample_agent.simulator import savings as reporting
    from sample_agent.simulator.savings import Figures

    visits = day.visits(conversations, seed)
    with Progress(console=problems, transient=True) as progress:
        task = progress.add_task("living through the day", total=len(visits) * len(reporting.CASES))

        async def work(levers: Levers) -> Figures:
            return await day.live_through(visits, levers, lambda: progress.advance(task))

        rows = asyncio.run(reporting.compare(work))
    if markdown:
        out.print(reporting.as_markdown(rows), markup=False, highlight=False, soft_wrap=True)
    else:
        out.print(reporting.as_table(rows))
    out.print(day.ASSUMPTIONS, highlight=False, soft_wrap=True)


@app.callback()
def _group() -> None:
    """Keep `report` a sub-command although it is the only one."""
