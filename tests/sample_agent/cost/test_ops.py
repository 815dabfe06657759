"""What the on-call does to cache and tiers, on a running agent."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import requests
from anthropic import AsyncAnthropic
from prometheus_client import CollectorRegistry
from typer.testing import CliRunner

from agentgauge import AgentGauge
from agentgauge.cli.root import app as agentgauge
from sample_agent import assembly
from sample_agent.sales.levers import Levers
from sample_agent.sales.tools import TOOLS_BY_NAME
from sample_agent.service import Service
from sample_agent.serving import serving
from sample_agent.settings import AGENT, ledger_url
from tests.front_end import opened

TOOLS = ("search_crm_contacts", "get_deal_history")


@pytest.fixture(autouse=True)
def terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The state folder that commands and agent share, and a terminal as wide as the tables."""
    monkeypatch.setenv("AGENTGAUGE_STATE", str(tmp_path))
    monkeypatch.delenv("AGENTGAUGE_LEDGER", raising=False)
    monkeypatch.setattr("agentgauge.cli.common.out.width", 140)


@pytest.fixture
def gauge(registry: CollectorRegistry, tmp_path: Path) -> Iterator[AgentGauge]:
    """The Sales Companion's instrumentation; it is registered in the ledger that the commands read."""
    ledger = ledger_url(tmp_path)
    with (
        closing(AgentGauge(AGENT, tools=list(TOOLS_BY_NAME), registry=registry, ledger=ledger)) as made,
        closing(made.serve(port=0)),
    ):
        yield made


@contextmanager
def running(gauge: AgentGauge, fake_api: str, state: Path, levers: Levers | None = None) -> Iterator[str]:
    """A running agent; yields its URL."""
    client = AsyncAnthropic(api_key="fake-key", base_url=fake_api, middleware=[gauge.anthropic()])
    with serving(
        Service(gauge, assembly.build_companion(gauge, client, state, levers), assembly.build_door(state)).app()
    ) as url:
        yield url


@pytest.fixture
def agent(gauge: AgentGauge, fake_api: str, tmp_path: Path) -> Iterator[str]:
    """A running agent that has answered one question; its URL."""
    with running(gauge, fake_api, tmp_path) as url:
        ask(url, tmp_path)
        yield url


def counted(gauge: AgentGauge, name: str, **labels: str) -> float:
    """The sum of a metric's series with these labels."""
    samples = [sample for metric in gauge.registry.collect() for sample in metric.samples if sample.name == name]
    return sum(sample.value for sample in samples if labels.items() <= sample.labels.items())


def ask(url: str, state: Path) -> None:
    """Ask about an account, in a session of its own."""
    session = opened(url, state)
    requests.post(f"{url}/sessions/{session}/messages", json={"text": "Tell me about Globex"}, timeout=10)


def run(*arguments: str, status: int = 0) -> str:
    """What a command prints."""
    result = CliRunner().invoke(agentgauge, arguments)
    assert result.exit_code == status, result.output
    return result.output


def test_the_cache_is_shown_by_tool_without_anybodys_data(agent: str, tmp_path: Path) -> None:
    """How many, how old, how often they serve."""
    ask(agent, tmp_path)
    shown = run("ops", "cache", "show")
    rows = {row[0]: row for line in shown.splitlines() if (row := re.split(r"\s{2,}", line.strip()))}
    assert rows["search_crm_contacts"][1:4] == ["300 s", "everybody", "1"]
    assert rows["search_crm_contacts"][6] == "50%"
    assert rows["search_emails"][1:7] == ["never", "nobody: by user", "0", "–", "–", "–"]
    assert "Globex" not in shown
    assert "rep-1" not in shown


def test_what_is_dropped_is_looked_up_anew(agent: str, gauge: AgentGauge, tmp_path: Path) -> None:
    """One tool, or all of them; who did it and why is in the log."""
    said = run("ops", "cache", "drop", "--tool", "get_deal_history", "--why", "stale deals", "--by", "ann")
    assert said == "results of get_deal_history are dropped within 5 seconds\n"
    gauge.refresh_from_ledger()
    ask(agent, tmp_path)
    executed = [counted(gauge, "agent_tool_calls_total", tool=tool, outcome="success") for tool in TOOLS]
    assert executed == [1, 2]
    run("ops", "cache", "drop", "--all")
    gauge.refresh_from_ledger()
    ask(agent, tmp_path)
    executed = [counted(gauge, "agent_tool_calls_total", tool=tool, outcome="success") for tool in TOOLS]
    assert executed == [2, 3]
    assert re.search(r"ann +cache dropped: results of get_deal_history +stale deals", run("ops", "log"))


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["cache", "drop"], 2, "error: name a tool with --tool, or say --all"),
        (["cache", "drop", "--all", "--tool", "search_emails"], 2, "error: name a tool with --tool, or say --all"),
        (
            ["cache", "drop", "--tool", "search_mail"],
            2,
            "error: sales_companion has no tool 'search_mail'",
        ),
        (
            ["cache", "drop", "--tool", "send_email"],
            1,
            "error: results of 'send_email' are never kept",
        ),
    ],
)
def test_a_wrong_drop_is_one_clear_line(agent: str, arguments: list[str], status: int, says: str) -> None:
    """What was wrong, and what there is."""
    assert run("ops", *arguments, status=status).startswith(says)


def test_an_agent_without_a_cache_says_so(gauge: AgentGauge, fake_api: str, tmp_path: Path) -> None:
    """The lever may be off."""
    with running(gauge, fake_api, tmp_path, Levers(cache=False)):
        assert "runs without a cache" in run("ops", "cache", "show", status=1)


def test_a_redis_that_is_down_is_said(
    gauge: AgentGauge, fake_api: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The agent runs on; what is dropped meanwhile is dropped before anything is served from it again."""
    monkeypatch.setenv("AGENTGAUGE_CACHE", "redis://127.0.0.1:9/0")
    with running(gauge, fake_api, tmp_path) as url:
        ask(url, tmp_path)
        assert counted(gauge, "agent_tool_calls_total", tool="get_deal_history", outcome="success") == 1
        assert "the cache cannot be reached: Redis" in run("ops", "cache", "show", status=1)
        assert run("ops", "cache", "drop", "--all") == "results of all tools are dropped within 5 seconds\n"


def test_a_step_is_switched_to_another_tier_and_back(agent: str, gauge: AgentGauge, tmp_path: Path) -> None:
    """While the agent runs, from the next call on."""
    for step in ("planning", "synthesis"):
        said = run("ops", "use-tier", step, "medium")
    assert "tiers: planning on medium, synthesis on medium" in said
    assert re.search(r"planning +medium +switched", run("ops", "tiers"))
    gauge.refresh_from_ledger()
    ask(agent, tmp_path)
    assert counted(gauge, "agent_llm_cost_usd_total", model="claude-sonnet-5-5", step="synthesis") > 0
    assert "model: claude-fable-5-2; tiers: planning on medium" in run("ops", "use-model", "claude-fable-5-2")
    run("ops", "use-tier", "planning", "--default")
    assert "tiers: synthesis on medium" in run("ops", "use-model", "--default")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ["dreaming", "small"],
            "error: there is no step 'dreaming'; the steps are planning, tool_arguments,",
        ),
        (["planning", "tiny"], "error: there is no tier 'tiny'; the tiers are large, medium, small"),
        (["planning"], "error: name a tier, or say --default"),
    ],
)
def test_a_wrong_switch_is_one_clear_line(arguments: list[str], says: str) -> None:
    """What was wrong, and what there is."""
    assert run("ops", "use-tier", *arguments, status=2).startswith(says)
