"""Rules that every dashboard keeps: those that dashboard-linter publishes, for all types of panels, and the house's.

Two published rules are kept in spirit, not to the letter. All of a variable is ``.*``, not ``.+``, so that a series
without the label is shown as well. And a window may be fixed: a panel that an alert watches shows the alert's.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from agentgauge import metrics
from alerts import links, promql
from alerts.catalog import ALERTS, RECORDS
from alerts.links import PanelRef
from alerts.promql import Duration
from dashboards import silence, style
from stack.preview import units
from stack.preview.query import SCRAPE_SECONDS, Choices, TimeRange, substitute
from tests.dashboards.boards import EACH_PANEL, GENERATED, PANELS, expressions

DASHBOARDS = pytest.mark.parametrize("dashboard", GENERATED.values(), ids=GENERATED.keys())

GRAFANAS_UNITS = {"percentunit", "s", "currencyUSD", "short", "decbytes", "dateTimeFromNow"}
"""Those in use, of the list in Grafana's valueFormats/categories.ts; ``suffix:`` makes one's own."""

RECORDED = r"\b[a-z]\w*(?::\w+)+"
"""What the name of a recording rule looks like."""
RECORD_NAMES = {record.name for record in RECORDS}
LABELS_OF_RECORDS = {word for name in RECORD_NAMES for word in name.partition(":")[0].split("_")}
SELF_LABELS = {"group", "rule_group", "integration"}
"""Labels of what Prometheus and Alertmanager say about themselves."""

FIRST_FREE_ID = 100
"""Smaller ids belong to the panels that alerts link to."""


def agent_series(expr: str) -> list[tuple[str, str]]:
    """Each series of an agent in a query, with what stands in its braces; records are none."""
    bare = re.sub(RECORDED, "recorded", re.sub(r"\b(?:by|on) \([^)]*\)", "", expr))
    return re.findall(r"\b(agent_\w+)\b(\{[^}]*\})?", bare)


def query_variables(dashboard: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The variables that Prometheus lists the choices for."""
    return (variable for variable in dashboard["templating"]["list"] if variable["type"] == "query")


# dashboard-linter: templates


@DASHBOARDS
def test_the_datasource_is_chosen_by_the_reader(dashboard: dict[str, Any]) -> None:
    """template-datasource-rule: the first variable is a Prometheus, named datasource."""
    first = dashboard["templating"]["list"][0]
    assert (first["name"], first["type"], first["query"]) == ("datasource", "datasource", "prometheus")


@DASHBOARDS
def test_job_and_instance_can_be_chosen_like_every_variable(dashboard: dict[str, Any]) -> None:
    """template-job-, -instance-, -label-promql- and -on-time-change-reload-rule."""
    variables = list(query_variables(dashboard))
    assert [variable["name"] for variable in variables][:2] == ["job", "instance"]
    for variable in variables:
        assert variable["label"] == variable["name"].capitalize()
        assert variable["datasource"]["uid"] == "${datasource}"
        assert re.fullmatch(rf"label_values\(.+, {variable['name']}\)", variable["query"])
        assert (variable["multi"], variable["includeAll"], variable["allValue"]) == (True, True, ".*")
        assert variable["refresh"] == 2, "on time range change"


@DASHBOARDS
def test_dashboards_are_not_edited_by_hand_refresh_and_link_to_each_other(dashboard: dict[str, Any]) -> None:
    """uneditable-dashboard, and the settings that every dashboard shares."""
    since = {links.COST: "now-24h", links.AUTONOMY: "now-24h", links.USERS: "now-7d", links.EVALUATIONS: "now-7d"}
    since[links.VALUE] = "now-28d"
    assert dashboard["editable"] is False
    assert dashboard["refresh"] == style.REFRESH[dashboard["time"]["from"]]
    assert dashboard["time"] == {"from": since.get(dashboard["uid"], "now-1h"), "to": "now"}
    assert dashboard["tags"] == ["agentgauge"]
    assert "by `make generate`; do not edit." in dashboard["description"]
    (link,) = dashboard["links"]
    assert (link["type"], link["tags"], link["includeVars"], link["keepTime"]) == (
        "dashboards",
        ["agentgauge"],
        True,
        True,
    )


@DASHBOARDS
def test_alerts_deploys_and_generated_history_are_marked(dashboard: dict[str, Any]) -> None:
    """On every dashboard; what changes an agent's freedom on Autonomy as well."""
    marked = [annotation["name"] for annotation in dashboard["annotations"]["list"]]
    changes = ["Promotions and demotions"] if dashboard["uid"] == links.AUTONOMY else []
    assert marked == ["Firing alerts", "Deploys", "Generated history", *changes]


# dashboard-linter: panels


@EACH_PANEL
def test_every_panel_asks_the_chosen_datasource(uid: str, panel: dict[str, Any]) -> None:
    """panel-datasource- and panel-no-targets-rule: there is a query, and no datasource is written into the file."""
    assert panel["targets"]
    for asking in (panel, *panel["targets"]):
        assert asking["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


@EACH_PANEL
def test_every_panel_says_what_it_shows(uid: str, panel: dict[str, Any]) -> None:
    """panel-title-description-rule: a title, and whole sentences behind the i."""
    assert panel["title"]
    assert panel["description"].endswith(".")


@EACH_PANEL
def test_every_panel_has_a_unit_that_grafana_and_the_preview_know(uid: str, panel: dict[str, Any]) -> None:
    """panel-units-rule, also for columns of tables and for the axis of heatmaps."""
    shown = [panel["fieldConfig"]["defaults"]["unit"]]
    shown += [setting["value"] for setting in settings_of_series(panel) if setting["id"] == "unit"]
    if panel["type"] == "heatmap":
        shown.append(panel["options"]["yAxis"]["unit"])
    for unit in shown:
        assert unit in GRAFANAS_UNITS or unit.startswith("suffix:")
        plain = {style.COUNT: "short", style.AGO: "dateTimeFromNow"}
        assert unit in plain or units.written(2.0, unit, now=0.0) != units.written(2.0, style.COUNT, now=0.0)


def settings_of_series(panel: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The settings of single series and columns."""
    return (setting for override in panel["fieldConfig"]["overrides"] for setting in override["properties"])


# dashboard-linter: queries


@pytest.mark.parametrize("uid", GENERATED)
def test_every_query_parses(uid: str, tmp_path: Path, programs: dict[str, Path]) -> None:
    """target-promql-rule, judged by promtool with everything filled in as for a reader who chose nothing."""
    dashboard = GENERATED[uid]
    span, choices = TimeRange(0, 3600), Choices.of(dashboard, {})
    rules = [
        {"record": f"query:{index}", "expr": substitute(expr, span, span.step, choices)}
        for index, expr in enumerate(expressions(dashboard))
    ]
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}), encoding="utf-8")
    result = subprocess.run([programs["promtool"], "check", "rules", file], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


@EACH_PANEL
def test_rates_have_windows_with_enough_scrapes(uid: str, panel: dict[str, Any]) -> None:
    """target-rate-interval-rule: ``$__rate_interval``, the whole range, or a fixed window of four scrapes at least."""
    for target in panel["targets"]:
        for window in re.findall(r"\b(?:rate|increase)\([^[]*\[([^\]]+)\]", target["expr"]):
            assert window in ("$__rate_interval", "$__range") or Duration.parse(window).seconds >= 4 * SCRAPE_SECONDS
        assert target.get("interval") == (style.RATE_STEP if "$__rate_interval" in target["expr"] else None)


@EACH_PANEL
def test_every_agent_series_is_narrowed_by_the_variables(uid: str, panel: dict[str, Any]) -> None:
    """target-job- and target-instance-rule, and every other variable that the series has a label for."""
    names = [variable["name"] for variable in query_variables(GENERATED[uid])]
    for target in panel["targets"]:
        for word, inside in agent_series(target["expr"]):
            for name in names:
                if name in ("job", "instance", *metrics.by_name(word).label_names):
                    assert f'{name}=~"${name}"' in inside, f"{word} ignores ${name}"
        for word, inside in re.findall(rf"({RECORDED})(\{{[^}}]*\}})?", target["expr"]):
            assert 'agent=~"$agent"' in inside, f"{word} ignores $agent"


@EACH_PANEL
def test_counters_are_shown_by_how_much_they_grow(uid: str, panel: dict[str, Any]) -> None:
    """target-counter-agg-rule. A counter that is born at its first event may show its value where it is new."""
    for target in panel["targets"]:
        new = re.compile(
            r"\(\s*sum by \([^)]*\) \((?P<counter>\w+_total\{[^}]*\})\)\s*unless[^)]*\) \((?P=counter) offset"
        )
        for match in re.finditer(r"(\w*\(?)(\w+_(?:total|bucket|count|sum))\{", new.sub("(", target["expr"])):
            assert match[1] in ("rate(", "increase("), f"{match[2]} is shown as it is"


@EACH_PANEL
def test_what_every_replica_shows_alike_is_not_added_up(uid: str, panel: dict[str, Any]) -> None:
    """Gauges of the shared ledger are the same on each replica: their queries take max."""
    for target in panel["targets"]:
        expr = re.sub(r"and on \([^)]*\) \w+\{", "and {", target["expr"])  # on that side only what exists counts
        for word, _ in agent_series(expr):
            spec = metrics.by_name(word)
            if spec.kind == "gauge" and spec.multiprocess in ("livemax", "max", "own"):
                assert re.search(rf"\bmax(?:_over_time)?(?: by \([^)]*\) )?\(\s*{word}", expr), word


@EACH_PANEL
def test_every_series_that_a_panel_names_is_declared(uid: str, panel: dict[str, Any]) -> None:
    """Each ``agent_…`` word is a series of a metric, and each label in braces or ``by`` is one that it carries."""
    for target in panel["targets"]:
        expr = re.sub(r'"[^"]*"', '""', target["expr"])
        assert set(re.findall(RECORDED, expr)) <= RECORD_NAMES
        carried = {"job", "instance", "le", "severity", "alertname", "alertstate"}
        for word, _ in agent_series(expr):
            assert word in metrics.by_name(word).series
            carried |= set(metrics.by_name(word).label_names)
        if re.search(RECORDED, expr):
            carried |= LABELS_OF_RECORDS
        if re.search(r"\b(?:prometheus|alertmanager)_", expr):
            carried |= SELF_LABELS
        if "ALERTS" in expr:
            carried |= {label for alert in ALERTS for label in alert.labels} | {"of"}  # which the query makes
        for group in re.findall(r"(?:by|on|ignoring) \(([^)]*)\)", expr):
            assert {label.strip() for label in group.split(",")} <= carried
        for inside in re.findall(r"\{([^}]*)\}", expr):
            assert set(re.findall(r"(\w+)\s*=", inside)) <= carried


@EACH_PANEL
def test_a_panel_without_data_says_what_that_means(uid: str, panel: dict[str, Any]) -> None:
    """Never that there is no data: on a healthy agent nothing failed, nobody waits, and nobody has rated yet."""
    words = panel["fieldConfig"]["defaults"]["noValue"]
    assert words
    assert "no data" not in words.lower()
    asked = panel["targets"][0]["expr"]
    assert words != silence.OTHERWISE or not metrics_of(asked)


@pytest.mark.parametrize("spec", metrics.ALL, ids=str)
def test_there_are_words_for_a_metric_that_shows_nothing(spec: metrics.MetricSpec) -> None:
    """So that every panel has some."""
    assert silence.OF_METRIC[spec.name]


def metrics_of(expr: str) -> list[tuple[str, str]]:
    """The agent's series and the recording rules in a query."""
    return agent_series(expr) + [(name, "") for name in re.findall(RECORDED, expr)]


# The house


def test_uids_are_the_public_ones() -> None:
    """Bookmarks and pages hold the uids, so they never change."""
    names = ("overview", "tools", "agent", "cost", "users", "evaluations", "autonomy", "value", "stack")
    assert set(GENERATED) == {f"agentgauge-{name}" for name in names}


@DASHBOARDS
def test_panel_ids_are_unique_and_the_first_hundred_belong_to_alerts(dashboard: dict[str, Any]) -> None:
    """Grafana shows the wrong panel where two share an id; a page's link must never lead to another one."""
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))
    linked = {
        ref.panel_id for ref in vars(links).values() if isinstance(ref, PanelRef) and ref.dashboard == dashboard["uid"]
    }
    assert {id for id in ids if id < FIRST_FREE_ID} == linked


@DASHBOARDS
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


@pytest.mark.parametrize("spec", metrics.ALL, ids=str)
def test_every_metric_of_the_contract_is_on_a_panel(spec: metrics.MetricSpec) -> None:
    """Itself, or a rule that records it."""
    shown = "\n".join(target["expr"] for _, panel in PANELS for target in panel["targets"])
    recorded = [record.expr for record in RECORDS if record.name in shown]
    named = {named.name for named in promql.metrics_named(shown)}
    holes = {hole for expr in recorded for hole in re.findall(r"<([a-z_.]+)>", expr)}
    named |= {promql.fill(f"<{hole}>") for hole in holes if hasattr(metrics, hole.partition(".")[0].upper())}
    assert named & {spec.name, *spec.series}
