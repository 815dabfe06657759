"""The runbooks of an agent, rendered on the fly from what the wheel carries, as the bundle renders them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

from agentgauge import metrics
from agentgauge.bundled import bundled_module
from agentgauge.incident.diagnosis import Ask, quoted
from agentgauge.incident.mending import LISTS
from agentgauge.incident.runbook import Runbook, RunbookError, read
from agentgauge.incident.terminal import printable


def declared(name: str) -> Any:
    """The alert of this name, as the catalog declares it; raises RunbookError if there is none."""
    by_name = {one.name: one for one in bundled_module("alerts.catalog").ALERTS}
    if name not in by_name:
        near = get_close_matches(name, by_name, n=3)
        hint = f"did you mean {', '.join(near)}?" if near else "the page at the pager names it"
        raise RunbookError(f"there is no alert {printable(name)!r}; {hint}")
    return by_name[name]


def words_of_commands() -> frozenset[str]:
    """The words in capitals that stand in commands for what only a list or the agent's owner knows."""
    return frozenset([*LISTS, *(name.upper() for name in bundled_module("bundle.pages").EXAMPLES)])


def job_of(agent_name: str, ask: Ask) -> str:
    """The scrape job that shows an agent; the demo's if none does."""
    rows = ask(f"group by (job) ({metrics.BUILD_INFO}{{agent={quoted(agent_name)}}})")
    return next((row.labels["job"] for row in rows if row.labels.get("job")), _demo().job)


def _demo() -> Any:
    return bundled_module("alerts.deployment").DEMO


def pages_of(
    agent_name: str, job: str, url: str, thresholds: Path | None, speed: float, app: str | None
) -> Callable[[str], Runbook]:
    """What gives the runbook of an alert, for this agent and Prometheus; ``speed`` shortens the queries' windows.

    ``app`` is what the commands on the pages say as ``--app``.
    """
    pages, rules = bundled_module("bundle.pages"), bundled_module("alerts.rules")
    demo = _demo()
    deployment = replace(
        demo,
        agents=(agent_name,),
        job=job,
        prometheus=url,
        apps={agent_name: app} if app else {},
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
