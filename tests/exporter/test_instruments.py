"""Labels stay in bounds, and closed label sets exist from the start."""

from __future__ import annotations

import logging

import pytest
from prometheus_client import CollectorRegistry

from agentgauge import AgentGauge, metrics


def value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    """The sample of agent ``a`` with these labels."""
    return registry.get_sample_value(name, {"agent": "a", **labels})


def test_series_with_known_labels_exist_at_zero_before_the_first_call(registry: CollectorRegistry) -> None:
    """The first failure must be an increase from 0, not a series born at 1."""
    AgentGauge("a", tools=["search"], models=["claude-opus-5-5"], registry=registry)
    assert value(registry, "agent_tool_calls_total", tool="search", outcome="error") == 0
    assert value(registry, "agent_tool_duration_seconds_count", tool="search") == 0
    assert value(registry, "agent_tasks_total", outcome="failed") == 0
    assert value(registry, "agent_sessions_over_limit_total", limit="tool_calls") == 0
    assert value(registry, "agent_sessions_over_limit_total", limit="cost") == 0
    assert value(registry, "agent_sessions_over_limit_total", limit="cost_runaway") == 0
    assert value(registry, "agent_llm_calls_total", model="claude-opus-5-5", outcome="error") == 0
    assert value(registry, "agent_exporter_errors_total", site="tool") == 0
    assert value(registry, "agent_exporter_label_overflow_total", metric="agent_tool_calls_total", label="tool") == 0


def test_overflow_is_counted_from_zero_for_the_metrics_that_an_agent_uses(registry: CollectorRegistry) -> None:
    """Zeros of all others would be a sixth of its series."""
    gauge = AgentGauge("a", tools=["search"], registry=registry)
    overflow = {"metric": "agent_tool_errors_total", "label": "error_type"}
    assert value(registry, "agent_exporter_label_overflow_total", **overflow) is None
    with gauge.tool_call("search") as call:
        call.fail("TimeoutError")
    assert value(registry, "agent_exporter_label_overflow_total", **overflow) == 0


def test_gauges_of_the_ledger_are_not_shown_as_zero(registry: CollectorRegistry) -> None:
    """A retention of 0 that nobody measured would page somebody."""
    AgentGauge("a", registry=registry)
    assert value(registry, "agent_user_retention_ratio") is None


def test_a_tool_that_is_registered_later_gets_its_series_at_zero(registry: CollectorRegistry) -> None:
    """Decorating a function is registering it."""
    gauge = AgentGauge("a", registry=registry)

    @gauge.tool("late")
    def late() -> None: ...

    assert value(registry, "agent_tool_calls_total", tool="late", outcome="error") == 0


def test_hallucinated_tools_fold_into_other_and_are_counted(
    registry: CollectorRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    """A thousand invented names are one series, one count each, and one line in the log that says what to do."""
    gauge = AgentGauge("a", tools=["search"], registry=registry)
    with caplog.at_level(logging.WARNING, logger="agentgauge"):
        for number in range(1000):
            with gauge.tool_call(f"invented_{number}"):
                pass
    assert value(registry, "agent_tool_calls_total", tool="other", outcome="success") == 1000
    assert value(registry, "agent_exporter_label_overflow_total", metric="agent_tool_calls_total", label="tool") == 1000
    warnings = [record.getMessage() for record in caplog.records if "agent_tool_calls_total" in record.getMessage()]
    assert len(warnings) == 1
    assert "tool 'invented_0' is not registered (registered: search)" in warnings[0]


def test_hallucinated_tools_do_not_grow_the_process(registry: CollectorRegistry) -> None:
    """The cache of children is keyed by what was kept, not by what was said."""
    gauge = AgentGauge("a", registry=registry)
    with gauge.tool_call("first_invention"):
        pass
    size = len(gauge.instruments._children)
    for number in range(100):
        with gauge.tool_call(f"invented_{number}"):
            pass
    assert len(gauge.instruments._children) == size


def test_text_that_is_no_identifier_is_not_logged(
    registry: CollectorRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    """A model may put a user's words where a tool name belongs."""
    gauge = AgentGauge("a", registry=registry)
    with caplog.at_level(logging.WARNING), gauge.tool_call("call jane@globex.example at home"):
        pass
    assert caplog.records
    assert "jane" not in caplog.text


def test_error_types_are_kept_up_to_forty_then_folded(registry: CollectorRegistry) -> None:
    """Exception classes made at run time cannot explode the label."""
    gauge = AgentGauge("a", tools=["t"], registry=registry)
    for number in range(60):
        with gauge.tool_call("t") as call:
            call.fail(f"Error{number}")
    kinds = {
        sample.labels["error_type"]
        for metric in registry.collect()
        for sample in metric.samples
        if sample.name == "agent_tool_errors_total"
    }
    assert len(kinds) == 41
    assert value(registry, "agent_tool_errors_total", tool="t", error_type="other") == 20


def test_models_are_labelled_by_the_price_tables_own_name(registry: CollectorRegistry) -> None:
    """A dated alias and its model are one series; an unknown model is other, a configured one is itself."""
    gauge = AgentGauge("a", models=["our-proxy-model"], registry=registry)
    assert gauge.model_label("claude-opus-5-5-20260901") == "claude-opus-5-5"
    assert gauge.model_label("our-proxy-model") == "our-proxy-model"
    assert gauge.model_label("claude-imaginary-9") == "other"


def test_an_unconfigured_model_gets_its_series_at_zero_with_its_first_call(registry: CollectorRegistry) -> None:
    """Its error series must be there before its first error."""
    gauge = AgentGauge("a", registry=registry)
    gauge.model_label("claude-sonnet-5-5")
    assert value(registry, "agent_llm_calls_total", model="claude-sonnet-5-5", outcome="error") == 0


def test_two_agents_share_a_registry(registry: CollectorRegistry) -> None:
    """One process may run several agents; the agent label tells them apart."""
    AgentGauge("a", tools=["t"], registry=registry)
    AgentGauge("b", tools=["u"], registry=registry)
    assert registry.get_sample_value("agent_sessions_opened_total", {"agent": "b"}) == 0
    assert value(registry, "agent_tool_calls_total", tool="u", outcome="success") is None


def test_a_new_prompt_version_replaces_the_old_series(registry: CollectorRegistry) -> None:
    """Two versions at 1 would both look live."""
    gauge = AgentGauge("a", version="1", prompt_version="v1", registry=registry)
    gauge.set_build_info("1", "v2")
    shown = [s for m in registry.collect() for s in m.samples if s.name == metrics.BUILD_INFO.name]
    assert [(sample.labels["prompt_version"], sample.value) for sample in shown] == [("v2", 1.0)]


@pytest.mark.parametrize("bad", ["", "  "])
def test_an_agent_without_a_name_is_refused_at_start_up(registry: CollectorRegistry, bad: str) -> None:
    """Bad arguments are said where they are written, not swallowed later."""
    with pytest.raises(ValueError, match="needs the agent's name"):
        AgentGauge(bad, registry=registry)


def test_a_string_of_tools_is_refused_at_start_up(registry: CollectorRegistry) -> None:
    """``tools="send_email"`` would register ten one-letter tools."""
    with pytest.raises(TypeError, match="lists of names"):
        AgentGauge("a", tools="send_email", registry=registry)


def test_an_unknown_value_of_a_closed_label_is_other_and_counted(registry: CollectorRegistry) -> None:
    """Also where the list of values has no `other` of its own."""
    gauge = AgentGauge("a", registry=registry)
    with gauge.session() as session:
        session.feedback("maybe")  # type: ignore[arg-type]  # what untyped callers do
    assert value(registry, "agent_feedback_total", rating="other", reason="none") == 1
    assert value(registry, "agent_exporter_label_overflow_total", metric="agent_feedback_total", label="rating") == 1


def test_a_first_call_of_an_unpriced_model_is_an_increase(registry: CollectorRegistry) -> None:
    """Its tokens are counted on a series that was there, at 0, before."""
    AgentGauge("a", registry=registry)
    assert value(registry, "agent_llm_unpriced_tokens_total", model="other") == 0
