"""MCP: the tools that an agent calls on other programs, and the tools of a server of your own.

::

    async with connected(gauge, Client("https://orders.example/mcp"), "orders") as client:
        result = await call_tool(gauge, client, "find_order", {"number": "A-1001"})

    server = MCPServer("orders", middleware=[server_middleware(gauge)])
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from time import perf_counter
from typing import Any

from mcp import Client, ClientSession, MCPError
from mcp.server.context import ServerMiddleware
from mcp.types import CONNECTION_CLOSED, REQUEST_TIMEOUT, CallToolResult, EmptyResult, PingRequest

from agentgauge import metrics
from agentgauge.adapters._shared import SeenTools
from agentgauge.calls import record_tool_call
from agentgauge.gauge import AgentGauge

__all__ = ["call_tool", "connected", "server_middleware"]

_CALL = "tools/call"
_TOOL_ERROR = "tool_error"
_PING_TIMEOUT = 10.0
_OWN_CODES = {CONNECTION_CLOSED: "connection_closed", REQUEST_TIMEOUT: "timeout"}
"""What the client itself says of a server that does not answer."""


@asynccontextmanager
async def connected(
    gauge: AgentGauge, client: Client, server: str, *, ping_seconds: float = 30
) -> AsyncIterator[Client]:
    """``async with client:``, watched: that it connects, what it asks and whether the server is still there.

    ``server`` is one of ``AgentGauge(mcp_servers=[…])``. The server is asked every ``ping_seconds`` for a sign of life,
    so that one that died is told from one that nobody asked. Tools are counted by ``call_tool``. Needs asyncio.
    """
    watch = _Server(gauge, server)
    await watch.counted("initialize", client.__aenter__)
    async with AsyncExitStack() as stack:
        stack.push_async_exit(client)
        stack.callback(watch.session_ended, perf_counter())
        # The SDK has no hook on its requests: the one method that they all go through is tapped in place.
        watch.tap(client.session)
        pings = asyncio.create_task(watch.ping(client, ping_seconds))
        try:
            yield client
        finally:
            pings.cancel()


async def call_tool(
    gauge: AgentGauge, client: Client | ClientSession, name: str, arguments: dict[str, Any] | None = None, **more: Any
) -> CallToolResult:
    """``client.call_tool(name, arguments, …)``, counted; its answer and its exceptions are the client's.

    A name that no server has yet answered without an error counts as ``other``, unless it was registered: it may be one
    that a model made up.
    """
    watch = _Watch(gauge)

    async def call() -> CallToolResult:
        result: CallToolResult = await client.call_tool(name, arguments, **more)
        return result

    return await watch.counted(name, call)


def server_middleware(gauge: AgentGauge) -> ServerMiddleware[Any]:
    """The middleware for ``MCPServer(middleware=[…])`` and ``Server.middleware``: what clients ask, and each tool."""
    watch = _Watch(gauge)

    async def handle(ctx: Any, call_next: Callable[[Any], Awaitable[Any]]) -> Any:
        if ctx.request_id is None:  # a notification, which has no answer
            return await call_next(ctx)
        with _served(gauge, ctx.method) as failed:
            if ctx.method == _CALL:
                name = (ctx.params or {}).get("name")
                answer = await watch.counted(str(name), lambda: call_next(ctx))
            else:
                answer = await call_next(ctx)
            if _is_error(answer):
                failed.append(_TOOL_ERROR)
        return answer

    return handle


@contextmanager
def _served(gauge: AgentGauge, method: str) -> Iterator[list[str]]:
    """Times what a client asks; put into the list what failed, unless that is an exception."""
    failed: list[str] = []
    started = perf_counter()
    try:
        yield failed
    except BaseException as error:
        failed.append(str(error.code) if isinstance(error, MCPError) else type(error).__name__)
        raise
    finally:
        with gauge.swallowing("tool"):
            error_type = failed[0] if failed else ""
            gauge.instruments.histogram(metrics.MCP_SERVED, method, error_type).observe(perf_counter() - started)


class _Server:
    """What is asked of one server."""

    def __init__(self, gauge: AgentGauge, server: str) -> None:
        self._gauge = gauge
        self._server = server

    async def counted(self, method: str, ask: Callable[[], Awaitable[Any]]) -> Any:
        with self._gauge.mcp_operation(self._server, method) as operation:
            try:
                answer = await ask()
            except MCPError as error:
                operation.fail(_OWN_CODES.get(error.code, str(error.code)))
                raise
            if _is_error(answer):
                operation.fail(_TOOL_ERROR)
        return answer

    def session_ended(self, began: float) -> None:
        with self._gauge.swallowing("tool"):
            duration = self._gauge.instruments.histogram(metrics.MCP_SESSION, self._server)
            duration.observe(perf_counter() - began)

    def tap(self, session: ClientSession) -> None:
        send = session.send_request

        async def send_request(request: Any, *arguments: Any, **named: Any) -> Any:
            return await self.counted(request.method, lambda: send(request, *arguments, **named))

        session.__dict__["send_request"] = send_request

    async def ping(self, client: Client, seconds: float) -> None:
        while True:
            await asyncio.sleep(seconds)
            with suppress(Exception):  # it is counted: the server is down
                await self._ask_for_a_sign_of_life(client)

    async def _ask_for_a_sign_of_life(self, client: Client) -> None:
        session, version = client.session, client.protocol_version
        if session.discover_result is None:
            await session.send_request(PingRequest(), EmptyResult, request_read_timeout_seconds=_PING_TIMEOUT)
        else:  # protocols since 2026-07-28 have no ping
            await self.counted("server/discover", lambda: session.send_discover(version))


class _Watch:
    def __init__(self, gauge: AgentGauge) -> None:
        self._gauge = gauge
        self._tools = SeenTools(gauge)

    async def counted(self, name: str, call: Callable[[], Awaitable[Any]]) -> Any:
        started = perf_counter()
        try:
            result = await call()
        except BaseException as error:
            record_tool_call(self._gauge, name, perf_counter() - started, type(error).__name__, 0.0)
            raise
        seconds = perf_counter() - started
        with self._gauge.swallowing("tool"):
            failed = _is_error(result)
            if not failed:
                self._tools.add(name)
            record_tool_call(self._gauge, name, seconds, "ToolError" if failed else None, 0.0)
        return result


def _is_error(result: Any) -> bool:
    """A server says in the answer that a tool failed: on the way out as JSON, and at the client as an object."""
    is_error = result.get("isError") if isinstance(result, Mapping) else getattr(result, "is_error", None)
    return bool(is_error)
