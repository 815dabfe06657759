"""The nouns of a dashboard: Query, Limit, State, Panel, Row, Annotation, Dashboard.

What they look like in Grafana is in ``style.py`` and ``panels.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from dashboards.style import RED

PanelKind = Literal["stat", "timeseries", "table", "heatmap", "state-timeline"]
"""Grafana's names of the kinds of panels in use."""


Drawn = Literal["lines", "stack", "bars"]
"""How a time series is drawn; a stack is of areas, bars are stacked as well."""


class PanelError(ValueError):
    """A panel cannot be built as it is written; the message names dashboard and panel."""


@dataclass(frozen=True)
class Limit:
    """Where a value turns bad. ``at`` is an alert's name, whose threshold it takes, or a number in the panel's unit."""

    at: str | float
    bad: Literal["above", "below"]
    colour: str = RED


@dataclass(frozen=True)
class State:
    """A value that stands for a state, shown as a text in a colour."""

    text: str
    colour: str


@dataclass(frozen=True)
class Query:
    """One query of a panel: a template of ``dashboards.queries`` and the name of its series.

    In a table the query is a column: ``legend`` is its heading (none: the column is hidden), ``unit`` and ``limit``
    its own. ``bars`` draws a time series as bars against the right axis, in its own ``unit``. ``instant`` asks for the
    last value only.

    ``is_limit`` draws a limit that moves, such as a multiple of a usual day, as a threshold is drawn. ``<threshold>``
    in it is the factor of the alert that watches the panel, ``<hour>`` and ``<day>`` are its budgets. ``judged_by`` is
    the alert whose window is meant by ``<window>``, where several alerts watch the panel. ``states`` are what the
    values 0, 1, 2… of a column stand for. ``to_incident`` makes its cells links to the incident of the alert in their
    row; a bundle without the pager's page leaves the column out.
    """

    expr: str
    legend: str = ""
    unit: str = ""
    limit: Limit | None = None
    bars: bool = False
    instant: bool = False
    is_limit: bool = False
    judged_by: str = ""
    states: tuple[State, ...] = ()
    to_incident: bool = False


@dataclass(frozen=True)
class Panel:
    """One panel. ``span`` is of 24 columns, ``height`` in grid rows; ``empty`` is what it says where there is no data,
    by default what ``silence`` says of its first query.

    Of a table, ``columns`` are the label columns in order, ``hidden`` those labels that only links need, and
    ``most_first`` the heading that its rows are sorted by.
    Of a stat, ``opens`` is the uid of the dashboard that a click leads to. ``states`` are what the values 0, 1, 2… of a
    stat or state timeline stand for. ``near_zero`` says of a ratio without limit that it should be small, so that its
    axis shows that part.

    In the queries ``<window>`` is the window of the alert that watches the panel or lends it a limit: the panel then
    shows just what the alert judges.
    """

    id: int
    title: str
    description: str
    kind: PanelKind
    unit: str
    span: int
    height: int
    queries: tuple[Query, ...]
    limits: tuple[Limit, ...] = ()
    drawn: Drawn = "lines"
    near_zero: bool = False
    empty: str = ""
    columns: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    most_first: str = ""
    opens: str = ""
    states: tuple[State, ...] = ()

    @property
    def all_limits(self) -> tuple[Limit, ...]:
        """The panel's limits and those of its columns."""
        return (*self.limits, *(query.limit for query in self.queries if query.limit))


@dataclass(frozen=True)
class Row:
    """A titled band of panels, laid out left to right in lines of 24 columns."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Annotation:
    """A mark on every time series while, or when, its query has a result; ``title`` is a legend template."""

    name: str
    colour: str
    expr: str
    title: str


@dataclass(frozen=True)
class Assumption:
    """A number that nobody measures and the reader sets: ``$name`` in queries, one of ``choices`` or their own."""

    name: str
    label: str
    value: int
    choices: tuple[int, ...]


@dataclass(frozen=True)
class Dashboard:
    """One dashboard. ``source`` is the file it is written in; ``variables`` are names out of ``queries.VARIABLES``.

    ``since`` is where its time range starts when it is opened without one.
    """

    uid: str
    title: str
    description: str
    source: str
    variables: tuple[str, ...]
    annotations: tuple[Annotation, ...]
    rows: tuple[Row, ...]
    since: str = "now-1h"
    assumptions: tuple[Assumption, ...] = ()

    @property
    def panels(self) -> Iterator[Panel]:
        """All panels, top to bottom."""
        for row in self.rows:
            yield from row.panels
