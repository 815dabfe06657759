"""The HTTP side: POST /v1/messages as JSON or as a stream of events, and the API's errors."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from uuid import uuid4

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from agentgauge.http_guard import JSON, LOOPBACK, AsgiApp, RequestGuard, Scope, decoded_json
from sample_agent.fake_api.events import Message, encode, events_of
from sample_agent.fake_api.model import begins_a_turn, reply
from sample_agent.fake_api.schema import ApiError, check, invalid
from sample_agent.fake_api.usage import InputUsage, PromptCache, output_tokens
from sample_agent.faults import Behaviour, FaultFile, ModelFault

KEY_PREFIX = "fake-"
HOSTS = (*LOOPBACK, "fake-api")
"""The names that it is asked by: on loopback, and by the agent in the Compose network."""
RETRY_AFTER_SECONDS = 1
USUAL_SECONDS = (0.15, 0.9)
FIRST_CHUNK_AT = 0.4
BROKEN_STREAM_SHARE = 0.25
CHOOSY_EVERY = 5

PROVIDER_ERRORS = {
    404: ("not_found_error", "The requested resource could not be found."),
    429: ("rate_limit_error", "This request would exceed your organization's rate limit."),
    500: ("api_error", "Internal server error"),
    529: ("overloaded_error", "Overloaded"),
}
HTTP_ERROR_TYPES = {404: "not_found_error", 405: "invalid_request_error", 413: "request_too_large"}


def create_app(
    faults: FaultFile, *, latency: float = 1.0, seed: int = 0, clock: Callable[[], float] = time.monotonic
) -> Starlette:
    """Return the server; `latency` scales the usual time of an answer, 0 answers at once.

    `seed` fixes the times and which streams break off. A `slow-model` fault takes its time whatever `latency` is.
    The prompt cache expires by `clock`, in seconds.
    """
    api = _Api(faults, latency, random.Random(seed), PromptCache(clock))  # noqa: S311 - nothing secret is drawn
    return Starlette(
        routes=[
            Route("/v1/messages", api.messages, methods=["POST"]),
            Route("/health", health),
        ],
        middleware=[Middleware(RequestGuard, hosts=HOSTS, types=(JSON,), answer=_refused)],
        exception_handlers={ApiError: on_api_error, HTTPException: on_http_error, Exception: on_crash},
    )


async def health(_: HttpRequest) -> Response:
    """Answer 200 as soon as the server listens."""
    return JSONResponse({"status": "ok"})


@dataclass(frozen=True)
class _Api:
    faults: FaultFile
    latency: float
    rng: random.Random
    cache: PromptCache
    turns: Iterator[int] = field(default_factory=itertools.count)

    async def messages(self, http: HttpRequest) -> Response:
        _check_key(http)
        request = check(await _body(http))
        fault = self.faults.model_fault()
        streaming = bool(request.get("stream"))
        breaks_off = streaming and fault.http_status == 529 and self.rng.random() < BROKEN_STREAM_SHARE
        if fault.http_status and not breaks_off:
            raise _provider_error(fault.http_status)
        message = self._message(request, fault)
        seconds = answer_seconds(fault, self.latency, self.rng)
        headers = {"request-id": _request_id()}
        if streaming:
            events = _paced(list(events_of(message)), seconds, breaks_off)
            return StreamingResponse(events, media_type="text/event-stream", headers=headers)
        await asyncio.sleep(seconds)
        return JSONResponse(message, headers=headers)

    def _behaviour(self, request: dict[str, Any], fault: ModelFault) -> Behaviour | None:
        """How the model misbehaves in this answer: a choosy one declines now and then, as evenly as can be."""
        if fault.behaviour != "choosy" or not begins_a_turn(request):
            return fault.behaviour
        return "declining" if next(self.turns) % CHOOSY_EVERY == 0 else None

    def _message(self, request: dict[str, Any], fault: ModelFault) -> Message:
        planned = reply(request, self._behaviour(request, fault))
        content: list[dict[str, Any]] = [{"type": "text", "text": planned.text}] if planned.text else []
        content += [
            {"type": "tool_use", "id": f"toolu_{uuid4().hex}", "name": use.name, "input": use.input}
            for use in planned.tool_uses
        ]
        tokens = output_tokens(planned.text, [json.dumps(use.input) for use in planned.tool_uses])
        used = (PromptCache() if fault.cold_cache else self.cache).account(request).as_api(tokens)
        return {
            "id": f"msg_{uuid4().hex}",
            "type": "message",
            "role": "assistant",
            "model": request["model"],
            "content": content,
            "stop_reason": planned.stop_reason,
            "stop_sequence": None,
            "usage": InputUsage(0).as_api(0) if fault.usage_lost else used,
        }


def answer_seconds(fault: ModelFault, latency: float, rng: random.Random) -> float:
    """Return how long an answer takes: the usual time scaled by `latency`, or what a fault says."""
    if fault.slow_seconds is not None:
        return fault.slow_seconds
    return rng.uniform(*USUAL_SECONDS) * latency


async def _paced(events: list[dict[str, Any]], seconds: float, breaks_off: bool) -> AsyncIterator[bytes]:
    """Yield the events over `seconds`, the first after 40 % of them; or break off half-way with an error event."""
    await asyncio.sleep(seconds * FIRST_CHUNK_AT)
    pause = seconds * (1 - FIRST_CHUNK_AT) / len(events)
    for event in events[: len(events) // 2] if breaks_off else events:
        yield encode(event)
        await asyncio.sleep(pause)
    if breaks_off:
        yield encode(_error_body(_provider_error(529)))


def _check_key(http: HttpRequest) -> None:
    """Accept the key in either header: the SDK sends it as a bearer token, other clients as x-api-key."""
    bearer = http.headers.get("authorization", "").removeprefix("Bearer ")
    key = http.headers.get("x-api-key") or bearer
    if not key:
        raise ApiError(401, "authentication_error", "x-api-key header is required")
    if not key.startswith(KEY_PREFIX):
        raise ApiError(401, "authentication_error", "invalid x-api-key")


async def _body(http: HttpRequest) -> Any:
    if "anthropic-version" not in http.headers:
        raise invalid("anthropic-version: header is required")
    try:
        return decoded_json(await http.body())
    except ValueError as error:
        raise invalid(f"The request body cannot be used: {error}") from None


def _refused(_scope: Scope, status: HTTPStatus, reason: str) -> AsgiApp:
    return _error(ApiError(status, HTTP_ERROR_TYPES.get(status, "invalid_request_error"), reason))


async def on_api_error(_: HttpRequest, error: Exception) -> Response:
    """Answer with the API's error body; a rate limit says when to come back."""
    assert isinstance(error, ApiError)  # noqa: S101 - Starlette calls it for nothing else
    return _error(error)


def _error(error: ApiError) -> Response:
    request_id = _request_id()
    headers = {"request-id": request_id}
    if error.status == 429:
        headers["retry-after"] = str(RETRY_AFTER_SECONDS)
    return JSONResponse({**_error_body(error), "request_id": request_id}, error.status, headers)


async def on_http_error(http: HttpRequest, error: Exception) -> Response:
    """Answer an unknown path or method the way the API does."""
    assert isinstance(error, HTTPException)  # noqa: S101 - Starlette calls it for nothing else
    error_type = HTTP_ERROR_TYPES.get(error.status_code, "invalid_request_error")
    return await on_api_error(http, ApiError(error.status_code, error_type, error.detail))


async def on_crash(http: HttpRequest, _: Exception) -> Response:
    """Answer a defect of this server with 500 in the API's shape; the traceback goes to the server's log."""
    return await on_api_error(http, _provider_error(500))


def _provider_error(status: int) -> ApiError:
    return ApiError(status, *PROVIDER_ERRORS[status])


def _error_body(error: ApiError) -> dict[str, Any]:
    return {"type": "error", "error": {"type": error.error_type, "message": error.message}}


def _request_id() -> str:
    return f"req_{uuid4().hex}"
