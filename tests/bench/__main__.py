"""``make bench``: what AgentGauge costs, beside the bare calls and what is usual otherwise; about a minute.

Each figure is taken in turns with the ones it is compared with, so that a busy machine slows all alike. The ratios
are the result; absolute values are this machine's, now. With ``--peers``, other tools are measured besides, in
environments of their own, which are made once; ``--write`` keeps all of it in docs/overhead.md.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from time import monotonic

from rich.console import Console
from rich.progress import Progress

from tests.bench import growth, llm_calls, memory, plot, report, scraping, starting, tool_calls, tool_cases
from tests.bench.peers import measure
from tests.bench.tables import printed

DOCS = Path(__file__).parents[2] / "docs"
PAGE, PICTURE = DOCS / "overhead.md", DOCS / report.PICTURE
TOOL_ROUNDS = 300
CASE_ROUNDS = 60
LLM_ROUNDS = 700
WARM_ROUNDS = 20
PEER_ROUNDS = 150
GROWTH_ROUNDS = 20
STARTS = 7
SCRAPES = 30
TOOL_CALLS = (100_000, 1_000_000)
REDRAW_SECONDS = 0.5


def main() -> None:
    """Measure all, with progress, then print the tables."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--peers", action="store_true", help="other tools besides, in environments of their own")
    parser.add_argument("--write", action="store_true", help="write docs/overhead.md; with other tools")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    # Redrawn between rounds only: a thread that draws would be measured along.
    with Progress(auto_refresh=False, transient=True) as progress:

        def steps(what: str, rounds: int) -> Step:
            return Step(progress, what, rounds)

        sync = tool_calls.sync_overheads(TOOL_ROUNDS, steps("tool calls, sync", TOOL_ROUNDS))
        coroutines = tool_calls.async_overheads(TOOL_ROUNDS, steps("tool calls, async", TOOL_ROUNDS))
        cases, in_workers = (tool_cases.overheads(CASE_ROUNDS, multiprocess=several) for several in (False, True))
        with llm_calls.fake_api() as url:
            events = llm_calls.events_of_a_stream(url)
            plain = llm_calls.plain_overheads(url, LLM_ROUNDS, steps("LLM calls, plain", LLM_ROUNDS))
            stream = llm_calls.stream_overheads(url, LLM_ROUNDS, steps("LLM calls, streamed", LLM_ROUNDS))
            warm = llm_calls.warm(url, WARM_ROUNDS)
            peers, held = [], []
            if options.peers or options.write:
                after_round = steps("LLM calls with other tools", PEER_ROUNDS * len(measure.CASES))
                peers = measure.costs(url, PEER_ROUNDS, after_round=after_round)
                held = memory.held(TOOL_CALLS)
        alone = starting.start(STARTS, beside_sdk=False, after_round=steps("starts", STARTS))
        beside_sdk = starting.start(STARTS, beside_sdk=True, after_round=steps("starts beside the SDK", STARTS))
        scrape = scraping.scrape(SCRAPES)
        panels = []
        if options.write:
            panels = [
                growth.by_threads(GROWTH_ROUNDS),
                growth.by_workers(steps("scrapes", len(growth.WORKERS))),
                growth.by_users(GROWTH_ROUNDS, steps("ledgers", len(growth.USERS))),
            ]
        loaded = tool_calls.beside_opentelemetry(CASE_ROUNDS)

    tables = [
        report.tools(sync, coroutines, loaded),
        report.tool_cases(cases, in_workers),
        report.llm(plain, stream, warm, events),
        *report.peers(peers, events),
        report.starts(alone, beside_sdk),
    ]
    out = Console()
    out.print(f"{report.machine(load)}. The ratios are the result.\n")
    for table in tables:
        out.print(printed(table))
    out.print(report.scrape(scrape))
    if held:
        out.print(report.memory_held(held))
    if options.write:
        PAGE.write_text(report.page(tables, scrape, held, load), encoding="utf-8")
        PICTURE.write_text(plot.svg(panels), encoding="utf-8")


class Step:
    """A line of progress, to be called after each round."""

    def __init__(self, progress: Progress, what: str, rounds: int) -> None:
        self._progress = progress
        self._task = progress.add_task(what, total=rounds)
        self._drawn = monotonic()

    def __call__(self) -> None:
        """One more round is done."""
        self._progress.advance(self._task)
        if monotonic() - self._drawn > REDRAW_SECONDS:
            self._progress.refresh()
            self._drawn = monotonic()


main()
