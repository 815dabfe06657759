"""LlamaIndex's models and agents, each figure against one worked out by hand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from litellm.exceptions import NotFoundError
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.llms import ChatMessage
from llama_index.llms.litellm import LiteLLM
from llama_index_instrumentation import get_dispatcher

from agentgauge import AgentGauge, TokenUsage
from agentgauge.adapters.llama_index import usage_of, watch
from tests.frameworks.bills import CHAT_USAGE, OPUS_USAGE, RESPONSE_USAGE, SOL, SOL_KINDS, SOL_USD, check
from tests.frameworks.figures import shown, total
from tests.frameworks.provider import TEXT, Provider

# LiteLLM's own types and clients warn when they are first used.
pytestmark = [pytest.mark.filterwarnings(f"ignore::{kind}") for kind in ("UserWarning", "DeprecationWarning")]

SAYS = [ChatMessage(role="user", content="When does Globex renew?")]


@pytest.fixture(autouse=True)
def _watched(gauge: AgentGauge) -> Iterator[None]:
    """As the whole process is."""
    watch(gauge)
    yield
    get_dispatcher().event_handlers.pop()
    get_dispatcher().span_handlers.pop()


@pytest.fixture
def model(url: str) -> LiteLLM:
    """A model of OpenAI."""
    return LiteLLM(model=f"openai/{SOL}", api_key="k", api_base=f"{url}/v1", max_retries=1, temperature=1)


def when_renews(account: str) -> str:
    """When an account renews."""
    if account == "down":
        raise TimeoutError
    return "March"


def test_a_call_has_its_tokens_and_its_cost(gauge: AgentGauge, provider: Provider, model: LiteLLM) -> None:
    """As a chat, and as a completion that is one."""
    provider.usage = CHAT_USAGE
    assert model.chat(SAYS).message.content == TEXT
    check(gauge.registry, SOL_KINDS, SOL_USD)
    model.complete("When does Globex renew?")
    check(gauge.registry, SOL_KINDS, SOL_USD, calls=2)


async def test_streams(gauge: AgentGauge, provider: Provider, model: LiteLLM) -> None:
    """Sync and async; the first token is timed. LlamaIndex's way to LiteLLM asks for no usage, which is marked."""
    for _ in model.stream_chat(SAYS):
        pass
    async for _ in await model.astream_chat(SAYS):
        pass
    assert total(gauge.registry, "agent_llm_calls_total") == 2
    assert total(gauge.registry, "agent_llm_time_to_first_token_seconds_count") == 2
    assert shown(gauge.registry, "agent_llm_usage_unknown_total") == {(SOL,): 2}


def test_an_error_has_the_exceptions_name(gauge: AgentGauge, provider: Provider, model: LiteLLM) -> None:
    """Which is LiteLLM's here."""
    provider.failures = [404]
    with pytest.raises(NotFoundError):
        model.chat(SAYS)
    assert total(gauge.registry, "agent_llm_errors_total") == 1
    assert total(gauge.registry, "agent_llm_usage_unknown_total") == 0


@pytest.mark.parametrize(("account", "outcome"), [("Globex", "success"), ("down", "error")])
async def test_an_agent_is_its_model_calls_and_its_tools(
    gauge: AgentGauge, provider: Provider, model: LiteLLM, account: str, outcome: str
) -> None:
    """All of it belongs to the session, though the agent works in tasks of its own; it goes on when a tool fails."""
    provider.usage, provider.tools = CHAT_USAGE, [("when_renews", {"account": account})]
    agent = FunctionAgent(name="seller", description="Sells.", tools=[when_renews], llm=model, streaming=False)
    with gauge.session() as session, session.task() as task:
        assert str(await agent.run("When does Globex renew?")) == TEXT
    check(gauge.registry, SOL_KINDS, SOL_USD, calls=2)
    assert shown(gauge.registry, "agent_tool_calls_total") == {("when_renews", outcome): 1}
    assert session.cost_usd == pytest.approx(2 * SOL_USD)
    assert task.model_turns == 2


@pytest.mark.parametrize(
    ("usage", "kinds"),
    [
        (CHAT_USAGE, TokenUsage(3_000, 6_000, 1_000, output=400)),
        (RESPONSE_USAGE, TokenUsage(3_000, 6_000, 1_000, output=400)),
        (OPUS_USAGE, TokenUsage(3_000, 6_000, 1_000, cache_write_1h=500, output=400)),
    ],
    ids=["chat completions", "responses", "anthropic"],
)
def test_a_providers_own_usage_is_read_in_disjoint_kinds(usage: dict[str, Any], kinds: TokenUsage) -> None:
    """Others' is unknown."""
    assert usage_of({"usage": usage}) == kinds
    assert usage_of({"usage_metadata": usage}) is None
