"""The Sales Companion on trial: alone with its own CRM, its approvals scripted, everything written down."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from anthropic import AsyncAnthropic
from prometheus_client import CollectorRegistry

from agentgauge import AgentGauge
from agentgauge.agent_app import Candidate
from agentgauge.cost.tiers import Models
from agentgauge.evals.history import played
from agentgauge.evals.scenario import Approval, Scenario
from agentgauge.evals.transcript import Said, TrialTranscript
from agentgauge.ledger import Ledger
from agentgauge.ops.switches import Switches
from sample_agent.app import app
from sample_agent.faults import Fault, inject
from sample_agent.sales import crm
from sample_agent.sales.tools import TOOLS_BY_NAME
from sample_agent.settings import AGENT, POLICY
from sample_agent.trials.trials import ProviderFailedError, Setup, Trials

SUITE = {scenario.name: scenario for scenario in app().scenarios("sales")}
DRAFT = SUITE["email_draft_with_approval"]


def test_the_two_scenarios_of_the_promise_have_its_values() -> None:
    """Under their names; what stands beside these fields only adds to them."""
    look_up, draft = SUITE["basic_account_lookup"], SUITE["email_draft_with_approval"]
    assert look_up.input == "Tell me about the Globex account"
    assert look_up.expected_tools == ["search_crm_contacts", "get_deal_history"]
    assert look_up.expected_output_contains == ["Globex", "ARR", "renewal"]
    assert (look_up.max_turns, look_up.max_cost) == (4, 0.10)
    assert draft.input == "Draft a renewal proposal email to Jane at Globex"
    assert draft.expected_tools == ["search_crm_contacts", "get_deal_history", "draft_email"]
    assert draft.expected_output_contains == ["approval", "send"]
    assert (draft.max_turns, draft.max_cost) == (6, 0.15)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """What the trials share."""
    with closing(Ledger.open(f"sqlite:///{tmp_path / 'ledger.sqlite'}")) as opened:
        yield opened


@pytest.fixture
async def trials(fake_api: str, ledger: Ledger, tmp_path: Path) -> AsyncIterator[Trials]:
    """The shipped agent on the fake API, without retries."""
    crm.build(tmp_path / "crm.sqlite")
    gauge = AgentGauge(AGENT, tools=list(TOOLS_BY_NAME), registry=CollectorRegistry())
    setup = Setup.of(app(), Candidate("1.0", app().prompt_library().load()))
    client = AsyncAnthropic(api_key="fake-key", base_url=fake_api, max_retries=0, middleware=[gauge.anthropic()])
    async with client:
        yield Trials(setup, gauge, client, ledger, tmp_path)


def told(transcript: TrialTranscript) -> list[str]:
    """Who did what, in order."""
    return [step.by if isinstance(step, Said) else f"{step.tool}{'' if step.ok else '!'}" for step in transcript.steps]


def with_approvals(*approvals: Approval) -> Scenario:
    """The draft, with another script."""
    return DRAFT.model_copy(update={"approvals": list(approvals)})


async def test_what_is_approved_is_done_and_written_down(trials: Trials) -> None:
    """In the order it happened, each call once, with the turns of both halves of the request and its cost."""
    transcript = await trials.answer(DRAFT)
    look_ups = ["search_crm_contacts", "get_deal_history"]
    assert told(transcript) == ["user", *look_ups, "agent", "approver", "draft_email", "agent"]
    draft = transcript.calls[-1]
    assert draft.arguments["to"] == "jane.cooper@globex.example.com"
    assert '"draft_id": 1' in draft.result
    assert transcript.turns == 3
    assert 0 < transcript.cost_usd < 0.15


async def test_what_is_rejected_is_not_done_and_the_agent_is_told(trials: Trials) -> None:
    """With the reason."""
    transcript = await trials.answer(with_approvals(Approval(decision="reject", reason="not now")))
    assert told(transcript)[-3:] == ["approver", "draft_email!", "agent"]
    assert "not now" in transcript.calls[-1].result


async def test_what_nobody_decides_waits(trials: Trials) -> None:
    """And ends the conversation, whatever the user would have said next."""
    waiting = with_approvals().model_copy(update={"turns": ["Send it"]})
    transcript = await trials.answer(waiting)
    assert told(transcript)[-2:] == ["agent", "draft_email!"]
    assert "approval" in transcript.output
    assert transcript.calls[-1].result == "waits for a decision"


async def test_an_edit_changes_only_what_it_names(trials: Trials) -> None:
    """The rest stays as proposed."""
    edit = Approval(decision="edit", arguments={"subject": "Your renewal"})
    transcript = await trials.answer(with_approvals(edit))
    assert '"subject": "Your renewal"' in transcript.calls[-1].result
    assert '"to": "jane.cooper@globex.example.com"' in transcript.calls[-1].result


async def test_an_edit_that_the_policy_refuses_is_a_rejection(trials: Trials) -> None:
    """The trial goes on, and its checks say what is missing."""
    edit = Approval(decision="edit", arguments={"body": "We give you 60 % off."})
    transcript = await trials.answer(with_approvals(edit))
    assert told(transcript)[-2:] == ["draft_email!", "agent"]


async def test_trials_do_not_see_each_others_notes(trials: Trials) -> None:
    """Each has a CRM of its own; what one writes, the same one reads."""
    own = await trials.answer(SUITE["what was noted is seen at once"])
    other = await trials.answer(
        SUITE["basic_account_lookup"].model_copy(update={"input": "Tell me about the Wonka account"})
    )
    assert "no answer to two e-mails" in own.output
    assert "Noted" in own.output
    assert "no answer to two e-mails" not in other.output


async def test_a_fault_is_in_force_for_its_scenario_alone(trials: Trials) -> None:
    """The others run beside it."""
    broken = await trials.answer(SUITE["the CRM is down"])
    well = await trials.answer(SUITE["basic_account_lookup"])
    assert all(not call.ok for call in broken.calls)
    assert all(call.ok for call in well.calls)


async def test_a_loop_without_an_answer_is_written_down_by_its_tools(trials: Trials, tmp_path: Path) -> None:
    """The conversation keeps nothing of it, but it may have called forbidden tools."""
    inject(tmp_path, Fault("looping"))
    transcript = await trials.answer(SUITE["basic_account_lookup"])
    assert transcript.turns > 20
    assert len(transcript.calls) > 20


async def test_a_provider_that_fails_is_no_verdict_on_the_agent(trials: Trials, tmp_path: Path) -> None:
    """The trial stays undone."""
    inject(tmp_path, Fault("provider-error"))
    with pytest.raises(ProviderFailedError):
        await trials.answer(SUITE["basic_account_lookup"])


def test_with_a_key_the_version_is_that_of_the_model_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """And another version than the played one."""
    prompts = app().prompt_library().load()
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    without = Setup.of(app(), Candidate("1.0", prompts)).version
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-test")
    with_key = Setup.of(app(), Candidate("1.0", prompts)).version
    assert (without.is_played, with_key.is_played) == (True, False)
    assert with_key.model == "claude-opus-5-5"
    assert with_key != without
    assert without.is_called("claude-opus-5-5")


def test_a_model_that_is_switched_makes_another_version_and_nothing_else_steps_in() -> None:
    """Neither for planning nor for synthesis; a trial that fell back would be one of another version."""
    prompts = app().prompt_library().load()
    shipped = Setup.of(app(), Candidate("1.0", prompts))
    switched = Setup.of(app(), Candidate("1.0", prompts, tiers={"synthesis": "small"}))
    assert shipped.version.model == played("claude-opus-5-5")
    assert switched.version.model == played("claude-opus-5-5/claude-haiku-5-5")
    assert Models(switched.models, Switches).models("planning") == ["claude-opus-5-5"]
    assert Models(switched.models, Switches).models("synthesis") == ["claude-haiku-5-5"]


def test_a_suite_asks_the_same_of_an_agent_that_has_earned_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else scenarios about approvals would break with every step of the rollout."""
    earned = POLICY.read_text(encoding="utf-8").replace("stage: approval_required", "stage: autonomous")
    (tmp_path / "policy.yml").write_text(earned, encoding="utf-8")
    monkeypatch.setenv("AGENTGAUGE_POLICY", str(tmp_path / "policy.yml"))
    assert app().policy_source()().stage == "autonomous"
    assert Setup.of(app(), Candidate("1.0")).policy.stage == "approval_required"


async def test_the_judge_is_a_model_call_with_a_cost(trials: Trials) -> None:
    """Beside the agent's."""
    answer, cost = await trials.judge(
        "claude-sonnet-5-5", 'Judge the transcript.\n\nCriterion: It says "x".\n\nTranscript:\n'
    )
    assert answer.startswith("FAIL")
    assert 0 < cost < 0.01


def test_the_suite_holds_what_it_promises() -> None:
    """Every tool, and the two scenarios that must exist, with their limits."""
    expected = {tool for scenario in SUITE.values() for tool in scenario.expected_tools}
    assert expected == set(TOOLS_BY_NAME)
    look_up = SUITE["basic_account_lookup"]
    assert (look_up.input, look_up.expected_tools) == (
        "Tell me about the Globex account",
        ["search_crm_contacts", "get_deal_history"],
    )
    assert (look_up.expected_output_contains, look_up.max_turns, look_up.max_cost) == (
        ["Globex", "ARR", "renewal"],
        4,
        0.1,
    )
    assert (DRAFT.input, DRAFT.expected_tools) == (
        "Draft a renewal proposal email to Jane at Globex",
        ["search_crm_contacts", "get_deal_history", "draft_email"],
    )
    assert (DRAFT.expected_output_contains, DRAFT.max_turns, DRAFT.max_cost) == (["approval", "send"], 6, 0.15)
    tags = {tag for scenario in SUITE.values() for tag in scenario.tags}
    assert {"fallback", "ambiguous", "batch", "stale", "approval", "outage", "multi-turn", "injection"} <= tags
