"""Where cached tool results are kept: in this process, or wherever else keeps the same promises."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from cachetools import Cache, LRUCache


class StoreDownError(Exception):
    """The store does not answer; the agent goes on without it."""


@dataclass(frozen=True)
class Held:
    """A result as JSON text, when it was fetched (Unix seconds), and the names of what it is about."""

    text: str
    at: float
    about: tuple[str, ...] = ()


class Store(Protocol):
    """Results by tool and key. Every method may raise StoreDownError.

    ``writes`` is how many times results of a tool were dropped: a result that was being fetched during such a drop may
    be from before the write behind it, so it is not kept.
    """

    async def get(self, tool: str, key: str) -> tuple[Held | None, int]:
        """The result, if there is one, however old; and the tool's ``writes``."""

    async def put(self, tool: str, key: str, held: Held, keep_seconds: float, writes: int) -> None:
        """Keep a result for about so long, unless the tool's ``writes`` have moved on."""

    async def drop(self, tool: str, about: Collection[str] | None = None) -> int:
        """Drop a tool's results about any of these names (at least one), or all; returns how many."""

    async def fetched_at(self, tool: str) -> list[float]:
        """When each of the tool's results was fetched."""

    async def close(self) -> None:
        """End the connections, if there are any."""


class MemoryStore:
    """In this process, the least recently used of more than ``most`` results dropped."""

    def __init__(self, most: int) -> None:
        self._held: LRUCache[tuple[str, str], Held] = LRUCache(most)
        self._writes: Counter[str] = Counter()

    async def get(self, tool: str, key: str) -> tuple[Held | None, int]:
        """See Store."""
        return self._held.get((tool, key)), self._writes[tool]

    async def put(self, tool: str, key: str, held: Held, keep_seconds: float, writes: int) -> None:
        """See Store; what is too old stays until its place is needed."""
        if writes == self._writes[tool]:
            self._held[tool, key] = held

    async def drop(self, tool: str, about: Collection[str] | None = None) -> int:
        """See Store."""
        self._writes[tool] += 1
        touched = [key for key, held in self._of(tool) if about is None or not set(about).isdisjoint(held.about)]
        for key in touched:
            del self._held[key]
        return len(touched)

    async def fetched_at(self, tool: str) -> list[float]:
        """See Store."""
        return [held.at for _, held in self._of(tool)]

    async def close(self) -> None:
        """There is nothing to close."""

    def _of(self, tool: str) -> list[tuple[tuple[str, str], Held]]:
        # Read past LRUCache: being looked over is not being used.
        return [(key, Cache.__getitem__(self._held, key)) for key in self._held if key[0] == tool]
