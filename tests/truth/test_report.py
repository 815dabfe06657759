"""What counts as kept, and what would be chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from truth import limits
from truth.incidents import ALL
from truth.measure import Case, Outcome
from truth.report import incident_table, verdicts

DEAD = next(row for row in ALL if row.name == "one tool dead at 240 calls an hour")
LIMIT = limits.found(DEAD.name, 1, DEAD.found_within[1])
HEALTHY = next(row for row in ALL if row.kind == "healthy")


def outcomes(found: Sequence[float | None], ended: float = 5) -> list[Outcome]:
    """One history each, scraped every 15 seconds."""
    return [
        Outcome(Case(DEAD, 1, 15, number), minutes, ended, 0, (), False, (), (), 1, 0.03)
        for number, minutes in enumerate(found)
    ]


def kept(found: Sequence[float | None], ended: float = 5) -> list[bool | None]:
    """Whether the limits of finding and of ending are kept."""
    return [one.kept for one in verdicts(outcomes(found, ended)) if one.what.startswith(DEAD.name)]


def test_a_median_within_the_limit_is_kept_and_one_far_beyond_it_is_not() -> None:
    """What is never found is late as well."""
    limit = LIMIT.most
    assert kept([limit - 1] * 7) == [True, True]
    assert kept([limit + 1] * 7) == [False, True]
    assert kept([None] * 7) == [False]


def test_a_few_late_ones_are_chance() -> None:
    """Half of them are allowed; five of seven are no surprise yet, all seven are."""
    limit = LIMIT.most
    assert kept([limit + 1] * 5 + [limit - 1] * 2)[0]
    assert kept([limit * 1.4] * 3)[0]
    assert not kept([limit * 1.6] * 3)[0]


def test_a_number_above_the_limit_is_never_called_kept() -> None:
    """Where chance explains it, the page says that."""
    late = outcomes([LIMIT.most + 1] * 5 + [LIMIT.most - 1] * 2)
    assert [one.word for one in verdicts(late) if one.what.endswith("found")] == ["within chance"]
    in_time = outcomes([LIMIT.most - 1] * 7)
    assert [one.word for one in verdicts(in_time) if one.what.endswith("found")] == ["kept"]


def test_an_alert_that_goes_on_after_the_mending_is_not_kept() -> None:
    """Ten minutes, and one for the scrape."""
    assert kept([3.0] * 7, ended=DEAD.ends_within) == [True, True]
    assert kept([3.0] * 7, ended=DEAD.ends_within + 2) == [True, False]


def test_a_false_page_a_week_is_too_many_for_a_critical_alert() -> None:
    """One in four weeks is allowed; eight in eight weeks are no chance."""
    quiet = Outcome(Case(HEALTHY, 1, 60, 0), None, 0, 0, (), False, (), (), 0, 1)
    loud = replace(quiet, before=("AgentLatencySpike",), critical=1)
    assert [one.kept for one in verdicts([quiet] * 8)] == [True, True]
    assert [one.kept for one in verdicts([loud] * 8)] == [False, True]


def test_an_accepted_limit_says_what_was_asked_and_why() -> None:
    """In the words of the page."""
    (shown, _) = [one for one in verdicts(outcomes([3.0] * 7)) if one.what.startswith(DEAD.name)]
    assert f"asked: {DEAD.found_within[1]:g}" in shown.limit
    assert shown.why == limits.FOUND[DEAD.name, 1].why


def test_the_table_of_incidents_has_a_line_for_each_volume() -> None:
    """With the share found, and the minutes."""
    lines = [line for line in incident_table(outcomes([3.0, 4.0, None])) if DEAD.name in line]
    assert len(lines) == 1
    assert "| 67% | 4.0 | 5.0 |" in lines[0]
