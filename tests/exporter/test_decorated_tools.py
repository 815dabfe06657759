"""A decorated tool behaves as the bare one: each case runs on both, and they must say the same."""

from __future__ import annotations

import asyncio
import functools
import inspect
import types
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterator
from contextlib import suppress
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from agentgauge import AgentGauge

Log = list[Any]


@pytest.fixture
def gauge(registry: CollectorRegistry) -> AgentGauge:
    """An agent without tools."""
    return AgentGauge("a", registry=registry)


def calls(gauge: AgentGauge, tool: str, outcome: str = "success") -> float | None:
    """Finished calls of this tool."""
    labels = {"agent": "a", "tool": tool, "outcome": outcome}
    return gauge.registry.get_sample_value("agent_tool_calls_total", labels)


def rows(log: Log) -> Callable[[], AsyncGenerator[Any, Any]]:
    """An asynchronous tool that writes down what it is sent, what is thrown at it, and when it cleans up."""

    async def rows() -> AsyncGenerator[Any, Any]:
        given: Any = "began"
        try:
            while given != "stop":
                try:
                    given = yield given
                except LookupError as thrown:
                    given = f"caught {thrown}"
                log.append(given)
            if log[0] == "break":
                raise ValueError("broken")
        finally:
            await asyncio.sleep(0)
            log.append("cleaned up")

    return rows


async def sends(running: AsyncGenerator[Any, Any], log: Log) -> None:
    """To its end, with what it answers."""
    log.extend([await anext(running), await running.asend("one"), await running.asend("two")])
    with suppress(StopAsyncIteration):
        await running.asend("stop")
    log.append("ended")


async def throws(running: AsyncGenerator[Any, Any], log: Log) -> None:
    """An error that it catches, and one that it does not."""
    await anext(running)
    log.append(await running.athrow(LookupError("it")))
    try:
        await running.athrow(OSError("out"))
    except OSError as error:
        log.append(str(error))


async def closes(running: AsyncGenerator[Any, Any], log: Log) -> None:
    """Before its end: what it does to clean up is done when this returns."""
    await anext(running)
    await running.aclose()
    log.append("closed")
    with suppress(StopAsyncIteration):
        await anext(running)
    log.append("stays closed")


async def closes_unstarted(running: AsyncGenerator[Any, Any], log: Log) -> None:
    """Nothing of it ever runs."""
    await running.aclose()
    log.append("closed")


async def breaks(running: AsyncGenerator[Any, Any], log: Log) -> None:
    """It raises an error of its own."""
    await anext(running)
    log.append(await running.asend("break"))
    try:
        await running.asend("stop")
    except ValueError as error:
        log.append(str(error))


async def is_cancelled(running: AsyncGenerator[Any, Any], log: Log) -> None:
    """While its reader waits for something else."""
    await anext(running)
    try:
        await running.athrow(asyncio.CancelledError())
    except asyncio.CancelledError:
        log.append("cancelled")


@pytest.mark.parametrize("use", [sends, throws, closes, closes_unstarted, breaks, is_cancelled])
async def test_an_asynchronous_generator_is_driven_as_the_bare_one(
    gauge: AgentGauge, use: Callable[[AsyncGenerator[Any, Any], Log], Awaitable[None]]
) -> None:
    """What is sent and thrown reaches it, its answers come back, and it cleans up at the same moment."""
    bare: Log = []
    decorated: Log = []
    await use(rows(bare)(), bare)
    await use(gauge.tool("rows")(rows(decorated))(), decorated)
    assert decorated == bare
    assert bare


@pytest.mark.parametrize(("use", "outcome"), [(sends, "success"), (closes, "success"), (breaks, "error")])
async def test_it_counts_once_however_it_ends(
    gauge: AgentGauge, use: Callable[[AsyncGenerator[Any, Any], Log], Awaitable[None]], outcome: str
) -> None:
    """A reader that had enough is no failure."""
    log: Log = []
    await use(gauge.tool("rows")(rows(log))(), log)
    assert calls(gauge, "rows", outcome) == 1


def test_a_generator_is_sent_to_and_returns_as_the_bare_one(gauge: AgentGauge) -> None:
    """`yield from` sees what it returned."""

    @gauge.tool()
    def adds() -> Generator[int, int, str]:
        total = 0
        while total < 5:
            total += yield total
        return "enough"

    running = adds()
    assert [next(running), running.send(2)] == [0, 2]
    with pytest.raises(StopIteration) as ended:
        running.send(9)
    assert ended.value.value == "enough"


class Crm:
    """Tools as methods of every kind."""

    found = "crm"

    def __init__(self, gauge: AgentGauge) -> None:
        self.find_again = gauge.tool("bound")(self.find)

    def find(self, name: str) -> str:
        """Look one up."""
        return f"{self.found} {name}"


def test_methods_of_every_kind_are_bound_as_the_bare_ones(gauge: AgentGauge) -> None:
    """Class methods, static ones, partial ones and bound ones: also with the decorator outermost."""

    class Tools:
        name = "tools"

        @gauge.tool()
        @classmethod
        def of_class(cls) -> str:
            return cls.name

        @gauge.tool()
        @staticmethod
        def static(text: str) -> str:
            return text

        def _greet(self, word: str) -> str:
            return f"{word} {self.name}"

        greet = gauge.tool("greet")(functools.partialmethod(_greet, "hello"))  # type: ignore[type-var]  # a descriptor that makes a callable

    assert Tools.of_class() == Tools().of_class() == "tools"
    assert Tools.static("x") == Tools().static("x") == "x"
    assert Tools().greet() == "hello tools"
    assert Crm(gauge).find_again("Globex") == "crm Globex"
    assert [calls(gauge, tool) for tool in ("of_class", "static", "greet", "bound")] == [2, 2, 1, 1]


async def test_partials_and_objects_that_are_called_are_named_and_timed(gauge: AgentGauge) -> None:
    """A coroutine behind them counts at its end, not when it is made."""

    async def look_up(name: str) -> str:
        await asyncio.sleep(0)
        return name

    class Search:
        async def __call__(self, name: str) -> str:
            await asyncio.sleep(0)
            return name

    partial = gauge.tool()(functools.partial(look_up, "Globex"))
    search = gauge.tool()(Search())
    running = [partial(), search("Initech")]
    assert [calls(gauge, "look_up"), calls(gauge, "Search")] == [0, 0]
    assert await asyncio.gather(*running) == ["Globex", "Initech"]
    assert [calls(gauge, "look_up"), calls(gauge, "Search")] == [1, 1]


async def test_a_coroutine_of_the_old_kind_is_awaited(gauge: AgentGauge) -> None:
    """Event loops in C and some drivers make them by types.coroutine."""

    @gauge.tool()
    @types.coroutine
    def waits() -> Generator[None, None, str]:
        yield
        return "done"

    assert await waits() == "done"
    assert calls(gauge, "waits") == 1


def test_inspect_sees_what_it_saw(gauge: AgentGauge) -> None:
    """Frameworks decide by it how to call a tool, and what to tell the model about it."""

    def function(account: str, limit: int = 3) -> str:
        """Look up."""
        return account * limit

    async def coroutine(account: str) -> None: ...

    def generator(account: str) -> Iterator[str]:
        yield account

    async def asynchronous(account: str) -> AsyncGenerator[str, None]:
        yield account

    for bare in (function, coroutine, generator, asynchronous):
        decorated = gauge.tool()(bare)
        for see in (
            inspect.signature, inspect.getdoc, inspect.iscoroutinefunction, inspect.isgeneratorfunction,
            inspect.isasyncgenfunction, inspect.isfunction, inspect.unwrap, inspect.getsource,
        ):  # fmt: skip  # they are one list
            assert see(decorated) == see(bare)


def test_what_cannot_be_called_is_refused_where_it_is_decorated(gauge: AgentGauge) -> None:
    """Its author is there to read it."""
    with pytest.raises(TypeError, match="decorates what can be called, not property"):
        gauge.tool("x")(property(lambda _self: None))  # type: ignore[type-var]  # what untyped callers do
