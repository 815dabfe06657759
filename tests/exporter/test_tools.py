"""Tool calls: sync, async and generators, counted once, whatever happens in them."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import AsyncIterator, Iterator

import pytest
from prometheus_client import CollectorRegistry

from agentgauge import AgentGauge, carry_session


class CrmDownError(ConnectionError):
    """An error of a tool."""


@pytest.fixture
def gauge(registry: CollectorRegistry) -> AgentGauge:
    """An agent with one registered tool."""
    return AgentGauge("a", tools=["t"], registry=registry)


def calls(gauge: AgentGauge, outcome: str) -> float | None:
    """How many calls of tool ``t`` ended so."""
    labels = {"agent": "a", "tool": "t", "outcome": outcome}
    return gauge.registry.get_sample_value("agent_tool_calls_total", labels)


def errors(gauge: AgentGauge, error_type: str) -> float | None:
    """How many calls of tool ``t`` failed with this type."""
    labels = {"agent": "a", "tool": "t", "error_type": error_type}
    return gauge.registry.get_sample_value("agent_tool_errors_total", labels)


def seconds(gauge: AgentGauge) -> float:
    """Total wall time of tool ``t``."""
    return gauge.registry.get_sample_value("agent_tool_duration_seconds_sum", {"agent": "a", "tool": "t"}) or 0


def test_a_decorated_function_keeps_its_name_signature_and_result(gauge: AgentGauge) -> None:
    """Frameworks read a tool's name, docstring and signature to describe it to the model."""

    @gauge.tool("t")
    def look_up(account: str, limit: int = 3) -> str:
        """Find it."""
        return f"{account}:{limit}"

    assert look_up("Globex") == "Globex:3"
    assert (look_up.__name__, look_up.__doc__) == ("look_up", "Find it.")
    assert list(inspect.signature(look_up).parameters) == ["account", "limit"]
    assert calls(gauge, "success") == 1


def test_the_original_exception_reaches_the_caller_unmodified(gauge: AgentGauge) -> None:
    """Instrumentation changes nothing that the agent sees."""
    error = CrmDownError("503")

    @gauge.tool("t")
    def fails() -> None:
        raise error

    with pytest.raises(CrmDownError) as raised:
        fails()
    assert raised.value is error
    assert raised.value.__cause__ is None
    assert (calls(gauge, "error"), errors(gauge, "CrmDownError")) == (1, 1)


async def test_an_async_tool_is_timed_to_its_end_not_to_its_coroutine(gauge: AgentGauge) -> None:
    """The classic mistake records the microseconds of creating the coroutine."""
    began, release = asyncio.Event(), asyncio.Event()

    @gauge.tool("t")
    async def waits() -> str:
        began.set()
        await release.wait()
        return "done"

    waiting = asyncio.create_task(waits())
    await began.wait()
    await asyncio.sleep(0.05)
    assert calls(gauge, "success") == 0
    release.set()
    assert await waiting == "done"
    assert inspect.iscoroutinefunction(waits)
    assert seconds(gauge) >= 0.049


async def test_a_cancelled_tool_counts_as_failed_and_stays_cancelled(gauge: AgentGauge) -> None:
    """CancelledError is no Exception; it is counted all the same."""

    @gauge.tool("t")
    async def waits() -> None:
        await asyncio.Event().wait()

    waiting = asyncio.create_task(waits())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert errors(gauge, "CancelledError") == 1


def test_a_generator_tool_counts_when_it_ends(gauge: AgentGauge) -> None:
    """A tool that yields rows is one call, timed to its last row."""

    @gauge.tool("t")
    def rows() -> Iterator[int]:
        yield from (1, 2)

    running = rows()
    assert next(running) == 1
    assert calls(gauge, "success") == 0
    assert list(running) == [2]
    assert calls(gauge, "success") == 1


def test_a_generator_closed_early_did_not_fail(gauge: AgentGauge) -> None:
    """The reader had enough; that is not an error of the tool."""

    @gauge.tool("t")
    def rows() -> Iterator[int]:
        yield from (1, 2)

    running = rows()
    next(running)
    running.close()  # type: ignore[attr-defined]  # Iterator is what its author declared, it is a generator
    assert (calls(gauge, "success"), calls(gauge, "error")) == (1, 0)


async def test_an_async_generator_tool_counts_its_failure(gauge: AgentGauge) -> None:
    """A stream that breaks in the middle is a failed call."""

    @gauge.tool("t")
    async def rows() -> AsyncIterator[int]:
        yield 1
        raise CrmDownError("503")

    with pytest.raises(CrmDownError):
        async for _ in rows():
            pass
    assert errors(gauge, "CrmDownError") == 1


def test_a_tool_that_reports_errors_without_raising_can_say_so(gauge: AgentGauge) -> None:
    """Many tools return an error text; the call failed all the same."""
    with gauge.tool_call("t") as call:
        call.fail("quota_exceeded")
    assert (calls(gauge, "error"), errors(gauge, "quota_exceeded")) == (1, 1)


def test_cost_and_batch_size_are_exported(gauge: AgentGauge) -> None:
    """What the external API charged, and how many items one call handled."""
    with gauge.tool_call("t", cost_usd=0.01) as call:
        call.batch(5)
        call.add_cost(0.02)
    labels = {"agent": "a", "tool": "t"}
    assert gauge.registry.get_sample_value("agent_tool_cost_usd_total", labels) == pytest.approx(0.03)
    assert gauge.registry.get_sample_value("agent_tool_batch_size_bucket", labels | {"le": "5.0"}) == 1


def test_calls_in_threads_count_for_the_session_they_were_carried_from(gauge: AgentGauge) -> None:
    """A plain thread starts with an empty context; carry_session brings the session along."""

    @gauge.tool("t")
    def work() -> None: ...

    with gauge.session() as session:
        threads = [threading.Thread(target=carry_session(work)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert session.tool_calls == 8


async def test_calls_in_asyncio_tasks_count_for_the_session_in_force(gauge: AgentGauge) -> None:
    """Tasks and to_thread inherit the session; two sessions at once do not mix."""

    @gauge.tool("t")
    def work() -> None: ...

    async def conversation(count: int) -> int:
        with gauge.session() as session:
            await asyncio.gather(*(asyncio.to_thread(work) for _ in range(count)))
        return session.tool_calls

    assert list(await asyncio.gather(conversation(3), conversation(5))) == [3, 5]


def test_a_broken_instrument_never_reaches_the_agent(gauge: AgentGauge) -> None:
    """A telemetry fault is swallowed, counted and logged without its message."""
    gauge.instruments._children.clear()
    gauge.instruments._objects.pop("agent_tool_calls_total")

    @gauge.tool("t")
    def work() -> str:
        return "fine"

    assert work() == "fine"
    labels = {"agent": "a", "site": "tool"}
    assert gauge.registry.get_sample_value("agent_exporter_errors_total", labels) == 1
