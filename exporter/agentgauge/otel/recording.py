"""Counts what finished spans say, each by itself, and no model call twice."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from time import monotonic

from agentgauge import metrics
from agentgauge.adapters._shared import SeenTools, UnderWay
from agentgauge.calls import LLMCall, record_tool_call
from agentgauge.exemplars import current_trace, of_span
from agentgauge.forks import in_forked_children
from agentgauge.gauge import AgentGauge
from agentgauge.otel.reading import AgentRun, FinishedSpan, ModelCall, Owner, ToolRun, read
from agentgauge.otel.same_calls import Reported, SameCalls
from agentgauge.session import Session, current_scope

IDLE_SECONDS = 1800.0
"""How long a conversation may be silent before it is taken to be over: spans do not say that one is."""

MOST_CONVERSATIONS = 10_000

SWEEP_SECONDS = 30.0


class Conversations:
    """The sessions of one agent that spans tell of, by the conversation's id; safe to use from any thread.

    One is closed when nothing was heard of it for ``idle_seconds``, or when there are too many of them. A forked child
    begins without its parent's.
    """

    def __init__(self, gauge: AgentGauge, idle_seconds: float = IDLE_SECONDS, most: int = MOST_CONVERSATIONS) -> None:
        self._gauge = gauge
        self._idle_seconds = idle_seconds
        self._most = most
        self._begin_empty()
        in_forked_children(self._begin_empty)

    def session(self, owner: Owner) -> Session | None:
        """The session of this conversation, opened if it is new; None if the span does not tell which it is."""
        if owner.conversation is None:
            return None
        with self._lock:
            known = self._open.pop(owner.conversation, None)
            session = known[0] if known else self._gauge.session(owner.user, session_id=owner.conversation)
            self._open[owner.conversation] = session, monotonic()
            surplus = self._open.popitem(last=False)[1][0] if len(self._open) > self._most else None
        if surplus is not None:
            surplus.close()
        self.close_idle()
        return session

    def close_idle(self) -> None:
        """Close those of which nothing was heard for long."""
        self._close(monotonic() - self._idle_seconds)

    def close(self) -> None:
        """Close all."""
        self._close(float("inf"))

    def _begin_empty(self) -> None:
        self._open: OrderedDict[str, tuple[Session, float]] = OrderedDict()
        self._lock = threading.RLock()  # not Lock: a signal handler that stops the agent closes all

    def _close(self, heard_before: float) -> None:
        over = []
        with self._lock:
            while self._open and next(iter(self._open.values()))[1] <= heard_before:
                over.append(self._open.popitem(last=False)[1][0])
        for session in over:
            session.close()


class SpanRecorder:
    """Counts the spans of one agent.

    Spans inside others end first: a model call that holds another one is the same call, seen by a second
    instrumentation, and so is a tool that holds a tool of its name. Neither is counted again, nor is what was reported
    beside it, see ``SameCalls``.
    """

    def __init__(self, gauge: AgentGauge, conversations: Conversations) -> None:
        self._gauge = gauge
        self._conversations = conversations
        self._tools = SeenTools(gauge)
        self._same_calls = SameCalls()
        self._same_tools = SameCalls()
        self._calls_inside: UnderWay[bool] = UnderWay()
        self._tools_inside: UnderWay[str] = UnderWay()

    def call_inside(self, trace: Hashable, span: Hashable) -> None:
        """Say that a model call inside this span is counted already; None is the parent of a root."""
        if span is not None:
            self._calls_inside.begin((trace, span), True)

    def tool_inside(self, trace: Hashable, span: Hashable, tool: str) -> None:
        """Say that a run of this tool inside this span is counted already."""
        if span is not None:
            self._tools_inside.begin((trace, span), tool)

    def call_counted(self, call: Reported) -> None:
        """Say that a model call is counted already, wherever it was made."""
        self._same_calls.add(replace(call, name=self._model(call.name)))

    def tool_counted(self, call: Reported) -> None:
        """Say that a run of a tool is counted already."""
        self._same_tools.add(call)

    def record(self, span: FinishedSpan, owner: Owner, *, counted: bool = False) -> bool:
        """Count the span; whether it was counted. ``counted`` says that its model call is counted elsewhere."""
        what = read(span)
        call_inside = self._calls_inside.end((span.trace, span.id)) or False
        tool_inside = self._tools_inside.end((span.trace, span.id))
        if isinstance(what, ModelCall):
            self.call_inside(span.trace, span.parent)
            if counted or call_inside or self._is_known(self._same_calls, self._reported_call(span, what)):
                return False
        elif isinstance(what, ToolRun):
            self.tool_inside(span.trace, span.parent, what.tool)
            if tool_inside == what.tool or self._is_known(self._same_tools, _reported_tool(span, what)):
                return False
        elif what is None:
            if call_inside:
                self.call_inside(span.trace, span.parent)
            if tool_inside is not None:
                self.tool_inside(span.trace, span.parent, tool_inside)
            return False
        with self._attached(owner), of_span(span.exemplar):
            if isinstance(what, ModelCall):
                self._record_call(what, span.seconds)
            elif isinstance(what, ToolRun):
                record_tool_call(self._gauge, self._tools.add(what.tool), span.seconds, what.error_type, 0.0)
            else:
                self._record_run(what, span.seconds)
        return True

    def _is_known(self, same: SameCalls, reported: Reported) -> bool:
        if same.holds(reported):
            return True
        same.add(reported)
        return False

    def _reported_call(self, span: FinishedSpan, said: ModelCall) -> Reported:
        name, failed = self._model(said.answered or said.asked), said.error_type is not None
        return Reported(span.scope, name, span.started, span.ended, failed, said.usage, said.response)

    def _model(self, name: str) -> str:
        """One name for all that a model is called."""
        return self._gauge.prices.canonical_name(name) or name

    def _attached(self, owner: Owner) -> AbstractContextManager[object]:
        """The session that the span belongs to: the one in force here, or else the one that the span tells."""
        if self._gauge.current_session() is not None:
            return nullcontext()
        session = self._conversations.session(owner)
        return nullcontext() if session is None else session.attach()

    def _record_call(self, said: ModelCall, seconds: float) -> None:
        call = LLMCall(self._gauge, said.asked, said.provider)
        call.took(seconds, said.first_token_seconds)
        if said.also_used is not None:
            call.also_used([(None, said.also_used)])
        if said.error_type is None:
            call.finish(said.usage, said.answered)
        else:
            call.fail(said.error_type, said.usage)

    def _record_run(self, run: AgentRun, seconds: float) -> None:
        scope = current_scope()
        if scope.task is not None:  # the agent says itself what its tasks are
            return
        instruments = self._gauge.instruments
        instruments.counter(metrics.TASKS, "failed" if run.failed else "completed").inc()
        instruments.histogram(metrics.TURN_DURATION).observe(seconds, current_trace())
        if scope.session is not None:
            scope.session.add_turn()
            if run.failed:
                scope.session.add_failure()


def _reported_tool(span: FinishedSpan, said: ToolRun) -> Reported:
    return Reported(span.scope, said.tool, span.started, span.ended, said.error_type is not None)
