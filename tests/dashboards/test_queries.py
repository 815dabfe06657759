"""PromQL for panels: matchers, holes and idioms."""

from __future__ import annotations

import pytest

from agentgauge import metrics
from alerts.promql import PromqlError
from dashboards import queries, shared


def test_the_where_hole_takes_the_labels_that_the_metric_carries() -> None:
    """A tool metric is narrowed by the tool, a session metric is not."""
    variables = ("job", "agent", "tool")
    assert queries.fill("<tool_calls>{<where>}", variables) == (
        'agent_tool_calls_total{job=~"$job", agent=~"$agent", tool=~"$tool"}'
    )
    assert queries.fill('<tasks>{<where>, outcome="failed"}', variables) == (
        'agent_tasks_total{job=~"$job", agent=~"$agent", outcome="failed"}'
    )
    assert queries.fill("<tool_duration.bucket>{<where>}", ("tool",)) == (
        'agent_tool_duration_seconds_bucket{tool=~"$tool"}'
    )


def test_an_unknown_metric_in_a_panel_is_an_error() -> None:
    """A typo is found by `make generate`, not by an empty panel."""
    with pytest.raises(PromqlError, match="TOOL_CALL"):
        queries.fill("<tool_call>{<where>}", ("job",))


@pytest.mark.parametrize(
    ("series", "matchers"),
    [
        ("up", 'job=~"$job", instance=~"$instance"'),
        ("scrape_duration_seconds", 'job=~"$job", instance=~"$instance"'),
        ("agent_verdict:agent_audits:increase1h", 'agent=~"$agent"'),
        ("ALERTS", 'agent=~"$agent|"'),
        ("prometheus_tsdb_head_series", 'job="prometheus"'),
        ("alertmanager_notifications_total", 'job="alertmanager"'),
    ],
)
def test_what_is_no_metric_of_an_agent_is_narrowed_by_what_it_has(series: str, matchers: str) -> None:
    """An alert without agent is everybody's; Prometheus and Alertmanager speak of themselves."""
    variables = ("job", "instance", "agent", "tool")
    assert queries.fill(f"{series}{{<where>}}", variables) == f"{series}{{{matchers}}}"


def test_a_series_that_nobody_knows_is_an_error() -> None:
    """Rather than a query that ignores what is chosen."""
    with pytest.raises(PromqlError, match="node_load1: which labels does it have"):
        queries.fill("node_load1{<where>}", ("job",))


def test_where_no_variable_fits_further_matchers_stand_alone() -> None:
    """No comma is left over."""
    assert queries.fill('<tasks>{<where>, outcome="failed"}', ("model",)) == 'agent_tasks_total{outcome="failed"}'


def test_a_state_is_shown_by_its_position_among_the_values_of_its_label() -> None:
    """Its name and colour stand in the same order."""
    stages, modes = metrics.AUTONOMY_STAGE.labels[-1].values, metrics.TOOL_AUTONOMY.labels[-1].values
    assert [state.text.replace("-", "_").replace(" ", "_") for state in shared.STAGES] == list(stages)
    assert len(shared.MODES) == len(modes)
    asked = queries.position("autonomy_stage", "agent")
    for index, stage in enumerate(stages):
        assert f'  {index} * max by (agent, stage) (<autonomy_stage>{{<where>, stage="{stage}"}})' in asked
