"""Throttles in the ledger: every replica sees them, budgets set each once, and a person's word is not taken back."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from agentgauge.cost.throttles import Throttle, Throttles, end_of_day
from agentgauge.ledger import Ledger, Usage
from tests.clock import Clock

MIDNIGHT = datetime(2026, 3, 19, tzinfo=UTC)


@pytest.fixture
def throttles(ledger: Ledger) -> Throttles:
    """Those of agent ``a``; there are none."""
    return Throttles(ledger, "a")


def test_a_throttle_is_in_force_until_its_time_is_over(throttles: Throttles, clock: Clock) -> None:
    """With who set it, why and when."""
    until = clock() + timedelta(hours=2)
    throttles.put("rep-1", "throttle", until, "ann", "loops")
    assert throttles.current() == [Throttle("rep-1", "throttle", clock(), until, "ann", "loops")]
    clock.forward(hours=1, minutes=59)
    assert throttles.current()
    clock.forward(minutes=1)
    assert throttles.current() == []


def test_one_without_an_end_lasts_until_it_is_lifted(throttles: Throttles, clock: Clock) -> None:
    """And is then kept, lifted, to the end of the day."""
    throttles.put("rep-1", "throttle", None, "ann", "loops")
    clock.forward(days=30)
    assert [one.lifted_by for one in throttles.current()] == [None]
    assert throttles.lift("rep-1", "bob") == 1
    assert [(one.lifted_by, one.until) for one in throttles.current()] == [("bob", end_of_day(clock()))]
    clock.forward(days=1)
    assert throttles.current() == []


def test_lifting_lifts_every_level_of_that_user_alone(throttles: Throttles) -> None:
    """Once: the second time there is nothing to lift."""
    throttles.put("rep-1", "throttle", MIDNIGHT, "ann", "loops")
    throttles.put("rep-1", "stop", MIDNIGHT, "the budget", "$20.10")
    throttles.put("rep-2", "throttle", MIDNIGHT, "ann", "loops")
    assert throttles.lift("rep-1", "bob") == 2
    assert throttles.lift("rep-1", "bob") == 0
    assert [one.user_id for one in throttles.current() if one.lifted_by is None] == ["rep-2"]


def test_a_person_replaces_what_was_set_or_lifted_before(throttles: Throttles, clock: Clock) -> None:
    """The last word counts."""
    throttles.put("rep-1", "throttle", MIDNIGHT, "ann", "loops")
    throttles.lift("rep-1", "bob")
    clock.forward(minutes=1)
    throttles.put("rep-1", "throttle", None, "carol", "loops again")
    assert throttles.current() == [Throttle("rep-1", "throttle", clock(), None, "carol", "loops again")]


def test_a_budget_sets_a_level_once_a_day(throttles: Throttles, clock: Clock) -> None:
    """Not again on the next refresh, not over a person's, but again on the next day."""
    assert throttles.put_first("rep-1", "stop", MIDNIGHT, "the budget", "$20.10")
    assert not throttles.put_first("rep-1", "stop", MIDNIGHT, "the budget", "$20.30")
    assert [one.reason for one in throttles.current()] == ["$20.10"]
    throttles.put("rep-2", "stop", None, "ann", "for good")
    assert not throttles.put_first("rep-2", "stop", MIDNIGHT, "the budget", "$21")
    clock.forward(days=1)
    assert throttles.put_first("rep-1", "stop", MIDNIGHT + timedelta(days=1), "the budget", "$22")


def test_a_budget_does_not_take_back_what_a_person_lifted_today(throttles: Throttles, clock: Clock) -> None:
    """Tomorrow it may; a higher level it may at once."""
    throttles.put_first("rep-1", "throttle", MIDNIGHT, "the budget", "$10.10")
    throttles.lift("rep-1", "bob")
    assert not throttles.put_first("rep-1", "throttle", MIDNIGHT, "the budget", "$10.20")
    assert throttles.put_first("rep-1", "stop", MIDNIGHT, "the budget", "$20.10")
    clock.forward(days=1)
    assert throttles.put_first("rep-1", "throttle", end_of_day(clock()), "the budget", "$10.10")


def test_every_replica_reads_the_same_throttles_of_its_agent(url: str) -> None:
    """The ledger is what they share; another agent on it has its own."""
    with closing(Ledger.open(url)) as one, closing(Ledger.open(url)) as other:
        Throttles(one, "a").put("rep-1", "throttle", None, "ann", "loops")
        assert Throttles(other, "a").current() == Throttles(one, "a").current() != []
        assert Throttles(other, "b").current() == []


def test_what_is_over_is_deleted_with_the_retention(throttles: Throttles, ledger: Ledger, clock: Clock) -> None:
    """No user id stays longer than usage does; what is in force stays."""
    throttles.put("rep-1", "throttle", MIDNIGHT, "ann", "loops")
    throttles.put("rep-2", "throttle", None, "ann", "for good")
    clock.forward(days=91)
    ledger.delete_expired("a")
    clock.at = MIDNIGHT - timedelta(hours=1)
    assert [one.user_id for one in throttles.current()] == ["rep-2"]


def test_the_spend_of_today_is_known_by_user(ledger: Ledger, clock: Clock) -> None:
    """Today's, in UTC, of this agent, of those who spent."""
    today, yesterday = clock().date(), clock().date() - timedelta(days=1)
    ledger.add_usage("a", {(today, "rep-1"): Usage(cost_usd=1.5), (today, "rep-2"): Usage(turns=1)})
    ledger.add_usage("a", {(today, "rep-1"): Usage(cost_usd=0.5), (yesterday, "rep-3"): Usage(cost_usd=9)})
    ledger.add_usage("b", {(today, "rep-1"): Usage(cost_usd=7)})
    assert ledger.spend_today("a") == {"rep-1": 2.0}
