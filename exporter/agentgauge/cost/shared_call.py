"""Work that several callers wait for."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class SharedCall(Generic[T]):
    """Work begun for one caller and awaited by others too; it is cancelled when the last of them has gone.

    It runs in the context of the one who began it: that session is billed for it.
    """

    def __init__(self, work: Coroutine[Any, Any, T]) -> None:
        self._task = asyncio.create_task(work)
        self._waiting = 0

    @property
    def joinable(self) -> bool:
        """Whether a further caller may still wait for it."""
        return not self._task.done() and not self._task.cancelling()

    async def result(self) -> T:
        """What came of the work: its result, or its exception."""
        self._waiting += 1
        try:
            return await asyncio.shield(self._task)
        finally:
            self._waiting -= 1
            if not self._waiting:
                self._task.cancel()  # which does nothing to one that is done
