"""What the tests of spans share: an agent, and a way to compare what two agents show."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry

from agentgauge import AgentGauge


@pytest.fixture
def gauge(registry: CollectorRegistry) -> AgentGauge:
    """An agent of which nothing is known before."""
    return AgentGauge("a", registry=registry)
