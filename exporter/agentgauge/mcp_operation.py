"""One request to an MCP server, whatever client makes it; OpenTelemetry calls it ``mcp.client.operation.duration``."""

from __future__ import annotations

from time import perf_counter
from types import TracebackType
from typing import Self

from agentgauge import metrics
from agentgauge.boundary import elapsed
from agentgauge.telemetry import Telemetry

CONNECTING = "initialize"
TELLS_WHETHER_IT_IS_UP = (CONNECTING, "ping", "server/discover")
"""What a server answers as long as it works, whatever is wrong with its tools."""

CANCELLED = "CancelledError"
"""The caller gave up: that says nothing about the server."""


class MCPOperation:
    """A request that is under way: ``with gauge.mcp_operation("orders", "tools/call") as operation:``.

    An exception that leaves it is a failure, named by its class unless ``fail`` said otherwise; it passes through.
    """

    def __init__(self, telemetry: Telemetry, server: str, method: str) -> None:
        self._telemetry = telemetry
        self._server = server
        self._method = method
        self._error_type = ""
        self._started = perf_counter()

    def __enter__(self) -> Self:
        self._started = perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        seconds = elapsed(self._started, perf_counter())
        if kind is not None and not self._error_type:
            self._error_type = kind.__name__
        with self._telemetry.swallowing("tool"):
            self._record(seconds)

    def fail(self, error_type: str) -> None:
        """Name the failure: ``tool_error`` if a tool answered with an error, else the code of the protocol, say."""
        self._error_type = error_type

    def _record(self, seconds: float) -> None:
        instruments = self._telemetry.instruments
        failed = self._error_type
        instruments.histogram(metrics.MCP_DURATION, self._server, self._method, failed).observe(seconds)
        if failed and self._method == CONNECTING:
            instruments.counter(metrics.MCP_INIT_FAILURES, self._server).inc()
        if self._method in TELLS_WHETHER_IT_IS_UP and failed != CANCELLED:
            instruments.gauge(metrics.MCP_SERVER_UP, self._server).set(0 if failed else 1)
