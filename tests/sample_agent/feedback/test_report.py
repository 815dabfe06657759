"""The report: the same decisions always say the same, and name what to change in the version in force."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from agentgauge.autonomy.action import Proposal
from agentgauge.autonomy.actions import Actions
from agentgauge.cli.root import app as agentgauge
from agentgauge.feedback.edit_habits import EditHabit, changes, words_put_in
from agentgauge.feedback.report import FeedbackReport, report
from agentgauge.feedback.themes import theme_of
from agentgauge.feedback.thumbs import thumbs_since
from agentgauge.ledger import Ledger
from agentgauge.prompts.activations import PromptActivations
from agentgauge.vocabulary import Decision
from sample_agent.settings import AGENT

LETTER = "Dear Jane Cooper,\n\nyour agreement is due for renewal on 31 March.\n\nYours sincerely\nMaria"


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"text": "a note"}, {"text": "a note", "tag": "renewal"}, [EditHabit("tag added", "tag")]),
        ({"tag": ""}, {"tag": "renewal"}, [EditHabit("tag added", "tag")]),
        ({"tag": "renewal"}, {}, [EditHabit("tag removed", "tag")]),
        ({"tags": ["a"]}, {"tags": ["a", "b"]}, [EditHabit("entry added to tags", "tags")]),
        ({"tags": ["a", "b"]}, {"tags": ["b"]}, [EditHabit("entry removed from tags", "tags")]),
        ({"tags": ["a", "b"]}, {"tags": ["b", "a"]}, [EditHabit("tags reordered", "tags")]),
        ({"body": "ten chars!"}, {"body": "ten ch"}, [EditHabit("body shortened", "body", 0.4)]),
        ({"body": "ten ch"}, {"body": "ten chars"}, [EditHabit("body lengthened", "body", 0.5)]),
        ({"body": "one word here"}, {"body": "one word, see"}, [EditHabit("body reworded", "body")]),
        ({"body": LETTER}, {"body": LETTER.replace("Dear", "Hi")}, [EditHabit("greeting of body changed", "body")]),
        ({"kind": "note"}, {"kind": "risk"}, [EditHabit("kind changed", "kind")]),
        ({"discount": 0.2}, {"discount": 0.1}, [EditHabit("discount lowered", "discount", 0.5)]),
        ({"limit": 0}, {"limit": 5}, [EditHabit("limit raised", "limit")]),
        ({"urgent": True}, {"urgent": False}, [EditHabit("urgent changed", "urgent")]),
        ({"to": {"name": "a"}}, {"to": {"name": "b"}}, [EditHabit("to changed", "to")]),
        ({"tag": None}, {}, []),
        ({"text": "same"}, {"text": "same"}, []),
    ],
)  # fmt: skip  # one case a line
def test_an_edit_is_told_field_by_field(
    before: dict[str, Any], after: dict[str, Any], expected: list[EditHabit]
) -> None:
    """What a person did, in words that add up over many edits."""
    found = changes(before, after)
    assert [(one.what, one.field) for one in found] == [(one.what, one.field) for one in expected]
    assert [one.by for one in found] == [pytest.approx(one.by) for one in expected]


def test_a_new_greeting_and_a_shorter_body_are_two_changes() -> None:
    """The greeting does not hide in the length."""
    after = LETTER.replace("Dear Jane Cooper", "Hi Jane").replace("\n\nYours sincerely\nMaria", "")
    assert [one.what for one in changes({"body": LETTER}, {"body": after})] == [
        "greeting of body changed",
        "body shortened",
    ]


@pytest.mark.parametrize(
    ("before", "after", "put_in"),
    [
        ("call back", "call back #renewal", ("#renewal",)),
        ("call back", "#urgent call back #renewal", ("#urgent", "#renewal")),
        ("call back soon", "call #renewal", ()),
        ("", "#renewal", ()),
        (1, 2, ()),
    ],
)
def test_what_was_put_into_a_text_is_told_from_what_was_rewritten(before: Any, after: Any, put_in: Any) -> None:
    """Only if its own words all stayed."""
    assert words_put_in(before, after) == put_in


@pytest.mark.parametrize(
    ("reason", "theme"),
    [
        ("Too formal!", "too formal"),
        ("way too stiff for Jane", "too formal"),
        ("a bit too informal", "too casual"),
        ("not formal enough", "too casual"),
        ("wrong contact: write to Bob", "wrong recipient"),
        ("I didn't ask for this", "not wanted"),
        ("she has that already", "done before"),
        ("much too long", "too long"),
        ("the ARR is outdated", "wrong facts"),
        ("the renewal date is missing", "incomplete"),
        (None, "no reason given"),
        (" ?! ", "no reason given"),
        ("Ask Bob  FIRST.", "ask bob first"),
    ],
)
def test_a_reason_has_one_theme(reason: str | None, theme: str) -> None:
    """Whole words count; what fits none is a theme of its own, whatever its case and punctuation."""
    assert theme_of(reason).name == theme


def decide(
    ledger: Ledger,
    decision: Decision,
    reason: str | None = None,
    after: dict[str, Any] | None = None,
    *,
    tool: str = "update_crm",
    before: dict[str, Any] | None = None,
    version: str = "v1",
) -> None:
    """A proposal and what a person made of it."""
    actions = Actions(ledger, AGENT)
    arguments = {"text": "a note"} if before is None else before
    proposal = Proposal(tool, "medium", "approval", arguments, {"messages": []}, prompt_version=version)
    actions.decide(actions.propose(proposal).id, decision, "ann", after, reason)


def summed_up(ledger: Ledger, in_force: str = "v1") -> FeedbackReport:
    """The report of the last day."""
    since = ledger.now() - timedelta(days=1)
    records = PromptActivations(ledger, AGENT).track_records(since)
    return report(Actions(ledger, AGENT).decided_since(since), thumbs_since(ledger, AGENT, since), records, in_force)


def test_edits_that_agree_are_counted_and_become_an_improvement(ledger: Ledger) -> None:
    """Nine of twelve are a habit, three of twelve are not."""
    for _ in range(9):
        decide(ledger, "edited", after={"text": "a note", "tag": "renewal"})
    for _ in range(3):
        decide(ledger, "edited", after={"text": "a much longer note"})
    made = summed_up(ledger)
    assert [str(one) for one in made.changes] == [
        "tag added in 9 of 12 edits of update_crm",
        "“much longer” added to text in 3 of 12 edits of update_crm",
    ]
    assert made.improvements == (
        "tag added in 9 of 12 edits of update_crm: say in the description of update_crm how tag has to be.",
    )


def test_rejections_are_grouped_by_tool_and_theme(ledger: Ledger) -> None:
    """Different words, one theme; what is said twice only is shown, but no reason to change anything."""
    for reason in ("Too formal!", "too stiff", "please friendlier", "too long", "way too long"):
        decide(ledger, "rejected", reason, tool="draft_email")
    made = summed_up(ledger)
    assert [(one.tool, one.theme, one.times, one.rejections) for one in made.failures] == [
        ("draft_email", "too formal", 3, 5),
        ("draft_email", "too long", 2, 5),
    ]
    (improvement,) = made.improvements
    assert improvement.startswith("draft_email was rejected as 'too formal' 3 times of 5: ask for a warmer tone")


def test_improvements_are_for_the_version_in_force(ledger: Ledger) -> None:
    """What was wrong with the last one may be mended; it is still in the tables."""
    for _ in range(4):
        decide(ledger, "rejected", "too formal")
        decide(ledger, "approved", version="v2")
    made = summed_up(ledger, in_force="v2")
    assert made.improvements == ()
    assert [(one.prompt_version, one.times) for one in made.failures] == [("v1", 4)]
    assert [(version, one.approved, one.decisions) for version, one in made.records.items()] == [
        ("v1", 0, 4),
        ("v2", 4, 4),
    ]


def test_what_expired_was_not_decided(ledger: Ledger) -> None:
    """It is neither for nor against a version."""
    decide(ledger, "expired")
    decide(ledger, "approved")
    made = summed_up(ledger)
    assert made.records["v1"].decisions == 1
    assert made.failures == ()


def test_thumbs_down_point_at_what_to_look_at(ledger: Ledger) -> None:
    """By reason; thumbs of another agent are not ours."""
    for _ in range(3):
        ledger.add_feedback(AGENT, "rep-1", "down", "wrong_answer")
        ledger.add_feedback("another", "rep-1", "down", "tone")
    ledger.add_feedback(AGENT, "rep-2", "up", "none")
    made = summed_up(ledger)
    assert made.thumbs == {("down", "wrong_answer"): 3, ("up", "none"): 1}
    (improvement,) = made.improvements
    assert improvement.startswith("3 thumbs down for wrong_answer: check the age")


def test_the_command_shows_rates_by_version_and_names_the_improvement(state: Path, ledger: Ledger) -> None:
    """What the on-call and the prompt's author read; brackets in a field's name are no markup."""
    PromptActivations(ledger, AGENT).activate("v1", "ann", "")
    for _ in range(3):
        decide(ledger, "rejected", "too formal", tool="draft_email")
    decide(ledger, "approved")
    decide(ledger, "edited", after={"text": "a note", "[red]": 1})
    result = CliRunner().invoke(agentgauge, ["feedback", "report"])
    assert result.exit_code == 0, result.output
    assert "v1 (in force) 1 1 3 20%" in " ".join(result.output.split())
    assert "[red] added in 1 of 1 edits of update_crm" in result.output
    assert "* draft_email was rejected as 'too formal' 3 times of 3: ask for a warmer tone" in result.output


def test_the_command_says_so_when_there_is_nothing(state: Path) -> None:
    """An empty ledger is not an error."""
    result = CliRunner().invoke(agentgauge, ["feedback", "report", "--days", "7"])
    assert result.output.splitlines() == ["What this points at, with prompts none in force:", "* nothing yet."]


def test_a_tag_that_people_add_again_and_again_is_asked_for_by_its_name(ledger: Ledger) -> None:
    """It read "text lengthened by 47 %", from which nobody could write a prompt."""
    for text in ("call back", "sent the offer to Jane", "lost to Initech", "new contact"):
        decide(ledger, "edited", before={"text": text}, after={"text": f"{text} #renewal"})
    made = summed_up(ledger)
    assert [str(one) for one in made.changes] == ["“#renewal” added to text in 4 of 4 edits of update_crm"]
    assert made.improvements == (
        "“#renewal” added to text in 4 of 4 edits of update_crm: say in the description of update_crm: "
        "add the tag #renewal to text.",
    )


def test_words_that_one_person_added_once_are_not_quoted(ledger: Ledger) -> None:
    """A report is read by many; what a reviewer wrote to one customer is in the action."""
    decide(ledger, "edited", before={"text": "call back"}, after={"text": "call back, her knee was operated on"})
    (one,) = summed_up(ledger).changes
    assert one.what == "text lengthened"
