"""MCP: a real client of a real server, over its own protocol."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from mcp import Client, MCPError
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.server import MCPServer
from prometheus_client import CollectorRegistry

from agentgauge import AgentGauge
from agentgauge.adapters.mcp import call_tool, connected, server_middleware
from tests.frameworks.figures import shown, total

PROGRAM = """
from mcp.server import MCPServer
server = MCPServer("orders")

@server.tool()
def find_order(number: str) -> str:
    if number == "die":
        import os
        os._exit(1)
    if number == "down":
        raise TimeoutError
    return f"order {number} left the warehouse"

server.run()
"""


@pytest.fixture
def program(tmp_path: Path) -> Client:
    """A server in a process of its own."""
    path = tmp_path / "server.py"
    path.write_text(PROGRAM, encoding="utf-8")
    return Client(stdio_client(StdioServerParameters(command=sys.executable, args=[str(path)])))


async def test_the_calls_of_an_agent_are_its_tools(gauge: AgentGauge, program: Client) -> None:
    """A success, and a failure that the server tells in its answer."""
    with gauge.session() as session:
        async with program as client:
            found = await call_tool(gauge, client, "find_order", {"number": "A-1"})
            failed = await call_tool(gauge, client, "find_order", {"number": "down"})
    assert "left the warehouse" in str(found.content)
    assert failed.is_error
    assert shown(gauge.registry, "agent_tool_calls_total") == {
        ("find_order", "success"): 1,
        ("find_order", "error"): 1,
    }
    assert shown(gauge.registry, "agent_tool_errors_total") == {("find_order", "ToolError"): 1}
    assert session is not None
    assert total(gauge.registry, "agent_session_tool_calls_sum") == 2


async def test_a_name_that_a_model_makes_up_is_no_label(gauge: AgentGauge, program: Client) -> None:
    """No server has it."""
    async with program as client:
        assert (await call_tool(gauge, client, "find_oder", {})).is_error
    assert shown(gauge.registry, "agent_tool_calls_total") == {("other", "error"): 1}


async def test_a_server_that_dies_is_an_error(gauge: AgentGauge, program: Client) -> None:
    """The client's own exception reaches the caller."""
    async with program as client:
        with pytest.raises(MCPError):
            await call_tool(gauge, client, "find_order", {"number": "die"})
    assert total(gauge.registry, "agent_tool_errors_total") == 1


async def test_the_tools_of_a_server_of_ones_own_are_counted(gauge: AgentGauge) -> None:
    """And how long everything took that its clients asked; nobody waits for an answer to a notification."""
    server = MCPServer("orders", middleware=[server_middleware(gauge)])

    @server.tool()
    def find_order(number: str) -> str:
        if number == "down":
            raise TimeoutError
        return "shipped"

    async with Client(server, mode="legacy") as client:
        await client.list_tools()
        assert not (await client.call_tool("find_order", {"number": "A-1"})).is_error
        assert (await client.call_tool("find_order", {"number": "down"})).is_error
        assert (await client.call_tool("made_up", {})).is_error
    assert shown(gauge.registry, "agent_tool_calls_total") == {
        ("find_order", "success"): 1,
        ("find_order", "error"): 1,
        ("other", "error"): 1,
    }
    assert shown(gauge.registry, "agent_mcp_server_operation_duration_seconds_count") == {
        ("initialize", ""): 1,
        ("tools/list", ""): 1,
        ("tools/call", ""): 1,
        ("tools/call", "tool_error"): 2,
    }


DURATIONS = "agent_mcp_operation_duration_seconds_count"


@pytest.fixture
def of_orders(registry: CollectorRegistry) -> AgentGauge:
    """An agent that asks a server of this name."""
    return AgentGauge("a", mcp_servers=["orders"], registry=registry)


def is_up(gauge: AgentGauge) -> float | None:
    """What the agent says of its server."""
    return gauge.registry.get_sample_value("agent_mcp_server_up", {"agent": "a", "server": "orders"})


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what a ping changes."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - a metric has no event
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_what_is_asked_of_a_server_is_recorded(of_orders: AgentGauge, program: Client, mode: str) -> None:
    """Connecting, listing, calls that succeed, and an error that a tool answers with, by either protocol."""
    program.mode = mode
    assert is_up(of_orders) is None
    async with connected(of_orders, program, "orders") as client:
        assert is_up(of_orders) == 1
        await client.list_tools()
        await call_tool(of_orders, client, "find_order", {"number": "A-1"})
        await client.call_tool("find_order", {"number": "down"})
    assert shown(of_orders.registry, DURATIONS) == {
        ("orders", "initialize", ""): 1,
        ("orders", "tools/list", ""): 1,
        ("orders", "tools/call", ""): 1,
        ("orders", "tools/call", "tool_error"): 1,
    }
    assert shown(of_orders.registry, "agent_tool_calls_total") == {("find_order", "success"): 1}
    assert shown(of_orders.registry, "agent_mcp_session_duration_seconds_count") == {("orders",): 1}


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_dead_server_is_told_from_an_idle_one(of_orders: AgentGauge, program: Client, mode: str) -> None:
    """Nobody asks it anything but the pings."""
    program.mode = mode
    async with connected(of_orders, program, "orders", ping_seconds=0.01) as client:
        ping = ("orders", "ping" if mode == "legacy" else "server/discover", "")
        await until(lambda: shown(of_orders.registry, DURATIONS).get(ping, 0) >= 3)
        assert is_up(of_orders) == 1
        with pytest.raises(MCPError):
            await client.call_tool("find_order", {"number": "die"})
        await until(lambda: is_up(of_orders) == 0)
    assert shown(of_orders.registry, DURATIONS)[("orders", "tools/call", "connection_closed")] == 1
    assert total(of_orders.registry, "agent_mcp_init_failures_total") == 0


async def test_a_server_that_does_not_start_is_down(of_orders: AgentGauge, tmp_path: Path) -> None:
    """The client's own exception reaches the caller."""
    program = StdioServerParameters(command=sys.executable, args=[str(tmp_path / "missing.py")])
    with pytest.raises(Exception, match=r"\S"):
        async with connected(of_orders, Client(program), "orders"):
            pass
    assert is_up(of_orders) == 0
    assert shown(of_orders.registry, "agent_mcp_init_failures_total") == {("orders",): 1}


async def test_an_exception_inside_reaches_the_caller(of_orders: AgentGauge, program: Client) -> None:
    """In the group that the client makes of it; it says nothing about the server."""
    with pytest.raises(ExceptionGroup):
        async with connected(of_orders, program, "orders"):
            raise ZeroDivisionError
    assert is_up(of_orders) == 1


async def test_a_server_that_is_not_named_is_other(gauge: AgentGauge, program: Client) -> None:
    """And counted as folded."""
    async with connected(gauge, program, "made-up"):
        pass
    assert shown(gauge.registry, DURATIONS) == {("other", "initialize", ""): 1}
    assert (
        shown(gauge.registry, "agent_exporter_label_overflow_total")[(DURATIONS.removesuffix("_count"), "server")] == 1
    )
