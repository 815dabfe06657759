"""What the generator writes, and what it refuses to write."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from alerts import links, thresholds
from dashboards.model import Dashboard, Limit, Panel, PanelError, Query, Row, State
from dashboards.panels import to_json
from dashboards.style import COUNT, FACTOR, GREEN, GREY, RATIO, SECONDS, USD
from stack.preview import query as preview_query
from tests.dashboards.boards import GENERATED

ROOT = Path(__file__).resolve().parents[2]
NUMBERS = thresholds.load()


def test_every_stat_of_overview_that_another_dashboard_explains_leads_there() -> None:
    """Two clicks to the reason: the number, then the alert's panel; chosen variables and time come along."""
    stats = [panel for panel in GENERATED[links.OVERVIEW]["panels"] if panel["type"] == "stat"]
    opened = {panel["title"]: panel["fieldConfig"]["defaults"].get("links", []) for panel in stats}
    assert {title: [link["url"].partition("?")[0] for link in found] for title, found in opened.items() if found} == {
        "Agents up": [f"/d/{links.STACK}"],
        "Tasks completed": [f"/d/{links.AGENT}"],
        "Tool success": [f"/d/{links.TOOLS}"],
        "Answer p95": [f"/d/{links.AGENT}"],
        "Scenarios passed": [f"/d/{links.EVALUATIONS}"],
        "Thumbs down": [f"/d/{links.USERS}"],
        "Autonomy": [f"/d/{links.AUTONOMY}"],
        "Approved": [f"/d/{links.AUTONOMY}"],
        "Approvals open": [f"/d/{links.AUTONOMY}"],
        "Users today": [f"/d/{links.USERS}"],
        "Sessions open": [f"/d/{links.USERS}"],
        "Spend": [f"/d/{links.COST}"],
        "Spend ÷ usual": [f"/d/{links.COST}"],
    }
    for found in opened.values():
        assert all(link["url"].endswith("?${__url_time_range}&${__all_variables}") for link in found)


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


def test_a_ratio_that_should_be_small_has_an_axis_that_shows_it() -> None:
    """At 3 % of a full axis a line would lie at the bottom; it still begins at 0."""
    share = Panel(1, "P", "D.", "timeseries", RATIO, 24, 8, (Query("vector(0)"),), near_zero=True)
    (_, shown) = to_json(dashboard_of(share), NUMBERS)["panels"]
    assert "max" not in shown["fieldConfig"]["defaults"]
    assert shown["fieldConfig"]["defaults"]["custom"]["axisSoftMin"] == 0
    assert shown["fieldConfig"]["defaults"]["custom"]["axisSoftMax"] == 0.2


def test_states_are_written_as_grafanas_value_mappings() -> None:
    """0 is the first of them."""
    states = (State("off", GREY), State("on", GREEN))
    panel = Panel(1, "P", "D.", "state-timeline", COUNT, 24, 8, (Query("vector(0)", "all"),), states=states)
    (_, shown) = to_json(dashboard_of(panel), NUMBERS)["panels"]
    (mapping,) = shown["fieldConfig"]["defaults"]["mappings"]
    assert mapping["type"] == "value"
    assert {value: (to["text"], to["color"]) for value, to in mapping["options"].items()} == {
        "0": ("off", GREY),
        "1": ("on", GREEN),
    }


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
    return Panel(id, title, "What it shows.", "timeseries", unit, span, 8, (Query(expr, legend="all"),), limits=limits)


def dashboard_of(*panels: Panel) -> Dashboard:
    """A dashboard of one row."""
    return Dashboard("test", "Test", "A test.", "test_panels.py", ("job", "agent"), (), (Row("Row", panels),))
