"""A Sales Companion to learn from: its state folder, its ledger, and the running agent."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from anthropic import AsyncAnthropic
from prometheus_client import CollectorRegistry

from agentgauge import AgentGauge
from agentgauge.ledger import Ledger
from sample_agent.assembly import build_companion
from sample_agent.sales.companion import SalesCompanion
from sample_agent.sales.tools import TOOLS_BY_NAME
from sample_agent.settings import AGENT, ledger_url


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The state folder that commands and agent share."""
    monkeypatch.setenv("AGENTGAUGE_STATE", str(tmp_path))
    monkeypatch.delenv("AGENTGAUGE_LEDGER", raising=False)
    monkeypatch.setenv("USER", "ann")
    monkeypatch.setenv("COLUMNS", "120")
    return tmp_path


@pytest.fixture
def ledger(state: Path) -> Iterator[Ledger]:
    """The ledger of the state folder."""
    with closing(Ledger.open(ledger_url(state))) as opened:
        yield opened


@pytest.fixture
def gauge(ledger: Ledger, registry: CollectorRegistry) -> Iterator[AgentGauge]:
    """The Sales Companion's instrumentation."""
    with closing(AgentGauge(AGENT, tools=list(TOOLS_BY_NAME), registry=registry, ledger=ledger)) as made:
        yield made


@pytest.fixture
async def companion(state: Path, gauge: AgentGauge, fake_api: str) -> AsyncIterator[SalesCompanion]:
    """The running agent."""
    client = AsyncAnthropic(api_key="fake-key", base_url=fake_api, middleware=[gauge.anthropic()])
    made = build_companion(gauge, client, state)
    yield made
    await made.close()
