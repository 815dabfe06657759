"""Read ``thresholds.yml``: the numbers an operator tunes, checked so that a slip names its file, line and field."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args

import yaml

from alerts.promql import Duration

FILE = Path(__file__).with_name("thresholds.yml")

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
    """All numbers of one alert. ``line`` is where its block starts in the file.

    ``keep_firing_for`` is for an alert that mutes others: it has to outlast the windows of its symptoms.
    """

    severity: Severity
    threshold: Threshold | None
    evidence: Threshold | None
    window: Duration | None
    for_: Duration | None
    keep_firing_for: Duration | None
    line: int


@dataclass(frozen=True)
class Thresholds:
    """The whole file."""

    alerts: dict[str, Numbers]
    path: Path


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


def load(path: Path = FILE) -> Thresholds:
    """Read and check the file; ThresholdError at the first thing wrong with it."""
    try:
        root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise ThresholdError(f"{path.name} is not YAML: {error}") from None
    top = _Block.of(path, root, "thresholds.yml")
    top.only("alerts")
    alerts = top.block("alerts")
    return Thresholds(
        alerts={name: _numbers(alerts.block(name)) for name in alerts.fields},
        path=path,
    )


def _numbers(block: _Block) -> Numbers:
    block.only("threshold", "window", "for", "keep_firing_for", "evidence", "severity")
    severity = block.text("severity")
    if severity not in get_args(Severity):
        raise block.error("severity", f"{severity!r} is none of {', '.join(get_args(Severity))}")
    return Numbers(
        severity=cast(Severity, severity),
        threshold=_threshold(block.block("threshold")) if "threshold" in block.fields else None,
        evidence=_threshold(block.block("evidence")) if "evidence" in block.fields else None,
        window=block.duration("window") if "window" in block.fields else None,
        for_=block.duration("for") if "for" in block.fields else None,
        keep_firing_for=block.duration("keep_firing_for") if "keep_firing_for" in block.fields else None,
        line=block.line,
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
    """A YAML mapping that knows where it stands, for errors that do too."""

    path: Path
    name: str
    line: int
    fields: dict[str, yaml.Node]
    lines: dict[str, int]

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
        line = self.lines.get(field, self.line)
        return ThresholdError(f"{self.path.name}:{line}: {self.name}.{field}: {problem}")

    def only(self, *known: str) -> None:
        for field in self.fields:
            if field not in known:
                raise self.error(field, f"unknown field; the known ones are {', '.join(known)}")

    def block(self, field: str) -> _Block:
        self._required(field)
        return _Block.of(self.path, self.fields[field], field)

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
        if field not in self.fields:
            raise self.error(field, "is missing")
        return self.fields[field]
