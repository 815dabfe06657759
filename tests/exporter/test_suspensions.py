"""Requests that wait for people: kept with their actions, gone on with by one process at a time, over any crash."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Barrier

import pytest

from agentgauge.autonomy.action import LEASE_SECONDS, Proposal
from agentgauge.autonomy.actions import Actions
from agentgauge.autonomy.suspensions import ClaimLostError, Due, Suspensions
from agentgauge.ledger import Ledger
from tests.clock import Clock

SEND = Proposal("send_email", "high", "approval", {"draft_id": 7}, {}, session_id="s", user_id="rep-1")
STATE = {"messages": [{"role": "user", "content": "send it – now"}]}


@pytest.fixture
def suspensions(ledger: Ledger) -> Suspensions:
    """The suspended requests of agent ``a``."""
    return Suspensions(ledger, "a")


@pytest.fixture
def actions(ledger: Ledger) -> Actions:
    """The actions of agent ``a``."""
    return Actions(ledger, "a")


def test_a_request_can_be_claimed_once_all_that_it_waits_for_is_decided(
    suspensions: Suspensions, actions: Actions
) -> None:
    """Not before, whoever looks; and it is as it was kept."""
    kept = suspensions.suspend("s", "rep-1", STATE, [SEND, SEND], {"calls": ["1"]})
    first, second = kept.action_ids
    assert {action.id for action in actions.waiting()} == {first, second}
    actions.decide(first, "approved", "ann")
    assert suspensions.due() == []
    assert suspensions.claim(kept.id) is None
    actions.decide(second, "rejected", "ann")
    assert [due.id for due in suspensions.due()] == [kept.id]
    claimed = suspensions.claim(kept.id)
    assert claimed is not None
    assert (claimed.state, claimed.record) == (STATE, {"calls": ["1"]})
    assert [action.decision for action in claimed.actions] == ["approved", "rejected"]


def test_a_claim_keeps_the_others_off_until_it_runs_out(
    suspensions: Suspensions, actions: Actions, clock: Clock
) -> None:
    """A process that died does not hold a request for ever, one that renews its claim does."""
    kept = suspensions.suspend("s", "rep-1", STATE, [SEND])
    actions.decide(kept.action_ids[0], "approved", "ann")
    assert suspensions.claim(kept.id)
    clock.forward(seconds=LEASE_SECONDS * 0.9)
    assert suspensions.claim(kept.id) is None
    suspensions.renew(kept.id)
    clock.forward(seconds=LEASE_SECONDS * 0.9)
    assert suspensions.claim(kept.id) is None
    assert suspensions.due() == []
    clock.forward(seconds=LEASE_SECONDS * 0.2)
    assert [due.id for due in suspensions.due()] == [kept.id]
    assert suspensions.claim(kept.id) is not None


def test_of_several_replicas_one_claims_a_request(url: str) -> None:
    """Two that went on with it would both send the e-mail."""
    barrier = Barrier(4, timeout=60)
    with closing(Ledger.open(url)) as ledger:
        kept = Suspensions(ledger, "a").suspend("s", "rep-1", STATE, [SEND])
        Actions(ledger, "a").decide(kept.action_ids[0], "approved", "ann")

    def claim(_: int) -> bool:
        with closing(Ledger.open(url)) as ledger:
            barrier.wait(timeout=20)
            return Suspensions(ledger, "a").claim(kept.id) is not None

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(claim, range(4))) == [False, False, False, True]


def test_a_replica_that_looked_before_another_went_on_cannot_go_on_with_the_old_state(
    suspensions: Suspensions, actions: Actions
) -> None:
    """It waits for other actions by then."""
    kept = suspensions.suspend("s", "rep-1", STATE, [SEND])
    actions.decide(kept.action_ids[0], "approved", "ann")
    (seen,) = suspensions.due()
    suspensions.claim(kept.id)
    (waits_for,) = suspensions.suspend_again(kept.id, {"step": 2}, [SEND]).action_ids
    assert suspensions.claim(seen.id) is None
    actions.decide(waits_for, "approved", "ann")
    claimed = suspensions.claim(seen.id)
    assert claimed is not None
    assert (claimed.state, claimed.action_ids) == ({"step": 2}, (waits_for,))


def test_a_request_ends_once_and_its_answer_is_kept_until_it_is_forgotten(
    suspensions: Suspensions, actions: Actions
) -> None:
    """Whose claim ran out meanwhile is told, and leaves nothing behind."""
    kept = suspensions.suspend("s", "rep-1", STATE, [SEND])
    actions.decide(kept.action_ids[0], "approved", "ann")
    suspensions.forget(kept.id)
    waiting = suspensions.of_session("s")
    assert waiting is not None
    assert not waiting.ended
    suspensions.claim(kept.id)
    suspensions.end(kept.id, {"text": "Sent."})
    ended = suspensions.of_session("s")
    assert ended is not None
    assert (ended.ended, ended.answer) == (True, {"text": "Sent."})
    with pytest.raises(ClaimLostError):
        suspensions.end(kept.id, {"text": "Sent again."})
    with pytest.raises(ClaimLostError):
        suspensions.suspend_again(kept.id, {}, [SEND])
    assert actions.waiting() == []
    assert suspensions.of_session("s") == ended
    assert suspensions.due() == []
    suspensions.forget(kept.id)
    assert suspensions.of_session("s") is None


def test_what_is_due_says_when_the_last_decision_was_made(
    suspensions: Suspensions, actions: Actions, clock: Clock
) -> None:
    """The replica where the conversation is open comes first, the others some seconds later."""
    kept = suspensions.suspend("s", "rep-1", STATE, [SEND, SEND])
    actions.decide(kept.action_ids[0], "approved", "ann")
    clock.forward(seconds=4)
    actions.decide(kept.action_ids[1], "approved", "ann")
    decided_at = clock()
    clock.forward(seconds=2)
    assert suspensions.due() == [Due(kept.id, "s", decided_at)]


def test_one_of_many_actions_that_is_undecided_keeps_its_own_request_alone(
    suspensions: Suspensions, actions: Actions
) -> None:
    """Two requests of one session, each with actions of its own."""
    first = suspensions.suspend("s", "rep-1", STATE, [SEND])
    second = suspensions.suspend("s", "rep-1", STATE, [SEND])
    actions.decide(second.action_ids[0], "approved", "ann")
    assert [due.id for due in suspensions.due()] == [second.id]
    actions.decide(first.action_ids[0], "approved", "ann")
    assert {due.id for due in suspensions.due()} == {first.id, second.id}


def test_a_poll_sees_every_change_of_a_request_without_reading_it(suspensions: Suspensions, actions: Actions) -> None:
    """It waits for something else, or has ended; a decision alone is not a change that its user is to hear of."""
    assert suspensions.mark("s") is None
    kept = suspensions.suspend("s", "rep-1", STATE, [SEND])
    first = suspensions.mark("s")
    actions.decide(kept.action_ids[0], "approved", "ann")
    assert suspensions.mark("s") == first
    suspensions.claim(kept.id)
    (waits_for,) = suspensions.suspend_again(kept.id, STATE, [SEND]).action_ids
    second = suspensions.mark("s")
    actions.decide(waits_for, "approved", "ann")
    suspensions.claim(kept.id)
    suspensions.end(kept.id, "done")
    assert len({first, second, suspensions.mark("s")}) == 3


def test_the_newest_request_of_a_session_counts_and_agents_have_their_own(
    suspensions: Suspensions, ledger: Ledger, clock: Clock
) -> None:
    """One that ended and was not forgotten does not hide the next."""
    Suspensions(ledger, "b").suspend("s", None, {}, [])
    assert suspensions.of_session("s") is None
    suspensions.suspend("s", None, {"number": 1}, [])
    clock.forward(seconds=1)
    second = suspensions.suspend("s", None, {"number": 2}, [])
    assert suspensions.of_session("s") == second


def test_a_process_whose_claim_ran_out_cannot_end_what_another_has_suspended_again(
    suspensions: Suspensions, actions: Actions, clock: Clock
) -> None:
    """Its answer would hide what the request waits for by then."""
    kept = suspensions.suspend("s", "rep-1", STATE, [SEND])
    actions.decide(kept.action_ids[0], "approved", "ann")
    assert suspensions.claim(kept.id)
    clock.forward(seconds=LEASE_SECONDS + 1)
    assert suspensions.claim(kept.id)
    again = suspensions.suspend_again(kept.id, STATE, [SEND])
    suspensions.renew(kept.id)
    with pytest.raises(ClaimLostError):
        suspensions.end(kept.id, "done")
    actions.decide(again.action_ids[0], "approved", "ann")
    assert suspensions.claim(kept.id) is not None


def test_what_is_older_than_the_retention_is_deleted(
    suspensions: Suspensions, actions: Actions, ledger: Ledger, clock: Clock
) -> None:
    """Conversations are in it."""
    suspensions.suspend("s", "rep-1", STATE, [SEND])
    clock.forward(days=89)
    ledger.delete_expired("a")
    assert actions.queue().length == 1
    clock.forward(days=2)
    ledger.delete_expired("a")
    assert suspensions.of_session("s") is None
    assert actions.queue().length == 0
