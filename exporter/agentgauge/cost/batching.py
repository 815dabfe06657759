"""Look-ups of one item each, made at about the same time, answered by one execution."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakValueDictionary

from agentgauge.cost.shared_call import SharedCall

Answers = Mapping[str, Any]
"""Item → its result, or the exception that its own look-up ended with."""


@dataclass(frozen=True, eq=False)
class _Batch:
    """The items so far, in the order in which they were asked for, and the execution that will answer them."""

    items: dict[str, None]
    answers: SharedCall[Answers]


class Batcher:
    """Waits ``window_seconds`` after a look-up for others like it, ``most`` in all, then asks for them at once."""

    def __init__(self, window_seconds: float = 0.005, most: int = 20) -> None:
        self._window_seconds = window_seconds
        self._most = most
        # Held by those who wait, so that nothing is left of a batch that nobody waits for.
        self._open: WeakValueDictionary[Hashable, _Batch] = WeakValueDictionary()

    async def ask(self, key: Hashable, item: str, execute: Callable[[Sequence[str]], Awaitable[Answers]]) -> Any:
        """Return the answer for ``item`` out of one ``execute(items)`` for all look-ups under ``key``.

        An item whose answer is an exception raises it to those who asked for that item; an exception out of ``execute``
        is raised to all.
        """
        batch = self._open.get(key)
        if batch is None or not batch.answers.joinable or len(batch.items) >= self._most:
            items: dict[str, None] = {}
            batch = self._open[key] = _Batch(items, SharedCall(self._execute(key, items, execute)))
        batch.items.setdefault(item)
        answer = (await batch.answers.result())[item]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def _execute(
        self, key: Hashable, items: dict[str, None], execute: Callable[[Sequence[str]], Awaitable[Answers]]
    ) -> Answers:
        await asyncio.sleep(self._window_seconds)
        current = self._open.get(key)
        if current is not None and current.items is items:
            del self._open[key]  # who comes from here on is too late for this one
        return await execute(list(items))
