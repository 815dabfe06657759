"""How the Sales Companion is put together: its instrumentation, its model client, its CRM."""

from __future__ import annotations

import os
from pathlib import Path

from anthropic import AsyncAnthropic

from agentgauge import AgentGauge
from sample_agent.faults import FaultFile
from sample_agent.sales import crm
from sample_agent.sales.companion import CLASSIFYING_MODEL, PLANNING_MODEL, PROMPT_VERSION, SalesCompanion
from sample_agent.sales.toolbox import Toolbox
from sample_agent.sales.tools import SALES_TOOLS
from sample_agent.switches import switch_file

AGENT = "sales_companion"
VERSION = "0.1.0"
FAKE_API_URL = "http://127.0.0.1:8040"


def ledger_url(state: Path) -> str:
    """Where usage by user and feedback are kept: AGENTGAUGE_LEDGER, or a SQLite file in the state folder."""
    return os.environ.get("AGENTGAUGE_LEDGER") or f"sqlite:///{state.absolute() / 'ledger.sqlite'}"


def build_gauge(state: Path) -> AgentGauge:
    """The Sales Companion's instrumentation: every tool and model is known from the start.

    Raises LedgerError when the ledger cannot be opened.
    """
    return AgentGauge(
        AGENT,
        tools=[tool.name for tool in SALES_TOOLS],
        models=[PLANNING_MODEL, CLASSIFYING_MODEL],
        version=VERSION,
        prompt_version=PROMPT_VERSION,
        ledger=ledger_url(state),
    )


def build_client(gauge: AgentGauge) -> AsyncAnthropic:
    """The real service when ANTHROPIC_API_KEY is set, else the local server that speaks the same protocol."""
    if os.environ.get("ANTHROPIC_API_KEY"):
        return AsyncAnthropic(middleware=[gauge.anthropic()])
    url = os.environ.get("AGENTGAUGE_FAKE_API", FAKE_API_URL)
    return AsyncAnthropic(api_key="fake-local", base_url=url, middleware=[gauge.anthropic()])


def build_companion(gauge: AgentGauge, client: AsyncAnthropic, state: Path) -> SalesCompanion:
    """The agent on its CRM, which is made in the state folder at first use."""
    database = state / "crm.sqlite"
    crm.build(database)
    switches = switch_file(state)
    return SalesCompanion(client, Toolbox(gauge, crm.Crm(database), FaultFile(state), switches), switches)
