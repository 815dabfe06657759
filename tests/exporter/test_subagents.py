"""Subagents: each call counts for the innermost one, and what all have done adds up to what the agent has done."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import AsyncIterator

import pytest
from prometheus_client import CollectorRegistry

from agentgauge import AgentGauge, TokenUsage, carry_session, metrics

OPUS = "claude-opus-5-5"
DEPTH = 5


@pytest.fixture
def gauge(registry: CollectorRegistry) -> AgentGauge:
    """An agent of which nothing is known before."""
    return AgentGauge("a", registry=registry)


def shown(gauge: AgentGauge, spec: metrics.MetricSpec) -> dict[str, float]:
    """What each subagent has of a metric; zeros left out."""
    return {
        sample.labels["subagent"]: sample.value
        for metric in gauge.registry.collect()
        for sample in metric.samples
        if sample.name == spec.name and sample.labels["agent"] == "a" and sample.value
    }


def total(gauge: AgentGauge, spec: metrics.MetricSpec) -> float:
    """What the agent has of a metric, over all labels."""
    return sum(
        sample.value for metric in gauge.registry.collect() for sample in metric.samples if sample.name == spec.name
    )


def call(gauge: AgentGauge, tokens: int = 1000) -> None:
    """One call that succeeds."""
    gauge.llm_call(OPUS).finish(TokenUsage(input=tokens, output=tokens))


def test_a_call_counts_for_the_innermost_subagent_and_in_the_totals(gauge: AgentGauge) -> None:
    """What the agent does itself counts for none."""
    with gauge.session() as session, session.task():
        call(gauge)
        with gauge.subagent("researcher"):
            call(gauge)
            with gauge.subagent("reader"):
                call(gauge)
            gauge.llm_call(OPUS).fail("overloaded_error")
        call(gauge)
    assert shown(gauge, metrics.SUBAGENT_CALLS) == {"researcher": 2, "reader": 1}
    assert shown(gauge, metrics.SUBAGENT_TOKENS) == {"researcher": 2000, "reader": 2000}
    assert total(gauge, metrics.LLM_CALLS) == 5
    assert session.cost_usd == pytest.approx(total(gauge, metrics.LLM_COST))


def test_a_session_or_task_that_a_subagent_opens_is_its_own(gauge: AgentGauge) -> None:
    """The subagent stays in force."""
    with gauge.subagent("researcher"), gauge.session() as session, session.task():
        call(gauge)
        with session.attach():
            call(gauge)
    assert shown(gauge, metrics.SUBAGENT_CALLS) == {"researcher": 2}


def test_another_agent_of_the_process_has_no_subagent_of_this_one(gauge: AgentGauge) -> None:
    """Its totals would not add up."""
    other = AgentGauge("other", registry=gauge.registry)
    with gauge.subagent("researcher"):
        call(other)
    assert total(gauge, metrics.SUBAGENT_CALLS) == 0


def test_an_exception_ends_the_subagent(gauge: AgentGauge) -> None:
    """And passes through."""
    with pytest.raises(ZeroDivisionError), gauge.subagent("researcher"):
        raise ZeroDivisionError
    call(gauge)
    assert shown(gauge, metrics.SUBAGENT_CALLS) == {}


async def test_a_stream_that_is_left_in_another_task_ends_the_subagent(gauge: AgentGauge) -> None:
    """As an asynchronous generator may be."""

    async def stream() -> AsyncIterator[None]:
        with gauge.subagent("researcher"):
            yield

    one = stream()
    await asyncio.create_task(anext(one))  # type: ignore[arg-type]  # its __anext__ is a coroutine
    await one.aclose()  # type: ignore[attr-defined]  # a generator has it
    call(gauge)
    assert shown(gauge, metrics.SUBAGENT_CALLS) == {}


def test_names_beyond_the_bound_are_other_and_counted(gauge: AgentGauge) -> None:
    """Twenty have series of their own."""
    for number in range(23):
        with gauge.subagent(f"helper-{number}"):
            call(gauge)
    calls = shown(gauge, metrics.SUBAGENT_CALLS)
    assert len(calls) == 21
    assert calls["other"] == 3
    overflow = {"agent": "a", "metric": metrics.SUBAGENT_CALLS.name, "label": "subagent"}
    assert gauge.registry.get_sample_value(metrics.LABEL_OVERFLOW.name, overflow) == 3


class Work:
    """A tree of subagents that call models with random usage, and the bill of each by hand."""

    def __init__(self, gauge: AgentGauge, seed: int) -> None:
        self.gauge = gauge
        self.rng = random.Random(seed)  # noqa: S311 - a seed makes the work repeatable
        self.tokens: dict[str, int] = {}
        self.usd: dict[str, float] = {}
        self.lock = threading.Lock()

    def call(self, name: str) -> None:
        """One call, billed to the name."""
        with self.lock:
            usage = TokenUsage(
                input=self.rng.randint(1, 9999),
                cache_read=self.rng.randint(0, 50_000),
                cache_write_1h=self.rng.randint(0, 999),
                output=self.rng.randint(1, 999),
            )
            self.tokens[name] = self.tokens.get(name, 0) + usage.total
            self.usd[name] = self.usd.get(name, 0) + (self.gauge.prices.cost_usd(OPUS, usage) or 0)
        self.gauge.llm_call(OPUS).finish(usage)

    async def delegate(self, name: str, depth: int) -> None:
        """Call, hand over to three subagents at once, and call again."""
        self.call(name)
        await asyncio.sleep(0)
        if depth < DEPTH:
            await asyncio.gather(*(self._hand_over(depth, helper) for helper in range(3)))
        self.call(name)

    async def _hand_over(self, depth: int, helper: int) -> None:
        name = f"level-{depth + 1}-{helper}"
        with self.gauge.subagent(name):
            if helper == 2:  # one of them is a function that blocks, on a thread
                await asyncio.to_thread(self._in_threads, name)
            await self.delegate(name, depth + 1)

    def _in_threads(self, name: str) -> None:
        threads = [threading.Thread(target=carry_session(self.call), args=(name,)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


async def test_all_subagents_and_the_agent_itself_add_up_to_the_totals(gauge: AgentGauge) -> None:
    """To the cent and the token, five deep, in tasks and threads at once."""
    work = Work(gauge, seed=7)
    with gauge.session() as session:
        await work.delegate("the agent itself", depth=0)
    tokens, usd = shown(gauge, metrics.SUBAGENT_TOKENS), shown(gauge, metrics.SUBAGENT_COST)
    own_tokens, own_usd = work.tokens.pop("the agent itself"), work.usd.pop("the agent itself")
    assert len(tokens) == 3 * DEPTH
    assert tokens == work.tokens
    assert usd == pytest.approx(work.usd, abs=1e-6)
    assert sum(tokens.values()) + own_tokens == total(gauge, metrics.LLM_TOKENS)
    assert sum(usd.values()) + own_usd == pytest.approx(total(gauge, metrics.LLM_COST), abs=1e-6)
    assert session.cost_usd == pytest.approx(total(gauge, metrics.LLM_COST), abs=1e-6)
    assert sum(shown(gauge, metrics.SUBAGENT_CALLS).values()) + 2 == total(gauge, metrics.LLM_CALLS)
