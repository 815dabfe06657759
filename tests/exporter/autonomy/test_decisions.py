"""The log of decisions: nothing in it can be changed or taken out without being named, and two people can be asked."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text

from agentgauge.autonomy.action import LEASE_SECONDS, Proposal
from agentgauge.autonomy.approvals import NotPermittedError
from agentgauge.autonomy.parts import Autonomy
from agentgauge.ledger import Ledger
from tests.clock import Clock
from tests.exporter.autonomy.policies import TEXT, written

WRITE = Proposal("write", "medium", "approval", {"body": "Dear Jane"}, {})
SEND = Proposal("send", "high", "approval", {"draft_id": 6}, {}, user_id="rep-1")


@pytest.fixture
def decided(autonomy: Autonomy) -> list[str]:
    """The ids of five actions that Ann approved."""
    ids = [autonomy.actions.propose(WRITE).id for _ in range(5)]
    for one in ids:
        autonomy.approvals.approve(one, "ann")
    return ids


def sql(ledger: Ledger, statement: str) -> None:
    """Change what is in the database behind the back of agentgauge."""
    with ledger.writing() as connection:
        connection.execute(text(statement))


def test_decisions_hold_together(autonomy: Autonomy, decided: list[str]) -> None:
    """Whatever kind they are of; the head names the newest."""
    approvals, first = autonomy.approvals, autonomy.decisions.verify()
    approvals.reject(autonomy.actions.propose(WRITE).id, "bob", "too early")
    approvals.edit(autonomy.actions.propose(WRITE).id, {"body": "Hi Jane"}, "bob", "friendlier")
    sampled = autonomy.actions.propose(Proposal("write", "medium", "auto", {}, {}, sampled=True))
    approvals.audit(sampled.id, "ok", "bob")
    verified = autonomy.decisions.verify(first.head)
    assert (first.rows, verified.rows, verified.problems) == (5, 8, ())
    assert verified.head is not None
    assert verified.head.number == 8


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("UPDATE agentgauge_decision SET person = 'bob' WHERE number = 3", "decision 3 was changed: its hash"),
        ("UPDATE agentgauge_decision SET content = '{}' WHERE number = 5", "decision 5 was changed: its hash"),
        ("DELETE FROM agentgauge_decision WHERE number = 3", "decision 3 is missing"),
        ("DELETE FROM agentgauge_decision WHERE number < 3", "decisions 1 to 2 are missing"),
        (
            "UPDATE agentgauge_action SET decided_by = 'bob'",
            "says approved by bob, and decision 1 says approved by ann",
        ),
        ("UPDATE agentgauge_action SET decision = 'rejected'", "says rejected by ann, and decision 1 says approved"),
        ("DELETE FROM agentgauge_action", "which decision 1 is about, is missing"),
        ("DELETE FROM agentgauge_decision WHERE number = 5", "is approved, and the log has no such decision"),
        ("DELETE FROM agentgauge_decision", "is approved, and the log has no such decision"),
        (
            """UPDATE agentgauge_action SET arguments = '{"body": "Half price!"}'""",
            "(write) was changed after decision 1: what was proposed, what was decided on",
        ),
        (
            """UPDATE agentgauge_action SET decided_arguments = '{"body": "Half price!"}'""",
            "(write) was changed after decision 1: what was decided on",
        ),
        ("UPDATE agentgauge_action SET effect = '{}'", "decision 1: what was proposed, what was decided on"),
        ("UPDATE agentgauge_action SET risk = 'low', reason = 'x'", "after decision 1: its risk, the reason"),
        ("UPDATE agentgauge_action SET tool = 'tidy'", "(tidy) was changed after decision 1: its tool, what was"),
        ("UPDATE agentgauge_action SET at = at - 1", "was changed after decision 1: when it was proposed"),
        ("UPDATE agentgauge_action SET verdict = 'ok' WHERE verdict = 'problem'", "decision 6: the verdict"),
        ("UPDATE agentgauge_action SET verdict = NULL", "says None by bob, and decision 6 says audited by bob"),
        ("UPDATE agentgauge_action SET happened = 0", "was changed after decision 7: whether it happened"),
        ("UPDATE agentgauge_action SET settled_by = 'ann'", "says settled by ann, and decision 7 says settled by bob"),
    ],
)
def test_what_was_changed_or_taken_out_is_named(
    autonomy: Autonomy, ledger: Ledger, decided: list[str], clock: Clock, statement: str, says: str
) -> None:
    """By its number, or by the action that it is about."""
    sampled, lost = (autonomy.actions.propose(Proposal("write", "medium", "auto", {}, {}, sampled=True)) for _ in "12")
    autonomy.approvals.audit(sampled.id, "problem", "bob")
    clock.forward(seconds=LEASE_SECONDS + 1)
    autonomy.actions.settle(lost.id, happened=True, by="bob", why="it is in the outbox")
    assert autonomy.decisions.verify().problems == ()
    sql(ledger, statement)
    assert any(says in problem for problem in autonomy.decisions.verify().problems)


def test_a_rewritten_chain_does_not_fit_the_head_that_somebody_kept(
    autonomy: Autonomy, ledger: Ledger, decided: list[str]
) -> None:
    """In itself it holds together; that is why people keep the head elsewhere."""
    head = autonomy.decisions.verify().head
    sql(ledger, "DELETE FROM agentgauge_decision")
    sql(ledger, "DELETE FROM agentgauge_action")
    for _ in range(5):
        autonomy.approvals.approve(autonomy.actions.propose(WRITE).id, "ann")
    assert autonomy.decisions.verify().problems == ()
    assert autonomy.decisions.verify(head).problems == (
        "decision 5 is another one than when its hash was written down",
    )


def test_retention_keeps_the_chain(autonomy: Autonomy, ledger: Ledger, decided: list[str], clock: Clock) -> None:
    """What is left begins where a row of retention says; taking out one more is found."""
    clock.forward(days=60)
    kept = autonomy.actions.propose(WRITE).id
    autonomy.approvals.approve(kept, "bob")
    clock.forward(days=40)
    for _ in range(2):
        ledger.delete_expired("a")
        verified = autonomy.decisions.verify()
        assert (verified.rows, verified.problems) == (2, ())
    sql(ledger, "DELETE FROM agentgauge_decision WHERE number = 6")
    assert "decision 6 is missing" in autonomy.decisions.verify().problems


def test_many_decide_at_once_on_one_chain(autonomy: Autonomy) -> None:
    """Each decision is one row, and follows the one before."""
    ids = [autonomy.actions.propose(WRITE).id for _ in range(12)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda one: autonomy.approvals.approve(one, "ann"), ids))
    verified = autonomy.decisions.verify()
    assert (verified.rows, verified.problems) == (12, ())


def test_a_policy_can_ask_for_two_people(autonomy: Autonomy, tmp_path: Path) -> None:
    """Two different ones, neither of them who had asked; the first leaves it undecided."""
    written(tmp_path, f"{TEXT}approvals: {{ high: {{ people: 2 }} }}")
    approvals, action = autonomy.approvals, autonomy.actions.propose(SEND)
    for _ in range(2):
        assert approvals.approve(action.id, "ann").decision is None
        assert approvals.agreed(action) == ["ann"]
    with pytest.raises(NotPermittedError, match="you asked for this yourself"):
        approvals.approve(action.id, "rep-1")
    with pytest.raises(NotPermittedError, match="takes two people, who have to see the same"):
        approvals.edit(action.id, {"draft_id": 7}, "bob")
    approved = approvals.approve(action.id, "bob")
    assert (approved.decision, approved.decided_by) == ("approved", "bob")
    assert autonomy.decisions.verify().problems == ()
