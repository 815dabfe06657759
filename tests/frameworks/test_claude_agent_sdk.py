"""The Claude Agent SDK: its own program, talking to a provider on this machine, each figure worked out by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from claude_agent_sdk import (
    AgentDefinition,
    ClaudeAgentOptions,
    ClaudeSDKClient,
    ResultMessage,
    create_sdk_mcp_server,
    query,
    tool,
)

from agentgauge import AgentGauge
from agentgauge.adapters.claude_agent_sdk import watched
from tests.frameworks.bills import OPUS, OPUS_KINDS, OPUS_USAGE, OPUS_USD, check
from tests.frameworks.figures import shown, total
from tests.frameworks.provider import TEXT, Provider

TOOL = "mcp__crm__when_renews"


@tool("when_renews", "When an account renews", {"account": str})
async def when_renews(asked: dict[str, Any]) -> dict[str, Any]:
    """A tool of an MCP server in this process."""
    failed = asked["account"] == "unknown"
    return {"content": [{"type": "text", "text": "no such account" if failed else "March"}], "is_error": failed}


@pytest.fixture
def options(url: str, tmp_path: Path) -> ClaudeAgentOptions:
    """An agent that knows nothing of this machine's settings."""
    return ClaudeAgentOptions(
        model=OPUS,
        cwd=tmp_path,
        env={
            "ANTHROPIC_BASE_URL": url,
            "ANTHROPIC_API_KEY": "k",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "HOME": str(tmp_path),
        },
        mcp_servers={"crm": create_sdk_mcp_server("crm", "1.0", [when_renews])},
        allowed_tools=[TOOL],
        setting_sources=[],
    )


async def result_of(messages: AsyncIterator[Any]) -> ResultMessage:
    """The last message, once all have been taken."""
    last = [message async for message in messages][-1]
    assert isinstance(last, ResultMessage)
    return last


async def test_a_run_is_its_model_calls_and_its_tools(
    gauge: AgentGauge, options: ClaudeAgentOptions, provider: Provider
) -> None:
    """The bill is the one that the program itself works out."""
    provider.usage, provider.tools = OPUS_USAGE, [(TOOL, {"account": "Globex"})]
    with gauge.session() as session, session.task() as task:
        result = await result_of(watched(gauge, query(prompt="When does Globex renew?", options=options)))
    assert result.result == TEXT
    check(gauge.registry, OPUS_KINDS, OPUS_USD, calls=2)
    assert result.total_cost_usd == pytest.approx(2 * OPUS_USD)
    assert shown(gauge.registry, "agent_tool_calls_total") == {(TOOL, "success"): 1}
    assert session.cost_usd == pytest.approx(2 * OPUS_USD)
    assert task.model_turns == 2


async def test_each_turn_of_a_conversation_is_counted_once(
    gauge: AgentGauge, options: ClaudeAgentOptions, provider: Provider
) -> None:
    """The program reports the sums of the conversation."""
    provider.usage = OPUS_USAGE
    async with ClaudeSDKClient(options) as client:
        for turn in (1, 2, 3):
            await client.query("When does Globex renew?")
            await result_of(watched(gauge, client.receive_response()))
            check(gauge.registry, OPUS_KINDS, OPUS_USD, calls=turn)


async def test_a_tool_that_fails_is_counted_so(
    gauge: AgentGauge, options: ClaudeAgentOptions, provider: Provider
) -> None:
    """Though the run goes on."""
    provider.usage, provider.tools = OPUS_USAGE, [(TOOL, {"account": "unknown"})]
    await result_of(watched(gauge, query(prompt="When?", options=options)))
    assert shown(gauge.registry, "agent_tool_errors_total") == {(TOOL, "ToolError"): 1}


async def test_a_call_that_fails_is_an_error(
    gauge: AgentGauge, options: ClaudeAgentOptions, provider: Provider
) -> None:
    """The program names its kind, not the model."""
    provider.failures = [400] * 10
    with pytest.raises(Exception, match=r"\S"):
        await result_of(watched(gauge, query(prompt="When?", options=options)))
    assert total(gauge.registry, "agent_llm_errors_total") == 1
    assert total(gauge.registry, "agent_llm_cost_usd_total") == 0


async def test_a_subagent_of_the_program_has_its_own_calls(
    gauge: AgentGauge, options: ClaudeAgentOptions, provider: Provider
) -> None:
    """By the name that it has in the agent's definition; all calls together cost what the program says."""
    provider.usage = OPUS_USAGE
    asked = {"description": "look up", "prompt": "When does Globex renew?", "subagent_type": "researcher"}
    provider.tools = [("Task", asked)]
    options.agents = {"researcher": AgentDefinition(description="Looks up accounts", prompt="Look it up.")}
    options.allowed_tools = ["Task", "Agent"]
    result = await result_of(watched(gauge, query(prompt="When does Globex renew?", options=options)))
    assert shown(gauge.registry, "agent_subagent_calls_total") == {("researcher",): 1}
    assert 0 < total(gauge.registry, "agent_subagent_cost_usd_total") < (result.total_cost_usd or 0)
    assert total(gauge.registry, "agent_llm_cost_usd_total") == pytest.approx(result.total_cost_usd)
