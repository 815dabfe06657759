"""Look-ups made at about the same time are one execution, and each gets its own part of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from agentgauge.cost.batching import Batcher


class Tool:
    """Answers for many items at once, and remembers what it was asked for together."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.failing: dict[str, Exception] = {}
        self.down: Exception | None = None
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.asked = asyncio.Event()

    async def __call__(self, items: Sequence[str]) -> Mapping[str, Any]:
        """The upper case of each item, or why there is none."""
        self.batches.append(list(items))
        self.asked.set()
        await self.may_answer.wait()
        if self.down:
            raise self.down
        return {item: self.failing.get(item, item.upper()) for item in items}


@pytest.fixture
def tool() -> Tool:
    """A tool that works."""
    return Tool()


async def test_five_at_once_are_one_execution_and_each_gets_its_part(tool: Tool) -> None:
    """In the order in which they were asked for."""
    batcher = Batcher()
    answers = await asyncio.gather(*(batcher.ask("t", item, tool) for item in "abcde"))
    assert answers == list("ABCDE")
    assert tool.batches == [list("abcde")]


async def test_one_after_the_other_are_executions_of_their_own(tool: Tool) -> None:
    """Whoever comes when a batch has left does not wait for it."""
    batcher = Batcher()
    assert await batcher.ask("t", "a", tool) == "A"
    tool.may_answer.clear()
    tool.asked.clear()
    second = asyncio.create_task(batcher.ask("t", "b", tool))
    await tool.asked.wait()
    third = asyncio.create_task(batcher.ask("t", "c", tool))
    tool.may_answer.set()
    assert (await second, await third) == ("B", "C")
    assert tool.batches == [["a"], ["b"], ["c"]]


async def test_the_same_item_twice_is_asked_for_once(tool: Tool) -> None:
    """Both get it."""
    batcher = Batcher()
    assert await asyncio.gather(*(batcher.ask("t", "a", tool) for _ in range(2))) == ["A", "A"]
    assert tool.batches == [["a"]]


async def test_other_keys_are_other_batches(tool: Tool) -> None:
    """Another tool, or another user."""
    batcher = Batcher()
    await asyncio.gather(batcher.ask(("t", "rep-1"), "a", tool), batcher.ask(("t", "rep-2"), "b", tool))
    assert tool.batches == [["a"], ["b"]]


async def test_a_batch_holds_as_many_as_the_tool_takes(tool: Tool) -> None:
    """The others go into the next one; with one a batch there is no batching."""
    batcher = Batcher(most=2)
    assert await asyncio.gather(*(batcher.ask("t", item, tool) for item in "abcde")) == list("ABCDE")
    assert tool.batches == [["a", "b"], ["c", "d"], ["e"]]


async def test_a_partial_failure_is_told_to_those_it_concerns(tool: Tool) -> None:
    """The others get what they asked for."""
    tool.failing["b"] = ValueError("odd data on b")
    batcher = Batcher()
    asking = [batcher.ask("t", item, tool) for item in "abc"]
    good, bad, also_good = await asyncio.gather(*asking, return_exceptions=True)
    assert (good, also_good) == ("A", "C")
    assert bad is tool.failing["b"]


async def test_a_failure_of_the_whole_is_told_to_all(tool: Tool) -> None:
    """One execution, not one more for each."""
    tool.down = ConnectionError("503")
    batcher = Batcher()
    outcomes = await asyncio.gather(*(batcher.ask("t", item, tool) for item in "abc"), return_exceptions=True)
    assert outcomes == [tool.down] * 3
    assert len(tool.batches) == 1


async def test_one_who_leaves_takes_the_batch_from_nobody_and_the_last_one_ends_it(tool: Tool) -> None:
    """Closing a session stops what is done for it alone."""
    tool.may_answer.clear()
    batcher = Batcher()
    first, second = (asyncio.create_task(batcher.ask("t", item, tool)) for item in "ab")
    await tool.asked.wait()
    first.cancel()
    tool.may_answer.set()
    assert await second == "B"
    tool.may_answer.clear()
    tool.asked.clear()
    alone = asyncio.create_task(batcher.ask("t", "c", tool))
    await tool.asked.wait()
    alone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await alone
    tool.may_answer.set()
    assert await batcher.ask("t", "c", tool) == "C"
    assert tool.batches == [["a", "b"], ["c"], ["c"]]
