"""Sessions, tasks and turns: what an agent does for a user, and the context they travel in."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar, Token, copy_context
from dataclasses import dataclass, replace
from time import monotonic, perf_counter
from types import TracebackType
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, Self, TypeVar

from agentgauge import metrics
from agentgauge.boundary import NotAnAmountError, amount, elapsed
from agentgauge.exemplars import current_trace
from agentgauge.vocabulary import Rating, Reason, SessionLimit, StepLabel, TaskOutcome, TranscriptCause

if TYPE_CHECKING:
    from agentgauge.telemetry import Telemetry  # which loads the Prometheus client

P = ParamSpec("P")
R = TypeVar("R")


SESSIONS_OF_A_BUSY_DAY = 10


@dataclass(frozen=True)
class SessionLimits:
    """What a live session may use before it counts as over the limit: tool calls, USD, and the USD of a runaway.

    15 calls are nearly twice the eight that the longest sensible plan needs; at $0.50, 50 users with four sessions a
    day cost $100. ``user_day_cost_usd`` is what one user's sessions of a UTC day may cost together; by default as much
    as ten sessions at their limit. The limits in force are exported as ``agent_session_limit`` and
    ``agent_user_daily_cost_limit_usd``: alerts and panels read them there.
    """

    tool_calls: int = 15
    cost_usd: float = 0.5
    runaway_cost_usd: float = 5
    user_day_cost_usd: float | None = None

    @property
    def of_a_user_day(self) -> float:
        """USD that a user may spend on a UTC day."""
        return SESSIONS_OF_A_BUSY_DAY * self.cost_usd if self.user_day_cost_usd is None else self.user_day_cost_usd

    @property
    def by_name(self) -> dict[SessionLimit, float]:
        """Each limit by the name under which it is exported and counted against."""
        return {"tool_calls": self.tool_calls, "cost": self.cost_usd, "cost_runaway": self.runaway_cost_usd}


@dataclass(frozen=True)
class Subagent:
    """A part of an agent that has a name of its own; one process may hold several agents."""

    telemetry: Telemetry
    name: str


class Billed(Protocol):
    """What is told the price of each LLM call that is made under it."""

    def bill(self, usd: float) -> None:
        """Take what a call cost."""


@dataclass(frozen=True)
class Scope:
    """What is going on in this thread or asyncio task: session, task and subagent in force, and the LLM step.

    ``billed`` is what was reserved of a budget for the call that is made.
    """

    session: Session | None = None
    task: Task | None = None
    step: StepLabel = "other"
    subagent: Subagent | None = None
    billed: Billed | None = None


_scope: ContextVar[Scope] = ContextVar("agentgauge_scope", default=Scope())  # noqa: B039 - Scope is frozen


current_scope: Callable[[], Scope] = _scope.get
"""The scope in force here."""


def _leave(token: Token[Scope]) -> None:
    try:
        _scope.reset(token)
    except ValueError:  # left in another context than entered in, as an async generator may be
        _scope.set(token.old_value if isinstance(token.old_value, Scope) else Scope())


@contextmanager
def llm_step(step: StepLabel) -> Iterator[None]:
    """Label the LLM calls made inside with the step they serve."""
    token = _scope.set(replace(_scope.get(), step=step))
    try:
        yield
    finally:
        _leave(token)


@contextmanager
def billed_to(billed: Billed) -> Iterator[None]:
    """Tell ``billed`` what the LLM calls made inside cost."""
    token = _scope.set(replace(_scope.get(), billed=billed))
    try:
        yield
    finally:
        _leave(token)


@contextmanager
def subagent_at_work(telemetry: Telemetry, name: str) -> Iterator[None]:
    """See ``AgentGauge.subagent``."""
    token = _scope.set(replace(_scope.get(), subagent=Subagent(telemetry, name)))
    try:
        yield
    finally:
        _leave(token)


def carry_session(function: Callable[P, R]) -> Callable[P, R]:
    """Bind a function to the session in force now, for ``Thread(target=…)`` or ``executor.submit(…)``.

    asyncio tasks and ``asyncio.to_thread`` carry it by themselves; plain threads start with an empty context.
    """
    context = copy_context()

    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        # A copy each time: one context cannot be entered by two threads at once.
        return context.copy().run(function, *args, **kwargs)

    return run


class Session:
    """A conversation with one user. Opened by ``AgentGauge.session()``; closed once, at the end of the ``with``.

    A service that keeps sessions open between requests calls ``close()`` itself and puts each request into
    ``with session.attach():``. ``ended_by_operator`` says that the people who operate the agent closed it.
    """

    def __init__(
        self, telemetry: Telemetry, limits: SessionLimits, user_id: str | None, session_id: str | None
    ) -> None:
        self.id = session_id if isinstance(session_id, str) and session_id else uuid.uuid4().hex
        self.user_id = user_id
        self.tool_calls = 0
        self.turns = 0
        self.cost_usd = 0.0
        self.opened_at = monotonic()
        self.ended_by_operator = False
        self._telemetry = telemetry
        self._limits = limits
        self._lock = threading.RLock()  # what is collected as garbage meanwhile may count, too
        self._closed = False
        self._is_counted = False
        self._over: set[SessionLimit] = set()
        self._has_failed = False
        self._tokens: list[Token[Scope]] = []
        self.notes = None if telemetry.transcripts is None else telemetry.transcripts.notes()
        with telemetry.swallowing("session"):
            telemetry.show_start()
            telemetry.instruments.counter(metrics.SESSIONS_OPENED).inc()
            telemetry.instruments.gauge(metrics.SESSIONS_ACTIVE).inc()
            self._is_counted = True
            telemetry.live.add(self)
            if telemetry.recorder is not None:
                telemetry.recorder.start()
        self._record(sessions=1)

    def __enter__(self) -> Self:
        self._tokens.append(_scope.set(Scope(session=self, subagent=_scope.get().subagent)))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _leave(self._tokens.pop())
        self.close()

    def belongs_to(self, telemetry: Telemetry) -> bool:
        """Whether this is a session of that agent: one process may hold several."""
        return self._telemetry is telemetry

    @contextmanager
    def attach(self) -> Iterator[Self]:
        """Put the session in force here without closing it at the end."""
        token = _scope.set(Scope(session=self, subagent=_scope.get().subagent))
        try:
            yield self
        finally:
            _leave(token)

    def close(self) -> None:
        """Count the finished session; further calls do nothing."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        with self._telemetry.swallowing("session"):
            self._telemetry.live.discard(self)
            instruments = self._telemetry.instruments
            if self._is_counted:  # else the gauge would fall below the sessions that there are
                instruments.gauge(metrics.SESSIONS_ACTIVE).dec()
            instruments.histogram(metrics.SESSION_TOOL_CALLS).observe(self.tool_calls)
            instruments.histogram(metrics.SESSION_TURNS).observe(self.turns)
            instruments.histogram(metrics.SESSION_COST).observe(self.cost_usd, current_trace())

    def end_by_operator(self) -> None:
        """Close the session because somebody who operates the agent wants it closed."""
        self.ended_by_operator = True
        self.close()

    def task(self, *, model_turns: int = 0) -> Task:
        """Start one user request: ``with session.task() as task:``; one that was suspended goes on with its turns."""
        return Task(self._telemetry, self, model_turns)

    def feedback(self, rating: Rating, reason: Reason = "none") -> bool:
        """Take a thumb up or down, with the user's reason if there is one; whether it is safe.

        With a ledger, True means that it is committed there, False that the ledger could not take it: then it is not
        counted, and the user should hear that. This waits for the database: in asyncio, call it by
        ``await asyncio.to_thread(session.feedback, "up")``.
        """
        recorder = self._telemetry.recorder
        if recorder is not None and not recorder.add_feedback(self.user_id, rating, reason, self.id):
            return False
        with self._telemetry.swallowing("feedback"):
            self._telemetry.instruments.counter(metrics.FEEDBACK, rating, reason).inc()
        if rating == "down":
            self.keep_transcript("thumbs_down", reason)
        return True

    def record_messages(self, messages: Sequence[Mapping[str, Any]]) -> None:
        """Say all that was said so far, for the transcript that is kept if something goes wrong; returns at once.

        The messages have the shape of Anthropic's Messages API, or of OpenAI's chat completions or responses. What an
        adapter sees of the session's model calls is not used from then on. Does nothing without a ledger.
        """
        if self.notes is not None and self._telemetry.transcripts is not None:
            with self._telemetry.swallowing("transcript"):
                self.notes.record(messages)
                if self.notes.occasions:
                    self._telemetry.transcripts.keep(self)

    def keep_transcript(self, cause: TranscriptCause, detail: str = "") -> None:
        """Keep the transcript of this session; ``detail`` is a few words on the cause, such as a reviewer's reason.

        Thumbs down, failed tasks, slow turns, sessions with too many tool calls, and rejected calls of ``ToolRequests``
        do so by themselves. Returns at once: the ledger's thread redacts and writes.
        """
        if self.notes is not None and self._telemetry.transcripts is not None:
            with self._telemetry.swallowing("transcript"):
                self.notes.keep(cause, str(detail))
                self._telemetry.transcripts.keep(self)

    def add_turn(self) -> None:
        """Count one user turn."""
        with self._lock:
            self.turns += 1
        self._record(turns=1)

    def add_tool_call(self) -> None:
        """Count one tool call; crossing the limit is counted at once, not at the close."""
        with self._lock:
            self.tool_calls += 1
            crossed = self.tool_calls > self._limits.tool_calls and self._crosses_first("tool_calls")
        if crossed:
            self._count_over("tool_calls")
            self.keep_transcript("looping")

    @property
    def is_over_tool_calls(self) -> bool:
        """Whether it made more tool calls than a session should."""
        return self.tool_calls > self._limits.tool_calls

    def add_cost(self, usd: float) -> None:
        """Add LLM or tool cost in USD; crossing the limit is counted at once, not at the close."""
        try:
            usd = amount(usd)
        except NotAnAmountError as fault:
            self._telemetry.swallow("session", fault)
            return
        with self._lock:
            self.cost_usd += usd
            crossed = self.cost_usd > self._limits.cost_usd and self._crosses_first("cost")
            ran_away = self.cost_usd > self._limits.runaway_cost_usd and self._crosses_first("cost_runaway")
        if crossed:
            self._count_over("cost")
        if ran_away:
            self._count_over("cost_runaway")
        self._record(cost_usd=usd)

    def _count_over(self, limit: SessionLimit) -> None:
        with self._telemetry.swallowing("session"):
            self._telemetry.instruments.counter(metrics.SESSIONS_OVER_LIMIT, limit).inc()

    def add_failure(self) -> None:
        """Count a request that failed; of a session that counts one before, only its user is noted again."""
        with self._lock:
            is_first, self._has_failed = not self._has_failed, True
        if is_first:
            with self._telemetry.swallowing("session"):
                self._telemetry.instruments.counter(metrics.SESSIONS_FAILING).inc()
        self._record(failed=True)

    def _crosses_first(self, limit: SessionLimit) -> bool:
        """Whether it crosses this limit for the first time; to be called with the lock held."""
        if limit in self._over:
            return False
        self._over.add(limit)
        return True

    def _record(self, *, sessions: int = 0, turns: int = 0, cost_usd: float = 0.0, failed: bool = False) -> None:
        if self._telemetry.recorder is not None and self.user_id is not None:
            self._telemetry.recorder.add(self.user_id, sessions=sessions, turns=turns, cost_usd=cost_usd, failed=failed)


class Task:
    """One user request; it ends exactly one way.

    Leaving the ``with`` counts ``completed``, or ``failed`` if an exception leaves it, or ``abandoned`` if it was
    cancelled; ``fallback()``, ``failed()`` and ``abandoned()`` inside say otherwise. ``suspended()`` says that the
    request waits, for an approval say, and ends in another task, perhaps of another process; ``suspension_id`` is what
    the ledger then knows it by, also in that other task.
    """

    def __init__(self, telemetry: Telemetry, session: Session, model_turns: int = 0) -> None:
        self.model_turns = 0
        if model_turns:
            with telemetry.swallowing("task"):
                self.model_turns = int(amount(model_turns))
        self.session = session
        self.suspension_id: str | None = None
        self._telemetry = telemetry
        self._outcome: TaskOutcome | None = None
        self._error = ""
        self._suspended = False
        self._ended = False
        self._tokens: list[Token[Scope]] = []

    def __enter__(self) -> Self:
        scope = Scope(session=self.session, task=self, subagent=_scope.get().subagent)
        self._tokens.append(_scope.set(scope))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _leave(self._tokens.pop())
        if error is not None and self._outcome is None:
            # Cancellation, Ctrl-C and a closed generator are no Exception: the user or the caller went away.
            self._outcome = "failed" if isinstance(error, Exception) else "abandoned"
            self._error = type(error).__name__
        self._end(self._outcome or "completed")

    def fallback(self) -> None:
        """The agent said that it cannot help with that."""
        self._outcome = "fallback"

    def failed(self) -> None:
        """The agent could not do what it was asked, without raising."""
        self._outcome = "failed"

    def abandoned(self) -> None:
        """The user went away before the answer."""
        self._outcome = "abandoned"

    def suspended(self) -> None:
        """The request waits and ends later, in another task: this one is not counted."""
        self._suspended = True

    @property
    def is_suspended(self) -> bool:
        """Whether the request waits and ends in another task."""
        return self._suspended

    @contextmanager
    def turn(self) -> Iterator[None]:
        """One user turn: message to answer."""
        started = perf_counter()
        in_flight = None
        with self._telemetry.swallowing("task"):
            in_flight = self._telemetry.turns.begin()
        try:
            yield
        finally:
            with self._telemetry.swallowing("task"):
                seconds = elapsed(started, perf_counter())
                self._telemetry.turns.end(in_flight)
                self.session.add_turn()
                duration = self._telemetry.instruments.histogram(metrics.TURN_DURATION)
                duration.observe(seconds, current_trace())
                transcripts = self._telemetry.transcripts
                if transcripts is not None and seconds >= transcripts.policy.slow_seconds:
                    self.session.keep_transcript("slow", f"{seconds:.0f} s")

    def _end(self, outcome: TaskOutcome) -> None:
        if self._ended or self._suspended:
            return
        self._ended = True
        with self._telemetry.swallowing("task"):
            self._telemetry.instruments.counter(metrics.TASKS, outcome).inc()
            if outcome == "failed":
                self.session.add_failure()
            if outcome == "completed":
                self._telemetry.instruments.histogram(metrics.TASK_TURNS).observe(self.model_turns)
        if outcome == "failed":
            self.session.keep_transcript("failed", self._error)
