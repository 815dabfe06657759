"""What a tool has earned: judged by the rule's numbers, said in words."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest

from agentgauge.autonomy import promotion
from agentgauge.autonomy.actions import TrackRecord
from agentgauge.files.yaml_file import YamlFileError
from tests.exporter.autonomy.policies import policy


@pytest.mark.parametrize(
    ("record", "lacks"),
    [
        (TrackRecord(approved=100), []),
        (TrackRecord(approved=97, edited=3), []),
        (TrackRecord(approved=200, edited=3, expired=1, misaligned=1), []),
        (
            TrackRecord(approved=97, edited=3, expired=50),
            [
                "more decisions like these: they make a share of 56.7% likely, and 90.0% are needed; "
                "50 that expired count against it"
            ],
        ),
        (
            TrackRecord(approved=100, expired=4, misaligned=10),
            [
                "more decisions like these: they make a share of 80.4% likely, and 90.0% are needed; "
                "4 that expired and 10 suggestions that people did otherwise count against it"
            ],
        ),
        (TrackRecord(approved=99, lower=500), ["1 more decision: 99 of 100 were made"]),
        (TrackRecord(approved=99), ["1 more decision: 99 of 100 were made"]),
        (TrackRecord(approved=96, edited=4), ["more approvals: 96.0% of 97.0%; an edit does not count as one"]),
        (
            TrackRecord(approved=2909, edited=91),  # 96.97 %
            ["more approvals: 96.97% of 97.00%; an edit does not count as one"],
        ),
        (TrackRecord(approved=199, rejected=1), ["fewer rejections: 1, and 0 are allowed"]),
        (TrackRecord(approved=100, problems=1), ["clean audits: 1 audit found a problem"]),
        (TrackRecord(), ["100 more decisions: 0 of 100 were made"]),
    ],
)
def test_a_promotion_needs_enough_decisions_approvals_and_no_rejection(
    tmp_path: Path, record: TrackRecord, lacks: list[str]
) -> None:
    """Both the seed's rule and the bound hold: an edit counts in the denominator only, what expired in the bound."""
    assert promotion.missing(policy(tmp_path), "write", record) == lacks


def test_a_share_is_never_shown_as_missing_itself(tmp_path: Path) -> None:
    """No "97.0% of 97.0%": both have as many digits as it takes to see which is the lesser."""
    rules = policy(tmp_path)
    for decisions in range(100, 4000, 7):
        approved = int(0.97 * decisions)
        for lack in promotion.missing(rules, "write", TrackRecord(approved, decisions - approved)):
            share, least = re.findall(r"[\d.]+%", lack)
            assert float(share.rstrip("%")) < float(least.rstrip("%"))


def test_the_share_of_a_new_promotion_grows_to_all_calls(tmp_path: Path) -> None:
    """Evenly, over the days that the policy says."""
    canary = policy(tmp_path, ("audit:", "promotion: { canary: { share: 0.2, days: 10 } }\naudit:")).promotion.canary
    shares = [promotion.canary_share(canary, timedelta(days=days)) for days in (0, 5, 10, 90)]
    assert shares == pytest.approx([0.2, 0.6, 1, 1])


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


def test_few_decisions_promote_nothing_however_few_a_policy_asks_for(tmp_path: Path) -> None:
    """One approval says next to nothing; the usual rule is not made stricter by that."""
    loose = policy(
        tmp_path,
        ("stage:", "promotion: { decisions: 1, approved: 0, loosened_because: a demo }\nstage:"),
    )
    lacks = promotion.missing(loose, "write", TrackRecord(approved=1))
    assert lacks == ["more decisions like these: they make a share of 20.7% likely, and 90.0% are needed"]
    assert promotion.missing(loose, "write", TrackRecord(approved=35)) == []
    assert promotion.surely_approved(TrackRecord()) == 0


@pytest.mark.parametrize(
    ("loose", "says"),
    [
        ("promotion: { decisions: 1 }", "decisions: 1 lets a tool run unasked sooner than 100"),
        ("promotion: { approved: 0 }", "approved: 0 lets a tool run unasked sooner than 0.97"),
        ("promotion: { surely: 0.5 }", "surely: 0.5 lets a tool run unasked sooner than 0.9"),
        ("promotion: { rejected: 3 }", "rejected: 3 lets a tool run unasked sooner than 0"),
        ("autonomous: { run_up_to: high }", "run_up_to: high lets every tool run unasked"),
    ],
)
def test_a_policy_that_lets_a_dangerous_tool_run_unasked_says_why(tmp_path: Path, loose: str, says: str) -> None:
    """In a line of its own, which whoever reads the file cannot overlook."""
    with pytest.raises(YamlFileError, match=f"{says}.*loosened_because"):
        policy(tmp_path, ("stage:", f"{loose}\nstage:"))
    excused = loose.replace(" }", ", loosened_because: we tried it for a year }")
    assert policy(tmp_path, ("stage:", f"{excused}\nstage:"))
