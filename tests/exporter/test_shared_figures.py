"""Figures that one replica reads for all."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta
from threading import Event, Thread
from time import sleep

import pytest

from agentgauge.ledger import Ledger
from agentgauge.ledger.shared_figures import LEASE, SharedFigures
from tests.clock import Clock

EVERY = timedelta(seconds=5)


class Reader:
    """Counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self) -> int:
        """How often, this time included."""
        self.asked += 1
        return self.asked


def test_replicas_read_once_for_all_of_them(ledger: Ledger, url: str, clock: Clock) -> None:
    """Until it is due; then one reads again, and all show that."""
    reader = Reader()
    with closing(Ledger.open(url, now=clock)) as second:
        replicas = [SharedFigures(one, "a", "users", EVERY, reader) for one in (ledger, second)]
        assert [one.get() for one in replicas] == [1, 1]
        clock.forward(minutes=10)
        assert [one.get() for one in replicas] == [2, 2]


def test_agents_and_names_do_not_share(ledger: Ledger) -> None:
    """Each has figures of its own."""
    reader = Reader()
    for agent, name in (("a", "users"), ("b", "users"), ("a", "weeks")):
        SharedFigures(ledger, agent, name, EVERY, reader).get()
    assert reader.asked == 3


def test_while_one_replica_reads_the_others_show_what_was_there(ledger: Ledger, url: str, clock: Clock) -> None:
    """At the very first time that is nothing."""
    begun, may_end = Event(), Event()

    def slowly() -> str:
        begun.set()
        assert may_end.wait(timeout=120)
        return "new"

    for known in (None, "new"):
        begun.clear()
        may_end.clear()
        with closing(Ledger.open(url, now=clock)) as second:
            reading = Thread(target=SharedFigures(second, "a", "users", EVERY, slowly).get)
            reading.start()
            assert begun.wait(timeout=120)
            assert SharedFigures(ledger, "a", "users", EVERY, slowly).get() == known
            may_end.set()
            reading.join()
        clock.forward(days=1)


def test_another_replica_takes_over_from_one_that_died(ledger: Ledger, clock: Clock) -> None:
    """After the lease; until then what was there is shown."""
    reader = Reader()
    figures = SharedFigures(ledger, "a", "users", EVERY, reader)
    figures.get()
    clock.forward(days=1)

    def die() -> int:
        raise MemoryError

    with pytest.raises(MemoryError):
        SharedFigures(ledger, "a", "users", EVERY, die).get()
    assert figures.get() == 1
    clock.forward(seconds=LEASE.total_seconds())
    assert figures.get() == 2


def test_figures_that_take_long_are_read_less_often(ledger: Ledger, clock: Clock) -> None:
    """They took more than a quarter of a second, so they are not due again after those five seconds."""
    reader = Reader()

    def slowly() -> int:
        sleep(0.3)  # what is measured is the time it takes
        return reader()

    figures = SharedFigures(ledger, "a", "users", EVERY, slowly)
    figures.get()
    clock.at += EVERY
    assert figures.get() == 1
    clock.forward(days=1)
    assert figures.get() == 2


def test_a_clock_that_was_set_back_does_not_stop_the_figures(ledger: Ledger, clock: Clock) -> None:
    """What was read in the future is due."""
    reader = Reader()
    figures = SharedFigures(ledger, "a", "users", EVERY, reader)
    figures.get()
    clock.forward(hours=-1)
    assert figures.get() == 2
