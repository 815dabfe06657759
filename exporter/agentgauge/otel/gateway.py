"""The gateway: takes traces over OTLP/HTTP, and shows the metrics of the agents whose spans they are.

Every span counts by itself, so replicas need not see the same trace.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import json
import queue
import threading
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from agentgauge.endpoint import metrics_app
from agentgauge.http_guard import JSON, LOOPBACK, AsgiApp, RequestGuard, Scope
from agentgauge.otel.agents import Agents
from agentgauge.otel.payload import MOST_BYTES, MOST_SPANS, PayloadError, Received, TooLargeError, inflated, spans_of
from agentgauge.otel.recording import SWEEP_SECONDS
from agentgauge.vocabulary import Refusal

PROTOBUF = "application/x-protobuf"

MOST_WAITING = 50_000
"""Spans that wait to be counted: some seconds of work."""

SHORTEST_TOKEN = 16

RETRY_AFTER_SECONDS = 5


class GatewayError(Exception):
    """It cannot be started as it was told to."""


def check_exposure(host: str, token: str | None) -> None:
    """Raise GatewayError if others than this machine could send spans or read metrics without a token."""
    if token is not None:
        if len(token) < SHORTEST_TOKEN:
            raise GatewayError(f"the token has fewer than {SHORTEST_TOKEN} characters; make one: openssl rand -hex 32")
        return
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = host == "localhost"
    if not loopback:
        raise GatewayError(
            f"on {host}, others can reach the gateway: set AGENTGAUGE_GATEWAY_TOKEN to a secret that exporters and "
            "Prometheus send as `Authorization: Bearer …`, or leave it on 127.0.0.1"
        )


class Inbox:
    """Spans that wait to be counted by one thread; ``most`` of them, or one request that is larger."""

    def __init__(self, agents: Agents, most: int = MOST_WAITING) -> None:
        self._agents = agents
        self._most = most
        self._waiting = 0
        self._batches: queue.SimpleQueue[Sequence[Received] | threading.Event | None] = queue.SimpleQueue()
        self._lock = threading.RLock()  # not Lock: what is collected as garbage meanwhile may come here, too
        self._thread = threading.Thread(target=self._work, name="agentgauge-gateway", daemon=True)

    def start(self) -> None:
        """Begin to count."""
        self._thread.start()

    def put(self, spans: Sequence[Received]) -> bool:
        """Whether there was room for them."""
        with self._lock:
            if self._waiting and self._waiting + len(spans) > self._most:
                return False
            self._waiting += len(spans)
        self._batches.put(spans)
        return True

    def flush(self, seconds: float = 10) -> bool:
        """Wait until all is counted that was put so far; False if that took longer."""
        reached = threading.Event()
        self._batches.put(reached)
        return reached.wait(seconds)

    def close(self) -> None:
        """Count what waits, and end."""
        self._batches.put(None)
        self._thread.join()

    def _work(self) -> None:
        while True:
            try:
                batch = self._batches.get(timeout=SWEEP_SECONDS)
            except queue.Empty:
                self._agents.close_idle()
                continue
            if batch is None:
                return
            if isinstance(batch, threading.Event):
                batch.set()
                continue
            for span in batch:
                self._agents.record(span)
            with self._lock:
                self._waiting -= len(batch)


def gateway(agents: Agents, inbox: Inbox, registry: CollectorRegistry, token: str | None = None) -> Starlette:
    """The ASGI app: ``POST /v1/traces``, ``GET /metrics`` and ``GET /health``; with a token, the first two need it."""
    door = _Door(agents, inbox, registry, token)
    return Starlette(
        routes=[
            Route("/v1/traces", door.traces, methods=["POST"]),
            Route("/metrics", door.metrics, methods=["GET"]),
            Route("/health", door.health, methods=["GET"]),
        ],
        # Without a token it is for this machine alone: check_exposure sees to the address, this to names.
        middleware=[
            Middleware(
                RequestGuard,
                hosts=LOOPBACK if token is None else None,
                types=(PROTOBUF, JSON),
                answer=door.refused,
                largest=MOST_BYTES,
            )
        ],
        lifespan=door.open,
    )


class _Door:
    def __init__(self, agents: Agents, inbox: Inbox, registry: CollectorRegistry, token: str | None) -> None:
        self._agents = agents
        self._inbox = inbox
        self._metrics = metrics_app(registry)
        self._expected = None if token is None else f"Bearer {token}".encode()
        self._decoding = asyncio.Semaphore(1)  # a request takes many times its size while it is decoded

    @asynccontextmanager
    async def open(self, _app: Starlette) -> AsyncIterator[None]:
        self._inbox.start()
        yield
        await run_in_threadpool(self._inbox.close)
        self._agents.close()

    async def health(self, _request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def metrics(self, request: Request) -> Response:
        if not self._is_known(request):
            return PlainTextResponse("token required\n", 401, {"WWW-Authenticate": "Bearer"})
        asked = {"REQUEST_METHOD": "GET", "PATH_INFO": "/metrics", "QUERY_STRING": request.url.query}
        asked |= {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in request.headers.items()}
        answer: list[Any] = []

        def started(status: str, headers: list[tuple[str, str]], *_error: object) -> None:
            answer[:] = int(status.split()[0]), dict(headers)

        def scrape() -> bytes:
            pieces: Iterable[bytes] = self._metrics(asked, started)
            return b"".join(pieces)

        body = await run_in_threadpool(scrape)
        status, headers = answer
        return Response(body, status, headers)

    async def traces(self, request: Request) -> Response:
        kind = _content_type(request.scope)
        as_json = kind == JSON
        if not self._is_known(request):
            return self._refuse("unauthorized", 401, "the token is missing or wrong", as_json)
        if kind not in (PROTOBUF, JSON):  # the guard asks only those who send a body
            return self._refuse("unsupported", 415, f"send {PROTOBUF} or {JSON}", as_json)
        encoding = request.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in ("gzip", "identity"):
            return self._refuse("unsupported", 415, "send the body with gzip or as it is", as_json)
        try:
            body = await request.body()
            async with self._decoding:
                spans = await run_in_threadpool(_decoded, body, gzipped=encoding == "gzip", as_json=as_json)
        except TooLargeError:
            return self._refuse("too_large", 413, f"more than {MOST_BYTES} bytes, or {MOST_SPANS} spans", as_json)
        except PayloadError as error:
            return self._refuse("malformed", 400, str(error), as_json)
        except ClientDisconnect:
            return self._refuse("too_slow", 408, "the body did not arrive", as_json)
        if not self._inbox.put(spans):
            return self._refuse("busy", 503, "too many spans wait to be counted", as_json)
        return Response(b"{}" if as_json else b"", media_type=JSON if as_json else PROTOBUF)

    def refused(self, scope: Scope, status: HTTPStatus, reason: str) -> AsgiApp:
        """The answer to what the guard refuses."""
        return self._refuse(_REFUSALS[status], status, reason, _content_type(scope) == JSON)

    def _is_known(self, request: Request) -> bool:
        sent = request.headers.get("authorization", "").encode()
        return self._expected is None or hmac.compare_digest(sent, self._expected)

    def _refuse(self, reason: Refusal, status: int, message: str, as_json: bool) -> Response:
        self._agents.count_refused(reason)
        headers = {"Retry-After": str(RETRY_AFTER_SECONDS)} if status == 503 else {}
        if status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        body = (
            json.dumps({"code": _CODES[status], "message": message}).encode() if as_json else _status(status, message)
        )
        return Response(body, status, headers, JSON if as_json else PROTOBUF)


_REFUSALS: dict[int, Refusal] = {
    400: "malformed",
    403: "unauthorized",
    408: "too_slow",
    413: "too_large",
    415: "unsupported",
    431: "too_large",
    503: "busy",
}
_CODES = {400: 3, 401: 16, 403: 7, 408: 4, 413: 8, 415: 3, 431: 8, 503: 14}
"""HTTP status → the code of gRPC, which an error of OTLP has."""


def _status(status: int, message: str) -> bytes:
    """A ``google.rpc.Status`` in protobuf: the first field is a number, the second a text of fewer than 128 bytes."""
    text = message.encode()[:127]
    return bytes([0x08, _CODES[status], 0x12, len(text)]) + text


def _content_type(scope: Scope) -> str:
    return Headers(scope=scope).get("content-type", "").partition(";")[0].strip().lower()


def _decoded(body: bytes, *, gzipped: bool, as_json: bool) -> Sequence[Received]:
    return spans_of(inflated(body) if gzipped else body, as_json=as_json)
