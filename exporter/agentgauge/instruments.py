"""The Prometheus objects behind the specs: built once a registry, children cached, label values kept in bounds."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Iterable
from itertools import product
from typing import Any
from weakref import WeakKeyDictionary

from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.registry import Collector
from prometheus_client.values import MutexValue

from agentgauge import metrics
from agentgauge.boundary import label_text
from agentgauge.cells import Cells, cells_of_this_process
from agentgauge.metrics import OTHER, Label, MetricSpec
from agentgauge.series import Calls, Counter, Family, Histogram

log = logging.getLogger("agentgauge")

AnyInstrument = Family | Gauge

_built: WeakKeyDictionary[CollectorRegistry, dict[str, AnyInstrument]] = WeakKeyDictionary()
_cells: WeakKeyDictionary[CollectorRegistry, Cells] = WeakKeyDictionary()
_building = threading.RLock()


class _OwnGauge(Gauge):
    """A gauge that stays in the memory of its process, also under PROMETHEUS_MULTIPROC_DIR.

    Every worker reads the same ledger, so what the one says that is scraped is true of all. In the files of the workers
    a value would stay for as long as its file, whatever the ledger says by then.
    """

    def _metric_init(self) -> None:
        documentation, names, values = self._documentation, self._labelnames, self._labelvalues
        self._value = MutexValue(self._type, self._name, self._name, names, values, documentation)  # type: ignore[no-untyped-call]  # prometheus_client leaves it untyped

    def remove(self, *labelvalues: Any) -> None:
        with self._lock:  # as Gauge does, without its warning that files keep the series
            self._metrics.pop(tuple(str(value) for value in labelvalues), None)


def own_gauges(registry: CollectorRegistry) -> list[Collector]:
    """What is on this registry and not in the files of PROMETHEUS_MULTIPROC_DIR."""
    return [instrument for instrument in _built.get(registry, {}).values() if isinstance(instrument, _OwnGauge)]


def _build(spec: MetricSpec, cells: Cells) -> AnyInstrument:
    if spec.kind != "gauge":
        return Family(spec, spec.kind, cells)
    if spec.multiprocess == "own":
        return _OwnGauge(spec.name, spec.help, spec.label_names, registry=None)
    return Gauge(spec.name, spec.help, spec.label_names, registry=None, multiprocess_mode=spec.multiprocess)


def _prometheus_objects(registry: CollectorRegistry) -> dict[str, AnyInstrument]:
    """All metrics on this registry; agents that share a registry share them and differ in the agent label."""
    with _building:
        if registry not in _built:
            _cells[registry] = cells = cells_of_this_process()
            objects = {spec.name: _build(spec, cells) for spec in metrics.ALL}
            for instrument in objects.values():
                registry.register(instrument)
            _built[registry] = objects
        return _built[registry]


class LabelBounds:
    """What each label may hold for one agent; all else is folded into ``other``, counted, and logged once."""

    def __init__(self, canonical_model: Callable[[str], str | None], models: Iterable[str]) -> None:
        self.tools: set[str] = set()
        self.servers: set[str] = set()
        self.listed_models: set[str] = set()  # on the price list, some of them under the names of one provider
        self._models = set(map(label_text, models))
        self._canonical_model = canonical_model
        self._seen: dict[str, set[str]] = {}
        self._folding = threading.RLock()
        self._warned: set[tuple[str, str]] = set()
        self.on_overflow: Callable[[MetricSpec, Label], None] = lambda _spec, _label: None

    def known_values(self, label: Label) -> tuple[str, ...] | None:
        """The values known in advance, or None for a label that learns them as they come."""
        if label.bound == "closed":
            return label.values
        if label.bound == "tools":
            return (*sorted(self.tools), OTHER)
        if label.bound == "servers":
            return (*sorted(self.servers), OTHER) if self.servers else None
        if label.bound == "models":
            return tuple(sorted({OTHER, *(self._within(label, model) or OTHER for model in self._models)}))
        return None

    def is_configured(self, model: str) -> bool:
        """Whether the agent named this model from the start, so that it may be a label though it has no price."""
        return model in self._models

    def fold(self, spec: MetricSpec, label: Label, value: str) -> str:
        """The value to put on the series: itself when it is within bounds, else ``other``."""
        if not isinstance(value, str):
            return self.overflow(spec, label, "")
        value = label_text(value)
        kept = self._within(label, value)
        return self.overflow(spec, label, value) if kept is None else kept

    def overflow(self, spec: MetricSpec, label: Label, value: str) -> str:
        """Count a value that is out of bounds; returns what it is folded into."""
        self.on_overflow(spec, label)
        with self._folding:
            first_time = (spec.name, label.name) not in self._warned
            self._warned.add((spec.name, label.name))
        if first_time:
            log.warning("%s: %s; counted as %s=%r", spec.name, self._reason(label, value), label.name, OTHER)
        return OTHER

    def forget(self, label: Label, value: str) -> None:
        """Free the place of a value that a label learnt and no longer shows."""
        with self._folding:
            self._seen.get(label.name, set()).discard(value)

    def _within(self, label: Label, value: str) -> str | None:
        if value == OTHER:
            return OTHER
        if label.bound == "closed":
            return value if value in label.values else None
        if label.bound == "tools":
            return value if value in self.tools else None
        if label.bound == "servers":
            return value if value in self.servers else None
        if label.bound == "models":
            if value in self._models or value in self.listed_models:
                return value
            return self._canonical_model(value)
        with self._folding:
            seen = self._seen.setdefault(label.name, set())
            if value not in seen and len(seen) >= label.limit:
                return None
            seen.add(value)
            return value

    def _reason(self, label: Label, value: str) -> str:
        # Values can come from a model or a user: quote only what looks like an identifier.
        shown = repr(value) if re.fullmatch(r"[\w.:@/-]{1,64}", value) else "a value that is not an identifier"
        if label.bound == "tools":
            return f"tool {shown} is not registered (registered: {', '.join(sorted(self.tools)) or 'none'})"
        if label.bound == "servers":
            return f"MCP server {shown} is not in mcp_servers=[…]"
        if label.bound == "models":
            return f"model {shown} is neither in the price table nor in models=[…]"
        if label.bound == "closed":
            return f"{label.name} {shown} is not one of {', '.join(label.values)}"
        return f"{label.name} has shown {label.limit} distinct values already"


class Instruments:
    """Every metric of one agent on one registry: ``counter(TOOL_CALLS, "send_email", "success").inc()``.

    Label values are all but ``agent``, in the order of the spec. Children are cached: prometheus_client's
    ``labels()`` at each call costs more than the increment itself.
    """

    def __init__(self, registry: CollectorRegistry, agent: str, bounds: LabelBounds) -> None:
        self._objects = _prometheus_objects(registry)
        self._registry = registry
        self._own: set[str] = set()
        self._agent = agent
        self._bounds = bounds
        self._children: dict[tuple[str, ...], Any] = {}
        self._tool_successes: dict[str, Calls] = {}
        self._used: set[str] = set()
        bounds.on_overflow = self._count_overflow

    def counter(self, spec: MetricSpec, *values: str) -> Counter:
        """The counter for these label values."""
        child: Counter = self._child(spec, values)
        return child

    def gauge(self, spec: MetricSpec, *values: str) -> Gauge:
        """The gauge for these label values."""
        child: Gauge = self._child(spec, values)
        return child

    def histogram(self, spec: MetricSpec, *values: str) -> Histogram:
        """The histogram for these label values."""
        child: Histogram = self._child(spec, values)
        return child

    def tool_success(self, tool: str) -> Calls:
        """What a successful call of this tool writes to, in one look-up: its count and its duration."""
        known = self._tool_successes.get(tool)
        if known is not None:
            return known
        calls = Calls(self.counter(metrics.TOOL_CALLS, tool, "success"), self.histogram(metrics.TOOL_DURATION, tool))
        if tool in self._bounds.tools:
            self._tool_successes[tool] = calls
        return calls

    def declare(self, spec: MetricSpec) -> None:
        """Take a metric of the agent's own; ValueError if the registry has another one of that name."""
        with _building:
            known = self._objects.get(spec.name)
            if known is None:
                built = _build(spec, _cells[self._registry])
                self._registry.register(built)
                self._objects[spec.name] = built
            elif isinstance(known, Family) and known.label_names != spec.label_names:
                raise ValueError(f"{spec.name} is declared already, with other labels: {', '.join(known.label_names)}")
        self._own.add(spec.name)
        self.counter(metrics.LABEL_OVERFLOW, metrics.OWN, metrics.OWN)

    def create_at_zero(self) -> None:
        """Create every series whose labels are all bounded in advance, so that a first failure is an increase."""
        for spec in metrics.ALL_BUT_OVERFLOW:
            known = [self._bounds.known_values(label) for label in spec.labels]
            if spec.born_at_zero and all(values is not None for values in known):
                for values in product(*(values for values in known if values is not None)):
                    self._child(spec, values)

    def create_model_at_zero(self, model: str) -> None:
        """Create the series of a model that was not configured, when it is first called."""
        for spec in metrics.ALL_BUT_OVERFLOW:
            if spec.born_at_zero and spec.labels and spec.labels[0] is metrics.MODEL:
                others = [self._bounds.known_values(label) for label in spec.labels[1:]]
                if all(values is not None for values in others):
                    for values in product(*(values for values in others if values is not None)):
                        self._child(spec, (model, *values))

    def clear(self, spec: MetricSpec) -> None:
        """Remove this agent's series of a gauge, so that a value that no longer holds is not shown."""
        for key in [key for key in self._children if key[0] == spec.name]:
            del self._children[key]
            self._gauge(spec).remove(self._agent, *key[1:])

    def remove(self, spec: MetricSpec, *values: str) -> None:
        """Remove one series of a gauge that each process has for itself, as those are that come from the ledger.

        Values that no other series of it has free their places within the bounds.
        """
        if self._children.pop((spec.name, *values), None) is None:
            return
        self._gauge(spec).remove(self._agent, *values)
        for place, (label, value) in enumerate(zip(spec.labels, values, strict=True), start=1):
            if not any(key[0] == spec.name and key[place] == value for key in self._children):
                self._bounds.forget(label, value)

    def _gauge(self, spec: MetricSpec) -> Gauge:
        built = self._objects[spec.name]
        if not isinstance(built, Gauge):
            raise TypeError(f"{spec.name} only grows: its series stay")
        return built

    def _child(self, spec: MetricSpec, values: tuple[str, ...]) -> Any:
        child = self._children.get((spec.name, *values))
        if child is not None:
            return child
        if spec.name not in self._used:
            self._used.add(spec.name)
            self._create_overflow_series(spec)
        folded = tuple(self._bounds.fold(spec, label, value) for label, value in zip(spec.labels, values, strict=True))
        # Keyed by the folded values only, so that hallucinated names cannot grow the cache.
        key = (spec.name, *folded)
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = self._objects[spec.name].labels(self._agent, *folded)
        return child

    def _create_overflow_series(self, spec: MetricSpec) -> None:
        # Of a metric in use only: nothing of one that an agent never touches can be folded.
        for of, label in metrics.OPEN_LABELS:
            if of is spec:
                self.counter(metrics.LABEL_OVERFLOW, spec.name, label.name)

    def _count_overflow(self, spec: MetricSpec, label: Label) -> None:
        if spec.name in self._own:
            self.counter(metrics.LABEL_OVERFLOW, metrics.OWN, metrics.OWN).inc()
        else:
            self.counter(metrics.LABEL_OVERFLOW, spec.name, label.name).inc()
