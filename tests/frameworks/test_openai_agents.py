"""The OpenAI Agents SDK: runs of one agent and of two, each figure against one worked out by hand."""

from __future__ import annotations

from collections.abc import Iterator

import agents
import openai
import pytest
from agents import (
    Agent,
    ModelSettings,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    RunConfig,
    Runner,
    function_tool,
)
from openai import AsyncOpenAI

from agentgauge import AgentGauge
from agentgauge.adapters.openai_agents import trace_processor
from tests.frameworks.bills import CHAT_USAGE, RESPONSE_USAGE, SOL, SOL_KINDS, SOL_USD, check
from tests.frameworks.figures import shown, total
from tests.frameworks.provider import TEXT, Provider


@function_tool
def when_renews(account: str) -> str:
    """When an account renews."""
    if account == "down":
        raise TimeoutError
    return "March"


@function_tool(failure_error_function=None)
def strict(account: str) -> str:
    """A tool whose failure ends the run."""
    raise TimeoutError


@pytest.fixture(autouse=True)
def _watched(gauge: AgentGauge) -> Iterator[None]:
    """The SDK's own processor would send the traces to OpenAI."""
    agents.set_trace_processors([trace_processor(gauge)])
    yield
    agents.set_trace_processors([])


@pytest.fixture
def client(url: str) -> AsyncOpenAI:
    """Without retries."""
    return AsyncOpenAI(api_key="k", base_url=f"{url}/v1", max_retries=0)


def responses(client: AsyncOpenAI) -> Agent:
    """An agent on the responses API."""
    return Agent(name="seller", model=OpenAIResponsesModel(SOL, client), tools=[when_renews])


def completions(client: AsyncOpenAI) -> Agent:
    """An agent on chat completions, whose streams report their usage only if they are asked to."""
    settings = ModelSettings(include_usage=True)
    return Agent(
        name="seller", model=OpenAIChatCompletionsModel(SOL, client), model_settings=settings, tools=[when_renews]
    )


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("api", ["responses", "completions"])
async def test_a_run_is_its_model_calls_and_its_tools(
    gauge: AgentGauge, client: AsyncOpenAI, provider: Provider, api: str, stream: bool
) -> None:
    """All of it belongs to the session."""
    provider.tools = [("when_renews", {"account": "Globex"})]
    provider.usage = RESPONSE_USAGE if api == "responses" else CHAT_USAGE
    agent = responses(client) if api == "responses" else completions(client)
    with gauge.session() as session, session.task() as task:
        if stream:
            streamed = Runner.run_streamed(agent, "When does Globex renew?")
            async for _ in streamed.stream_events():
                pass
            answer = streamed.final_output
        else:
            answer = (await Runner.run(agent, "When does Globex renew?")).final_output
    assert answer.strip() == TEXT
    check(gauge.registry, SOL_KINDS, SOL_USD, calls=2)
    assert shown(gauge.registry, "agent_tool_calls_total") == {("when_renews", "success"): 1}
    assert session.cost_usd == pytest.approx(2 * SOL_USD)
    assert total(gauge.registry, "agent_session_tool_calls_sum") == 1
    assert task.model_turns == 2


async def test_a_tool_that_fails_is_counted_though_the_run_goes_on(
    gauge: AgentGauge, client: AsyncOpenAI, provider: Provider
) -> None:
    """The SDK tells the model, and no hook."""
    provider.usage, provider.tools = RESPONSE_USAGE, [("when_renews", {"account": "down"})]
    await Runner.run(responses(client), "When does Globex renew?")
    assert shown(gauge.registry, "agent_tool_errors_total") == {("when_renews", "ToolError"): 1}


async def test_a_tool_that_ends_the_run_is_counted(gauge: AgentGauge, client: AsyncOpenAI, provider: Provider) -> None:
    """The exception is the caller's."""
    provider.usage, provider.tools = RESPONSE_USAGE, [("strict", {"account": "Globex"})]
    agent = Agent(name="seller", model=OpenAIResponsesModel(SOL, client), tools=[strict])
    with pytest.raises(Exception, match="strict"):
        await Runner.run(agent, "When does Globex renew?")
    assert total(gauge.registry, "agent_tool_errors_total") == 1


@pytest.mark.parametrize("api", ["responses", "completions"])
async def test_a_call_that_fails_has_the_providers_code(
    gauge: AgentGauge, client: AsyncOpenAI, provider: Provider, api: str
) -> None:
    """A span of the responses API names the model only once it has answered."""
    provider.failures = [429]
    with pytest.raises(openai.RateLimitError):
        await Runner.run(responses(client) if api == "responses" else completions(client), "When?")
    model = "other" if api == "responses" else SOL
    assert shown(gauge.registry, "agent_llm_errors_total") == {(model, "rate_limit_exceeded"): 1}


async def test_without_its_contents_a_span_does_not_name_the_model(
    gauge: AgentGauge, client: AsyncOpenAI, provider: Provider
) -> None:
    """So the adapter is told."""
    provider.usage = RESPONSE_USAGE
    agents.set_trace_processors([trace_processor(gauge, model=SOL)])
    await Runner.run(responses(client), "When?", run_config=RunConfig(trace_include_sensitive_data=False))
    check(gauge.registry, SOL_KINDS, SOL_USD)


async def test_agents_that_hand_over_are_counted_together(
    gauge: AgentGauge, client: AsyncOpenAI, provider: Provider
) -> None:
    """Each of their calls once."""
    provider.usage, provider.tools = RESPONSE_USAGE, [("transfer_to_seller", {})]
    desk = Agent(name="desk", model=OpenAIResponsesModel(SOL, client), handoffs=[responses(client)])
    await Runner.run(desk, "When does Globex renew?")
    check(gauge.registry, SOL_KINDS, SOL_USD, calls=2)
    assert shown(gauge.registry, "agent_subagent_calls_total") == {("seller",): 1}
    assert total(gauge.registry, "agent_subagent_cost_usd_total") == pytest.approx(SOL_USD)


async def test_an_agent_that_is_a_tool_of_another_is_its_subagent(
    gauge: AgentGauge, client: AsyncOpenAI, provider: Provider
) -> None:
    """The first and the last call are those of the agent that the run began with."""
    provider.usage = RESPONSE_USAGE
    provider.tools = [("ask_seller", {"input": "When?"}), ("when_renews", {"account": "Globex"})]
    seller = responses(client).as_tool("ask_seller", "Knows when accounts renew")
    desk = Agent(name="desk", model=OpenAIResponsesModel(SOL, client), tools=[seller])
    await Runner.run(desk, "When does Globex renew?")
    check(gauge.registry, SOL_KINDS, SOL_USD, calls=4)
    assert shown(gauge.registry, "agent_subagent_calls_total") == {("seller",): 2}
    assert total(gauge.registry, "agent_subagent_cost_usd_total") == pytest.approx(2 * SOL_USD)
