"""The span processor: what a Python agent's spans say of it, in its own process.

::

    provider.add_span_processor(SpanProcessor(gauge))
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Hashable, Iterator
from contextvars import Context, ContextVar, copy_context
from typing import Any, NamedTuple

from opentelemetry.context import Context as SpanContext
from opentelemetry.sdk.trace import ReadableSpan, Span
from opentelemetry.sdk.trace import SpanProcessor as Processor
from opentelemetry.trace import StatusCode, get_current_span

from agentgauge.adapters._shared import Delegate, UnderWay, at_work
from agentgauge.calls import LLMCall
from agentgauge.exemplars import exemplar_of
from agentgauge.forks import in_forked_children
from agentgauge.gauge import AgentGauge
from agentgauge.otel import spellings
from agentgauge.otel.reading import FinishedSpan, ModelCall, Owner, agent_of, owner_of, read
from agentgauge.otel.recording import IDLE_SECONDS, SWEEP_SECONDS, Conversations, SpanRecorder
from agentgauge.otel.same_calls import Reported
from agentgauge.pricing import TokenUsage
from agentgauge.session import Subagent, current_scope

__all__ = ["SpanProcessor"]

_MOST_ANCESTORS = 50

DIRECT = "agentgauge"
"""The scope of what the agent records itself."""

_recording: ContextVar[bool] = ContextVar("agentgauge_otel_recording", default=False)


class _Live(NamedTuple):
    """A span that has begun: where it did, the model of the call that was under way there, and whose work it was."""

    span: Span
    context: Context
    within: str | None
    subagent: Subagent | None


class SpanProcessor(Processor):
    """Counts the GenAI spans of this process as calls, tools and sessions of one agent.

    A model call that ``gauge`` records itself, through a middleware or an adapter, is not counted again by its span,
    and neither is a tool. A conversation is over when ``idle_seconds`` have passed without a span of it.
    """

    def __init__(self, gauge: AgentGauge, *, idle_seconds: float = IDLE_SECONDS) -> None:
        self._gauge = gauge
        self._conversations = Conversations(gauge, idle_seconds)
        self._recorder = SpanRecorder(gauge, self._conversations)
        self._live: UnderWay[_Live] = UnderWay()
        self._call: ContextVar[weakref.ref[LLMCall] | None] = ContextVar("agentgauge_otel_call", default=None)
        gauge.on_llm_call = self._call_begins
        gauge.on_llm_call_end = self._call_ends
        gauge.on_tool_call = self._tool_ends
        self._watch()
        in_forked_children(self._watch)

    def on_start(self, span: Span, parent_context: SpanContext | None = None) -> None:
        """Note where the span begins: it may end elsewhere, as that of a stream does."""
        with self._gauge.swallowing("llm"):
            known = self._call.get()
            call = known() if known is not None else None
            within = call.model if call is not None and not call.is_finished else None
            self._live.begin(span.context.span_id, _Live(span, copy_context(), within, current_scope().subagent))

    def on_end(self, span: ReadableSpan) -> None:
        """Count the span."""
        with self._gauge.swallowing("llm"):
            live = self._live.end(span.context.span_id)
            context = copy_context() if live is None else live.context
            context.run(self._record, span, None if live is None else live.within)

    def shutdown(self) -> None:
        """Close the conversations that the spans told of."""
        self._stopped.set()
        self._conversations.close()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing waits: spans are counted as they end."""
        return True

    def _record(self, span: ReadableSpan, within: str | None) -> None:
        finished = _finished(span, enclosed=self._is_enclosed(span))
        said = read(finished)
        counted = isinstance(said, ModelCall) and within is not None and self._is_of(said, within)
        token = _recording.set(True)
        try:
            with at_work(self._gauge, self._subagent(finished)):
                self._recorder.record(finished, self._owner(finished), counted=counted)
        finally:
            _recording.reset(token)

    def _is_of(self, said: ModelCall, model: str) -> bool:
        """Whether the span of a call is of this model, though a framework may write its provider before the name."""
        if model in (said.asked, said.answered):
            return True
        known = self._gauge.prices.canonical_name
        return known(model) is not None and known(model) in (known(said.asked), known(said.answered or said.asked))

    def _owner(self, span: FinishedSpan) -> Owner:
        """Whose it is, by itself or by the nearest span around it that says so."""
        owner = owner_of(span.attributes)
        for around in self._ancestors(span.parent):
            if owner.conversation is not None:
                break
            owner = owner_of(around.span.attributes or {})
        return owner

    def _subagent(self, span: FinishedSpan) -> Delegate | None:
        """The agent whose run is around it, if the run of another agent is around that; of one instrumentation."""
        runs = [
            (_scope(around.span), name, around.subagent)
            for around in self._ancestors(span.parent)
            if (name := agent_of(around.span.attributes or {})) is not None
        ]
        if not runs:
            return None
        scope, innermost, in_force = runs[0]
        outermost = next(name for known, name, _ in reversed(runs) if known == scope)
        return None if innermost == outermost else Delegate(innermost, in_force)

    def _is_enclosed(self, span: ReadableSpan) -> bool:
        """Whether a span of the same instrumentation is around it, so that it is a step of something larger."""
        parent = None if span.parent is None else span.parent.span_id
        return any(_scope(around.span) == _scope(span) for around in self._ancestors(parent))

    def _ancestors(self, parent: Hashable | None) -> Iterator[_Live]:
        """The spans of this process that are around, from the nearest."""
        for _ in range(_MOST_ANCESTORS):
            live = self._live.get(parent)
            if live is None:
                return
            yield live
            parent = None if live.span.parent is None else live.span.parent.span_id

    def _call_begins(self, call: LLMCall) -> None:
        """The agent records this call itself: neither the span around it nor one inside it may count it again."""
        if _recording.get():
            return
        with self._gauge.swallowing("llm"):
            self._call.set(weakref.ref(call))
            around = get_current_span().get_span_context()
            if around.is_valid:
                self._recorder.call_inside(around.trace_id, around.span_id)

    def _call_ends(self, call: LLMCall, usage: TokenUsage | None, seconds: float, failed: bool) -> None:
        """It is counted: a span that is neither around it nor inside it may still report it, too."""
        if _recording.get():
            return
        with self._gauge.swallowing("llm"):
            self._recorder.call_counted(_direct(call.model, seconds, failed, usage))

    def _tool_ends(self, tool: str, seconds: float, failed: bool) -> None:
        if _recording.get():
            return
        with self._gauge.swallowing("tool"):
            self._recorder.tool_counted(_direct(tool, seconds, failed))
            around = get_current_span().get_span_context()
            if around.is_valid:
                self._recorder.tool_inside(around.trace_id, around.span_id, tool)

    def _watch(self) -> None:
        self._stopped = threading.Event()
        threading.Thread(target=self._close_idle, name="agentgauge-otel", daemon=True).start()

    def _close_idle(self) -> None:
        while not self._stopped.wait(SWEEP_SECONDS):
            with self._gauge.swallowing("session"):
                self._conversations.close_idle()


def _direct(name: str, seconds: float, failed: bool, usage: TokenUsage | None = None) -> Reported:
    """A call that the agent records itself, and that ends now."""
    ended = time.time_ns()
    return Reported(DIRECT, name, ended - int(seconds * 1e9), ended, failed, usage)


def _scope(span: ReadableSpan) -> str:
    return span.instrumentation_scope.name if span.instrumentation_scope else ""


def _finished(span: ReadableSpan, *, enclosed: bool) -> FinishedSpan:
    attributes = span.attributes or {}
    exceptions = [event for event in span.events if event.name == "exception"]
    exception: Any = (exceptions[-1].attributes or {}).get(spellings.EXCEPTION) if exceptions else None
    return FinishedSpan(
        attributes={name: attributes[name] for name in spellings.ATTRIBUTES & attributes.keys()},
        started=span.start_time or 0,
        ended=span.end_time or 0,
        trace=span.context.trace_id,
        id=span.context.span_id,
        parent=None if span.parent is None else span.parent.span_id,
        failed=span.status.status_code is StatusCode.ERROR,
        exception=exception if isinstance(exception, str) else None,
        enclosed=enclosed,
        scope=_scope(span),
        events={event.name: event.timestamp for event in span.events if event.name in spellings.EVENTS},
        exemplar=exemplar_of(span.context),
    )
