"""Expired rows go, but not while a clock is in doubt."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest

from agentgauge.ledger import Ledger
from agentgauge.ledger.expiry import DOUBT, LEAP, Expiry
from agentgauge.ledger.schema import FEEDBACK
from tests.clock import Clock
from tests.exporter.conftest import sql

AHEAD = timedelta(days=400)


class Agent:
    """One replica, with the seconds that have passed since it began."""

    def __init__(self, ledger: Ledger) -> None:
        self.seconds = 0.0
        self._expiry = Expiry(ledger, "a", lambda: self.seconds)

    def deletes(self, after: timedelta = timedelta()) -> None:
        """Let time pass for its process, and delete."""
        self.seconds += after.total_seconds()
        self._expiry.delete()


def kept(url: str) -> int:
    """How many ratings are in the ledger."""
    return len(sql(url, f"SELECT id FROM {FEEDBACK.name}"))  # noqa: S608 - our own name


@pytest.fixture
def rated(ledger: Ledger, clock: Clock) -> Ledger:
    """A ledger with a rating of now, from which expired rows have just been deleted."""
    ledger.add_feedback("a", "rep-1", "up", "")
    Agent(ledger).deletes()
    return ledger


def test_a_clock_that_goes_on_lets_expired_rows_go(rated: Ledger, url: str, clock: Clock) -> None:
    """As long as an agent was there every few weeks, nothing waits."""
    for _ in range(4):
        clock.at += LEAP - timedelta(hours=1)
        Agent(rated).deletes()
    assert kept(url) == 0


def test_a_clock_that_leapt_deletes_nothing_for_a_day(
    rated: Ledger, url: str, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """And says so; if the agent was only away for long, its rows go then."""
    clock.at += AHEAD
    agent = Agent(rated)
    with caplog.at_level(logging.WARNING):
        agent.deletes()
        agent.deletes(after=DOUBT - timedelta(minutes=1))
    assert kept(url) == 1
    assert "the latest deletion was on 2026-03-18 12:00 UTC" in caplog.text
    agent.deletes(after=timedelta(minutes=1))
    assert kept(url) == 0


def test_an_agent_that_is_started_again_each_hour_goes_on_from_what_the_ledger_knows(
    rated: Ledger, url: str, clock: Clock
) -> None:
    """A deploy does not begin the day of doubt again, and the time between two starts does not count for it."""
    clock.at += AHEAD
    for _ in range(round(DOUBT / timedelta(hours=1))):
        assert kept(url) == 1
        agent = Agent(rated)
        agent.deletes()
        clock.at += timedelta(days=2)
        agent.deletes(after=timedelta(hours=1))
    assert kept(url) == 0


def test_a_replica_with_another_clock_proves_it_wrong(rated: Ledger, url: str, clock: Clock) -> None:
    """However long the one that is ahead waits: what the others keep stays."""
    right = clock.at
    agent, other = Agent(rated), Agent(rated)
    for _ in range(8):
        pause = DOUBT / 4
        right += pause
        clock.at = right + AHEAD
        agent.deletes(after=pause)
        clock.at = right
        other.deletes(after=pause)
    assert kept(url) == 1
