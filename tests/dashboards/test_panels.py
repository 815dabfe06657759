"""The dashboards as Grafana reads them: ids, layout, queries, thresholds, links."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from agentgauge import metrics
from alerts import links, thresholds
from alerts.catalog import ALERTS, RECORDS
from alerts.links import PanelRef
from alerts.model import Alert
from alerts.promql import PromqlError
from dashboards import generate, queries
from dashboards.model import (
    COUNT,
    FACTOR,
    RATIO,
    RED,
    SECONDS,
    UNIT_OF_THRESHOLD,
    USD,
    Dashboard,
    Limit,
    Panel,
    PanelError,
    Query,
    Row,
)
from dashboards.panels import to_json
from dashboards.preview import query as preview_query
from dashboards.preview.query import Choices, TimeRange

ROOT = Path(__file__).resolve().parents[2]
NUMBERS = thresholds.load()
GENERATED = {
    dashboard["uid"]: dashboard
    for path in sorted(generate.GENERATED.glob("*.json"))
    for dashboard in [json.loads(path.read_text(encoding="utf-8"))]
}
PANELS = [
    pytest.param(uid, panel, id=f"{uid}-{panel['id']}")
    for uid, dashboard in GENERATED.items()
    for panel in dashboard["panels"]
    if panel["type"] != "row"
]
REFS = [(name, ref) for name, ref in vars(links).items() if isinstance(ref, PanelRef)]
RECORDED = r"\b[a-z]\w*(?::\w+)+"
"""What the name of a recording rule looks like."""
RECORD_NAMES = {record.name for record in RECORDS}
SELF_LABELS = {"group", "rule_group", "integration"}
"""Labels of what Prometheus and Alertmanager say about themselves."""
ALERTS_WITH_THRESHOLD = [alert for alert in ALERTS if NUMBERS.alerts[alert.name].threshold]


def panel_of(ref: PanelRef) -> dict[str, Any]:
    """The generated panel that a reference means."""
    return next(panel for panel in GENERATED[ref.dashboard]["panels"] if panel["id"] == ref.panel_id)


def limit_series(panel: dict[str, Any]) -> list[dict[str, Any]]:
    """The targets of a panel whose series are drawn as limits: dashed and red."""
    drawn = {"custom.lineStyle": "dash", "color": RED}
    dashed = {
        override["matcher"]["options"]
        for override in panel["fieldConfig"]["overrides"]
        if override["matcher"]["id"] == "byFrameRefID"
        and drawn.items()
        <= {p["id"]: p["value"].get("fill") or p["value"].get("fixedColor") for p in override["properties"][:2]}.items()
    }
    return [target for target in panel["targets"] if target["refId"] in dashed]


def agent_series(expr: str) -> list[tuple[str, str]]:
    """Each series of an agent in a query, with what stands in its braces; records are none."""
    bare = re.sub(RECORDED, "recorded", re.sub(r"\bby \([^)]*\)", "", expr))
    return re.findall(r"\b(agent_\w+)\b(\{[^}]*\})?", bare)


def test_generated_files_are_up_to_date(tmp_path: Path) -> None:
    """Writing the dashboards again changes nothing, so the committed files are those of the code."""
    (tmp_path / "alerts").mkdir()
    (tmp_path / "alerts" / "thresholds.yml").write_bytes(thresholds.FILE.read_bytes())
    written = generate.generate(tmp_path)
    assert {path.name for path in written} == set(generate.DASHBOARDS)
    for path in written:
        assert path.read_text() == (generate.GENERATED / path.name).read_text(), f"run `make generate` for {path.name}"
    assert generate.generate(tmp_path) == []


def test_there_is_no_generated_file_that_no_code_writes() -> None:
    """A dashboard that was removed or renamed leaves no file behind for Grafana to load."""
    assert {path.name for path in generate.GENERATED.iterdir()} == set(generate.DASHBOARDS)


def test_uids_are_the_public_ones() -> None:
    """Bookmarks and pages hold the uids, so they never change."""
    names = ("overview", "tools", "agent", "cost", "users", "stack")
    assert set(GENERATED) == {f"agentgauge-{name}" for name in names}
    assert set(GENERATED) == {links.OVERVIEW, links.TOOLS, links.AGENT, links.COST, links.USERS, links.STACK}


@pytest.mark.parametrize(("name", "ref"), REFS)
def test_every_panel_that_an_alert_can_link_to_exists(name: str, ref: PanelRef) -> None:
    """A page's link never leads to a dashboard without that panel."""
    assert panel_of(ref)["title"], name


@pytest.mark.parametrize("dashboard", GENERATED.values(), ids=GENERATED.keys())
def test_panel_ids_are_unique(dashboard: dict[str, Any]) -> None:
    """Grafana shows the wrong panel where two share an id."""
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("dashboard", GENERATED.values(), ids=GENERATED.keys())
def test_the_grid_is_filled_without_overlap(dashboard: dict[str, Any]) -> None:
    """Every cell of the 24-column grid belongs to exactly one panel or row, down to the last line."""
    cells = [
        (x, y)
        for at in (panel["gridPos"] for panel in dashboard["panels"])
        for x in range(at["x"], at["x"] + at["w"])
        for y in range(at["y"], at["y"] + at["h"])
    ]
    height = max(y for _, y in cells) + 1
    assert sorted(cells) == sorted((x, y) for x in range(24) for y in range(height))


@pytest.mark.parametrize(("uid", "panel"), PANELS)
def test_every_panel_says_what_it_shows_and_asks_the_chosen_datasource(uid: str, panel: dict[str, Any]) -> None:
    """Title, description and unit are there, and no datasource is written into the file."""
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    for asking in (panel, *panel["targets"]):
        assert asking["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


@pytest.mark.parametrize(("uid", "panel"), PANELS)
def test_every_series_that_a_panel_names_is_declared(uid: str, panel: dict[str, Any]) -> None:
    """Each ``agent_…`` word is a series of a metric, and each label in braces or ``by`` is one that it carries."""
    for target in panel["targets"]:
        expr = re.sub(r'"[^"]*"', '""', target["expr"])
        assert set(re.findall(RECORDED, expr)) <= RECORD_NAMES
        named = [word for word, _ in agent_series(expr)]
        carried = {"job", "instance", "le", "severity", "alertname", "alertstate"}
        for word in named:
            assert word in metrics.by_name(word).series
            carried |= set(metrics.by_name(word).label_names)
        if re.search(RECORDED, expr):
            carried |= {"agent", "rating"}
        if re.search(r"\b(?:prometheus|alertmanager)_", expr):
            carried |= SELF_LABELS
        if "ALERTS" in expr:
            carried |= {label for alert in ALERTS for label in alert.labels}
        for group in re.findall(r"(?:by|ignoring) \(([^)]*)\)", expr):
            assert {label.strip() for label in group.split(",")} <= carried
        for inside in re.findall(r"\{([^}]*)\}", expr):
            assert set(re.findall(r"(\w+)\s*=", inside)) <= carried


@pytest.mark.parametrize(("uid", "panel"), PANELS)
def test_every_agent_series_is_narrowed_by_the_variables(uid: str, panel: dict[str, Any]) -> None:
    """Choosing an agent (or, on Tools, a tool) changes every panel that it can change."""
    names = [variable["name"] for variable in GENERATED[uid]["templating"]["list"] if variable["type"] == "query"]
    for target in panel["targets"]:
        for word, inside in agent_series(target["expr"]):
            spec = metrics.by_name(word)
            for name in names:
                if name in ("job", "instance", *spec.label_names):
                    assert f'{name}=~"${name}"' in inside, f"{word} ignores ${name}"
        for word, inside in re.findall(rf"({RECORDED})(\{{[^}}]*\}})?", target["expr"]):
            assert 'agent=~"$agent"' in inside, f"{word} ignores $agent"


@pytest.mark.parametrize(("uid", "panel"), PANELS)
def test_what_every_replica_shows_alike_is_not_added_up(uid: str, panel: dict[str, Any]) -> None:
    """Gauges of the shared ledger are the same on each replica: their queries take max."""
    for target in panel["targets"]:
        for word, _ in agent_series(target["expr"]):
            spec = metrics.by_name(word)
            if spec.kind == "gauge" and spec.multiprocess == "livemax":
                assert re.search(rf"\bmax(?: by \([^)]*\) )?\({word}", target["expr"]), word


@pytest.mark.parametrize("alert", ALERTS_WITH_THRESHOLD, ids=lambda alert: alert.name)
def test_the_panel_of_an_alert_draws_its_threshold(alert: Alert) -> None:
    """As a dashed line, a dashed multiple of the baseline or a coloured cell, in its unit, and in words."""
    threshold = NUMBERS.alerts[alert.name].threshold
    assert threshold is not None
    panel = panel_of(alert.panel)
    defaults = panel["fieldConfig"]["defaults"]
    unit = UNIT_OF_THRESHOLD[threshold.unit]
    assert re.search(
        rf"{re.escape(str(threshold))}( the baseline)?, the threshold of {alert.name}\.", panel["description"]
    )
    if threshold.unit == "factor":
        (dashed,) = limit_series(panel)
        assert dashed["expr"].startswith(f"{threshold.value:g} * agent:")
    elif panel["type"] == "table":
        columns = [{p["id"]: p["value"] for p in column["properties"]} for column in panel["fieldConfig"]["overrides"]]
        assert (unit, threshold.value) in [
            (column["unit"], step["value"])
            for column in columns
            if column.get("custom.cellOptions") == {"type": "color-text"}
            for step in column["thresholds"]["steps"]
        ]
    else:
        assert threshold.value in [step["value"] for step in defaults["thresholds"]["steps"]]
        assert defaults["custom"]["thresholdsStyle"]["mode"] == "dashed"
        assert defaults["unit"] == unit


def test_the_week_before_is_the_line_that_active_users_should_not_fall_below() -> None:
    """The alert has no number: its limit is the past, drawn like any other limit."""
    (dashed,) = limit_series(panel_of(links.ACTIVE_USERS))
    assert dashed["expr"].endswith("offset 1w)")


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_the_panel_of_an_alert_links_to_its_runbook(alert: Alert) -> None:
    """Who looks at the breach is one click from what to do."""
    assert links.runbook_url(NUMBERS.links.runbooks, alert.name) in [
        link["url"] for link in panel_of(alert.panel)["links"]
    ]


def test_a_changed_threshold_moves_the_line() -> None:
    """The line comes from the file: another number there is another line here."""
    changed = with_threshold("AgentLatencySpike", 20.0)
    moved = to_json(generate.DASHBOARDS["overview.json"], changed)
    panel = next(panel for panel in moved["panels"] if panel["id"] == links.TURN_LATENCY.panel_id)
    assert [step["value"] for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]] == [None, 20.0]


def test_a_changed_factor_moves_the_multiple_of_the_baseline() -> None:
    """Also where the line is a series."""
    moved = to_json(generate.DASHBOARDS["cost.json"], with_threshold("AgentCostSpike", 4.5))
    panel = next(panel for panel in moved["panels"] if panel["id"] == links.SPEND.panel_id)
    assert panel["targets"][2]["expr"].startswith("4.5 * agent:")
    assert "Dashed line: 4.5 × the baseline, the threshold of AgentCostSpike." in panel["description"]


def test_a_share_of_trouble_has_an_axis_that_shows_it() -> None:
    """At 15 % of a full axis both line and limit would lie at the bottom; a share of success keeps its 100 %."""
    fallback = panel_of(links.FALLBACK_RATE)["fieldConfig"]["defaults"]
    assert "max" not in fallback
    assert (fallback["custom"]["axisSoftMin"], fallback["custom"]["axisSoftMax"]) == (0, 0.3)
    assert panel_of(links.TASK_COMPLETION)["fieldConfig"]["defaults"]["max"] == 1


def test_every_stat_of_overview_that_another_dashboard_explains_leads_there() -> None:
    """Two clicks to the reason: the number, then the alert's panel; chosen variables and time come along."""
    stats = [panel for panel in GENERATED[links.OVERVIEW]["panels"] if panel["type"] == "stat"]
    opened = {panel["title"]: panel["fieldConfig"]["defaults"].get("links", []) for panel in stats}
    assert {title: [link["url"].partition("?")[0] for link in found] for title, found in opened.items() if found} == {
        "Agents up": [f"/d/{links.STACK}"],
        "Tasks completed": [f"/d/{links.AGENT}"],
        "Answer p95": [f"/d/{links.AGENT}"],
        "Tool success": [f"/d/{links.TOOLS}"],
        "Sessions open": [f"/d/{links.USERS}"],
        "Spend, last 24 h": [f"/d/{links.COST}"],
    }
    for found in opened.values():
        assert all(link["url"].endswith("?${__url_time_range}&${__all_variables}") for link in found)


def test_the_model_can_be_chosen_where_models_are_shown() -> None:
    """Every variable that an alert's link fills in exists on the dashboard that the link opens."""
    for uid, dashboard in GENERATED.items():
        variables = {variable["name"] for variable in dashboard["templating"]["list"]}
        assert ("model" in variables) == (uid in (links.AGENT, links.COST))
        for alert in ALERTS:
            if alert.panel.dashboard == uid:
                assert set(alert.labels) & set(links.VARIABLES) <= variables, alert.name


@pytest.mark.parametrize("uid", GENERATED)
def test_every_query_parses(uid: str, tmp_path: Path, programs: dict[str, Path]) -> None:
    """Judged by promtool, with everything filled in as for a reader who chose nothing."""
    dashboard = GENERATED[uid]
    span, choices = TimeRange(0, 3600), Choices.of(dashboard, {})
    exprs = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    exprs += [annotation["expr"] for annotation in dashboard["annotations"]["list"]]
    rules = [
        {"record": f"query:{index}", "expr": preview_query.substitute(expr, span, span.step, choices)}
        for index, expr in enumerate(exprs)
    ]
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}), encoding="utf-8")
    result = subprocess.run([programs["promtool"], "check", "rules", file], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("dashboard", GENERATED.values(), ids=GENERATED.keys())
def test_dashboards_refresh_link_to_each_other_and_are_not_edited_by_hand(dashboard: dict[str, Any]) -> None:
    """The settings that every dashboard shares."""
    assert dashboard["refresh"] == "10s"
    since = {links.COST: "now-24h", links.USERS: "now-7d"}.get(dashboard["uid"], "now-1h")
    assert dashboard["time"] == {"from": since, "to": "now"}
    assert dashboard["editable"] is False
    assert dashboard["tags"] == ["agentgauge"]
    assert "by `make generate`; do not edit." in dashboard["description"]
    (link,) = dashboard["links"]
    assert (link["type"], link["tags"], link["includeVars"], link["keepTime"]) == (
        "dashboards",
        ["agentgauge"],
        True,
        True,
    )
    assert [annotation["name"] for annotation in dashboard["annotations"]["list"]] == ["Firing alerts", "Deploys"]
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            assert (variable["multi"], variable["includeAll"], variable["allValue"]) == (True, True, ".*")


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


def test_a_line_that_is_not_24_wide_is_an_error() -> None:
    """The message names dashboard and row."""
    with pytest.raises(PanelError, match=r"test: 'Row': the last line is not 24 columns wide"):
        to_json(dashboard_of(panel(span=12)), NUMBERS)
    with pytest.raises(PanelError, match=r"test: 'Row': not 24 columns of one height: .*13×8"):
        to_json(dashboard_of(panel(span=12), panel(id=2, span=13)), NUMBERS)


def test_two_panels_with_one_id_are_an_error() -> None:
    """The message names both."""
    with pytest.raises(PanelError, match=r"'Panel' and 'Other' both have the id 1"):
        to_json(dashboard_of(panel(span=12), panel(span=12, title="Other")), NUMBERS)


def test_a_limit_in_another_unit_than_the_panel_is_an_error() -> None:
    """A line at 10 on an axis of ratios would be nowhere."""
    with pytest.raises(PanelError, match="'Panel': AgentLatencySpike's threshold is in seconds, the panel's unit"):
        to_json(dashboard_of(panel(unit=RATIO, limits=(Limit("AgentLatencySpike", "above"),))), NUMBERS)


def test_a_limit_of_an_alert_without_threshold_is_an_error() -> None:
    """Also when the alert's name is mistyped."""
    with pytest.raises(PanelError, match=r"test: 'Panel': AgentExporterDwn has no threshold in thresholds.yml"):
        to_json(dashboard_of(panel(limits=(Limit("AgentExporterDwn", "above"),))), NUMBERS)


def test_a_window_that_no_alert_gives_is_an_error() -> None:
    """``<window>`` is the alert's; a panel without alert writes its own."""
    with pytest.raises(PanelError, match=r"'Panel': <window> needs an alert"):
        to_json(dashboard_of(panel(expr="sum(increase(<tasks>{<where>}[<window>]))")), NUMBERS)


def test_a_factor_that_no_alert_gives_is_an_error() -> None:
    """``<threshold>`` is that of the alert that watches the panel."""
    with pytest.raises(PanelError, match=r"'Panel': <threshold> needs an alert whose threshold is a factor"):
        to_json(dashboard_of(panel(expr="<threshold> * sum(<sessions_active>{<where>})")), NUMBERS)


@pytest.mark.parametrize(
    ("alert", "unit", "words"),
    [
        ("AgentSessionCostHigh", USD, "above $0.50, the threshold of AgentSessionCostHigh."),
        ("AgentInputTokensHigh", COUNT, "above 50 000 tokens, the threshold of AgentInputTokensHigh."),
        ("AgentCostSpike", FACTOR, "above 3 ×, the threshold of AgentCostSpike."),
    ],
)
def test_a_limit_in_any_unit_of_thresholds_yml_can_be_drawn(alert: str, unit: str, words: str) -> None:
    """Money, tokens and factors as well as ratios, seconds and counts."""
    (_, shown) = to_json(dashboard_of(panel(unit=unit, limits=(Limit(alert, "above"),))), NUMBERS)["panels"]
    assert words in shown["description"]


def test_a_panel_uses_the_window_of_the_alert_that_lends_its_limit() -> None:
    """So the panel shows what the alert judges."""
    limited = panel(
        unit=SECONDS,
        expr="max(rate(<turn_duration.sum>{<where>}[<window>]))",
        limits=(Limit("AgentLatencySpike", "above"),),
    )
    (_, shown) = to_json(dashboard_of(limited), NUMBERS)["panels"]
    assert "[5m]" in shown["targets"][0]["expr"]


def test_the_scrape_interval_is_the_same_everywhere() -> None:
    """``$__rate_interval`` is right only if Grafana, preview and Prometheus agree on the scrape interval."""
    scraped = yaml.safe_load((ROOT / "alerts" / "prometheus.yml").read_text())["global"]["scrape_interval"]
    provisioned = yaml.safe_load((ROOT / "dashboards/provisioning/datasources/prometheus.yml").read_text())
    assert provisioned["datasources"][0]["jsonData"]["timeInterval"] == scraped
    assert f"{preview_query.SCRAPE_SECONDS}s" == scraped


def panel(
    id: int = 1,
    title: str = "Panel",
    span: int = 24,
    unit: str = COUNT,
    expr: str = "sum(<sessions_active>{<where>})",
    limits: tuple[Limit, ...] = (),
) -> Panel:
    """A small time series panel."""
    return Panel(id, title, "What it shows.", "timeseries", unit, span, (Query(expr, legend="all"),), limits=limits)


def dashboard_of(*panels: Panel) -> Dashboard:
    """A dashboard of one row."""
    return Dashboard("test", "Test", "A test.", "test_panels.py", ("job", "agent"), (Row("Row", panels),))


def with_threshold(alert: str, value: float) -> thresholds.Thresholds:
    """The committed numbers with one changed."""
    numbers = NUMBERS.alerts[alert]
    assert numbers.threshold is not None
    changed = dataclasses.replace(numbers, threshold=dataclasses.replace(numbers.threshold, value=value))
    return dataclasses.replace(NUMBERS, alerts={**NUMBERS.alerts, alert: changed})
