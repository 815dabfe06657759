"""Read ``thresholds.yml``: the numbers an operator tunes, checked so that a slip names its file, line and field."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Literal, cast, get_args

import yaml

from alerts.promql import Duration

FILE = Path(__file__).with_name("thresholds.yml")

AGENT_NAME = re.compile(r"[A-Za-z0-9_.-]+")

Severity = Literal["critical", "warning", "info", "none"]
Unit = Literal["ratio", "seconds", "count", "usd", "tokens", "factor", "days"]


class ThresholdError(ValueError):
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
class Numbers:
    """All numbers of one alert. ``file`` and ``line`` say where its block starts.

    ``keep_firing_for`` is for an alert that mutes others: it has to outlast the windows of its symptoms.
    """

    severity: Severity
    threshold: Threshold | None
    evidence: Threshold | None
    window: Duration | None
    for_: Duration | None
    keep_firing_for: Duration | None
    line: int
    file: str


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
    alerts = top.block("alerts")
    agents = top.block("agents", optional=True)
    if overrides is not None:
        mine = _read(overrides)
        unknown = next((name for name in mine.block("alerts", optional=True).fields if name not in alerts.fields), None)
        if unknown:
            raise mine.block("alerts").error(unknown, _no_alert(unknown, alerts.names))
        alerts = replace(mine.block("alerts", optional=True), under=alerts)
        agents = replace(mine.block("agents", optional=True), under=agents)
    for agent in agents.names:
        if not AGENT_NAME.fullmatch(agent):
            raise agents.error(agent, "expected the name of an agent: letters, digits, '_', '-' and '.'")
    return Thresholds(
        alerts={name: _numbers(alerts.block(name)) for name in alerts.names},
        path=path,
        agents={agent: _of_one_agent(agents.block(agent), alerts) for agent in agents.names},
    )


def _read(path: Path) -> _Block:
    try:
        root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except OSError as error:
        raise ThresholdError(f"{path} cannot be read: {error.strerror or error}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ThresholdError(f"{path.name} is not YAML: {error}") from None
    top = _Block.of(path, root, path.name)
    top.only("alerts", "agents")
    return top


def _of_one_agent(block: _Block, alerts: _Block) -> dict[str, Numbers]:
    for name in block.names:
        if name not in alerts.names:
            raise block.error(name, _no_alert(name, alerts.names))
    return {name: _numbers(replace(block.block(name), under=_over(block, name, alerts))) for name in block.names}


def _over(block: _Block, name: str, alerts: _Block) -> _Block:
    """What stands below an agent's block of an alert: the same in the file below it, then the alert for all agents."""
    below = block.under
    if below is not None and name in below.names and name in block.fields:
        return replace(below.block(name), under=alerts.block(name))
    return alerts.block(name)


def _no_alert(name: str, known: list[str]) -> str:
    close = get_close_matches(name, known, n=1)
    return f"there is no alert {name}" + (f"; did you mean {close[0]}?" if close else "")


def _numbers(block: _Block) -> Numbers:
    block.only("threshold", "window", "for", "keep_firing_for", "evidence", "severity")
    severity = block.text("severity")
    if severity not in get_args(Severity):
        raise block.error("severity", f"{severity!r} is none of {', '.join(get_args(Severity))}")
    return Numbers(
        severity=cast(Severity, severity),
        threshold=_threshold(block.block("threshold")) if "threshold" in block.names else None,
        evidence=_threshold(block.block("evidence")) if "evidence" in block.names else None,
        window=block.duration("window") if "window" in block.names else None,
        for_=block.duration("for") if "for" in block.names else None,
        keep_firing_for=block.duration("keep_firing_for") if "keep_firing_for" in block.names else None,
        line=block.line,
        file=block.path.name,
    )


def _threshold(block: _Block) -> Threshold:
    block.only("value", "unit", "why")
    unit = block.text("unit")
    if unit not in get_args(Unit):
        raise block.error("unit", f"{unit!r} is none of {', '.join(get_args(Unit))}")
    value = block.number("value")
    if unit == "ratio" and not 0 <= value <= 1:
        raise block.error("value", f"a ratio lies between 0 and 1, {value:g} does not (95 % is 0.95)")
    if value < 0:
        raise block.error("value", f"{value:g} is negative")
    return Threshold(value, cast(Unit, unit), block.text("why"))


@dataclass(frozen=True)
class _Block:
    """A YAML mapping that knows where it stands, for errors that do too.

    A field that it does not have is taken from the block ``under`` it, which may be in another file.
    """

    path: Path
    name: str
    line: int
    fields: dict[str, yaml.Node]
    lines: dict[str, int]
    under: _Block | None = None

    @property
    def names(self) -> list[str]:
        """The fields, with those of the block under it."""
        return list(dict.fromkeys([*(self.under.names if self.under else ()), *self.fields]))

    @classmethod
    def of(cls, path: Path, node: yaml.Node | None, name: str) -> _Block:
        if not isinstance(node, yaml.MappingNode):
            line = node.start_mark.line + 1 if node else 1
            raise ThresholdError(f"{path.name}:{line}: {name}: expected fields (name: value)")
        fields: dict[str, yaml.Node] = {}
        lines: dict[str, int] = {}
        for key, value in node.value:
            if key.value in fields:
                raise ThresholdError(f"{path.name}:{key.start_mark.line + 1}: {name}: {key.value} is given twice")
            fields[key.value] = value
            lines[key.value] = key.start_mark.line + 1
        return cls(path, name, node.start_mark.line + 1, fields, lines)

    def error(self, field: str, problem: str) -> ThresholdError:
        if field not in self.fields and self.under is not None and field in self.under.names:
            return self.under.error(field, problem)
        line = self.lines.get(field, self.line)
        return ThresholdError(f"{self.path.name}:{line}: {self.name}.{field}: {problem}")

    def only(self, *known: str) -> None:
        for name in self.fields:
            if name not in known:
                raise self.error(name, f"unknown field; the known ones are {', '.join(known)}")

    def block(self, field: str, *, optional: bool = False) -> _Block:
        if field not in self.fields and self.under is not None:
            return self.under.block(field, optional=optional)
        if field not in self.fields and optional:
            return _Block(self.path, field, self.line, {}, {})
        here = _Block.of(self.path, self._required(field), field)
        below = self.under.block(field) if self.under is not None and field in self.under.names else None
        return replace(here, under=below)

    def text(self, field: str) -> str:
        node = self._required(field)
        if not isinstance(node, yaml.ScalarNode) or not node.value:
            raise self.error(field, "expected a text")
        return str(node.value)

    def number(self, field: str) -> float:
        written = self.text(field)
        try:
            return float(written)
        except ValueError:
            raise self.error(field, f"{written!r} is no number") from None

    def duration(self, field: str) -> Duration:
        try:
            return Duration.parse(self.text(field))
        except ValueError as error:
            raise self.error(field, str(error)) from None

    def _required(self, field: str) -> yaml.Node:
        if field in self.fields:
            return self.fields[field]
        if self.under is not None:
            return self.under._required(field)
        raise self.error(field, "is missing")
