"""What the tests of the Sales Companion's levers share: its gauge, a clock, and a Redis."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from agentgauge import AgentGauge
from sample_agent.sales.tools import TOOLS_BY_NAME
from tests.exporter.cost import conftest as levers

clock, redis, redis_for_all = levers.clock, levers.redis, levers.redis_for_all


@pytest.fixture
def gauge(registry: CollectorRegistry, tmp_path: Path) -> Iterator[AgentGauge]:
    """The instrumentation of an agent with the Sales Companion's tools, its ledger in the state folder."""
    ledger = f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    with closing(AgentGauge("a", tools=list(TOOLS_BY_NAME), registry=registry, ledger=ledger)) as made:
        yield made
