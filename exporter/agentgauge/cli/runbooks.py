"""The runbooks of an agent, rendered on the fly from what the wheel carries, as the bundle renders them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

from agentgauge import metrics
from agentgauge.cli.bundle import bundled_module
from agentgauge.cli.common import selected_app, stop
from agentgauge.incident.diagnosis import Ask, quoted
from agentgauge.incident.runbook import Runbook, read
from agentgauge.incident.terminal import printable


def declared(name: str) -> Any:
    """The alert of this name, as the catalog declares it; ends the command if there is none."""
    by_name = {one.name: one for one in bundled_module("alerts.catalog").ALERTS}
    if name not in by_name:
        near = get_close_matches(name, by_name, n=3)
        hint = f"did you mean {', '.join(near)}?" if near else "the page at the pager names it"
        stop(f"there is no alert {printable(name)!r}; {hint}")
    return by_name[name]


def job_of(agent_name: str, ask: Ask) -> str:
    """The scrape job that shows an agent; the demo's if none does."""
    rows = ask(f"group by (job) ({metrics.BUILD_INFO}{{agent={quoted(agent_name)}}})")
    return next((row.labels["job"] for row in rows if row.labels.get("job")), _demo().job)


def _demo() -> Any:
    return bundled_module("alerts.deployment").DEMO


def pages_of(agent_name: str, job: str, url: str, thresholds: Path | None, speed: float) -> Callable[[str], Runbook]:
    """What gives the runbook of an alert, for this agent and Prometheus; ``speed`` shortens the queries' windows."""
    pages, rules = bundled_module("bundle.pages"), bundled_module("alerts.rules")
    demo = _demo()
    spec = selected_app()
    deployment = replace(
        demo,
        agents=(agent_name,),
        job=job,
        prometheus=url,
        apps={agent_name: spec} if spec else {},
        # The alert says which tool is meant, where it is one.
        examples={name: value for name, value in demo.examples.items() if not name.endswith("tool")},
        demo=agent_name in demo.agents,
    )
    if not deployment.demo:
        deployment = replace(deployment, examples={})
    rendered = rules.render(bundled_module("alerts.thresholds").load(overrides=thresholds), deployment)

    @cache
    def page(alert: str) -> Runbook:
        book = read(pages.render_page(alert, deployment, rendered), f"runbooks/{alert}.md")
        steps = (
            replace(step, queries=tuple(rules.faster(query, speed) for query in step.queries)) for step in book.steps
        )
        return replace(book, steps=tuple(steps))

    return page


def faster(query: str, speed: float) -> str:
    """A query with its windows shortened, where clocks run faster."""
    return str(bundled_module("alerts.rules").faster(query, speed))
