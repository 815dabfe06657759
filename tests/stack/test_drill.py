"""The fault matrix: complete, and judged as strictly as it says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from alerts.catalog import ALERTS
from stack.drill import SCENES, DrillResult, chosen, table

FINE = DrillResult("AgentSessionLooping", "fault looping", 9.0, runbook_answers=True, seconds_to_resolved=30.0)
FINE = replace(FINE, seconds_to_mended=40.0)
OTHER = frozenset({"AgentLatencySpike"})


def test_every_alert_has_one_drill() -> None:
    """An alert that nobody can bring about is an alert that nobody has seen fire."""
    drilled = [drill.alert for scene in SCENES for drill in scene.drills]
    assert sorted(drilled) == sorted(alert.name for alert in ALERTS)


@pytest.mark.parametrize(
    ("change", "passed"),
    [
        ({}, True),
        ({"seconds_to_page": None}, False),
        ({"runbook_answers": False}, False),
        ({"seconds_to_resolved": None}, False),
        ({"seconds_to_resolved": None, "resolves": False}, True),
        ({"noise": OTHER}, False),
        ({"called_off": True}, False),
        ({"late": OTHER}, False),
        ({"heartbeat": True}, False),
        ({"seconds_to_mended": None}, False),
        ({"seconds_to_mended": None, "by_hand": "a file"}, True),
    ],
)
def test_a_drill_passes_when_one_page_came_and_ended_with_its_cause(change: dict[str, object], passed: bool) -> None:
    """No second page, no all-clear while the cause goes on, and no page after the mending."""
    assert replace(FINE, **change).passed is passed  # type: ignore[arg-type]  # fields of a DrillResult


def test_the_samples_of_all_starts_are_the_whole_drill() -> None:
    """A short form that moves on reaches every row."""
    samples = [drill.alert for start in range(3) for scene in chosen(sample=3, start=start) for drill in scene.drills]
    assert sorted(samples) == sorted(alert.name for alert in ALERTS)
    assert all(scene.drills for scene in chosen(sample=3))


def test_the_table_has_a_row_for_each_drill() -> None:
    """What went wrong is there as well as what went right."""
    assert table([FINE, replace(FINE, seconds_to_page=None)]).row_count == 2
