"""What the tests of the Sales Companion's levers share: its gauge, a clock, and a Redis."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from agentgauge import AgentGauge
from sample_agent.sales.tools import TOOLS_BY_NAME
from stack import redis_server
from stack.layout import HOME
from stack.redis_server import RedisServer
from tests.exporter.cost.conftest import Clock


@pytest.fixture
def clock() -> Clock:
    """It shows some day in 2026."""
    return Clock()


@pytest.fixture
def gauge(registry: CollectorRegistry, tmp_path: Path) -> Iterator[AgentGauge]:
    """The instrumentation of an agent with the Sales Companion's tools, its ledger in the state folder."""
    ledger = f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    with closing(AgentGauge("a", tools=list(TOOLS_BY_NAME), registry=registry, ledger=ledger)) as made:
        yield made


@pytest.fixture(scope="session")
def redis() -> Iterator[RedisServer]:
    """A real Redis. Without one the tests fail: nothing is skipped."""
    with redis_server.running(HOME) as server:
        yield server
