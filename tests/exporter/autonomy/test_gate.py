"""The gate: what each stage lets a call do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from agentgauge.autonomy.gate import AutonomyStanding, decide, draw_for, mode_of
from agentgauge.vocabulary import STAGES, Stage
from tests.exporter.autonomy.policies import policy

NEVER = 1.0


@pytest.mark.parametrize(
    ("stage", "find", "tidy", "write", "send", "write_30_percent"),
    [
        ("shadow", "auto", "suggested", "suggested", "suggested", "suggested"),
        ("approval_required", "auto", "auto", "approval", "approval", "approval"),
        ("semi_autonomous", "auto", "auto", "approval", "approval", "approval"),
        ("autonomous", "auto", "auto", "auto", "approval", "approval"),
    ],
)
def test_each_stage_is_different(
    tmp_path: Path, stage: Stage, find: str, tidy: str, write: str, send: str, write_30_percent: str
) -> None:
    """Nothing with a side effect, low risk only, what was earned, or all within the scope."""
    rules, standing = policy(tmp_path), AutonomyStanding(stage)
    calls = [("find", {}), ("tidy", {}), ("write", {}), ("send", {}), ("write", {"body": "30 %"})]
    decided = [decide(rules, standing, tool, arguments, NEVER).disposition for tool, arguments in calls]
    assert decided == [find, tidy, write, send, write_30_percent]


def test_a_promoted_tool_runs_in_the_stage_semi_autonomous_only_and_not_at_a_raised_risk(tmp_path: Path) -> None:
    """It was promoted for the calls on which people decided."""
    rules = policy(tmp_path)

    def disposition(stage: Stage, body: str) -> str:
        return decide(
            rules, AutonomyStanding(stage, promoted=frozenset({"write"})), "write", {"body": body}
        ).disposition

    assert disposition("semi_autonomous", "10 %") == "auto"
    assert disposition("semi_autonomous", "30 %") == "approval"
    assert disposition("approval_required", "10 %") == "approval"
    assert disposition("shadow", "10 %") == "suggested"


def test_a_share_of_the_calls_of_a_newly_promoted_tool_runs(tmp_path: Path) -> None:
    """The others wait, and say why; a tool that runs for another reason than its promotion runs in all its calls."""
    rules = policy(tmp_path)
    new = AutonomyStanding("semi_autonomous", promoted=frozenset({"write", "tidy"}), shares={"write": 0.3, "tidy": 0.3})
    assert decide(rules, new, "write", {}, NEVER, canary=0.29).disposition == "auto"
    waits = decide(rules, new, "write", {}, NEVER, canary=0.3)
    assert (waits.disposition, waits.why) == (
        "approval",
        "write is newly promoted: 30% of its calls run unasked so far",
    )
    assert decide(rules, new, "tidy", {}, NEVER, canary=0.9).disposition == "auto"
    assert decide(rules, replace(new, stage="autonomous"), "write", {}, NEVER, canary=0.9).disposition == "auto"


def test_a_promotion_does_not_hold_for_a_risk_that_was_raised_since(tmp_path: Path) -> None:
    """What is of high risk now waits, however it was promoted when it was not."""
    raised = policy(tmp_path, ("write:\n", "write:\n    risk: high\n"), ("        then: high", "        then: denied"))
    standing = AutonomyStanding("semi_autonomous", promoted=frozenset({"write"}))
    assert decide(raised, standing, "write", {}).disposition == "approval"
    assert mode_of(raised, standing, "write") == "approve"


def test_a_demoted_tool_waits_in_every_stage(tmp_path: Path) -> None:
    """Even where all others run."""
    demoted = frozenset({"tidy", "write"})
    for stage in STAGES:
        expected = "suggested" if stage == "shadow" else "approval"
        for tool in demoted:
            assert decide(policy(tmp_path), AutonomyStanding(stage, demoted=demoted), tool, {}).disposition == expected


def test_the_scope_of_the_stage_autonomous_is_set_by_the_policy(tmp_path: Path) -> None:
    """Not by technical limits."""
    everything = policy(tmp_path, ("audit:", "autonomous: { run_up_to: high, loosened_because: a test }\naudit:"))
    assert decide(everything, AutonomyStanding("autonomous"), "send", {}).disposition == "auto"
    little = policy(tmp_path, ("audit:", "autonomous: { run_up_to: low }\naudit:"))
    assert decide(little, AutonomyStanding("autonomous"), "write", {}).disposition == "approval"


@pytest.mark.parametrize("stage", STAGES)
def test_what_the_policy_denies_never_runs(tmp_path: Path, stage: Stage) -> None:
    """Nor can a person approve it."""
    promoted = AutonomyStanding(stage, promoted=frozenset({"write"}))
    assert decide(policy(tmp_path), promoted, "write", {"discount": 60}).disposition == "denied"
    assert decide(policy(tmp_path), promoted, "format_disk", {}).disposition == "denied"


def test_an_exception_holds_for_the_risk_that_the_tool_is_known_for(tmp_path: Path) -> None:
    """Set to auto, a call whose arguments raise its risk waits; set to suggest, a tool is in shadow by itself."""
    free = policy(tmp_path, ("write:\n", "write:\n    mode: auto\n"))
    standing = AutonomyStanding("approval_required")
    assert decide(free, standing, "write", {"body": "10 %"}).disposition == "auto"
    assert decide(free, standing, "write", {"body": "30 %"}).disposition == "approval"
    assert decide(free, AutonomyStanding("shadow"), "write", {"body": "10 %"}).disposition == "suggested"
    quiet = policy(tmp_path, ("write:\n", "write:\n    mode: suggest\n"))
    assert decide(quiet, AutonomyStanding("autonomous"), "write", {}).disposition == "suggested"


def test_a_share_of_what_ran_unasked_and_changed_something_is_audited(tmp_path: Path) -> None:
    """Look-ups change nothing, and what waits is seen by a person anyway."""
    rules, standing = policy(tmp_path), AutonomyStanding("autonomous")
    assert decide(rules, standing, "write", {}, 0.49).sampled
    assert not decide(rules, standing, "write", {}, 0.5).sampled
    assert not decide(rules, standing, "find", {}, 0.0).sampled
    assert not decide(rules, standing, "send", {}, 0.0).sampled


def test_the_same_seed_chooses_the_same_actions(tmp_path: Path) -> None:
    """An audit can be repeated; without a seed, nobody can tell in advance what it takes."""
    seeded, chance = policy(tmp_path), policy(tmp_path, (", seed: 1", ""))
    calls = [f"call {number}" for number in range(200)]
    draws = [draw_for(seeded, call) for call in calls]
    assert draws == [draw_for(seeded, call) for call in calls]
    assert 60 < sum(draw < 0.5 for draw in draws) < 140
    other = policy(tmp_path, ("seed: 1", "seed: 2"))
    assert draws != [draw_for(other, call) for call in calls]
    assert draw_for(chance, "call") != draw_for(chance, "call")


def test_the_mode_of_a_tool_is_that_of_its_plain_calls(tmp_path: Path) -> None:
    """What `agent_tool_autonomy` shows."""
    modes = {
        tool: mode_of(policy(tmp_path), AutonomyStanding("semi_autonomous"), tool) for tool in policy(tmp_path).tools
    }
    assert modes == {"find": "auto", "tidy": "auto", "write": "approve", "send": "approve"}
