"""Arguments written by the medium tier: the same action, billed to its own step, and when it pays."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from anthropic import AsyncAnthropic

from agentgauge import AgentGauge
from agentgauge.autonomy.action import Action
from sample_agent import assembly
from sample_agent.fake_api import answers
from sample_agent.sales.companion import Conversation, SalesCompanion
from sample_agent.settings import MODELS
from tests.exporter.cost.conftest import counted

DRAFT = "Draft a renewal proposal email to Jane at Globex"
MEDIUM = "claude-sonnet-5-5"

Make = Callable[[str], SalesCompanion]
"""Makes an agent; the text names the tools whose arguments are written apart."""


@pytest.fixture
async def make(
    gauge: AgentGauge, fake_api: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Make]:
    """Make agents on one fake API, which differ in the file of their models only."""
    shipped, models = MODELS.read_text(encoding="utf-8"), tmp_path / "models.yml"
    monkeypatch.setattr("sample_agent.settings.MODELS", models)
    async with AsyncAnthropic(api_key="fake-key", base_url=fake_api, middleware=[gauge.anthropic()]) as client:

        def made(apart: str) -> SalesCompanion:
            models.write_text(shipped.replace("arguments_apart: []", f"arguments_apart: [{apart}]"))
            return assembly.build_companion(gauge, client, tmp_path)

        yield made


async def proposed(companion: SalesCompanion, gauge: AgentGauge, text: str) -> tuple[Action, float]:
    """The action that the agent asks approval for, and what the request cost in USD."""
    conversation = Conversation(gauge.session("rep-1"))
    (waiting,) = (await companion.answer(conversation, text)).waiting
    return companion.supervisor.autonomy.actions.get(waiting), conversation.session.cost_usd


@pytest.mark.parametrize(
    ("tool", "text"), [("draft_email", DRAFT), ("update_crm", "Log a note in the CRM for Globex: call back next week")]
)
async def test_the_action_is_the_same_whoever_writes_its_arguments(
    make: Make, gauge: AgentGauge, tool: str, text: str
) -> None:
    """What people are asked to approve does not depend on the tiers."""
    (by_planner, _), (apart, _) = [await proposed(make(tools), gauge, text) for tools in ("", tool)]
    assert apart.proposal.tool == tool
    assert apart.proposal.arguments == by_planner.proposal.arguments


async def test_the_medium_tier_is_billed_to_the_step_of_the_arguments(make: Make, gauge: AgentGauge) -> None:
    """And the call is not a model turn of the request: it neither plans nor answers."""
    await proposed(make(""), gauge, DRAFT)
    assert counted(gauge, "agent_llm_calls_total", model=MEDIUM, outcome="success") == 0
    action, _ = await proposed(make("draft_email"), gauge, DRAFT)
    assert counted(gauge, "agent_llm_calls_total", model=MEDIUM, outcome="success") == 1
    assert counted(gauge, "agent_llm_cost_usd_total", model=MEDIUM, step="tool_arguments") > 0
    said = action.proposal.context["messages"][-1]["content"][-1]
    assert said["input"] == {"brief": f"As the user asks: {DRAFT}"}


async def test_it_pays_for_long_texts_only(make: Make, gauge: AgentGauge, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason why the shipped file names no tool; with warm prompt caches, by the token counts of the fake API."""
    by_planner, apart = make(""), make("draft_email")

    async def cost(companion: SalesCompanion) -> float:
        await proposed(companion, gauge, DRAFT)
        return (await proposed(companion, gauge, DRAFT))[1]

    assert await cost(by_planner) < await cost(apart) < 1.2 * await cost(by_planner)
    short = answers.email_text
    monkeypatch.setattr(
        answers, "email_text", lambda *asked: (text := short(*asked)) | {"body": text["body"] + 2_000 * "x"}
    )
    assert await cost(apart) < await cost(by_planner)
