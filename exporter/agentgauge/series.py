"""Counters and histograms whose values are in cells, and the text that a scrape shows of them."""

from __future__ import annotations

import math
import threading
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import accumulate
from time import time

from prometheus_client import Metric
from prometheus_client.mmap_dict import mmap_key
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar, Sample
from prometheus_client.utils import floatToGoString

from agentgauge.boundary import NotAnAmountError
from agentgauge.cells import Cells, Kind, ReadableCells
from agentgauge.metrics import MetricSpec


class Counter:
    """One series of a counter."""

    __slots__ = ("cell", "cells")

    def __init__(self, cells: Cells, cell: int) -> None:
        self.cells = cells
        self.cell = cell

    def inc(self, amount: float = 1.0) -> None:
        """Count; raises NotAnAmountError for what would make it fall, or what is not a number."""
        if not amount >= 0:  # nor is NaN
            raise NotAnAmountError("a counter only grows")
        self.cells.add(self.cell, amount)


class Histogram:
    """The series of a histogram with one set of label values. ``exemplars`` are the latest ones, by bucket."""

    __slots__ = ("_cells", "bounds", "buckets", "exemplars", "total")

    def __init__(self, cells: Cells, bounds: Sequence[float], buckets: Sequence[int], total: int) -> None:
        self._cells = cells
        self.bounds = bounds
        self.buckets = buckets
        self.total = total
        self.exemplars: dict[int, Exemplar] = {}

    def observe(self, value: float, exemplar: dict[str, str] | None = None) -> None:
        """Take a value; raises NotAnAmountError for one below 0, or that is not a number."""
        if not value >= 0:
            raise NotAnAmountError("what is measured is at least 0")
        bucket = bisect_left(self.bounds, value)
        self._cells.observe(self.buckets[bucket], self.total, value)
        if exemplar is not None:
            self.exemplars[bucket] = Exemplar(exemplar, value, time())


class Calls:
    """A counter of calls and the histogram of their durations, written in one go."""

    __slots__ = ("_bounds", "_buckets", "_cells", "_count", "_duration", "_total")

    def __init__(self, calls: Counter, duration: Histogram) -> None:
        self._cells = calls.cells
        self._count = calls.cell
        self._duration = duration
        self._bounds, self._buckets, self._total = duration.bounds, duration.buckets, duration.total

    def add(self, seconds: float, exemplar: dict[str, str] | None = None) -> None:
        """Count a call that took so long; raises NotAnAmountError for less than no time."""
        if not seconds >= 0:
            raise NotAnAmountError("a call takes at least no time")
        bucket = bisect_left(self._bounds, seconds)
        self._cells.call(self._count, self._buckets[bucket], self._total, seconds)
        if exemplar is not None:
            self._duration.exemplars[bucket] = Exemplar(exemplar, seconds, time())


class ReadFamily(Collector):
    """All series of one counter or histogram, whichever agents they are of, as a scrape shows them."""

    def __init__(self, spec: MetricSpec, kind: Kind, cells: ReadableCells) -> None:
        self.name = spec.name.removesuffix("_total") if kind == "counter" else spec.name
        self.kind = kind
        self.help = spec.help
        self.label_names = spec.label_names
        self._spec = spec
        self._bounds = spec.buckets
        self._cells = cells
        self._lock = threading.RLock()
        self._shown: dict[tuple[str, ...], list[int]] = {}
        """The label values of each series, and its cells."""
        self._numbers: list[int] = []
        """Of all cells: of a histogram its buckets and its sum, series by series."""
        self._starts: list[str] = []
        """Of all lines, up to the value."""
        self._read: list[float] = []
        self._values: list[float] = []
        self._lines: list[str] = []
        self._text = ""

    def show(self, values: tuple[str, ...]) -> list[int]:
        """The cells of the series with these label values, which is shown from now on."""
        with self._lock:
            known = self._shown.get(values)
            if known is None:
                rows = list(self._rows(values))
                # The count of a histogram is that of its buckets, and has no cell.
                counted = rows if self.kind == "counter" else [*rows[:-2], rows[-1]]
                known = self._shown[values] = [self._cell(*row) for row in counted]
                self._numbers += known
                self._starts += [_start(name, labels) for name, labels in rows]
            return known

    def describe(self) -> Iterator[Metric]:
        """Its names, for the registry."""
        yield Metric(self.name, self.help, self.kind)

    def collect(self) -> Iterator[Metric]:
        """What it counts now; see Shown."""
        yield Shown(self)

    def text(self, *, openmetrics: bool) -> str:
        """What a scrape shows. Its lines are kept, and made again only where the value has changed."""
        name = self.name if openmetrics else self._spec.name
        with self._lock:
            self._refresh()
            lines = self._with_exemplars() if openmetrics else self._text
        return f"# HELP {name} {_escaped_help(self.help, openmetrics)}\n# TYPE {name} {self.kind}\n{lines}"

    def samples(self) -> list[Sample]:
        """The same as prometheus_client's objects."""
        with self._lock:
            self._refresh()
            rows = [row for values in self._shown for row in self._rows(values)]
            exemplars = dict(self._exemplars())
            return [
                Sample(name, labels, value, None, exemplars.get(place))
                for place, ((name, labels), value) in enumerate(zip(rows, self._values, strict=True))
            ]

    def _refresh(self) -> None:
        read = self._cells.read(self.kind, self._numbers)
        if read == self._read and len(self._lines) == len(self._starts):
            return
        self._read = read
        values = read if self.kind == "counter" else list(self._cumulated(read))
        self._lines += [""] * (len(self._starts) - len(self._lines))
        self._values += [-1.0] * (len(self._starts) - len(self._values))  # which no series shows
        for place, (value, before) in enumerate(zip(values, self._values, strict=True)):
            if value != before:
                self._lines[place] = f"{self._starts[place]}{floatToGoString(value)}\n"  # type: ignore[no-untyped-call]  # prometheus_client leaves it untyped
        self._values = values
        self._text = "".join(self._lines)

    def _cumulated(self, read: list[float]) -> Iterator[float]:
        """The buckets of each histogram added up, its count and its sum."""
        step = len(self._bounds) + 2
        for first in range(0, len(read), step):
            buckets = list(accumulate(read[first : first + step - 1]))
            yield from buckets
            yield buckets[-1]
            yield read[first + step - 1]

    def _with_exemplars(self) -> str:
        lines = None
        for place, exemplar in self._exemplars():
            lines = lines or self._lines.copy()
            trace = ",".join(f'{name}="{value}"' for name, value in sorted(exemplar.labels.items()))
            lines[place] = f"{lines[place][:-1]} # {{{trace}}} {floatToGoString(exemplar.value)} {exemplar.timestamp}\n"  # type: ignore[no-untyped-call]  # as above
        return "".join(lines) if lines else self._text

    def _exemplars(self) -> Iterator[tuple[int, Exemplar]]:
        """Those of its buckets, each with the place of its line; none where nothing is measured."""
        yield from ()

    def _rows(self, values: tuple[str, ...]) -> Iterator[tuple[str, dict[str, str]]]:
        """The name and the labels of each line of a series."""
        labels = dict(zip(self.label_names, values, strict=True))
        if self.kind == "counter":
            yield self._spec.name, labels
            return
        for bound in (*self._bounds, math.inf):
            yield self._spec.bucket, labels | {"le": floatToGoString(bound)}  # type: ignore[no-untyped-call]  # as above
        yield self._spec.count, labels
        yield self._spec.sum, labels

    def _cell(self, name: str, labels: dict[str, str]) -> int:
        key = mmap_key(self.name, name, list(labels), list(labels.values()), self.help)
        return self._cells.cell(self.kind, key)


class Family(ReadFamily):
    """All series of one counter or histogram on a registry, which an agent writes to."""

    def __init__(self, spec: MetricSpec, kind: Kind, cells: Cells) -> None:
        super().__init__(spec, kind, cells)
        self._written = cells
        self._series: dict[tuple[str, ...], Counter | Histogram] = {}

    def labels(self, *values: str) -> Counter | Histogram:
        """The series with these label values, which exists from now on."""
        with self._lock:
            known = self._series.get(values)
            if known is None:
                known = self._series[values] = self._made(self.show(values))
            return known

    def _made(self, cells: list[int]) -> Counter | Histogram:
        if self.kind == "counter":
            return Counter(self._written, *cells)
        return Histogram(self._written, self._bounds, cells[:-1], cells[-1])

    def _exemplars(self) -> Iterator[tuple[int, Exemplar]]:
        if self.kind == "histogram":
            for number, series in enumerate(self._series.values()):
                if isinstance(series, Histogram) and series.exemplars:
                    first = number * (len(self._bounds) + 3)
                    yield from ((first + bucket, one) for bucket, one in series.exemplars.copy().items())


class Shown(Metric):
    """A family at the time of a scrape: its text is ready, and its samples are made for those who ask for them."""

    def __init__(self, family: ReadFamily) -> None:
        super().__init__(family.name, family.help, family.kind)
        del self.samples  # Metric has set it; below, it is made when it is first asked for
        self._family = family

    @cached_property
    def samples(self) -> list[Sample]:  # type: ignore[override]  # an attribute there
        """As prometheus_client wants them."""
        return self._family.samples()

    def text(self, *, openmetrics: bool) -> str:
        """As a scrape wants it."""
        return self._family.text(openmetrics=openmetrics)


def _start(name: str, labels: dict[str, str]) -> str:
    pairs = ",".join(f'{label}="{_escaped(value)}"' for label, value in sorted(labels.items()))
    return f"{name}{{{pairs}}} "


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _escaped_help(text: str, openmetrics: bool) -> str:
    return _escaped(text) if openmetrics else text.replace("\\", r"\\").replace("\n", r"\n")
