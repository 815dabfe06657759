"""Requests to MCP servers by any client: durations, failures, and whether the server is there."""

from __future__ import annotations

import asyncio

import pytest
from prometheus_client import CollectorRegistry

from agentgauge import AgentGauge, metrics

LABELS = {"agent": "a", "server": "orders"}


@pytest.fixture
def gauge(registry: CollectorRegistry) -> AgentGauge:
    """An agent that asks one server."""
    return AgentGauge("a", mcp_servers=["orders"], registry=registry)


def is_up(gauge: AgentGauge) -> float | None:
    """What is said of the server; None if nothing was."""
    return gauge.registry.get_sample_value(metrics.MCP_SERVER_UP.name, LABELS)


def counted(gauge: AgentGauge, method: str, error_type: str) -> float | None:
    """How many requests ended so."""
    labels = LABELS | {"method": method, "error_type": error_type}
    return gauge.registry.get_sample_value(metrics.MCP_DURATION.count, labels)


@pytest.mark.parametrize("method", ["initialize", "ping", "server/discover"])
def test_signs_of_life_say_whether_a_server_is_there(gauge: AgentGauge, method: str) -> None:
    """The last one counts."""
    assert is_up(gauge) is None
    with gauge.mcp_operation("orders", method):
        pass
    assert is_up(gauge) == 1
    with pytest.raises(ConnectionRefusedError), gauge.mcp_operation("orders", method):
        raise ConnectionRefusedError
    assert is_up(gauge) == 0
    assert counted(gauge, method, "") == 1
    assert counted(gauge, method, "ConnectionRefusedError") == 1


def test_other_requests_say_nothing_of_it(gauge: AgentGauge) -> None:
    """A tool that fails is not the server's death, and one that succeeds is not a ping."""
    with gauge.mcp_operation("orders", "tools/call") as operation:
        operation.fail("tool_error")
    assert is_up(gauge) is None
    assert counted(gauge, "tools/call", "tool_error") == 1


def test_failures_to_connect_are_counted_from_zero(gauge: AgentGauge) -> None:
    """So that the first one is an increase; a ping that fails is none."""
    assert gauge.registry.get_sample_value(metrics.MCP_INIT_FAILURES.name, LABELS) == 0
    for method in ("initialize", "ping"):
        with pytest.raises(TimeoutError), gauge.mcp_operation("orders", method):
            raise TimeoutError
    assert gauge.registry.get_sample_value(metrics.MCP_INIT_FAILURES.name, LABELS) == 1


async def test_a_ping_that_its_caller_gave_up_says_nothing(gauge: AgentGauge) -> None:
    """As when the agent closes."""
    with gauge.mcp_operation("orders", "ping"):
        pass
    with pytest.raises(asyncio.CancelledError), gauge.mcp_operation("orders", "ping"):
        raise asyncio.CancelledError
    assert is_up(gauge) == 1


def test_methods_and_servers_out_of_bounds_are_other(gauge: AgentGauge) -> None:
    """And counted as folded."""
    with gauge.mcp_operation("made-up", "made/up"):
        pass
    labels = {"agent": "a", "server": "other", "method": "other", "error_type": ""}
    assert gauge.registry.get_sample_value(metrics.MCP_DURATION.count, labels) == 1
    for label in ("server", "method"):
        folded = {"agent": "a", "metric": metrics.MCP_DURATION.name, "label": label}
        assert gauge.registry.get_sample_value(metrics.LABEL_OVERFLOW.name, folded) == 1


def test_an_agent_without_servers_has_no_series_of_them(registry: CollectorRegistry) -> None:
    """Most have none."""
    AgentGauge("a", registry=registry)
    assert registry.get_sample_value(metrics.MCP_INIT_FAILURES.name, LABELS | {"server": "other"}) is None


def test_one_string_is_not_a_list_of_servers(registry: CollectorRegistry) -> None:
    """It would be a server for each letter."""
    with pytest.raises(TypeError, match="mcp_servers are lists of names"):
        AgentGauge("a", mcp_servers="orders", registry=registry)
