"""Autonomy is earned from the record: promoted, demoted at once, explained, and each change kept with who and why."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from agentgauge import AgentGauge
from agentgauge.autonomy.action import Proposal
from agentgauge.autonomy.gate import decide
from agentgauge.autonomy.keeper import Keeper
from agentgauge.autonomy.parts import Autonomy
from agentgauge.autonomy.policy import policy_source
from agentgauge.autonomy.standing import NotEarnedError
from agentgauge.ledger import Ledger
from agentgauge.ledger.outbox import take
from agentgauge.vocabulary import Decision
from tests.clock import Clock
from tests.exporter.autonomy.conftest import check
from tests.exporter.autonomy.policies import TEXT, TOOL_NAMES, TOOLS, written

WRITE = Proposal("write", "medium", "approval", {"body": "Dear Jane"}, {})
SEMI = ("stage: approval_required", "stage: semi_autonomous")


def put(folder: Path, *changes: tuple[str, str]) -> None:
    """Put the policy in force with texts replaced in it."""
    text = TEXT
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    written(folder, text)


@pytest.fixture
def decided(autonomy: Autonomy) -> Callable[[Decision, int], None]:
    """Let people decide so many times on `write`."""

    def make(decision: Decision, times: int) -> None:
        for _ in range(times):
            autonomy.actions.decide(autonomy.actions.propose(WRITE).id, decision, "jane")

    return make


def disposition(autonomy: Autonomy) -> str:
    """What a plain call of `write` may do now."""
    policy = autonomy.policy()
    return decide(policy, autonomy.standings.now(policy), "write", {"body": "Dear Jane"}).disposition


def changes(autonomy: Autonomy, subject: str) -> list[tuple[str, str]]:
    """What a subject was changed to, and by whom, oldest first."""
    return [(change.after, change.changed_by) for change in autonomy.changes.history() if change.subject == subject]


def test_a_tool_is_promoted_when_it_has_earned_it_and_demoted_at_the_first_rejection(
    autonomy: Autonomy, tmp_path: Path, decided: Callable[[Decision, int], None], ledger: Ledger
) -> None:
    """Both by the policy's rule, with the figures, and counted."""
    put(tmp_path, SEMI)
    standings, policy = autonomy.standings, autonomy.policy()
    decided("approved", 99)
    standings.promote_where_earned(policy)
    assert disposition(autonomy) == "approval"
    decided("approved", 1)
    standings.promote_where_earned(policy)
    standings.promote_where_earned(policy)
    assert disposition(autonomy) == "auto"
    raised = autonomy.actions.propose(WRITE)  # its arguments were risky, say, so it waited all the same
    take(ledger, "a")
    autonomy.approvals.reject(raised.id, "ann", "too early")
    assert disposition(autonomy) == "approval"
    assert changes(autonomy, "tool:write") == [("promoted", "the policy's rule"), ("demoted", "the policy's rule")]
    promoted, demoted = (change for change in autonomy.changes.history() if change.subject == "tool:write")
    assert promoted.reason.startswith("100 decisions: 100 approved (100.0%)")
    assert demoted.reason.startswith("1 rejection and 0 audits that found a problem in the last 30 days")
    counted = [(one.spec.name, one.labels) for one in take(ledger, "a")]
    assert ("agent_autonomy_changes_total", ("write", "demoted")) in counted


def test_a_hundred_approvals_of_ones_own_calls_promote_nothing(autonomy: Autonomy, tmp_path: Path) -> None:
    """They say that the user wanted it, not that it was right; a hundred of somebody else do."""
    put(tmp_path, SEMI)
    policy = autonomy.policy()
    for by in ("rep-1", "jane"):
        for _ in range(100):
            autonomy.actions.decide(autonomy.actions.propose(replace(WRITE, user_id="rep-1")).id, "approved", by)
        autonomy.standings.promote_where_earned(policy)
        if by == "rep-1":
            assert disposition(autonomy) == "approval"
            explained = autonomy.standings.explain(policy, "write")
            assert explained.missing == ("100 more decisions: 0 of 100 were made",)
            assert explained.record.own == 100
    assert disposition(autonomy) == "auto"


def test_decisions_on_what_was_of_lower_risk_promote_nothing(
    autonomy: Autonomy, tmp_path: Path, decided: Callable[[Decision, int], None]
) -> None:
    """The risk in force counts, not that at the time."""
    put(tmp_path, SEMI)
    for _ in range(100):
        autonomy.actions.decide(autonomy.actions.propose(replace(WRITE, risk="low")).id, "approved", "jane")
    autonomy.standings.promote_where_earned(autonomy.policy())
    assert disposition(autonomy) == "approval"
    explained = autonomy.standings.explain(autonomy.policy(), "write")
    assert (explained.record.decisions, explained.record.lower) == (0, 100)
    decided("approved", 100)
    autonomy.standings.promote_where_earned(autonomy.policy())
    assert disposition(autonomy) == "auto"


def test_a_promotion_lapses_when_nobody_looks_any_more(
    autonomy: Autonomy, tmp_path: Path, decided: Callable[[Decision, int], None], clock: Clock
) -> None:
    """An audit keeps it, what a user decides on their own calls does not; then it has to be earned again."""
    put(tmp_path, SEMI)
    decided("approved", 100)
    autonomy.standings.promote_where_earned(autonomy.policy())
    clock.forward(days=29)
    sampled = autonomy.actions.propose(Proposal("write", "medium", "auto", {}, {}, sampled=True))
    autonomy.approvals.audit(sampled.id, "ok", "ann")
    clock.forward(days=29)
    assert disposition(autonomy) == "auto"
    own = autonomy.actions.propose(replace(WRITE, user_id="rep-1"))
    autonomy.actions.decide(own.id, "approved", "rep-1")
    clock.forward(days=2)
    assert disposition(autonomy) == "approval"
    autonomy.standings.demote_where_due(autonomy.policy())
    assert changes(autonomy, "tool:write")[-1] == ("demoted", "the policy's rule")
    assert autonomy.changes.state()["tool:write"].reason == (
        "its promotion lapsed: in 30 days nobody decided on a call of it or audited one"
    )


def test_suggestions_that_people_did_otherwise_count_against_a_tool(
    autonomy: Autonomy, decided: Callable[[Decision, int], None]
) -> None:
    """Nobody approved these either."""
    decided("approved", 100)
    assert autonomy.standings.explain(autonomy.policy(), "write").missing == ()
    for _ in range(10):
        suggested = autonomy.actions.propose(replace(WRITE, disposition="suggested"))
        autonomy.actions.compare(suggested.id, "misaligned", None, "jane")
    (lack,) = autonomy.standings.explain(autonomy.policy(), "write").missing
    assert lack.endswith("10 suggestions that people did otherwise count against it")


def test_a_newly_promoted_tool_runs_in_a_growing_share_of_its_calls(
    autonomy: Autonomy, tmp_path: Path, decided: Callable[[Decision, int], None], clock: Clock
) -> None:
    """From a quarter to all of them within a week, unless the policy says otherwise."""
    put(tmp_path, SEMI)
    decided("approved", 100)
    policy = autonomy.policy()
    autonomy.standings.promote_where_earned(policy)
    shares = []
    for _ in range(3):
        shares.append(autonomy.standings.explain(policy, "write").share)
        clock.forward(days=3.5)
    assert shares == pytest.approx([0.25, 0.625, 1])


def test_a_rejection_of_ones_own_call_counts_against_the_tool(
    autonomy: Autonomy, tmp_path: Path, decided: Callable[[Decision, int], None]
) -> None:
    """The agent got it wrong, whoever noticed."""
    put(tmp_path, SEMI)
    decided("approved", 100)
    autonomy.standings.promote_where_earned(autonomy.policy())
    asked = autonomy.actions.propose(replace(WRITE, user_id="rep-1"))
    autonomy.approvals.reject(asked.id, "rep-1", "not what I asked for")
    assert disposition(autonomy) == "approval"


def test_a_rejection_counts_before_anybody_has_recorded_the_demotion(
    autonomy: Autonomy, tmp_path: Path, decided: Callable[[Decision, int], None]
) -> None:
    """Another process may have taken the rejection; the very next call waits."""
    put(tmp_path, SEMI)
    decided("approved", 100)
    autonomy.standings.promote_where_earned(autonomy.policy())
    assert disposition(autonomy) == "auto"
    decided("rejected", 1)
    assert disposition(autonomy) == "approval"
    assert changes(autonomy, "tool:write") == [("promoted", "the policy's rule")]


def test_an_audit_that_finds_a_problem_demotes_a_tool_that_the_stage_lets_run(autonomy: Autonomy, clock: Clock) -> None:
    """In the stage autonomous it was never promoted; what spoke against it before that stage does not count."""
    autonomy.approvals.reject(autonomy.actions.propose(WRITE).id, "ann", "too early")
    clock.forward(hours=1)
    autonomy.standings.set_stage(autonomy.policy(), "autonomous", "jane", "a good year")
    assert disposition(autonomy) == "auto"
    sampled = autonomy.actions.propose(Proposal("write", "medium", "auto", {}, {}, sampled=True))
    autonomy.approvals.audit(sampled.id, "problem", "ann")
    assert disposition(autonomy) == "approval"
    assert changes(autonomy, "tool:write") == [("demoted", "the policy's rule")]


def test_a_demoted_tool_has_to_earn_it_anew(
    autonomy: Autonomy, tmp_path: Path, decided: Callable[[Decision, int], None], clock: Clock
) -> None:
    """Decisions count from the demotion on, and a rejection before it counts for its 30 days all the same."""
    put(tmp_path, SEMI)
    standings, policy = autonomy.standings, autonomy.policy()
    decided("approved", 100)
    standings.promote_where_earned(policy)
    clock.forward(days=1)
    decided("rejected", 1)
    clock.forward(seconds=5)
    standings.demote_where_due(policy)
    clock.forward(days=1)
    standings.promote_where_earned(policy)
    assert disposition(autonomy) == "approval"
    decided("approved", 100)
    assert standings.explain(policy, "write").missing == ("fewer rejections: 1, and 0 are allowed",)
    clock.forward(days=29)
    standings.promote_where_earned(policy)
    assert disposition(autonomy) == "auto"


def test_old_decisions_do_not_count(autonomy: Autonomy, decided: Callable[[Decision, int], None], clock: Clock) -> None:
    """30 days are 30 days."""
    decided("approved", 60)
    clock.forward(days=31)
    decided("approved", 50)
    explained = autonomy.standings.explain(autonomy.policy(), "write")
    assert explained.record.decisions == 50
    assert explained.missing == ("50 more decisions: 50 of 100 were made",)
    assert explained.mode == "approve"


def test_a_person_confirms_a_promotion_where_the_policy_says_so(
    autonomy: Autonomy, tmp_path: Path, decided: Callable[[Decision, int], None]
) -> None:
    """And cannot give what was not earned."""
    put(tmp_path, SEMI, ("audit:", "promotion: { apply: on_confirmation }\naudit:"))
    standings, policy = autonomy.standings, autonomy.policy()
    decided("approved", 90)
    with pytest.raises(NotEarnedError, match="write has not earned it; it needs 10 more decisions"):
        standings.promote(policy, "write", "jane", "it looks good")
    decided("approved", 10)
    standings.promote_where_earned(policy)
    assert disposition(autonomy) == "approval"
    standings.promote(policy, "write", "jane", "it looks good")
    assert disposition(autonomy) == "auto"
    assert changes(autonomy, "tool:write") == [("promoted", "jane")]
    with pytest.raises(NotEarnedError, match="a lower risk"):
        standings.promote(policy, "send", "jane", "it looks good")


def test_nothing_is_promoted_where_all_wait(autonomy: Autonomy, decided: Callable[[Decision, int], None]) -> None:
    """The stage is the owner's to change; the record speaks when they do."""
    decided("approved", 100)
    autonomy.standings.promote_where_earned(autonomy.policy())
    assert changes(autonomy, "tool:write") == []
    assert autonomy.standings.explain(autonomy.policy(), "write").missing == ()


def test_a_demotion_by_hand_holds_until_the_tool_has_earned_it_anew(
    autonomy: Autonomy, tmp_path: Path, decided: Callable[[Decision, int], None], clock: Clock
) -> None:
    """A good record of before does not undo it at the next look."""
    put(tmp_path, SEMI)
    decided("approved", 100)
    clock.forward(seconds=1)
    autonomy.standings.demote("write", "jane", "the templates change")
    autonomy.standings.promote_where_earned(autonomy.policy())
    assert changes(autonomy, "tool:write") == [("demoted", "jane")]


def test_a_change_of_the_policy_file_is_recorded_with_what_it_changed(autonomy: Autonomy, tmp_path: Path) -> None:
    """Who, what, when and why; a stage that it changes is in force, one that it leaves alone is not touched."""
    standings = autonomy.standings
    standings.note_policy(autonomy.policy())
    standings.note_policy(autonomy.policy())
    assert changes(autonomy, "policy") == [(autonomy.changes.history()[0].after, "jane")]
    standings.set_stage(autonomy.policy(), "shadow", "bob", "a new model")
    put(
        tmp_path,
        ("changed_by: jane", "changed_by: ann"),
        ("reason: a test", "reason: more"),
        ("tidy: {}", "tidy: { risk: high }"),
    )
    standings.note_policy(autonomy.policy())
    last = autonomy.changes.last("policy")
    assert last is not None
    assert (last.changed_by, last.reason) == ("ann", 'more (tools.tidy.risk: "low" → "high")')
    assert standings.now(autonomy.policy()).stage == "shadow"
    put(tmp_path, SEMI)
    standings.note_policy(autonomy.policy())
    assert standings.now(autonomy.policy()).stage == "semi_autonomous"
    assert changes(autonomy, "stage") == [("shadow", "bob"), ("semi_autonomous", "jane")]


def test_replicas_record_a_policy_once_and_one_with_an_older_file_does_not_turn_it_back_and_forth(
    autonomy: Autonomy, ledger: Ledger, tmp_path: Path
) -> None:
    """While a new version is rolled out, replicas have different files for some time."""
    (tmp_path / "old").mkdir()
    old = Autonomy.on(ledger, "a", policy_source(written(tmp_path / "old"), TOOLS), check)
    old.standings.note_policy(old.policy())
    put(tmp_path, SEMI)
    for _ in range(3):
        for replica in (autonomy, old):
            replica.standings.note_policy(replica.policy())
    assert len(changes(autonomy, "policy")) == 2
    assert autonomy.standings.now(autonomy.policy()).stage == "semi_autonomous"


def test_the_stage_holds_over_a_restart(autonomy: Autonomy, ledger: Ledger, tmp_path: Path) -> None:
    """It is in the ledger, not in the process."""
    autonomy.standings.note_policy(autonomy.policy())
    autonomy.standings.set_stage(autonomy.policy(), "shadow", "bob", "a new model")
    again = Autonomy.on(ledger, "a", policy_source(tmp_path / "policy.yml", TOOLS), check)
    again.standings.note_policy(again.policy())
    assert again.standings.now(again.policy()).stage == "shadow"
    assert changes(again, "stage") == [("shadow", "bob")]


def test_stage_modes_and_queue_show_on_the_metrics_of_every_replica(
    autonomy: Autonomy, tmp_path: Path, decided: Callable[[Decision, int], None], clock: Clock
) -> None:
    """Gauges from the ledger: the same wherever one looks."""
    put(tmp_path, SEMI)
    decided("approved", 100)
    autonomy.actions.propose(WRITE)
    autonomy.actions.propose(replace(WRITE, disposition="auto"))  # and its process was killed
    url = f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    clock.forward(minutes=10)
    gauges = [AgentGauge("a", tools=TOOL_NAMES, registry=CollectorRegistry(), ledger=url) for _ in "12"]
    for gauge in gauges:
        with closing(gauge):
            Keeper(autonomy, gauge.instruments).refresh()

            def shown(name: str, gauge: AgentGauge = gauge, **labels: str) -> float | None:
                return gauge.registry.get_sample_value(name, {"agent": "a", **labels})

            assert shown("agent_autonomy_stage", stage="semi_autonomous") == 1
            assert shown("agent_autonomy_stage", stage="shadow") == 0
            assert shown("agent_tool_autonomy", tool="write", mode="auto") == 1
            assert shown("agent_tool_autonomy", tool="write", mode="approve") == 0
            assert shown("agent_tool_autonomy", tool="send", mode="approve") == 1
            assert shown("agent_approvals_pending") == 1
            assert shown("agent_approvals_oldest_pending_seconds") == 600
            assert shown("agent_actions_unresolved", tool="write") == 1
            assert shown("agent_actions_unresolved", tool="send") == 0
