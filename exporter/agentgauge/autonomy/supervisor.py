"""Runs an agent's tool calls under the policy: at once, not at all, or after people have decided, and never twice."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import Any, Literal

from sqlalchemy.exc import SQLAlchemyError

from agentgauge import metrics
from agentgauge.argument_diff import differences
from agentgauge.autonomy.action import LEASE_SECONDS, Action, Proposal
from agentgauge.autonomy.effects import Effect, Simulated, SimulatedStep, seal
from agentgauge.autonomy.gate import AutonomyStanding, Ruling, decide, draw_for, mode_of
from agentgauge.autonomy.keeper import Keeper
from agentgauge.autonomy.parts import Autonomy
from agentgauge.autonomy.policy import Policy, is_higher
from agentgauge.autonomy.suspensions import Suspension
from agentgauge.gauge import AgentGauge

log = logging.getLogger(__name__)

RunTool = Callable[[str, Mapping[str, Any]], Awaitable[Any] | Any]
"""Runs a tool with arguments; returns its JSON-able result, or raises what the model may read.

A plain function runs in a thread, so that it may block.
"""

Refuse = Callable[[str, Mapping[str, Any]], object]
"""Raises what is wrong with a call that cannot run, whoever approves it."""

SUGGESTED = "not done: you only suggest at present. Tell the user what you would do; a person decides and does it"
WATCHES = (
    "not done: you only watch at present, and a person does it. Say so, and not a word of what you would have done"
)
UNRECORDED = "not done and not allowed: it could not be recorded. The user can try again in a minute"
REJECTED = "rejected by the reviewer"
EXPIRED = "expired: nobody decided in time, so it was not done"
INTERRUPTED = "interrupted: nobody knows whether it was done. Tell the user to check; do not do it again unasked"
FOUND_DONE = "interrupted, but somebody has looked since: it was done"
FOUND_NOT_DONE = "interrupted, and somebody has looked since: it was not done. Do not do it again unasked"
CHANGED = "it would do something else by now than what was approved"
NOT_STARTED = "interrupted before it was started: it was approved, but not done"


@dataclass(frozen=True)
class Call:
    """A tool call as the model made it."""

    id: str
    tool: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True)
class CallOutcome:
    """What the model is told of a call; ``refused`` if a person or the policy kept it from happening.

    ``content`` is the result as JSON, or a sentence. ``suggestion`` is the id of the action that the ledger keeps of a
    call which the agent only suggests; if that is ``done``, its result is simulated.
    """

    call_id: str
    tool: str
    status: Literal["done", "failed", "refused"]
    content: str
    suggestion: str | None = None


@dataclass(frozen=True)
class Origin:
    """Where calls come from, kept with each proposal. ``messages`` is the conversation so far, as JSON."""

    session_id: str
    user_id: str | None
    prompt_version: str
    model: str
    messages: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Round:
    """What became of the calls of one message: outcomes of some, proposals of those that wait for people."""

    outcomes: tuple[CallOutcome, ...]
    waiting: tuple[Proposal, ...]


class Supervisor:
    """Supervises the calls of one agent of this ``version``, whose tools ``run`` runs, unless ``refuse`` raises.

    The ``keeper`` keeps the agent's autonomy in order from here on, in the background if the gauge has a ledger.
    """

    def __init__(self, gauge: AgentGauge, autonomy: Autonomy, run: RunTool, refuse: Refuse, version: str) -> None:
        self.gauge = gauge
        self.autonomy = autonomy
        self._version = version
        self._run = run
        self._refuse = refuse
        self.keeper = Keeper(autonomy, gauge.instruments)
        self._unrecorded: dict[str, Mapping[str, Any]] = {}
        if gauge.recorder is not None:
            gauge.recorder.add_refresher(self._record_results)
            gauge.recorder.add_refresher(self.keeper.refresh)

    async def begin(self, calls: Sequence[Call], origin: Origin) -> Round:
        """Rule on the calls of one message; run what may run, and record what has, or would have, a side effect."""
        policy = self.autonomy.policy()
        standing = await self._standing(policy)
        outcomes: list[CallOutcome] = []
        ruled: list[tuple[Call, Ruling]] = []
        effects: dict[str, Effect | None] = {}
        simulated = await self._simulated(calls, origin, policy, standing)
        for call in calls:
            try:
                self._refuse(call.tool, call.arguments)
                outcome = simulated.get(call.id)
                if isinstance(outcome, Exception):
                    raise outcome
                if outcome is not None:
                    effects[call.id] = outcome.effect
                elif policy.reads_effect(call.tool):
                    effects[call.id] = await asyncio.to_thread(self.autonomy.preview, call.tool, call.arguments)
            except Exception as error:
                outcomes.append(_failed(call, error))
                continue
            audit, canary = (draw_for(policy, call.id, what) for what in ("audit", "canary"))
            ruling = decide(policy, standing, call.tool, call.arguments, audit, canary, effects.get(call.id))
            self.gauge.instruments.counter(metrics.ACTIONS, call.tool, ruling.risk, ruling.disposition).inc()
            ruled.append((call, ruling))
        expire_in = policy.approvals.expire_after_hours * 3600
        waiting: list[Proposal] = []
        others: list[tuple[Call, Ruling]] = []
        for call, ruling in ruled:
            if ruling.disposition in ("approval", "suggested") and call.id not in simulated:
                try:
                    effects[call.id] = await asyncio.to_thread(self.autonomy.preview, call.tool, call.arguments)
                except Exception as error:  # it could not be carried out, so nobody is asked
                    outcomes.append(_failed(call, error))
                    continue
            if ruling.disposition == "approval":
                proposal = self._proposal(call, ruling, origin, expire_in)
                waiting.append(replace(proposal, effect=effects[call.id]))
            else:
                others.append((call, ruling))
        played = {id: one for id, one in simulated.items() if isinstance(one, Simulated)}
        recorded = await self._record(policy, others, origin, effects, played)
        outcomes += await asyncio.gather(
            *(self._settle(call, ruling, recorded, played.get(call.id)) for call, ruling in others)
        )
        return Round(tuple(outcomes), tuple(waiting))

    async def carry_out(self, claimed: Suspension) -> Round:
        """Do what was approved of a claimed request, each action once; an outcome for each, also if it was rejected.

        What would do something else by now than people were shown is not done: it waits for them again.
        """
        came_to = [await self._carry_out(action) for action in claimed.actions]
        outcomes = tuple(one for one in came_to if isinstance(one, CallOutcome))
        return Round(outcomes, tuple(one for one in came_to if isinstance(one, Proposal)))

    def was_interrupted(self, claimed: Suspension) -> list[CallOutcome] | None:
        """What is known, if a process ended while it carried out this request; None if no process had started to."""
        if all(action.started_at is None for action in claimed.actions):
            return None
        return [_last_known(action) for action in claimed.actions]

    def keeping(self, claimed: Suspension) -> AbstractAsyncContextManager[None]:
        """Keep a claim for as long as the block runs."""
        return _renewing(self.autonomy.suspensions.renew, claimed.id)

    async def _standing(self, policy: Policy) -> AutonomyStanding:
        try:
            return await asyncio.to_thread(self.autonomy.standings.now, policy)
        except SQLAlchemyError as error:
            # Look-ups go on; whatever has a side effect fails when it cannot be recorded.
            log.warning("the ledger cannot say what the agent may do (%s): nothing but look-ups", type(error).__name__)
            return AutonomyStanding("shadow")

    async def _simulated(
        self, calls: Sequence[Call], origin: Origin, policy: Policy, standing: AutonomyStanding
    ) -> Mapping[str, Simulated | Exception]:
        """What calls that the agent may only suggest would have come to, in their order, if that can be said."""
        simulate = self.autonomy.simulate
        suggested = [
            call for call in calls if call.tool in policy.tools and mode_of(policy, standing, call.tool) == "suggest"
        ]
        if simulate is None or not suggested:
            return {}
        outcomes: dict[str, Simulated | Exception] = {}
        try:
            earlier = await asyncio.to_thread(self.autonomy.actions.simulated_steps, origin.session_id)
        except SQLAlchemyError:
            return {}  # then the suggestion cannot be recorded either
        for call in suggested:
            try:
                self._refuse(call.tool, call.arguments)
                outcome = await asyncio.to_thread(simulate, call.tool, call.arguments, earlier)
            except Exception as error:  # as the tool would have failed
                outcomes[call.id] = error
                continue
            if outcome is not None:
                outcomes[call.id] = outcome
                earlier.append(SimulatedStep(call.tool, call.arguments, outcome))
        return outcomes

    async def _record(
        self,
        policy: Policy,
        ruled: Sequence[tuple[Call, Ruling]],
        origin: Origin,
        effects: Mapping[str, Effect | None],
        simulated: Mapping[str, Simulated],
    ) -> Mapping[str, Action | None]:
        """The recorded actions by call; None for one that should have been recorded and could not be."""
        # A look-up that ran is counted, but not recorded: there are many, with their conversations, and none to judge.
        to_record = [
            (call, ruling)
            for call, ruling in ruled
            if ruling.disposition != "auto" or policy.tools[call.tool].side_effect
        ]
        proposals = [
            replace(
                self._proposal(call, ruling, origin),
                effect=effects.get(call.id),
                simulated=simulated.get(call.id) if ruling.disposition == "suggested" else None,
            )
            for call, ruling in to_record
        ]
        try:
            actions = await asyncio.to_thread(self.autonomy.actions.propose_all, proposals) if proposals else []
        except SQLAlchemyError as error:
            log.warning("%d actions could not be recorded: %s", len(proposals), type(error).__name__)
            return {call.id: None for call, _ in to_record}
        return {call.id: action for (call, _), action in zip(to_record, actions, strict=True)}

    async def _settle(
        self, call: Call, ruling: Ruling, recorded: Mapping[str, Action | None], simulated: Simulated | None
    ) -> CallOutcome:
        action = recorded.get(call.id)
        if call.id in recorded and action is None:
            return CallOutcome(call.id, call.tool, "failed", UNRECORDED)
        if ruling.disposition == "suggested" and simulated is not None and action is not None:
            return CallOutcome(call.id, call.tool, "done", json.dumps(simulated.result), action.id)
        if ruling.disposition == "suggested":
            explanation = SUGGESTED if self.autonomy.real_actions is None else WATCHES
            return CallOutcome(call.id, call.tool, "refused", explanation, None if action is None else action.id)
        if ruling.disposition == "denied":
            return CallOutcome(call.id, call.tool, "refused", f"denied by the policy: {ruling.why}")
        if action is None:
            return await self._execute(call)
        async with _renewing(self.autonomy.actions.renew, action.id):
            outcome = await self._execute(call)
        await self._finish(action, outcome)
        return outcome

    async def _carry_out(self, action: Action) -> CallOutcome | Proposal:
        call = Call(action.proposal.context["call_id"], action.proposal.tool, action.final_arguments)
        if action.decision not in ("approved", "edited"):
            return CallOutcome(call.id, call.tool, "refused", _why_not(action))
        try:
            effect = await asyncio.to_thread(self.autonomy.preview, call.tool, call.arguments)
        except Exception as error:  # it could not be carried out any more, perhaps because somebody just did
            newest = await asyncio.to_thread(self.autonomy.actions.get, action.id)
            return _failed(call, error) if newest.started_at is None else _last_known(newest)
        if obstacle := await asyncio.to_thread(self._obstacle, action, effect):
            return CallOutcome(call.id, call.tool, "refused", f"approved, but not allowed any more: {obstacle}")
        if seal(call.tool, call.arguments, effect) != action.final_seal:
            return self._asked_again(action, effect)
        if not await asyncio.to_thread(self.autonomy.actions.start, action.id):
            return _last_known(await asyncio.to_thread(self.autonomy.actions.get, action.id))
        async with _renewing(self.autonomy.actions.renew, action.id):
            outcome = await self._execute(call)
        if action.decision == "edited" and outcome.status == "done":
            outcome = _as_edited(action, outcome)
        await self._finish(action, outcome)
        return outcome

    def _obstacle(self, action: Action, effect: Effect | None) -> str | None:
        """Why an approved action must not run by now; None if it may."""
        policy = self.autonomy.policy()
        standing = self.autonomy.standings.now(policy)
        proposal = action.proposal
        ruling = decide(policy, standing, proposal.tool, action.final_arguments, effect=effect)
        if ruling.disposition in ("suggested", "denied"):
            return SUGGESTED if ruling.disposition == "suggested" else ruling.why
        if is_higher(ruling.risk, proposal.risk):
            return f"it was approved as of {proposal.risk} risk, and is of {ruling.risk} risk ({ruling.why})"
        return None

    def _asked_again(self, action: Action, effect: Effect | None) -> Proposal:
        """The proposal of an action that people approved, and that would do something else by now."""
        context = {**action.proposal.context, "why": CHANGED}
        return replace(action.proposal, arguments=action.final_arguments, effect=effect, context=context)

    async def _execute(self, call: Call) -> CallOutcome:
        try:
            result = await in_thread_if_plain(self._run, call.tool, call.arguments)
            return CallOutcome(call.id, call.tool, "done", json.dumps(result))
        except Exception as error:
            return _failed(call, error)

    async def _finish(self, action: Action, outcome: CallOutcome) -> None:
        result = {"status": outcome.status, "content": outcome.content}
        try:
            await asyncio.to_thread(self.autonomy.actions.finish, action.id, result)
        except SQLAlchemyError as error:
            # It happened, and the conversation goes on; after a crash it would be reported as interrupted.
            log.warning("what came of action %s could not be recorded yet: %s", action.id, type(error).__name__)
            self._unrecorded[action.id] = result

    def _record_results(self) -> None:
        """Record what could not be when it ended; raises SQLAlchemyError while the ledger still cannot take it."""
        for action_id, result in list(self._unrecorded.items()):
            self.autonomy.actions.finish(action_id, result)
            del self._unrecorded[action_id]

    def _proposal(self, call: Call, ruling: Ruling, origin: Origin, expire_in: float | None = None) -> Proposal:
        return Proposal(
            call.tool,
            ruling.risk,
            ruling.disposition,
            call.arguments,
            {"messages": origin.messages, "call_id": call.id, "why": ruling.why},
            session_id=origin.session_id,
            user_id=origin.user_id,
            version=self._version,
            prompt_version=origin.prompt_version,
            model=origin.model,
            expires_in_seconds=expire_in,
            sampled=ruling.sampled,
        )


@contextlib.asynccontextmanager
async def _renewing(renew: Callable[[str], None], id: str) -> AsyncIterator[None]:
    """Renew the lease of something for as long as the block runs."""

    async def keep_renewing() -> None:
        while True:
            await asyncio.sleep(LEASE_SECONDS / 3)
            with contextlib.suppress(SQLAlchemyError):
                await asyncio.to_thread(renew, id)

    renewing = asyncio.create_task(keep_renewing())
    try:
        yield
    finally:
        renewing.cancel()


async def in_thread_if_plain(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function returns: a coroutine function is awaited here, a plain one runs in a thread."""
    if inspect.iscoroutinefunction(function):
        return await function(*arguments)
    result = await asyncio.to_thread(function, *arguments)
    return await result if inspect.isawaitable(result) else result


def describe_interruption(outcomes: Sequence[CallOutcome]) -> str:
    """What to tell the user when a process ended while it did what people had approved."""
    unknown = [outcome.tool for outcome in outcomes if outcome.content == INTERRUPTED]
    done = [outcome.tool for outcome in outcomes if outcome.status == "done"]
    others = [outcome.tool for outcome in outcomes if outcome.tool not in (*unknown, *done)]
    lines = {"I do not know whether this happened": unknown, "Done": done, "Not done": others}
    return "\n".join(
        [
            "I was interrupted while I did what was approved, and have stopped.",
            *(f"{what}: {', '.join(tools)}." for what, tools in lines.items() if tools),
            "Please check before you ask me to do it again.",
        ]
    )


def _failed(call: Call, error: Exception) -> CallOutcome:
    return CallOutcome(call.id, call.tool, "failed", f"{type(error).__name__}: {error}")


def _why_not(action: Action) -> str:
    return EXPIRED if action.decision == "expired" else f"{REJECTED}: {action.reason or 'no reason given'}"


def _as_edited(action: Action, outcome: CallOutcome) -> CallOutcome:
    """The outcome with a word on what the reviewer changed: the model knows only what it asked for."""
    edited = {one.field: one.after for one in differences(action.proposal.arguments, action.final_arguments)}
    result = json.loads(outcome.content)
    fields = result if isinstance(result, dict) else {"result": result}
    content = json.dumps({**fields, "edited_by_the_reviewer": edited})
    return CallOutcome(outcome.call_id, outcome.tool, outcome.status, content)


def _last_known(action: Action) -> CallOutcome:
    """What is known of an action that another process carried out, or had to."""
    call_id, tool = action.proposal.context["call_id"], action.proposal.tool
    if action.result is not None:
        return CallOutcome(call_id, tool, action.result["status"], action.result["content"])
    if action.settlement is not None:
        happened = action.settlement.happened
        return CallOutcome(call_id, tool, "done" if happened else "failed", FOUND_DONE if happened else FOUND_NOT_DONE)
    if action.decision not in ("approved", "edited"):
        return CallOutcome(call_id, tool, "refused", _why_not(action))
    return CallOutcome(call_id, tool, "failed", NOT_STARTED if action.started_at is None else INTERRUPTED)
