"""Panels made of cells: heatmaps and state timelines."""

from __future__ import annotations

from typing import Any

from agentgauge.ops.prometheus import Series
from stack.preview import units
from stack.preview.fields import Figure, legend, nothing, settings_of, states_of, time_axis
from stack.preview.query import TimeRange

HEAT = [[0, "rgba(50,116,217,0.10)"], [0.5, "rgba(50,116,217,0.65)"], [1, "rgba(124,58,237,1)"]]
"""From faint to strong, on a light as on a dark page."""

FEWEST_BANDS = 4
"""A timeline leaves room for so many, so that a single band does not fill it."""


def heatmap(panel: dict[str, Any], results: list[list[Series]], time: TimeRange) -> Figure:
    """How many observations a minute each bucket had, over time."""
    unit = panel["options"]["yAxis"]["unit"]
    buckets = sorted((series for series in results[0] if series.points), key=lambda series: float(series.labels["le"]))
    if not buckets:
        return nothing(panel)
    times = sorted({x for series in buckets for x, _ in series.points})
    rows, names, below = [], [], dict.fromkeys(times, 0.0)
    for index, series in enumerate(buckets):
        cumulative = dict(series.points)
        rows.append([max(0.0, cumulative.get(x, below[x]) - below[x]) or None for x in times])
        below = {x: cumulative.get(x, below[x]) for x in times}
        bound = float(series.labels["le"])
        above = float(buckets[index - 1].labels["le"]) if index and bound == float("inf") else bound
        names.append(f"{'>' if bound == float('inf') else '≤'} {units.written(above, unit, time.end)}")
    if not any(value for row in rows for value in row):
        return nothing(panel)
    trace = {
        "type": "heatmap",
        "x": [x * 1000 for x in times],
        "y": names,
        "z": rows,
        "colorscale": HEAT,
        "zmin": 0,
        "ygap": 1,
        "showscale": False,
        "hovertemplate": "%{y}: %{z:.2~f}/min<extra></extra>",
    }
    return {"kind": "chart", "data": [trace], "layout": {"xaxis": time_axis(time), "yaxis": {"type": "category"}}}


def timeline(panel: dict[str, Any], results: list[list[Series]], time: TimeRange) -> Figure:
    """A band for each series; each state is a trace of its own, so that the legend names it."""
    found = [
        (legend(target["legendFormat"], series.labels), dict(series.points))
        for target, answer in zip(panel["targets"], results, strict=True)
        for series in answer
        if series.points
    ]
    found.sort(key=lambda item: item[0], reverse=True)  # Plotly draws the first at the bottom
    times = sorted({x for _, points in found for x in points})
    traces = []
    for value, state in states_of(settings_of(panel)).items():
        cells = [[1 if points.get(x) == value else None for x in times] for _, points in found]
        if any(cell for row in cells for cell in row):
            traces.append(
                {
                    "type": "heatmap",
                    "name": state["text"],
                    "x": [x * 1000 for x in times],
                    "y": [name for name, _ in found],
                    "z": cells,
                    "colorscale": [[0, state["color"]], [1, state["color"]]],
                    "showscale": False,
                    "ygap": 6,
                    "hovertemplate": f"%{{y}}: {state['text']}<extra></extra>",
                    "meta": {"colour": state["color"], "last": ""},
                }
            )
    if not traces:
        return nothing(panel)
    middle, half = (len(found) - 1) / 2, max(len(found), FEWEST_BANDS) / 2
    bands = {"type": "category", "dtick": 1, "range": [middle - half, middle + half]}
    return {"kind": "chart", "data": traces, "layout": {"xaxis": time_axis(time), "yaxis": bands}}
