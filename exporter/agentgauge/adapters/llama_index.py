"""LlamaIndex: model calls and tools of everything that runs in this process, through its instrumentation.

::

    watch(gauge)
"""

from __future__ import annotations

from collections.abc import Mapping
from time import perf_counter
from typing import Any

from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events import BaseEvent
from llama_index.core.instrumentation.events.exception import ExceptionEvent
from llama_index.core.instrumentation.events.llm import (
    LLMChatEndEvent,
    LLMChatInProgressEvent,
    LLMChatStartEvent,
    LLMCompletionEndEvent,
    LLMCompletionInProgressEvent,
    LLMCompletionStartEvent,
)
from llama_index.core.instrumentation.span import BaseSpan
from llama_index.core.instrumentation.span_handlers import BaseSpanHandler
from llama_index.core.tools import BaseTool
from llama_index_instrumentation import get_dispatcher
from pydantic import PrivateAttr

from agentgauge.adapters._shared import SeenTools, UnderWay, error_type_of
from agentgauge.calls import LLMCall, record_tool_call
from agentgauge.gauge import AgentGauge
from agentgauge.pricing import TokenUsage

__all__ = ["usage_of", "watch"]

_MOST_AROUND = 50


def watch(gauge: AgentGauge) -> None:
    """Watch all that LlamaIndex does in this process; to be called once."""
    runs = _Runs(gauge)
    dispatcher = get_dispatcher()
    dispatcher.add_span_handler(_Spans(runs))
    dispatcher.add_event_handler(_Events(runs))


def usage_of(raw: Any) -> TokenUsage | None:
    """The token kinds of a provider's own answer, made disjoint; None if it reports no usage in a form that is known.

    LlamaIndex hands on what the provider says: OpenAI and LiteLLM count what is cached within the prompt, Anthropic
    beside it.
    """
    usage = _field(raw, "usage")
    chat = _count(usage, "prompt_tokens")
    prompt = _count(usage, "input_tokens") if chat is None else chat
    if prompt is None:
        return None
    details = _field(usage, "input_tokens_details" if chat is None else "prompt_tokens_details")
    written_1h = _count(_field(usage, "cache_creation"), "ephemeral_1h_input_tokens") or 0
    if chat is None and details is None:
        read = _count(usage, "cache_read_input_tokens") or 0
        written = _count(usage, "cache_creation_input_tokens") or 0
    else:
        read = _count(details, "cached_tokens") or 0
        written = _count(details, "cache_write_tokens") or _count(details, "cache_creation_tokens") or 0
        prompt = max(0, prompt - read - written)
    return TokenUsage(
        input=prompt,
        cache_read=read,
        cache_write_5m=max(0, written - written_1h),
        cache_write_1h=written_1h,
        output=_count(usage, "output_tokens" if chat is None else "completion_tokens") or 0,
    )


def _field(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)


def _count(value: Any, name: str) -> int | None:
    count = _field(value, name)
    return count if isinstance(count, int) else None


class _Runs:
    """What is under way, by the id of its span."""

    def __init__(self, gauge: AgentGauge) -> None:
        self._gauge = gauge
        self._tools = SeenTools(gauge)
        self._around: UnderWay[str | None] = UnderWay()
        self._calls: UnderWay[LLMCall] = UnderWay()
        self._tool_calls: UnderWay[tuple[str, float]] = UnderWay()

    def begin(self, span: str, around: str | None, instance: Any) -> None:
        with self._gauge.swallowing("tool"):
            self._around.begin(span, around)
            if isinstance(instance, BaseTool) and span.partition("-")[0].endswith((".call", ".acall")):
                name = instance.metadata.get_name()
                outer = self._tool_calls.get(around)
                if outer is None or outer[0] != name:  # a tool's sync form may be inside its async one
                    self._tool_calls.begin(span, (self._tools.add(name), perf_counter()))

    def end(self, span: str, result: Any, error: BaseException | None) -> None:
        with self._gauge.swallowing("tool"):
            self._around.end(span)
            if error is not None:
                self.call_failed(span, error)
            begun = self._tool_calls.end(span)
            if begun is not None:
                name, started = begun
                failed = type(error).__name__ if error is not None else None
                if getattr(result, "is_error", False):
                    failed = "ToolError"
                record_tool_call(self._gauge, name, perf_counter() - started, failed, 0.0)

    def call_began(self, span: str, about: Mapping[str, Any]) -> None:
        """A model that is made of another one makes no calls itself: those around this one are none."""
        around = self._around.get(span)
        for _ in range(_MOST_AROUND):
            if around is None:
                break
            self._calls.end(around)
            around = self._around.get(around)
        model = about.get("model_name") or about.get("model") or "unknown"
        self._calls.begin(span, LLMCall(self._gauge, str(model)))

    def call_goes_on(self, span: str) -> None:
        call = self._calls.get(span)
        if call is not None:
            call.first_token()

    def call_ended(self, span: str, raw: Any) -> None:
        call = self._calls.end(span)
        if call is not None:
            answered = _field(raw, "model")
            call.finish(usage_of(raw), answered if isinstance(answered, str) else None)

    def call_failed(self, span: str, error: BaseException) -> None:
        call = self._calls.end(span)
        if call is not None:
            call.fail(error_type_of(error))

    def observe(self, event: BaseEvent) -> None:
        span = event.span_id
        if span is None:
            return
        with self._gauge.swallowing("llm"):
            if isinstance(event, LLMChatStartEvent | LLMCompletionStartEvent):
                self.call_began(span, event.model_dict)
            elif isinstance(event, LLMChatInProgressEvent | LLMCompletionInProgressEvent):
                self.call_goes_on(span)
            elif isinstance(event, LLMChatEndEvent | LLMCompletionEndEvent):
                self.call_ended(span, getattr(event.response, "raw", None))
            elif isinstance(event, ExceptionEvent):
                self.call_failed(span, event.exception)


class _Events(BaseEventHandler):
    _runs: _Runs = PrivateAttr()

    def __init__(self, runs: _Runs) -> None:
        super().__init__()
        self._runs = runs

    def handle(self, event: BaseEvent, **more: Any) -> None:
        self._runs.observe(event)


class _Spans(BaseSpanHandler[BaseSpan]):
    """Keeps no spans, only what is under way in them."""

    _runs: _Runs = PrivateAttr()

    def __init__(self, runs: _Runs) -> None:
        super().__init__()
        self._runs = runs

    def new_span(
        self,
        id_: str,
        bound_args: Any,
        instance: Any = None,
        parent_span_id: str | None = None,
        tags: Any = None,
        **more: Any,
    ) -> None:
        self._runs.begin(id_, parent_span_id, instance)

    def prepare_to_exit_span(
        self, id_: str, bound_args: Any, instance: Any = None, result: Any = None, **more: Any
    ) -> None:
        self._runs.end(id_, result, None)

    def prepare_to_drop_span(
        self, id_: str, bound_args: Any, instance: Any = None, err: BaseException | None = None, **more: Any
    ) -> None:
        self._runs.end(id_, None, err)
