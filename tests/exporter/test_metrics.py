"""The declarations: complete, named as Prometheus wants it, bounded."""

from __future__ import annotations

import re

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.exposition import generate_latest

from agentgauge import AgentGauge, metrics

CONTRACT = [
    "agent_tool_calls_total",
    "agent_tool_errors_total",
    "agent_tool_duration_seconds",
    "agent_tool_cost_usd_total",
    "agent_tool_batch_size",
    "agent_cache_requests_total",
    "agent_cache_age_seconds",
    "agent_sessions_opened_total",
    "agent_sessions_active",
    "agent_session_limit",
    "agent_session_tool_calls",
    "agent_session_turns",
    "agent_session_cost_usd",
    "agent_sessions_over_limit_total",
    "agent_sessions_failing_total",
    "agent_turn_duration_seconds",
    "agent_turn_oldest_in_flight_seconds",
    "agent_tasks_total",
    "agent_task_turns",
    "agent_approvals_total",
    "agent_approval_wait_seconds",
    "agent_approvals_pending",
    "agent_approvals_oldest_pending_seconds",
    "agent_llm_calls_total",
    "agent_llm_errors_total",
    "agent_llm_duration_seconds",
    "agent_llm_time_to_first_token_seconds",
    "agent_llm_tokens_total",
    "agent_llm_input_tokens",
    "agent_llm_output_tokens",
    "agent_llm_cost_usd_total",
    "agent_llm_cost_without_cache_usd_total",
    "agent_llm_unpriced_tokens_total",
    "agent_llm_usage_unknown_total",
    "agent_subagent_calls_total",
    "agent_subagent_tokens_total",
    "agent_subagent_cost_usd_total",
    "agent_llm_prices_timestamp_seconds",
    "agent_mcp_operation_duration_seconds",
    "agent_mcp_session_duration_seconds",
    "agent_mcp_server_operation_duration_seconds",
    "agent_mcp_server_up",
    "agent_mcp_init_failures_total",
    "agent_feedback_total",
    "agent_active_users",
    "agent_user_days",
    "agent_user_retention_ratio",
    "agent_user_retention_cohort_users",
    "agent_user_cohort_active_users",
    "agent_users_last_hour",
    "agent_user_cost_usd",
    "agent_users_over_daily_cost",
    "agent_user_daily_cost_limit_usd",
    "agent_autonomy_stage",
    "agent_tool_autonomy",
    "agent_actions_total",
    "agent_actions_unresolved",
    "agent_shadow_decisions_total",
    "agent_audits_total",
    "agent_autonomy_changes_total",
    "agent_eval_score",
    "agent_eval_pass_ratio",
    "agent_eval_baseline_pass_ratio",
    "agent_eval_runs_total",
    "agent_eval_last_run_timestamp_seconds",
    "agent_build_info",
    "agent_process_start_timestamp_seconds",
    "agent_config_errors",
    "agent_exporter_errors_total",
    "agent_gateway_refused_total",
    "agent_exporter_label_overflow_total",
]
"""The public names, written a second time on purpose: changing one breaks other people's queries."""

BOUNDARIES_OF_THE_CONTRACT = [
    (metrics.TOOL_DURATION, 5),
    (metrics.TOOL_DURATION, 10),
    (metrics.SESSION_TOOL_CALLS, 15),
    (metrics.SESSION_TURNS, 0),
    (metrics.SESSION_TURNS, 1),
    (metrics.SESSION_COST, 0.5),
    (metrics.TURN_DURATION, 10),
    (metrics.TASK_TURNS, 6),
    (metrics.LLM_DURATION, 5),
    (metrics.LLM_DURATION, 10),
    (metrics.LLM_INPUT_TOKENS, 50_000),
]


def test_every_metric_of_the_contract_is_declared_and_no_other() -> None:
    """Names are public API: none is missing, none was renamed."""
    assert sorted(spec.name for spec in metrics.ALL) == sorted(CONTRACT)


@pytest.mark.parametrize("spec", metrics.ALL, ids=str)
def test_names_follow_prometheus_conventions(spec: metrics.MetricSpec) -> None:
    """Counters end in _total, nothing else does, and every metric explains itself."""
    assert re.fullmatch(r"agent_[a-z0-9_]+", spec.name)
    assert spec.name.endswith("_total") == (spec.kind == "counter")
    assert spec.help.endswith(".")


@pytest.mark.parametrize("spec", metrics.ALL, ids=str)
def test_every_label_has_a_bound_and_none_names_a_person_or_session(spec: metrics.MetricSpec) -> None:
    """Unbounded labels are the field's most common outage."""
    for label in spec.labels:
        assert label.values or label.limit or label.bound in ("tools", "models", "servers")
        assert label.name not in ("user_id", "session", "session_id", "request_id")
        assert (label.name == "user") == (spec is metrics.USER_COST and label.name == "user")


@pytest.mark.parametrize(("spec", "boundary"), BOUNDARIES_OF_THE_CONTRACT, ids=str)
def test_thresholds_are_bucket_boundaries(spec: metrics.MetricSpec, boundary: float) -> None:
    """A breach is counted, not interpolated."""
    assert float(spec.le(boundary)) == boundary


def test_a_value_between_buckets_is_refused_with_the_boundaries_to_choose_from() -> None:
    """The error names the metric, its boundaries and the file to change."""
    with pytest.raises(
        ValueError, match=r"7 is not a bucket boundary of agent_tool_duration_seconds .*5, 10.*metrics\.py"
    ):
        metrics.TOOL_DURATION.le(7)


def test_a_bucket_label_is_written_as_it_is_exposed(registry: CollectorRegistry) -> None:
    """A query with le="5" would match nothing where the exposition says le="5.0"."""
    AgentGauge("a", tools=["t"], registry=registry)
    exposed = generate_latest(registry).decode()  # type: ignore[no-untyped-call]  # it has no types
    for spec, boundary in BOUNDARIES_OF_THE_CONTRACT:
        if spec is not metrics.LLM_DURATION and spec is not metrics.LLM_INPUT_TOKENS:  # these need a model
            assert re.search(rf'{spec.bucket}{{.*le="{re.escape(spec.le(boundary))}"', exposed)


def test_a_series_name_leads_back_to_its_metric() -> None:
    """Docs and dashboards look up ``…_bucket`` and find the histogram."""
    assert metrics.by_name("agent_tool_duration_seconds_bucket") is metrics.TOOL_DURATION
    with pytest.raises(KeyError):
        metrics.by_name("agent_no_such_metric")
