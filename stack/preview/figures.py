"""From a panel's JSON and the answers to its queries to what the page draws; ``fields`` says what a figure is."""

from __future__ import annotations

from typing import Any

from agentgauge.ops.prometheus import Series
from stack.preview import units
from stack.preview.cells import heatmap, timeline
from stack.preview.fields import Figure, legend, nothing, settings_of, states_of, step_colour, stretches
from stack.preview.lines import timeseries
from stack.preview.query import TimeRange
from stack.preview.tables import table


def figure(panel: dict[str, Any], results: list[list[Series]], time: TimeRange) -> Figure:
    """What to draw for a panel; ``results`` holds the series of each of its targets."""
    if not any(results):
        return nothing(panel)
    draw = {
        "stat": _stat,
        "timeseries": timeseries,
        "table": table,
        "heatmap": heatmap,
        "state-timeline": timeline,
    }
    return draw[panel["type"]](panel, results, time)


def message(text: str) -> Figure:
    """A text in place of the panel's content."""
    return {"kind": "message", "text": text}


def marks_of(annotation: dict[str, Any], series: list[Series], step: int, end: float) -> list[dict[str, Any]]:
    """The marks of one annotation query: from, to, title and colour of each stretch that has points.

    A stretch that has lasted up to its last possible point before ``end`` (Unix seconds) still lasts.
    """
    marks: list[dict[str, Any]] = []
    for item in series:
        for stretch in stretches(item.points, step):
            start, last = stretch[0][0], stretch[-1][0]
            marks.append(
                {
                    "from": start * 1000,
                    "to": (end if start < last and last + step > end else last) * 1000,
                    "name": annotation["name"],
                    "title": legend(annotation["titleFormat"], item.labels).strip(),
                    "colour": annotation["iconColor"],
                }
            )
    return marks


def _stat(panel: dict[str, Any], results: list[list[Series]], time: TimeRange) -> Figure:
    values = []
    lasts = [series.points[-1][1] for found in results for series in found if series.points]
    settings = settings_of(panel, values=lasts)
    fixed = settings["color"].get("fixedColor")
    sparkline = panel["options"]["graphMode"] != "none"
    named = panel["options"]["textMode"] == "value_and_name"
    for target, found in zip(panel["targets"], results, strict=True):
        for series in (item for item in found if item.points):
            last = series.points[-1][1]
            state = states_of(settings).get(last)
            values.append(
                {
                    "name": legend(target["legendFormat"], series.labels) if named else "",
                    "text": state["text"] if state else units.written(last, settings["unit"], time.end),
                    "colour": state["color"] if state else fixed or step_colour(settings["thresholds"]["steps"], last),
                    "link": next((link["url"].partition("?")[0] for link in settings.get("links", [])), ""),
                    "points": [[x * 1000, y] for x, y in series.points] if sparkline and len(series.points) > 1 else [],
                }
            )
    return {"kind": "stat", "values": values} if values else nothing(panel)
