"""Where counts are kept while the agent works: cells that are cheap to add to, and added up when somebody asks."""

from __future__ import annotations

import mmap
import os
import struct
import threading
from collections import defaultdict
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Literal, Protocol

from agentgauge import workers
from agentgauge.forks import in_forked_children

Kind = Literal["counter", "histogram"]

HEADER = 8
"""Bytes before the first entry of a file."""
SMALLEST_FILE = 1 << 16


class ReadableCells(Protocol):
    """Numbers that can be read; a cell is named by its number, and begins at 0."""

    def cell(self, kind: Kind, key: str) -> int:
        """The cell of this key, which says as JSON what it counts: the same one each time it is asked for."""

    def read(self, kind: Kind, cells: Sequence[int]) -> list[float]:
        """What is in these cells now."""


class Cells(ReadableCells, Protocol):
    """Those that any thread may add to."""

    def add(self, cell: int, amount: float) -> None:
        """Add to the cell of a counter."""

    def observe(self, bucket: int, total: int, value: float) -> None:
        """Add a value to a histogram: one to the cell of its bucket, itself to that of the sum."""

    def call(self, count: int, bucket: int, total: int, value: float) -> None:
        """Both at once: one to a counter, and a value to a histogram."""


def cells_of_this_process() -> Cells:
    """New ones in memory; under PROMETHEUS_MULTIPROC_DIR those in its files, which all registries share."""
    shared = workers.folder()
    if shared is None:
        return ThreadCells()
    with _opening:
        if shared not in _opened:
            _opened[shared] = SharedCells(shared)
        return _opened[shared]


class ThreadCells:
    """Cells in the memory of this process. Each thread has its own, so that none waits for another.

    Those of a thread that ended are handed to the next one that begins: what it counted stays, and there are never
    more than there were threads at once. A forked child begins at 0.
    """

    def __init__(self) -> None:
        self._numbers = count()
        self._keys: dict[str, int] = {}
        self._begin_empty()
        in_forked_children(self._begin_empty)

    def cell(self, kind: Kind, key: str) -> int:
        """See Cells."""
        return self._keys.setdefault(key, next(self._numbers))

    def add(self, cell: int, amount: float) -> None:
        """See Cells."""
        self._mine.cells[cell] += amount

    def observe(self, bucket: int, total: int, value: float) -> None:
        """See Cells."""
        cells = self._mine.cells
        cells[bucket] += 1.0
        cells[total] += value

    def call(self, count: int, bucket: int, total: int, value: float) -> None:
        """See Cells."""
        cells = self._mine.cells
        cells[count] += 1.0
        cells[bucket] += 1.0
        cells[total] += value

    def read(self, kind: Kind, cells: Sequence[int]) -> list[float]:
        """See Cells."""
        values = [0.0] * len(cells)
        for of_thread in self._leases.every.copy():
            get = of_thread.get
            values = [value + get(cell, 0.0) for value, cell in zip(values, cells, strict=True)]
        return values

    def _begin_empty(self) -> None:
        self._leases = _Leases()
        self._mine = _Mine(self._leases)


class _Leases:
    """The cells of all threads that there were; those in ``free`` are nobody's now."""

    def __init__(self) -> None:
        self.every: list[defaultdict[int, float]] = []
        self.free: list[defaultdict[int, float]] = []


class _Lease:
    """The right of a thread to its cells, which ends with the thread: nothing but the thread holds this."""

    def __init__(self, leases: _Leases) -> None:
        self._leases = leases
        try:
            self.cells = leases.free.pop()
        except IndexError:
            self.cells = defaultdict(float)
            leases.every.append(self.cells)

    def __del__(self) -> None:
        self._leases.free.append(self.cells)


class _Mine(threading.local):
    """The cells of the thread that asks."""

    def __init__(self, leases: _Leases) -> None:
        self._lease = _Lease(leases)
        self.cells = self._lease.cells


class SharedCells:
    """Cells in files of a folder, one of each process and kind, so that a process that is killed has lost nothing.

    They are in the format of prometheus_client, whose readers add up those of all processes. A forked child begins
    with files of its own when it first counts.
    """

    _lock: threading.RLock  # not Lock: what is collected as garbage meanwhile may count, too

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._keys: dict[tuple[Kind, str], int] = {}
        self._begin_closed()
        in_forked_children(self._begin_closed)

    def cell(self, kind: Kind, key: str) -> int:
        """See Cells."""
        with self._lock:
            self._open()
            cell = self._keys.get((kind, key))
            if cell is None:
                cell = self._keys[kind, key] = self._files[kind].append(key)
                self._look()
            return cell

    def add(self, cell: int, amount: float) -> None:
        """See Cells."""
        with self._lock:
            if self._is_closed:
                self._open()
            self._counters[cell] += amount

    def observe(self, bucket: int, total: int, value: float) -> None:
        """See Cells."""
        with self._lock:
            if self._is_closed:
                self._open()
            self._histograms[bucket] += 1.0
            self._histograms[total] += value

    def call(self, count: int, bucket: int, total: int, value: float) -> None:
        """See Cells."""
        with self._lock:
            if self._is_closed:
                self._open()
            self._counters[count] += 1.0
            self._histograms[bucket] += 1.0
            self._histograms[total] += value

    def read(self, kind: Kind, cells: Sequence[int]) -> list[float]:
        """See Cells."""
        with self._lock:
            self._open()
            values = self._counters if kind == "counter" else self._histograms
            return [values[cell] for cell in cells]

    def _begin_closed(self) -> None:
        self._lock = threading.RLock()
        self._is_closed = True

    def _open(self) -> None:
        if not self._is_closed:
            return
        self._files: dict[Kind, _File] = {kind: _File(self._folder, kind) for kind in ("counter", "histogram")}
        for kind, key in self._keys:  # in the same order as in the parent's files, so at the same places
            self._files[kind].append(key)
        self._look()
        self._is_closed = False

    def _look(self) -> None:
        self._counters = self._files["counter"].values
        self._histograms = self._files["histogram"].values


class _File:
    """A file of prometheus_client's: a used length, then entries of a key's length, the key, its value and a time.

    ``values`` shows it as doubles; it is another view once the file has grown.
    """

    def __init__(self, folder: Path, kind: Kind) -> None:
        self._path = _created(folder, kind)
        self._used = HEADER
        self._size = 0
        self._grow()

    def append(self, key: str) -> int:
        """Add a key with the value 0; where its value is in ``values``."""
        encoded = key.encode()
        padded = encoded + b" " * (8 - (len(encoded) + 4) % 8)
        entry = struct.pack(f"i{len(padded)}sdd", len(encoded), padded, 0.0, 0.0)
        while self._used + len(entry) > self._size:
            self._grow()
        self._bytes[self._used : self._used + len(entry)] = entry
        self._used += len(entry)
        self._bytes[:4] = struct.pack("i", self._used)  # last: a reader of another process believes it
        return (self._used - 16) // 8

    def _grow(self) -> None:
        self._size = max(SMALLEST_FILE, self._size * 2)
        with self._path.open("r+b") as file:
            file.truncate(self._size)
            self._bytes = mmap.mmap(file.fileno(), self._size)
        self._bytes[:4] = struct.pack("i", self._used)
        self.values = memoryview(self._bytes).cast("d")


def _created(folder: Path, kind: Kind) -> Path:
    """A new file, that did not exist: a process of the same number may have left its own, which counts on."""
    for number in count():
        path = folder / f"{kind}_{os.getpid()}_cells{number}.db"
        try:
            path.touch(exist_ok=False)
        except FileExistsError:
            continue
        return path
    raise AssertionError("count() does not end")


_opened: dict[Path, SharedCells] = {}
_opening = threading.RLock()
