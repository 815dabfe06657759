"""Alerts on dashboards: the panel that shows a breach, its limit, its words and the way to the runbook."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest

from agentgauge.incident.conversations import OF_ALERTS
from alerts import links, thresholds
from alerts.areas.approvals import WAVED_THROUGH
from alerts.catalog import ALERTS
from alerts.deployment import DEMO
from alerts.links import PanelRef
from alerts.model import Alert
from dashboards import catalog as dashboards
from dashboards.panels import to_json
from dashboards.style import RED, SIZE_OF_THRESHOLD, UNIT_OF_THRESHOLD
from tests.dashboards.boards import GENERATED, panel_of

NUMBERS = thresholds.load()
ALONE = dataclasses.replace(DEMO, incidents="")
"""Without the bundle's own pager."""
RUNBOOKS = Path(__file__).resolve().parents[2] / "runbooks"
REFS = [(name, ref) for name, ref in vars(links).items() if isinstance(ref, PanelRef)]
ALERTS_WITH_THRESHOLD = [alert for alert in ALERTS if NUMBERS.alerts[alert.name].threshold]


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


@pytest.mark.parametrize(("name", "ref"), REFS)
def test_every_panel_that_an_alert_can_link_to_exists(name: str, ref: PanelRef) -> None:
    """A page's link never leads to a dashboard without that panel."""
    assert panel_of(ref)["title"], name


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
        size = SIZE_OF_THRESHOLD.get(threshold.unit, 1)
        assert threshold.value * size in [step["value"] for step in defaults["thresholds"]["steps"]]
        assert defaults["custom"]["thresholdsStyle"]["mode"] == "dashed"
        assert defaults["unit"] == unit


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_the_panel_of_an_alert_links_to_its_runbook(alert: Alert) -> None:
    """Who looks at the breach is one click from what to do."""
    assert links.runbook_url(DEMO.runbooks, alert.name) in [link["url"] for link in panel_of(alert.panel)["links"]]


@pytest.mark.parametrize("alert", OF_ALERTS)
def test_a_figure_of_what_went_wrong_says_how_to_read_the_conversations(alert: str) -> None:
    """In the words of its panel and in the box of its runbook, by the same command."""
    command = f"{OF_ALERTS[alert].arguments}`"
    (watched,) = (one.panel for one in ALERTS if one.name == alert)
    assert command in panel_of(watched)["description"]
    assert command in (RUNBOOKS / f"{alert}.md").read_text(encoding="utf-8").partition("## Meaning")[0]


@pytest.mark.parametrize("alert", OF_ALERTS)
def test_a_figure_of_what_went_wrong_leads_to_the_conversations(alert: str) -> None:
    """To the incident's page, which names the command; without the pager's page, no panel has such a link."""
    (watched,) = (one.panel for one in ALERTS if one.name == alert)
    cause = OF_ALERTS[alert].cause
    (link,) = (one for one in panel_of(watched)["links"] if "#conversations" in one["url"])
    assert link["title"] == f"Conversations: {cause.replace('_', ' ')}"
    (led_to,) = (name for name in OF_ALERTS if f"{DEMO.incidents}/incident/{name}/" in link["url"])
    assert OF_ALERTS[led_to].cause == cause


def test_without_the_pagers_page_nothing_leads_there() -> None:
    """A column whose links would lead nowhere is not there, nor is its query asked; nor are links to conversations."""
    boards = [to_json(dashboards.DASHBOARDS["overview.json"], NUMBERS, one) for one in (DEMO, ALONE)]
    here, alone = (next(one for one in board["panels"] if one["title"] == "Firing alerts") for board in boards)
    assert len(alone["targets"]) == len(here["targets"]) - 1
    assert "/incident/" in str(here)
    assert "/incident/" not in str(alone)
    assert f"{DEMO.runbooks}/" in str(alone["fieldConfig"])
    assert "#conversations" in str(boards[0])
    assert "#conversations" not in str(boards[1])


def test_the_version_before_is_the_line_that_an_evaluation_should_not_fall_below() -> None:
    """Here the limit is the baseline, which the alert compares with as well."""
    (dashed,) = limit_series(panel_of(links.EVAL_PASS_RATIO))
    assert "agent_eval_baseline_pass_ratio" in dashed["expr"]


def test_where_two_alerts_watch_a_panel_each_query_has_the_window_of_its_own() -> None:
    """Approval is too rare within an hour or too common within a day."""
    hour, day = panel_of(links.APPROVAL_RATE)["targets"]
    assert set(re.findall(r"\[([^\]]+)\]", hour["expr"])) == {"1h"}
    assert WAVED_THROUGH.share_in("slow") in day["expr"]  # the rule's own record, over its own window


def test_an_axis_between_two_limits_shows_both() -> None:
    """From well below the lower one up to 100 %."""
    custom = panel_of(links.APPROVAL_RATE)["fieldConfig"]["defaults"]["custom"]
    assert (custom["axisSoftMin"], custom["axisSoftMax"]) == (0, 1)


def test_a_changed_threshold_moves_the_line() -> None:
    """The line comes from the file: another number there is another line here."""
    changed = with_threshold("AgentLatencySpike", 20.0)
    moved = to_json(dashboards.DASHBOARDS["overview.json"], changed)
    panel = next(panel for panel in moved["panels"] if panel["id"] == links.TURN_LATENCY.panel_id)
    assert [step["value"] for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]] == [None, 20.0]


def test_a_changed_factor_moves_the_multiple_of_the_baseline() -> None:
    """Also where the line is a series."""
    moved = to_json(dashboards.DASHBOARDS["cost.json"], with_threshold("AgentCostSpike", 4.5))
    panel = next(panel for panel in moved["panels"] if panel["id"] == links.SPEND.panel_id)
    assert panel["targets"][2]["expr"].startswith("4.5 * agent:")
    assert "Dashed line: 4.5 × the baseline, the threshold of AgentCostSpike." in panel["description"]


def test_a_share_of_trouble_has_an_axis_that_shows_it() -> None:
    """At 15 % of a full axis both line and limit would lie at the bottom; a share of success keeps its 100 %."""
    fallback = panel_of(links.FALLBACK_RATE)["fieldConfig"]["defaults"]
    assert "max" not in fallback
    assert (fallback["custom"]["axisSoftMin"], fallback["custom"]["axisSoftMax"]) == (0, 0.3)
    assert panel_of(links.TASK_COMPLETION)["fieldConfig"]["defaults"]["max"] == 1


def test_what_a_page_fills_in_can_be_chosen() -> None:
    """Every variable that an alert's link fills in exists on the dashboard that the link opens."""
    for uid, dashboard in GENERATED.items():
        variables = {variable["name"] for variable in dashboard["templating"]["list"]}
        assert ("model" in variables) == (uid in (links.AGENT, links.COST))
        assert ("tool" in variables) == (uid in (links.TOOLS, links.AUTONOMY))
        for alert in ALERTS:
            if alert.panel.dashboard == uid:
                assert set(alert.labels) & set(links.VARIABLES) <= variables, alert.name


def with_threshold(alert: str, value: float) -> thresholds.Thresholds:
    """The committed numbers with one changed."""
    numbers = NUMBERS.alerts[alert]
    assert numbers.threshold is not None
    changed = dataclasses.replace(numbers, threshold=dataclasses.replace(numbers.threshold, value=value))
    return dataclasses.replace(NUMBERS, alerts={**NUMBERS.alerts, alert: changed})
