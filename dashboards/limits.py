"""What alerts have to do with a panel: who watches it, over which window, and where its limits lie."""

from __future__ import annotations

from collections.abc import Iterator

from agentgauge.incident.conversations import OF_ALERTS
from alerts.catalog import ALERTS
from alerts.links import PanelRef
from alerts.model import Alert
from alerts.thresholds import Threshold, Thresholds
from dashboards import queries
from dashboards.model import Dashboard, Limit, Panel, PanelError, Query
from dashboards.style import BLUE, GREEN, RATIO, SIZE_OF_THRESHOLD, UNIT_OF_THRESHOLD

Steps = list[tuple[float | None, str]]
"""Colours from a value upwards; the first has no value and holds from below."""


def watchers(dashboard: Dashboard, panel: Panel) -> list[Alert]:
    """The alerts whose breach the panel shows."""
    return [alert for alert in ALERTS if alert.panel == PanelRef(dashboard.uid, panel.id)]


def expr(dashboard: Dashboard, panel: Panel, query: Query, thresholds: Thresholds, job: str) -> str:
    """The query with metric names, matchers, window, factor and job filled in; PanelError if no alert gives one."""
    given = {
        "window": _window(dashboard, panel, query, thresholds),
        "threshold": _factor(dashboard, panel, thresholds),
        "job": job,
        **_budget(dashboard, panel, thresholds),
    }
    asked_for = {name: value for name, value in given.items() if f"<{name}>" in query.expr}
    if asked_for.get("window", "") is None:
        raise PanelError(f"{dashboard.uid}: {panel.title!r}: <window> needs an alert (or several that share a window)")
    if asked_for.get("threshold", "") is None:
        raise PanelError(f"{dashboard.uid}: {panel.title!r}: <threshold> needs an alert whose threshold is a factor")
    return queries.fill(query.expr, dashboard.variables, **asked_for)


def _budget(dashboard: Dashboard, panel: Panel, thresholds: Thresholds) -> dict[str, str]:
    """What may be spent in an hour and in a day, where an alert that watches the panel has such numbers."""
    for alert in watchers(dashboard, panel):
        numbers = thresholds.alerts[alert.name]
        if numbers.hour and numbers.day:
            return {"hour": f"{numbers.hour.value:g}", "day": f"{numbers.day.value:g}"}
    return {}


def check(dashboard: Dashboard, panel: Panel, thresholds: Thresholds) -> None:
    """PanelError if a limit is of an alert without threshold, or of one in another unit than what it limits."""
    limits = [(limit, panel.unit) for limit in panel.limits]
    limits += [(query.limit, query.unit) for query in panel.queries if query.limit]
    for limit, unit in limits:
        if isinstance(limit.at, str):
            where = f"{dashboard.uid}: {panel.title!r}: {limit.at}"
            numbers = thresholds.alerts.get(limit.at)
            if numbers is None or numbers.threshold is None:
                raise PanelError(f"{where} has no threshold in {thresholds.path.name}, so it cannot be a limit")
            if UNIT_OF_THRESHOLD[numbers.threshold.unit] != unit:
                raise PanelError(f"{where}'s threshold is in {numbers.threshold.unit}, the panel's unit is {unit!r}")


def colours(limits: tuple[Limit, ...], thresholds: Thresholds) -> Steps:
    """Colours by value: good between the limits, the limit's colour beyond them, neutral where there is no limit."""
    ordered = sorted(limits, key=lambda limit: value(limit, thresholds))
    lowest = ordered[0] if ordered else None
    base = BLUE if lowest is None else lowest.colour if lowest.bad == "below" else GREEN
    steps: Steps = [(None, base)]
    for limit in ordered:
        steps.append((value(limit, thresholds), limit.colour if limit.bad == "above" else GREEN))
    return steps


def lines(panel: Panel, thresholds: Thresholds) -> Steps:
    """The limits as lines: Grafana draws each in the colour of its step, so also a lower limit's step is red."""
    ordered = sorted((value(limit, thresholds), limit.colour) for limit in panel.limits)
    return [(None, "transparent"), *ordered]


def in_sight(panel: Panel, thresholds: Thresholds) -> tuple[float, float] | None:
    """The stretch of the axis that is always in sight: the limits, with room to see how far away they are."""
    values = [value(limit, thresholds) for limit in panel.limits]
    if is_share_of_trouble(panel):
        return 0, min(1.0, 2 * max(values, default=0.1))
    if not values:
        return None
    if panel.unit == RATIO:
        return max(0.0, round(1 - 5 * (1 - min(values)), 3)), 1
    return 0, 1.2 * max(values)


def is_share_of_trouble(panel: Panel) -> bool:
    """Whether the panel shows a ratio that should be near 0, which a full axis would flatten."""
    above = [limit.bad == "above" for limit in panel.limits]
    return panel.unit == RATIO and all(above) and (panel.near_zero or bool(above))


def in_words(dashboard: Dashboard, panel: Panel, thresholds: Thresholds) -> Iterator[str]:
    """A sentence for each threshold that the panel shows, and one on how to read the conversations behind it."""
    mark = "Dashed line:" if panel.kind == "timeseries" else "Red:"
    if panel.kind == "stat" and len(panel.queries) > 1:
        mark = "All are red as soon as one is"
    for limit in panel.all_limits:
        if isinstance(limit.at, str):
            yield f"{mark} {limit.bad} {_threshold(limit.at, thresholds)}, the threshold of {limit.at}."
            for agent, numbers in thresholds.agents.items():
                if limit.at in numbers and numbers[limit.at].threshold:
                    yield f"Of {agent}: {numbers[limit.at].threshold}."
    if any(query.is_limit for query in panel.queries):
        for name, factor in _factors(dashboard, panel, thresholds).items():
            yield f"Dashed line: {factor} the baseline, the threshold of {name}."
    names = [alert.name for alert in watchers(dashboard, panel)]
    names += [limit.at for limit in panel.all_limits if isinstance(limit.at, str)]
    commands = dict.fromkeys(f"`agentgauge {OF_ALERTS[name].arguments}`" for name in names if name in OF_ALERTS)
    if commands:
        yield f"The conversations behind it: {', '.join(commands)}."


def _window(dashboard: Dashboard, panel: Panel, query: Query, thresholds: Thresholds) -> str | None:
    names = {alert.name for alert in watchers(dashboard, panel)}
    names |= {limit.at for limit in panel.all_limits if isinstance(limit.at, str)}
    if query.judged_by:
        names &= {query.judged_by}
    windows = {str(numbers.window) for name, numbers in thresholds.alerts.items() if name in names and numbers.window}
    return windows.pop() if len(windows) == 1 else None


def _factors(dashboard: Dashboard, panel: Panel, thresholds: Thresholds) -> dict[str, Threshold]:
    """The thresholds that multiply a baseline, by the alert that has them."""
    found = {alert.name: thresholds.alerts[alert.name].threshold for alert in watchers(dashboard, panel)}
    return {name: threshold for name, threshold in found.items() if threshold and threshold.unit == "factor"}


def _factor(dashboard: Dashboard, panel: Panel, thresholds: Thresholds) -> str | None:
    factors = _factors(dashboard, panel, thresholds).values()
    return f"{next(iter(factors)).value:g}" if len(factors) == 1 else None


def _threshold(alert: str, thresholds: Thresholds) -> Threshold:
    threshold = thresholds.alerts[alert].threshold
    assert threshold is not None, alert  # noqa: S101 - `check` came first
    return threshold


def value(limit: Limit, thresholds: Thresholds) -> float:
    """Where a limit lies, in the panel's unit."""
    if not isinstance(limit.at, str):
        return limit.at
    threshold = _threshold(limit.at, thresholds)
    return threshold.value * SIZE_OF_THRESHOLD.get(threshold.unit, 1.0)
