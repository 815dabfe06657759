"""What people change by other commands is followed as soon as switches are: prompts and throttles."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from agentgauge import AgentGauge
from agentgauge.agent_app import AgentApp, PromptFolder
from agentgauge.cost.budgets import BudgetReachedError
from agentgauge.cost.throttles import Throttles
from agentgauge.ledger import Ledger
from agentgauge.ledger.recorder import Recorder
from agentgauge.prompts.activations import PromptActivations
from tests.clock import Clock


@pytest.fixture
def gauge(registry: CollectorRegistry, ledger: Ledger) -> Iterator[AgentGauge]:
    """A running agent."""
    with closing(AgentGauge("a", registry=registry, ledger=ledger)) as made:
        yield made


@pytest.fixture
def recorder(gauge: AgentGauge) -> Recorder:
    """What calls the followers every two seconds; the test does so in its place."""
    assert gauge.recorder is not None
    return gauge.recorder


@pytest.fixture
def app(url: str, tmp_path: Path) -> AgentApp:
    """An agent with two versions of its prompts, and budgets."""
    for version in ("v1", "v2"):
        folder = tmp_path / "prompts" / version
        folder.mkdir(parents=True)
        (folder / "system.md").write_text(f"Answer as {version}.\n", encoding="utf-8")
        (folder / "tools.yml").write_text("{}\n", encoding="utf-8")
    budgets = tmp_path / "budgets.yml"
    budgets.write_text(
        "session: {}\nuser_day: {}\nseconds_between_requests: 60\ncontact: ops@example.com\n", encoding="utf-8"
    )
    return AgentApp("a", url, prompts=PromptFolder(tmp_path / "prompts"), budgets=budgets)


def test_prompts_that_people_activate_or_roll_back(
    app: AgentApp, gauge: AgentGauge, recorder: Recorder, ledger: Ledger
) -> None:
    """Requests take them from memory; the build info shows them."""
    prompts = app.prompts_in_force(gauge)
    assert prompts().version == "v2"
    PromptActivations(ledger, "a").activate("v1", "ann", "calmer")
    recorder.follow()
    assert prompts().texts == {"system": "Answer as v1.\n"}
    labels = {"agent": "a", "version": "unknown", "prompt_version": "v1"}
    assert gauge.registry.get_sample_value("agent_build_info", labels) == 1


def test_a_user_whom_people_throttle_and_let_go(
    app: AgentApp, gauge: AgentGauge, recorder: Recorder, ledger: Ledger, clock: Clock
) -> None:
    """Before the next look at what users spend, which is a longer query."""
    budgets, throttles = app.budgets_in_force(gauge), Throttles(ledger, "a")
    throttles.put("rep-1", "throttle", clock() + timedelta(days=1), "ann", "loops")
    recorder.follow()
    with gauge.session("rep-1"):
        budgets.admit()
        with pytest.raises(BudgetReachedError, match="one request every 60 seconds"):
            budgets.admit()
        throttles.lift("rep-1", "bob", "fixed")
        recorder.follow()
        budgets.admit()
