"""The committed page: all of what is measured, beside the limits that are in force."""

from __future__ import annotations

import pytest

from truth import limits
from truth.__main__ import PAGE
from truth.incidents import ALL, Incident

LINES = PAGE.read_text(encoding="utf-8").splitlines()
INCIDENTS = [row for row in ALL if row.kind == "incident"]


def cells(line: str) -> list[str]:
    """Those of one line of a table."""
    return [cell.strip() for cell in line.strip("|").split("|")]


TABLE = [cells(line) for line in LINES if line.startswith("| ")]


@pytest.mark.parametrize("row", INCIDENTS, ids=lambda row: row.name)
def test_every_incident_was_measured_at_each_of_its_volumes(row: Incident) -> None:
    """The short form has lines without numbers."""
    for volume in row.volumes:
        (line,) = [line for line in TABLE if line[0] == row.name and line[2] == f"×{volume:g}"]
        assert line[3].endswith("%"), line


def test_limits_are_those_in_force_with_the_reason_of_each_that_is_not_what_is_asked() -> None:
    """Whoever changes one writes the page again."""
    shown = {line[0]: line for line in TABLE if len(line) == 4}
    for (name, volume), accepted in limits.FOUND.items():
        asked = next(row for row in INCIDENTS if row.name == name).found_within[volume]
        line = shown[f"{name}, ×{volume:g}, scrapes of 15 s: found"]
        assert line[1] == limits.found(name, volume, asked).of(" min")
        assert accepted.why in line[3]


def test_alerts_without_an_incident_are_named_with_the_reason() -> None:
    """As in limits.py."""
    assert [[alert, why] for alert, why in limits.UNMEASURED.items()] == [
        line for line in TABLE if len(line) == 2 and line[0] != "alert"
    ]
