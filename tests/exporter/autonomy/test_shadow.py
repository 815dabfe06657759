"""What the agent suggested beside what a person did."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from agentgauge.autonomy import shadow
from agentgauge.autonomy.action import Action, Proposal
from agentgauge.autonomy.actions import AlreadyComparedError
from agentgauge.autonomy.approvals import Approvals, KeptBackError
from agentgauge.autonomy.parts import Autonomy
from agentgauge.autonomy.policy import policy_source
from agentgauge.autonomy.real_actions import RealAction
from agentgauge.ledger import Ledger
from tests.clock import Clock
from tests.exporter.autonomy.policies import TEXT, TOOLS, written

SUGGESTED = {"subject": "Renewal", "body": "Dear Jane,\n\n10 % off."}


@pytest.mark.parametrize(
    ("done", "match", "differing"),
    [
        (SUGGESTED, "aligned", []),
        (SUGGESTED | {"body": "Dear Jane, 10 % off. "}, "aligned", []),  # white space does not count
        (SUGGESTED | {"body": "Hi Jane"}, "misaligned", ["body"]),
        (SUGGESTED | {"discount": 5}, "misaligned", ["discount"]),
        ({"subject": "Renewal"}, "misaligned", ["body"]),
        (None, "misaligned", ["subject", "body"]),
    ],
)
def test_a_suggestion_is_compared_field_by_field(
    autonomy: Autonomy, done: dict[str, Any] | None, match: str, differing: list[str]
) -> None:
    """Aligned is the same in every field; who did something else was not."""
    action = autonomy.actions.propose(Proposal("write", "medium", "suggested", SUGGESTED, {}))
    compared, where = shadow.record(autonomy, action.id, done, "jane")
    assert (compared.shadow_match, where, compared.decided_by) == (match, differing, "jane")


def test_the_policy_says_which_fields_count(autonomy: Autonomy, tmp_path: Path) -> None:
    """No two people write the same letter; whom they write to and about what can be the same."""
    written(tmp_path, TEXT.replace("write:\n", "write:\n    compared: [subject]\n"))
    action = autonomy.actions.propose(Proposal("write", "medium", "suggested", SUGGESTED, {}))
    done = {"subject": "Renewal", "body": "Hi Jane"}
    compared, where = shadow.record(autonomy, action.id, done, "jane")
    assert (compared.shadow_match, where) == ("aligned", [])


OUTBOX = "outbox 17"


@pytest.fixture
def outbox() -> list[RealAction]:
    """The system of record: what people did."""
    return []


@pytest.fixture
def watching(autonomy: Autonomy, outbox: list[RealAction]) -> Autonomy:
    """The autonomy of an agent that says where to read what people did."""
    return replace(autonomy, real_actions=lambda _suggestion: outbox)


def suggest(autonomy: Autonomy, effect: dict[str, Any] | None = None) -> str:
    """Let the agent suggest a letter; returns the id of the suggestion."""
    return autonomy.actions.propose(Proposal("write", "medium", "suggested", SUGGESTED, {}, effect=effect)).id


def sent(autonomy: Autonomy, effect: dict[str, Any], number: str = OUTBOX) -> RealAction:
    """A letter that Jane has sent by now."""
    return RealAction(number, "jane", autonomy.actions.now(), effect)


@pytest.mark.parametrize(
    ("changed", "match", "difference"),
    [
        ({}, "aligned", "none"),
        ({"body": "Dear Jane,  10 % off."}, "aligned", "none"),
        ({"body": "Hello Jane, we offer 10 % less."}, "misaligned", "wording"),
        ({"body": "Dear Jane, 25 % off."}, "misaligned", "number"),
        ({"usd": 30}, "misaligned", "number"),
        ({"to": "joe@globex.example"}, "misaligned", "choice"),
        ({"order": "A-1002"}, "misaligned", "choice"),
        ({"cc": "legal@globex.example"}, "misaligned", "choice"),
        ({"body": "Hello Jane, we offer 10 % less.", "usd": 30}, "misaligned", "number"),
    ],
)
def test_whole_effects_are_compared_and_what_differs_is_classed(
    watching: Autonomy, outbox: list[RealAction], changed: dict[str, Any], match: str, difference: str
) -> None:
    """By its worst difference: another recipient, then another figure, then other words."""
    effect = {"to": "jane@globex.example", "order": "A-1001", "usd": 25, "body": "Dear Jane, 10 % off."}
    suggestion = suggest(watching, effect)
    outbox.append(sent(watching, effect | changed))
    assert shadow.compare_with_records(watching) == 1
    compared = watching.actions.get(suggestion)
    assert (compared.shadow_match, compared.difference, compared.decided_by) == (match, difference, "jane")
    assert compared.real == outbox[0]
    assert bool(shadow.differing(watching, compared)) == (match == "misaligned")


def test_what_a_person_did_is_compared_with_one_suggestion(
    watching: Autonomy, outbox: list[RealAction], clock: Clock
) -> None:
    """An agent that suggests the same refund twice was right once: the first time."""
    first = suggest(watching)
    clock.forward(seconds=1)
    second = suggest(watching)
    outbox.append(sent(watching, SUGGESTED))
    assert [shadow.compare_with_records(watching) for _ in range(2)] == [1, 0]
    assert [one.id for one in watching.actions.to_compare()] == [second]
    outbox.append(sent(watching, SUGGESTED, "outbox 18"))
    assert shadow.compare_with_records(watching) == 1
    found = [watching.actions.get(one).real for one in (first, second)]
    assert [one and one.id for one in found] == [OUTBOX, "outbox 18"]


def test_what_another_replica_has_compared_meanwhile_is_not_compared_again(watching: Autonomy) -> None:
    """It had looked before that was committed: the ledger refuses the second, and the suggestion waits on."""
    first, second = suggest(watching), suggest(watching)
    done = sent(watching, SUGGESTED)
    watching.actions.compare(first, "aligned", None, "jane", "none", done)
    with pytest.raises(AlreadyComparedError, match="outbox 17 was compared with another suggestion"):
        watching.actions.compare(second, "aligned", None, "jane", "none", done)
    assert [one.id for one in watching.actions.to_compare()] == [second]


def test_a_suggestion_that_nobody_followed_in_time_was_misaligned(watching: Autonomy, clock: Clock) -> None:
    """A day by default: until then somebody may still do it."""
    suggestion = suggest(watching)
    assert shadow.compare_with_records(watching) == 0
    clock.forward(hours=24)
    assert shadow.compare_with_records(watching) == 1
    compared = watching.actions.get(suggestion)
    assert (compared.shadow_match, compared.difference, compared.real) == ("misaligned", "nothing_done", None)


def test_what_has_waited_for_hours_is_asked_about_less_often(autonomy: Autonomy, clock: Clock) -> None:
    """Each suggestion is a question to somebody else's system: after two hours, every third look asks it."""
    asked: list[str] = []

    def real_actions(suggestion: Action) -> list[RealAction]:
        asked.append(suggestion.id)
        return []

    watching = replace(autonomy, real_actions=real_actions)
    old = suggest(watching)
    clock.forward(hours=2)
    new = suggest(watching)
    for look in range(6):
        shadow.compare_with_records(watching, look)
    assert (asked.count(old), asked.count(new)) == (2, 6)


def test_nobody_says_by_hand_what_is_read_in_the_system_of_record(watching: Autonomy) -> None:
    """What people say of themselves, on what they have seen, proves nothing."""
    with pytest.raises(shadow.ReadFromRecordsError, match="just do it there"):
        shadow.record(watching, suggest(watching), SUGGESTED, "jane")


def test_a_record_that_cannot_be_read_is_asked_again(
    autonomy: Autonomy, outbox: list[RealAction], caplog: pytest.LogCaptureFixture
) -> None:
    """The log has the error's type and none of its words; the suggestion waits."""
    broken = [True]

    def real_actions(_suggestion: Action) -> list[RealAction]:
        if broken:
            raise ConnectionError("jane@globex.example")
        return outbox

    watching = replace(autonomy, real_actions=real_actions)
    suggest(watching)
    outbox.append(sent(watching, SUGGESTED))
    assert shadow.compare_with_records(watching) == 0
    assert "ConnectionError" in caplog.text
    assert "jane@" not in caplog.text
    broken.clear()
    assert shadow.compare_with_records(watching) == 1


def test_each_suggestion_is_a_question_of_its_own_to_the_record(autonomy: Autonomy, clock: Clock) -> None:
    """The hook sees the suggestion, and what it answers to one is compared with that one."""
    by_subject: dict[str, list[RealAction]] = {"Invoice": [sent(autonomy, SUGGESTED | {"subject": "Invoice"})]}
    watching = replace(autonomy, real_actions=lambda suggestion: by_subject.get(suggestion.shown["subject"], []))
    renewal = suggest(watching)
    invoice = suggest(watching, SUGGESTED | {"subject": "Invoice"})
    assert shadow.compare_with_records(watching) == 1
    assert watching.actions.get(invoice).shadow_match == "aligned"
    assert [one.id for one in watching.actions.to_compare()] == [renewal]


@pytest.mark.parametrize(
    "answer",
    [
        lambda: RealAction(OUTBOX, "jane", datetime(2026, 3, 18, 9), SUGGESTED),
        lambda: RealAction(OUTBOX, "jane", Clock()(), {"sent": {1, 2}}),
        lambda: {"id": OUTBOX},
    ],
)
def test_a_record_that_cannot_be_used_keeps_no_other_from_being_compared(
    autonomy: Autonomy, answer: Callable[[], Any], clock: Clock
) -> None:
    """A time without a zone, an effect that is no JSON, and something else altogether: its suggestion waits on."""

    def real_actions(suggestion: Action) -> list[RealAction]:
        return [answer() if suggestion.id == first else sent(autonomy, SUGGESTED, "outbox 18")]

    watching = replace(autonomy, real_actions=real_actions)
    first = suggest(watching)
    clock.forward(seconds=1)
    suggest(watching)
    assert shadow.compare_with_records(watching) == 1
    assert [one.id for one in watching.actions.to_compare()] == [first]


READ: list[Callable[[Approvals, str], object]] = [
    lambda approvals, id: approvals.get(id),
    lambda approvals, id: approvals.approve(id, "jane"),
    lambda approvals, id: approvals.edit(id, SUGGESTED, "jane"),
    lambda approvals, id: approvals.reject(id, "jane", "no"),
    lambda approvals, id: approvals.audit(id, "ok", "jane"),
]
"""All that answers with an action, on the page and in a terminal."""


@pytest.mark.parametrize("read", READ)
def test_nobody_reads_a_suggestion_before_it_was_compared(
    ledger: Ledger, tmp_path: Path, outbox: list[RealAction], read: Callable[[Approvals, str], object]
) -> None:
    """Not by its id either: who had read it could have done it for that reason."""
    policy = policy_source(written(tmp_path), TOOLS)
    watching = Autonomy.on(ledger, "a", policy, lambda *_: None, real_actions=lambda _suggestion: outbox)
    suggestion = suggest(watching)
    with pytest.raises(KeptBackError, match="nobody reads it before it is known what people did"):
        read(watching.approvals, suggestion)
    outbox.append(sent(watching, SUGGESTED))
    shadow.compare_with_records(watching)
    assert watching.approvals.get(suggestion).shown == SUGGESTED


def test_where_people_say_what_they_did_a_suggestion_is_read(autonomy: Autonomy) -> None:
    """They could not say otherwise whether that is what they did."""
    assert autonomy.approvals.get(suggest(autonomy)).shown == SUGGESTED
