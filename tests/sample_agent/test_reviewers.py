"""Simulated reviewers: what they object to, told from the text alone."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from agentgauge.autonomy.action import Proposal
from agentgauge.ledger import Ledger
from sample_agent.assembly import build_autonomy
from sample_agent.settings import AGENT
from sample_agent.simulator.reviewers import objection, review
from tests.clock import Clock


@pytest.mark.parametrize(
    "body", ["Dear Jane Cooper,\n\nyour", "Dear Ms Cooper,\n\nyour", "\nDear Sir or Madam,\n\nyour"]
)
def test_an_e_mail_that_opens_formal_is_objected_to(body: str) -> None:
    """Reps write to people whom they know."""
    assert objection({"to": "jane", "body": body}) == "too formal"


@pytest.mark.parametrize(
    "arguments",
    [
        {"body": "Hi Jane,\n\nDear Jane Cooper is how we wrote before."},
        {"body": "Dear Jane,\n\nthank you"},
        {"text": "Dear Jane Cooper asked for a call"},
        {"draft_id": 7},
    ],
)
def test_everything_else_is_fine(arguments: dict[str, object]) -> None:
    """Only the opening of an e-mail counts."""
    assert objection(arguments) is None


def test_a_colleague_decides_what_was_left_and_leaves_to_the_reps_what_has_just_come(tmp_path: Path) -> None:
    """What nobody decides would wait for a day, and the queue would be stalled."""
    clock = Clock()
    with closing(Ledger.open(f"sqlite:///{tmp_path / 'ledger.sqlite'}", now=clock)) as ledger:
        autonomy = build_autonomy(ledger, AGENT)
        left = autonomy.actions.propose(Proposal("draft_email", "medium", "approval", {"body": "Hi Jane,"}, {}))
        clock.forward(seconds=30)
        fresh = autonomy.actions.propose(Proposal("draft_email", "medium", "approval", {"body": "Hi Joe,"}, {}))
        review(autonomy.approvals, "a colleague", left.at)
        assert autonomy.actions.get(left.id).decided_by == "a colleague"
        assert autonomy.actions.waiting() == [fresh]
