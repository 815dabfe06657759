"""The OpenAI Agents SDK: model calls and tools of every run, through its tracing.

::

    agents.add_trace_processor(trace_processor(gauge))

The SDK's run hooks know neither the model that a run was told to use, nor that a call failed; its spans know both.
"""

from __future__ import annotations

import sys
from time import perf_counter
from typing import Any

from agents.tracing import Span, Trace, TracingProcessor
from agents.tracing.span_data import AgentSpanData, FunctionSpanData, GenerationSpanData, ResponseSpanData

from agentgauge.adapters._shared import Delegate, SeenTools, UnderWay, at_work, delegate, error_type_of
from agentgauge.adapters.openai import usage_of
from agentgauge.calls import LLMCall, record_tool_call
from agentgauge.gauge import AgentGauge

__all__ = ["trace_processor"]


def trace_processor(gauge: AgentGauge, *, model: str = "unknown") -> TracingProcessor:
    """The processor for ``agents.add_trace_processor`` or ``agents.set_trace_processors``.

    ``model`` is the name of the models whose spans do not tell it: those of the responses API if
    ``trace_include_sensitive_data`` is off.
    """
    return _Processor(gauge, model)


class _Processor(TracingProcessor):
    def __init__(self, gauge: AgentGauge, model: str) -> None:
        self._gauge = gauge
        self._model = model
        self._tools = SeenTools(gauge)
        self._calls: UnderWay[LLMCall] = UnderWay()
        self._tool_calls: UnderWay[float] = UnderWay()
        self._first_agents: UnderWay[str] = UnderWay()
        self._subagents: UnderWay[Delegate | None] = UnderWay()

    def on_span_start(self, span: Span[Any]) -> None:
        with self._gauge.swallowing("llm"):
            subagent = self._subagent_of(span)
            self._subagents.begin(span.span_id, subagent)
            if isinstance(span.span_data, GenerationSpanData | ResponseSpanData):
                model = getattr(span.span_data, "model", None) or self._model
                with at_work(self._gauge, subagent):
                    self._calls.begin(span.span_id, LLMCall(self._gauge, str(model)))
            elif isinstance(span.span_data, FunctionSpanData):
                self._tool_calls.begin(span.span_id, perf_counter())

    def on_span_end(self, span: Span[Any]) -> None:
        with self._gauge.swallowing("llm"):
            self._subagents.end(span.span_id)
            call = self._calls.end(span.span_id)
            if call is not None:
                self._end_call(call, span)
            started = self._tool_calls.end(span.span_id)
            if started is not None:
                name = self._tools.add(span.span_data.name)
                error_type = _error_type(span) or ("ToolError" if span.error else None)
                record_tool_call(self._gauge, name, perf_counter() - started, error_type, 0.0)

    def _subagent_of(self, span: Span[Any]) -> Delegate | None:
        """The agent at work, unless it is the one that the trace began with: one handed over to, or used as a tool."""
        if not isinstance(span.span_data, AgentSpanData):
            return self._subagents.get(span.parent_id)
        name = span.span_data.name
        first = self._first_agents.get(span.trace_id)
        if first is None:
            self._first_agents.begin(span.trace_id, name)
        return delegate(name) if first not in (None, name) else None

    def _end_call(self, call: LLMCall, span: Span[Any]) -> None:
        response = getattr(span.span_data, "response", None)
        usage = usage_of(response if response is not None else {"usage": span.span_data.usage})
        error_type = _error_type(span) or ("error" if span.error else None)
        if error_type is None:
            call.finish(usage, getattr(response, "model", None))
        else:
            call.fail(error_type, usage)

    def on_trace_start(self, trace: Trace) -> None:
        pass

    def on_trace_end(self, trace: Trace) -> None:
        self._first_agents.end(trace.trace_id)

    def shutdown(self) -> None:
        pass

    def force_flush(self) -> None:
        pass


def _error_type(span: Span[Any]) -> str | None:
    """The exception that ends the span: it is under way where the span ends, while the span keeps its text alone."""
    error = sys.exc_info()[1]
    return None if error is None or not span.error else error_type_of(error)
