"""The shapes that panels come in, each with the house's height: ``stat``, ``lines``, ``stack``, ``heatmap``…"""

from __future__ import annotations

from collections.abc import Callable

from dashboards import queries
from dashboards.model import Drawn, Limit, Panel, Query, State
from dashboards.style import CHART_HEIGHT, COUNT, HEADLINE_HEIGHT, STAT_HEIGHT

WINDOWS = {"5 min": "5m", "1 h": "1h", "24 h": "24h"}
"""What a headline looks back over: minutes must not hide in the mean of a day, nor a bad day in a good hour."""

WINDOWS_OF_THE_RARE = {"24 h": "24h", "7 d": "7d", "28 d": "28d"}
"""The same of what happens a few times a day."""


def stat(
    id: int,
    title: str,
    unit: str,
    description: str,
    expr: str,
    *,
    span: int = 4,
    limit: Limit | None = None,
    opens: str = "",
    instant: bool = False,
    states: tuple[State, ...] = (),
    empty: str = "",
) -> Panel:
    """One number in a colour, with its history faintly behind it."""
    return Panel(
        id,
        title,
        description,
        "stat",
        unit,
        span,
        STAT_HEIGHT,
        (Query(expr, instant=instant),),
        limits=(limit,) if limit else (),
        opens=opens,
        states=states,
        empty=empty,
    )


def headline(
    id: int,
    title: str,
    unit: str,
    description: str,
    over: Callable[[str], str],
    *,
    span: int = 4,
    limit: Limit | None = None,
    opens: str = "",
    empty: str = "",
    windows: dict[str, str] = WINDOWS,
) -> Panel:
    """One measure over several windows, in the colour of the worst.

    ``over`` gives the query for a window such as ``5m``. A window in which nothing happened is left out.
    """
    shown = tuple(Query(over(window), name, instant=True) for name, window in windows.items())
    limits = (limit,) if limit else ()
    return Panel(
        id, title, description, "stat", unit, span, HEADLINE_HEIGHT, shown, limits=limits, opens=opens, empty=empty
    )


def lines(
    id: int,
    title: str,
    unit: str,
    description: str,
    *shown: Query,
    span: int = 8,
    height: int = CHART_HEIGHT,
    limits: tuple[Limit, ...] = (),
    near_zero: bool = False,
    empty: str = "",
) -> Panel:
    """Values over time, with their limits."""
    return Panel(
        id, title, description, "timeseries", unit, span, height, shown, limits=limits, near_zero=near_zero, empty=empty
    )


def stack(
    id: int,
    title: str,
    unit: str,
    description: str,
    *shown: Query,
    span: int = 8,
    height: int = CHART_HEIGHT,
    drawn: Drawn = "stack",
    empty: str = "",
) -> Panel:
    """Parts of a whole over time, one on top of the other; as bars where they are few and far between."""
    return Panel(id, title, description, "timeseries", unit, span, height, shown, drawn=drawn, empty=empty)


def heatmap(
    id: int, title: str, unit: str, description: str, histogram: str, *, span: int = 8, height: int = CHART_HEIGHT
) -> Panel:
    """How often which value occurred: for a histogram whose shape matters more than its quantiles."""
    return Panel(id, title, description, "heatmap", unit, span, height, (Query(queries.buckets(histogram)),))


def table(
    id: int,
    title: str,
    description: str,
    labels: tuple[str, ...],
    *columns: Query,
    span: int = 8,
    height: int = CHART_HEIGHT,
    hidden: tuple[str, ...] = (),
    most_first: str = "",
    empty: str = "",
) -> Panel:
    """What is true now, a row for each set of labels and a column for each query.

    A unit is of a column: one of the whole table would be of its labels too, which Grafana would write as dates.
    """
    return Panel(
        id,
        title,
        description,
        "table",
        COUNT,
        span,
        height,
        columns,
        columns=labels,
        hidden=hidden,
        most_first=most_first,
        empty=empty,
    )


def timeline(
    id: int,
    title: str,
    description: str,
    states: tuple[State, ...],
    expr: str,
    legend: str,
    *,
    span: int = 12,
    height: int = CHART_HEIGHT,
) -> Panel:
    """Which state something was in and when: a band for each series, coloured by its state."""
    return Panel(id, title, description, "state-timeline", COUNT, span, height, (Query(expr, legend),), states=states)


def percentiles(histogram: str, by: str, name: str = "", over: str = "<window>") -> tuple[Query, Query]:
    """The p95 and the p50 of a histogram; ``name`` is the legend of what it is counted by."""
    named = f"{name or '{{' + by + '}}'} " if by else ""
    return (
        Query(queries.quantile(0.95, histogram, by, over), f"{named}p95"),
        Query(queries.quantile(0.5, histogram, by, over), f"{named}p50"),
    )
