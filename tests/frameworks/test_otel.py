"""The span processor on real instrumentations, against what the agent's own instrumentation records of the same."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest
from anthropic import Anthropic
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from openai import OpenAI
from openinference.instrumentation.anthropic import AnthropicInstrumentor as OpenInference
from openinference.instrumentation.langchain import LangChainInstrumentor as OpenInferenceLangChain
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.anthropic import AnthropicInstrumentor as Traceloop
from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor
from opentelemetry.instrumentation.langchain import LangchainInstrumentor as TraceloopLangChain
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from prometheus_client import CollectorRegistry
from pydantic_ai import Agent
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.instrumented import InstrumentationSettings
from pydantic_ai.providers.anthropic import AnthropicProvider

from agentgauge import AgentGauge
from agentgauge.adapters import pydantic_ai as adapter
from agentgauge.adapters.langchain import callback_handler
from agentgauge.adapters.openai import http_client
from agentgauge.otel import SpanProcessor
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
from tests.frameworks.provider import Provider
from tests.otel.series import counted
from tests.otel.test_gateway import TOKEN, running

SAYS: list[Any] = [{"role": "user", "content": "When does Globex renew?"}]
ASK: dict[str, Any] = {"model": OPUS, "max_tokens": 100, "messages": SAYS}
FIVE_MINUTES = OPUS_USAGE | {"cache_creation": {"ephemeral_5m_input_tokens": 1_500, "ephemeral_1h_input_tokens": 0}}
"""These instrumentations do not tell how long what is written to the cache lasts."""

OF_THE_SPANS_AROUND = ("agent_session_cost_usd", "agent_session_tool_calls")
"""pydantic-ai tells the conversation of a run alone, and the gateway does not know what is around a call."""


@pytest.fixture
def traced(gauge: AgentGauge) -> Iterator[TracerProvider]:
    """With the agent's processor."""
    made = TracerProvider(resource=Resource({"service.name": gauge.agent}))
    made.add_span_processor(SpanProcessor(gauge))
    yield made
    made.shutdown()


@pytest.fixture
def direct() -> AgentGauge:
    """An agent of the same name, which is instrumented by hand."""
    return AgentGauge("a", registry=CollectorRegistry())


def ask_anthropic(client: Anthropic, provider: Provider) -> None:
    """A call, and one that fails."""
    client.messages.create(**ASK)
    provider.failures = [429]
    with pytest.raises(anthropic.RateLimitError):
        client.messages.create(**ASK)


@pytest.mark.parametrize("instrumentor", [OpenInference(), Traceloop()], ids=["openinference", "traceloop"])
def test_an_instrumentation_of_anthropic_is_what_the_middleware_records(
    gauge: AgentGauge,
    direct: AgentGauge,
    traced: TracerProvider,
    provider: Provider,
    url: str,
    instrumentor: Any,
) -> None:
    """Series by series, but for the error: these know the exception of the SDK, not the provider's code."""
    provider.usage = FIVE_MINUTES
    with (
        Anthropic(api_key="k", base_url=url, max_retries=0, middleware=[direct.anthropic()]) as client,
        direct.session(),
    ):
        ask_anthropic(client, provider)
    instrumentor.instrument(tracer_provider=traced)
    try:
        with Anthropic(api_key="k", base_url=url, max_retries=0) as client, gauge.session():
            ask_anthropic(client, provider)
    finally:
        instrumentor.uninstrument()
    assert shown(gauge.registry, "agent_llm_errors_total") == {(OPUS, "RateLimitError"): 1}
    errors = "agent_llm_errors_total"
    assert {series: value for series, value in counted(gauge.registry).items() if series[0] != errors} == {
        series: value for series, value in counted(direct.registry).items() if series[0] != errors
    }


def ask_openai(client: OpenAI, api: str) -> None:
    """A call, and one that streams."""
    if api == "responses":
        client.responses.create(model=SOL, input="When?")
        for _event in client.responses.create(model=SOL, input="When?", stream=True):
            pass
    else:
        client.chat.completions.create(model=SOL, messages=SAYS)
        for _chunk in client.chat.completions.create(
            model=SOL, messages=SAYS, stream=True, stream_options={"include_usage": True}
        ):
            pass


@pytest.mark.parametrize("api", ["responses", "completions"])
def test_the_instrumentation_of_openai_is_what_the_adapter_records(
    gauge: AgentGauge, direct: AgentGauge, traced: TracerProvider, provider: Provider, url: str, api: str
) -> None:
    """Series by series, in both protocols."""
    provider.usage = RESPONSE_USAGE if api == "responses" else CHAT_USAGE
    with OpenAI(api_key="k", base_url=f"{url}/v1", http_client=http_client(direct)) as client, direct.session():
        ask_openai(client, api)
    OpenAIInstrumentor().instrument(tracer_provider=traced)
    try:
        with OpenAI(api_key="k", base_url=f"{url}/v1") as client, gauge.session():
            ask_openai(client, api)
        with OpenAI(api_key="k", base_url=f"{url}/v1", max_retries=0) as client:
            provider.failures = [429]
            with pytest.raises(openai.RateLimitError):
                client.chat.completions.create(model=SOL, messages=SAYS)
    finally:
        OpenAIInstrumentor().uninstrument()
    assert shown(gauge.registry, "agent_llm_errors_total") == {(SOL, "RateLimitError"): 1}
    failed = ("agent_llm_errors_total", "agent_llm_calls_total", "agent_llm_duration_seconds_count")
    assert {series: value for series, value in counted(gauge.registry).items() if series[0] not in failed} == {
        series: value for series, value in counted(direct.registry).items() if series[0] not in failed
    }


def test_with_the_adapter_the_instrumentation_of_openai_counts_nothing_twice(
    gauge: AgentGauge, traced: TracerProvider, provider: Provider, url: str
) -> None:
    """Each is as it was without the other."""
    provider.usage = CHAT_USAGE
    OpenAIInstrumentor().instrument(tracer_provider=traced)
    try:
        with OpenAI(api_key="k", base_url=f"{url}/v1", http_client=http_client(gauge)) as client:
            ask_openai(client, "completions")
    finally:
        OpenAIInstrumentor().uninstrument()
    check(gauge.registry, SOL_KINDS, SOL_USD, calls=2)


def run_pydantic(client: anthropic.AsyncAnthropic, traced: TracerProvider, *capabilities: Any) -> Agent:
    """An agent that is traced by the framework, over an SDK that writes spans of its own."""
    model = AnthropicModel(OPUS, provider=AnthropicProvider(anthropic_client=client))
    agent = Agent(model, name="seller", capabilities=list(capabilities))
    agent.instrument = InstrumentationSettings(tracer_provider=traced)

    @agent.tool_plain
    def when_renews(account: str) -> str:
        """When an account renews."""
        return "March"

    return agent


@pytest.mark.parametrize("adapted", [False, True], ids=["spans alone", "adapter as well"])
async def test_a_framework_and_its_sdk_that_are_both_traced_are_counted_once(
    gauge: AgentGauge, traced: TracerProvider, provider: Provider, url: str, adapted: bool
) -> None:
    """Two calls and a tool, whoever else reports them: pydantic-ai, the SDK, and perhaps the adapter."""
    provider.usage, provider.tools = OPUS_USAGE, [("when_renews", {"account": "Globex"})]
    client = anthropic.AsyncAnthropic(api_key="k", base_url=url, open_telemetry={"tracer_provider": traced})
    capabilities = [adapter.capability(gauge)] if adapted else []
    async with client:
        await run_pydantic(client, traced, *capabilities).run("When does Globex renew?", conversation_id="c-1")
    traced.shutdown()
    assert shown(gauge.registry, "agent_llm_calls_total") == {(OPUS, "success"): 2}
    assert shown(gauge.registry, "agent_tool_calls_total") == {("when_renews", "success"): 1}
    assert shown(gauge.registry, "agent_tasks_total") == {("completed",): 1}
    if not adapted:
        assert total(gauge.registry, "agent_session_tool_calls_sum") == 1
        assert total(gauge.registry, "agent_session_cost_usd_sum") == total(gauge.registry, "agent_llm_cost_usd_total")


@tool
def when_renews(account: str) -> str:
    """When an account renews."""
    return "March"


def graph(url: str, traced: TracerProvider) -> Any:
    """An agent on LangGraph, over an SDK that writes spans of its own."""
    settings: dict[str, Any] = {"model": OPUS, "api_key": "k", "base_url": url, "max_tokens": 100}
    model = ChatAnthropic(**settings)
    sdk = Anthropic(api_key="k", base_url=url, open_telemetry={"tracer_provider": traced})
    model.__dict__["_client"] = sdk  # a cached property, which would make one for the registered provider
    bound = model.bind_tools([when_renews])

    def think(state: MessagesState) -> dict[str, Any]:
        return {"messages": [bound.invoke(state["messages"])]}

    made = StateGraph(MessagesState)
    made.add_node("think", think)
    made.add_node("tools", ToolNode([when_renews]))
    made.add_edge(START, "think")
    made.add_conditional_edges("think", tools_condition)
    made.add_edge("tools", "think")
    return made.compile()


# Before the next test: Traceloop's instrumentation of LangChain cannot be undone, and its spans stay around others.
@pytest.mark.parametrize("compression", [Compression.NoCompression, Compression.Gzip])
async def test_the_gateway_counts_what_the_processor_does(
    traced: TracerProvider, provider: Provider, url: str, registry: CollectorRegistry, compression: Compression
) -> None:
    """The same spans of two frameworks and the SDK below them, which also leave by OpenTelemetry's own exporter."""
    provider.usage = OPUS_USAGE
    with running(TOKEN, names={"a": "a"}) as door:
        exporter = OTLPSpanExporter(
            str(door.client.base_url.join("/v1/traces")),
            headers={"authorization": f"Bearer {TOKEN}"},
            compression=compression,
        )
        traced.add_span_processor(BatchSpanProcessor(exporter))
        client = anthropic.AsyncAnthropic(api_key="k", base_url=url, open_telemetry={"tracer_provider": traced})
        async with client:
            for conversation in ("c-1", "c-2"):
                provider.tools = [("when_renews", {"account": "Globex"})]
                await run_pydantic(client, traced).run("When does Globex renew?", conversation_id=conversation)
        OpenInferenceLangChain().instrument(tracer_provider=traced)
        try:
            provider.tools, asked = [("when_renews", {"account": "Globex"})], {"messages": [HumanMessage("When?")]}
            await asyncio.to_thread(graph(url, traced).invoke, asked)
        finally:
            OpenInferenceLangChain().uninstrument()
        await asyncio.to_thread(traced.shutdown)
        door.settle()
        received = door.registry
    assert total(registry, "agent_llm_calls_total") == 6
    assert total(registry, "agent_session_cost_usd_sum") > 0

    def comparable(one: CollectorRegistry) -> dict[Any, float]:
        return {
            series: value
            for series, value in counted(one).items()
            if ("agent", "a") in series[1] and not series[0].startswith(OF_THE_SPANS_AROUND)
        }

    assert comparable(received) == comparable(registry)


@pytest.mark.parametrize("adapted", [False, True], ids=["spans alone", "adapter as well"])
@pytest.mark.parametrize(
    "instrumentor", [OpenInferenceLangChain(), TraceloopLangChain()], ids=["openinference", "traceloop"]
)
def test_spans_that_stand_beside_each_other_are_one_call(
    gauge: AgentGauge, traced: TracerProvider, provider: Provider, url: str, instrumentor: Any, adapted: bool
) -> None:
    """An instrumentation of LangChain does not make its span the current one: that of the SDK is its neighbour."""
    provider.usage, provider.tools = OPUS_USAGE, [("when_renews", {"account": "Globex"})]
    config: Any = {"callbacks": [callback_handler(gauge)]} if adapted else {}
    instrumentor.instrument(tracer_provider=traced)
    try:
        asked: Any = {"messages": [HumanMessage("When does Globex renew?")]}
        graph(url, traced).invoke(asked, config)
    finally:
        instrumentor.uninstrument()
    check(gauge.registry, OPUS_KINDS, OPUS_USD, calls=2)
    assert shown(gauge.registry, "agent_tool_calls_total") == {("when_renews", "success"): 1}
    assert shown(gauge.registry, "agent_tasks_total") == {("completed",): 1}
