"""What the levers on cost save: the same work with none of them, with each alone, and with all, side by side."""

from __future__ import annotations

import statistics
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from rich.box import SIMPLE
from rich.table import Table

from agentgauge import AgentGauge, metrics
from agentgauge.metrics import MetricSpec
from sample_agent.sales.levers import Levers

NONE = Levers(tiers=False, cache=False, batching=False, prompt_caching=False)
CASES = (
    ("none", NONE),
    ("model tiers", replace(NONE, tiers=True)),
    ("tool cache", replace(NONE, cache=True)),
    ("batching", replace(NONE, batching=True)),
    ("prompt cache", replace(NONE, prompt_caching=True)),
    ("all", Levers()),
)
"""Name → levers that are on; the first is what the others are compared with."""

HEADERS = ("levers on", "LLM", "tools", "saved", "LLM calls", "tool calls", "tokens", "of them cached", "median turn")


@dataclass(frozen=True)
class Figures:
    """What some work came to: USD, calls, tokens and those read from the prompt cache, and a turn's median seconds."""

    llm_usd: float
    tool_usd: float
    llm_calls: int
    tool_calls: int
    tokens: int
    cached_tokens: int
    turn_seconds: float

    @classmethod
    def of(cls, gauge: AgentGauge, turn_seconds: Sequence[float]) -> Figures:
        """Read the figures of an agent that did nothing else; ``turn_seconds`` are those of its turns."""
        return cls(
            llm_usd=_total(gauge, metrics.LLM_COST),
            tool_usd=_total(gauge, metrics.TOOL_COST),
            llm_calls=int(_total(gauge, metrics.LLM_CALLS)),
            tool_calls=int(_total(gauge, metrics.TOOL_CALLS)),
            tokens=int(_total(gauge, metrics.LLM_TOKENS)),
            cached_tokens=int(_total(gauge, metrics.LLM_TOKENS, kind="cache_read")),
            turn_seconds=statistics.median(turn_seconds),
        )

    @property
    def usd(self) -> float:
        """LLM and tools together."""
        return self.llm_usd + self.tool_usd


Work = Callable[[Levers], Awaitable[Figures]]
"""Does some work with these levers, the same each time it is called, and returns what it came to."""

Rows = Sequence[tuple[str, Figures]]


async def compare(work: Work) -> Rows:
    """Have the work done in each case of CASES, one after the other."""
    return [(name, await work(levers)) for name, levers in CASES]


def as_table(rows: Rows) -> Table:
    """The rows for a terminal."""
    table = Table(box=SIMPLE, padding=(0, 1, 0, 0))
    for column, header in enumerate(HEADERS):
        table.add_column(header, no_wrap=not column, justify="right" if column else "left")
    for cells in _cells(rows):
        table.add_row(*cells)
    return table


def as_markdown(rows: Rows) -> str:
    """The rows as a Markdown table."""
    lines = [HEADERS, ["---", *["---:"] * (len(HEADERS) - 1)], *_cells(rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cells(rows: Rows) -> list[list[str]]:
    (_, base), *_ = rows
    return [
        [
            name,
            f"${one.llm_usd:.2f}",
            f"${one.tool_usd:.2f}",
            "–" if one is base else _per_cent(1 - one.usd / base.usd),
            _grouped(one.llm_calls),
            _grouped(one.tool_calls),
            f"{one.tokens / 1e6:.2f} M",
            _per_cent(one.cached_tokens / one.tokens),
            f"{one.turn_seconds:.1f} s",
        ]
        for name, one in rows
    ]


def _per_cent(ratio: float) -> str:
    return f"{ratio * 100:.1f} %"


def _grouped(number: int) -> str:
    return f"{number:,}".replace(",", " ")


def _total(gauge: AgentGauge, spec: MetricSpec, **labels: str) -> float:
    """The sum of a counter's series that carry these labels."""
    labels = {"agent": gauge.agent, **labels}
    metrics_found = gauge.registry.restricted_registry([spec.name]).collect()
    samples = (sample for metric in metrics_found for sample in metric.samples)
    return sum(sample.value for sample in samples if labels.items() <= sample.labels.items())
