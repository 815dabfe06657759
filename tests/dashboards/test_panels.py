"""The dashboards as Grafana reads them: ids, layout, queries, thresholds, links."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from agentgauge import metrics
from alerts import links, thresholds
from alerts.catalog import ALERTS
from alerts.links import PanelRef
from alerts.model import Alert
from alerts.promql import PromqlError
from dashboards import generate, queries
from dashboards.model import COUNT, RATIO, SECONDS, UNIT_OF_THRESHOLD, Dashboard, Limit, Panel, PanelError, Query, Row
from dashboards.panels import to_json
from dashboards.preview import query as preview_query

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
ALERTS_WITH_THRESHOLD = [alert for alert in ALERTS if NUMBERS.alerts[alert.name].threshold]


def panel_of(ref: PanelRef) -> dict[str, Any]:
    """The generated panel that a reference means."""
    return next(panel for panel in GENERATED[ref.dashboard]["panels"] if panel["id"] == ref.panel_id)


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
    assert set(GENERATED) == {"agentgauge-overview", "agentgauge-tools"} == {links.OVERVIEW, links.TOOLS}


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
        named = re.findall(r"\bagent_\w+", expr)
        carried = {"job", "instance", "le", "severity", "alertname", "alertstate"}
        for word in named:
            assert word in metrics.by_name(word).series
            carried |= set(metrics.by_name(word).label_names)
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
        for word, inside in re.findall(r"\b(agent_\w+)\b(\{[^}]*\})?", re.sub(r"\bby \([^)]*\)", "", target["expr"])):
            spec = metrics.by_name(word)
            for name in names:
                if name in ("job", "instance", *spec.label_names):
                    assert f'{name}=~"${name}"' in inside, f"{word} ignores ${name}"


@pytest.mark.parametrize("alert", ALERTS_WITH_THRESHOLD, ids=lambda alert: alert.name)
def test_the_panel_of_an_alert_draws_its_threshold(alert: Alert) -> None:
    """The line is exactly the number of thresholds.yml, in the unit of the panel, and the description says so."""
    threshold = NUMBERS.alerts[alert.name].threshold
    assert threshold is not None
    panel = panel_of(alert.panel)
    defaults = panel["fieldConfig"]["defaults"]
    assert threshold.value in [step["value"] for step in defaults["thresholds"]["steps"]]
    assert defaults["custom"]["thresholdsStyle"]["mode"] == "dashed"
    assert defaults["unit"] == UNIT_OF_THRESHOLD[threshold.unit]
    assert f"{threshold}, the threshold of {alert.name}." in panel["description"]


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


@pytest.mark.parametrize("dashboard", GENERATED.values(), ids=GENERATED.keys())
def test_dashboards_refresh_link_to_each_other_and_are_not_edited_by_hand(dashboard: dict[str, Any]) -> None:
    """The settings that every dashboard shares."""
    assert dashboard["refresh"] == "10s"
    assert dashboard["time"] == {"from": "now-1h", "to": "now"}
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
