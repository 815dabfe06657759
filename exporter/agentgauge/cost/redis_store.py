"""Cached tool results in Redis, so that many replicas share them."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, WatchError

from agentgauge.cost.store import Held, StoreDownError

TIMEOUT_SECONDS = 0.25
"""A look-up waits no longer for Redis: the tool itself is soon faster."""


class RedisStore:
    """In the Redis at ``url`` (``redis://…``, ``rediss://…``), under ``namespace``; ValueError if it is not such a URL.

    Redis bounds its own size: give it a ``maxmemory`` and the policy ``allkeys-lru``.
    """

    def __init__(self, url: str, namespace: str) -> None:
        # Any: its types say that every answer may be bytes, which decode_responses rules out.
        self._redis: Any = Redis.from_url(
            url,
            decode_responses=True,
            socket_timeout=TIMEOUT_SECONDS,
            socket_connect_timeout=TIMEOUT_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        self._namespace = namespace

    async def get(self, tool: str, key: str) -> tuple[Held | None, int]:
        """See Store."""
        async with _answering():
            found, writes = await self._redis.mget(self._result(tool, key), self._writes(tool))
        return _held(found) if found else None, int(writes or 0)

    async def put(self, tool: str, key: str, held: Held, keep_seconds: float, writes: int) -> None:
        """See Store."""
        seconds = math.ceil(keep_seconds)
        index = self._index(tool)
        async with _answering(), self._redis.pipeline() as pipeline:
            await pipeline.watch(self._writes(tool))
            if int(await pipeline.get(self._writes(tool)) or 0) != writes:
                return
            pipeline.multi()
            pipeline.set(self._result(tool, key), json.dumps(asdict(held)), ex=seconds)
            pipeline.zadd(index, {key: held.at})
            pipeline.zremrangebyscore(index, "-inf", held.at - seconds)
            pipeline.expire(index, seconds)
            for name in held.about:
                pipeline.sadd(self._about(tool, name), key)
                pipeline.expire(self._about(tool, name), seconds)
            try:
                await pipeline.execute()
            except WatchError:
                return  # a write came between: the result may be from before it

    async def drop(self, tool: str, about: Collection[str] | None = None) -> int:
        """See Store."""
        async with _answering():
            await self._redis.incr(self._writes(tool))
            if about is None:
                keys = await self._redis.zrange(self._index(tool), 0, -1)
            else:
                keys = await self._redis.sunion([self._about(tool, name) for name in about])
            if not keys:
                return 0
            await self._redis.zrem(self._index(tool), *keys)
            return int(await self._redis.delete(*(self._result(tool, key) for key in keys)))

    async def fetched_at(self, tool: str) -> list[float]:
        """See Store."""
        async with _answering():
            return [at for _, at in await self._redis.zrange(self._index(tool), 0, -1, withscores=True)]

    async def close(self) -> None:
        """End the connections."""
        await self._redis.aclose()

    def _result(self, tool: str, key: str) -> str:
        return f"{self._namespace}:{tool}:result:{key}"

    def _writes(self, tool: str) -> str:
        return f"{self._namespace}:{tool}:writes"

    def _index(self, tool: str) -> str:
        """Sorted set: key → when its result was fetched."""
        return f"{self._namespace}:{tool}:fetched"

    def _about(self, tool: str, name: str) -> str:
        """Set: the keys of the results about this name, which itself stays out of the key."""
        return f"{self._namespace}:{tool}:about:{hashlib.sha256(name.encode()).hexdigest()}"


def _held(text: str) -> Held:
    document = json.loads(text)
    return Held(document["text"], document["at"], tuple(document["about"]))


@asynccontextmanager
async def _answering() -> AsyncIterator[None]:
    try:
        yield
    except (RedisError, OSError) as error:
        raise StoreDownError(f"Redis does not answer: {type(error).__name__}: {error}") from error
