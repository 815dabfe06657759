"""The runbooks: each template filled in for a deployment."""

from __future__ import annotations

import html
import json
from pathlib import Path

from agentgauge import metrics
from agentgauge.incident.conversations import OF_ALERTS
from alerts import docs
from alerts.deployment import Deployment
from alerts.rules import RenderedAlert
from bundle.holes import TemplateError, fill

TEMPLATES = Path(__file__).resolve().parent.parent / "runbooks" / "templates"

AGENT_MARK = "agentgauge0agent"
COMMAND_MARK = "agentgauge0command"
"""One word each to every highlighter; in the built site elements take their place, whose text a script can swap."""

EXAMPLES = ("tool", "looping_tool", "acting_tool", "cheaper_model", "better_model", "suite", "log")
"""Holes for what only the agent's owner knows; without it a word in capitals stands on the page."""

NEW_MODELS = f"""\
sum by (model) (increase({metrics.LLM_CALLS}{{agent="AGENT"}}[1h])) > 0
unless on (model)
sum by (model) (increase({metrics.LLM_CALLS}{{agent="AGENT"}}[1h] offset 1d)) > 0
and on ()
sum(increase({metrics.LLM_CALLS}{{agent="AGENT"}}[1h] offset 1d)) > 0"""
"""The models that were called in the last hour, and not in the same hour yesterday; none without calls yesterday."""


def render_pages(deployment: Deployment, rendered: list[RenderedAlert], *, marked: bool = False) -> dict[str, str]:
    """File name → Markdown, one page for each alert and the index; raises TemplateError.

    Pages are about the first agent. ``marked`` leaves marks where the site swaps in the name of another one.
    """
    by_name = {item.alert.name: item for item in rendered if not item.only_agent}
    pages = {}
    for path in sorted(TEMPLATES.glob("*.md")):
        if path.stem == "index":
            values = general_holes(deployment, marked=marked)
            pages[path.name] = _page(
                path, values | {"alerts": docs.alert_table(list(by_name.values()), "")}, deployment
            )
        elif path.stem in by_name:
            pages[path.name] = render_page(path.stem, deployment, rendered, marked=marked)
        else:
            raise TemplateError(f"runbooks/templates/{path.name}: {path.stem} is not an alert; remove the page")
    if missing := by_name.keys() - {Path(name).stem for name in pages}:
        names = ", ".join(f"runbooks/templates/{name}.md" for name in sorted(missing))
        raise TemplateError(f"{names} is missing: every alert has a page with its name")
    return pages


def render_page(alert: str, deployment: Deployment, rendered: list[RenderedAlert], *, marked: bool = False) -> str:
    """Markdown of the page of one alert, which is among those ``rendered``; raises TemplateError."""
    item = next(item for item in rendered if item.alert.name == alert and not item.only_agent)
    values = general_holes(deployment, marked=marked) | alert_holes(item, rendered)
    values["facts"] += f"\n| **Follow it** | {_incident_command(item, deployment, values['agentgauge'])} |"
    if sought := OF_ALERTS.get(alert):
        command = f"{values['agentgauge']} {sought.arguments}"
        values["facts"] += f"\n| **What was said** | `{command}` |"
    return _page(TEMPLATES / f"{alert}.md", values, deployment)


def _incident_command(item: RenderedAlert, deployment: Deployment, agentgauge: str) -> str:
    """What walks through the page; the dead-man switch never ends, so there is nothing to wait for."""
    dry = " --dry-run" if item.numbers.severity == "none" else ""
    command = f"{agentgauge} incident {item.alert.name} --prometheus {deployment.prometheus}{dry}"
    return f"`{command}` asks these queries, runs the command after a yes, and waits for the end"


def general_holes(deployment: Deployment, *, marked: bool = False) -> dict[str, str]:
    """The holes that every page can have."""
    agent = deployment.agents[0]
    return {
        "agent": AGENT_MARK if marked else agent,
        "agentgauge": COMMAND_MARK if marked else deployment.command(agent),
        "job": deployment.job,
        "target": next(iter(deployment.targets), "127.0.0.1:9464"),
        "prometheus": deployment.prometheus,
        "alertmanager": deployment.alertmanager,
        "thresholds": "alerts/thresholds.yml" if deployment.demo else "thresholds.yml",
        "generate": "make generate" if deployment.demo else "agentgauge bundle",
        "new_models": NEW_MODELS.replace("AGENT", AGENT_MARK if marked else agent),
        **{name: deployment.examples.get(name, name.upper()) for name in EXAMPLES},
    }


def alert_holes(item: RenderedAlert, rendered: list[RenderedAlert]) -> dict[str, str]:
    """The holes of one alert's page: its facts, as a table and one by one."""
    numbers = item.numbers
    facts = {
        "threshold": numbers.threshold,
        "evidence": numbers.evidence,
        "window": numbers.window,
        "for": numbers.for_,
    }
    holes = {name: str(value) for name, value in facts.items() if value is not None}
    if numbers.threshold:
        holes["limit"] = f"{numbers.threshold.value:g}"
        if item.alert.boundary_of:
            holes["le"] = item.alert.boundary_of.le(numbers.threshold.value)
    others = [other for other in rendered if other.alert is item.alert and other.only_agent]
    return holes | {"facts": docs.fact_box(item, others), "resolves": docs.resolves(item)}


def _page(path: Path, values: dict[str, str], deployment: Deployment) -> str:
    where = f"runbooks/templates/{path.name}"
    conditions = {"demo": deployment.demo, "several": len(deployment.agents) > 1}
    title, _, rest = fill(path.read_text(encoding="utf-8"), values, conditions, where=where).partition("\n")
    source = f"<!-- Rendered from {where}: edit that and run `make generate`. -->\n" if deployment.demo else ""
    return f"{title}\n{source}{_which_agent(deployment, values['agent'])}{rest}"


def _which_agent(deployment: Deployment, agent: str) -> str:
    """What a page of several agents says first: whose queries it shows, and how to get another agent's."""
    if len(deployment.agents) == 1:
        return ""
    commands = json.dumps({name: deployment.command(name) for name in deployment.agents})
    others = ", ".join(f"<code>{name}</code>" for name in deployment.agents[1:])
    return (
        f"\n<p class=\"which-agent\" data-agents='{html.escape(commands)}'>The queries and commands on this page are "
        f"those of <code>{agent}</code>. For another agent ({others}), write its name in their place.</p>\n"
    )
