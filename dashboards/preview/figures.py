"""From a panel's JSON and the answers to its queries to what the page draws.

A figure is a JSON object with a ``kind``: ``stat`` (values), ``chart`` (Plotly data and layout), ``table`` (columns and
rows) or ``message`` (a text instead). Times are Unix milliseconds.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable
from typing import Any

from dashboards.preview import units
from dashboards.preview.prometheus import Series
from dashboards.preview.query import TimeRange

Figure = dict[str, Any]

NO_DATA: Figure = {"kind": "message", "text": "No data in this range"}

PALETTE = (
    "#3274d9", "#56a64b", "#a352cc", "#ff780a", "#1fa2b8", "#e0b400", "#d64e8b", "#7c6cf0", "#2f9e77", "#b3702f",
    "#6d8fb3", "#9bbf2f",
)  # fmt: skip  # no red: red means bad

HEAT = [[0, "rgba(50,116,217,0.10)"], [0.5, "rgba(50,116,217,0.65)"], [1, "rgba(124,58,237,1)"]]
"""From faint to strong, on a light as on a dark page."""

RIGHT_AXIS = {"overlaying": "y", "side": "right", "rangemode": "tozero", "showgrid": False, "tickmode": "auto"}


def figure(panel: dict[str, Any], results: list[list[Series]], time: TimeRange) -> Figure:
    """What to draw for a panel; ``results`` holds the series of each of its targets."""
    if not any(results):
        return NO_DATA
    draw = {"stat": _stat, "timeseries": _timeseries, "table": _table, "heatmap": _heatmap}[panel["type"]]
    return draw(panel, results, time)


def message(text: str) -> Figure:
    """A text in place of the panel's content."""
    return {"kind": "message", "text": text}


def marks_of(annotation: dict[str, Any], series: list[Series], step: int, end: float) -> list[dict[str, Any]]:
    """The marks of one annotation query: from, to, title and colour of each stretch that has points.

    A stretch that has lasted up to its last possible point before ``end`` (Unix seconds) still lasts.
    """
    marks: list[dict[str, Any]] = []
    for item in series:
        for stretch in _stretches(item.points, step):
            start, last = stretch[0][0], stretch[-1][0]
            marks.append(
                {
                    "from": start * 1000,
                    "to": (end if start < last and last + step > end else last) * 1000,
                    "title": _legend(annotation["titleFormat"], item.labels).strip(),
                    "colour": annotation["iconColor"],
                }
            )
    return marks


def _stat(panel: dict[str, Any], results: list[list[Series]], time: TimeRange) -> Figure:
    values = []
    for target, found in zip(panel["targets"], results, strict=True):
        for series in (item for item in found if item.points):
            last = series.points[-1][1]
            settings = _settings(panel)
            values.append(
                {
                    "name": _legend(target.get("legendFormat", ""), {}),
                    "text": units.written(last, settings["unit"], time.end),
                    "colour": _step_colour(settings["thresholds"]["steps"], last),
                    "link": next((link["url"].partition("?")[0] for link in settings.get("links", [])), ""),
                    "points": [[x * 1000, y] for x, y in series.points] if len(series.points) > 1 else [],
                }
            )
    return {"kind": "stat", "values": values} if values else NO_DATA


def _timeseries(panel: dict[str, Any], results: list[list[Series]], time: TimeRange) -> Figure:
    named = []
    for target, found in zip(panel["targets"], results, strict=True):
        for series in (item for item in found if item.points):
            name = _legend(target.get("legendFormat", ""), series.labels)
            named.append((name, series, _settings(panel, name, target["refId"])))
    if not named:
        return NO_DATA
    colours = _colours({name: settings for name, _, settings in named})
    traces = [_trace(name, series, settings, colours[name], time) for name, series, settings in named]
    settings = _settings(panel)
    values = [y for _, series, _ in named for _, y in series.points]
    layout: dict[str, Any] = {
        "xaxis": _time_axis(time),
        "yaxis": units.axis(settings["unit"], max(values)) | _y_range(settings, values),
        "shapes": [],
        "annotations": [],
    }
    if any("yaxis" in trace for trace in traces):
        layout["yaxis2"] = RIGHT_AXIS
    for step in _limit_steps(settings):
        layout["shapes"].append(_limit_line(step))
        layout["annotations"].append(_limit_label(step, units.written(step["value"], settings["unit"], time.end)))
    return {"kind": "chart", "data": traces, "layout": layout}


def _trace(name: str, series: Series, settings: dict[str, Any], colour: str, time: TimeRange) -> dict[str, Any]:
    stacked = settings.get("custom.stacking", {}).get("mode") == "normal"
    points: Iterable[tuple[float, float | None]] = series.points if stacked else _with_gaps(series.points, time.step)
    xs, ys = zip(*points, strict=True)
    trace: dict[str, Any] = {
        "name": name,
        "x": [x * 1000 for x in xs],
        "y": list(ys),
        "text": ["" if y is None else units.written(y, settings["unit"], time.end) for y in ys],
        "hovertemplate": "%{text}",
        "meta": {"last": units.written(series.points[-1][1], settings["unit"], time.end), "colour": colour},
    }
    if settings.get("custom.drawStyle") == "bars":
        bars = {"type": "bar", "yaxis": "y2", "marker": {"color": colour}, "opacity": 0.45, "textposition": "none"}
        return trace | bars
    dash = settings.get("custom.lineStyle", {}).get("fill", "solid")
    line = {"color": colour, "width": settings["custom.lineWidth"], "dash": dash}
    trace |= {"type": "scatter", "mode": "lines", "line": line}
    if len(series.points) == 1:
        trace |= {"mode": "markers", "marker": {"color": colour}}
    if stacked:
        trace |= {"stackgroup": "all", "fillcolor": _faint(colour, settings["custom.fillOpacity"])}
    return trace


def _table(panel: dict[str, Any], results: list[list[Series]], time: TimeRange) -> Figure:
    rows: dict[tuple[tuple[str, str], ...], dict[str, str | float]] = {}
    for index, found in enumerate(results):
        field = "Value" if len(results) == 1 else f"Value #{panel['targets'][index]['refId']}"
        for series in found:
            labels = {name: value for name, value in series.labels.items() if name != "__name__"}
            row = rows.setdefault(tuple(sorted(labels.items())), dict(labels))
            row[field] = series.points[-1][1]
    organized = next(step["options"] for step in panel["transformations"] if step["id"] == "organize")
    present = {field for row in rows.values() for field in row} - set(organized["excludeByName"])
    columns = sorted(present, key=lambda field: (organized["indexByName"].get(field, len(present)), field))
    headings = [_settings(panel, column).get("displayName", column) for column in columns]
    ordered = sorted(rows.values(), key=lambda row: [str(row.get(column, "")) for column in columns])
    for most_first in panel["options"].get("sortBy", []):
        column = columns[headings.index(most_first["displayName"])]
        ordered.sort(key=lambda row: float(row.get(column, "-inf")), reverse=most_first["desc"])
    return {
        "kind": "table",
        "columns": headings,
        "rows": [[_cell(_settings(panel, column), row.get(column), time) for column in columns] for row in ordered],
    }


def _cell(settings: dict[str, Any], value: str | float | None, time: TimeRange) -> dict[str, str]:
    if value is None:
        return {"text": ""}
    if not isinstance(value, str):
        cell = {"text": units.written(value, settings["unit"], time.end)}
        if "custom.cellOptions" in settings:
            cell["colour"] = _step_colour(settings["thresholds"]["steps"], value)
        return cell
    cell = {"text": value}
    for mapping in settings.get("mappings", []):
        if value in mapping["options"]:
            cell["colour"] = mapping["options"][value]["color"]
    for link in settings.get("links", []):
        cell["link"] = link["url"].replace("${__value.text}", value)
    return cell


def _heatmap(panel: dict[str, Any], results: list[list[Series]], time: TimeRange) -> Figure:
    unit = panel["options"]["yAxis"]["unit"]
    buckets = sorted((series for series in results[0] if series.points), key=lambda series: float(series.labels["le"]))
    if not buckets:
        return NO_DATA
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
        return NO_DATA
    trace = {
        "type": "heatmap",
        "x": [x * 1000 for x in times],
        "y": names,
        "z": rows,
        "colorscale": HEAT,
        "zmin": 0,
        "xgap": 1,
        "ygap": 1,
        "showscale": False,
        "hovertemplate": "%{y}: %{z:.0f}<extra></extra>",
    }
    return {"kind": "chart", "data": [trace], "layout": {"xaxis": _time_axis(time), "yaxis": {"type": "category"}}}


def _settings(panel: dict[str, Any], name: str = "", ref_id: str = "") -> dict[str, Any]:
    """The field settings for a series or column of this name from this query: the defaults, then the overrides."""
    defaults = panel["fieldConfig"]["defaults"]
    settings = {key: value for key, value in defaults.items() if key != "custom"}
    settings |= {f"custom.{key}": value for key, value in defaults.get("custom", {}).items()}
    for override in panel["fieldConfig"]["overrides"]:
        matcher = override["matcher"]
        if matcher["options"] == {"byName": name, "byFrameRefID": ref_id}[matcher["id"]]:
            settings |= {setting["id"]: setting["value"] for setting in override["properties"]}
    return settings


def _legend(template: str, labels: dict[str, str]) -> str:
    if not template:
        return ", ".join(f"{name}={value}" for name, value in labels.items())
    return re.sub(r"\{\{\s*(\w+)\s*\}\}", lambda match: labels.get(match[1], ""), template)


def _colours(named: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Name → colour: the one its settings fix, else one of the palette that follows from the name on every panel."""
    colours: dict[str, str] = {}
    for name, settings in named.items():
        slot = zlib.crc32(name.encode()) % len(PALETTE)
        free = [colour for colour in (*PALETTE[slot:], *PALETTE[:slot]) if colour not in colours.values()]
        colours[name] = settings.get("color", {}).get("fixedColor") or (free[0] if free else PALETTE[slot])
    return colours


def _step_colour(steps: list[dict[str, Any]], value: float) -> str:
    """The colour of the last step that the value reaches; the first step has no value and always counts."""
    colour = str(steps[0]["color"])
    for step in steps[1:]:
        if value >= step["value"]:
            colour = str(step["color"])
    return colour


def _limit_steps(settings: dict[str, Any]) -> list[dict[str, Any]]:
    if settings.get("custom.thresholdsStyle", {}).get("mode", "off") == "off":
        return []
    return [step for step in settings["thresholds"]["steps"] if step["value"] is not None]


def _limit_line(step: dict[str, Any]) -> dict[str, Any]:
    line = {"color": step["color"], "width": 1.5, "dash": "dash"}
    return {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": step["value"], "y1": step["value"], "line": line}


def _limit_label(step: dict[str, Any], text: str) -> dict[str, Any]:
    place = {"xref": "paper", "x": 0, "xanchor": "left", "y": step["value"], "yanchor": "bottom", "showarrow": False}
    return place | {"text": text, "font": {"color": step["color"], "size": 11}}


def _time_axis(time: TimeRange) -> dict[str, Any]:
    return {"type": "date", "range": [time.start * 1000, time.end * 1000]}


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
    for stretch in _stretches(points, step):
        if broken:
            broken.append((stretch[0][0] - step, None))
        broken += stretch
    return broken


def _stretches(points: tuple[tuple[float, float], ...], step: int) -> list[list[tuple[float, float]]]:
    stretches: list[list[tuple[float, float]]] = []
    for point in points:
        if stretches and point[0] - stretches[-1][-1][0] <= 1.5 * step:
            stretches[-1].append(point)
        else:
            stretches.append([point])
    return stretches


def _faint(colour: str, opacity: int) -> str:
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity / 100})"
