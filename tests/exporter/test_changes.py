"""Changes of an agent's autonomy: the last is the state; of several who come to one conclusion, one records it."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Barrier

import pytest

from agentgauge import metrics
from agentgauge.autonomy.changes import Changes
from agentgauge.ledger import Ledger
from agentgauge.ledger.outbox import Measurement, take
from tests.clock import Clock

PROMOTED = Measurement(metrics.AUTONOMY_CHANGES, ("send_email", "promoted"))


@pytest.fixture
def changes(ledger: Ledger) -> Changes:
    """The changes of agent ``a``."""
    return Changes(ledger, "a")


def test_the_last_change_is_the_state_though_the_clock_stands_still(changes: Changes) -> None:
    """Two changes in one moment have an order all the same."""
    stages = [None, "shadow", "approval_required", "shadow", "autonomous"]
    for before, after in itertools.pairwise(stages):
        assert changes.record("stage", before, str(after), "jane", "a test")
    last = changes.last("stage")
    assert last is not None
    assert (last.before, last.after, last.changed_by, last.reason) == ("shadow", "autonomous", "jane", "a test")
    assert changes.state() == {"stage": last}
    assert [change.after for change in changes.history()] == stages[1:]


def test_a_change_from_a_state_that_is_gone_is_not_recorded_nor_counted(changes: Changes, ledger: Ledger) -> None:
    """Somebody else changed it before."""
    assert changes.record("tool:send_email", None, "promoted", "rule", "earned", PROMOTED)
    assert not changes.record("tool:send_email", None, "promoted", "rule", "earned", PROMOTED)
    assert len(changes.history()) == 1
    assert take(ledger, "a") == [PROMOTED]


def test_of_several_replicas_one_records_a_change(url: str) -> None:
    """They judge the same figures at the same time."""
    barrier = Barrier(4, timeout=60)

    def promote(_: int) -> bool:
        with closing(Ledger.open(url)) as ledger:
            barrier.wait(timeout=20)
            return Changes(ledger, "a").record("tool:send_email", None, "promoted", "rule", "earned", PROMOTED)

    with closing(Ledger.open(url)) as ledger, ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(promote, range(4))) == [False, False, False, True]
        assert take(ledger, "a") == [PROMOTED]


def test_agents_that_share_a_ledger_change_each_their_own(changes: Changes, ledger: Ledger, clock: Clock) -> None:
    """One agent's promotion is none of the other's."""
    Changes(ledger, "b").record("stage", None, "autonomous", "jane", "a test")
    clock.forward(days=1)
    assert changes.state() == {}
    assert changes.last("stage") is None
