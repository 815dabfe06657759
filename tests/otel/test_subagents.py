"""Runs of agents inside runs of others, as spans tell them: whose the calls inside are."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Tracer

from agentgauge import AgentGauge
from agentgauge.otel import SpanProcessor
from tests.frameworks.bills import SOL
from tests.frameworks.delegation import AT_ONCE, ROOT, Delegating, helpers, introduction
from tests.frameworks.figures import shown, total
from tests.otel import spans

OPENTELEMETRY = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "{}"}
OPENINFERENCE = {"openinference.span.kind": "AGENT", "agent.name": "{}"}


@pytest.fixture
def traced(gauge: AgentGauge) -> Iterator[TracerProvider]:
    """With the agent's processor."""
    made = TracerProvider()
    made.add_span_processor(SpanProcessor(gauge))
    yield made
    made.shutdown()


@pytest.fixture
def tracer(traced: TracerProvider) -> Tracer:
    """Of a framework."""
    return traced.get_tracer("a framework")


def run_of(tracer: Tracer, name: str, convention: dict[str, str] = OPENTELEMETRY) -> Any:
    """The run of an agent."""
    attributes = {key: value.format(name) for key, value in convention.items()}
    return tracer.start_as_current_span(f"invoke_agent {name}", attributes=attributes)


def call(tracer: Tracer) -> None:
    """A call of a model."""
    tracer.start_span("chat", attributes=spans.CURRENT).end()


class Work:
    """Agents that make calls and delegate, with the bill that a provider notes."""

    def __init__(self, tracer: Tracer) -> None:
        self.tracer = tracer
        self.bill = Delegating()

    async def run(self, name: str) -> None:
        """A call before the helpers, which work at once, and a call after them."""
        with run_of(self.tracer, name):
            self._call(name)
            await asyncio.sleep(0)
            with self.tracer.start_as_current_span("a step of its own"):
                await asyncio.gather(*map(self.run, helpers(name)))
            self._call(name)

    def _call(self, name: str) -> None:
        told = self.bill.usage_of({"messages": introduction(name)})
        details = told["prompt_tokens_details"]
        usage = {
            "input_tokens": told["prompt_tokens"],
            "cache_read.input_tokens": details["cached_tokens"],
            "cache_write.input_tokens": details["cache_write_tokens"],
            "output_tokens": told["completion_tokens"],
        }
        attributes = {f"gen_ai.usage.{key}": value for key, value in usage.items()}
        answer = {"gen_ai.response.id": uuid4().hex}
        chat = {"gen_ai.operation.name": "chat", "gen_ai.request.model": SOL}
        self.tracer.start_span("chat", attributes=chat | attributes | answer).end()


async def test_all_subagents_and_the_agent_itself_add_up_to_the_totals(gauge: AgentGauge, tracer: Tracer) -> None:
    """Eight runs at once in the tasks of one thread, and in eight threads."""
    work = Work(tracer)
    await asyncio.gather(*(work.run(ROOT) for _ in range(AT_ONCE)))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for ended in [pool.submit(asyncio.run, work.run(ROOT)) for _ in range(AT_ONCE)]:
            ended.result()
    work.bill.check(gauge.registry)


@pytest.mark.parametrize("convention", [OPENTELEMETRY, OPENINFERENCE], ids=["opentelemetry", "openinference"])
def test_a_call_belongs_to_the_innermost_run(gauge: AgentGauge, tracer: Tracer, convention: dict[str, str]) -> None:
    """In either convention; the outermost run is the agent itself, whatever calls it again."""
    with run_of(tracer, "desk", convention):
        call(tracer)
        with run_of(tracer, "researcher", convention):
            call(tracer)
            with run_of(tracer, "desk", convention):
                call(tracer)
    assert total(gauge.registry, "agent_llm_calls_total") == 3
    assert shown(gauge.registry, "agent_subagent_calls_total") == {("researcher",): 1}


def test_two_instrumentations_of_one_run_make_no_subagent(
    gauge: AgentGauge, traced: TracerProvider, tracer: Tracer
) -> None:
    """They may call the agent by two names."""
    with run_of(traced.get_tracer("another"), "LangGraph"), run_of(tracer, "desk"):
        call(tracer)
    assert total(gauge.registry, "agent_subagent_calls_total") == 0


def test_a_subagent_that_is_said_by_hand_is_further_in(gauge: AgentGauge, tracer: Tracer) -> None:
    """Within the run that is one; around all of them it is further out."""
    with gauge.subagent("office"), run_of(tracer, "desk"), run_of(tracer, "researcher"):
        call(tracer)
        with gauge.subagent("reader"):
            call(tracer)
    assert shown(gauge.registry, "agent_subagent_calls_total") == {("reader",): 1, ("researcher",): 1}
