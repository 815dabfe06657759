"""What the drawings share: a panel's settings for one series, names, states and colours.

A figure is a JSON object with a ``kind``: ``stat`` (values), ``chart`` (Plotly data and layout), ``table`` (columns and
rows) or ``message`` (a text instead). Times are Unix milliseconds.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from stack.preview.query import TimeRange

Figure = dict[str, Any]


def nothing(panel: dict[str, Any]) -> Figure:
    """What a panel without data shows."""
    return {"kind": "message", "text": panel["fieldConfig"]["defaults"]["noValue"]}


WORST: Mapping[str, Callable[[Sequence[float]], float]] = {"min": min, "max": max}
IS_BAD: Mapping[str, Callable[[float, float], bool]] = {"lt": operator.lt, "gte": operator.ge}
"""What Grafana's names mean by which an override looks at the values of a field."""


def settings_of(
    panel: dict[str, Any], name: str = "", ref_id: str = "", values: Sequence[float] = ()
) -> dict[str, Any]:
    """The field settings for a series or column of this name from this query: the defaults, then the overrides.

    ``values`` are those of the field, where an override looks at them.
    """
    defaults = panel["fieldConfig"]["defaults"]
    settings = {key: value for key, value in defaults.items() if key != "custom"}
    settings |= {f"custom.{key}": value for key, value in defaults.get("custom", {}).items()}
    for override in panel["fieldConfig"]["overrides"]:
        matcher = override["matcher"]
        if matcher["id"] == "byValue":
            found = bool(values) and _is_bad(matcher["options"], values)
        else:
            found = matcher["options"] == {"byName": name, "byFrameRefID": ref_id}[matcher["id"]]
        if found:
            settings |= {setting["id"]: setting["value"] for setting in override["properties"]}
    return settings


def _is_bad(worst: dict[str, Any], values: Sequence[float]) -> bool:
    """Whether the worst of the values is as bad as an override says."""
    return IS_BAD[worst["op"]](WORST[worst["reducer"]](values), worst["value"])


def legend(template: str, labels: dict[str, str]) -> str:
    """The name of a series by a legend template; all its labels where there is none."""
    if not template:
        return ", ".join(f"{name}={value}" for name, value in labels.items())
    return re.sub(r"\{\{\s*(\w+)\s*\}\}", lambda match: labels.get(match[1], ""), template)


def states_of(settings: dict[str, Any]) -> dict[float, dict[str, str]]:
    """The states that values stand for: value → text and colour; none where values are just values."""
    mapped = [mapping["options"] for mapping in settings.get("mappings", [])]
    return {float(value): state for options in mapped for value, state in options.items() if "text" in state}


def step_colour(steps: list[dict[str, Any]], value: float) -> str:
    """The colour of the last step that the value reaches; the first step has no value and always counts."""
    colour = str(steps[0]["color"])
    for step in steps[1:]:
        if value >= step["value"]:
            colour = str(step["color"])
    return colour


def time_axis(time: TimeRange) -> dict[str, Any]:
    """Plotly's axis over the whole range, also where there is no data."""
    return {"type": "date", "range": [time.start * 1000, time.end * 1000]}


def stretches(points: tuple[tuple[float, float], ...], step: int) -> list[list[tuple[float, float]]]:
    """The points in runs without a missing one."""
    stretches: list[list[tuple[float, float]]] = []
    for point in points:
        if stretches and point[0] - stretches[-1][-1][0] <= 1.5 * step:
            stretches[-1].append(point)
        else:
            stretches.append([point])
    return stretches
