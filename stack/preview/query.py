"""What Grafana fills into a query before it asks: the time range, the step, and the dashboard's variables."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from agentgauge.ops.prometheus import Prometheus, Series
from alerts.promql import Duration

SCRAPE_SECONDS = 10
"""The scrape interval of alerts/prometheus.yml, as ``timeInterval`` says it to Grafana."""

POINTS = 240
"""About how many points a line has: what a panel shows without melting into a band."""

ANNOTATION_STEP_SECONDS = 60
"""Grafana's step for annotation queries."""

MOST_POINTS = 11_000
"""Prometheus refuses to answer with more points a series than this."""

_VARIABLE = re.compile(r"\$(?:\{([A-Za-z_]\w*)\}|([A-Za-z_]\w*))")  # $1 belongs to label_replace
_LABEL_VALUES = re.compile(r"label_values\((?P<selector>.+),\s*(?P<label>\w+)\)", re.DOTALL)
_ALL = ("All", "$__all")


@dataclass(frozen=True)
class TimeRange:
    """From start to end in Unix seconds."""

    start: float
    end: float

    @classmethod
    def parse(cls, from_: str, to: str, now: float) -> TimeRange:
        """Read ``now``, ``now-1h`` or Unix milliseconds, as in Grafana's URLs; ValueError for anything else."""
        start, end = _instant(from_, now), _instant(to, now)
        if start >= end:
            raise ValueError(f"the time range is empty: from={from_} is not before to={to}")
        return cls(start, end)

    @property
    def step(self) -> int:
        """Seconds between two points: the scrape interval or a whole multiple of it."""
        wanted = (self.end - self.start) / POINTS
        return max(1, round(wanted / SCRAPE_SECONDS)) * SCRAPE_SECONDS

    def aligned(self, step: int) -> TimeRange:
        """This range with ends on multiples of the step, so that a refresh does not move the points."""
        return TimeRange(self.start // step * step, self.end // step * step)

    def counted_back(self, step: int) -> TimeRange:
        """This range in whole steps back from the last scrape, so that the newest point is not a long step old."""
        end = self.end // SCRAPE_SECONDS * SCRAPE_SECONDS
        return TimeRange(end - (self.end - self.start) // step * step, end)


def _instant(text: str, now: float) -> float:
    if text == "now":
        return now
    if text.startswith("now-"):
        return now - Duration.parse(text.removeprefix("now-")).seconds
    if text.isdecimal():
        return int(text) / 1000
    raise ValueError(f"{text!r} is not a valid time; write now, now-1h or Unix milliseconds")


@dataclass(frozen=True)
class Choices:
    """What is chosen in the variable bar: name → values, none for All."""

    values: Mapping[str, Sequence[str]]
    numbers: Mapping[str, str] = field(default_factory=dict)
    """What is assumed: name → a number."""

    @classmethod
    def of(cls, dashboard: dict[str, Any], asked: Mapping[str, Sequence[str]]) -> Choices:
        """The choices for a dashboard's query variables, from the ``var-…`` parameters of the URL."""
        return cls(
            {
                variable["name"]: [value for value in asked.get(f"var-{variable['name']}", ()) if value not in _ALL]
                for variable in query_variables(dashboard)
            },
            {
                variable["name"]: _number(asked.get(f"var-{variable['name']}", ()), variable["current"]["value"])
                for variable in assumptions(dashboard)
            },
        )

    def matcher(self, name: str) -> str:
        """The regular expression that stands for a variable inside a PromQL string."""
        chosen = [re.escape(value) for value in self.values[name]]
        if not chosen:
            return ".*"
        pattern = chosen[0] if len(chosen) == 1 else f"({'|'.join(chosen)})"
        return pattern.replace("\\", "\\\\").replace('"', '\\"')


def _number(asked: Sequence[str], otherwise: str) -> str:
    return next((text for text in asked if re.fullmatch(r"\d{1,6}(\.\d{1,3})?", text)), otherwise)


def assumptions(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    """The dashboard's variables that are numbers which the reader sets."""
    return [variable for variable in dashboard["templating"]["list"] if variable["type"] == "custom"]


def query_variables(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    """The dashboard's variables that Prometheus lists the choices for."""
    return [variable for variable in dashboard["templating"]["list"] if variable["type"] == "query"]


def least_step_of(target: dict[str, Any]) -> int:
    """Seconds that two points of a query are apart at the least."""
    return round(Duration.parse(target["interval"]).seconds) if "interval" in target else SCRAPE_SECONDS


def step_of(target: dict[str, Any], time: TimeRange) -> int:
    """Seconds between two points of a query in a time range."""
    return max(time.step, least_step_of(target))


def substitute(expr: str, time: TimeRange, step: int, choices: Choices, least_step: int = SCRAPE_SECONDS) -> str:
    """Fill in Grafana's own variables and the dashboard's; KeyError for one that the dashboard does not have."""
    own = {
        "__interval": f"{step}s",
        "__rate_interval": f"{max(step + least_step, 4 * least_step)}s",
        "__range": f"{time.end - time.start:.0f}s",
    }

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if name in choices.numbers:
            return choices.numbers[name]
        return own[name] if name in own else choices.matcher(name)

    return _VARIABLE.sub(value, expr)


def link_to_prometheus(panel: dict[str, Any], url: str, time: TimeRange, choices: Choices) -> str:
    """Prometheus' own page with the panel's queries, filled in, over the same time."""
    asked: list[tuple[str, str]] = []
    for index, target in enumerate(panel["targets"]):
        expr = substitute(target["expr"], time, step_of(target, time), choices, least_step_of(target))
        end = datetime.fromtimestamp(time.end, UTC).strftime("%Y-%m-%d %H:%M:%S")
        shown = {"expr": expr.strip(), "tab": "0", "range_input": f"{time.end - time.start:.0f}s", "end_input": end}
        asked += [(f"g{index}.{name}", value) for name, value in shown.items()]
    return f"{url.rstrip('/')}/graph?{urlencode(asked)}"


def run_panel(panel: dict[str, Any], prometheus: Prometheus, time: TimeRange, choices: Choices) -> list[list[Series]]:
    """The series of each of the panel's queries, asked for at the same time; PrometheusError if one fails."""

    def run(target: dict[str, Any]) -> list[Series]:
        step = step_of(target, time)
        span = time.counted_back(step)
        expr = substitute(target["expr"], time, step, choices, least_step_of(target))
        if target.get("instant"):
            finite = [series.finite() for series in prometheus.instant(expr, time.end)]
            return [series for series in finite if series.points]
        return [series.finite() for series in prometheus.range(expr, span.start, span.end, step)]

    with ThreadPoolExecutor(len(panel["targets"])) as pool:
        return list(pool.map(run, panel["targets"]))


def annotation_step(time: TimeRange) -> int:
    """Seconds between two points of an annotation query: a minute, more only where that would be too many points."""
    steps = (time.end - time.start) / MOST_POINTS / ANNOTATION_STEP_SECONDS
    return max(1, math.ceil(steps)) * ANNOTATION_STEP_SECONDS


def run_annotation(expr: str, prometheus: Prometheus, time: TimeRange, choices: Choices) -> list[Series]:
    """The series of an annotation query: a point where there is something to mark."""
    step = annotation_step(time)
    span = time.aligned(step)
    found = prometheus.range(substitute(expr, time, step, choices), span.start, span.end, step)
    return [series.finite() for series in found]


def variable_options(variable: dict[str, Any], prometheus: Prometheus, time: TimeRange, choices: Choices) -> list[str]:
    """What can be chosen for a variable in this time range."""
    query = _LABEL_VALUES.fullmatch(variable["query"])
    if query is None:
        raise ValueError(f"variable {variable['name']}: {variable['query']!r} is not label_values(selector, label)")
    selector = substitute(query["selector"], time, time.step, choices)
    return sorted(prometheus.label_values(query["label"], selector, time.start, time.end))
