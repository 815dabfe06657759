"""The control endpoint: what one process of an agent tells the people who operate it. It reads and never writes.

It is served beside ``/metrics`` by ``gauge.serve(…)``, or mounted in a server of yours. What people change goes through
the ledger instead, so that it reaches every process; see ``agentgauge.ops.operations``.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from time import monotonic
from typing import Any

from agentgauge.forks import in_forked_children
from agentgauge.http_guard import LOOPBACK, host_name
from agentgauge.live_set import LiveSet
from agentgauge.session import Session

PREFIX = "/control/"
MOST_SESSIONS = 1000
MOST_AT_ONCE = 8
"""Requests that are answered at a time; more get 503."""

CacheRows = Callable[[], Sequence[Mapping[str, Any]]]
Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
StartResponse = Callable[..., Any]


@dataclass(frozen=True)
class Reply:
    """A status, and what is sent as JSON."""

    status: HTTPStatus
    body: Any
    headers: Sequence[tuple[str, str]] = ()


class _RefusedError(Exception):
    """The request is not answered; the message says why."""

    def __init__(self, status: HTTPStatus, message: str, *headers: tuple[str, str]) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers


@dataclass(eq=False)
class Control:
    """What the endpoint answers, and to whom.

    ``cache`` gives the rows of the cache of tool results, one JSON object a tool, and may be called from any thread.
    Until the process is registered in the ledger there is no ``token``, and every request is refused. ``hosts`` are the
    names under which the process may be reached: a website whose name was made to lead here must not read through its
    reader's browser.
    """

    sessions: LiveSet[Session]
    cache: CacheRows | None = None
    token: str | None = None
    hosts: frozenset[str] = frozenset(LOOPBACK)
    _free: threading.BoundedSemaphore = field(init=False)

    def __post_init__(self) -> None:
        self._begin()
        in_forked_children(self._begin)

    def _begin(self) -> None:
        self._free = threading.BoundedSemaphore(MOST_AT_ONCE)

    def reply(self, method: str, path: str, headers: Mapping[str, str]) -> Reply:
        """Answer a request; ``path`` starts with PREFIX, the names of the headers are in lower case."""
        try:
            with self._one_of_few():
                self._check(method, headers)
                return Reply(HTTPStatus.OK, self._content(path.removeprefix(PREFIX)))
        except _RefusedError as error:
            return Reply(error.status, {"error": str(error)}, error.headers)

    def wsgi(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """The endpoint as a WSGI app."""
        headers = {"host": environ.get("HTTP_HOST", ""), "authorization": environ.get("HTTP_AUTHORIZATION", "")}
        reply = self.reply(environ["REQUEST_METHOD"], environ.get("PATH_INFO", ""), headers)
        body, fields = _encoded(reply)
        start_response(f"{reply.status.value} {reply.status.phrase}", fields)
        return [body]

    async def asgi(self, scope: Scope, receive: Callable[[], Awaitable[Any]], send: Send) -> None:
        """The endpoint as an ASGI app."""
        if scope["type"] != "http":
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        # In a thread: the rows of a cache may come from the loop that this runs on.
        reply = await asyncio.to_thread(self.reply, scope["method"], path, headers)
        body, fields = _encoded(reply)
        encoded = [(name.lower().encode(), value.encode()) for name, value in fields]
        await send({"type": "http.response.start", "status": reply.status.value, "headers": encoded})
        await send({"type": "http.response.body", "body": body})

    @contextmanager
    def _one_of_few(self) -> Iterator[None]:
        if not self._free.acquire(blocking=False):
            raise _RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, "too many requests at once; try again in a second")
        try:
            yield
        finally:
            self._free.release()

    def _check(self, method: str, headers: Mapping[str, str]) -> None:
        if host_name(headers.get("host", "")) not in self.hosts:
            raise _RefusedError(HTTPStatus.MISDIRECTED_REQUEST, "this agent is not registered under that host")
        expected = f"Bearer {self.token}".encode()
        given = headers.get("authorization", "").encode()
        if self.token is None or not hmac.compare_digest(given, expected):
            says = "a token derived from the agent's ledger is required; `agentgauge ops` brings it"
            raise _RefusedError(HTTPStatus.UNAUTHORIZED, says, ("WWW-Authenticate", 'Bearer realm="control"'))
        if method != "GET":
            raise _RefusedError(HTTPStatus.METHOD_NOT_ALLOWED, "this endpoint only reads", ("Allow", "GET"))

    def _content(self, what: str) -> Any:
        match what.split("/"):
            case ["sessions"]:
                return self._session_rows()
            case ["cache"]:
                return self._cache_rows()
        raise _RefusedError(HTTPStatus.NOT_FOUND, "there are sessions and cache")

    def _session_rows(self) -> list[dict[str, Any]]:
        now = monotonic()
        most_calls_first = sorted(self.sessions.all(), key=lambda session: -session.tool_calls)
        return [
            {
                "id": session.id,
                "age_seconds": round(now - session.opened_at, 1),
                "turns": session.turns,
                "tool_calls": session.tool_calls,
                "cost_usd": round(session.cost_usd, 4),
                "is_over_tool_calls": session.is_over_tool_calls,
            }
            for session in most_calls_first[:MOST_SESSIONS]
        ]

    def _cache_rows(self) -> list[dict[str, Any]]:
        if self.cache is None:
            raise _RefusedError(HTTPStatus.NOT_FOUND, "this agent runs without a cache of tool results")
        try:
            return [dict(row) for row in self.cache()]
        except Exception as error:
            says = f"the cache cannot be reached: {error or type(error).__name__}"
            raise _RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, says) from None


def _encoded(reply: Reply) -> tuple[bytes, list[tuple[str, str]]]:
    body = json.dumps(reply.body).encode()
    fixed = [("Content-Type", "application/json"), ("Content-Length", str(len(body))), ("Cache-Control", "no-store")]
    return body, [*fixed, *reply.headers]
