"""How long Prometheus takes to answer a dashboard: every query of every panel and annotation, as a browser asks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

from agentgauge.ops.prometheus import Prometheus
from stack.preview.query import Choices, TimeRange, run_annotation, run_panel

AT_ONCE = 6
"""Connections that a browser opens to one server."""


@dataclass(frozen=True)
class Cost:
    """What opening a dashboard costs: how many queries its panels ask, and the seconds until all, and the slowest panel
    or annotation, are answered."""

    title: str
    queries: int
    seconds: float
    slowest: str
    slowest_seconds: float


def measure(dashboards: list[dict[str, Any]], prometheus: Prometheus, span: TimeRange, rounds: int) -> Iterator[Cost]:
    """The median cost of opening each dashboard over a time range; PrometheusError if a query is not answered."""
    for dashboard in dashboards:
        names, asked = zip(*_questions(dashboard, prometheus, span), strict=True)
        totals, each = [], []
        for _ in range(rounds):
            started = time.perf_counter()
            with ThreadPoolExecutor(AT_ONCE) as pool:
                each.append(list(pool.map(_timed, asked)))
            totals.append(time.perf_counter() - started)
        medians = [median(seconds) for seconds in zip(*each, strict=True)]
        slowest = max(medians)
        yield Cost(
            title=dashboard["title"],
            queries=sum(len(panel.get("targets", ())) for panel in dashboard["panels"]),
            seconds=median(totals),
            slowest=names[medians.index(slowest)],
            slowest_seconds=slowest,
        )


def _questions(
    dashboard: dict[str, Any], prometheus: Prometheus, span: TimeRange
) -> Iterator[tuple[str, Callable[[], object]]]:
    """What is asked when the dashboard opens, with the name of the annotation or the title of the panel."""
    choices = Choices.of(dashboard, {})
    for annotation in dashboard["annotations"]["list"]:
        yield annotation["name"], partial(run_annotation, annotation["expr"], prometheus, span, choices)
    for panel in dashboard["panels"]:
        if panel["type"] != "row":
            yield panel["title"], partial(run_panel, panel, prometheus, span, choices)


def _timed(ask: Callable[[], object]) -> float:
    started = time.perf_counter()
    ask()
    return time.perf_counter() - started
