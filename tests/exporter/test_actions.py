"""Proposed actions and what people decide: durable before the call returns, decided once, counted once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Barrier

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import text

from agentgauge import AgentGauge, metrics
from agentgauge.autonomy.action import (
    LEASE_SECONDS,
    AlreadyDecidedError,
    NotUnresolvedError,
    Proposal,
    Settlement,
    UnknownActionError,
)
from agentgauge.autonomy.actions import Actions, TrackRecord
from agentgauge.ledger import Ledger
from agentgauge.ledger.outbox import Measurement, take
from agentgauge.vocabulary import AuditVerdict, Decision
from tests.clock import Clock

SEND = Proposal("send_email", "high", "approval", {"draft_id": 7}, {"messages": []}, session_id="s", user_id="rep-1")


@pytest.fixture
def actions(ledger: Ledger) -> Actions:
    """The actions of agent ``a``."""
    return Actions(ledger, "a")


def value(gauge: AgentGauge, name: str, **labels: str) -> float | None:
    """A sample of the agent."""
    return gauge.registry.get_sample_value(name, {"agent": "a", **labels})


def test_a_proposal_waits_until_it_is_decided(actions: Actions, clock: Clock) -> None:
    """It comes back as it was kept, with the decision and when it was made."""
    action = actions.propose(SEND)
    assert actions.waiting() == [action]
    assert action.proposal == SEND
    clock.forward(seconds=90)
    decided = actions.decide(action.id, "edited", "jane", {"draft_id": 8}, "the other draft")
    assert actions.waiting() == []
    assert actions.get(action.id) == decided
    assert (decided.decision, decided.decided_by, decided.reason) == ("edited", "jane", "the other draft")
    assert decided.final_arguments == {"draft_id": 8}
    assert decided.decided_at == clock()


def test_of_two_people_who_decide_at_once_one_wins_and_the_other_is_told(url: str) -> None:
    """The first decision stands, on both replicas."""
    barrier = Barrier(2, timeout=60)

    def decide(by: str) -> str:
        with closing(Ledger.open(url)) as ledger:
            barrier.wait(timeout=20)
            try:
                Actions(ledger, "a").decide(action.id, "approved", by)
            except AlreadyDecidedError as late:
                return f"{by} was told of {late.action.decided_by}"
            return f"{by} won"

    with closing(Ledger.open(url)) as ledger:
        action = Actions(ledger, "a").propose(SEND)
        with ThreadPoolExecutor(2) as pool:
            said = set(pool.map(decide, ["ann", "bob"]))
    assert said in ({"ann won", "bob was told of ann"}, {"bob won", "ann was told of bob"})


@pytest.mark.parametrize("disposition", ["auto", "suggested", "denied"])
def test_what_does_not_wait_cannot_be_decided(actions: Actions, disposition: str) -> None:
    """A page that is out of date must not decide what the policy let run."""
    action = actions.propose(Proposal("send_email", "high", disposition, {}, {}))  # type: ignore[arg-type]  # one of them
    assert actions.queue().length == 0
    with pytest.raises(AlreadyDecidedError):
        actions.decide(action.id, "approved", "ann")


def test_the_last_decisions_come_newest_first(actions: Actions, clock: Clock) -> None:
    """However long ago they were proposed."""
    start = clock()
    oldest, middle, newest, _waiting = (actions.propose(SEND) for _ in range(4))
    for action in (middle, oldest, newest):
        clock.forward(hours=1)
        actions.decide(action.id, "approved", "ann")
    found = [action.id for action in actions.last_decided(["send_email"], start, 2)]
    assert found == [newest.id, oldest.id]
    assert [action.id for action in actions.last_decided(["send_email"], clock(), 2)] == [newest.id]
    assert actions.last_decided(["draft_email"], start, 2) == []


def test_an_action_of_another_agent_is_unknown(actions: Actions, ledger: Ledger) -> None:
    """Agents share a ledger, not their actions."""
    action = Actions(ledger, "b").propose(SEND)
    with pytest.raises(UnknownActionError, match="a has no action"):
        actions.decide(action.id, "approved", "ann")


def test_an_audit_is_judged_once(actions: Actions) -> None:
    """Only what was sampled is to be judged."""
    sampled = actions.propose(Proposal("update_crm", "medium", "auto", {}, {}, sampled=True))
    unsampled = actions.propose(Proposal("update_crm", "medium", "auto", {}, {}))
    assert actions.to_audit() == [sampled]
    assert actions.audit(sampled.id, "problem", "ann").verdict == "problem"
    assert actions.to_audit() == []
    for action in (sampled, unsampled):
        with pytest.raises(AlreadyDecidedError):
            actions.audit(action.id, "ok", "bob")


def test_a_decision_is_counted_once_by_one_of_the_replicas(url: str) -> None:
    """Made beside the agent, by a command for example, it shows on /metrics all the same."""
    gauges = [
        AgentGauge("a", tools=["send_email"], ledger=Ledger.open(url), registry=CollectorRegistry()) for _ in "12"
    ]
    with closing(Ledger.open(url)) as beside:
        actions = Actions(beside, "a")
        actions.decide(actions.propose(SEND).id, "rejected", "ann")
        sampled = actions.propose(Proposal("send_email", "high", "auto", {}, {}, sampled=True))
        actions.audit(sampled.id, "ok", "ann")
    for gauge in (*gauges, *gauges):
        gauge.refresh_from_ledger()
    for name, labels in {
        "agent_approvals_total": {"tool": "send_email", "risk": "high", "decision": "rejected"},
        "agent_approval_wait_seconds_count": {"tool": "send_email"},
        "agent_audits_total": {"tool": "send_email", "verdict": "ok"},
    }.items():
        assert sum(value(gauge, name, **labels) or 0 for gauge in gauges) == 1, name
    for gauge in gauges:
        gauge.close()


def test_of_many_approved_actions_each_is_started_by_one_caller_once(url: str) -> None:
    """Four replicas that go for the same ones at the same moment; whoever asks later must not do it again either."""
    barrier = Barrier(4, timeout=60)
    with closing(Ledger.open(url)) as ledger:
        actions = Actions(ledger, "a")
        ids = [action.id for action in actions.propose_all([SEND] * 25)]
        assert not actions.start(ids[0])  # nobody approved it yet
        for action_id in ids:
            actions.decide(action_id, "approved", "ann")

    def start(_: int) -> list[str]:
        with closing(Ledger.open(url)) as ledger:
            own = Actions(ledger, "a")
            started = []
            for action_id in ids:
                barrier.wait(timeout=20)
                if own.start(action_id):
                    started.append(action_id)
            return started

    with ThreadPoolExecutor(4) as pool:
        started = [action_id for of_one in pool.map(start, range(4)) for action_id in of_one]
    assert sorted(started) == sorted(ids)
    with closing(Ledger.open(url)) as ledger:
        assert not any(Actions(ledger, "a").start(action_id) for action_id in ids)


@pytest.mark.parametrize("decision", ["rejected", "expired"])
def test_what_was_not_approved_cannot_be_started(actions: Actions, decision: str) -> None:
    """Not even by somebody who did not look."""
    action = actions.propose(SEND)
    actions.decide(action.id, decision, "ann")  # type: ignore[arg-type]  # one of them
    assert not actions.start(action.id)


def test_what_came_of_an_action_is_kept(actions: Actions, clock: Clock) -> None:
    """Between its start and its finish, nobody knows whether it happened."""
    action = actions.propose(SEND)
    actions.decide(action.id, "approved", "ann")
    actions.start(action.id)
    begun = actions.get(action.id)
    assert (begun.started_at, begun.finished_at, begun.result) == (clock(), None, None)
    clock.forward(seconds=2)
    actions.finish(action.id, {"status": "done", "content": "{}"})
    finished = actions.get(action.id)
    assert (finished.finished_at, finished.result) == (clock(), {"status": "done", "content": "{}"})


RUNS_ALONE = replace(SEND, disposition="auto")


def begin(actions: Actions, proposal: Proposal = SEND) -> str:
    """Let an action be proposed, approved where that is needed, and begun; its id."""
    action = actions.propose(proposal)
    if proposal.disposition == "approval":
        actions.decide(action.id, "approved", "ann")
        assert actions.start(action.id)
    return action.id


@pytest.mark.parametrize("proposal", [SEND, RUNS_ALONE], ids=["approved", "unasked"])
def test_what_was_begun_and_is_not_heard_of_any_more_is_unresolved(
    actions: Actions, clock: Clock, proposal: Proposal
) -> None:
    """Not while its process says every few seconds that it goes on, however long that takes."""
    action = begin(actions, proposal)
    for _ in range(20):
        clock.forward(seconds=LEASE_SECONDS / 2)
        actions.renew(action)
        assert actions.unresolved() == []
    clock.forward(seconds=LEASE_SECONDS)
    assert [one.id for one in actions.unresolved()] == [action]
    assert actions.unresolved_by_tool() == {"send_email": 1}
    actions.finish(action, {"status": "done", "content": "{}"})
    assert actions.unresolved() == []


def test_what_an_older_replica_begins_is_unresolved_as_soon(actions: Actions, ledger: Ledger, clock: Clock) -> None:
    """It writes no lease; a process that takes so long to act is rare, and the alert waits for minutes more."""
    action = begin(actions)
    with ledger.writing() as connection:
        connection.execute(text("UPDATE agentgauge_action SET leased_until = NULL"))
    clock.forward(seconds=LEASE_SECONDS - 1)
    assert actions.unresolved() == []
    with pytest.raises(NotUnresolvedError, match="shows in 1 s"):
        actions.settle(action, True, "ann", "it is there")
    clock.forward(seconds=1)
    assert [one.id for one in actions.unresolved()] == [action]


def test_what_was_not_begun_or_has_an_end_is_not_unresolved(actions: Actions, clock: Clock) -> None:
    """Nor is what only was suggested, denied or approved."""
    for disposition in ("suggested", "denied", "approval"):
        actions.propose(replace(SEND, disposition=disposition))
    actions.decide(actions.propose(SEND).id, "approved", "ann")
    actions.finish(begin(actions), {"status": "failed", "content": "ConnectionError"})
    clock.forward(days=1)
    assert actions.unresolved() == []
    assert actions.unresolved_by_tool() == {}


@pytest.mark.parametrize("happened", [True, False])
def test_a_person_settles_what_is_unresolved_and_it_is_never_begun_again(
    actions: Actions, clock: Clock, happened: bool
) -> None:
    """With who says so, and how they know."""
    action = begin(actions)
    clock.forward(seconds=LEASE_SECONDS)
    settled = actions.settle(action, happened, "ann", "asked the mail server")
    assert settled.settlement == Settlement(happened, clock(), "ann", "asked the mail server")
    assert actions.get(action) == settled
    assert actions.unresolved() == []
    assert not actions.start(action)


def test_what_cannot_be_settled_is_refused_with_how_it_stands(actions: Actions, ledger: Ledger, clock: Clock) -> None:
    """The first word stands, and what runs or has ended needs none."""
    settled, waiting, ended, foreign = begin(actions), actions.propose(SEND).id, begin(actions), Actions(ledger, "b")
    actions.finish(ended, {"status": "failed", "content": ""})
    clock.forward(seconds=LEASE_SECONDS)
    actions.settle(settled, False, "ann", "no such mail")
    runs = begin(actions)
    for action, says in {
        settled: f"{settled} was settled before, by ann: it did not happen",
        waiting: f"{waiting} was not begun, so there is nothing to settle",
        ended: f"{ended} has ended, and its outcome is known: failed",
        runs: f"{runs} is still being carried out; if its process does not go on with it, that shows in 30 s",
    }.items():
        with pytest.raises(NotUnresolvedError, match=says):
            actions.settle(action, True, "bob", "I think so")
    with pytest.raises(UnknownActionError, match="b has no action"):
        foreign.settle(settled, True, "bob", "I think so")
    assert actions.get(runs).settlement is None


def test_of_two_people_who_settle_at_once_one_is_told(url: str) -> None:
    """What the first one found stands."""
    barrier = Barrier(2, timeout=60)
    long_ago = datetime.now(UTC) - timedelta(hours=1)
    with closing(Ledger.open(url, now=lambda: long_ago)) as ledger:
        action = begin(Actions(ledger, "a"))

    def settle(by: str) -> str:
        with closing(Ledger.open(url)) as ledger:
            barrier.wait(timeout=20)
            try:
                Actions(ledger, "a").settle(action, by == "ann", by, "I looked")
            except NotUnresolvedError as late:
                return f"late after {late.action.settlement.by}" if late.action.settlement else "?"
            return "won"

    with ThreadPoolExecutor(2) as pool:
        said = sorted(pool.map(settle, ["ann", "bob"]))
    with closing(Ledger.open(url)) as ledger:
        settlement = Actions(ledger, "a").get(action).settlement
    assert settlement is not None
    assert said == [f"late after {settlement.by}", "won"]


def test_proposals_are_kept_together_or_not_at_all(actions: Actions) -> None:
    """Half a message would wait for ever."""
    with pytest.raises(TypeError):
        actions.propose_all([SEND, Proposal("send_email", "high", "approval", {"draft_id": object()}, {})])
    assert actions.waiting() == []


def test_what_waited_too_long_can_no_longer_be_decided_and_is_recorded_as_expired_once(
    actions: Actions, ledger: Ledger, clock: Clock
) -> None:
    """From the second it is due, also while nobody has recorded that yet."""
    action = actions.propose(replace(SEND, expires_in_seconds=60))
    clock.forward(seconds=1)  # those of one moment are in the order of their random ids
    endless = actions.propose(SEND)
    clock.forward(seconds=58)
    actions.expire_due()
    assert actions.waiting() == [action, endless]
    clock.forward(seconds=1)
    assert actions.waiting() == [endless]
    assert actions.queue().length == 1
    with pytest.raises(AlreadyDecidedError, match="has expired: nobody decided in time"):
        actions.decide(action.id, "approved", "ann")
    assert actions.get(action.id).decision is None
    for _ in "12":
        actions.expire_due()
    assert (actions.get(action.id).decision, actions.get(action.id).decided_by) == ("expired", "nobody")
    counted = [(one.spec.name, one.labels) for one in take(ledger, "a")]
    assert counted.count(("agent_approvals_total", ("send_email", "high", "expired"))) == 1


def test_a_track_record_counts_what_people_made_of_a_tool_since_then(actions: Actions, clock: Clock) -> None:
    """What expired was decided by nobody, and what is older or of another tool does not count."""
    decisions: list[Decision] = ["rejected", "approved", "approved", "edited", "rejected", "expired"]
    for decision in decisions:
        actions.decide(actions.propose(SEND).id, decision, "ann")
        clock.forward(days=1)
    actions.decide(actions.propose(replace(SEND, tool="update_crm")).id, "approved", "ann")
    verdicts: list[AuditVerdict] = ["ok", "problem"]
    for verdict in verdicts:
        sampled = actions.propose(replace(SEND, disposition="auto", sampled=True))
        actions.audit(sampled.id, verdict, "ann")
    record = actions.track_record("send_email", clock() - timedelta(days=5))
    assert record == TrackRecord(approved=2, edited=1, rejected=1, expired=1, problems=1)
    assert record.decisions == 4


def test_a_suggestion_is_compared_once_and_counted(actions: Actions, ledger: Ledger) -> None:
    """What a person did instead is kept beside it; it is no decision."""
    suggested = actions.propose(replace(SEND, disposition="suggested"))
    waiting = actions.propose(SEND)
    assert actions.to_compare() == [suggested]
    compared = actions.compare(suggested.id, "misaligned", {"draft_id": 8}, "ann")
    assert (compared.shadow_match, compared.decided_arguments) == ("misaligned", {"draft_id": 8})
    assert actions.to_compare() == []
    assert actions.decided_since(compared.at) == []
    assert take(ledger, "a") == [Measurement(metrics.SHADOW_DECISIONS, ("send_email", "misaligned"))]
    with pytest.raises(AlreadyDecidedError, match="was compared before: misaligned"):
        actions.compare(suggested.id, "aligned", {}, "bob")
    with pytest.raises(AlreadyDecidedError, match="does not wait for that"):
        actions.compare(waiting.id, "aligned", {}, "bob")
