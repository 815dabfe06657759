"""Agents that delegate, five deep and many at once, in each framework that lets them: whose calls those are."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import agents
import pytest
from agents import Agent as SdkAgent
from agents import OpenAIChatCompletionsModel, Runner
from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langgraph.graph import START, MessagesState, StateGraph
from openai import AsyncOpenAI
from opentelemetry.sdk.trace import TracerProvider
from pydantic import SecretStr
from pydantic_ai import Agent as PydanticAgent
from pydantic_ai.capabilities import Instrumentation
from pydantic_ai.models.instrumented import InstrumentationSettings
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from agentgauge import AgentGauge, carry_session
from agentgauge.adapters.langchain import callback_handler
from agentgauge.adapters.openai_agents import trace_processor
from agentgauge.adapters.pydantic_ai import capability
from agentgauge.otel import SpanProcessor
from tests.frameworks.bills import CHAT_USAGE, SOL
from tests.frameworks.delegation import AT_ONCE, ROOT, delegating, helpers, introduction
from tests.frameworks.figures import shown, total
from tests.frameworks.provider import Provider

ASK: Any = {"messages": [HumanMessage("When does Globex renew?")]}


def chat(url: str) -> ChatOpenAI:
    """LangChain's model."""
    return ChatOpenAI(model=SOL, api_key=SecretStr("k"), base_url=url, max_retries=0)


def graph(model: ChatOpenAI, name: str, run_name: str | None = None) -> Any:
    """A graph that asks the model, then runs a graph for each of its helpers, at once."""

    def think(state: MessagesState) -> dict[str, Any]:
        return {"messages": [model.invoke([HumanMessage(introduction(name))])]}

    made = StateGraph(MessagesState)
    made.add_node("think", think)
    made.add_edge(START, "think")
    for helper in helpers(name):
        made.add_node(helper, graph(model, helper))
        made.add_edge("think", helper)
    return made.compile(name=run_name)


async def run_graph(gauge: AgentGauge, url: str) -> None:
    """Runs of one graph at once; LangGraph runs its nodes on threads."""
    await graph(chat(url), ROOT).ainvoke(ASK, {"callbacks": [callback_handler(gauge)]})


def pydantic_agent(model: OpenAIChatModel, name: str, watched: Any) -> PydanticAgent[None, str]:
    """An agent whose tools run the agents that help it."""
    made = PydanticAgent(model, name=name, instructions=introduction(name), capabilities=[watched])
    for helper in helpers(name):
        made.tool_plain(name=f"ask_{helper}")(asking(pydantic_agent(model, helper, watched)))
    return made


def asking(agent: PydanticAgent[None, str]) -> Callable[[str], Awaitable[str]]:
    """A tool that runs this agent."""

    async def ask(input: str) -> str:
        return (await agent.run(input)).output

    return ask


async def run_pydantic(gauge: AgentGauge, url: str) -> None:
    """With the adapter."""
    await run_watched(url, capability(gauge))


async def run_traced(gauge: AgentGauge, url: str) -> None:
    """With the framework's own spans."""
    provider = TracerProvider()
    provider.add_span_processor(SpanProcessor(gauge))
    await run_watched(url, Instrumentation(InstrumentationSettings(tracer_provider=provider)))
    provider.shutdown()


async def run_watched(url: str, watched: Any) -> None:
    """A run of its own client."""
    async with AsyncOpenAI(api_key="k", base_url=url, max_retries=0) as client:
        model = OpenAIChatModel(SOL, provider=OpenAIProvider(openai_client=client))
        await pydantic_agent(model, ROOT, watched).run("When does Globex renew?")


def sdk_agent(client: AsyncOpenAI, name: str) -> SdkAgent:
    """An agent that has its helpers as tools."""
    tools: Any = [sdk_agent(client, helper).as_tool(f"ask_{helper}", "Knows more.") for helper in helpers(name)]
    model = OpenAIChatCompletionsModel(SOL, client)
    return SdkAgent(name=name, instructions=introduction(name), model=model, tools=tools)


async def run_sdk(gauge: AgentGauge, url: str) -> None:
    """The SDK is watched for the whole process."""
    async with AsyncOpenAI(api_key="k", base_url=url, max_retries=0) as client:
        await Runner.run(sdk_agent(client, ROOT), "When does Globex renew?")


RUNS = {"langgraph": run_graph, "pydantic-ai": run_pydantic, "pydantic-ai spans": run_traced, "openai-agents": run_sdk}
Run = Callable[[AgentGauge, str], Coroutine[Any, Any, None]]


@pytest.fixture
def _sdk_watched(gauge: AgentGauge) -> Iterator[None]:
    """In place of the SDK's own processor, which would send the traces to OpenAI."""
    agents.set_trace_processors([trace_processor(gauge)])
    yield
    agents.set_trace_processors([])


@pytest.mark.usefixtures("_sdk_watched")
@pytest.mark.parametrize("framework", RUNS)
async def test_all_subagents_and_the_agent_itself_add_up_to_the_totals(gauge: AgentGauge, framework: str) -> None:
    """Eight runs at once in the tasks of one thread, and in eight threads."""
    run: Run = RUNS[framework]
    with delegating() as (provider, url), gauge.session() as session:
        await asyncio.gather(*(run(gauge, url) for _ in range(AT_ONCE)))
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for ended in [pool.submit(carry_session(asyncio.run), run(gauge, url)) for _ in range(AT_ONCE)]:
                ended.result()
    provider.check(gauge.registry)
    assert session.cost_usd == pytest.approx(sum(provider.usd.values()))


def test_a_graph_within_a_graph_has_its_own_name_or_that_of_its_node_or_tool(
    gauge: AgentGauge, url: str, provider: Provider
) -> None:
    """A chain within a node is not a subagent, and neither is a node, unless it is said to be one."""
    provider.usage, model = CHAT_USAGE, chat(f"{url}/v1")
    named, unnamed = graph(model, "side-1", "researcher"), graph(model, "side-1")

    @tool
    def look_up(question: str) -> str:
        """Asks another agent."""
        return str(unnamed.invoke(ASK))

    chain: Any = RunnableLambda(lambda _: "When?") | model
    made = StateGraph(MessagesState)
    made.add_node("one", lambda state: named.invoke(state))
    made.add_node("two", lambda state: {"messages": [look_up.invoke("When?")]})
    made.add_node("three", lambda _state: {"messages": [chain.invoke("")]})
    made.add_node("writer", lambda state: {"messages": [model.invoke(state["messages"])]})
    for node in ("one", "two", "three", "writer"):
        made.add_edge(START, node)
    desk = made.compile(name="desk")
    desk.invoke(ASK, {"callbacks": [callback_handler(gauge, subagents=["writer"])]})
    assert total(gauge.registry, "agent_llm_calls_total") == 4
    assert shown(gauge.registry, "agent_subagent_calls_total") == {
        (name,): 1 for name in ("researcher", "look_up", "writer")
    }


def test_a_subagent_that_is_said_by_hand_is_further_in(gauge: AgentGauge, url: str, provider: Provider) -> None:
    """Within a graph that is one; one around all of the graphs is further out."""
    provider.usage, model = CHAT_USAGE, chat(f"{url}/v1")

    def think(state: MessagesState) -> dict[str, Any]:
        with gauge.subagent("reader"):
            model.invoke(state["messages"])
        return {"messages": [model.invoke(state["messages"])]}

    inner = StateGraph(MessagesState).add_node("think", think).add_edge(START, "think").compile()
    desk = StateGraph(MessagesState).add_node("researcher", inner).add_edge(START, "researcher").compile()
    with gauge.subagent("desk"):
        desk.invoke(ASK, {"callbacks": [callback_handler(gauge)]})
    assert shown(gauge.registry, "agent_subagent_calls_total") == {("reader",): 1, ("researcher",): 1}


async def test_an_agent_that_calls_itself_is_no_subagent(gauge: AgentGauge, url: str, provider: Provider) -> None:
    """And its session goes on when a run has ended."""
    provider.usage, provider.tools = CHAT_USAGE, [("again", {"input": "When?"})]
    async with AsyncOpenAI(api_key="k", base_url=f"{url}/v1", max_retries=0) as client:
        model = OpenAIChatModel(SOL, provider=OpenAIProvider(openai_client=client))
        agent = PydanticAgent(model, name="desk", capabilities=[capability(gauge)])
        agent.tool_plain(name="again")(asking(agent))
        await agent.run("When does Globex renew?")
    assert total(gauge.registry, "agent_llm_calls_total") == 3
    assert total(gauge.registry, "agent_subagent_calls_total") == 0
