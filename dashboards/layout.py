"""Where panels stand: rows of lines that are 24 columns wide, top to bottom."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from dashboards.model import Dashboard, Panel, PanelError, Row
from dashboards.style import GRID_WIDTH


class Place(NamedTuple):
    """A rectangle of the grid."""

    x: int
    y: int
    width: int
    height: int


def arrange(dashboard: Dashboard) -> Iterator[tuple[Row | Panel, Place]]:
    """Each row's title and each panel with its place; PanelError if a line does not add up or an id is there twice."""
    _check_ids(dashboard)
    y = 0
    for row in dashboard.rows:
        yield row, Place(0, y, GRID_WIDTH, 1)
        y += 1
        for line in _lines(dashboard, row):
            x, height = 0, max(panel.height for panel in line)
            for panel in line:
                yield panel, Place(x, y, panel.span, height)
                x += panel.span
            y += height


def _lines(dashboard: Dashboard, row: Row) -> Iterator[list[Panel]]:
    """The row's panels in lines of exactly 24 columns and one height; numbers take that of their line."""
    line: list[Panel] = []
    for panel in row.panels:
        line.append(panel)
        width = sum(panel.span for panel in line)
        heights = {panel.height for panel in line if panel.kind != "stat"}
        if width == GRID_WIDTH and len(heights) <= 1:
            yield line
            line = []
        elif width >= GRID_WIDTH:
            names = ", ".join(f"{panel.title!r} {panel.span}×{panel.height}" for panel in line)
            raise PanelError(f"{dashboard.uid}: {row.title!r}: not 24 columns of one height: {names}")
    if line:
        raise PanelError(f"{dashboard.uid}: {row.title!r}: the last line is not 24 columns wide")


def _check_ids(dashboard: Dashboard) -> None:
    seen: dict[int, str] = {}
    for panel in dashboard.panels:
        if panel.id in seen:
            raise PanelError(f"{dashboard.uid}: {seen[panel.id]!r} and {panel.title!r} both have the id {panel.id}")
        seen[panel.id] = panel.title
