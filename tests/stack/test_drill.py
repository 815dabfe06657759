"""The fault matrix: complete, and judged as strictly as it says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from alerts.catalog import ALERTS
from stack import causes, drill, drill_results
from stack.drill import SCENES, Followed, Scene, chosen, what_was_run, where_it_leads
from stack.drill_results import NOWHERE, DrillResult

FINE = DrillResult("AgentSessionLooping", "fault looping", 9.0, runbook_answers=True, seconds_to_resolved=30.0)
FINE = replace(FINE, seconds_to_mended=40.0, mitigation="Mitigation 1", commands=("end it",))
OTHER = frozenset({"AgentLatencySpike"})


def test_every_alert_has_one_drill() -> None:
    """An alert that nobody can bring about is an alert that nobody has seen fire."""
    drilled = [one.alert for scene in SCENES for one in scene.drills]
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
        ({"seconds_to_mended": None, "by_hand": "a file", "mitigation": NOWHERE}, False),
    ],
)
def test_a_drill_passes_when_one_page_came_and_ended_with_its_cause(change: dict[str, object], passed: bool) -> None:
    """No second page, no all-clear while the cause goes on, and no page after the mending."""
    assert replace(FINE, **change).passed is passed  # type: ignore[arg-type]  # fields of a DrillResult


def test_the_samples_of_all_starts_are_the_whole_drill() -> None:
    """A short form that moves on reaches every row."""
    samples = [one.alert for start in range(3) for scene in chosen(sample=3, start=start) for one in scene.drills]
    assert sorted(samples) == sorted(alert.name for alert in ALERTS)
    assert all(scene.drills for scene in chosen(sample=3))


def test_more_than_half_of_the_drills_are_mended_by_their_runbook() -> None:
    """A runbook is worth its page if following it ends the alert, with nobody thinking along."""
    drills = [one for scene in SCENES for one in scene.drills]
    by_hand = [one for one in drills if one.by_hand]
    assert len(drills) - len(by_hand) > len(drills) / 2
    assert all(one.by_hand for one in drills if one.cause is causes.nothing), "what is past cannot be mended"


def test_every_alert_was_drilled_and_its_runbook_followed() -> None:
    """What is in the docs: each row passed, and shows the branch that its runbook led to."""
    kept = drill_results.load()
    assert sorted(kept) == sorted(alert.name for alert in ALERTS)
    assert [one.alert for one in kept.values() if not (one.passed and one.mitigation)] == []


def test_the_table_has_a_row_for_each_drill() -> None:
    """What went wrong is there as well as what went right."""
    assert drill_results.table([FINE, replace(FINE, seconds_to_page=None)]).row_count == 2


def test_what_was_played_again_replaces_its_row_and_keeps_the_others(tmp_path: Path) -> None:
    """The file holds the last result of each alert, in the order of the drills, and none of an alert that is gone."""
    file, other = tmp_path / "results.json", replace(FINE, alert="AgentLatencySpike", noise=OTHER)
    drill_results.keep([FINE, other, replace(FINE, alert="Gone")], ["AgentLatencySpike", FINE.alert, "Gone"], file)
    drill_results.keep([replace(FINE, seconds_to_page=12.4)], ["AgentLatencySpike", FINE.alert], file)
    kept = drill_results.load(file)
    assert list(kept) == ["AgentLatencySpike", FINE.alert]
    assert kept == {"AgentLatencySpike": other, FINE.alert: replace(FINE, seconds_to_page=12)}


def test_the_page_says_of_each_drill_how_it_went() -> None:
    """A row that failed says so, one that was never played as well, and the sum counts what passed."""
    rows = [(FINE.alert, "looping"), ("AgentLatencySpike", "slow"), ("AgentGone", "lost")]
    missed = DrillResult("AgentLatencySpike", "slow", None)
    page = drill_results.page(rows, {FINE.alert: FINE, "AgentLatencySpike": missed})
    assert "3 drills: 1 passed, 1 of them mended by following the runbook unaided." in page
    assert "| `AgentSessionLooping` | fault looping | 9 s | 40 s | Mitigation 1: `end it` | 30 s | – | passed |" in page
    assert "| `AgentLatencySpike` | slow | MISSED | NOT MENDED | – | NOT RESOLVED | – | **failed** |" in page
    assert "| `AgentGone` | lost | | | | | | not played yet |" in page


def test_a_row_that_went_wrong_is_played_once_more_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is late on a shared machine is no fault; three of a run are, and are not explained away."""
    scenes = chosen(["AgentLLMErrorsHigh", "AgentTaskCompletionLow", "AgentSessionLooping"])
    bad = {"AgentTaskCompletionLow"}
    played: list[str] = []

    def play(scene: Scene, _say: object) -> list[DrillResult]:
        played.extend(one.alert for one in scene.drills)
        fine = [replace(FINE, alert=one.alert) for one in scene.drills]
        return [replace(one, late=OTHER) if one.alert in bad and played.count(one.alert) == 1 else one for one in fine]

    monkeypatch.setattr(drill, "_play", play)
    outcomes = {one.alert: one for one in drill.run(scenes, lambda _line: None)}
    assert outcomes["AgentTaskCompletionLow"].passed
    assert outcomes["AgentTaskCompletionLow"].first_try == "AgentLatencySpike paged after the mending"
    assert outcomes["AgentSessionLooping"].first_try == ""
    assert "passed in its second try" in drill_results.page([("AgentTaskCompletionLow", "")], outcomes)
    bad |= set(outcomes)
    played.clear()
    assert not any(one.passed for one in drill.run(scenes, lambda _line: None))


def test_the_branch_and_the_commands_are_those_that_the_incident_showed() -> None:
    """Of its own runbook, or of another one that it led to."""
    said = "mitigation 2 of AgentLLMErrorsHigh: Another.\n    ops use-model x\n$ ops use-model x\nmended after 3 s\n"
    assert what_was_run(said) == ("Mitigation 2 of AgentLLMErrorsHigh", ("ops use-model x",))
    assert what_was_run("mitigation 1: Wait.\n")[0] == "Mitigation 1"


@pytest.mark.parametrize(
    ("runbook", "ended", "number", "where"),
    [
        ("AgentGone", "mitigation", 2, "Mitigation 2"),
        ("AgentHung", "mitigation", 1, "Mitigation 1 of AgentHung"),
        ("AgentGone", "over", None, "Step 4, which asks for nothing"),
        ("AgentGone", "no branch", None, NOWHERE),
    ],
)
def test_what_is_mended_by_hand_is_followed_to_its_branch(
    runbook: str, ended: str, number: int | None, where: str
) -> None:
    """By the JSON of the incident; a runbook that leads nowhere fails its row."""
    mitigation = None if number is None else {"number": number, "commands": ["make up"]}
    incident = {"runbook": runbook, "ended": ended, "mitigation": mitigation, "diagnosis": [{"step": 4}]}
    found = where_it_leads("AgentGone", incident)
    assert found == Followed(where, () if number is None else ("make up",))
