"""Requests whose tool calls may wait for people, and go on in whatever process is alive once they have decided.

The agent keeps its own model loop. It hands over the calls of each model message, and gets their outcomes or hears that
the request waits. What is needed to go on is then in the ledger, so the process may end:

    requests = ToolRequests(app.supervisor(gauge))

    async def work(task: Task, messages: list) -> str:
        while True:
            message = await ask_the_model(messages)
            messages.append(message)
            if not message["tool_calls"]:
                return message["content"]
            calls = [Call(one["id"], one["name"], one["arguments"]) for one in message["tool_calls"]]
            settled = await requests.call(task, calls, {"messages": messages}, messages=messages)
            if isinstance(settled, Waiting):
                return "I need an approval before I go on."
            messages += as_messages(settled.outcomes)

    async def go_on(resumed: Resumed) -> str:
        if resumed.interrupted:
            return describe_interruption(resumed.outcomes)
        return await work(resumed.task, resumed.state["messages"] + as_messages(resumed.outcomes))

    async with requests.resuming(go_on):
        ...  # serve: with session.task() as task: answer = await work(task, messages)

``news`` then gives the answer that ``go_on`` returned, in any process.

An agent without asyncio uses ``asyncio.run(requests.call(…))`` and, in a worker that loops, every second or so
``asyncio.run(requests.resume_decided(go_on))``. Its ``run_tool`` and ``go_on`` may be plain functions: they run in a
thread, in which they may call ``asyncio.run`` themselves.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from agentgauge.autonomy import shadow
from agentgauge.autonomy.action import Action, Proposal
from agentgauge.autonomy.supervisor import Call, CallOutcome, Origin, Supervisor, in_thread_if_plain
from agentgauge.autonomy.suspensions import Due, Suspension
from agentgauge.session import Session, Task

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.5
"""How often to look for decisions, and for answers, of other processes."""

LEFT_TO_OTHERS_SECONDS = 5.0
"""For so long after its last decision, a request is left to the process where its conversation is open."""

CLOSING_SECONDS = 10.0
"""How long to wait, at the end, for what is under way: if it is cut off, nobody knows whether it was done."""

MOST_REMEMBERED = 1000


@dataclass(frozen=True)
class Settled:
    """Every call has its outcome; they are in the order of the calls."""

    outcomes: tuple[CallOutcome, ...]


@dataclass(frozen=True)
class Waiting:
    """The request waits for people to decide on these actions; it is in the ledger, and survives a crash.

    ``outcomes`` are those of the other calls of the same message; ``Resumed`` has them again.
    """

    suspension_id: str
    actions: tuple[Action, ...]
    outcomes: tuple[CallOutcome, ...]


@dataclass(frozen=True)
class Resumed:
    """A request that goes on, perhaps in another process than the one in which it was suspended.

    ``task`` is in force, and its session attached. ``state`` is what ``call`` was given; ``outcomes`` are those of all
    the calls it was given, in their order. ``interrupted`` says that another process had started to carry them out and
    ended: some may have happened, so tell the user, as ``describe_interruption`` words it, and call no more tools.
    """

    task: Task
    state: Any
    outcomes: tuple[CallOutcome, ...]
    interrupted: bool


GoOn = Callable[[Resumed], Awaitable[Any] | Any]
"""Goes on with a request; returns its answer, which can be written as JSON.

What it returns after a further ``call`` has returned Waiting is ignored: the answer comes when that goes on. A plain
function runs in a thread. If it raises, the request is claimed again after LEASE_SECONDS, as interrupted.
"""

FindSession = Callable[[str], Session | None]
"""The session with this id, if it is open in this process."""


class ToolRequests:
    """The requests of one agent. Methods raise SQLAlchemyError when the ledger cannot be reached.

    ``find_session`` says which conversations are open in this process; by default, the sessions that are not closed.
    """

    def __init__(self, supervisor: Supervisor, find_session: FindSession | None = None) -> None:
        self.supervisor = supervisor
        self._suspensions = supervisor.autonomy.suspensions
        self._find_session = find_session or self._live_session
        self._suspended_here: deque[str] = deque(maxlen=MOST_REMEMBERED)
        self._decided = _Bell()
        self._changed = _Bell()

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
        """Run the calls of one model message, as far as the policy lets them run without asking.

        ``state`` is what the agent needs to go on after these calls, as JSON. ``messages`` is the conversation as those
        who decide see it, and with ``prompt_version`` and ``model`` it is what feedback and evaluations learn from.

        If some calls need an approval, the request is suspended: when Waiting is returned, it is durable, and ``task``
        is not counted as ended. The caller then returns; ``resuming`` goes on. Raises RuntimeError if the task waits
        already.
        """
        if task.is_suspended:
            raise RuntimeError("this request waits for decisions; return from it, and go on in go_on()")
        session = task.session
        if messages:
            session.record_messages(messages)
        origin = Origin(session.id, session.user_id, prompt_version, model, messages)
        begun = await self.supervisor.begin(calls, origin)
        if not begun.waiting:
            return Settled(_in_order([call.id for call in calls], begun.outcomes))
        record = {
            "calls": [call.id for call in calls],
            "outcomes": [asdict(outcome) for outcome in begun.outcomes],
            "model_turns": task.model_turns,
        }
        if task.suspension_id is None:
            suspended = await asyncio.to_thread(
                self._suspensions.suspend, session.id, session.user_id, state, begun.waiting, record
            )
            task.suspension_id = suspended.id
        else:
            suspended = await asyncio.to_thread(
                self._suspensions.suspend_again, task.suspension_id, state, begun.waiting, record
            )
        task.suspended()
        self._suspended_here.append(suspended.id)
        return Waiting(suspended.id, suspended.actions, begun.outcomes)

    @contextlib.asynccontextmanager
    async def resuming(self, go_on: GoOn) -> AsyncIterator[None]:
        """Go on with requests once people have decided, as long as the block runs.

        Any number of processes may do so: each request goes on in one of them, first in the one where its conversation
        is open. An error, of the ledger or of ``go_on``, is logged and never raised. At the end, what is under way has
        CLOSING_SECONDS to finish. Suggestions are compared meanwhile with what people did, if the agent says where that
        can be read.
        """
        if self.supervisor.gauge.recorder is not None:
            self.supervisor.gauge.recorder.start()  # a forked child has not started it yet
        under_way: dict[str, asyncio.Task[None]] = {}
        looking = asyncio.create_task(self._look_for_decisions(go_on, under_way))
        comparing = asyncio.create_task(self._compare_suggestions())
        try:
            yield
        finally:
            looking.cancel()
            comparing.cancel()
            if under_way:
                await asyncio.wait(under_way.values(), timeout=CLOSING_SECONDS)

    async def resume_decided(self, go_on: GoOn) -> int:
        """Go on with all requests that are decided or expired now, one after the other; returns how many went on here.

        An error of ``go_on`` is logged and not raised.
        """
        await asyncio.to_thread(self.supervisor.keeper.refresh)
        due = await asyncio.to_thread(self._suspensions.due)
        return sum([await self._safely_resume(one.id, go_on) for one in due])

    async def resume(self, suspension_id: str, go_on: GoOn) -> bool:
        """Go on with one request; False if it is not decided yet, has ended, or another process has it.

        Raises what ``go_on`` raises.
        """
        claimed = await asyncio.to_thread(self._suspensions.claim, suspension_id)
        if claimed is None:
            return False
        async with self.supervisor.keeping(claimed):
            with self._session_of(claimed) as session, session.attach():
                await self._go_on(claimed, session, go_on)
        self._changed.ring()
        return True

    async def newest(self, session_id: str) -> Suspension | None:
        """The newest request of a session that waits or, if it has ended, is not forgotten; None if there is none."""
        return await asyncio.to_thread(self._suspensions.of_session, session_id)

    async def news(self, session_id: str, seconds: float = 0.0, *, known: Sequence[str] = ()) -> Suspension | None:
        """The newest request of a session, as soon as it has an answer or waits for other actions than ``known``.

        None if nothing of that happens within ``seconds``, and at once if nothing waits.
        """
        until = time.monotonic() + seconds
        seen: object = None
        with self._changed.heard() as changed:
            while True:
                changed.clear()
                mark = await asyncio.to_thread(self._suspensions.mark, session_id)
                if mark is None:
                    return None
                if mark != seen:
                    seen = mark
                    newest = await self.newest(session_id)
                    if newest is not None and _is_news(newest, known):
                        return newest
                remaining = until - time.monotonic()
                if remaining <= 0:
                    return None
                await _within(min(remaining, LOOK_SECONDS), changed)

    async def forget(self, suspension_id: str) -> None:
        """Delete a request that has ended, once its answer is delivered; one that waits is not deleted."""
        await asyncio.to_thread(self._suspensions.forget, suspension_id)

    def look_now(self) -> None:
        """Let ``resuming`` look at once: somebody has just decided, in this process."""
        self._decided.ring()

    async def _look_for_decisions(self, go_on: GoOn, under_way: dict[str, asyncio.Task[None]]) -> None:
        async def resume(suspension_id: str) -> None:
            try:
                await self._safely_resume(suspension_id, go_on)
            finally:
                del under_way[suspension_id]

        with self._decided.heard() as decided:
            while True:
                await _within(LOOK_SECONDS, decided)
                decided.clear()
                try:
                    due = await asyncio.to_thread(self._suspensions.due)
                except Exception as error:  # whatever it is, people go on deciding
                    log.warning("cannot look for decided requests: %s", type(error).__name__)
                    continue
                for one in due:
                    if one.id not in under_way and self._is_ours(one):
                        under_way[one.id] = asyncio.create_task(resume(one.id))

    async def _compare_suggestions(self) -> None:
        if self.supervisor.autonomy.real_actions is None:
            return
        for look in itertools.count():
            try:
                await asyncio.to_thread(shadow.compare_with_records, self.supervisor.autonomy, look)
            except Exception as error:
                log.warning("cannot compare suggestions with what people did: %s", type(error).__name__)
            await asyncio.sleep(shadow.COMPARE_SECONDS)

    def _is_ours(self, due: Due) -> bool:
        if due.id in self._suspended_here or self._find_session(due.session_id) is not None:
            return True
        return self._suspensions.now() - due.decided_at >= timedelta(seconds=LEFT_TO_OTHERS_SECONDS)

    async def _safely_resume(self, suspension_id: str, go_on: GoOn) -> bool:
        try:
            return await self.resume(suspension_id, go_on)
        except Exception as error:
            # Its claim runs out; whoever claims it next says what is known.
            log.warning("a decided request could not go on: %s", type(error).__name__)
            return False

    async def _go_on(self, claimed: Suspension, session: Session, go_on: GoOn) -> None:
        record = claimed.record
        with session.task(model_turns=record["model_turns"]) as task:
            task.suspension_id = claimed.id
            _note_rejections(session, claimed.actions)
            last_known = self.supervisor.was_interrupted(claimed)
            if last_known is not None:
                task.failed()
            known = [CallOutcome(**outcome) for outcome in record["outcomes"]]
            if last_known is not None:
                known += last_known
            else:
                came_to = await self.supervisor.carry_out(claimed)
                known += came_to.outcomes
                if came_to.waiting:
                    await self._wait_again(task, claimed, known, came_to.waiting)
                    return
            outcomes = _in_order(record["calls"], known)
            answer = await in_thread_if_plain(go_on, Resumed(task, claimed.state, outcomes, last_known is not None))
            if not task.is_suspended:
                await asyncio.to_thread(self._suspensions.end, claimed.id, answer)

    async def _wait_again(
        self, task: Task, claimed: Suspension, known: Sequence[CallOutcome], waiting: Sequence[Proposal]
    ) -> None:
        """Let people decide again on what would do something else than they were shown."""
        record = {**claimed.record, "outcomes": [asdict(outcome) for outcome in known]}
        await asyncio.to_thread(self._suspensions.suspend_again, claimed.id, claimed.state, waiting, record)
        task.suspended()
        self._suspended_here.append(claimed.id)

    @contextlib.contextmanager
    def _session_of(self, claimed: Suspension) -> Iterator[Session]:
        """The session of a request: the one that is open here, or one for as long as this takes."""
        session = self._find_session(claimed.session_id)
        if session is not None:
            yield session
            return
        with contextlib.closing(
            self.supervisor.gauge.session(claimed.user_id, session_id=claimed.session_id)
        ) as opened:
            yield opened

    def _live_session(self, session_id: str) -> Session | None:
        return next((one for one in self.supervisor.gauge.live.all() if one.id == session_id), None)


class _Bell:
    """Wakes whoever listens, in whatever thread and event loop that is."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    def ring(self) -> None:
        """Set the events of all listeners."""
        with self._lock:
            listeners = list(self._listeners)
        for loop, event in listeners:
            with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
                loop.call_soon_threadsafe(event.set)

    @contextlib.contextmanager
    def heard(self) -> Iterator[asyncio.Event]:
        """An event that is set at each ring, as long as the block runs."""
        listener = (asyncio.get_running_loop(), asyncio.Event())
        with self._lock:
            self._listeners.append(listener)
        try:
            yield listener[1]
        finally:
            with self._lock:
                self._listeners.remove(listener)


async def _within(seconds: float, event: asyncio.Event) -> None:
    """Wait for an event, for at most ``seconds``."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)


def _note_rejections(session: Session, actions: Sequence[Action]) -> None:
    """Keep the transcript of a conversation in which people rejected something, with their reason."""
    for action in actions:
        if action.decision == "rejected":
            messages = action.proposal.context.get("messages")
            if messages and session.notes is not None and not session.notes.messages:
                session.record_messages(messages)
            session.keep_transcript("rejected", f"{action.proposal.tool}: {action.reason or 'no reason given'}")


def _in_order(call_ids: Sequence[str], outcomes: Sequence[CallOutcome]) -> tuple[CallOutcome, ...]:
    return tuple(sorted(outcomes, key=lambda outcome: call_ids.index(outcome.call_id)))


def _is_news(newest: Suspension, known: Sequence[str]) -> bool:
    return newest.ended or (newest.action_ids != tuple(known) and bool(newest.undecided))
