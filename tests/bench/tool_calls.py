"""One instrumented tool call: AgentGauge beside what one would write by hand with prometheus_client."""

from __future__ import annotations

import asyncio
import functools
import gc
from collections.abc import Awaitable, Callable
from time import perf_counter, thread_time
from typing import Any, TypeVar

from prometheus_client import CollectorRegistry, Counter, Histogram

from agentgauge import AgentGauge, SessionLimits, metrics

BARE = "bare call"
NOTHING = "a wrapper that does nothing"
LABELS = "prometheus_client, labels() each call"
CACHED = "prometheus_client, cached children"
OPENTELEMETRY = "OpenTelemetry, counter and histogram"
AGENTGAUGE = "AgentGauge"

T = TypeVar("T")

AGENT, TOOL = "bench", "look_up"
CALLS_A_ROUND = 1000

Tool = Callable[[str], str]
AsyncTool = Callable[[str], Awaitable[str]]
Overheads = dict[str, float]
"""Nanoseconds of CPU a call by variant: BARE is the whole call, the others are what they add to it."""


def sync_overheads(rounds: int, after_round: Callable[[], object] = lambda: None) -> Overheads:
    """Measure sync tools: the variants take turns, and for each the fastest of `rounds` rounds counts."""
    gauge = _gauge()
    with gauge.session():
        return _fastest(sync_variants(gauge), _time_sync, rounds, after_round)


def async_overheads(rounds: int, after_round: Callable[[], object] = lambda: None) -> Overheads:
    """The same for coroutines; they never suspend, so the event loop adds nothing of its own."""
    gauge = _gauge()
    with gauge.session(), asyncio.Runner() as runner:
        return _fastest(async_variants(gauge), lambda tool: runner.run(_time_async(tool)), rounds, after_round)


def beside_opentelemetry(rounds: int, after_round: Callable[[], object] = lambda: None) -> Overheads:
    """The same for sync tools, with OpenTelemetry's SDK besides."""
    gauge = _gauge()
    with gauge.session():
        variants = sync_variants(gauge)
        chosen = {name: variants[name] for name in (BARE, CACHED)}
        return _fastest({**chosen, OPENTELEMETRY: _by_opentelemetry(variants[BARE])}, _time_sync, rounds, after_round)


def _gauge() -> AgentGauge:
    # Most sessions stay below their limits, so this one does, too.
    limits = SessionLimits(tool_calls=10**9, cost_usd=1e9)
    return AgentGauge(AGENT, limits=limits, registry=CollectorRegistry())


def _fastest(
    variants: dict[str, T], time_round: Callable[[T], float], rounds: int, after_round: Callable[[], object]
) -> Overheads:
    fastest = dict.fromkeys(variants, float("inf"))
    for _ in range(rounds):
        for name, tool in variants.items():
            fastest[name] = min(fastest[name], time_round(tool))
        after_round()
    return {name: time if name == BARE else time - fastest[BARE] for name, time in fastest.items()}


def _time_sync(tool: Tool) -> float:
    gc.disable()
    started = thread_time()
    for _ in range(CALLS_A_ROUND):
        tool("Globex")
    seconds = thread_time() - started
    gc.enable()
    return seconds / CALLS_A_ROUND * 1e9


async def _time_async(tool: AsyncTool) -> float:
    gc.disable()
    started = thread_time()
    for _ in range(CALLS_A_ROUND):
        await tool("Globex")
    seconds = thread_time() - started
    gc.enable()
    return seconds / CALLS_A_ROUND * 1e9


def _by_hand() -> tuple[Counter, Histogram]:
    """The counter and the histogram of a careful do-it-yourselfer: same labels, same buckets, no sessions."""
    calls = Counter("calls_total", "Calls.", ["agent", "tool", "outcome"], registry=None)
    seconds = Histogram("seconds", "Seconds.", ["agent", "tool"], registry=None, buckets=metrics.TOOL_DURATION.buckets)
    return calls, seconds


def _by_opentelemetry(bare: Tool) -> Tool:
    """The counter and the histogram of OpenTelemetry's SDK; nothing is exported."""
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    meter = MeterProvider([InMemoryMetricReader()]).get_meter(AGENT)
    calls, seconds = meter.create_counter("calls"), meter.create_histogram("seconds")

    @functools.wraps(bare)
    def counted(*args: Any, **kwargs: Any) -> str:
        started = perf_counter()
        outcome = "error"
        try:
            result = bare(*args, **kwargs)
            outcome = "success"
            return result
        finally:
            calls.add(1, {"agent": AGENT, "tool": TOOL, "outcome": outcome})
            seconds.record(perf_counter() - started, {"agent": AGENT, "tool": TOOL})

    return counted


def sync_variants(gauge: AgentGauge) -> dict[str, Tool]:
    """The same tool with each instrumentation."""

    def bare(account: str) -> str:
        return account

    @functools.wraps(bare)
    def nothing(*args: Any, **kwargs: Any) -> str:
        started = perf_counter()
        try:
            return bare(*args, **kwargs)
        finally:
            perf_counter() - started

    calls, seconds = _by_hand()

    @functools.wraps(bare)
    def labels(*args: Any, **kwargs: Any) -> str:
        started = perf_counter()
        outcome = "error"
        try:
            result = bare(*args, **kwargs)
            outcome = "success"
            return result
        finally:
            calls.labels(AGENT, TOOL, outcome).inc()
            seconds.labels(AGENT, TOOL).observe(perf_counter() - started)

    succeeded, failed = (calls.labels(AGENT, TOOL, outcome) for outcome in ("success", "error"))
    duration = seconds.labels(AGENT, TOOL)

    @functools.wraps(bare)
    def cached(*args: Any, **kwargs: Any) -> str:
        started = perf_counter()
        outcome = failed
        try:
            result = bare(*args, **kwargs)
            outcome = succeeded
            return result
        finally:
            outcome.inc()
            duration.observe(perf_counter() - started)

    return {BARE: bare, NOTHING: nothing, LABELS: labels, CACHED: cached, AGENTGAUGE: gauge.tool(TOOL)(bare)}


def async_variants(gauge: AgentGauge) -> dict[str, AsyncTool]:
    """The same for a coroutine."""

    async def bare(account: str) -> str:
        return account

    @functools.wraps(bare)
    async def nothing(*args: Any, **kwargs: Any) -> str:
        started = perf_counter()
        try:
            return await bare(*args, **kwargs)
        finally:
            perf_counter() - started

    calls, seconds = _by_hand()

    @functools.wraps(bare)
    async def labels(*args: Any, **kwargs: Any) -> str:
        started = perf_counter()
        outcome = "error"
        try:
            result = await bare(*args, **kwargs)
            outcome = "success"
            return result
        finally:
            calls.labels(AGENT, TOOL, outcome).inc()
            seconds.labels(AGENT, TOOL).observe(perf_counter() - started)

    succeeded, failed = (calls.labels(AGENT, TOOL, outcome) for outcome in ("success", "error"))
    duration = seconds.labels(AGENT, TOOL)

    @functools.wraps(bare)
    async def cached(*args: Any, **kwargs: Any) -> str:
        started = perf_counter()
        outcome = failed
        try:
            result = await bare(*args, **kwargs)
            outcome = succeeded
            return result
        finally:
            outcome.inc()
            duration.observe(perf_counter() - started)

    return {BARE: bare, NOTHING: nothing, LABELS: labels, CACHED: cached, AGENTGAUGE: gauge.tool(TOOL)(bare)}
