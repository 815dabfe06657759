"""LiteLLM: calls of any provider, through its callbacks.

::

    litellm.callbacks = [callback(gauge)]

LiteLLM reports a call a moment after its answer, on a thread or a task of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from litellm.integrations.custom_logger import CustomLogger

from agentgauge.adapters._shared import UnderWay
from agentgauge.calls import LLMCall
from agentgauge.gauge import AgentGauge
from agentgauge.pricing import Terms, TokenUsage

__all__ = ["callback", "usage_of"]

_ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
    529: "overloaded_error",
}
"""HTTP status → the code that providers have for it: LiteLLM's exceptions do not tell the provider's own."""

_TERMS: dict[str, Terms] = {"batch": "batch", "flex": "flex"}


def callback(gauge: AgentGauge) -> CustomLogger:
    """The callback for ``litellm.callbacks``: one for the process, of one agent."""
    return _Callback(gauge)


def usage_of(response: Any) -> TokenUsage | None:
    """The token kinds of a response of LiteLLM, made disjoint; None if it does not report its usage.

    Whoever the provider is, LiteLLM counts what is cached within the prompt, and the writes that last for an hour
    within the writes.
    """
    usage = getattr(response, "usage", None)
    if usage is None:
        return None
    if hasattr(usage, "input_tokens"):  # of the responses API, while its stream is under way
        prompt, output, details = usage.input_tokens, usage.output_tokens, usage.input_tokens_details
    else:
        prompt, output, details = usage.prompt_tokens, usage.completion_tokens, usage.prompt_tokens_details
    read = _of(details, "cached_tokens")
    written = _of(details, "cache_write_tokens") or _of(details, "cache_creation_tokens")
    written_1h = _of(getattr(details, "cache_creation_token_details", None), "ephemeral_1h_input_tokens")
    tier = getattr(usage, "service_tier", None) or getattr(response, "service_tier", None)
    terms: Terms = "fast" if getattr(usage, "speed", None) == "fast" else _TERMS.get(str(tier), "standard")
    if tier == "priority" and getattr(usage, "inference_geo", None) is None:
        terms = "priority"  # of OpenAI; Anthropic's is paid for by commitment
    return TokenUsage(
        input=max(0, prompt - read - written),
        cache_read=read,
        cache_write_5m=max(0, written - written_1h),
        cache_write_1h=written_1h,
        output=output,
        audio_input=_of(details, "audio_tokens"),
        audio_output=_of(getattr(usage, "completion_tokens_details", None), "audio_tokens"),
        web_searches=_of(getattr(usage, "server_tool_use", None), "web_search_requests"),
        terms=terms,
        in_one_country=getattr(usage, "inference_geo", None) == "us",
    )


def _of(details: Any, name: str) -> int:
    return getattr(details, name, None) or 0


class _Callback(CustomLogger):
    def __init__(self, gauge: AgentGauge) -> None:
        super().__init__()
        self._gauge = gauge
        self._calls: UnderWay[LLMCall] = UnderWay()

    def log_pre_api_call(self, model: Any, messages: Any, kwargs: Any) -> None:
        """The one callback that comes where the call is made, so that it is known whose it is."""
        with self._gauge.swallowing("llm"):
            call = LLMCall(self._gauge, str(kwargs.get("model") or model), kwargs.get("custom_llm_provider"))
            self._calls.begin(kwargs.get("litellm_call_id"), call)

    def log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        self._succeeded(kwargs, response_obj, start_time, end_time)

    async def async_log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        self._succeeded(kwargs, response_obj, start_time, end_time)

    def log_failure_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        self._failed(kwargs, start_time, end_time)

    async def async_log_failure_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        self._failed(kwargs, start_time, end_time)

    def _succeeded(self, kwargs: Mapping[str, Any], response: Any, started: datetime, ended: datetime) -> None:
        with self._gauge.swallowing("llm"):
            call = self._calls.end(kwargs.get("litellm_call_id"))
            if call is None:
                return
            first = kwargs.get("completion_start_time") if kwargs.get("stream") else None
            call.took(
                (ended - started).total_seconds(), (first - started).total_seconds() if first is not None else None
            )
            call.finish(usage_of(response), getattr(response, "model", None))

    def _failed(self, kwargs: Mapping[str, Any], started: datetime, ended: datetime) -> None:
        with self._gauge.swallowing("llm"):
            call = self._calls.end(kwargs.get("litellm_call_id"))
            if call is None:
                return
            call.took((ended - started).total_seconds())
            error = kwargs.get("exception")
            status = getattr(error, "status_code", None)
            call.fail(_ERROR_TYPES.get(status or 0, type(error).__name__))
