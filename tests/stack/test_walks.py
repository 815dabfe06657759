"""The walks from page to mended: they follow the runbooks as they are, and their minutes are measured."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from markdown.extensions.toc import slugify  # type: ignore[import-untyped]  # it has no types

from stack import drill_results, walks
from stack.drill_results import DrillResult
from stack.walks import WALKS, Walk

EACH = [pytest.param(walk, id=walk.alert) for walk in WALKS]
PAGE = walks.page(drill_results.load())


@pytest.mark.parametrize("walk", EACH)
def test_a_walk_was_played_to_its_end_by_the_text_of_its_runbook_alone(walk: Walk) -> None:
    """Its minutes are measured: an incident that somebody has to judge, or to wait for, is not an example."""
    result = drill_results.load()[walk.alert]
    assert result.seconds_to_page is not None
    assert result.seconds_to_mended is not None


def test_the_six_symptoms_and_six_incidents_are_walked() -> None:
    """They are what the bundle promises to answer, and what goes wrong beside them."""
    assert len({walk.symptom for walk in WALKS} - {""}) == 6
    assert len([walk for walk in WALKS if not walk.symptom]) == 6


@pytest.mark.parametrize("walk", EACH)
def test_the_page_holds_every_question_and_command_of_the_runbook(walk: Walk) -> None:
    """From the runbook as it is now: nothing on the page was typed in a second time."""
    book = walks.runbook(walk.alert)
    section = PAGE.partition(f"\n## {walk.title}\n")[2].partition("\n## ")[0]
    assert all(step.question in section for step in book.steps)
    lines = [line for one in book.mitigations for block in one.blocks for line in block]
    assert lines
    assert [line for line in lines if f"\n    {line}\n" not in section] == []


def test_the_minutes_are_those_of_the_drill_on_clocks_as_they_are() -> None:
    """Its clocks run twenty times as fast: 31 seconds there are more than ten minutes here."""
    result = replace(DrillResult("AgentSessionLooping", "fault looping", 31.0), seconds_to_mended=60.0)
    page = walks.page({"AgentSessionLooping": result})
    assert "| `AgentSessionLooping` | 11 min | 20 min |" in page
    assert "| `AgentLatencySpike` | not measured | not measured |" in page


def test_every_row_of_the_table_leads_to_its_walk() -> None:
    """By the anchor that the site gives the heading."""
    headings = {slugify(heading, "-") for heading in re.findall(r"^## (.*)$", PAGE, re.MULTILINE)}
    linked = set(re.findall(r"\]\(#([\w-]+)\)", PAGE))
    assert linked == headings
