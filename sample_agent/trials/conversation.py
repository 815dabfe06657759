"""One trial: a scenario's user talks to an agent, a scripted approver decides what waits, and all is written down."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from agentgauge import AgentGauge, Session, Task
from agentgauge.autonomy.approvals import Approvals, InvalidEditError, RiskRaisedError
from agentgauge.evals.scenario import Approval, Scenario
from agentgauge.evals.transcript import Called, Said, TrialTranscript
from sample_agent.sales.companion import KEY_REFUSED, PROVIDER_DOWN, Conversation, SalesCompanion
from sample_agent.sales.requests import Answer

APPROVER = "the scenario"
WAITS = "waits for a decision"


class ProviderFailedError(Exception):
    """The model provider did not answer, which says nothing about the agent."""


async def converse(companion: SalesCompanion, gauge: AgentGauge, scenario: Scenario) -> TrialTranscript:
    """Have the agent do what a scenario says. Raises ProviderFailedError.

    A request that waits for a decision which the scenario does not give ends the conversation.
    """
    session = _Session(gauge)
    notes = _Notes(companion, Conversation(session))
    approvals = iter(scenario.approvals)
    try:
        for text in (scenario.input, *scenario.turns):
            notes.steps.append(Said("user", text))
            answer = await notes.take_down(await companion.answer(notes.conversation, text))
            while answer.waiting and await _decide(companion, answer.waiting, approvals, notes):
                resumed = await companion.resume(notes.conversation)
                if resumed is None:
                    raise RuntimeError(f"all of {answer.waiting} was decided, and the request does not go on")
                answer = await notes.take_down(resumed)
            if answer.waiting:
                break
    finally:
        session.close()
    notes.end()
    return TrialTranscript(tuple(notes.steps), session.model_turns, session.cost_usd)


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


class _Notes:
    """What happened so far."""

    def __init__(self, companion: SalesCompanion, conversation: Conversation) -> None:
        self.steps: list[Said | Called] = []
        self.conversation = conversation
        self._requests = companion.requests
        self._read = 0
        self._open: dict[str, Called] = {}

    async def take_down(self, answer: Answer) -> Answer:
        """Write down the calls that were settled since the last time, and what the agent said; returns the answer."""
        if answer.text in (PROVIDER_DOWN, KEY_REFUSED):
            raise ProviderFailedError(answer.text)
        messages = await self._messages()
        # Of a request that came to no end, the conversation keeps nothing; the answer still names the tools.
        kept = len(messages) > self._read
        self.steps += self._settled(messages[self._read :]) if kept else [Called(tool, {}, "") for tool in answer.tools]
        self._read = len(messages)
        self.steps.append(Said("agent", answer.text))
        return answer

    def end(self) -> None:
        """Write down the calls that nobody decided."""
        self.steps += self._open.values()

    async def _messages(self) -> Sequence[Any]:
        if self.conversation.suspension is None:
            return self.conversation.messages
        waiting = await self._requests.newest(self.conversation.session.id)
        return [] if waiting is None else waiting.state["messages"]

    def _settled(self, messages: Sequence[Any]) -> Iterator[Called]:
        for message in messages:
            for block in message["content"] if isinstance(message["content"], list) else ():
                if block["type"] == "tool_use":
                    self._open[block["id"]] = Called(block["name"], block["input"], WAITS, ok=False)
                elif block["type"] == "tool_result":
                    called = self._open.pop(block["tool_use_id"])
                    yield replace(called, result=block["content"], ok=not block.get("is_error"))


async def _decide(
    companion: SalesCompanion, waiting: Sequence[str], approvals: Iterator[Approval], notes: _Notes
) -> bool:
    """Decide the actions in turn; False if the scenario has no decision for some."""
    decided = 0
    for action_id, approval in zip(waiting, approvals, strict=False):
        said = await asyncio.to_thread(_say, companion.supervisor.autonomy.approvals, action_id, approval)
        notes.steps.append(Said("approver", said))
        decided += 1
    return decided == len(waiting)


def _say(approver: Approvals, action_id: str, approval: Approval) -> str:
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
