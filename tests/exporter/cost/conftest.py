"""What the tests of the levers share: a gauge that knows the tools, a clock, and both stores of the cache."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator

import pytest
from prometheus_client import CollectorRegistry

from agentgauge import AgentGauge
from agentgauge.cost import redis_store
from agentgauge.cost.redis_store import RedisStore
from agentgauge.cost.store import MemoryStore, Store
from stack import redis_server
from stack.layout import HOME
from stack.redis_server import RedisServer

TOOLS = ("search_crm_contacts", "get_deal_history", "search_emails", "update_crm", "draft_email")


class Clock:
    """A clock that stands still until it is told to move; in seconds."""

    def __init__(self) -> None:
        self.at = 1_790_000_000.0

    def __call__(self) -> float:
        """The time it shows."""
        return self.at

    def forward(self, seconds: float) -> None:
        """Move it."""
        self.at += seconds


@pytest.fixture
def clock() -> Clock:
    """It shows some day in 2026."""
    return Clock()


@pytest.fixture
def gauge(registry: CollectorRegistry) -> AgentGauge:
    """The instrumentation of an agent whose tools can be cached."""
    return AgentGauge("a", tools=TOOLS, registry=registry)


@pytest.fixture(scope="session")
def redis_for_all() -> Iterator[RedisServer]:
    """A real Redis. Without one the tests fail: nothing is skipped."""
    with redis_server.running(HOME) as server:
        yield server


@pytest.fixture
def redis(redis_for_all: RedisServer, monkeypatch: pytest.MonkeyPatch) -> RedisServer:
    """The same, and patience with it: on a busy machine it must not look like one that hangs."""
    monkeypatch.setattr(redis_store, "TIMEOUT_SECONDS", 60)
    return redis_for_all


@pytest.fixture(params=["memory", "redis"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    """A store with nothing in it: every test that asks for one runs on both."""
    if request.param == "memory":
        yield MemoryStore(100)
        return
    server: RedisServer = request.getfixturevalue("redis")
    store = RedisStore(server.url, f"test:{uuid.uuid4().hex}")
    yield store
    await store.close()


def counted(gauge: AgentGauge, name: str, **labels: str) -> float:
    """The value of a series of agent ``a``; 0 if it is not there."""
    return gauge.registry.get_sample_value(name, {"agent": "a", **labels}) or 0.0
