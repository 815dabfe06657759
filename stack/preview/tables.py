"""Tables, their rows joined by labels as Grafana's transformations do."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from agentgauge.ops.prometheus import Series
from stack.preview import units
from stack.preview.fields import Figure, settings_of, states_of, step_colour
from stack.preview.query import TimeRange


def table(panel: dict[str, Any], results: list[list[Series]], time: TimeRange) -> Figure:
    """A row for each set of labels, a column for each query."""
    rows: dict[tuple[tuple[str, str], ...], dict[str, str | float]] = {}
    for index, found in enumerate(results):
        field = "Value" if len(results) == 1 else f"Value #{panel['targets'][index]['refId']}"
        for series in found:
            labels = {name: value for name, value in series.labels.items() if name != "__name__"}
            row = rows.setdefault(tuple(sorted(labels.items())), dict(labels))
            row[field] = series.points[-1][1]
    organized = next(step["options"] for step in panel["transformations"] if step["id"] == "organize")
    present = {field for row in rows.values() for field in row} - set(organized["excludeByName"])
    present = {field for field in present if not settings_of(panel, field).get("custom.hideFrom", {}).get("viz")}
    columns = sorted(present, key=lambda field: (organized["indexByName"].get(field, len(present)), field))
    headings = [settings_of(panel, column).get("displayName", column) for column in columns]
    ordered = sorted(rows.values(), key=lambda row: [str(row.get(column, "")) for column in columns])
    for most_first in panel["options"].get("sortBy", []):
        column = columns[headings.index(most_first["displayName"])]
        ordered.sort(key=lambda row: float(row.get(column, "-inf")), reverse=most_first["desc"])
    return {
        "kind": "table",
        "columns": headings,
        "rows": [[_cell(settings_of(panel, column), row, column, time) for column in columns] for row in ordered],
    }


def _cell(settings: dict[str, Any], row: Mapping[str, str | float], column: str, time: TimeRange) -> dict[str, str]:
    value = row.get(column)
    if value is None:
        return {"text": ""}
    if isinstance(value, str):
        cell = {"text": value}
    elif state := states_of(settings).get(value):
        cell = {"text": state["text"], "colour": state["color"]}
    else:
        cell = {"text": units.written(value, settings["unit"], time.end)}
        if "thresholds" in settings and "custom.cellOptions" in settings:
            cell["colour"] = step_colour(settings["thresholds"]["steps"], value)
    for link in settings.get("links", []):
        url = link["url"].replace("${__value.text}", cell["text"])
        cell["link"] = _FIELD.sub(lambda field: quote(str(row.get(field[1], "")), safe=""), url)
    return cell


_FIELD = re.compile(r"\$\{__data\.fields\.(\w+)(?::percentencode)?\}")
"""What a link takes from another field of its row."""
