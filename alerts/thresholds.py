"""Read ``thresholds.yml``: the numbers an operator tunes, checked so that a slip names its file, line and field."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Literal, cast, get_args

from agentgauge.files.yaml_file import Block, YamlFileError, read_yaml
from alerts.promql import Duration

FILE = Path(__file__).with_name("thresholds.yml")

AGENT_NAME = re.compile(r"[A-Za-z0-9_.-]+")

Severity = Literal["critical", "warning", "info", "none"]
LOOKS = ("fast", "middle", "slow", "lately")
"""The windows that an alert may judge over."""
AMOUNTS = ("threshold", "evidence", "scatter", "z", "hour", "day")
"""The fields that are a number with its unit and its reason."""
Unit = Literal["ratio", "seconds", "count", "usd", "tokens", "factor", "days"]


class ThresholdError(YamlFileError):
    """``thresholds.yml`` says something that cannot be used; the message holds file, line, field and remedy."""


@dataclass(frozen=True)
class Threshold:
    """A number with its unit and the reason it is that number."""

    value: float
    unit: Unit
    why: str

    def __str__(self) -> str:
        return _written(self.value, self.unit)


@dataclass(frozen=True)
class Look:
    """A window over which an alert judges, and how surprised it must be: ``z`` standard deviations, one-sided.

    The look called ``lately`` has none: it says whether what the others found is still so.
    """

    window: Duration
    z: float | None
    why: str


@dataclass(frozen=True)
class Numbers:
    """All numbers of one alert. ``file`` and ``line`` say where its block starts.

    ``keep_firing_for`` is for an alert that mutes others: it has to outlast the windows of its symptoms. ``scatter`` is
    the standard deviation that single values may have, where a mean is judged. ``hour`` and ``day`` are what may be
    spent in one. ``z`` is how surprised an alert must be that has no looks.
    """

    severity: Severity
    threshold: Threshold | None
    evidence: Threshold | None
    window: Duration | None
    for_: Duration | None
    keep_firing_for: Duration | None
    line: int
    file: str
    looks: dict[str, Look] = field(default_factory=dict)
    scatter: Threshold | None = None
    z: Threshold | None = None
    hour: Threshold | None = None
    day: Threshold | None = None


@dataclass(frozen=True)
class Thresholds:
    """The whole file, with what another says over it. ``agents``: the alerts that an agent has other numbers for."""

    alerts: dict[str, Numbers]
    path: Path
    agents: dict[str, dict[str, Numbers]] = field(default_factory=dict)


def _written(value: float, unit: Unit) -> str:
    match unit:
        case "ratio":
            return f"{value * 100:g} %"
        case "seconds":
            return f"{value:g} s"
        case "usd":
            return f"${value:.2f}".removesuffix(".00")
        case "tokens":
            return f"{value:,.0f} tokens".replace(",", " ")
        case "factor":
            return f"{value:g} ×"
        case "days":
            return f"{value:g} days"
        case "count":
            return f"{value:g}"


def load(path: Path = FILE, overrides: Path | None = None) -> Thresholds:
    """Read and check the file, with what ``overrides`` says field by field over it.

    In both, ``alerts`` holds for all agents and ``agents`` for one: each field that is not given there is taken from
    ``alerts``. Raises ThresholdError at the first thing that is wrong.
    """
    top = _read(path)
    if overrides is not None:
        mine = _read(overrides)
        if "alerts" in mine.fields:
            _check_alerts(mine.block("alerts"), top.block("alerts"))
        top = mine.laid_over(top)
    alerts = top.block("alerts")
    agents = top.block("agents").fields if "agents" in top.fields else {}
    for agent, block in agents.items():
        if not AGENT_NAME.fullmatch(agent):
            raise block.error((), "expected the name of an agent: letters, digits, '_', '-' and '.'")
        _check_alerts(block, alerts)
    return Thresholds(
        alerts={name: _numbers(block) for name, block in alerts.fields.items()},
        path=path,
        agents={
            agent: {name: _numbers(own.laid_over(alerts.block(name))) for name, own in block.fields.items()}
            for agent, block in agents.items()
        },
    )


def _read(path: Path) -> Block:
    top = read_yaml(path, error_class=ThresholdError)
    top.only("alerts", "agents")
    return top


def _check_alerts(block: Block, alerts: Block) -> None:
    """Refuse a name that no alert has."""
    for name in block.fields:
        if name not in alerts.fields:
            raise block.error(name, _no_alert(name, list(alerts.fields)))


def _no_alert(name: str, known: list[str]) -> str:
    close = get_close_matches(name, known, n=1)
    return f"{name} is not an alert of AgentGauge" + (f"; did you mean {close[0]}?" if close else "")


def _numbers(block: Block) -> Numbers:
    block.only("window", "for", "keep_firing_for", "severity", *AMOUNTS, *LOOKS)
    severity = block.text("severity")
    if severity not in get_args(Severity):
        raise block.error("severity", f"{severity!r} is not one of {', '.join(get_args(Severity))}")
    return Numbers(
        severity=cast(Severity, severity),
        window=_duration(block, "window") if "window" in block.fields else None,
        for_=_duration(block, "for") if "for" in block.fields else None,
        keep_firing_for=_duration(block, "keep_firing_for") if "keep_firing_for" in block.fields else None,
        line=block.line,
        file=block.file,
        looks={name: _look(block.block(name), name) for name in LOOKS if name in block.fields},
        threshold=_amount(block, "threshold"),
        evidence=_amount(block, "evidence"),
        scatter=_amount(block, "scatter"),
        z=_amount(block, "z"),
        hour=_amount(block, "hour"),
        day=_amount(block, "day"),
    )


def _look(block: Block, name: str) -> Look:
    if name == "lately":
        block.only("window", "why")
        return Look(_duration(block, "window"), None, block.text("why"))
    block.only("window", "z", "why")
    z = float(block.number("z"))
    if z <= 0:
        raise block.error("z", f"{z:g} standard deviations surprise nobody; write a number above 0")
    return Look(_duration(block, "window"), z, block.text("why"))


def _amount(block: Block, name: str) -> Threshold | None:
    return _threshold(block.block(name)) if name in block.fields else None


def _threshold(block: Block) -> Threshold:
    block.only("value", "unit", "why")
    unit = block.text("unit")
    if unit not in get_args(Unit):
        raise block.error("unit", f"{unit!r} is not one of {', '.join(get_args(Unit))}")
    value = float(block.number("value"))
    if unit == "ratio" and not 0 <= value <= 1:
        raise block.error("value", f"a ratio lies between 0 and 1, {value:g} does not (95 % is 0.95)")
    if value < 0:
        raise block.error("value", f"{value:g} is negative")
    return Threshold(value, cast(Unit, unit), block.text("why"))


def _duration(block: Block, name: str) -> Duration:
    try:
        return Duration.parse(block.text(name))
    except ValueError as error:
        raise block.error(name, str(error)) from None
