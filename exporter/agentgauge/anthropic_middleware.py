"""Every call of the ``anthropic`` SDK, through its official middleware hook: once per HTTP attempt, sync and async."""

from __future__ import annotations

import json
import weakref
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from functools import cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Self

from anthropic import AsyncStream, Middleware, Stream

from agentgauge.body_tap import tap
from agentgauge.calls import LLMCall
from agentgauge.pricing import Terms, TokenUsage
from agentgauge.telemetry import Telemetry

if TYPE_CHECKING:
    from anthropic import APIResponse, AsyncAPIResponse
    from anthropic._middleware import AsyncCallNext, CallNext
    from anthropic._request import APIRequest

MESSAGES_PATH = "/v1/messages"
RAW_RESPONSE_HEADER = "x-stainless-raw-response"
"""The SDK's mark on requests whose caller wants the response itself."""

CHARACTERS_PER_TOKEN = 4
"""About as long a token is, for the part of an answer that its reader had before it left."""

_TEXT_OF_DELTA = {"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "partial_json"}
"""Type of a piece of an answer → where its text is; other pieces, such as signatures, are not of the answer."""

_NOTHING = TokenUsage()

_PROVIDERS = {
    "AnthropicBedrock": "bedrock",
    "AnthropicBedrockMantle": "bedrock",
    "AnthropicFoundry": "azure",
    "AnthropicVertex": "vertex_ai",
}
"""Class of the client, without Async → who serves its calls. Importing the classes would load clients of clouds."""


class GaugeMiddleware(Middleware):
    """Counts calls, errors, latency, tokens and cost of the Messages API; other endpoints pass through.

    Each retry counts as an attempt. A stream is finished exactly once: on exhaustion, error, ``close()`` or when it
    is dropped.
    """

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry

    def handle(self, request: APIRequest, call_next: CallNext) -> APIResponse[Any]:
        """The sync client's hook."""
        call = self._start(request)
        if call is None:
            return call_next(request)
        try:
            response = call_next(request)
        except BaseException as error:
            call.fail(error_type_of(error))
            raise
        try:
            _note_provider(call, response)
            if not response.http_response.is_success:
                response.http_response.read()
                call.fail(_provider_error(response.http_response))
            elif _is_raw(request, response.http_response):
                tap(self._telemetry, response.http_response, _RawEvents(self._telemetry, call))
            else:
                _watch(self._telemetry, call, response.parse())
        except Exception as fault:
            self._telemetry.swallow("llm", fault)
        return response

    async def handle_async(self, request: APIRequest, call_next: AsyncCallNext) -> AsyncAPIResponse[Any]:
        """The async client's hook."""
        call = self._start(request)
        if call is None:
            return await call_next(request)
        try:
            response = await call_next(request)
        except BaseException as error:
            call.fail(error_type_of(error))
            raise
        try:
            _note_provider(call, response)
            if not response.http_response.is_success:
                await response.http_response.aread()
                call.fail(_provider_error(response.http_response))
            elif _is_raw(request, response.http_response):
                tap(self._telemetry, response.http_response, _RawEvents(self._telemetry, call))
            else:
                _watch(self._telemetry, call, await response.parse())
        except Exception as fault:
            self._telemetry.swallow("llm", fault)
        return response

    def _start(self, request: APIRequest) -> LLMCall | None:
        try:
            body = request.json
            if request.method.upper() != "POST" or request.url.partition("?")[0] != MESSAGES_PATH:
                return None
            if not isinstance(body, dict):
                return LLMCall(self._telemetry, "unknown")
            call = LLMCall(self._telemetry, str(body["model"]))
            call.asked(body.get("messages"))
            return call
        except Exception as fault:
            self._telemetry.swallow("llm", fault)
            return None


def _is_raw(request: APIRequest, response: Any) -> bool:
    """Whether the caller takes the bytes or the lines, ``with_streaming_response``: parsing would take them first.

    Bedrock's streams are in Amazon's own encoding, and are parsed all the same.
    """
    headers = request.headers
    if not any(headers[name] == "stream" for name in headers if name.lower() == RAW_RESPONSE_HEADER):
        return False
    kind: str = response.headers.get("content-type", "")
    return kind.startswith(("text/event-stream", "application/json"))


def _note_provider(call: LLMCall, response: object) -> None:
    # The hook is not told which client it serves; the response knows.
    client: type = type(getattr(response, "_client", None))
    provider = _provider_of(client)
    if provider is not None:
        call.served_by(provider)


@cache
def _provider_of(client: type) -> str | None:
    names = (kind.__name__.removeprefix("Async") for kind in client.__mro__)
    return next((_PROVIDERS[name] for name in names if name in _PROVIDERS), None)


def usage_of(usage: Any) -> TokenUsage:
    """The token kinds of the API's ``usage``, made disjoint; ``input_tokens`` there already excludes the cache.

    See ``inferred_besides`` for what these counts leave out.
    """
    written = getattr(usage, "cache_creation", None)
    total_written = getattr(usage, "cache_creation_input_tokens", None) or 0
    written_1h = getattr(written, "ephemeral_1h_input_tokens", None) or 0
    searches = getattr(getattr(usage, "server_tool_use", None), "web_search_requests", None) or 0
    return TokenUsage(
        input=getattr(usage, "input_tokens", None) or 0,
        cache_read=getattr(usage, "cache_read_input_tokens", None) or 0,
        cache_write_5m=max(0, total_written - written_1h),
        cache_write_1h=written_1h,
        output=getattr(usage, "output_tokens", None) or 0,
        web_searches=searches,
        terms=_terms_of(usage),
        in_one_country=getattr(usage, "inference_geo", None) == "us",
    )


def count_batch_result(telemetry: Telemetry, result: Any) -> None:
    """Count one result of a message batch; see ``AgentGauge.count_batch_result``."""
    with telemetry.swallowing("llm"):
        outcome = result.result
        if outcome.type == "succeeded":
            call = LLMCall(telemetry, outcome.message.model)
            _finish(call, outcome.message.usage, outcome.message.model)
        elif outcome.type == "errored":
            LLMCall(telemetry, "unknown").fail(outcome.error.error.type, TokenUsage(terms="batch"))


def inferred_besides(usage: Any) -> list[tuple[str | None, TokenUsage]]:
    """What the call had inferred that its own counts leave out, each billed as a call: model and tokens.

    The model is None for compacting the context, which the model itself does; advisors are other models.
    """
    # Most classes of the SDK have no such field: to ask for it takes longer than to look where it would be.
    fields, unknown = getattr(usage, "__dict__", {}), getattr(usage, "model_extra", None) or {}
    iterations = fields.get("iterations") or unknown.get("iterations")
    return [
        (str(one.model) if one.type == "advisor_message" else None, usage_of(one))
        for one in iterations or ()
        if one.type in ("advisor_message", "compaction")
    ]


def _terms_of(usage: Any) -> Terms:
    if getattr(usage, "service_tier", None) == "batch":
        return "batch"
    return "fast" if getattr(usage, "speed", None) == "fast" else "standard"


def error_type_of(error: BaseException) -> str:
    """The provider's error code if the error carries one, else the exception's class."""
    body = getattr(error, "body", None)
    return _error_code(body) or type(error).__name__


def _provider_error(response: Any) -> str:
    try:
        code = _error_code(response.json())
    except ValueError:  # a proxy's HTML page, say
        code = None
    return code or f"http_{response.status_code}"


def _error_code(body: object) -> str | None:
    error = body.get("error") if isinstance(body, dict) else None
    code = error.get("type") if isinstance(error, dict) else None
    return code if isinstance(code, str) else None


def _watch(telemetry: Telemetry, call: LLMCall, result: object) -> None:
    """Finish the call with the message's usage, or when its stream ends."""
    if isinstance(result, Stream):
        noted = _StreamEvents(telemetry, call)
        _tap(result, _noting(noted, result._iterator), _closing_sync(noted, weakref.ref(result)))
    elif isinstance(result, AsyncStream):
        noted = _StreamEvents(telemetry, call)
        _tap(result, _NotingAsync(noted, result._iterator), _closing_async(noted, weakref.ref(result)))
    else:
        _note_text(call, result)
        _finish(call, getattr(result, "usage", None), getattr(result, "model", None))


def _noting(noted: _StreamEvents, events: Iterator[Any]) -> Iterator[Any]:
    """The same events. One that is closed or dropped, perhaps before it began, is finished by ``noted`` itself."""
    observe = noted.observe
    try:
        for event in events:
            observe(event)
            yield event
    except GeneratorExit:
        raise
    except BaseException as error:
        noted.fail(error)
        raise
    noted.finish()


class _NotingAsync:
    """The same of an async stream. No generator: a loop would finish one that is dropped only later."""

    def __init__(self, noted: _StreamEvents, events: AsyncIterator[Any]) -> None:
        self._noted = noted
        self._events = events

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        try:
            event = await anext(self._events)
        except StopAsyncIteration:
            self._noted.finish()
            raise
        except BaseException as error:
            self._noted.fail(error)
            raise
        self._noted.observe(event)
        return event


def _note_text(call: LLMCall, message: object) -> None:
    if not call.keeps_what_is_said:
        return
    content = getattr(message, "content", None)
    for block in content if isinstance(content, list) else ():
        call.said(getattr(block, "text", None))


def _finish(call: LLMCall, usage: Any, model: str | None) -> None:
    call.also_used(inferred_besides(usage))
    call.finish(usage_of(usage), model)


def _tap(stream: object, events: object, close: object) -> None:
    # The SDK returns this very object to the caller, so it is tapped in place. Set on the instance: the iterator is
    # a cached property, and close() is how MessageStream and `with` end a stream that was not read to its end.
    stream.__dict__["_iterator"] = events
    stream.__dict__["close"] = close


def _closing_sync(events: _StreamEvents, stream: weakref.ref[Stream[Any]]) -> Any:
    def close() -> None:
        events.finish()
        if (alive := stream()) is not None:
            type(alive).close(alive)

    return close


def _closing_async(events: _StreamEvents, stream: weakref.ref[AsyncStream[Any]]) -> Any:
    async def close() -> None:
        events.finish()
        if (alive := stream()) is not None:
            await type(alive).close(alive)

    return close


class _StreamEvents:
    """What a stream of events says about its call, and its end."""

    def __init__(self, telemetry: Telemetry, call: LLMCall) -> None:
        self._telemetry = telemetry
        self._call = call
        self._usage = _NOTHING
        self._model: str | None = None
        self._has_begun = False
        self._keeps_text = call.keeps_what_is_said
        self._characters = 0  # of the answer so far, while its tokens are not reported

    def __del__(self) -> None:
        # A stream that was dropped unread or half-read has nobody else to finish it.
        self.finish()

    def finish(self) -> None:
        """The stream ended, by itself or because its reader had enough."""
        self._call.finish(self._used(), self._model)

    def observe(self, event: Any) -> None:
        """Note what this event says; never raises."""
        try:
            kind = event.type
            if kind == "content_block_delta":
                if not self._has_begun:
                    self._begin()
                delta = event.delta
                # By its type: to ask a model of the SDK for a field that it has not takes longer than all else here.
                field = _TEXT_OF_DELTA.get(delta.type)
                if field is not None:
                    text = getattr(delta, field, None) or ""
                    self._characters += len(text)
                    if self._keeps_text and field == "text":
                        self._call.said(text)
            elif kind == "content_block_start":
                self._begin()
            elif kind == "message_start":
                self._model = event.message.model
                self._usage = usage_of(event.message.usage)
            elif kind == "message_delta":
                self._usage = _with_final_counts(self._usage, event.usage)
                self._characters = 0
                self._call.also_used(inferred_besides(event.usage))
        except Exception as fault:
            self._telemetry.swallow("llm", fault)

    def _begin(self) -> None:
        self._has_begun = True
        self._call.first_token()

    def fail(self, error: BaseException) -> None:
        """The stream broke, or its reader was cancelled."""
        self._call.fail(error_type_of(error), self._usage)

    def _used(self) -> TokenUsage:
        """What was reported; of an answer that was left, the tokens that had come, by their usual length."""
        if not self._characters:
            return self._usage
        return replace(self._usage, output=max(self._usage.output, self._characters // CHARACTERS_PER_TOKEN))


class _RawEvents(_StreamEvents):
    """The same, of a response whose bytes or lines the caller takes as they are."""

    def __init__(self, telemetry: Telemetry, call: LLMCall) -> None:
        super().__init__(telemetry, call)
        self._error: str | None = None

    def event(self, data: bytes) -> None:
        """The data of an event, as JSON."""
        event = json.loads(data, object_hook=_attributes)
        if event.type == "error":
            self._error = event.error.type
        self.observe(event)

    def whole(self, body: bytes) -> None:
        """A message that is not streamed."""
        message = json.loads(body, object_hook=_attributes)
        _note_text(self._call, message)
        _finish(self._call, message.usage, message.model)

    def finish(self) -> None:
        """The stream ended; an error in it does not raise here."""
        if self._error:
            self._call.fail(self._error, self._usage)
        else:
            super().finish()


def _attributes(fields: dict[str, Any]) -> SimpleNamespace:
    return SimpleNamespace(**fields)


def _with_final_counts(started: TokenUsage, delta: Any) -> TokenUsage:
    """``message_delta`` holds cumulative counts; fields it leaves out keep what ``message_start`` said."""
    before = started.cache_write_5m + started.cache_write_1h
    # It gives cache writes as one number: growth is of the kind that the start had.
    written = getattr(delta, "cache_creation_input_tokens", None) or before
    written_1h = written if started.cache_write_1h and not started.cache_write_5m else started.cache_write_1h
    searches = getattr(getattr(delta, "server_tool_use", None), "web_search_requests", None)
    return TokenUsage(
        input=getattr(delta, "input_tokens", None) or started.input,
        cache_read=getattr(delta, "cache_read_input_tokens", None) or started.cache_read,
        cache_write_5m=max(0, written - written_1h),
        cache_write_1h=written_1h,
        output=getattr(delta, "output_tokens", None) or started.output,
        web_searches=searches or started.web_searches,
        terms=started.terms,
        in_one_country=started.in_one_country,
    )
