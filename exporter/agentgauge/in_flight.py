"""The turns that have begun and not ended: how old is the oldest?"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from time import monotonic

from prometheus_client import Gauge, Metric

from agentgauge import metrics, workers
from agentgauge.forks import in_forked_children


class TurnsInFlight:
    """The turns of one agent that this process works on, shown on ``gauge`` as the age of the oldest, in seconds.

    Under PROMETHEUS_MULTIPROC_DIR a process cannot be asked when it is scraped. There ``gauge`` holds the negative of
    when the oldest turn began, by a clock that all processes of a machine share, and ``with_ages`` makes ages of them.
    A forked child begins without its parent's turns.
    """

    def __init__(self, gauge: Gauge) -> None:
        self._gauge = gauge
        self._shared = workers.folder() is not None
        self._begin_empty()
        in_forked_children(self._begin_empty)
        if self._shared:
            gauge.set(0)  # a process that ended may have had the same number, and left its file
        else:
            gauge.set_function(self.oldest_seconds)

    def begin(self) -> object:
        """A turn begins; returns what to end it by."""
        turn = object()
        with self._lock:
            self._began[turn] = monotonic()
            if self._shared and len(self._began) == 1:
                self._gauge.set(-self._began[turn])
        return turn

    def end(self, turn: object) -> None:
        """It has ended; does nothing in a process that did not begin it."""
        with self._lock:
            was_oldest = self._shared and next(iter(self._began), None) is turn
            self._began.pop(turn, None)
            if was_oldest:
                self._gauge.set(-self._oldest() if self._began else 0)

    def oldest_seconds(self) -> float:
        """Age of the oldest turn; 0 if there is none."""
        with self._lock:
            return monotonic() - self._oldest() if self._began else 0.0

    def _oldest(self) -> float:
        return next(iter(self._began.values()))  # a dict keeps the order in which they began

    def _begin_empty(self) -> None:
        self._began: dict[object, float] = {}
        self._lock = threading.RLock()


def with_ages(scraped: Iterable[Metric]) -> Iterable[Metric]:
    """What several processes wrote, with the age of the oldest turn instead of when it began in each of them.

    The processes are those that live: workers.sweep() took out the files of the others.
    """
    for metric in scraped:
        if metric.name == metrics.OLDEST_TURN.name:
            now = monotonic()
            ages: dict[str, float] = {}
            for sample in metric.samples:
                agent = sample.labels["agent"]
                age = now + sample.value if sample.value else 0.0
                ages[agent] = max(age, ages.get(agent, 0.0))
            metric.samples = []
            for agent, age in ages.items():
                metric.add_sample(metric.name, {"agent": agent}, age)
        yield metric
