"""promtool's notation of series, such as ``0+1x10 _x3 stale``: read, and written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from alerts.promql import Duration

Values = list[float | None]


@dataclass(frozen=True)
class Series:
    """One input series: a value per interval, ``None`` where there is no sample."""

    name: str
    labels: dict[str, str]
    values: Values


def series(name: str, values: str) -> Series:
    """An input series in promtool's notation."""
    metric, _, inside = name.partition("{")
    return Series(metric, dict(re.findall(r'(\w+)="([^"]*)"', inside)), list(_expanded(values)))


def _expanded(values: str) -> Iterator[float | None]:
    for part in values.split():
        start, _, times = part.partition("x")
        count = int(times or 0) + 1
        if start in ("_", "stale"):
            yield from [None] * (int(times) if times else 1)
            continue
        match = re.fullmatch(r"(-?[\d.]+(?:e[+-]?\d+)?)([+-][\d.]+(?:e[+-]?\d+)?)?", start)
        if match is None:
            raise ValueError(f"{part!r} is not a value of promtool's notation")
        first, step = float(match[1]), float(match[2] or 0)
        yield from (first + step * at for at in range(count))


def written(values: Values) -> str:
    """The values in promtool's notation."""
    parts = []
    for value, run in groupby(values):
        times = len(list(run))
        parts.append(f"_x{times}" if value is None else f"{value:.15g}x{times - 1}")
    return " ".join(parts)


def seconds(moment: str) -> float:
    """A moment of a scenario, like 1h8m or 90s."""
    return sum(Duration.parse(part).seconds for part in re.findall(r"\d+[a-z]+", moment))
