"""LangChain's models and LangGraph's graphs, each figure against one worked out by hand."""

from __future__ import annotations

import json
import operator
from typing import Annotated, Any, TypedDict

import anthropic
import openai
import pytest
from langchain_anthropic import ChatAnthropic
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AnyMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import ToolException, tool
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from langgraph.types import Command, interrupt
from pydantic import SecretStr

from agentgauge import AgentGauge
from agentgauge.adapters.langchain import callback_handler
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


@tool
def when_renews(account: str) -> str:
    """When an account renews."""
    if account == "unknown":
        raise ToolException("no such account")
    if account == "down":
        raise TimeoutError
    if account == "asks":
        return str(interrupt("may I?"))
    return "March"


@pytest.fixture
def handler(gauge: AgentGauge) -> BaseCallbackHandler:
    """The adapter."""
    return callback_handler(gauge)


def chat(url: str, **options: Any) -> ChatOpenAI:
    """A model of OpenAI, without retries."""
    return ChatOpenAI(model=SOL, api_key=SecretStr("k"), base_url=f"{url}/v1", max_retries=0, **options)


def claude(url: str) -> ChatAnthropic:
    """A model of Anthropic."""
    return ChatAnthropic(model_name=OPUS, api_key=SecretStr("k"), base_url=url, max_retries=0, timeout=None, stop=None)


@pytest.mark.parametrize("options", [{}, {"use_responses_api": True}], ids=["chat", "responses"])
def test_a_model_of_openai(
    gauge: AgentGauge, handler: BaseCallbackHandler, url: str, provider: Provider, options: dict[str, Any]
) -> None:
    """Plain."""
    provider.usage = CHAT_USAGE if not options else RESPONSE_USAGE
    answer = chat(url, **options).invoke("When does Globex renew?", config={"callbacks": [handler]})
    assert answer.text == TEXT
    check(gauge.registry, SOL_KINDS, SOL_USD)
    assert total(gauge.registry, "agent_llm_time_to_first_token_seconds_count") == 0


async def test_streams_of_openai(gauge: AgentGauge, handler: BaseCallbackHandler, url: str, provider: Provider) -> None:
    """Sync and async; the first token is timed."""
    provider.usage = CHAT_USAGE
    model = chat(url, stream_usage=True)
    for _ in model.stream("When?", config={"callbacks": [handler]}):
        pass
    async for _ in model.astream("When?", config={"callbacks": [handler]}):
        pass
    check(gauge.registry, SOL_KINDS, SOL_USD, calls=2)
    assert total(gauge.registry, "agent_llm_time_to_first_token_seconds_count") == 2


def test_a_stream_without_usage_is_marked(
    gauge: AgentGauge, handler: BaseCallbackHandler, url: str, provider: Provider
) -> None:
    """LangChain does not ask for it at an address that is not OpenAI's."""
    provider.usage = CHAT_USAGE
    for _ in chat(url).stream("When?", config={"callbacks": [handler]}):
        pass
    assert shown(gauge.registry, "agent_llm_usage_unknown_total") == {(SOL,): 1}


@pytest.mark.parametrize("tier", ["flex", "priority"])
def test_a_tier_has_its_price(
    gauge: AgentGauge, handler: BaseCallbackHandler, url: str, provider: Provider, tier: str
) -> None:
    """LangChain renames what it cached there."""
    provider.usage, provider.service_tier = CHAT_USAGE, tier
    chat(url).invoke("When?", config={"callbacks": [handler]})
    check(gauge.registry, SOL_KINDS, SOL_USD * (0.5 if tier == "flex" else 2))


async def test_a_model_of_anthropic(
    gauge: AgentGauge, handler: BaseCallbackHandler, url: str, provider: Provider
) -> None:
    """Plain and streamed, both kinds of cache."""
    provider.usage = OPUS_USAGE
    claude(url).invoke("When?", config={"callbacks": [handler]})
    check(gauge.registry, OPUS_KINDS, OPUS_USD)
    await claude(url).ainvoke("When?", config={"callbacks": [handler]})
    check(gauge.registry, OPUS_KINDS, OPUS_USD, calls=2)


def test_a_stream_of_anthropic(gauge: AgentGauge, handler: BaseCallbackHandler, url: str, provider: Provider) -> None:
    """Its counts come in two events, which LangChain adds up."""
    provider.usage = OPUS_USAGE | {"cache_creation": None, "cache_creation_input_tokens": 1_000}
    for _ in claude(url).stream("When?", config={"callbacks": [handler]}):
        pass
    kinds = {kind: count for kind, count in OPUS_KINDS.items() if kind[1] != "cache_write_1h"}
    check(gauge.registry, kinds, OPUS_USD - 0.004)


def test_an_error_has_the_providers_code(
    gauge: AgentGauge, handler: BaseCallbackHandler, url: str, provider: Provider
) -> None:
    """Whoever the provider is."""
    provider.failures = [429, 404]
    with pytest.raises(openai.RateLimitError):
        chat(url).invoke("When?", config={"callbacks": [handler]})
    with pytest.raises(anthropic.NotFoundError):
        claude(url).invoke("When?", config={"callbacks": [handler]})
    assert shown(gauge.registry, "agent_llm_errors_total") == {
        (SOL, "rate_limit_exceeded"): 1,
        (OPUS, "model_not_found"): 1,
    }


class State(TypedDict):
    """Of the graph: what was said."""

    messages: Annotated[list[AnyMessage], operator.add]


def agent(model: ChatOpenAI, handled: bool = True) -> Any:
    """The agent of LangGraph's tutorial: a model that calls a tool until it has an answer."""
    bound = model.bind_tools([when_renews])

    def think(state: State) -> dict[str, Any]:
        return {"messages": [bound.invoke(state["messages"])]}

    graph = StateGraph(State)
    graph.add_node("think", think)
    graph.add_node("tools", ToolNode([when_renews], handle_tool_errors=handled))
    graph.add_edge(START, "think")
    graph.add_conditional_edges("think", tools_condition)
    graph.add_edge("tools", "think")
    return graph.compile(checkpointer=InMemorySaver())


def config(handler: BaseCallbackHandler) -> RunnableConfig:
    """Of a conversation."""
    return {"callbacks": [handler], "configurable": {"thread_id": "1"}}


ASK = {"messages": [HumanMessage("When does Globex renew?")]}


def test_a_graph_is_its_model_calls_and_its_tools(
    gauge: AgentGauge, handler: BaseCallbackHandler, url: str, provider: Provider
) -> None:
    """All of it belongs to the session, though LangGraph runs tools on threads of its own."""
    provider.usage, provider.tools = RESPONSE_USAGE, [("when_renews", {"account": "Globex"})]
    with gauge.session() as session, session.task() as task:
        end = agent(chat(url)).invoke(ASK, config(handler))
    assert end["messages"][-1].text == TEXT
    check(gauge.registry, SOL_KINDS, SOL_USD, calls=2)
    assert shown(gauge.registry, "agent_tool_calls_total") == {("when_renews", "success"): 1}
    assert total(gauge.registry, "agent_tool_duration_seconds_count") == 1
    assert session.cost_usd == pytest.approx(2 * SOL_USD)
    assert total(gauge.registry, "agent_session_tool_calls_sum") == 1
    assert task.model_turns == 2


async def test_an_async_graph_counts_the_same(
    gauge: AgentGauge, handler: BaseCallbackHandler, url: str, provider: Provider
) -> None:
    """The tool runs on a thread, the model in a task."""
    provider.usage, provider.tools = RESPONSE_USAGE, [("when_renews", {"account": "Globex"})]
    with gauge.session() as session:
        await agent(chat(url)).ainvoke(ASK, config(handler))
    check(gauge.registry, SOL_KINDS, SOL_USD, calls=2)
    assert shown(gauge.registry, "agent_tool_calls_total") == {("when_renews", "success"): 1}
    assert session.cost_usd == pytest.approx(2 * SOL_USD)


@pytest.mark.parametrize(("account", "error_type"), [("down", "TimeoutError"), ("unknown", "ToolException")])
def test_a_tool_that_fails_is_counted_with_its_cause(
    gauge: AgentGauge,
    handler: BaseCallbackHandler,
    url: str,
    provider: Provider,
    account: str,
    error_type: str,
) -> None:
    """Though the graph goes on and the model is told."""
    provider.usage, provider.tools = RESPONSE_USAGE, [("when_renews", {"account": account})]
    agent(chat(url)).invoke(ASK, config(handler))
    assert shown(gauge.registry, "agent_tool_errors_total") == {("when_renews", error_type): 1}


def test_a_tool_that_handles_its_error_failed_all_the_same(gauge: AgentGauge, handler: BaseCallbackHandler) -> None:
    """Its answer says so."""
    handled = when_renews.model_copy(update={"handle_tool_error": True})
    call = {"type": "tool_call", "id": "1", "name": "when_renews", "args": {"account": "unknown"}}
    assert handled.invoke(call, config={"callbacks": [handler]}).status == "error"
    assert shown(gauge.registry, "agent_tool_errors_total") == {("when_renews", "ToolException"): 1}


def test_an_interrupt_is_no_failure(
    gauge: AgentGauge, handler: BaseCallbackHandler, url: str, provider: Provider
) -> None:
    """The tool that waits for a person is counted once, when it has its answer."""
    provider.usage, provider.tools = RESPONSE_USAGE, [("when_renews", {"account": "asks"})]
    graph = agent(chat(url))
    assert "__interrupt__" in graph.invoke(ASK, config(handler))
    assert total(gauge.registry, "agent_tool_calls_total") == 0
    graph.invoke(Command(resume="yes"), config(handler))
    assert shown(gauge.registry, "agent_tool_calls_total") == {("when_renews", "success"): 1}
    check(gauge.registry, SOL_KINDS, SOL_USD, calls=2)


def test_what_the_model_asks_for_is_what_the_tool_got(provider: Provider, url: str) -> None:
    """The tests' own provider: its tool calls reach LangChain whole."""
    provider.usage, provider.tools = CHAT_USAGE, [("when_renews", {"account": "Globex"})]
    answer = chat(url).invoke("When?")
    assert json.dumps(answer.tool_calls[0]["args"]) == '{"account": "Globex"}'
