"""Tools of the Anthropic SDK's tool runner, on the real package: ``@gauge.tool`` above ``@beta_tool``, and below."""

from __future__ import annotations

from typing import Any

import pytest
from anthropic import Anthropic, beta_async_tool, beta_tool
from anthropic.lib.tools import ToolError
from prometheus_client import CollectorRegistry

from agentgauge import AgentGauge, metrics
from sample_agent.serving import serving
from tests.frameworks.provider import Provider


@pytest.fixture
def gauge(registry: CollectorRegistry) -> AgentGauge:
    """An agent of which nothing is known before."""
    return AgentGauge("a", registry=registry)


def calls(gauge: AgentGauge, outcome: str, tool: str = "find_order") -> float | None:
    """How many calls of the tool ended so."""
    labels = {"agent": "a", "tool": tool, "outcome": outcome}
    return gauge.registry.get_sample_value(metrics.TOOL_CALLS.name, labels)


def failures(gauge: AgentGauge, error_type: str) -> float | None:
    """How many calls failed so."""
    labels = {"agent": "a", "tool": "find_order", "error_type": error_type}
    return gauge.registry.get_sample_value(metrics.TOOL_ERRORS.name, labels)


def find_order(number: int) -> str:
    """Find an order.

    Args:
        number: The number of the order.
    """
    if number < 0:
        raise ToolError("there is none")
    return f"order {number} left the warehouse"


async def find_order_later(number: int) -> str:
    """Find an order, on the event loop."""
    return find_order(number)


def test_above_it_counts_what_the_sdk_refuses_as_well(gauge: AgentGauge) -> None:
    """Arguments that do not fit never reach the function."""
    tool = gauge.tool()(beta_tool(find_order))
    assert tool.call({"number": 7}) == "order 7 left the warehouse"
    with pytest.raises(ValueError, match="Invalid arguments for function find_order"):
        tool.call({"number": "seven"})
    with pytest.raises(ToolError):
        tool.call({"number": -1})
    assert (calls(gauge, "success"), calls(gauge, "error")) == (1, 2)
    assert (failures(gauge, "ValueError"), failures(gauge, "ToolError")) == (1, 1)


def test_below_it_counts_the_calls_that_reach_the_function(gauge: AgentGauge) -> None:
    """So what the SDK refuses is missing."""
    tool = beta_tool(gauge.tool()(find_order))
    assert tool.call({"number": 7}) == "order 7 left the warehouse"
    with pytest.raises(ValueError, match="Invalid arguments for function find_order"):
        tool.call({"number": "seven"})
    with pytest.raises(ToolError):
        tool.call({"number": -1})
    assert (calls(gauge, "success"), calls(gauge, "error")) == (1, 1)


def test_the_model_is_told_the_same_either_way(gauge: AgentGauge) -> None:
    """Name, description and schema."""
    plain = beta_tool(find_order).to_dict()
    assert gauge.tool()(beta_tool(find_order)).to_dict() == plain
    assert beta_tool(gauge.tool()(find_order)).to_dict() == plain


async def test_asynchronous_tools_as_well(gauge: AgentGauge) -> None:
    """And a name of its own for the label."""
    tool = gauge.tool("find_order")(beta_async_tool(find_order_later))
    assert await tool.call({"number": 7}) == "order 7 left the warehouse"
    with pytest.raises(ValueError, match="Invalid arguments"):
        await tool.call({})
    assert (calls(gauge, "success"), calls(gauge, "error")) == (1, 1)


def test_the_tool_runner_calls_it(gauge: AgentGauge) -> None:
    """A model that is wrong once, is told so, and asks again."""
    provider = Provider(tools=[("find_order", {"number": "seven"}), ("find_order", {"number": 7})])
    provider.usage = {"input_tokens": 10, "output_tokens": 5}
    tool = gauge.tool()(beta_tool(find_order))
    with serving(provider.app()) as url, Anthropic(api_key="k", base_url=url) as client:
        asked: list[Any] = [{"role": "user", "content": "Where is order 7?"}]
        client.beta.messages.tool_runner(model="m", max_tokens=100, tools=[tool], messages=asked).until_done()
    told = [ask["messages"][-1]["content"][0] for ask in provider.asked[1:]]
    assert [block.get("is_error") for block in told] == [True, None]
    assert (calls(gauge, "success"), calls(gauge, "error")) == (1, 1)
