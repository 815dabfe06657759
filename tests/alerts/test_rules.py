"""The committed rules, judged by the real promtool on hand-written series: firing, and silent."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from agentgauge import SessionLimits, metrics
from alerts import catalog, promql, thresholds
from alerts.deployment import DEMO
from alerts.rules import RenderedAlert, render, rule_files
from tests.alerts import promtool
from tests.alerts.promtool import RENDERED, RULES, Scenario, scenarios
from tests.dashboards import boards


@pytest.mark.scenarios
@pytest.mark.parametrize("scenario", scenarios(), ids=str)
def test_scenario(scenario: Scenario, programs: dict[str, Path], tmp_path: Path) -> None:
    """The alert fires and stays silent when the scenario says so, with the labels and the sentence it says."""
    rules = tmp_path / "rules.yml"
    rules.write_text(json.dumps({"groups": [promtool.rules_of(scenario.alert)]}), encoding="utf-8")
    result = promtool.run(programs["promtool"], [rules], [scenario], tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_alert_has_a_worded_scenario() -> None:
    """What a page says is judged as well as when it comes."""
    worded = {one.alert for one in scenarios() if any("says" in verdict for verdict in one.verdicts)}
    assert worded == RENDERED.keys()


def test_every_scenario_is_of_an_alert_and_every_verdict_says_something() -> None:
    """A mistyped name or key would test nothing."""
    for scenario in scenarios():
        assert scenario.alert in RENDERED
        for verdict in scenario.verdicts:
            assert verdict.keys() <= {"at", "silent", "firing", "says"}
            assert ("silent" in verdict) != ("firing" in verdict)
        for series, values in scenario.series.items():
            assert isinstance(values, str), f"{scenario}: quote the values of {series}: YAML reads 0x40 as 64"


@pytest.mark.parametrize("path", RULES, ids=lambda path: str(path.name))
def test_promtool_finds_nothing_to_complain_about(path: Path, programs: dict[str, Path]) -> None:
    """Syntax and lint, duplicates included."""
    command = [str(programs["promtool"]), "check", "rules", "--lint=all", "--lint-fatal", str(path)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("item", RENDERED.values(), ids=lambda item: str(item.alert.name))
def test_every_alert_carries_what_a_page_needs(item: RenderedAlert) -> None:
    """Severity, a static summary, a description with numbers, and links that are derived."""
    assert item.numbers.severity in ("critical", "warning", "info", "none")
    assert "{{" not in item.alert.summary
    assert item.alert.summary.endswith(".")
    agent = "?agent={{ $labels.agent | urlquery }}" if "agent" in item.alert.labels else ""
    assert item.runbook_url == f"{DEMO.runbooks}/{item.alert.name}/{agent}"
    assert "viewPanel=panel-" in item.dashboard_url
    values = "&".join(f"{label}={{{{ $labels.{label} | urlquery }}}}" for label in item.alert.labels)
    assert item.incident_url == f"{DEMO.incidents}/incident/{item.alert.name}/" + (f"?{values}" if values else "")
    if item.numbers.threshold:
        assert str(item.numbers.threshold) in item.description
    for label in item.alert.labels:
        assert f"$labels.{label} " in item.description or label == "tool"


@pytest.mark.parametrize("item", RENDERED.values(), ids=lambda item: str(item.alert.name))
def test_labels_used_in_templates_survive_the_aggregation(item: RenderedAlert) -> None:
    """A label that the query aggregates away would be an empty string in the page."""
    used = {part.split("}")[0].split(" ")[0] for part in (item.description + item.dashboard_url).split("$labels.")[1:]}
    assert used <= set(item.alert.labels)


def test_every_metric_in_a_rule_is_declared() -> None:
    """A rule on a metric that nobody emits never fires."""
    records = {record.name for record in catalog.RECORDS}
    for item in RENDERED.values():
        for name in re.findall(r"\bagent_[a-z0-9_:]+|\bagent:[a-z0-9_:]+", re.sub(r'"[^"]*"', "", item.expr)):
            assert name in records or metrics.by_name(name)


def test_every_metric_is_read_by_a_rule_or_a_panel() -> None:
    """What nobody reads costs every agent a series, and nobody notices when it is wrong."""
    read = set()
    for path in RULES:
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]:
            read |= {spec for rule in group["rules"] for spec in promql.metrics_named(rule["expr"])}
    for dashboard in boards.GENERATED.values():
        read |= {spec for query in boards.expressions(dashboard) for spec in promql.metrics_named(query)}
    declared = {spec for spec in vars(metrics).values() if isinstance(spec, metrics.MetricSpec)}
    assert {spec.name for spec in declared - read} == set()


def test_the_numbers_are_those_of_the_contract() -> None:
    """The promise to users, written a second time on purpose."""
    promised = {
        "AgentAllToolCallsFailing": (None, 5, "4m", None, "critical"),
        "AgentToolSuccessRateLow": (0.95, 5, "5m", "2m", "critical"),
        "AgentToolLatencyHigh": (5, 5, "5m", "1m", "warning"),
        "AgentToolNewErrorType": (None, None, "10m", None, "warning"),
        "AgentMCPServerDown": (None, None, None, "2m", "critical"),
        "AgentMCPErrorsHigh": (0.05, 5, "5m", "2m", "warning"),
        "AgentGone": (None, None, "1h", "3m", "critical"),
        "AgentCrashLooping": (3, None, "15m", None, "critical"),
        "AgentHung": (300, None, None, "30s", "critical"),
        "AgentNoTraffic": (0.1, 10, "30m", None, "critical"),
        "AgentSessionLooping": (None, None, "10m", None, "critical"),
        "AgentLatencySpike": (10, 5, "5m", "1m", "critical"),
        "AgentSessionsAbandoned": (1, 10, "1h", "5m", "warning"),
        "AgentModelGone": (None, 3, "10m", None, "critical"),
        "AgentLLMErrorsHigh": (0.1, 5, "5m", "30s", "critical"),
        "AgentTaskCompletionLow": (0.8, 5, "1h", "3m", "critical"),
        "AgentTurnsIncreasing": (6, 10, "1h", "5m", "warning"),
        "AgentFallbackRateHigh": (0.15, 10, "1h", "5m", "warning"),
        "AgentAuditProblems": (0.05, 20, "1w", None, "critical"),
        "AgentApprovalRateLow": (0.6, 20, "1h", "5m", "critical"),
        "AgentActionUnresolved": (None, None, None, "5m", "critical"),
        "AgentApprovalQueueStalled": (None, None, "30m", "5m", "warning"),
        "AgentApprovalRateHigh": (0.98, 100, "1d", "1h", "warning"),
        "AgentEvalRegression": (None, None, None, None, "critical"),
        "AgentEvalStale": (7, None, None, "1h", "warning"),
        "AgentSpendOverBudget": (None, None, None, None, "critical"),
        "AgentCostSpike": (3, 1, "30m", "4m", "critical"),
        "AgentSessionCostRunaway": (None, None, "10m", None, "critical"),
        "AgentSessionCostOverLimit": (None, None, "10m", None, "warning"),
        "AgentSessionCostHigh": (0.5, 10, "1h", "5m", "warning"),
        "AgentUserDailyCostHigh": (None, None, None, None, "warning"),
        "AgentInputTokensHigh": (50_000, 10, "1h", "5m", "warning"),
        "AgentToolSpendAnomaly": (2, 1, "30m", "4m", "warning"),
        "AgentPromptCacheRegression": (0.5, 50, "30m", None, "warning"),
        "AgentUnpricedModel": (None, None, "1h", None, "warning"),
        "AgentUsageUnknown": (None, None, "1h", None, "warning"),
        "AgentPricesStale": (90, None, None, None, "info"),
        "AgentWrongAnswersReported": (0.01, 3, "1h", None, "critical"),
        "AgentNegativeFeedbackHigh": (0.2, 10, "1d", "10m", "warning"),
        "AgentActiveUsersDeclining": (0.9, 35, None, "6h", "warning"),
        "AgentFeedbackSilent": (None, 10, "3d", None, "warning"),
        "AgentRetentionLow": (0.3, 10, None, "6h", "warning"),
        "AgentExporterDown": (None, None, None, "2m", "critical"),
        "AgentExporterAbsent": (None, None, None, "5m", "critical"),
        "AgentGaugeWatchdog": (None, None, None, None, "none"),
        "PrometheusRuleFailures": (None, None, "5m", "15m", "critical"),
        "PrometheusNotConnectedToAlertmanagers": (None, None, "5m", "10m", "critical"),
        "PrometheusBadConfig": (None, None, "5m", "10m", "critical"),
        "AlertmanagerFailedToSendAlerts": (0.01, None, "10m", "5m", "critical"),
        "AlertmanagerFailedReload": (None, None, "5m", "10m", "critical"),
        "AgentTelemetryErrors": (None, None, "15m", None, "warning"),
        "AgentLabelOverflow": (None, None, "1h", None, "warning"),
        "AgentConfigError": (None, None, None, "5m", "warning"),
    }
    numbers = {
        name: (
            item.numbers.threshold.value if item.numbers.threshold else None,
            item.numbers.evidence.value if item.numbers.evidence else None,
            str(item.numbers.window) if item.numbers.window else None,
            str(item.numbers.for_) if item.numbers.for_ else None,
            item.numbers.severity,
        )
        for name, item in RENDERED.items()
    }
    assert numbers == promised
    assert SessionLimits() == SessionLimits(tool_calls=15, cost_usd=0.5, runaway_cost_usd=5)
    assert SessionLimits().of_a_user_day == 5


def test_shortened_clocks_shorten_every_duration_and_nothing_else() -> None:
    """Drills run the same rules ten times as fast."""
    fast = {item.alert.name: item for item in render(thresholds.load(), replace(DEMO, speed=10))}
    assert "[24s]" in fast["AgentAllToolCallsFailing"].expr
    assert str(fast["AgentToolSuccessRateLow"].numbers.for_) == "12s"
    records = rule_files(list(fast.values()), replace(DEMO, speed=10))["tools.yml"]
    assert 'increase(agent_tool_calls_total{tool!="other"}[30s])' in records
    assert "[60480s:1m] offset 1m" in fast["AgentToolNewErrorType"].expr.replace("1008m", "60480s")
    assert "(1 - 0.95)" in fast["AgentToolSuccessRateLow"].expr
    assert f"time() - {metrics.PROCESS_START} >= 90" in fast["AgentTelemetryErrors"].expr  # its window, in seconds
    assert f"time() - {metrics.PROCESS_START} >= 60" in records
    assert promql.metrics_named(fast["AgentAllToolCallsFailing"].expr) == [metrics.TOOL_CALLS]
