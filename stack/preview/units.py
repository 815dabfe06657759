"""Grafana's units, as text for people and as Plotly's axis settings."""

from __future__ import annotations

from typing import Any

_TIME_STEPS = (
    *(digit * 10.0**power for power in range(-6, 1) for digit in (1, 2, 5)),
    *(10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0, 14400.0, 21600.0, 43200.0),
    *(86400.0 * days for days in (1, 2, 5, 10, 20, 50)),
)
MOST_TICKS = 6

_TIME_SCALE = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"), (0.001, "ms"), (1e-6, "µs"))
_NEARLY = 0.9995
"""What would be rounded up to the next unit is written in it: 1 s, not 1000 ms."""

_BYTES_SCALE = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))
_COUNT_SCALE = ((1e9, "B"), (1e6, "M"), (1e3, "K"))


def written(value: float, unit: str, now: float) -> str:
    """A value in its unit: ``98.2 %``, ``1.35 s``, ``$0.042``, ``1.2 K``, ``3 min ago``; ``now`` is Unix seconds."""
    if unit == "percentunit":
        return f"{_rounded(value * 100)} %"
    if unit == "s":
        return _seconds(value)
    if unit == "currencyUSD":
        return f"${value:,.2f}" if value == 0 or abs(value) >= 1 else f"${value:.3g}"
    if unit == "dateTimeFromNow":
        return f"{_seconds(max(0.0, round(now - value / 1000)), decimals=0)} ago"
    if unit == "decbytes":
        return _scaled(value, _BYTES_SCALE) or f"{_rounded(value)} B"
    if unit.startswith("suffix:"):
        return f"{_rounded(value)}{unit.removeprefix('suffix:')}"
    return _scaled(value, _COUNT_SCALE) or _rounded(value)


def axis(unit: str, highest: float) -> dict[str, Any]:
    """Plotly's tick settings for an axis in this unit that goes up to ``highest``."""
    plain = "~s" if highest >= 1000 else "~g"
    if unit == "percentunit":
        return {"tickformat": ",.0%"}
    if unit == "s":
        return _time_ticks(highest)
    if unit == "currencyUSD":
        return {"tickformat": plain, "tickprefix": "$"}
    if unit == "decbytes":
        return {"tickformat": "~s", "ticksuffix": "B"}
    if unit.startswith("suffix:"):
        return {"tickformat": plain, "ticksuffix": unit.removeprefix("suffix:")}
    return {"tickformat": plain}


def _time_ticks(highest: float) -> dict[str, Any]:
    """Ticks at full seconds, minutes or hours, which Plotly's own formats cannot write."""
    step = next((size for size in _TIME_STEPS if highest <= size * MOST_TICKS), _TIME_STEPS[-1])
    ticks = [step * index for index in range(int(highest / step) + 2)]
    return {"tickmode": "array", "tickvals": ticks, "ticktext": [_seconds(tick) for tick in ticks]}


def _seconds(value: float, decimals: int | None = None) -> str:
    for size, name in _TIME_SCALE:
        if abs(value) >= _NEARLY * size:
            scaled = value / size
            return f"{scaled:.{decimals}f} {name}" if decimals is not None else f"{_rounded(scaled)} {name}"
    return "0 s"


def _scaled(value: float, scale: tuple[tuple[float, str], ...]) -> str:
    """The value in the largest unit of the scale that it reaches; empty if it reaches none."""
    return next((f"{_rounded(value / size)} {name}" for size, name in scale if abs(value) >= _NEARLY * size), "")


def _rounded(value: float) -> str:
    """Three significant digits, without trailing zeros."""
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.3g}"
