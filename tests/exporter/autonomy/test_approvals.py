"""Decisions of people: made once, in time, and never for more than was proposed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from agentgauge.autonomy.action import Action, Proposal
from agentgauge.autonomy.approvals import (
    AlreadyDecidedError,
    Approvals,
    InvalidEditError,
    NotPermittedError,
    NotShownError,
    Person,
    RiskRaisedError,
    UnknownActionError,
)
from agentgauge.autonomy.parts import Autonomy
from agentgauge.ledger import Ledger
from agentgauge.ledger.outbox import take
from tests.clock import Clock
from tests.exporter.autonomy.policies import TEXT, written

LETTER = {"subject": "Renewal", "body": "Dear Jane, 10 % off."}


@pytest.fixture
def propose(autonomy: Autonomy) -> Callable[..., Action]:
    """Let the agent propose a letter that waits for an hour."""

    def made(**different: Any) -> Action:
        parts = {"tool": "write", "risk": "medium", "disposition": "approval", "arguments": LETTER, "context": {}}
        return autonomy.actions.propose(Proposal(**parts | {"expires_in_seconds": 3600} | different))

    return made


def test_a_decision_says_who_decided_what_and_why(autonomy: Autonomy, propose: Callable[..., Action]) -> None:
    """Approved, edited or rejected."""
    approvals = autonomy.approvals
    edit = LETTER | {"subject": "Your renewal"}
    decided = [
        approvals.approve(propose().id, "ann"),
        approvals.edit(propose().id, edit, "bob", "friendlier"),
        approvals.reject(propose().id, "cid", "too early"),
    ]
    assert [(one.decision, one.decided_by, one.reason) for one in decided] == [
        ("approved", "ann", None),
        ("edited", "bob", "friendlier"),
        ("rejected", "cid", "too early"),
    ]
    assert decided[0].final_arguments == LETTER
    assert decided[1].final_arguments == edit
    assert approvals.waiting() == []


def test_only_an_edit_that_changes_more_than_was_written_is_looked_at_again(
    autonomy: Autonomy, propose: Callable[..., Action]
) -> None:
    """Who writes another subject knows it; the address that comes with another customer, they have to see."""

    def preview(_tool: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        return {"to": f"{arguments['customer']}@globex.example", "subject": arguments["subject"]}

    approvals = Approvals(autonomy.actions, autonomy.standings, autonomy.policy, lambda *_call: None, preview)
    letter = {"customer": "jane", "subject": "Renewal"}
    first, second = (propose(arguments=letter, effect=preview("write", letter)).id for _ in range(2))
    edited = approvals.edit(first, letter | {"subject": "Your renewal"}, "ann")
    assert edited.decided_effect == {"to": "jane@globex.example", "subject": "Your renewal"}
    with pytest.raises(NotShownError, match="look at that before you approve it"):
        approvals.edit(second, letter | {"customer": "hank"}, "ann")


def test_who_comes_second_is_told_who_was_faster(autonomy: Autonomy, propose: Callable[..., Action]) -> None:
    """And nothing changes any more."""
    action = propose()
    autonomy.approvals.reject(action.id, "ann", "too early")
    deciding: list[Callable[[], Action]] = [
        lambda: autonomy.approvals.approve(action.id, "bob"),
        lambda: autonomy.approvals.edit(action.id, {"subject": "Hi"}, "bob"),
        lambda: autonomy.approvals.reject(action.id, "bob", "no"),
    ]
    for late in deciding:
        with pytest.raises(AlreadyDecidedError, match=f"{action.id} was rejected before, by ann"):
            late()
    assert autonomy.approvals.get(action.id).decided_by == "ann"


def test_an_unknown_action_is_said_to_be_unknown(autonomy: Autonomy) -> None:
    """A mistyped id."""
    for asking in (autonomy.approvals.get, lambda one: autonomy.approvals.edit(one, {}, "ann")):
        with pytest.raises(UnknownActionError, match="a has no action '123'"):
            asking("123")


@pytest.mark.parametrize(
    ("edit", "why"),
    [
        (
            LETTER | {"body": "Dear Jane, 30 % off."},
            "would be of high risk, not of medium risk .it speaks of",
        ),
        (LETTER | {"discount": 60}, "would be denied, not of medium risk .nobody gives half of it away"),
    ],
)
def test_an_edit_cannot_make_a_call_riskier(
    autonomy: Autonomy, propose: Callable[..., Action], edit: dict[str, Any], why: str
) -> None:
    """That takes a proposal, and a decision, of its own; this one still waits."""
    action = propose()
    with pytest.raises(RiskRaisedError, match=why):
        autonomy.approvals.edit(action.id, edit, "ann")
    assert autonomy.approvals.waiting() == [action]
    assert autonomy.approvals.edit(action.id, LETTER | {"body": "Dear Jane, 15 % off."}, "ann").decision == "edited"


def test_an_edit_may_make_a_call_less_risky(autonomy: Autonomy, propose: Callable[..., Action]) -> None:
    """Who decided on a high risk may take the risk out."""
    action = propose(risk="high", arguments=LETTER | {"body": "Dear Jane, 30 % off."})
    assert autonomy.approvals.edit(action.id, LETTER, "ann").decision == "edited"


def test_an_edit_that_changes_nothing_is_an_approval(autonomy: Autonomy, propose: Callable[..., Action]) -> None:
    """Saved without a change, it must not count as an edit."""
    assert autonomy.approvals.edit(propose().id, dict(LETTER), "ann").decision == "approved"


def test_an_edit_has_to_fit_the_tool(autonomy: Autonomy, propose: Callable[..., Action]) -> None:
    """The field that does not is named, and the action still waits."""
    action = propose()
    with pytest.raises(InvalidEditError, match="colour: unknown; expected subject, body, discount"):
        autonomy.approvals.edit(action.id, {"colour": "red"}, "ann")
    assert autonomy.approvals.waiting() == [action]


def test_what_waited_for_too_long_has_expired_and_cannot_be_approved(
    autonomy: Autonomy, propose: Callable[..., Action], clock: Clock, ledger: Ledger
) -> None:
    """Though nobody was there to say so: the late one is told. It is counted as expired."""
    action = propose()
    clock.forward(seconds=3599)
    assert autonomy.approvals.waiting() == [action]
    clock.forward(seconds=1)
    with pytest.raises(AlreadyDecidedError, match="has expired: nobody decided in time"):
        autonomy.approvals.approve(action.id, "ann")
    assert autonomy.approvals.waiting() == []
    autonomy.actions.expire_due()
    (counted, _waited) = take(ledger, "a")
    assert (counted.spec.name, counted.labels) == ("agent_approvals_total", ("write", "medium", "expired"))


def test_a_decision_counts_by_the_policy_of_now(
    autonomy: Autonomy, propose: Callable[..., Action], tmp_path: Path
) -> None:
    """An edit that a stricter version forbids is refused at once."""
    action = propose()
    written(tmp_path, TEXT.replace("above: 20", "above: 12"))
    with pytest.raises(RiskRaisedError):
        autonomy.approvals.edit(action.id, LETTER | {"body": "Dear Jane, 15 % off."}, "ann")


@pytest.fixture
def send(propose: Callable[..., Action]) -> Callable[[], Action]:
    """Let the agent propose, for rep-1, to send a draft: that is of high risk."""
    return lambda: propose(tool="send", risk="high", arguments={"draft_id": 6}, user_id="rep-1")


def test_nobody_approves_their_own_call_of_high_risk(
    autonomy: Autonomy, propose: Callable[..., Action], send: Callable[[], Action]
) -> None:
    """Nor do they edit it; they may take it back, and approve what is of medium risk."""
    action, approvals = send(), autonomy.approvals
    deciding: list[Callable[[], Action]] = [
        lambda: approvals.approve(action.id, "rep-1"),
        lambda: approvals.edit(action.id, {"draft_id": 7}, "rep-1"),
    ]
    for own in deciding:
        with pytest.raises(NotPermittedError, match="you asked for this yourself, and a call of high risk is approved"):
            own()
    assert approvals.waiting() == [action]
    assert approvals.reject(action.id, "rep-1", "changed my mind").decision == "rejected"
    assert approvals.approve(propose(user_id="rep-1").id, "rep-1").decision == "approved"


def test_a_policy_may_let_people_approve_their_own_calls_of_high_risk(
    autonomy: Autonomy, send: Callable[[], Action], tmp_path: Path
) -> None:
    """In so many words: what else it says of that risk does not."""
    written(tmp_path, TEXT + "approvals: { high: { roles: [lead] } }")
    with pytest.raises(NotPermittedError, match="you asked for this yourself"):
        autonomy.approvals.approve(send().id, Person("rep-1", ["lead"]))
    written(tmp_path, TEXT + "approvals: { high: { own: true } }")
    assert autonomy.approvals.approve(send().id, "rep-1").decision == "approved"


def test_a_policy_names_the_roles_that_approve_by_risk(
    autonomy: Autonomy, propose: Callable[..., Action], send: Callable[[], Action], tmp_path: Path
) -> None:
    """Whoever lacks them is told which it takes; rejecting is open to all."""
    written(tmp_path, TEXT + "approvals: { high: { roles: [lead, legal] } }")
    action, approvals = send(), autonomy.approvals
    says = "a call of high risk is approved by lead or legal, and ann has rep; you can reject it"
    with pytest.raises(NotPermittedError, match=says):
        approvals.approve(action.id, Person("ann", ["rep"]))
    assert approvals.approve(action.id, Person("bob", ["legal"])).decided_by == "bob"
    assert approvals.approve(propose().id, "ann").decision == "approved"
    assert approvals.reject(send().id, "ann", "not now").decision == "rejected"


def test_somebody_stands_in_for_a_role_until_a_day(
    autonomy: Autonomy, send: Callable[[], Action], tmp_path: Path, clock: Clock
) -> None:
    """That day included; afterwards it takes the role again."""
    until = clock().date()
    rules = f"{{ high: {{ roles: [lead] }}, delegations: [{{ role: lead, to: ann, until: {until}, why: holiday }}] }}"
    written(tmp_path, f"{TEXT}approvals: {rules}")
    assert autonomy.approvals.approve(send().id, "ann").decision == "approved"
    clock.forward(days=1)
    with pytest.raises(NotPermittedError, match="approved by lead, and ann has no role"):
        autonomy.approvals.approve(send().id, "ann")
