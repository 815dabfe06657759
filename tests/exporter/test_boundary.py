"""Cannot raise, cannot blind: whatever is handed over, the agent goes on and every scrape can be read."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from agentgauge import AgentGauge
from agentgauge.boundary import LONGEST_LABEL
from agentgauge.pricing import TokenUsage
from agentgauge.session import llm_step

EXAMPLES = int(os.environ.get("EXAMPLES", "100"))
LARGEST_SCRAPE = 3_000_000

TEXT = st.one_of(
    st.text(st.characters(), max_size=20),
    st.text(st.characters(categories=["Cs", "Cc", "Co", "Cn"]), min_size=1, max_size=3),
    st.sampled_from(["x" * 1_000_000, "\ud800", 'a"b\\c\n', "search", "claude-opus-5", "openai/gpt-6-sol", ""]),
)
NUMBERS = st.one_of(
    st.integers(),
    st.floats(),
    st.decimals(),
    st.sampled_from([-1, 10**400, math.nan, math.inf, -math.inf, Decimal("sNaN"), True, 1e300]),
)
ANYTHING: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    TEXT,
    NUMBERS,
    st.binary(max_size=5),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(TEXT, NUMBERS, max_size=1),
    st.builds(object),
)
USAGE: st.SearchStrategy[Any] = st.one_of(
    ANYTHING,
    st.builds(TokenUsage, input=ANYTHING, cache_read=ANYTHING, output=ANYTHING, web_searches=ANYTHING, terms=ANYTHING),
    st.builds(TokenUsage, input=st.integers(0, 10**6), output=st.integers(0, 10**5)),
)


def tool(gauge: AgentGauge, draw: Callable[[st.SearchStrategy[Any]], Any]) -> None:
    """A call of some tool."""
    with gauge.tool_call(draw(ANYTHING), cost_usd=draw(ANYTHING)) as call:
        call.add_cost(draw(ANYTHING))
        call.batch(draw(ANYTHING))
        if draw(st.booleans()):
            call.fail(draw(ANYTHING))


def model(gauge: AgentGauge, draw: Callable[[st.SearchStrategy[Any]], Any]) -> None:
    """A call of some model, by some step."""
    with llm_step(draw(ANYTHING)):
        call = gauge.llm_call(draw(ANYTHING), provider=draw(ANYTHING))
        call.first_token()
        call.served_by(draw(ANYTHING))
        call.took(draw(ANYTHING), draw(ANYTHING))
        call.also_used(draw(st.one_of(ANYTHING, st.lists(st.tuples(ANYTHING, USAGE), max_size=2))))
        if draw(st.booleans()):
            call.finish(draw(USAGE), draw(ANYTHING))
        else:
            call.fail(draw(ANYTHING), draw(USAGE))


def conversation(gauge: AgentGauge, draw: Callable[[st.SearchStrategy[Any]], Any]) -> None:
    """A session with a task, and all that can be said in it."""
    with gauge.session(draw(ANYTHING), session_id=draw(ANYTHING)) as session:
        with session.task(model_turns=draw(ANYTHING)) as task, task.turn(), gauge.subagent(draw(ANYTHING)):
            tool(gauge, draw)
            model(gauge, draw)
        session.add_cost(draw(ANYTHING))
        session.feedback(draw(ANYTHING), draw(ANYTHING))


def around(gauge: AgentGauge, draw: Callable[[st.SearchStrategy[Any]], Any]) -> None:
    """What is said outside of conversations."""
    gauge.cache_lookup(draw(ANYTHING), draw(ANYTHING), draw(ANYTHING))
    gauge.set_build_info(draw(ANYTHING), draw(ANYTHING))


@pytest.fixture(scope="module")
def registry() -> CollectorRegistry:
    """One for all examples: what one of them breaks stays broken."""
    return CollectorRegistry()


@pytest.fixture(scope="module")
def gauge(registry: CollectorRegistry) -> AgentGauge:
    """An agent that knows a tool."""
    return AgentGauge("a", tools=["search"], registry=registry)


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_nothing_raises_and_every_scrape_can_be_read(
    gauge: AgentGauge, registry: CollectorRegistry, data: st.DataObject
) -> None:
    """Run longer with `EXAMPLES=100000`."""
    data.draw(st.sampled_from([tool, model, conversation, around]))(gauge, data.draw)
    text = generate_latest(registry).decode()
    assert len(text) < LARGEST_SCRAPE
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            assert math.isfinite(sample.value), sample
            assert sample.value >= 0, sample
            assert all(len(value) <= LONGEST_LABEL for value in sample.labels.values())


@pytest.mark.parametrize("bad", [None, "1", math.nan, math.inf, -1, 10**400], ids=repr)
def test_an_amount_that_is_none_is_dropped_and_counted(bad: Any) -> None:
    """What was right before and after it stays."""
    registry = CollectorRegistry()
    gauge = AgentGauge("a", tools=["t"], registry=registry)
    with gauge.session() as session, gauge.tool_call("t", cost_usd=0.25) as call:
        call.add_cost(bad)
        session.add_cost(bad)
        session.add_cost(0.5)
    assert session.cost_usd == 0.75
    for site in ("tool", "session"):
        labels = {"agent": "a", "site": site}
        assert registry.get_sample_value("agent_exporter_errors_total", labels) == 1


def test_tokens_that_are_none_are_unknown_not_lost() -> None:
    """The call counts, and so does that its usage could not be read."""
    registry = CollectorRegistry()
    gauge = AgentGauge("a", registry=registry)
    gauge.llm_call("claude-opus-5").finish(TokenUsage(input=-5, output=3))
    labels = {"agent": "a", "model": "claude-opus-5"}
    assert registry.get_sample_value("agent_llm_calls_total", labels | {"outcome": "success"}) == 1
    assert registry.get_sample_value("agent_llm_usage_unknown_total", labels) == 1
    assert registry.get_sample_value("agent_llm_tokens_total", labels | {"kind": "output"}) == 0


@pytest.mark.parametrize("name", ["\ud800", "x" * 129], ids=["not Unicode", "too long"])
def test_a_name_of_the_agent_that_no_scrape_can_carry_is_refused_at_the_start(name: str) -> None:
    """Its author is there to read it."""
    with pytest.raises(ValueError, match="not valid Unicode or longer than 128 characters"):
        AgentGauge(name, registry=CollectorRegistry())
