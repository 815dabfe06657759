"""What an alert can find at a volume, by arithmetic on its numbers."""

from __future__ import annotations

import math

import pytest

from alerts import thresholds
from alerts.catalog import ALERTS
from alerts.reach import SUBJECTS, USUAL, Events, Reach, reaches, volumes

LOADED = thresholds.load()


def at(events: Events, per_hour: float) -> dict[str, Reach]:
    """Alert → what it can find."""
    return {one.alert: one for one in reaches(LOADED, volumes({events: per_hour}))}


def test_one_number_is_enough() -> None:
    """The others follow in proportion; what is given counts as it is."""
    twice: dict[Events, float] = {"calls": 2 * USUAL["calls"], "ratings": 1}
    assert volumes(twice) == {name: 1 if name == "ratings" else 2 * usual for name, usual in USUAL.items()}


@pytest.mark.parametrize(("calls", "minutes"), [(10, 32), (45, 8), (240, 4)])
def test_a_dead_tool_is_found_when_its_failures_are_enough(calls: float, minutes: float) -> None:
    """As `make truth` measures it, give or take two minutes; the rule's `for` is in it."""
    total = at("calls", calls)["AgentToolSuccessRateLow"].total_minutes
    assert total is not None
    assert total == pytest.approx(minutes, abs=2)


def test_more_traffic_finds_smaller_faults() -> None:
    """And never sooner with less."""
    few, many = at("tasks", 30)["AgentTaskCompletionLow"], at("tasks", 300)["AgentTaskCompletionLow"]
    assert few.works
    assert few.worst > many.worst > 1 - 0.8
    assert (few.total_minutes or 0) > (many.total_minutes or 0)


def test_what_is_blind_says_which_window_would_see_enough() -> None:
    """At two decisions an hour, six hours hold too few of the twenty that are needed."""
    blind = at("approvals", 2)["AgentApprovalRateLow"]
    assert not blind.works
    assert blind.needs_hours == 10
    assert math.isinf(blind.total_minutes or 0)


def test_all_tools_need_so_many_calls_in_the_window() -> None:
    """A quiet agent is paged by its tools one by one."""
    assert not at("calls", 19)["AgentAllToolCallsFailing"].works
    assert at("calls", 190)["AgentAllToolCallsFailing"].total_minutes == 4


def test_every_alert_that_judges_shares_or_means_of_events_is_there() -> None:
    """A new one needs a row; those over a day or a week have one kind of event each, and no row."""
    judged = {alert.name for alert in ALERTS if "lately" in LOADED.alerts[alert.name].looks}
    assert judged <= {subject.alert for subject in SUBJECTS}
