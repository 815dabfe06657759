"""MCP: a real client of a real server, over its own protocol."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from mcp import Client, MCPError
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.server import MCPServer

from agentgauge import AgentGauge
from agentgauge.adapters.mcp import call_tool, server_middleware
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
    """What its clients call, and nothing else that they ask."""
    server = MCPServer("orders", middleware=[server_middleware(gauge)])

    @server.tool()
    def find_order(number: str) -> str:
        if number == "down":
            raise TimeoutError
        return "shipped"

    async with Client(server) as client:
        await client.list_tools()
        assert not (await client.call_tool("find_order", {"number": "A-1"})).is_error
        assert (await client.call_tool("find_order", {"number": "down"})).is_error
        assert (await client.call_tool("made_up", {})).is_error
    assert shown(gauge.registry, "agent_tool_calls_total") == {
        ("find_order", "success"): 1,
        ("find_order", "error"): 1,
        ("other", "error"): 1,
    }
