"""Metrics of your own, under the same rules: labels of closed values, series that exist at 0, no fault in the agent."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import product
from math import prod

from agentgauge import boundary
from agentgauge.metrics import OTHER, Label, MetricSpec
from agentgauge.telemetry import Telemetry

MOST_SERIES = 200
"""Of one metric; a label with more values than that is an id, or a text."""

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_RESERVED = ("agent", "job", "instance", "le")


class OwnCounter:
    """A counter that an agent declared: ``sent.inc(kind="renewal")``. See ``AgentGauge.counter``."""

    def __init__(self, telemetry: Telemetry, spec: MetricSpec) -> None:
        self._telemetry = telemetry
        self._spec = spec

    def inc(self, amount: float = 1, /, **labels: str) -> None:
        """Count; every label needs a value, and one that was not declared counts as ``other``. Never raises."""
        with self._telemetry.swallowing("other"):
            if labels.keys() != {label.name for label in self._spec.labels}:
                raise TypeError(f"{self._spec.name} has other labels than {', '.join(labels) or 'none'}")
            values = [str(labels[label.name]) for label in self._spec.labels]
            self._telemetry.instruments.counter(self._spec, *values).inc(boundary.amount(amount))


def declare_counter(telemetry: Telemetry, name: str, labels: Mapping[str, Iterable[str]], help: str) -> OwnCounter:
    """See ``AgentGauge.counter``."""
    if not _NAME.fullmatch(name) or name.startswith("agent_") or name.endswith("_total"):
        raise ValueError(
            f"{name!r} is not a name for a counter: small letters, digits and '_', without agent_ before it, which is "
            "AgentGauge's own, and _total after it, which is added; as in emails_sent"
        )
    spec = MetricSpec(f"{name}_total", "counter", help, tuple(_label(name, *label) for label in labels.items()))
    series = prod(len(label.values) for label in spec.labels)
    if series > MOST_SERIES:
        raise ValueError(f"{name} would have {series} series, and at most {MOST_SERIES} are fine: give it fewer values")
    telemetry.instruments.declare(spec)
    for values in product(*(label.values for label in spec.labels)):
        telemetry.instruments.counter(spec, *values)
    return OwnCounter(telemetry, spec)


def _label(metric: str, name: str, values: Iterable[str]) -> Label:
    if not _NAME.fullmatch(name) or name in _RESERVED:
        raise ValueError(
            f"{metric}: {name!r} is not a name for a label: small letters, digits and '_', and none of "
            f"{', '.join(_RESERVED)}"
        )
    if isinstance(values, str):
        raise TypeError(f"{metric}: {name} needs a list of its values, not one string: {name}=({values!r}, …)")
    return Label(name, "closed", tuple(dict.fromkeys((*values, OTHER))))
