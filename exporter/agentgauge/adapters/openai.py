"""Every call of the ``openai`` SDK: chat completions and responses, plain and streamed, once per HTTP attempt.

The SDK has no hook for its calls, but takes an HTTP client: these see each attempt, retries and raw responses included,
and the address that serves it, so that Azure, Groq and other providers that speak the protocol are priced as such::

    client = OpenAI(http_client=http_client(gauge))
    client = AsyncOpenAI(http_client=async_http_client(gauge))
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import httpx2
from openai import DefaultAsyncHttpxClient, DefaultHttpxClient

from agentgauge.body_tap import tap
from agentgauge.calls import LLMCall
from agentgauge.gauge import AgentGauge
from agentgauge.pricing import Terms, TokenUsage

__all__ = ["async_http_client", "http_client", "usage_of"]

PATHS = ("/chat/completions", "/responses")
_TERMS: dict[str, Terms] = {"batch": "batch", "flex": "flex", "priority": "priority", "fast": "priority"}


def http_client(gauge: AgentGauge, *, provider: str | None = None, **options: Any) -> httpx2.Client:
    """The client for ``OpenAI(http_client=…)`` and ``AzureOpenAI(http_client=…)``.

    ``provider`` is who serves the calls, where neither the address nor the model's name shows it. ``options`` are those
    of ``openai.DefaultHttpxClient``: ``proxy``, ``transport``, ``limits``.
    """
    return _Client(gauge, provider, **options)


def async_http_client(gauge: AgentGauge, *, provider: str | None = None, **options: Any) -> httpx2.AsyncClient:
    """The same for ``AsyncOpenAI`` and ``AsyncAzureOpenAI``."""
    return _AsyncClient(gauge, provider, **options)


def usage_of(response: Any, *, batch: bool = False) -> TokenUsage | None:
    """The token kinds of a response of either API, made disjoint; None if it does not report its usage.

    ``response`` is the SDK's object, or its JSON as a mapping: that is what a batch's file of results holds, a
    ``response.body`` a line. OpenAI counts what is cached within the prompt.
    """
    usage = _field(response, "usage")
    if usage is None:
        return None
    chat = _field(usage, "prompt_tokens") is not None
    prompt = _field(usage, "prompt_tokens" if chat else "input_tokens") or 0
    output = _field(usage, "completion_tokens" if chat else "output_tokens") or 0
    details = _field(usage, "prompt_tokens_details" if chat else "input_tokens_details")
    output_details = _field(usage, "completion_tokens_details" if chat else "output_tokens_details")
    read = _field(details, "cached_tokens") or 0
    written = _field(details, "cache_write_tokens") or 0
    return TokenUsage(
        input=max(0, prompt - read - written),
        cache_read=read,
        cache_write_5m=written,
        output=output,
        audio_input=_field(details, "audio_tokens") or 0,
        audio_output=_field(output_details, "audio_tokens") or 0,
        web_searches=sum(map(_is_search, _field(response, "output") or ())),
        terms="batch" if batch else _TERMS.get(_field(response, "service_tier") or "", "standard"),
    )


def _is_search(item: Any) -> bool:
    """Whether an item of a response's output is a search that is billed; opening a page is not."""
    action = _field(item, "action")
    return _field(item, "type") == "web_search_call" and (action is None or _field(action, "type") == "search")


def _field(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)


class _Client(DefaultHttpxClient):
    def __init__(self, gauge: AgentGauge, provider: str | None, **options: Any) -> None:
        super().__init__(**options)
        self._gauge = gauge
        self._served_by = provider

    def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        call = _start(self._gauge, self._served_by, request)
        if call is None:
            return super().send(request, **options)
        try:
            response = super().send(request, **options)
        except BaseException as error:
            call.fail(type(error).__name__)
            raise
        with self._gauge.swallowing("llm"):
            tap(self._gauge, response, _Answer(call, response.status_code))
        return response


class _AsyncClient(DefaultAsyncHttpxClient):
    def __init__(self, gauge: AgentGauge, provider: str | None, **options: Any) -> None:
        super().__init__(**options)
        self._gauge = gauge
        self._served_by = provider

    async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        call = _start(self._gauge, self._served_by, request)
        if call is None:
            return await super().send(request, **options)
        try:
            response = await super().send(request, **options)
        except BaseException as error:
            call.fail(type(error).__name__)
            raise
        with self._gauge.swallowing("llm"):
            tap(self._gauge, response, _Answer(call, response.status_code))
        return response


def _start(gauge: AgentGauge, provider: str | None, request: httpx2.Request) -> LLMCall | None:
    with gauge.swallowing("llm"):
        if request.method == "POST" and request.url.path.endswith(PATHS):
            body = json.loads(request.content)
            model = str(body.get("model", "unknown"))
            call = LLMCall(gauge, model, provider or gauge.prices.provider_at(str(request.url.copy_with(query=None))))
            asked = body.get("messages", body.get("input"))
            call.asked([{"role": "user", "content": asked}] if isinstance(asked, str) else asked)
            return call
    return None


class _Answer:
    """What a response says about its call, and its end."""

    def __init__(self, call: LLMCall, status: int) -> None:
        self._call = call
        self._status = status
        self._usage: TokenUsage | None = None
        self._model: str | None = None
        self._error: str | None = None

    def finish(self) -> None:
        """The answer ended, by itself or because its reader had enough."""
        if self._error or self._status >= 400:
            self._call.fail(self._error or f"http_{self._status}", self._usage)
        else:
            self._call.finish(self._usage, self._model)

    def fail(self, error: BaseException) -> None:
        """The answer broke off, or its reader was cancelled."""
        self._call.fail(type(error).__name__, self._usage)

    def whole(self, body: bytes) -> None:
        """A message, or what the provider says of an error."""
        if self._status < 400:
            message = json.loads(body)
            self._message(message)
            self._note_text(message)
            return
        try:
            self._error = _error_code(json.loads(body))
        except ValueError:  # a proxy's HTML page, say
            self._error = None

    def event(self, data: bytes) -> None:
        """An event of a chat completion is a part of a message; one of a response has a type, and may hold it all."""
        event = json.loads(data)
        kind = event.get("type", "")
        if event.get("error") or kind == "error":
            self._error = _error_code(event) or "error"
        elif isinstance(event.get("response"), Mapping):
            self._message(event["response"])
            if kind in ("response.completed", "response.incomplete"):
                self._note_text(event["response"])
            if kind == "response.failed":
                self._error = _error_code(event["response"]) or "error"
        elif kind.endswith(".delta") or event.get("choices"):
            self._call.first_token()
            for choice in event.get("choices") or ():
                self._call.said(_field(choice.get("delta"), "content"))
        if "choices" in event:
            self._message(event)

    def _note_text(self, message: Mapping[str, Any]) -> None:
        for choice in message.get("choices") or ():
            self._call.said(_field(choice.get("message"), "content"))
        for item in message.get("output") or ():
            for part in item.get("content") or ():
                self._call.said(_field(part, "text"))

    def _message(self, message: Mapping[str, Any]) -> None:
        self._model = message.get("model") or self._model
        usage = usage_of(message)
        if usage is not None:
            self._usage = usage


def _error_code(body: Mapping[str, Any]) -> str | None:
    error = body.get("error") or body
    if isinstance(error, Mapping):
        for code in (error.get("code"), error.get("type")):
            if isinstance(code, str) and code != "error":
                return code
    return None
