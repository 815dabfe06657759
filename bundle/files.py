"""The bundle as files: their names beside each other, and their text."""

from __future__ import annotations

import json
from pathlib import Path

from alerts.deployment import Deployment
from alerts.rules import RenderedAlert, render, rule_files
from alerts.thresholds import ThresholdError, Thresholds
from bundle.configuration import alertmanager_yml, prometheus_yml
from bundle.pages import render_pages
from dashboards.catalog import DASHBOARDS
from dashboards.model import PanelError
from dashboards.panels import to_json

MESSAGES = Path(__file__).resolve().parent.parent / "alerts" / "templates"


def bundle_files(deployment: Deployment, thresholds: Thresholds) -> dict[str, str]:
    """Path below the bundle's folder → text; raises ThresholdError, TemplateError and PanelError."""
    check_agents(deployment, thresholds)
    rendered = render(thresholds, deployment)
    check_panels(rendered)
    return {
        **config_files(deployment, rendered),
        **{f"dashboards/{name}": text for name, text in dashboard_files(deployment, thresholds).items()},
        **{f"runbooks/{name}": text for name, text in render_pages(deployment, rendered).items()},
    }


def check_agents(deployment: Deployment, thresholds: Thresholds) -> None:
    """ThresholdError if there are numbers for an agent that is not one of these: a misspelt name would do nothing."""
    for agent, alerts in thresholds.agents.items():
        if agent not in deployment.agents:
            at = next((f"{numbers.file}:{numbers.line}: " for numbers in alerts.values()), "")
            names = ", ".join(deployment.agents)
            raise ThresholdError(f"{at}agents.{agent}: is not one of the agents of this bundle, which are {names}")


def check_panels(rendered: list[RenderedAlert]) -> None:
    """PanelError if an alert points at a panel that its dashboard does not have: the link would open nothing."""
    panels = {board.uid: {panel.id for panel in board.panels} for board in DASHBOARDS.values()}
    for item in rendered:
        panel = item.alert.panel
        if panel.dashboard not in panels:
            raise PanelError(f"{item.alert.name} points at the dashboard {panel.dashboard}, which does not exist")
        if panel.panel_id not in panels[panel.dashboard]:
            raise PanelError(f"{item.alert.name} points at panel {panel.panel_id} of {panel.dashboard}, which has none")


def config_files(deployment: Deployment, rendered: list[RenderedAlert]) -> dict[str, str]:
    """What Prometheus and Alertmanager read."""
    return {
        "prometheus.yml": prometheus_yml(deployment),
        **{f"rules/{name}": text for name, text in rule_files(rendered, deployment).items()},
        "alertmanager.yml": alertmanager_yml(deployment),
        **message_files(),
    }


def message_files() -> dict[str, str]:
    """Alertmanager's templates: the words of its messages."""
    return {f"templates/{path.name}": path.read_text(encoding="utf-8") for path in sorted(MESSAGES.glob("*.tmpl"))}


def dashboard_files(deployment: Deployment, thresholds: Thresholds) -> dict[str, str]:
    """File name → JSON of each dashboard."""
    return {
        name: json.dumps(to_json(board, thresholds, deployment), indent=2, ensure_ascii=False) + "\n"
        for name, board in DASHBOARDS.items()
    }
