"""Simulated reviewers: what they object to, told from the text alone."""

from __future__ import annotations

import pytest

from sample_agent.simulator.reviewers import objection


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
