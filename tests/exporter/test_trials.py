"""ScenarioPlayer: an agent's model loop is played through a scenario, with a scripted approver."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from agentgauge.agent_app import AgentApp, AppError, Tool
from agentgauge.autonomy.supervisor import Call, CallOutcome
from agentgauge.autonomy.tool_requests import Resumed, ToolRequests, Waiting
from agentgauge.evals.history import Version
from agentgauge.evals.scenario import Scenario
from agentgauge.evals.transcript import Called, Said
from agentgauge.gauge import AgentGauge
from agentgauge.session import Session
from agentgauge.trials import ScenarioPlayer, trial_gauge

USD = {"properties": {"usd": {"type": "integer"}}, "required": ["usd"]}
APP = AgentApp(
    "support_bot",
    "sqlite:///unused.sqlite",
    [Tool("look_up", risk="low", side_effect=False), Tool("refund", USD, risk="high")],
    run_tool=lambda tool, arguments: f"{tool} done {dict(arguments)}",
)


class Bot:
    """An agent without a model: a message names the tools to call, those of a second round after a comma."""

    def __init__(self, requests: ToolRequests) -> None:
        self._requests = requests

    async def answer(self, session: Session, text: str) -> str:
        """Answer a message."""
        with session.attach(), session.task() as task, task.turn():
            return await self._work(task, text.split(","))

    async def go_on(self, resumed: Resumed) -> str:
        """Answer what was decided."""
        return await self._work(resumed.task, resumed.state, resumed.outcomes)

    async def _work(self, task: Any, rounds: list[str], outcomes: tuple[CallOutcome, ...] = ()) -> str:
        for number, names in enumerate(rounds):
            task.model_turns += 1
            calls = [
                Call(f"{task.session.id} {len(rounds)} {number} {place}", name, {"usd": 5} if name == "refund" else {})
                for place, name in enumerate(names.split())
            ]
            settled = await self._requests.call(task, calls, rounds[number + 1 :])
            if isinstance(settled, Waiting):
                return "please wait"
            outcomes = settled.outcomes
        return "; ".join(outcome.content for outcome in outcomes)


@pytest.fixture
def gauge() -> Iterator[AgentGauge]:
    """A gauge for trials."""
    with trial_gauge(APP) as gauge:
        yield gauge


@pytest.fixture
def player(gauge: AgentGauge) -> ScenarioPlayer:
    """Plays the bot."""
    return ScenarioPlayer(APP, Version("1", "v1", "none"), gauge, Bot)


def scenario(text: str, **fields: Any) -> Scenario:
    """A scenario in which the user says this."""
    few = {"expected_tools": [], "expected_output_contains": [], "max_turns": 9, "max_cost": 1.0}
    return Scenario.model_validate({"name": "one", "input": text, **few, **fields})


async def test_what_was_said_and_called_is_written_down_in_order(player: ScenarioPlayer) -> None:
    """Each call stands before the answer that it led to, with its result; the model's turns are counted."""
    played = await player.answer(scenario("look_up,look_up look_up", turns=["look_up"]))
    assert [one.by if isinstance(one, Said) else one.tool for one in played.steps] == [
        "user", "look_up", "look_up", "look_up", "agent", "user", "look_up", "agent"
    ]  # fmt: skip
    assert played.calls[0] == Called("look_up", {}, '"look_up done {}"')
    assert played.turns == 3


async def test_the_scripted_approver_decides_what_waits(player: ScenarioPlayer) -> None:
    """Approved with other arguments, it runs with them, once, and the agent goes on."""
    edit = {"decision": "edit", "arguments": {"usd": 3}}
    played = await player.answer(scenario("refund look_up,look_up", approvals=[edit]))
    said = [(one.by, one.text) for one in played.steps if isinstance(one, Said)]
    assert said == [
        ("user", "refund look_up,look_up"),
        ("agent", "please wait"),
        ("approver", "refund: edited usd"),
        ("agent", '"look_up done {}"'),
    ]
    refunds = [call for call in played.calls if call.tool == "refund"]
    assert len(refunds) == 1
    assert refunds[0].ok
    assert "'usd': 3" in refunds[0].result


async def test_a_request_can_wait_twice(player: ScenarioPlayer) -> None:
    """The next decision is for what waits next; model turns before the wait count once."""
    played = await player.answer(scenario("refund,refund", approvals=["approve", {"decision": "reject"}]))
    assert [call.ok for call in played.calls] == [True, False]
    assert "rejected by the reviewer: the scenario says so" in played.output
    assert played.turns == 2


async def test_a_call_that_nobody_decides_on_ends_the_conversation(player: ScenarioPlayer) -> None:
    """It stands in the transcript as one that waits, and what the user would have said next is not said."""
    played = await player.answer(scenario("refund", turns=["look_up"]))
    assert played.calls == [Called("refund", {"usd": 5}, "waits for a decision", ok=False)]
    assert played.output == "please wait"


async def test_an_edit_that_does_not_fit_the_tool_is_a_rejection(player: ScenarioPlayer) -> None:
    """The scenario's author reads why in the transcript."""
    edit = {"decision": "edit", "arguments": {"usd": "three"}}
    played = await player.answer(scenario("refund", approvals=[edit]))
    assert not played.calls[0].ok
    assert any(isinstance(one, Said) and "usd: expected" in one.text for one in played.steps)


async def test_trials_do_not_share_what_waits(player: ScenarioPlayer) -> None:
    """The second trial's approval is for its own call, though the first trial's still waits."""
    await player.answer(scenario("refund"))
    played = await player.answer(scenario("refund", approvals=["approve"]))
    assert played.calls[0].ok


async def test_tools_are_counted_as_tool_calls(player: ScenarioPlayer, gauge: AgentGauge) -> None:
    """An agent's run_tool need not instrument anything: the app's supervisor does."""
    await player.answer(scenario("look_up refund", approvals=["approve"]))
    for tool in ("look_up", "refund"):
        labels = {"agent": "support_bot", "tool": tool, "outcome": "success"}
        assert gauge.registry.get_sample_value("agent_tool_calls_total", labels) == 1


async def test_a_judge_is_asked_only_if_the_agent_says_how(player: ScenarioPlayer, gauge: AgentGauge) -> None:
    """Otherwise the error names what to add."""
    with pytest.raises(AppError, match="judge="):
        await player.judge("a model", "is it good?")

    async def judge(model: str, prompt: str) -> tuple[str, float]:
        return f"{model}: yes", 0.01

    judged = ScenarioPlayer(APP, player.version, gauge, Bot, judge)
    assert await judged.judge("a model", "is it good?") == ("a model: yes", 0.01)
