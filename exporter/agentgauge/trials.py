"""Trials of an agent that hands its tool calls to ToolRequests: plays a scenario and writes down what happened.

The scenario's user talks to the agent, a scripted approver decides what waits. For ``AgentApp(trials=…)``:

    @asynccontextmanager
    async def on_trial(candidate: Candidate) -> AsyncIterator[TrialRunner]:
        with trial_gauge(app) as gauge:
            version = Version(candidate.agent_version, candidate.prompts.version, "my-model")
            yield ScenarioPlayer(app, version, gauge, lambda requests: MyAgent(gauge, candidate.prompts, requests))

Give it an app whose ``run_tool`` changes nothing outside: ``dataclasses.replace(app, run_tool=pretend)``.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from prometheus_client import CollectorRegistry

from agentgauge.agent_app import AgentApp, AppError
from agentgauge.autonomy.approvals import Approvals, InvalidEditError, RiskRaisedError
from agentgauge.autonomy.supervisor import Call, CallOutcome, Supervisor
from agentgauge.autonomy.tool_requests import Resumed, Settled, ToolRequests, Waiting
from agentgauge.evals.history import Version
from agentgauge.evals.scenario import Approval, Scenario
from agentgauge.evals.transcript import Called, Said, TrialTranscript
from agentgauge.gauge import AgentGauge
from agentgauge.session import Session, Task

__all__ = ["Agent", "Judge", "ScenarioPlayer", "play", "trial_gauge"]

APPROVER = "the scenario"
WAITS = "waits for a decision"

Judge = Callable[[str, str], Awaitable[tuple[str, float]]]
"""(model, prompt) → its answer, and what that cost in USD."""


class Agent(Protocol):
    """An agent as a scenario talks to it."""

    async def answer(self, session: Session, text: str) -> str:
        """Answer a message of the user."""

    async def go_on(self, resumed: Resumed) -> str:
        """Answer a request that waited, once people have decided."""


@contextlib.contextmanager
def trial_gauge(app: AgentApp, *, models: Iterable[str] = (), prices: Path | None = None) -> Iterator[AgentGauge]:
    """A gauge for trials: its ledger is in a temporary folder, its registry is not scraped."""
    with tempfile.TemporaryDirectory(prefix="agentgauge-trials-") as folder:
        gauge = AgentGauge(
            app.name,
            tools=app.tool_names,
            models=models,
            version=app.version,
            registry=CollectorRegistry(),
            ledger=f"sqlite:///{Path(folder) / 'ledger.sqlite'}",
            prices=prices,
        )
        try:
            yield gauge
        finally:
            gauge.close()


class ScenarioPlayer:
    """A TrialRunner for one version of an agent: ``start`` makes a new agent for each trial.

    The policy is the app's, but in the stage approval_required: a suite asks the same of an agent whatever it has
    earned. ``judge`` asks a model, where scenarios are to be judged. Raises YamlFileError if the policy cannot be used.
    """

    def __init__(
        self,
        app: AgentApp,
        version: Version,
        gauge: AgentGauge,
        start: Callable[[ToolRequests], Agent],
        judge: Judge | None = None,
    ) -> None:
        self.version = version
        self._app = app
        self._gauge = gauge
        self._start = start
        self._judge = judge
        self._supervisor = app.supervisor(gauge, stage="approval_required")

    async def answer(self, scenario: Scenario) -> TrialTranscript:
        """Have a new agent do what a scenario says; raises what the agent raises."""
        return await play(scenario, self._supervisor, self._start)

    async def judge(self, model: str, prompt: str) -> tuple[str, float]:
        """Ask a model; raises AppError if the agent did not say how."""
        if self._judge is None:
            raise AppError(f"{self._app.name} does not say how to ask a judge: ScenarioPlayer(…, judge=…)")
        return await self._judge(model, prompt)


async def play(scenario: Scenario, supervisor: Supervisor, start: Callable[[ToolRequests], Agent]) -> TrialTranscript:
    """Have a new agent, which ``start`` makes, do what a scenario says; raises what the agent raises.

    A request that waits for a decision which the scenario does not give ends the conversation.
    """
    session = _Session(supervisor.gauge)
    notes = _Notes(supervisor)
    agent = start(notes)
    approvals = iter(scenario.approvals)
    with contextlib.closing(session):
        for text in (scenario.input, *scenario.turns):
            notes.steps.append(Said("user", text))
            said: object = await agent.answer(session, text)
            notes.steps.append(Said("agent", str(said)))
            while notes.waiting is not None and await _decide(notes, notes.waiting, approvals):
                said = await notes.go_on_with(notes.waiting, agent)
                if notes.waiting is None:
                    notes.steps.append(Said("agent", str(said)))
            if notes.waiting is not None:
                break
    return TrialTranscript((*notes.steps, *notes.open_calls()), session.model_turns, session.cost_usd)


async def _decide(notes: _Notes, waiting: Waiting, approvals: Iterator[Approval]) -> bool:
    """Decide on the actions in turn; False if the scenario has no decision for some."""
    decided = 0
    for action, approval in zip(waiting.actions, approvals, strict=False):
        said = await asyncio.to_thread(decide, notes.supervisor.autonomy.approvals, action.id, approval)
        notes.steps.append(Said("approver", said))
        decided += 1
    return decided == len(waiting.actions)


def decide(approver: Approvals, action_id: str, approval: Approval) -> str:
    """Commit one decision; returns it in words. An edit that this action does not allow is a rejection."""
    proposal = approver.get(action_id).proposal
    reason = approval.reason or "the scenario says so"
    if approval.decision == "approve":
        approver.approve(action_id, APPROVER)
        return f"{proposal.tool}: approved"
    if approval.decision == "edit":
        try:
            approver.edit(action_id, {**proposal.arguments, **approval.arguments}, APPROVER, reason)
        except (InvalidEditError, RiskRaisedError) as error:
            reason = str(error)
        else:
            return f"{proposal.tool}: edited {', '.join(approval.arguments)}"
    approver.reject(action_id, APPROVER, reason)
    return f"{proposal.tool}: rejected, {reason}"


class _Session(Session):
    """A session that counts the model's turns over all its requests."""

    def __init__(self, gauge: AgentGauge) -> None:
        super().__init__(gauge, gauge.limits, None, None)
        self._tasks: list[tuple[Task, int]] = []

    def task(self, *, model_turns: int = 0) -> Task:
        """As a session does; a request that goes on brings the turns before with it."""
        task = super().task(model_turns=model_turns)
        self._tasks.append((task, model_turns))
        return task

    @property
    def model_turns(self) -> int:
        """The turns so far."""
        return sum(task.model_turns - before for task, before in self._tasks)


class _Notes(ToolRequests):
    """Requests that write down the calls, and what came of each."""

    def __init__(self, supervisor: Supervisor) -> None:
        super().__init__(supervisor)
        self.steps: list[Said | Called] = []
        self.waiting: Waiting | None = None
        self._open: dict[str, Call] = {}

    async def call(
        self,
        task: Task,
        calls: Sequence[Call],
        state: Any,
        *,
        messages: Sequence[Mapping[str, Any]] = (),
        prompt_version: str = "unknown",
        model: str = "unknown",
    ) -> Settled | Waiting:
        """As ToolRequests does."""
        settled = await super().call(task, calls, state, messages=messages, prompt_version=prompt_version, model=model)
        self._open |= {call.id: call for call in calls}
        self._write_down(settled.outcomes)
        self.waiting = settled if isinstance(settled, Waiting) else None
        return settled

    async def go_on_with(self, waiting: Waiting, agent: Agent) -> object:
        """Go on with a request that is decided; returns what the agent says then."""
        said: list[object] = []

        async def go_on(resumed: Resumed) -> str:
            self.waiting = None
            self._write_down(resumed.outcomes)
            said.append(await agent.go_on(resumed))
            return str(said[-1])

        if not await self.resume(waiting.suspension_id, go_on):
            raise RuntimeError("all was decided, and the request does not go on")
        return said[-1]

    def open_calls(self) -> list[Called]:
        """The calls that still wait for a decision."""
        return [Called(call.tool, call.arguments, WAITS, ok=False) for call in self._open.values()]

    def _write_down(self, outcomes: Sequence[CallOutcome]) -> None:
        for outcome in outcomes:
            call = self._open.pop(outcome.call_id, None)
            if call is not None:
                self.steps.append(Called(call.tool, call.arguments, outcome.content, outcome.status == "done"))
