"""MCP: the tools that an agent calls on other programs, and the tools of a server of your own.

::

    result = await call_tool(gauge, client, "find_order", {"number": "A-1001"})

    server = MCPServer("orders", middleware=[server_middleware(gauge)])
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from time import perf_counter
from typing import Any

from mcp import Client, ClientSession
from mcp.server.context import ServerMiddleware
from mcp.types import CallToolResult

from agentgauge.adapters._shared import SeenTools
from agentgauge.calls import record_tool_call
from agentgauge.gauge import AgentGauge

__all__ = ["call_tool", "server_middleware"]

_CALL = "tools/call"


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
    """The middleware for ``MCPServer(middleware=[…])`` and ``Server.middleware``: each tool that clients call."""
    watch = _Watch(gauge)

    async def handle(ctx: Any, call_next: Callable[[Any], Awaitable[Any]]) -> Any:
        if ctx.method != _CALL:
            return await call_next(ctx)
        name = (ctx.params or {}).get("name")
        return await watch.counted(str(name), lambda: call_next(ctx))

    return handle


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
    told = result.get("isError") if isinstance(result, Mapping) else getattr(result, "is_error", None)
    return bool(told)
