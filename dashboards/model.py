"""The nouns of a dashboard (Panel, Row, Dashboard), its units, and what every dashboard shares.

What they look like in Grafana is in ``panels.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from dashboards import queries

# Grafana's names of units.
RATIO = "percentunit"
SECONDS = "s"
USD = "currencyUSD"
COUNT = "short"
TOKENS = "short"  # 50 K; Grafana has no unit for them
FACTOR = "suffix: ×"
DAYS = "d"
BYTES = "decbytes"
CORES = "suffix: cores"
AGO = "dateTimeFromNow"
PER_MINUTE = "suffix:/min"

UNIT_OF_THRESHOLD = {
    "ratio": RATIO,
    "seconds": SECONDS,
    "count": COUNT,
    "usd": USD,
    "tokens": TOKENS,
    "factor": FACTOR,
    "days": DAYS,
}
"""The panel unit that fits a unit of thresholds.yml."""

GREEN, AMBER, RED = "#56a64b", "#ff780a", "#e02f44"
BLUE, PURPLE, YELLOW, GREY = "#3274d9", "#a352cc", "#e0b400", "#808a94"

COLOURS = {
    "completed": GREEN, "fallback": AMBER, "failed": RED, "abandoned": GREY,
    "critical": RED, "warning": AMBER, "info": BLUE, "none": GREY,
    "input": BLUE, "cache_read": GREEN, "cache_write_5m": AMBER, "cache_write_1h": YELLOW, "output": PURPLE,
    "success": GREEN, "error": RED, "up": GREEN, "down": RED, "wrong_answer": RED,
    "past the limit": RED,
}  # fmt: skip  # one label a line
"""What a colour means, by the name of the series or the value in a cell; other series take the palette."""

VARIABLES = {
    "job": queries.fill("label_values(<build_info>, job)", ()),
    "instance": queries.fill("label_values(<build_info>{<where>}, instance)", ("job",)),
    "agent": queries.fill("label_values(<build_info>{<where>}, agent)", ("job", "instance")),
    "tool": queries.fill("label_values(<tool_calls>{<where>}, tool)", ("job", "instance", "agent")),
    "model": queries.fill("label_values(<llm_calls>{<where>}, model)", ("job", "instance", "agent")),
}
"""Every variable a dashboard can have, and the query for its choices."""


@dataclass(frozen=True)
class Annotation:
    """A mark on every time series while, or when, its query has a result; ``title`` is a legend template."""

    name: str
    colour: str
    expr: str
    title: str


ALERT_SELECTOR = 'alertstate="firing", agent=~"$agent|"'
"""Firing alerts of the chosen agents, and those of no agent at all, such as a target that is down."""

OF_AGENT = 'agent=~"$agent"'
"""What narrows the series of a recording rule, which has no label of a scrape target."""

ANNOTATIONS = (
    Annotation(
        "Firing alerts", RED, f'ALERTS{{{ALERT_SELECTOR}, severity!="none"}}', "{{alertname}} {{tool}} {{model}}"
    ),
    Annotation(
        "Deploys",
        BLUE,
        """
max by (agent, version, prompt_version) (<build_info>{<where>})
unless
max by (agent, version, prompt_version) (<build_info>{<where>} offset 1m)
""",
        "{{agent}} {{version}}, prompts {{prompt_version}}",
    ),
)
"""What every dashboard marks on its time series."""


class PanelError(ValueError):
    """A panel cannot be built as it is written; the message names dashboard and panel."""


@dataclass(frozen=True)
class Limit:
    """Where a value turns bad. ``at`` is an alert's name, whose threshold it takes, or a number in the panel's unit."""

    at: str | float
    bad: Literal["above", "below"]
    colour: str = RED


@dataclass(frozen=True)
class Query:
    """One query of a panel: a template of ``dashboards.queries`` and the name of its series.

    In a table the query is a column: ``legend`` is its heading (none: the column is hidden), ``unit`` and ``limit``
    its own. ``bars`` draws a time series as bars against the right axis, in its own ``unit``. ``instant`` asks for the
    last value only.

    ``is_limit`` draws a limit that moves, such as a multiple of a usual day, as a threshold is drawn. ``<threshold>``
    in it is the factor of the alert that watches the panel.
    """

    expr: str
    legend: str = ""
    unit: str = ""
    limit: Limit | None = None
    bars: bool = False
    instant: bool = False
    is_limit: bool = False


@dataclass(frozen=True)
class Panel:
    """One panel. ``span`` is of 24 columns, ``height`` in grid rows.

    Of a table, ``columns`` are the label columns in order and ``most_first`` the heading that its rows are sorted by.
    Of a stat, ``opens`` is the uid of the dashboard that a click leads to.

    In the queries ``<window>`` is the window of the alert that watches the panel or lends it a limit: the panel then
    shows just what the alert judges.
    """

    id: int
    title: str
    description: str
    kind: Literal["stat", "timeseries", "table", "heatmap"]
    unit: str
    span: int
    queries: tuple[Query, ...]
    height: int = 8
    limits: tuple[Limit, ...] = ()
    stacked: bool = False
    columns: tuple[str, ...] = ()
    most_first: str = ""
    opens: str = ""


@dataclass(frozen=True)
class Row:
    """A titled band of panels, laid out left to right in lines of 24 columns."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Dashboard:
    """One dashboard. ``source`` is the file it is written in; ``variables`` are names out of ``VARIABLES``.

    ``since`` is where its time range starts when it is opened without one.
    """

    uid: str
    title: str
    description: str
    source: str
    variables: tuple[str, ...]
    rows: tuple[Row, ...]
    since: str = "now-1h"

    @property
    def panels(self) -> Iterator[Panel]:
        """All panels, top to bottom."""
        for row in self.rows:
            yield from row.panels
