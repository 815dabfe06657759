"""pydantic-ai: agents on models of two providers, each figure against one worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest
from anthropic import AsyncAnthropic
from openai import AsyncOpenAI
from pydantic_ai import Agent, ApprovalRequired, DeferredToolRequests, ModelRetry
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.models import Model
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider

from agentgauge import AgentGauge
from agentgauge.adapters.pydantic_ai import capability
from tests.frameworks.bills import (
    CHAT_USAGE,
    OPUS,
    OPUS_KINDS,
    OPUS_USAGE,
    OPUS_USD,
    RESPONSE_USAGE,
    SOL,
    SOL_KINDS,
    SOL_USD,
    check,
)
from tests.frameworks.figures import shown, total
from tests.frameworks.provider import TEXT, Provider


def when_renews(account: str) -> str:
    """When an account renews."""
    if account == "unknown":
        raise ModelRetry("no such account")
    if account == "down":
        raise TimeoutError
    if account == "asks":
        raise ApprovalRequired
    return "March"


def openai(url: str, api: str) -> Model:
    """A model of OpenAI, without retries."""
    provider = OpenAIProvider(openai_client=AsyncOpenAI(api_key="k", base_url=f"{url}/v1", max_retries=0))
    return (
        OpenAIResponsesModel(SOL, provider=provider) if api == "responses" else OpenAIChatModel(SOL, provider=provider)
    )


def claude(url: str, **options: Any) -> Model:
    """A model of Anthropic."""
    client = AsyncAnthropic(api_key="k", base_url=url, max_retries=0, **options)
    return AnthropicModel(OPUS, provider=AnthropicProvider(anthropic_client=client))


def agent(gauge: AgentGauge, model: Model) -> Agent[None, Any]:
    """An agent with a tool."""
    return Agent(model, tools=[when_renews], capabilities=[capability(gauge)], output_type=[str, DeferredToolRequests])


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("api", ["chat", "responses", "anthropic"])
async def test_a_run_is_its_model_calls_and_its_tools(
    gauge: AgentGauge, url: str, provider: Provider, api: str, stream: bool
) -> None:
    """All of it belongs to the session; the writes to the cache of either lifetime are apart."""
    provider.tools = [("when_renews", {"account": "Globex"})]
    provider.usage = {"chat": CHAT_USAGE, "responses": RESPONSE_USAGE, "anthropic": OPUS_USAGE}[api]
    made = agent(gauge, claude(url) if api == "anthropic" else openai(url, api))
    with gauge.session() as session, session.task() as task:
        if stream:
            async with made.run_stream("When does Globex renew?") as streamed:
                answer = str(await streamed.get_output())
        else:
            answer = str((await made.run("When does Globex renew?")).output)
    assert answer.strip() == TEXT
    kinds, usd = (OPUS_KINDS, OPUS_USD) if api == "anthropic" else (SOL_KINDS, SOL_USD)
    check(gauge.registry, kinds, usd, calls=2)
    assert shown(gauge.registry, "agent_tool_calls_total") == {("when_renews", "success"): 1}
    assert session.cost_usd == pytest.approx(2 * usd)
    assert task.model_turns == 2


async def test_a_watched_client_of_anthropic_needs_no_capability(
    gauge: AgentGauge, url: str, provider: Provider
) -> None:
    """Retries and first tokens, too."""
    provider.usage, provider.failures = OPUS_USAGE, [529]
    client = AsyncAnthropic(api_key="k", base_url=url, max_retries=1, middleware=[gauge.anthropic()])
    made = Agent(AnthropicModel(OPUS, provider=AnthropicProvider(anthropic_client=client)))
    await made.run("When does Globex renew?")
    assert shown(gauge.registry, "agent_llm_calls_total") == {(OPUS, "success"): 1, (OPUS, "error"): 1}
    assert total(gauge.registry, "agent_llm_cost_usd_total") == pytest.approx(OPUS_USD)


async def test_an_error_has_the_providers_code(gauge: AgentGauge, url: str, provider: Provider) -> None:
    """AgentModelGone watches this one."""
    provider.failures = [404]
    with pytest.raises(ModelHTTPError):
        await agent(gauge, openai(url, "chat")).run("When?")
    assert shown(gauge.registry, "agent_llm_errors_total") == {(SOL, "model_not_found"): 1}


async def test_a_tool_that_asks_for_another_try_failed(gauge: AgentGauge, url: str, provider: Provider) -> None:
    """The run goes on."""
    provider.usage, provider.tools = CHAT_USAGE, [("when_renews", {"account": "unknown"})]
    await agent(gauge, openai(url, "chat")).run("When?")
    assert shown(gauge.registry, "agent_tool_errors_total") == {("when_renews", "ToolRetryError"): 1}


async def test_a_tool_that_raises_ends_the_run(gauge: AgentGauge, url: str, provider: Provider) -> None:
    """With its own exception."""
    provider.usage, provider.tools = CHAT_USAGE, [("when_renews", {"account": "down"})]
    with pytest.raises(TimeoutError):
        await agent(gauge, openai(url, "chat")).run("When?")
    assert shown(gauge.registry, "agent_tool_errors_total") == {("when_renews", "TimeoutError"): 1}


async def test_a_tool_that_waits_for_a_person_is_no_failure(gauge: AgentGauge, url: str, provider: Provider) -> None:
    """Nor a call, yet."""
    provider.usage, provider.tools = CHAT_USAGE, [("when_renews", {"account": "asks"})]
    run = await agent(gauge, openai(url, "chat")).run("When?")
    assert isinstance(run.output, DeferredToolRequests)
    assert total(gauge.registry, "agent_tool_calls_total") == 0
