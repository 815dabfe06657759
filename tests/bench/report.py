"""The figures of the bench as tables, and docs/overhead.md with all of them."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime

from agentgauge.ledger.user_weeks import USERS_IN_A_PART
from tests.bench import llm_calls, memory, scraping, starting, tool_calls
from tests.bench import tool_cases as cases
from tests.bench.peers import measure
from tests.bench.tables import Table, markdown

HEAD = """<!-- Written by `make bench PEERS=1 WRITE=1`; do not edit. -->

# What it costs

CPU time that AgentGauge adds to an agent, beside what other tools add. Everything that is compared takes turns, so that
a busy machine slows all alike: the ratios are the result, absolute values are this machine's.

Measured with `make bench PEERS=1 WRITE=1` on {day}: {machine}.

"""

PICTURE = "overhead.svg"
GROWTH = f"""
## As the work grows

![CPU of a tool call over threads, of a scrape over workers, of the ledger over users]({PICTURE})

A tool call with a session in each thread; a scrape as one of several workers serves it, for all of them; what a replica
spends on a ledger in SQLite, by users in the last four weeks.
"""


def page(tables: Sequence[Table], scraped: scraping.Scrape, held: Sequence[memory.Held], load: float) -> str:
    """docs/overhead.md; `load` is that of the machine at the beginning."""
    head = HEAD.format(day=datetime.now(UTC).date(), machine=machine(load))
    sections = f"\n## Scrape\n\n{scrape(scraped)}\n\n## Memory\n\n{memory_held(held)}\n{GROWTH}"
    return head + "\n".join(map(markdown, tables)) + sections


def machine(load: float) -> str:
    """What it was measured on."""
    system = f"{platform.system()} {platform.machine()}"
    return f"Python {platform.python_version()}, {os.cpu_count()} cores, {system}, load {load:.0f} at the beginning"


def tools(sync: tool_calls.Overheads, coroutines: tool_calls.Overheads, loaded: tool_calls.Overheads) -> Table:
    """Nanoseconds that each wrapper adds to a tool call, and the ratio to cached children; `loaded` is sync, too."""
    rows = []
    for name in sync:
        cells = []
        for overheads in (sync, coroutines):
            ratio = f"{overheads[name] / overheads[tool_calls.CACHED]:.2f}" if name != tool_calls.BARE else ""
            cells += [f"{overheads[name]:,.0f}", ratio]
        rows.append([_added(name, tool_calls.BARE), *cells])
    name = tool_calls.OPENTELEMETRY
    rows.append([f"+ {name}", f"{loaded[name]:,.0f}", f"{loaded[name] / loaded[tool_calls.CACHED]:.2f}", "", ""])
    return Table(
        "One instrumented tool call, with a session in force",
        ("sync ns", "ratio", "async ns", "ratio"),
        rows,
        "CPU, where OpenTelemetry is loaded, as by the SDK of Anthropic: AgentGauge asks it for the span of a call. "
        "Ratio: to cached children, which count no session.",
    )


def tool_cases(alone: cases.Overheads, in_workers: cases.Overheads) -> Table:
    """Nanoseconds of CPU that a tool call costs more by case, in one process and as one of several workers."""
    rows = []
    for name in alone:
        cells = []
        for overheads in (alone, in_workers):
            cells += [f"{overheads[name]:,.0f}", f"{overheads[name] / overheads[tool_calls.CACHED]:.2f}"]
        rows.append([name, *cells])
    return Table(
        "One instrumented tool call, case by case",
        ("one process ns", "ratio", "one of several workers ns", "ratio"),
        rows,
        "CPU, where OpenTelemetry is not loaded. Ratio: to cached children in the same process. Several workers share "
        "PROMETHEUS_MULTIPROC_DIR.",
    )


def llm(plain: llm_calls.Overheads, stream: llm_calls.Overheads, warm: tuple[float, float], events: int) -> Table:
    """Microseconds of CPU that each middleware adds to an LLM call, and the ratio to the bare call."""
    rows = []
    for name in plain:
        cells = []
        for overheads in (plain, stream):
            cells += [f"{overheads[name]:,.0f}", f"{overheads[name] / overheads[llm_calls.BARE]:.2f}"]
        rows.append([_added(name, llm_calls.BARE), *cells])
    rows.append(["the hook of AgentGauge alone", f"{warm[0]:,.0f}", "", f"{warm[1]:,.0f}", ""])
    return Table(
        "CPU of one LLM call in the agent's process",
        ("plain µs", "ratio", f"{events} events µs", "ratio"),
        rows,
        "Ratio: to the whole bare call. The server is another process, and answers at once. The hook alone is given "
        "the same answer again and again: what a call adds beyond that is caches that the network has emptied.",
    )


def peers(costs: Sequence[measure.Cost], events: int) -> list[Table]:
    """What AgentGauge and others add to an LLM call; nothing if they were not measured."""
    if not costs:
        return []
    names = ("plain", f"{events} events", "async, plain", f"async, {events} events")
    versions = "; ".join(f"{one.agent.name}: {one.versions}" for one in costs)
    return [
        Table(
            "One LLM call, beside other tools",
            tuple(f"{name} µs" for name in names),
            [
                [one.agent.name, *(_microseconds(one.in_call, one.in_all, case) for case in measure.CASES)]
                for one in costs
            ],
            "Each in a process and an environment of its own, against the same local server: CPU of the thread that "
            "calls beyond that of the same SDK without it, at the median, and in brackets of all that the process does "
            "until what was recorded is sent to a receiver on this machine. AgentGauge sends nothing: a scrape is "
            "below. What the empty middleware seems to cost, or to save, beyond some 25 µs is the noise of this run. "
            f"An empty cell: the tool counts no such call. Versions: {versions}.",
        ),
        Table(
            "Start, beside other tools",
            ("CPU s", "MiB"),
            [[one.agent.name, f"{one.start:.2f}", f"{one.mib:.0f}"] for one in costs],
            "Import and set-up in a fresh process, beyond the same SDK without it. LiteLLM imports its callback at the "
            "first call.",
        ),
    ]


def starts(alone: starting.Start, beside_sdk: starting.Start) -> Table:
    """Seconds and memory before the first call."""
    return Table(
        "Start, in a fresh interpreter",
        ("import, CPU s", "construct and price, CPU s", "MiB"),
        [
            [name, f"{start.import_seconds:.3f}", f"{start.construct_seconds:.3f}", f"{start.memory_mib:.0f}"]
            for name, start in (("alone", alone), ("beside the anthropic SDK", beside_sdk))
        ],
        f"`pip install agentgauge` brings {len(starting.installed_packages())} packages, itself included.",
    )


def scrape(scraped: scraping.Scrape) -> str:
    """What Prometheus costs the agent when it asks."""
    return (
        f"Scrape of an agent with {len(scraping.TOOLS)} tools and {len(scraping.MODELS)} models: "
        f"{scraped.series} series, {scraped.size / 1024:.0f} KiB, {scraped.seconds * 1e3:.1f} ms of CPU "
        f"({scraped.seconds / scraped.series * 1e6:.1f} µs a series)."
    )


def memory_held(held: Sequence[memory.Held]) -> str:
    """What an agent holds after so much work, and after much more."""
    after = "; ".join(f"after {one.tool_calls:,} tool calls {one.objects:,} objects, {one.mib:.0f} MiB" for one in held)
    return (
        f"An agent with a ledger, {memory.CALLS_OF_A_SESSION} tool calls and one LLM call in each session, and in "
        f"each a user, a tool, an error and a model that were never there before: {after}. Statements that read the "
        f"figures of whole weeks come between, in parts of {USERS_IN_A_PART:,} users: the second part and the third "
        "bring some of their own, further ones none."
    )


def _microseconds(in_call: dict[str, float], in_all: dict[str, float], case: str) -> str:
    return f"{in_call[case]:,.0f} ({in_all[case]:,.0f})" if case in in_call else ""


def _added(name: str, bare: str) -> str:
    return name if name == bare else f"+ {name}"
