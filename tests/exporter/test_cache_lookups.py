"""Look-ups in a cache of tool results, and the session that code works for."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from agentgauge import AgentGauge


def lookups(gauge: AgentGauge, tool: str, result: str) -> float | None:
    """How many look-ups ended so."""
    labels = {"agent": "a", "tool": tool, "result": result}
    return gauge.registry.get_sample_value("agent_cache_requests_total", labels)


def test_look_ups_are_counted_by_result_and_hits_with_their_age(registry: CollectorRegistry) -> None:
    """Nothing is shown before the first one, for no alert needs that; only what was served has an age."""
    gauge = AgentGauge("a", tools=["t"], registry=registry)
    assert [lookups(gauge, "t", result) for result in ("hit", "miss", "expired", "bypass")] == [None] * 4
    gauge.cache_lookup("t", "miss")
    gauge.cache_lookup("t", "hit", 250)
    assert [lookups(gauge, "t", result) for result in ("hit", "miss")] == [1, 1]
    labels = {"agent": "a", "tool": "t"}
    assert registry.get_sample_value("agent_cache_age_seconds_sum", labels) == 250
    assert registry.get_sample_value("agent_cache_age_seconds_count", labels) == 1


def test_a_look_up_is_no_execution(registry: CollectorRegistry) -> None:
    """It counts neither as a tool call nor for the session; a caller adds what its model asked for."""
    gauge = AgentGauge("a", tools=["t"], registry=registry)
    with gauge.session() as session:
        gauge.cache_lookup("t", "hit", 1)
        assert session.tool_calls == 0
        session.add_tool_call()
    assert session.tool_calls == 1
    labels = {"agent": "a", "tool": "t", "outcome": "success"}
    assert registry.get_sample_value("agent_tool_calls_total", labels) == 0


def test_a_tool_that_nobody_registered_is_other(registry: CollectorRegistry) -> None:
    """As everywhere."""
    gauge = AgentGauge("a", tools=["t"], registry=registry)
    gauge.cache_lookup("u", "miss")
    assert lookups(gauge, "other", "miss") == 1


def test_code_finds_the_session_that_it_works_for(registry: CollectorRegistry) -> None:
    """Its own agent's, not that of another agent in the same process; none outside."""
    gauge, other = AgentGauge("a", registry=registry), AgentGauge("b", registry=registry)
    assert gauge.current_session() is None
    with gauge.session() as session:
        assert gauge.current_session() is session
        assert other.current_session() is None
    assert gauge.current_session() is None
