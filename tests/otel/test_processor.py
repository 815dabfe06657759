"""The span processor on the real SDKs: OpenTelemetry's, and Anthropic's, which writes spans of its own."""

from __future__ import annotations

import contextvars
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic, AsyncAnthropic
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Tracer
from prometheus_client import CollectorRegistry

from agentgauge import AgentGauge
from agentgauge.otel import SpanProcessor
from sample_agent.serving import serving
from tests.frameworks.bills import OPUS, OPUS_KINDS, OPUS_USAGE, OPUS_USD, check
from tests.frameworks.figures import shown, total
from tests.frameworks.provider import Provider
from tests.otel import spans
from tests.otel.series import counted

ASK: dict[str, Any] = {"model": OPUS, "max_tokens": 100, "messages": [{"role": "user", "content": "When?"}]}


@pytest.fixture
def traced(gauge: AgentGauge) -> Iterator[TracerProvider]:
    """What an agent that is traced already has, with the one line that it adds."""
    provider = TracerProvider()
    provider.add_span_processor(SpanProcessor(gauge))
    yield provider
    provider.shutdown()


@pytest.fixture
def tracer(traced: TracerProvider) -> Tracer:
    """For spans of the test's own."""
    return traced.get_tracer("a test")


@pytest.fixture
def provider() -> Provider:
    """What the provider answers."""
    return Provider(usage=OPUS_USAGE)


@pytest.fixture
def url(provider: Provider) -> Iterator[str]:
    """Where it answers."""
    with serving(provider.app()) as address:
        yield address


def talk(client: Anthropic, provider: Provider) -> None:
    """A call, one that streams, and one that fails."""
    client.messages.create(**ASK)
    with client.messages.stream(**ASK) as stream:
        stream.until_done()
    provider.failures = [429]
    with pytest.raises(anthropic.RateLimitError):
        client.messages.create(**ASK)


def test_the_anthropic_sdks_own_spans_are_what_the_middleware_records(
    gauge: AgentGauge, traced: TracerProvider, url: str, provider: Provider
) -> None:
    """Series by series: calls, errors, tokens of each kind, cost, and the session's."""
    direct = AgentGauge("a", registry=CollectorRegistry())
    with (
        Anthropic(api_key="k", base_url=url, max_retries=0, middleware=[direct.anthropic()]) as client,
        direct.session(),
    ):
        talk(client, provider)
    with (
        Anthropic(api_key="k", base_url=url, max_retries=0, open_telemetry={"tracer_provider": traced}) as client,
        gauge.session(),
    ):
        talk(client, provider)
    assert counted(gauge.registry) == counted(direct.registry)
    assert shown(gauge.registry, "agent_llm_calls_total") == {(OPUS, "success"): 2, (OPUS, "error"): 1}
    assert shown(gauge.registry, "agent_llm_time_to_first_token_seconds_count") == {(OPUS,): 1}


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
async def test_with_the_middleware_a_call_counts_once(
    gauge: AgentGauge, traced: TracerProvider, url: str, stream: bool
) -> None:
    """The span is around it, and ends after it."""
    async with AsyncAnthropic(
        api_key="k", base_url=url, middleware=[gauge.anthropic()], open_telemetry={"tracer_provider": traced}
    ) as client:
        if stream:
            async with client.messages.stream(**ASK) as events:
                await events.until_done()
        else:
            await client.messages.create(**ASK)
    check(gauge.registry, OPUS_KINDS, OPUS_USD)


def test_retries_that_the_middleware_counts_are_one_span(
    gauge: AgentGauge, traced: TracerProvider, url: str, provider: Provider
) -> None:
    """Which is not counted after them, either."""
    provider.failures = [500]
    with Anthropic(
        api_key="k", base_url=url, middleware=[gauge.anthropic()], open_telemetry={"tracer_provider": traced}
    ) as client:
        client.messages.create(**ASK)
    assert shown(gauge.registry, "agent_llm_calls_total") == {(OPUS, "success"): 1, (OPUS, "error"): 1}


@pytest.mark.parametrize("model", [OPUS, f"anthropic/{OPUS}"])
def test_a_span_inside_a_call_that_an_adapter_records_is_that_call(
    gauge: AgentGauge, tracer: Tracer, model: str
) -> None:
    """The adapter of a framework records around the client's own span; the next call has no adapter."""
    call = gauge.llm_call(model)
    with tracer.start_as_current_span("chat", attributes=spans.CURRENT):
        pass
    call.fail("RateLimitError")
    assert shown(gauge.registry, "agent_llm_calls_total") == {(OPUS, "error"): 1}
    with tracer.start_as_current_span("chat", attributes=spans.CURRENT):
        pass
    assert shown(gauge.registry, "agent_llm_calls_total") == {(OPUS, "error"): 1, (OPUS, "success"): 1}


def test_another_model_called_meanwhile_is_another_call(gauge: AgentGauge, tracer: Tracer) -> None:
    """As where a stream is read, and a small model asked what to make of it."""
    call = gauge.llm_call("claude-haiku-4-5")
    with tracer.start_as_current_span("chat", attributes=spans.CURRENT):
        pass
    call.fail("RateLimitError")
    assert total(gauge.registry, "agent_llm_calls_total") == 2


def test_a_call_that_was_given_up_hides_no_other(gauge: AgentGauge, tracer: Tracer) -> None:
    """Nobody holds it any more."""
    call = gauge.llm_call(OPUS)
    del call
    with tracer.start_as_current_span("chat", attributes=spans.CURRENT):
        pass
    check(gauge.registry, OPUS_KINDS, OPUS_USD)


def test_a_tool_that_the_decorator_records_counts_once(gauge: AgentGauge, tracer: Tracer) -> None:
    """The span of a framework is around it; without the decorator, the span is the tool."""

    @gauge.tool()
    def find_order() -> None:
        pass

    said = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "find_order"}
    with tracer.start_as_current_span("execute_tool find_order", attributes=said):
        find_order()
    assert shown(gauge.registry, "agent_tool_calls_total") == {("find_order", "success"): 1}
    with tracer.start_as_current_span("execute_tool find_order", attributes=said):
        pass
    assert shown(gauge.registry, "agent_tool_calls_total") == {("find_order", "success"): 2}


def test_what_is_recorded_beside_a_span_that_is_not_current_counts_once(
    gauge: AgentGauge, traced: TracerProvider, tracer: Tracer, url: str
) -> None:
    """A framework's span of a call and of a tool, between whose ends the middleware and the decorator count them."""

    @gauge.tool()
    def find_order() -> None:
        pass

    call = tracer.start_span("ChatAnthropic", attributes=spans.OPENINFERENCE)
    with Anthropic(
        api_key="k", base_url=url, middleware=[gauge.anthropic()], open_telemetry={"tracer_provider": traced}
    ) as client:
        client.messages.create(**ASK)
    call.end()
    tool = tracer.start_span("find_order", attributes={"openinference.span.kind": "TOOL", "tool.name": "find_order"})
    find_order()
    tool.end()
    check(gauge.registry, OPUS_KINDS, OPUS_USD)
    assert shown(gauge.registry, "agent_tool_calls_total") == {("find_order", "success"): 1}


def test_only_the_outermost_run_is_a_task(gauge: AgentGauge, traced: TracerProvider, tracer: Tracer) -> None:
    """Of the spans of one instrumentation, whatever is around them of others."""
    run = {"gen_ai.operation.name": "invoke_agent"}
    http = traced.get_tracer("a web framework")
    with (
        http.start_as_current_span("POST /ask"),
        tracer.start_as_current_span("seller", attributes=run),
        tracer.start_as_current_span("research", attributes=run),
    ):
        pass
    assert shown(gauge.registry, "agent_tasks_total") == {("completed",): 1}


def test_a_span_belongs_to_the_session_that_it_began_in(gauge: AgentGauge, tracer: Tracer) -> None:
    """It may end elsewhere, as where a stream is closed by another thread."""
    with gauge.session() as session:
        span = tracer.start_span("chat", attributes=spans.CURRENT)
        with ThreadPoolExecutor(1) as pool:
            pool.submit(contextvars.Context().run, span.end).result()
        assert session.cost_usd == pytest.approx(OPUS_USD)


def test_a_call_belongs_to_the_conversation_of_the_span_around_it(
    gauge: AgentGauge, traced: TracerProvider, tracer: Tracer
) -> None:
    """Frameworks write it on the run alone."""
    told = {name: value for name, value in spans.CURRENT.items() if name != "gen_ai.conversation.id"}
    run = {"gen_ai.operation.name": "invoke_agent", "gen_ai.conversation.id": "c-9"}
    with tracer.start_as_current_span("run", attributes=run), tracer.start_as_current_span("step"):
        tracer.start_span("chat", attributes=told).end()
    traced.shutdown()
    assert total(gauge.registry, "agent_session_cost_usd_sum") == pytest.approx(OPUS_USD)
    assert total(gauge.registry, "agent_session_turns_sum") == 1


def test_a_dot_on_a_panel_leads_to_the_span_that_ended(gauge: AgentGauge, tracer: Tracer) -> None:
    """Not to the one around it, which is active when it is counted."""
    with tracer.start_as_current_span("run"):
        ended = tracer.start_span("chat", attributes=spans.CURRENT)
        ended.end()
    (exemplar,) = (
        sample.exemplar.labels
        for metric in gauge.registry.collect()
        for sample in metric.samples
        if sample.name == "agent_llm_duration_seconds_bucket" and sample.exemplar
    )
    assert exemplar["span_id"] == f"{ended.get_span_context().span_id:016x}"


FORKS = """
import os, threading
from opentelemetry.sdk.trace import TracerProvider
from agentgauge import AgentGauge
from agentgauge.otel import SpanProcessor
gauge = AgentGauge("a")
provider = TracerProvider()
provider.add_span_processor(SpanProcessor(gauge))
run = {"gen_ai.operation.name": "invoke_agent"}
tracer = provider.get_tracer("x")
tracer.start_span("run", attributes=run | {"gen_ai.conversation.id": "c-1"}).end()
if os.fork() == 0:
    print("watched", any(thread.name == "agentgauge-otel" for thread in threading.enumerate()))
    tracer.start_span("run", attributes=run | {"gen_ai.conversation.id": "c-2"}).end()
    provider.shutdown()
    print("closed", gauge.registry.get_sample_value("agent_session_turns_count", {"agent": "a"}))
else:
    os.wait()
"""


def test_a_forked_worker_begins_without_its_parents_conversations() -> None:
    """Each would close them, and count them once more; its own it closes by itself."""
    result = subprocess.run([sys.executable, "-c", FORKS], capture_output=True, text=True, timeout=60, check=True)
    assert result.stdout.split() == ["watched", "True", "closed", "1.0"]


def test_an_exception_that_leaves_a_span_is_its_failure(gauge: AgentGauge, tracer: Tracer) -> None:
    """Its class, and no word of it."""
    said = {"openinference.span.kind": "TOOL", "tool.name": "find_order"}
    with pytest.raises(LookupError), tracer.start_as_current_span("tool", attributes=said):
        raise LookupError("Ms Miller has no orders")
    assert shown(gauge.registry, "agent_tool_errors_total") == {("find_order", "LookupError"): 1}


@pytest.mark.parametrize("end", ["on_start", "on_end"])
def test_a_fault_in_it_is_counted_and_reaches_nobody(
    gauge: AgentGauge, tracer: Tracer, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    """Telemetry never breaks the agent."""

    def broken(*_args: object) -> Callable[[], None]:
        raise RuntimeError

    monkeypatch.setattr("agentgauge.otel.processor." + {"on_start": "copy_context", "on_end": "_finished"}[end], broken)
    tracer.start_span("chat", attributes=spans.CURRENT).end()
    assert shown(gauge.registry, "agent_exporter_errors_total").keys() == {("llm",)}
