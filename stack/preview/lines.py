"""Time series as Plotly's traces and layout."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from agentgauge.ops.prometheus import Series
from stack.preview import units
from stack.preview.fields import Figure, legend, nothing, settings_of, stretches, time_axis
from stack.preview.query import TimeRange, step_of

PALETTE = (
    "#3274d9", "#56a64b", "#a352cc", "#ff780a", "#1fa2b8", "#e0b400", "#d64e8b", "#7c6cf0", "#2f9e77", "#b3702f",
    "#6d8fb3", "#9bbf2f",
)  # fmt: skip  # no red: red means bad

RIGHT_AXIS = {"overlaying": "y", "side": "right", "rangemode": "tozero", "showgrid": False, "tickmode": "auto"}


@dataclass(frozen=True)
class Line:
    """One series as it is to be drawn; ``step`` is how many seconds its points are apart."""

    name: str
    series: Series
    settings: dict[str, Any]
    step: int

    @property
    def is_bars(self) -> bool:
        """Whether it is drawn as bars."""
        return self.settings.get("custom.drawStyle") == "bars"

    @property
    def is_on_the_right(self) -> bool:
        """Whether it is drawn against an axis of its own."""
        return self.settings.get("custom.axisPlacement") == "right"


def timeseries(panel: dict[str, Any], results: list[list[Series]], time: TimeRange) -> Figure:
    """Lines, stacks and bars over time, with their limits."""
    lines = [
        _line(panel, target, series, time)
        for target, found in zip(panel["targets"], results, strict=True)
        for series in found
        if series.points
    ]
    if not lines:
        return nothing(panel)
    colours = _colours({line.name: line.settings for line in lines})
    traces = [_trace(line, colours[line.name], time) for line in lines]
    settings = settings_of(panel)
    values = [y for line in lines if not line.is_on_the_right for _, y in line.series.points] or [0.0]
    y_range = _y_range(settings, values)
    layout: dict[str, Any] = {
        "xaxis": time_axis(time),
        "yaxis": units.axis(settings["unit"], max(y_range.get("range", values))) | y_range,
        "barmode": "stack",
        "shapes": [],
        "annotations": [],
    }
    if any("yaxis" in trace for trace in traces):
        layout["yaxis2"] = RIGHT_AXIS
    for step in _limit_steps(settings):
        layout["shapes"].append(_limit_line(step))
        layout["annotations"].append(_limit_label(step, units.written(step["value"], settings["unit"], time.end)))
    return {"kind": "chart", "data": traces, "layout": layout}


def _line(panel: dict[str, Any], target: dict[str, Any], series: Series, time: TimeRange) -> Line:
    name = legend(target.get("legendFormat", ""), series.labels)
    return Line(name, series, settings_of(panel, name, target["refId"]), step_of(target, time))


def _trace(line: Line, colour: str, time: TimeRange) -> dict[str, Any]:
    series, settings = line.series, line.settings
    stacked = settings.get("custom.stacking", {}).get("mode") == "normal"
    points: Iterable[tuple[float, float | None]] = series.points if stacked else _with_gaps(series.points, line.step)
    xs, ys = zip(*points, strict=True)
    trace: dict[str, Any] = {
        "name": line.name,
        "x": [x * 1000 for x in xs],
        "y": list(ys),
        "text": ["" if y is None else units.written(y, settings["unit"], time.end) for y in ys],
        "hovertemplate": "%{text}",
        "meta": {"last": units.written(series.points[-1][1], settings["unit"], time.end), "colour": colour},
    }
    if line.is_bars:
        opacity = settings["custom.fillOpacity"] / 100
        bars = {"type": "bar", "marker": {"color": colour}, "opacity": opacity, "textposition": "none"}
        return trace | bars | ({"yaxis": "y2"} if line.is_on_the_right else {})
    dash = settings.get("custom.lineStyle", {}).get("fill", "solid")
    stroke = {"color": colour, "width": settings["custom.lineWidth"], "dash": dash}
    trace |= {"type": "scatter", "mode": "lines", "line": stroke}
    if len(series.points) == 1:
        trace |= {"mode": "markers", "marker": {"color": colour}}
    if stacked:
        trace |= {"stackgroup": "all", "fillcolor": _faint(colour, settings["custom.fillOpacity"])}
    return trace


def _colours(named: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Name → colour: the one its settings fix, else one of the palette that follows from the name on every panel."""
    colours: dict[str, str] = {}
    for name, settings in named.items():
        slot = zlib.crc32(name.encode()) % len(PALETTE)
        free = [colour for colour in (*PALETTE[slot:], *PALETTE[:slot]) if colour not in colours.values()]
        colours[name] = settings.get("color", {}).get("fixedColor") or (free[0] if free else PALETTE[slot])
    return colours


def _limit_steps(settings: dict[str, Any]) -> list[dict[str, Any]]:
    if settings.get("custom.thresholdsStyle", {}).get("mode", "off") == "off":
        return []
    return [step for step in settings["thresholds"]["steps"] if step["value"] is not None]


def _limit_line(step: dict[str, Any]) -> dict[str, Any]:
    line = {"color": step["color"], "width": 1.5, "dash": "dash"}
    return {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": step["value"], "y1": step["value"], "line": line}


def _limit_label(step: dict[str, Any], text: str) -> dict[str, Any]:
    place = {"xref": "paper", "x": 1, "xanchor": "right", "y": step["value"], "yanchor": "bottom", "showarrow": False}
    return place | {"text": text, "font": {"color": step["color"], "size": 11}}


def _y_range(settings: dict[str, Any], values: list[float]) -> dict[str, Any]:
    """Grafana's axis: min and max are fixed, soft ones only widen it."""
    fixed_low, fixed_high = settings.get("min"), settings.get("max")
    soft_low, soft_high = settings.get("custom.axisSoftMin"), settings.get("custom.axisSoftMax")
    if fixed_high is None and soft_high is None:
        return {"rangemode": "tozero"}
    low = min(values + [y for y in (soft_low,) if y is not None]) if fixed_low is None else float(fixed_low)
    high = max(values + [y for y in (soft_high,) if y is not None]) if fixed_high is None else float(fixed_high)
    return {"range": [low, high + 0.03 * (high - low)]}


def _with_gaps(points: tuple[tuple[float, float], ...], step: int) -> list[tuple[float, float | None]]:
    """The points with an empty one wherever one or more are missing, so that the line is broken there."""
    broken: list[tuple[float, float | None]] = []
    for stretch in stretches(points, step):
        if broken:
            broken.append((stretch[0][0] - step, None))
        broken += stretch
    return broken


def _faint(colour: str, opacity: int) -> str:
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity / 100})"
