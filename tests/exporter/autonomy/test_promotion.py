"""What a tool has earned: judged by the rule's numbers, said in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentgauge.autonomy import promotion
from agentgauge.autonomy.actions import TrackRecord
from tests.exporter.autonomy.policies import policy


@pytest.mark.parametrize(
    ("record", "lacks"),
    [
        (TrackRecord(approved=100), []),
        (TrackRecord(approved=97, edited=3), []),
        (TrackRecord(approved=97, edited=3, expired=50), []),
        (TrackRecord(approved=99), ["1 more decision: 99 of 100 were made"]),
        (TrackRecord(approved=96, edited=4), ["more approvals: 96.0% of 97.0%; an edit does not count as one"]),
        (TrackRecord(approved=199, rejected=1), ["fewer rejections: 1, and 0 are allowed"]),
        (TrackRecord(approved=100, problems=1), ["clean audits: 1 audit found a problem"]),
        (TrackRecord(), ["100 more decisions: 0 of 100 were made"]),
    ],
)
def test_a_promotion_needs_enough_decisions_approvals_and_no_rejection(
    tmp_path: Path, record: TrackRecord, lacks: list[str]
) -> None:
    """An edit counts in the denominator only, and what expired was decided by nobody."""
    assert promotion.missing(policy(tmp_path), "write", record) == lacks


def test_a_high_risk_tool_and_an_exception_cannot_earn_a_promotion(tmp_path: Path) -> None:
    """However good their record is."""
    record = TrackRecord(approved=1000)
    assert "a lower risk" in promotion.missing(policy(tmp_path), "send", record)[0]
    held = policy(tmp_path, ("write:\n", "write:\n    mode: approve\n"))
    assert "its mode is always approve" in promotion.missing(held, "write", record)[0]


def test_a_rejection_or_a_bad_audit_demotes(tmp_path: Path) -> None:
    """One is enough, unless the policy is more patient."""
    assert promotion.demotes(policy(tmp_path), TrackRecord(approved=5, edited=9, expired=9)) is None
    assert promotion.demotes(policy(tmp_path), TrackRecord(rejected=1)) is not None
    assert promotion.demotes(policy(tmp_path), TrackRecord(problems=1)) is not None
    patient = policy(tmp_path, ("audit:", "demotion: { rejected: 3 }\naudit:"))
    assert promotion.demotes(patient, TrackRecord(rejected=1, problems=1)) is None
    assert promotion.demotes(patient, TrackRecord(rejected=2, problems=1)) is not None
