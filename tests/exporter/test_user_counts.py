"""Active users are counted as usage is written: the same numbers as from reading all of it, at any size."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from itertools import count
from threading import Barrier

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentgauge.ledger import Ledger, Usage
from agentgauge.ledger.activity import SLOT_SECONDS
from agentgauge.ledger.store import UserDay
from tests.clock import Clock
from tests.exporter import schemas
from tests.exporter.conftest import sql

agents = count()

seconds_ago = st.builds(
    lambda days, minutes, seconds: max(0.0, days * 86_400 + minutes * 60 + seconds),
    st.sampled_from([0, 1 / 24, 0.9, 1, 2, 6, 7, 8, 13, 14, 15, 20, 21, 22, 28, 29]),
    st.integers(-6, 6),
    st.sampled_from([-1e-3, 0, 0.5]),
)
"""Where windows are cut, and around it."""
one_use = st.tuples(st.sampled_from(["rep-1", "rep-2", "rep-3"]), seconds_ago, seconds_ago, st.booleans())
flushes = st.lists(st.lists(one_use, min_size=1, max_size=6), min_size=1, max_size=4)


def batch(now: datetime, uses: list[tuple[str, float, float, bool]]) -> dict[UserDay, Usage]:
    """What a recorder would have added up: each use is a turn, or a request that failed without one."""
    added: dict[UserDay, Usage] = {}
    for user, turn_ago, failed_ago, fails in uses:
        turn = now.timestamp() - turn_ago
        added.setdefault((day_of(turn), user), Usage()).add(Usage(1, 1, 0.0, turn, turn))
        if fails:
            failed = now.timestamp() - failed_ago
            added.setdefault((day_of(failed), user), Usage()).add(Usage(last_failed_at=failed))
    return added


def day_of(at: float) -> date:
    """The UTC day of a moment."""
    return datetime.fromtimestamp(at, UTC).date()


def figures(now: datetime, uses: list[tuple[str, float, float, bool]]) -> dict[str, int]:
    """The same figures from every single use, with windows cut at the beginning of a slot."""

    def cut(days: float) -> float:
        return (now.timestamp() - days * 86_400) // SLOT_SECONDS * SLOT_SECONDS

    turns = [(user, now.timestamp() - ago) for user, ago, _, _ in uses]
    failures = [(user, now.timestamp() - ago) for user, _, ago, fails in uses if fails]

    def since(days: float, of: list[tuple[str, float]]) -> set[str]:
        return {user for user, at in of if at >= cut(days)}

    cohort = {user for user, at in turns if cut(14) <= at < cut(7)}
    failed = since(1 / 24, failures)
    return {
        "1d": len(since(1, turns)),
        "7d": len(since(7, turns)),
        "28d": len(since(28, turns)),
        "cohort": len(cohort),
        "returned": len(cohort & since(7, turns)),
        "failed": len(failed),
        "others": len(since(1 / 24, turns) - failed),
    }


def counted(ledger: Ledger, agent: str) -> dict[str, int]:
    """The figures that the ledger gives."""
    users = ledger.users(agent)
    return {
        **users.active,
        "cohort": users.cohort,
        "returned": users.returned,
        "failed": users.failed_last_hour,
        "others": users.others_last_hour,
    }


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(flushes=flushes, offset=st.sampled_from([0, 1, 299.999]))
def test_counts_say_what_reading_all_usage_would(
    ledger: Ledger, clock: Clock, flushes: list[list[tuple[str, float, float, bool]]], offset: float
) -> None:
    """In whatever order replicas write turns and failures of whatever age, and however near to a cut they are."""
    clock.at = datetime(2026, 3, 18, 12, tzinfo=UTC) + timedelta(seconds=offset)
    agent = f"agent-{next(agents)}"
    for uses in flushes:
        ledger.add_usage(agent, batch(ledger.now(), uses))
    assert counted(ledger, agent) == figures(ledger.now(), [use for uses in flushes for use in uses])


def test_users_leave_the_windows_as_time_goes_by(ledger: Ledger, clock: Clock) -> None:
    """Nobody has to write anything for that; a user of a month ago is new when coming back."""
    uses = [("rep-1", 0.0, 0.0, True), ("rep-2", 3 * 86_400.0, 0.0, False)]
    ledger.add_usage("a", batch(ledger.now(), uses))
    for hours in (1, 12, 30, 24 * 5, 24 * 9, 24 * 20):
        clock.forward(hours=hours)
        uses = [(user, turn + hours * 3600, failed + hours * 3600, fails) for user, turn, failed, fails in uses]
        assert counted(ledger, "a") == figures(ledger.now(), uses)
    ledger.delete_expired("a")
    ledger.add_usage("a", batch(ledger.now(), [("rep-1", 0.0, 0.0, False)]))
    assert ledger.users("a").active == {"1d": 1, "7d": 1, "28d": 1}


def test_what_no_window_needs_is_deleted(ledger: Ledger, clock: Clock, url: str) -> None:
    """Usage itself is kept for longer."""
    ledger.add_usage("a", batch(ledger.now(), [("rep-1", 0.0, 0.0, True)]))
    ledger.add_usage("b", batch(ledger.now(), [("rep-1", 0.0, 0.0, False)]))
    clock.forward(days=31)
    ledger.delete_expired("a")
    for table in ("agentgauge_user", "agentgauge_user_count"):
        assert {row.agent for row in sql(url, f"SELECT agent FROM {table}")} == {"b"}  # noqa: S608 - the names above
    assert len(sql(url, "SELECT 1 FROM agentgauge_usage WHERE agent = 'a'")) == 1


def test_a_ledger_of_before_is_counted_when_it_is_opened(url: str, clock: Clock) -> None:
    """All agents of it, also turns of which nobody had noted the time."""
    schemas.create(url, 14)
    moment = (clock.at - timedelta(hours=2)).timestamp()
    for agent, user, day, times in (
        ("a", "rep-1", "2026-03-18", (moment, moment, "NULL")),
        ("a", "rep-1", "2026-03-08", ("NULL", "NULL", "NULL")),
        ("a", "rep-2", "2026-03-18", (moment, moment, clock.at.timestamp())),
        ("a", "rep-3", "2026-03-07", (moment - 11 * 86_400, moment - 11 * 86_400, "NULL")),
        ("b", "rep-1", "2026-03-17", (moment - 86_400, moment - 86_400, "NULL")),
    ):
        values = ", ".join(str(one) for one in times)
        sql(url, f"INSERT INTO agentgauge_usage VALUES ('{agent}', '{day}', '{user}', 1, 1, 0, {values}, NULL)")  # noqa: S608
    with closing(Ledger.open(url, now=clock)) as opened:
        assert counted(opened, "a") == {
            "1d": 2, "7d": 2, "28d": 3, "cohort": 2, "returned": 1, "failed": 1, "others": 0
        }  # fmt: skip
        assert opened.users("b").active == {"1d": 0, "7d": 1, "28d": 1}


def test_what_an_older_replica_wrote_is_counted_within_the_hour(ledger: Ledger, url: str) -> None:
    """It does not count; a replica that does looks for what is missing, and counts nothing twice."""
    ledger.add_usage("a", batch(ledger.now(), [("rep-1", 86_400.0, 0.0, False), ("rep-2", 60.0, 0.0, False)]))
    now = ledger.now().timestamp()
    for user in ("rep-1", "rep-3"):
        values = f"'a', '2026-03-18', '{user}', 1, 1, 0, {now}, {now}, {now}, NULL"
        sql(url, f"INSERT INTO agentgauge_usage VALUES ({values})")  # noqa: S608 - the values above
    assert ledger.users("a").active["28d"] == 2
    for _ in range(2):
        ledger.catch_up("a")
        users = ledger.users("a")
        assert (users.active["28d"], users.failed_last_hour, users.others_last_hour) == (3, 2, 1)


def test_replicas_that_write_the_same_new_user_count_one(url: str, clock: Clock) -> None:
    """Each of them sees a user whom nobody knows yet."""
    replicas = 4
    together = Barrier(replicas, timeout=60)

    def write(replica: int) -> None:
        with closing(Ledger.open(url, now=clock)) as ledger:
            for number in range(5):
                together.wait()
                uses = [(f"rep-{number}-{user}", 3600.0 * replica, 0.0, False) for user in range(5)]
                ledger.add_usage("a", batch(ledger.now(), uses))

    with ThreadPoolExecutor(replicas) as pool:
        list(pool.map(write, range(replicas)))
    with closing(Ledger.open(url, now=clock)) as ledger:
        assert ledger.users("a").active == {"1d": 25, "7d": 25, "28d": 25}
