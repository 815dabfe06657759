"""Proposed actions and what people decide: durable before the call returns, decided once, counted once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Barrier

import pytest
from prometheus_client import CollectorRegistry

from agentgauge import AgentGauge
from agentgauge.ledger import Ledger
from agentgauge.ledger.actions import Actions, AlreadyDecidedError, Proposal, UnknownActionError
from tests.exporter.conftest import Clock

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
    barrier = Barrier(2)

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
    assert actions.waiting_count() == 0
    with pytest.raises(AlreadyDecidedError):
        actions.decide(action.id, "approved", "ann")


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
