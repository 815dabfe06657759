"""Operations and replicas in the ledger: every replica sees them, in order, and the tables come by an upgrade."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from agentgauge.ledger import Ledger
from agentgauge.ledger import schema as ledger_schema
from agentgauge.ops.follower import Follower
from agentgauge.ops.operations import Operation, Operations
from agentgauge.ops.replicas import STALE_AFTER, Replica, Replicas
from tests.clock import Clock
from tests.exporter import schemas
from tests.exporter.conftest import sql

BEFORE_OPERATIONS = 2
"""The version of the schema before there were operations."""


@pytest.fixture
def operations(ledger: Ledger) -> Operations:
    """Those of agent ``a``; there are none."""
    return Operations(ledger, "a")


def test_an_operation_is_a_row_with_who_when_and_why(operations: Operations, clock: Clock) -> None:
    """And is read as it was written."""
    operations.add("cache_drop", {"tool": "get_deals"}, "ann", "stale prices")
    expected = Operation(1, clock(), "ann", "stale prices", "cache_drop", {"tool": "get_deals"})
    assert operations.since(0) == [expected]
    assert operations.newest("cache_drop") == expected
    assert operations.newest("switches") is None


def test_operations_are_numbered_by_agent_in_the_order_of_their_commits(url: str, operations: Operations) -> None:
    """Also when several people write at once: nobody who follows the numbers misses one."""

    def add(person: int) -> None:
        with closing(Ledger.open(url)) as ledger:
            for _ in range(5):
                Operations(ledger, "a").add("cache_drop", {"tool": None}, f"person-{person}", "")

    with ThreadPoolExecutor(4) as people:
        list(people.map(add, range(4)))
    assert [one.number for one in operations.since(0)] == list(range(1, 21))
    assert [one.number for one in operations.since(18)] == [19, 20]


def test_another_agent_on_the_ledger_has_its_own(ledger: Ledger, operations: Operations) -> None:
    """Numbers and operations."""
    operations.add("end_session", {"session": "s-1"}, "ann", "")
    other = Operations(ledger, "b")
    assert (other.newest_number(), other.since(0)) == (0, [])
    assert other.add("end_session", {"session": "s-2"}, "ann", "").number == 1


def test_a_follower_carries_out_what_comes_after_it_was_made_once(operations: Operations) -> None:
    """What was done before is over: a session that was ended, a cache that was dropped."""
    operations.add("end_session", {"session": "before"}, "ann", "")
    seen: list[str] = []
    follower = Follower(operations, lambda fault: seen.append(repr(fault)))
    follower.add_listener("end_session", lambda operation: seen.append(operation.detail["session"]))
    for session in ("first", "second"):
        operations.add("end_session", {"session": session}, "ann", "")
        operations.add("cache_drop", {"tool": None}, "ann", "")
    follower.follow()
    follower.follow()
    assert seen == ["first", "second"]


def test_a_listener_that_fails_does_not_keep_others_from_theirs(operations: Operations) -> None:
    """The fault is reported; the operation is not tried again."""
    faults: list[Exception] = []
    follower = Follower(operations, faults.append)
    seen: list[int] = []

    def fail(_operation: Operation) -> None:
        raise RuntimeError("the cache is broken")

    follower.add_listener("cache_drop", fail)
    follower.add_listener("cache_drop", lambda operation: seen.append(operation.number))
    operations.add("cache_drop", {"tool": None}, "ann", "")
    follower.follow()
    follower.follow()
    assert (seen, [str(fault) for fault in faults]) == ([1], ["the cache is broken"])


def test_expired_operations_are_deleted_but_for_the_newest_of_each_kind(
    ledger: Ledger, operations: Operations, clock: Clock
) -> None:
    """A switch stays in force for years, and the numbers go on."""
    for kind in ("switches", "switches", "cache_drop"):
        operations.add(kind, {}, "ann", "")
    clock.forward(days=91)
    ledger.delete_expired("a")
    assert [one.number for one in operations.since(0)] == [2, 3]
    assert operations.add("cache_drop", {}, "ann", "").number == 4


def replica(clock: Clock, replica_id: str = "r-1", address: str = "http://127.0.0.1:9464") -> Replica:
    """A replica that has just started."""
    return Replica(replica_id, address, "1.0", clock())


def test_a_replica_is_found_by_its_address_as_long_as_it_renews_it(ledger: Ledger, clock: Clock) -> None:
    """One that died without a word is ignored after 30 seconds."""
    replicas = Replicas(ledger, "a")
    one, other = replica(clock), replica(clock, "r-2", "http://10.0.0.5:9464")
    replicas.renew(one)
    replicas.renew(other)
    assert replicas.live() == [other, one]
    clock.forward(seconds=20)
    replicas.renew(one)
    clock.forward(seconds=20)
    assert replicas.live() == [one]
    replicas.remove(one.id)
    assert replicas.live() == []


def test_stale_replicas_are_swept_when_another_one_renews(ledger: Ledger, url: str, clock: Clock) -> None:
    """Of the same agent; the table does not grow with each restart."""
    Replicas(ledger, "a").renew(replica(clock))
    Replicas(ledger, "b").renew(replica(clock))
    clock.forward(seconds=STALE_AFTER.total_seconds() + 1)
    Replicas(ledger, "a").renew(replica(clock, "r-2"))
    rows = sql(url, "SELECT agent, id FROM agentgauge_replica ORDER BY agent")
    assert [tuple(row) for row in rows] == [("a", "r-2"), ("b", "r-1")]


def test_a_token_is_of_one_replica_of_one_ledger(ledger: Ledger, url: str) -> None:
    """Whoever can read the ledger derives the same one."""
    token = Replicas(ledger, "a").token("r-1")
    with closing(Ledger.open(url)) as again:
        assert Replicas(again, "a").token("r-1") == token
    others = {Replicas(ledger, "a").token("r-2"), Replicas(ledger, "b").token("r-1")}
    assert len({token, *others}) == 3
    assert ledger.pseudonym("control endpoint") not in token


def test_a_ledger_from_before_operations_is_upgraded(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its rows and its key stay; operations and replicas can be written at once."""
    schemas.create(url, BEFORE_OPERATIONS)
    with monkeypatch.context() as old:
        old.setattr(ledger_schema, "VERSION", BEFORE_OPERATIONS)
        with closing(Ledger.open(url)) as ledger:
            pseudonym = ledger.pseudonym("rep-1")
    insert = "INSERT INTO agentgauge_usage (agent, day, user_id, sessions, turns, cost_usd) VALUES "
    sql(url, insert + "('a', '2026-03-18', 'rep-1', 1, 1, 0.5)")
    with closing(Ledger.open(url)) as ledger:
        assert ledger.user_behind(pseudonym) == "rep-1"
        assert Operations(ledger, "a").add("switches", {}, "ann", "").number == 1
        Replicas(ledger, "a").renew(Replica("r-1", "http://127.0.0.1:1", "1.0", ledger.now()))
        assert [one.id for one in Replicas(ledger, "a").live()] == ["r-1"]
    rows = sql(url, "SELECT value FROM agentgauge_meta WHERE name = 'schema_version'")
    assert [row.value for row in rows] == [str(ledger_schema.VERSION)]
