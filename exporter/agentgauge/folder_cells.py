"""The counters and histograms of all processes of a folder, added up as fast as those of one process are shown.

Each process only adds entries to its file and changes their values, so the keys of a file are read once, and from then
on its values alone. The text is made as that of one process is: of a line whose value has changed.
"""

from __future__ import annotations

import json
import re
import struct
import threading
from collections.abc import Iterator, Sequence
from operator import add, itemgetter
from pathlib import Path
from typing import Any

from prometheus_client import Metric
from prometheus_client.registry import Collector

from agentgauge.cells import HEADER, Kind
from agentgauge.metrics import Label, MetricSpec
from agentgauge.series import ReadFamily, Shown

_OURS = re.compile(r"(counter|histogram)_\d+_cells\d+\.db")
"""Files of ``SharedCells``; those of prometheus_client itself are called otherwise."""


def is_ours(file: Path) -> bool:
    """Whether a file of the folder holds what is read here."""
    return _OURS.fullmatch(file.name) is not None


class FolderFamilies(Collector):
    """All that the processes of a folder counted, as ``Shown`` families; see the module."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.RLock()
        self._files: dict[Path, _Entries] = {}
        self._cells = _Totals()
        self._families: dict[str, ReadFamily] = {}
        self._bounds: list[float] = []  # of the histogram whose entries are being read

    def collect(self) -> Iterator[Metric]:
        """Read the folder; OSError if it cannot be read."""
        with self._lock:
            self._cells.clear()
            for path in sorted(self._folder.glob("*.db")):
                if is_ours(path):
                    self._read(path)
            families = list(self._families.values())
        yield from map(Shown, families)

    def _read(self, path: Path) -> None:
        kind: Kind = "counter" if path.name.startswith("counter") else "histogram"
        entries = self._files.setdefault(path, _Entries())
        data = path.read_bytes()
        for key in entries.find_new(data):
            entries.add(self._cells.cell(kind, key))
            self._show(kind, key)
        if entries.cells:
            self._cells.add_up(kind, entries, data)

    def _show(self, kind: Kind, key: str) -> None:
        """Have the series of a new entry shown. A histogram's entries are its buckets by their bounds, then its sum."""
        family, name, labels, help = json.loads(key)
        if "le" in labels:
            bound = float(labels["le"])
            self._bounds = [*(self._bounds if self._bounds and bound > self._bounds[-1] else []), bound]
            return
        known = self._families.get(family)
        if known is None:
            others = tuple(Label(label, "first") for label in sorted(labels) if label != "agent")
            bounds = tuple(self._bounds[:-1]) if kind == "histogram" else ()  # the last one is infinity
            spec = MetricSpec(name if kind == "counter" else family, kind, help, others, bounds)
            known = self._families[family] = ReadFamily(spec, kind, self._cells)
        if labels.keys() == set(known.label_names):  # not so if an older version left its files here
            known.show(tuple(labels[label] for label in known.label_names))


class _Totals:
    """Sums over all processes, by the keys of their cells; see ``ReadableCells``."""

    def __init__(self) -> None:
        self._numbers: dict[Kind, dict[str, int]] = {"counter": {}, "histogram": {}}
        self._sums: dict[Kind, list[float]] = {"counter": [], "histogram": []}

    def cell(self, kind: Kind, key: str) -> int:
        """The cell of a key, at 0 if it is new."""
        numbers, sums = self._numbers[kind], self._sums[kind]
        if key not in numbers:
            numbers[key] = len(sums)
            sums.append(0.0)
        return numbers[key]

    def clear(self) -> None:
        """All sums begin at 0 again."""
        self._sums = {kind: [0.0] * len(sums) for kind, sums in self._sums.items()}

    def add_up(self, kind: Kind, entries: _Entries, data: bytes) -> None:
        """Add the values of a process, each to its cell."""
        sums, values = self._sums[kind], entries.values(data)
        if entries.are_in_order:
            sums[: len(values)] = map(add, sums, values)
        else:
            for cell, value in zip(entries.cells, values, strict=True):
                sums[cell] += value

    def read(self, kind: Kind, cells: Sequence[int]) -> list[float]:
        """What is in these cells now."""
        sums = self._sums[kind]
        return [sums[cell] for cell in cells]


class _Entries:
    """What is known of a file: the cell of each entry, in the order of the file.

    They ``are_in_order`` if those are the first cells there are, one after the other, as where all workers are alike.
    """

    def __init__(self) -> None:
        self.cells: list[int] = []
        self.are_in_order = True
        self._places: list[int] = []
        self._read = HEADER
        self._get: Any = None

    def find_new(self, data: bytes) -> list[str]:
        """The keys of the entries that came since the last time."""
        (used,) = struct.unpack_from("i", data)
        keys = []
        while self._read < used:
            (length,) = struct.unpack_from("i", data, self._read)
            begins = self._read + 4
            keys.append(data[begins : begins + length].decode())
            at = begins + length + (8 - (length + 4) % 8)
            self._places.append(at // 8)
            self._read = at + 16
        if keys:
            self._get = itemgetter(*self._places, HEADER // 8)  # of one place it would not be a tuple
        return keys

    def add(self, cell: int) -> None:
        """The cell of the next entry."""
        self.are_in_order = self.are_in_order and cell == len(self.cells)
        self.cells.append(cell)

    def values(self, data: bytes) -> Sequence[float]:
        """The values of all entries."""
        doubles = memoryview(data)[: len(data) // 8 * 8].cast("d")
        return self._get(doubles)[:-1]  # type: ignore[no-any-return]  # itemgetter says Any
