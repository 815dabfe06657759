"""PromQL as literal templates with named holes: ``sum by (agent) (increase(<tool_calls>[<window>]))``.

A hole is ``<name>``: a metric of ``agentgauge.metrics`` by its constant in lower case, one of its series
(``<tool_duration.bucket>``), or a value passed to ``fill``. A metric that does not exist, or a label that a metric
does not carry, is a Python error here rather than an empty panel later.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from agentgauge import metrics
from agentgauge.metrics import MetricSpec

TARGET_LABELS = frozenset({"job", "instance"})
"""Labels that Prometheus adds to every scraped series."""

_HOLE = re.compile(r"<([a-z_][a-z0-9_.]*)>")
_SELECTOR = re.compile(r"\b([a-z][a-z0-9_:]*)\{([^{}]*)\}")
_NAME_AND_MATCHERS = re.compile(r'"[^"]*"|\b(?P<name>[a-z][a-z0-9_:]*)\b(?:\{(?P<inside>[^{}]*)\})?')
_MATCHER = re.compile(r"\s*([a-z_]+)\s*(?:=~|!~|!=|=)\s*\"")
_UNITS = (("w", 604800), ("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


class PromqlError(ValueError):
    """A template names something that does not exist."""


@dataclass(frozen=True)
class Duration:
    """A PromQL duration: ``Duration.parse("5m")``, ``str(duration)``, and scaled for shortened clocks."""

    seconds: float

    @classmethod
    def parse(cls, text: str) -> Duration:
        """Read ``90s``, ``5m``, ``1h``, ``7d`` or ``1w``; ValueError for anything else."""
        match = re.fullmatch(r"(\d+)([smhdw])", text)
        if match is None:
            raise ValueError(f"{text!r} is not a valid duration; write it like 90s, 5m, 1h or 7d")
        return cls(int(match[1]) * dict(_UNITS)[match[2]])

    def __str__(self) -> str:
        for unit, size in _UNITS:
            if self.seconds and self.seconds % size == 0:
                return f"{self.seconds // size:.0f}{unit}"
        return f"{self.seconds * 1000:.0f}ms"

    def faster(self, speed: float) -> Duration:
        """This duration on a clock that runs ``speed`` times as fast, to the millisecond."""
        return Duration(round(self.seconds / speed, 3))


def fill(template: str, **values: object) -> str:
    """Fill every hole; PromqlError names an unknown hole, an unused value or a label the metric does not carry."""
    used: set[str] = set()

    def replace(hole: re.Match[str]) -> str:
        name = hole[1]
        if name in values:
            used.add(name)
            return str(values[name])
        return _series(name)

    query = _HOLE.sub(replace, template.strip())
    if unused := values.keys() - used:
        raise PromqlError(f"{', '.join(sorted(unused))} given, but the template has no such hole:\n{template.strip()}")
    _check_labels(query)
    return query


def narrowed(query: str, matcher: str) -> str:
    """The query with one more matcher in every selector: each public metric and each recording rule."""

    def narrow(match: re.Match[str]) -> str:
        name, inside = match["name"], (match["inside"] or "").strip()
        if name is None or (":" not in name and not _is_metric(name)):
            return match[0]
        return f"{name}{{{f'{inside}, {matcher}' if inside else matcher}}}"

    return _NAME_AND_MATCHERS.sub(narrow, query)


def _is_metric(name: str) -> bool:
    try:
        metrics.by_name(name)
    except KeyError:
        return False
    return True


def metrics_named(query: str) -> list[MetricSpec]:
    """The public metrics whose series a query names, each once, in order."""
    specs: dict[str, MetricSpec] = {}
    for word in re.findall(r"\bagent_[a-z0-9_]+(?![a-z0-9_:])", re.sub(r'"[^"]*"', '""', query)):
        try:
            spec = metrics.by_name(word)
        except KeyError:
            continue
        specs[spec.name] = spec
    return list(specs.values())


def _series(hole: str) -> str:
    constant, _, part = hole.partition(".")
    spec = getattr(metrics, constant.upper(), None)
    if not isinstance(spec, MetricSpec):
        raise PromqlError(f"<{hole}>: no value was given for it and agentgauge.metrics has no {constant.upper()}")
    if not part:
        return spec.name
    if part not in ("bucket", "sum", "count"):
        raise PromqlError(f"<{hole}>: a histogram has .bucket, .sum and .count, not .{part}")
    return str(getattr(spec, part))


def _check_labels(query: str) -> None:
    for name, inside in _SELECTOR.findall(query):
        try:
            spec = metrics.by_name(name)
        except KeyError:
            continue
        allowed = {*spec.label_names, *TARGET_LABELS, *(["le"] if name.endswith("_bucket") else [])}
        for label in _MATCHER.findall(inside):
            if label not in allowed:
                raise PromqlError(f"{name} has no label {label!r} (it has {', '.join(sorted(allowed))})")
