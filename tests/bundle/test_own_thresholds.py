"""Numbers of your own: a file that holds only what differs, for all agents or for one."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from alerts import links, thresholds
from alerts.promql import narrowed
from alerts.rules import RenderedAlert, render, rule_files
from alerts.thresholds import ThresholdError
from bundle.pages import render_pages
from dashboards.catalog import DASHBOARDS
from dashboards.panels import to_json
from tests.runbooks.pages import STRANGERS

SLOW_SEARCH = """
alerts:
  AgentLatencySpike:
    threshold: {value: 20, why: answers with reports take longer}
agents:
  billing_bot:
    AgentToolLatencyHigh:
      threshold: {value: 10, why: its search is slow}
      severity: info
"""


def rendered(tmp_path: Path, text: str) -> list[RenderedAlert]:
    """All alerts with these numbers over the shipped ones."""
    return render(loaded(tmp_path, text), STRANGERS)


def loaded(tmp_path: Path, text: str) -> thresholds.Thresholds:
    """The shipped numbers with these over them."""
    path = tmp_path / "my.yml"
    path.write_text(text, encoding="utf-8")
    return thresholds.load(overrides=path)


def test_what_a_file_does_not_say_stays_as_shipped(tmp_path: Path) -> None:
    """Field by field: the unit, the window and the evidence of the alert are still there."""
    shipped = thresholds.load().alerts
    mine = loaded(tmp_path, SLOW_SEARCH)
    spike = mine.alerts["AgentLatencySpike"]
    assert str(spike.threshold) == "20 s"
    assert spike.threshold
    assert spike.threshold.why == "answers with reports take longer"
    assert (spike.window, spike.evidence) == (
        shipped["AgentLatencySpike"].window,
        shipped["AgentLatencySpike"].evidence,
    )
    assert mine.alerts["AgentCostSpike"] == shipped["AgentCostSpike"]
    own = mine.agents["billing_bot"]["AgentToolLatencyHigh"]
    assert (str(own.threshold), own.severity, own.window) == ("10 s", "info", shipped["AgentToolLatencyHigh"].window)


def test_an_agents_numbers_stand_over_those_for_all_of_the_same_file(tmp_path: Path) -> None:
    """The nearest word counts: the agent's, then the file's, then the shipped one."""
    text = SLOW_SEARCH + "    AgentLatencySpike: {severity: warning}\n"
    own = loaded(tmp_path, text).agents["billing_bot"]["AgentLatencySpike"]
    assert (str(own.threshold), own.severity) == ("20 s", "warning")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("alrts: {}\n", r"my\.yml:1: alrts: unknown field; the known ones are alerts, agents"),
        (
            "alerts:\n  AgentCostSpik: {}\n",
            r"my\.yml:2: alerts\.AgentCostSpik: .* is not an alert of AgentGauge; did you mean AgentCostSpike\?",
        ),
        ("agents:\n  a:\n    X: {for: 5m}\n", r"my\.yml:3: agents\.a\.X: X is not an alert of AgentGauge"),
        ("agents:\n  'a b': {}\n", r"my\.yml:2: agents\.a b: expected the name of an agent"),
        (
            "agents:\n  a:\n    AgentToolLatencyHigh:\n      threshold: {value: 7}\n",
            r"my\.yml:3: threshold\.value: 7 is not a bucket boundary of .*5, 10",
        ),
        (
            "agents:\n  a:\n    AgentExporterDown: {for: 5m}\n",
            r"my\.yml:3: AgentExporterDown is not about one agent, so its numbers cannot differ for a",
        ),
        (
            "agents:\n  a:\n    AgentSessionLooping:\n      threshold: {value: 20, unit: count, why: w}\n",
            r"my\.yml:\d: threshold is given, but .*; that limit is the agent's own: SessionLimits",
        ),
        (
            "alerts:\n  AgentCostSpike: {severity: urgent}\n",
            r"my\.yml:2: alerts\.AgentCostSpike\.severity: 'urgent' is not one of",
        ),
        ("alerts: [\n", r"my\.yml:2: the file: is not valid YAML"),
    ],
)
def test_a_slip_is_named_by_file_line_and_field(tmp_path: Path, text: str, message: str) -> None:
    """The file of the operator, not the shipped one."""
    with pytest.raises(ThresholdError, match=message):
        rendered(tmp_path, text)


def test_an_agent_with_a_number_of_its_own_has_a_rule_of_its_own(tmp_path: Path, programs: dict[str, Path]) -> None:
    """The real Prometheus: 7 s fires for the others only, 20 s for everybody, and never twice for one."""
    items = rendered(tmp_path, SLOW_SEARCH)
    rules = tmp_path / "tools.yml"
    rules.write_text(rule_files(items)["tools.yml"], encoding="utf-8")
    lint = [str(programs["promtool"]), "check", "rules", "--lint=all", "--lint-fatal", str(rules)]
    assert subprocess.run(lint, capture_output=True, check=False).returncode == 0
    tests = [
        firing_test("5.0", "10.0", {"support_bot": "warning"}),
        firing_test("10.0", "30.0", {"support_bot": "warning", "billing_bot": "info"}),
    ]
    content = {"rule_files": [str(rules)], "evaluation_interval": "30s", "tests": tests}
    (tmp_path / "test.yml").write_text(json.dumps(content), encoding="utf-8")
    result = subprocess.run(
        [programs["promtool"], "test", "rules", tmp_path / "test.yml"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr


def firing_test(above: str, below: str, firing: dict[str, str]) -> dict[str, Any]:
    """Both agents' calls all last longer than one boundary and less than the next."""
    series = []
    for agent in ("support_bot", "billing_bot"):
        for le in ("2.5", "5.0", "10.0", "30.0", "+Inf"):
            slow = le != "+Inf" and float(le) <= float(above)
            name = f'agent_tool_duration_seconds_bucket{{agent="{agent}", tool="search", le="{le}"}}'
            series.append({"series": name, "values": "0x80" if slow else "0+5x80"})
        name = f'agent_tool_duration_seconds_count{{agent="{agent}", tool="search"}}'
        series.append({"series": name, "values": "0+5x80"})
        series.append({"series": f'agent_build_info{{agent="{agent}"}}', "values": "1x80"})
    samples = [
        {
            "labels": f'ALERTS{{agent="{agent}", alertname="AgentToolLatencyHigh", alertstate="firing", '
            f'severity="{severity}", tool="search"}}',
            "value": 1,
        }
        for agent, severity in firing.items()
    ]
    expression = 'ALERTS{alertname="AgentToolLatencyHigh", alertstate="firing"}'
    return {
        "name": f"between {above} and {below} s",
        "interval": "30s",
        "input_series": series,
        "promql_expr_test": [{"expr": expression, "eval_time": "30m", "exp_samples": samples}],
    }


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("sum(rate(agent_tool_calls_total[5m]))", 'sum(rate(agent_tool_calls_total{agent="a"}[5m]))'),
        ('agent_tool_calls_total{tool="x"} > 3', 'agent_tool_calls_total{tool="x", agent="a"} > 3'),
        ("agent:agent_spend_usd:last24h offset 1d", 'agent:agent_spend_usd:last24h{agent="a"} offset 1d'),
        ("max by (agent) (up) and on (agent) vector(1)", "max by (agent) (up) and on (agent) vector(1)"),
        ('absent(ALERTS{alertname="agent_tool_calls_total"})', 'absent(ALERTS{alertname="agent_tool_calls_total"})'),
    ],
)
def test_narrowing_adds_the_matcher_to_every_series_of_ours(query: str, expected: str) -> None:
    """And to nothing else: not to labels, functions or texts."""
    assert narrowed(query, 'agent="a"') == expected


def test_every_alert_about_an_agent_can_be_narrowed(tmp_path: Path, programs: dict[str, Path]) -> None:
    """Each selector of each such rule has the matcher, in a query that Prometheus can read."""
    names = [item.alert.name for item in render(thresholds.load()) if "agent" in item.alert.labels]
    text = "agents:\n  a.b:\n" + "".join(f"    {name}: {{severity: info}}\n" for name in names)
    items = rendered(tmp_path, text)
    own = [item for item in items if item.only_agent == "a.b"]
    assert [item.alert.name for item in own] == names
    for item in items:
        if item.alert.name in names:
            matcher = 'agent="a.b"' if item.only_agent else 'agent!~"a[.]b"'
            assert matcher in item.expr
            assert narrowed(item.expr, "X").count(f"{matcher}, X}}") == narrowed(item.expr, "X").count("X}"), item.expr
    for name, rules in rule_files(items).items():
        (tmp_path / name).write_text(rules, encoding="utf-8")
        command = [str(programs["promtool"]), "check", "rules", "--lint=all", "--lint-fatal", str(tmp_path / name)]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stdout + result.stderr


def test_page_and_panel_say_who_has_another_number(tmp_path: Path) -> None:
    """Who reads the fact box or the panel sees the common number and the exception."""
    numbers = loaded(tmp_path, SLOW_SEARCH)
    page = render_pages(STRANGERS, render(numbers, STRANGERS))["AgentToolLatencyHigh.md"]
    assert "| **Fires when** | a tool's p95 > 5 s |" in page
    assert "| **For `billing_bot`** | a tool's p95 > 10 s (" in page
    board = to_json(DASHBOARDS["tools.json"], numbers, STRANGERS)
    (panel,) = (panel for panel in board["panels"] if panel["id"] == links.TOOL_LATENCY.panel_id)
    assert "the threshold of AgentToolLatencyHigh. Of billing_bot: 10 s." in panel["description"]
