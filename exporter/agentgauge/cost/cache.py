"""A cache of tool results with a time to live per tool, as a YAML file says; what is written is forgotten at once."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from weakref import WeakValueDictionary

from pydantic import BeforeValidator, Field

from agentgauge.cost.shared_call import SharedCall
from agentgauge.cost.store import Held, Store, StoreDownError
from agentgauge.files.yaml_file import read_yaml
from agentgauge.files.yaml_model import Part, parsed
from agentgauge.gauge import AgentGauge
from agentgauge.vocabulary import CacheResult

if TYPE_CHECKING:
    from agentgauge.ops.operations import Operation

log = logging.getLogger(__name__)


ROWS_SECONDS = 4.0
"""How long people who ask for the rows wait for a busy agent."""

KEEP_FACTOR = 2.0
"""Results are kept past their time to live, by this factor, so that an expiry and a miss can be counted apart."""


def _as_paths(written: object) -> object:
    return (written,) if isinstance(written, str) else written


Paths = Annotated[tuple[str, ...], BeforeValidator(_as_paths)]
"""Paths into a result; a file may write one as it is."""


class CachedTool(Part):
    """How long results of a tool are served, 0 for never, and to whom.

    ``scope`` is ``tenant`` for results that are the same for everybody, ``user`` for those that depend on who asks.
    ``about`` is where in a result the names stand of what it is about, as paths: ``accounts.name``. Those of what was
    looked for in vain belong to them: it may be written next.
    """

    seconds: float = Field(ge=0)
    scope: Literal["tenant", "user"]
    about: Paths = ()


class Invalidation(Part):
    """What a write touches: results of ``tools`` that are about what the write's own result names under ``about``."""

    tools: tuple[str, ...]
    about: str


class CachePolicy(Part):
    """The whole file. ``most`` bounds the number of results kept in a process."""

    most: int = Field(ge=1)
    tools: dict[str, CachedTool]
    invalidates: dict[str, Invalidation] = Field(default_factory=dict)


def load(path: Path, tools: Collection[str]) -> CachePolicy:
    """Read the file; raises YamlFileError at the first thing wrong with it. ``tools`` are those that the agent has."""
    file = read_yaml(path)
    policy = parsed(file, CachePolicy)
    for section in ("tools", "invalidates"):
        for tool in getattr(policy, section):
            if tool not in tools:
                raise file.error([section, tool], f"there is no such tool; the tools are {', '.join(tools)}")
    for tool, write in policy.invalidates.items():
        for index, read in enumerate(write.tools):
            if read not in policy.tools or not policy.tools[read].about:
                problem = f"{read!r} is not a tool above that says what its results are `about`"
                raise file.error(["invalidates", tool, "tools", index], problem)
    return policy


@dataclass(frozen=True)
class CacheRow:
    """What the on-call sees of a tool's cached results; ages in seconds, None where there is nothing to tell.

    ``hit_ratio`` is of the look-ups of this process since it started, those that bypassed the cache left out.
    """

    tool: str
    seconds: float
    scope: str
    entries: int
    oldest_seconds: float | None
    newest_seconds: float | None
    hit_ratio: float | None


@dataclass
class _Look:
    """How a look-up went, as far as it got."""

    result: CacheResult = "miss"
    age_seconds: float | None = None


@dataclass(frozen=True, eq=False)
class _PendingFetch:
    """A look-up under way, and the JSON text that it will end with."""

    look: _Look
    text: SharedCall[str]


@dataclass(frozen=True, eq=False)
class _Drop:
    """Results to forget: a tool's, about these names or all."""

    tool: str
    about: tuple[str, ...] | None


class ToolCache:
    """Serves tool results that are fresh enough, fetches the others once however many ask, and counts all of it.

    Results of one ``tenant`` are never served to another.
    """

    def __init__(
        self,
        policy: CachePolicy,
        store: Store,
        gauge: AgentGauge,
        tenant: str,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._policy = policy
        self._store = store
        self._gauge = gauge
        self._tenant = tenant
        self._now = now
        # Held by those who wait, so that a fetch disappears when nobody waits for it any more.
        self._pending: WeakValueDictionary[tuple[str, str], _PendingFetch] = WeakValueDictionary()
        self._unfinished_drops: list[_Drop] = []
        self._counts: dict[str, Counter[CacheResult]] = {tool: Counter() for tool in policy.tools}
        self._store_is_down = False

    async def look_up(
        self,
        tool: str,
        arguments: Mapping[str, Any],
        user: str | None,
        fetch: Callable[[], Awaitable[Any]],
        *,
        fresh: bool = False,
    ) -> Any:
        """Return the tool's JSON-able result for these arguments: from the cache, or from ``fetch()``.

        An exception of ``fetch`` is raised to all who wait for it and is not kept. ``fresh`` goes past the cache.
        """
        policy = self._policy.tools.get(tool)
        if policy is None:
            return await fetch()
        if fresh or not policy.seconds or (policy.scope == "user" and user is None):
            self._count(tool, _Look("bypass"))
            return await fetch()
        key = self._key(arguments, user if policy.scope == "user" else None)
        pending = self._pending.get((tool, key))
        if pending is None or not pending.text.joinable:
            look = _Look()
            pending = _PendingFetch(look, SharedCall(self._cached_or_fetched(tool, key, policy, look, fetch)))
            self._pending[tool, key] = pending
        try:
            return json.loads(await pending.text.result())
        finally:
            self._count(tool, pending.look)

    async def wrote(self, tool: str, result: Any | None) -> None:
        """Forget what a write touched; ``result`` is its own, or None if it failed and may or may not have happened."""
        write = self._policy.invalidates.get(tool)
        if write is None:
            return
        about = tuple(_names(result, write.about))
        for read in write.tools:
            self._stop_joining(read)
            self._unfinished_drops.append(_Drop(read, about or None))
        await self._retry_drops_quietly()

    async def rows(self) -> list[CacheRow]:
        """What is kept, by tool; raises StoreDownError."""
        return [await self._row(tool, policy) for tool, policy in self._policy.tools.items()]

    async def drop(self, tool: str | None = None) -> None:
        """Forget the results of one tool or of all; if the store is down, before anything else is served from it."""
        for name in self._policy.tools if tool is None else {tool} & self._policy.tools.keys():
            self._stop_joining(name)
            self._unfinished_drops.append(_Drop(name, None))
        await self._retry_drops_quietly()

    def operated_through(self, gauge: AgentGauge) -> None:
        """Let `ops cache` show and drop this cache; to be called on the event loop on which it is used."""
        loop = asyncio.get_running_loop()

        def rows() -> list[dict[str, Any]]:
            rows = asyncio.run_coroutine_threadsafe(self.rows(), loop).result(ROWS_SECONDS)
            return [asdict(row) for row in rows]

        def drop(operation: Operation) -> None:
            asyncio.run_coroutine_threadsafe(self.drop(operation.detail["tool"]), loop)

        gauge.control.cache = rows
        gauge.on_operation("cache_drop", drop)

    async def close(self) -> None:
        """Close the store."""
        await self._store.close()

    async def _cached_or_fetched(
        self, tool: str, key: str, policy: CachedTool, look: _Look, fetch: Callable[[], Awaitable[Any]]
    ) -> str:
        writes = None
        try:
            await self._retry_drops()
            held, writes = await self._store.get(tool, key)
            self._store_is_down = False
            if held is not None:
                age = max(0.0, self._now() - held.at)  # clocks of replicas differ a little
                if age < policy.seconds:
                    look.result, look.age_seconds = "hit", age
                    return held.text
                look.result = "expired"
        except StoreDownError as error:
            look.result = "bypass"
            self._say_down(error)
        fetched_at = self._now()
        result = await fetch()
        text = json.dumps(result)
        if writes is not None:
            about = tuple(name for path in policy.about for name in _names(result, path))
            try:
                held = Held(text, fetched_at, about)
                await self._store.put(tool, key, held, policy.seconds * KEEP_FACTOR, writes)
            except StoreDownError as error:
                self._say_down(error)
        return text

    async def _retry_drops_quietly(self) -> None:
        try:
            await self._retry_drops()
        except StoreDownError as error:
            self._say_down(error)

    async def _retry_drops(self) -> None:
        """Drop what is still to be dropped: nothing is served from a store that missed a write while it was down."""
        for drop in list(self._unfinished_drops):
            await self._store.drop(drop.tool, drop.about)
            if drop in self._unfinished_drops:  # else another call was as fast
                self._unfinished_drops.remove(drop)

    def _stop_joining(self, tool: str) -> None:
        """Let nobody join the look-ups under way, which may have read what is not true any more."""
        for key in [key for key in self._pending if key[0] == tool]:
            self._pending.pop(key, None)

    async def _row(self, tool: str, policy: CachedTool) -> CacheRow:
        now = self._now()
        ages = [age for at in await self._store.fetched_at(tool) if (age := max(0.0, now - at)) < policy.seconds]
        counts = self._counts[tool]
        looked_up = counts.total() - counts["bypass"]
        return CacheRow(
            tool=tool,
            seconds=policy.seconds,
            scope=policy.scope,
            entries=len(ages),
            oldest_seconds=max(ages, default=None),
            newest_seconds=min(ages, default=None),
            hit_ratio=counts["hit"] / looked_up if looked_up else None,
        )

    def _key(self, arguments: Mapping[str, Any], user: str | None) -> str:
        # Hashed: names of customers and users have no place in keys.
        canonical = json.dumps([self._tenant, user, arguments], sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()

    def _count(self, tool: str, look: _Look) -> None:
        self._counts[tool][look.result] += 1
        self._gauge.cache_lookup(tool, look.result, look.age_seconds)

    def _say_down(self, error: StoreDownError) -> None:
        if not self._store_is_down:
            self._store_is_down = True
            log.warning("tools run without their cache: %s", error)


def _names(result: Any, path: str) -> Iterator[str]:
    """The names that a path leads to, through every item of the lists on its way, without regard to case and blanks."""
    if isinstance(result, list):
        for item in result:
            yield from _names(item, path)
    elif not path:
        if isinstance(result, str):
            yield " ".join(result.split()).casefold()
    elif isinstance(result, dict):
        field, _, rest = path.partition(".")
        yield from _names(result.get(field), rest)
