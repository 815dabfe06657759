"""The fault matrix: complete, and judged as strictly as it says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from alerts.catalog import ALERTS
from stack.drill import SCENES, DrillResult, table

FINE = DrillResult("AgentSessionLooping", "fault looping", 9.0, (), True, 30.0)


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
        ({"noise": ("AgentLatencySpike",)}, True),
    ],
)
def test_a_drill_passes_when_it_paged_its_runbook_answered_and_it_resolved(
    change: dict[str, object], passed: bool
) -> None:
    """Noise is shown, not judged: it is for people to look at."""
    assert replace(FINE, **change).passed is passed  # type: ignore[arg-type]  # fields of a DrillResult


def test_the_table_has_a_row_for_each_drill() -> None:
    """What went wrong is there as well as what went right."""
    assert table([FINE, replace(FINE, seconds_to_page=None)]).row_count == 2
