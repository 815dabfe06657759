"""Uvicorn as every server of the bundle runs it: few connections, and none that is held open without a request."""

from __future__ import annotations

import asyncio
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from agentgauge.http_guard import LARGEST_HEADERS

MOST_CONNECTIONS = 1000
"""One more gets 503."""
SECONDS_FOR_HEADERS = 10
"""In which a connection has to bring a whole request line and headers, from its start and after each answer."""


def config(app: Any, *, host: str = "127.0.0.1", port: int = 0) -> uvicorn.Config:
    """How an ASGI app is served."""
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        http=_PunctualH11,
        ws="none",
        log_level="warning",
        server_header=False,
        proxy_headers=False,  # uvicorn would take anybody's on this machine for a proxy's
        limit_concurrency=MOST_CONNECTIONS,
        h11_max_incomplete_event_size=LARGEST_HEADERS,
    )


def run(app: Any, host: str, port: int) -> None:
    """Serve an ASGI app until a signal ends it."""
    uvicorn.Server(config(app, host=host, port=port)).run()


class _PunctualH11(H11Protocol):
    """Uvicorn waits for ever for the first request of a connection, and for the end of one whose headers trickle in."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        super().connection_made(transport)
        self._await_headers()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._await_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        super().connection_lost(exc)

    def _await_headers(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = self.loop.call_later(SECONDS_FOR_HEADERS, self._close_without_request)

    def _close_without_request(self) -> None:
        if (self.cycle is None or self.cycle.response_complete) and not self.transport.is_closing():
            self.transport.close()
