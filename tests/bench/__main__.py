"""``make bench``: what AgentGauge costs, beside the bare calls and the usual alternatives; about a minute.

Each figure is taken in turns with the ones it is compared with, so that a busy machine slows all alike. The ratios
are the result; absolute values are this machine's, now.
"""

from __future__ import annotations

import os
import platform
from time import monotonic

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from tests.bench import llm_calls, scraping, starting, tool_calls

TOOL_ROUNDS = 300
LLM_ROUNDS = 700
STARTS = 7
SCRAPES = 30
REDRAW_SECONDS = 0.5

ELSEWHERE = (
    # name, plain µs, stream µs, packages, seconds of import and start, MiB
    ("OpenLLMetry", "500-560", "860-1080", "23", "2.0", "72"),
    ("Traceloop SDK", "580", "1370-1840", "92", "3.1", "107"),
    ("OpenLIT", "530-1335", "1050-1490", "62", "3.5", "110"),
    ("LiteLLM, async", "3590", "20700", "75", "5.0", "174"),
)
"""Measured once, on a machine with two cores and Python 3.11; quoted here, not measured again."""


def main() -> None:
    """Measure all, with progress, then print the tables."""
    # Redrawn between rounds only: a thread that draws would be measured along.
    with Progress(auto_refresh=False, transient=True) as progress:

        def steps(what: str, rounds: int) -> Step:
            return Step(progress, what, rounds)

        sync = tool_calls.sync_overheads(TOOL_ROUNDS, steps("tool calls, sync", TOOL_ROUNDS))
        coroutines = tool_calls.async_overheads(TOOL_ROUNDS, steps("tool calls, async", TOOL_ROUNDS))
        with llm_calls.fake_api() as url:
            events = llm_calls.events_of_a_stream(url)
            plain = llm_calls.plain_overheads(url, LLM_ROUNDS, steps("LLM calls, plain", LLM_ROUNDS))
            stream = llm_calls.stream_overheads(url, LLM_ROUNDS, steps("LLM calls, streamed", LLM_ROUNDS))
        alone = starting.start(STARTS, beside_sdk=False, after_round=steps("starts", STARTS))
        beside_sdk = starting.start(STARTS, beside_sdk=True, after_round=steps("starts beside the SDK", STARTS))
        scrape = scraping.scrape(SCRAPES)

    out = Console()
    out.print(f"Python {platform.python_version()}, {os.cpu_count()} cores. The ratios are the result.\n")
    out.print(tool_table(sync, coroutines))
    out.print(llm_table(plain, stream, events))
    out.print(start_table(alone, beside_sdk))
    out.print(elsewhere_table(plain, stream, alone))
    out.print(
        f"Scrape of an agent with {len(scraping.TOOLS)} tools and {len(scraping.MODELS)} models: "
        f"{scrape.series} series, {scrape.size / 1024:.0f} KiB, {scrape.seconds * 1e3:.1f} ms "
        f"({scrape.seconds / scrape.series * 1e6:.1f} µs a series)."
    )


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


def tool_table(sync: tool_calls.Overheads, coroutines: tool_calls.Overheads) -> Table:
    """Nanoseconds that each wrapper adds to a tool call, and the ratio to cached children."""
    table = _table("One instrumented tool call, with a session in force", "sync ns", "ratio", "async ns", "ratio")
    for name in sync:
        cells = []
        for overheads in (sync, coroutines):
            ratio = f"{overheads[name] / overheads[tool_calls.CACHED]:.2f}" if name != tool_calls.BARE else ""
            cells += [f"{overheads[name]:,.0f}", ratio]
        table.add_row(_added(name, tool_calls.BARE), *cells)
    table.caption = "Ratio: to cached children, which count no session."
    return table


def llm_table(plain: llm_calls.Overheads, stream: llm_calls.Overheads, events: int) -> Table:
    """Microseconds of CPU that each middleware adds to an LLM call, and the ratio to the bare call."""
    table = _table("CPU of one LLM call in the agent's process", "plain µs", "ratio", f"{events} events µs", "ratio")
    for name in plain:
        cells = []
        for overheads in (plain, stream):
            cells += [f"{overheads[name]:,.0f}", f"{overheads[name] / overheads[llm_calls.BARE]:.2f}"]
        table.add_row(_added(name, llm_calls.BARE), *cells)
    table.caption = "Ratio: to the whole bare call. The server runs in another process and answers at once."
    return table


def start_table(alone: starting.Start, beside_sdk: starting.Start) -> Table:
    """Seconds and memory before the first call."""
    table = _table("Start, in a fresh interpreter", "import s", "construct and price s", "MiB")
    for name, start in (("alone", alone), ("beside the anthropic SDK", beside_sdk)):
        table.add_row(name, f"{start.import_seconds:.3f}", f"{start.construct_seconds:.3f}", f"{start.memory_mib:.0f}")
    return table


def elsewhere_table(plain: llm_calls.Overheads, stream: llm_calls.Overheads, alone: starting.Start) -> Table:
    """The figures above beside those of other instrumentations."""
    table = _table("Beside others", "plain µs", "stream µs", "packages", "start s", "MiB")
    table.add_row(
        "AgentGauge, now",
        f"{plain[llm_calls.AGENTGAUGE]:,.0f}",
        f"{stream[llm_calls.AGENTGAUGE]:,.0f}",
        str(len(starting.installed_packages())),
        f"{alone.import_seconds + alone.construct_seconds:.2f}",
        f"{alone.memory_mib:.0f}",
    )
    for row in ELSEWHERE:
        table.add_row(*row, style="dim")
    table.caption = (
        "The others are quoted: measured once on 2 cores, not now. "
        "OpenLLMetry: traces and metrics; LiteLLM: its Prometheus callback."
    )
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", caption_justify="left")
    table.add_column()
    for column in columns:
        table.add_column(column, justify="right")
    return table


def _added(name: str, bare: str) -> str:
    return name if name == bare else f"+ {name}"


main()
