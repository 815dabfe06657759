"""The cache in a real Redis: shared by replicas, and an agent that goes on without it."""

from __future__ import annotations

import logging
import socket
from collections.abc import AsyncIterator, Callable

import pytest
from redis import Redis

from agentgauge import AgentGauge
from agentgauge.cost.cache import ToolCache
from agentgauge.cost.redis_store import RedisStore
from agentgauge.cost.store import Held
from stack.redis_server import RedisServer
from tests.exporter.cost.conftest import Clock
from tests.exporter.cost.test_cache import CONTACTS, GLOBEX, POLICY, WRITE, Source, looked_up

ASKED = {"account": "Globex"}


@pytest.fixture
async def replica(redis: RedisServer, gauge: AgentGauge, clock: Clock) -> AsyncIterator[Callable[[], ToolCache]]:
    """Make the cache of one more replica; the Redis that they share is empty and runs."""
    with Redis.from_url(redis.url) as client:
        client.flushall()
    made: list[ToolCache] = []

    def make() -> ToolCache:
        made.append(ToolCache(POLICY, RedisStore(redis.url, "test"), gauge, "meridian", clock))
        return made[-1]

    yield make
    for cache in made:
        await cache.close()


async def test_replicas_share_results_and_writes(replica: Callable[[], ToolCache]) -> None:
    """What one has fetched serves the other; what one writes, the other does not serve any more."""
    one, other, source = replica(), replica(), Source()
    await one.look_up(CONTACTS, ASKED, None, source)
    await other.look_up(CONTACTS, ASKED, None, source)
    assert source.calls == 1
    assert [row.entries for row in await other.rows()] == [1, 0, 0]
    await other.wrote(WRITE, {"account": "Globex"})
    await one.look_up(CONTACTS, ASKED, None, source)
    assert source.calls == 2


async def test_a_write_of_another_replica_during_a_read_keeps_the_read_out(redis: RedisServer) -> None:
    """Between the look-up and the store of its result."""
    store = RedisStore(redis.url, "test-writes")
    _, writes = await store.get(CONTACTS, "key")
    await store.drop(CONTACTS, ["Initech"])
    await store.put(CONTACTS, "key", Held("{}", 0.0), 600, writes)
    assert (await store.get(CONTACTS, "key"))[0] is None
    await store.close()


async def test_results_leave_redis_by_themselves(redis: RedisServer, replica: Callable[[], ToolCache]) -> None:
    """Nothing but the small counters of writes is there for ever; and no key names a customer or a user."""
    await replica().look_up(CONTACTS, ASKED, "rep-1", Source())
    with Redis.from_url(redis.url, decode_responses=True) as client:
        keys = list(client.scan_iter("test:*"))
        assert len(keys) == 3
        assert all(0 < int(client.ttl(key)) <= 600 for key in keys)
        assert not [key for key in keys if "Globex" in key or "rep-1" in key]


async def test_without_redis_the_agent_goes_on_and_says_so_once(
    redis: RedisServer, replica: Callable[[], ToolCache], gauge: AgentGauge, caplog: pytest.LogCaptureFixture
) -> None:
    """Each look-up goes to the tool, counted as a bypass; when Redis is back, so is the cache."""
    cache, source = replica(), Source()
    redis.stop()
    try:
        with caplog.at_level(logging.WARNING, logger="agentgauge.cost"):
            assert [await cache.look_up(CONTACTS, ASKED, None, source) for _ in range(2)] == [GLOBEX] * 2
    finally:
        redis.start()
    assert source.calls == 2
    assert looked_up(gauge) == {"bypass": 2}
    (said,) = caplog.records
    assert said.message.startswith("tools run without their cache: Redis does not answer: ConnectionError")
    for _ in range(2):
        await cache.look_up(CONTACTS, ASKED, None, source)
    assert looked_up(gauge) == {"bypass": 2, "miss": 1, "hit": 1}


async def test_a_write_that_redis_did_not_hear_of_is_made_up_for(
    redis: RedisServer, replica: Callable[[], ToolCache]
) -> None:
    """Nothing is served from before it once Redis answers again, as after a network that was cut for a while."""
    cache, source = replica(), Source()
    await cache.look_up(CONTACTS, ASKED, None, source)
    with Redis.from_url(redis.url) as client:
        kept = {key: client.dump(key) for key in client.scan_iter("test:*")}
    redis.stop()
    try:
        await cache.wrote(WRITE, {"account": "Globex"})
    finally:
        redis.start()
    with Redis.from_url(redis.url) as client:
        for key, dumped in kept.items():
            client.restore(key, 600_000, dumped)  # it was out of reach, not gone
    await cache.look_up(CONTACTS, ASKED, None, source)
    assert source.calls == 2


async def test_a_redis_that_hangs_holds_nobody_up(gauge: AgentGauge) -> None:
    """It takes the connection and never answers: the look-up gives up on it."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        store = RedisStore(f"redis://127.0.0.1:{silent.getsockname()[1]}/0", "test")
        cache, source = ToolCache(POLICY, store, gauge, "meridian"), Source()
        assert await cache.look_up(CONTACTS, ASKED, None, source) == GLOBEX
        await cache.close()
        silent.setblocking(False)
        silent.accept()[0].close()
        with pytest.raises(BlockingIOError):
            silent.accept()  # it was tried once
    assert looked_up(gauge) == {"bypass": 1}
