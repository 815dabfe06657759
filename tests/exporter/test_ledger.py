"""The ledger's figures, its schema, and what it says when it cannot be opened."""

from __future__ import annotations

import sqlite3
import stat
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, time, timedelta, timezone
from pathlib import Path
from threading import Barrier
from time import monotonic
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Column, MetaData, Text, create_engine, inspect
from sqlalchemy.exc import OperationalError

from agentgauge.ledger import Ledger, LedgerError, Spend, Usage, databases, user_weeks
from agentgauge.ledger import schema as ledger_schema
from agentgauge.ledger.backup import back_up
from agentgauge.ledger.store import is_storable
from tests.clock import Clock
from tests.exporter import schemas
from tests.exporter.conftest import sql


def use(ledger: Ledger, user_id: str, *days_ago: int, agent: str = "a") -> None:
    """One turn of a user, so many times 24 hours ago."""
    for days in days_ago:
        turn(ledger, user_id, ledger.now() - timedelta(days=days), agent)


def turn(ledger: Ledger, user_id: str, at: datetime, agent: str = "a") -> None:
    """One turn of a user at that time."""
    moment = at.timestamp()
    ledger.add_usage(agent, {(at.astimezone(UTC).date(), user_id): Usage(1, 1, 0.0, moment, moment)})


def test_usage_of_a_user_and_day_adds_up(ledger: Ledger, url: str) -> None:
    """Every flush of every replica adds to the same row."""
    day = ledger.today()
    for _ in range(2):
        ledger.add_usage("a", {(day, "rep-1"): Usage(1, 2, 0.25), (day, "rep-2"): Usage(1, 0, 0.0)})
    rows = sql(url, "SELECT day, user_id, sessions, turns, cost_usd FROM agentgauge_usage ORDER BY user_id")
    assert [tuple(row) for row in rows] == [("2026-03-18", "rep-1", 2, 4, 0.5), ("2026-03-18", "rep-2", 2, 0, 0.0)]


def test_windows_trail(ledger: Ledger) -> None:
    """To five minutes; a user counts once, by the last turn."""
    for days in (1, 7, 28):
        since = ledger.now() - timedelta(days=days)
        turn(ledger, f"in {days}", since)
        turn(ledger, f"before {days}", since - timedelta(seconds=1))
    use(ledger, "daily", *range(28))
    assert ledger.users("a").active == {"1d": 2, "7d": 4, "28d": 6}


def test_midnight_does_not_forget_who_was_there_an_hour_ago(ledger: Ledger, clock: Clock) -> None:
    """The day's users are those of 24 hours, whenever it is."""
    turn(ledger, "late", datetime(2026, 3, 18, 23, 30, tzinfo=UTC))
    clock.at = datetime(2026, 3, 19, 0, 30, tzinfo=UTC)
    assert ledger.users("a").active["1d"] == 1


def test_the_first_and_the_last_turn_of_a_day_tell_on_which_side_of_a_cut_a_user_was(
    ledger: Ledger, clock: Clock
) -> None:
    """Whichever replica wrote which, and in whatever order."""
    day = datetime(2026, 3, 10, tzinfo=UTC)
    for hour in (13, 9, 15):
        turn(ledger, "rep-1", day + timedelta(hours=hour))
    for since, active in ((8, 1), (15, 1), (16, 0)):
        clock.at = day + timedelta(days=7, hours=since)
        assert ledger.users("a").active["7d"] == active
    for since, cohort in ((9, 0), (10, 1)):
        clock.at = day + timedelta(days=7, hours=since)
        assert ledger.users("a").cohort == cohort


@pytest.mark.parametrize(
    ("zone", "last", "previous"),
    [
        ("UTC", 2, 1),
        ("Asia/Kathmandu", 3, 0),  # 5:45 ahead: both turns of the evening are of the next day there
        ("America/Los_Angeles", 2, 1),
    ],
)
def test_user_days_are_of_whole_days_of_the_time_zone(
    ledger: Ledger, clock: Clock, zone: str, last: int, previous: int
) -> None:
    """Today is not whole yet; a user counts once a day."""
    clock.at = datetime(2026, 3, 18, 12, tzinfo=UTC)
    turn(ledger, "rep-1", datetime(2026, 3, 18, 11, tzinfo=UTC))
    turn(ledger, "rep-1", datetime(2026, 3, 17, 10, tzinfo=UTC))
    turn(ledger, "rep-1", datetime(2026, 3, 17, 17, tzinfo=UTC))
    turn(ledger, "rep-2", datetime(2026, 3, 17, 17, tzinfo=UTC))
    turn(ledger, "rep-1", datetime(2026, 3, 10, 20, tzinfo=UTC))
    assert ledger.user_days("a", ZoneInfo(zone)) == {"last_7d": last, "previous_7d": previous}


@pytest.mark.parametrize("now", [datetime(2026, 3, 29, 12, tzinfo=UTC), datetime(2026, 11, 1, 12, tzinfo=UTC)])
def test_days_of_23_and_25_hours_are_days(ledger: Ledger, clock: Clock, now: datetime) -> None:
    """Clocks go forward and back: every turn is of one day, the one that people there call it."""
    zone = ZoneInfo("America/New_York")
    clock.at = now
    day = now.astimezone(zone).date()
    for number in range(15):
        for hour in (0, 23):
            turn(ledger, "rep-1", datetime.combine(day - timedelta(days=number), time(hour, 30), zone))
    assert ledger.user_days("a", zone) == {"last_7d": 7, "previous_7d": 7}


def test_a_row_of_an_older_replica_counts_for_noon(ledger: Ledger, url: str) -> None:
    """It does not say when its turns were taken."""
    sql(url, "INSERT INTO agentgauge_usage VALUES ('a', '2026-03-17', 'rep-1', 1, 1, 0, NULL, NULL, NULL, NULL)")
    assert ledger.user_days("a") == {"last_7d": 1, "previous_7d": 0}
    turn(ledger, "rep-1", datetime(2026, 3, 17, 22, tzinfo=UTC))
    assert ledger.users("a").active["7d"] == 1


def test_a_session_without_a_turn_is_not_use(ledger: Ledger) -> None:
    """Neither is spend without a turn."""
    ledger.add_usage("a", {(ledger.today(), "rep-1"): Usage(sessions=1, cost_usd=1.0)})
    assert ledger.users("a").active == {"1d": 0, "7d": 0, "28d": 0}


def test_a_day_is_a_day_in_utc(ledger: Ledger, clock: Clock) -> None:
    """Half past eleven in New York is tomorrow already."""
    clock.at = datetime(2026, 3, 18, 23, 30, tzinfo=timezone(timedelta(hours=-4)))
    assert ledger.today().isoformat() == "2026-03-19"


def test_midnight_begins_a_new_day_of_spend(ledger: Ledger, clock: Clock) -> None:
    """Yesterday's users leave the list of spenders, and no window."""
    ledger.add_usage("a", {(ledger.today(), "rep-1"): Usage(1, 1, 2.0)})
    clock.at = datetime(2026, 3, 18, 23, 59, 59, tzinfo=UTC)
    assert ledger.users("a").active["1d"] == 1
    assert len(ledger.users("a").top_spenders) == 1
    clock.forward(seconds=1)
    figures = ledger.users("a")
    assert (figures.active["1d"], figures.active["7d"], figures.top_spenders) == (1, 1, ())


def test_retention_is_of_last_weeks_users_those_who_came_this_week(ledger: Ledger) -> None:
    """The cohort came 14 to 7 days ago; new users and older ones are not in it."""
    use(ledger, "rep-back", 14, 6)
    use(ledger, "rep-back-today", 8, 0)
    use(ledger, "rep-gone", 8, 10)
    use(ledger, "rep-new", 7)
    use(ledger, "rep-old", 15, 3)
    figures = ledger.users("a")
    assert (figures.cohort, figures.returned) == (3, 2)


def test_a_cohort_are_the_users_who_came_first_in_the_same_week(ledger: Ledger) -> None:
    """By how many weeks ago they came and how many weeks later they were active; of a week, each user counts once."""
    use(ledger, "rep-stays", 15, 14, 8, 1)
    use(ledger, "rep-left", 16)
    use(ledger, "rep-new", 0, 6)
    use(ledger, "rep-old", 70, 1)
    use(ledger, "rep-of-another", 1, agent="b")
    assert ledger.cohorts("a") == {(2, 0): 2, (2, 1): 1, (2, 2): 1, (0, 0): 1}


@pytest.mark.parametrize("in_a_part", [1, 2, 5])
def test_weeks_of_use_are_read_in_parts_of_the_users(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, in_a_part: int
) -> None:
    """Each user is in one part, those whose activity is long ago as well."""
    monkeypatch.setattr(user_weeks, "USERS_IN_A_PART", in_a_part)
    for number in range(5):
        use(ledger, f"rep-{number}", 1, 3, 15)
    use(ledger, "rep-2x", 45)
    assert ledger.cohorts("a") == {(2, 0): 5, (2, 2): 5, (6, 0): 1}
    assert ledger.user_days("a") == {"last_7d": 10, "previous_7d": 0}


def test_statements_for_the_weeks_are_remembered_for_three_parts_and_no_further_ones(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first part, the last and one between: memory grows as the second and the third come, and then never."""
    monkeypatch.setattr(user_weeks, "USERS_IN_A_PART", 2)
    remembered = []
    with closing(Ledger.open(f"sqlite:///{tmp_path / 'ledger.sqlite'}", now=clock)) as ledger:
        database = ledger._database
        assert isinstance(database, databases.SqliteFile)
        for number in range(16):
            use(ledger, f"rep-{number:02}", 1)
            ledger.cohorts("a")
            ledger.user_days("a")
            cache = database._engine._compiled_cache
            assert cache is not None
            remembered.append(len(cache))
    assert remembered[0] < remembered[2] < remembered[4]
    assert set(remembered[4:]) == {remembered[4]}


def test_agents_do_not_see_each_others_users(ledger: Ledger) -> None:
    """One database may hold many agents."""
    use(ledger, "rep-1", 0, agent="b")
    assert ledger.users("a").active["28d"] == 0


def test_only_the_ten_costliest_users_of_today_are_named(ledger: Ledger) -> None:
    """Costliest first, and nobody who spent nothing."""
    today = ledger.today()
    spend = {f"rep-{number}": 0.1 * number for number in range(12)}
    ledger.add_usage("a", {(today, user_id): Usage(1, 3, usd) for user_id, usd in spend.items()})
    ledger.add_usage("a", {(today - timedelta(days=1), "rep-0"): Usage(1, 1, 99.0)})
    named = ledger.users("a").top_spenders
    assert [spender.user for spender in named] == [ledger.pseudonym(f"rep-{number}") for number in range(11, 1, -1)]
    assert named[0] == Spend(ledger.pseudonym("rep-11"), spend["rep-11"], 3)
    assert len(ledger.top_spenders("a", 100)) == 11


def test_a_pseudonym_is_keyed_kept_and_found_again(ledger: Ledger, url: str, tmp_path: Path) -> None:
    """Twelve hex digits, the same for every process on this ledger, others in another ledger."""
    use(ledger, "rep-1", 0)
    pseudonym = ledger.pseudonym("rep-1")
    assert len(bytes.fromhex(pseudonym)) == 6
    with closing(Ledger.open(url)) as again:
        assert again.pseudonym("rep-1") == pseudonym
        assert again.user_behind(pseudonym) == "rep-1"
        assert again.user_behind(ledger.pseudonym("rep-2")) is None
    with closing(Ledger.open(f"sqlite:///{tmp_path / 'other.sqlite'}")) as elsewhere:
        assert elsewhere.pseudonym("rep-1") != pseudonym


def test_a_pseudonym_is_looked_up_in_an_index(ledger: Ledger, url: str) -> None:
    """Among a million users as fast as among ten, once each was seen by this version."""
    use(ledger, "rep-1", 0)
    plan = "EXPLAIN QUERY PLAN"
    if not url.startswith("sqlite"):  # which would read a small table whole
        plan, url = "EXPLAIN", f"{url}?options=-c%20enable_seqscan%3Doff"
    for sought in ("pseudonym = 'x'", "pseudonym IS NULL"):
        shown = sql(url, f"{plan} SELECT user_id FROM agentgauge_usage WHERE {sought}")  # noqa: S608 - not from outside
        assert "agentgauge_usage_pseudonym" in str(shown)


def test_users_whose_rows_are_older_are_named_once_an_hour(ledger: Ledger, url: str) -> None:
    """And are found before that, too; other agents' replicas name theirs."""
    use(ledger, "rep-1", 0, 3)
    use(ledger, "rep-2", 1, agent="b")
    sql(url, "UPDATE agentgauge_usage SET pseudonym = NULL")
    assert ledger.user_behind(ledger.pseudonym("rep-1")) == "rep-1"
    use(ledger, "rep-1", 0)
    ledger.catch_up("a")
    rows = sql(url, "SELECT user_id, turns, pseudonym FROM agentgauge_usage ORDER BY day DESC")
    named = ledger.pseudonym("rep-1")
    assert [tuple(row) for row in rows] == [("rep-1", 2, named), ("rep-2", 1, None), ("rep-1", 1, named)]


def test_what_is_older_than_the_retention_is_deleted(url: str, clock: Clock) -> None:
    """Usage by day, feedback by the second; of this agent only."""

    def left(ledger: Ledger, table: str) -> int:
        ledger.delete_expired("a")
        return len(sql(url, f"SELECT 1 FROM {table} WHERE agent = 'a'"))  # noqa: S608 - the names below

    with closing(Ledger.open(url, retention_days=30, now=clock)) as ledger:
        use(ledger, "rep-1", 0)
        use(ledger, "rep-1", 0, agent="b")
        ledger.add_feedback("a", "rep-1", "up", "none")
        clock.forward(days=30)
        assert (left(ledger, "agentgauge_usage"), left(ledger, "agentgauge_feedback")) == (1, 1)
        clock.forward(seconds=1)
        assert (left(ledger, "agentgauge_usage"), left(ledger, "agentgauge_feedback")) == (1, 0)
        clock.forward(days=1)
        assert left(ledger, "agentgauge_usage") == 0
    assert len(sql(url, "SELECT 1 FROM agentgauge_usage WHERE agent = 'b'")) == 1


def test_a_retention_that_would_starve_the_gauges_is_refused(tmp_path: Path) -> None:
    """The 28-day window needs 28 days."""
    with pytest.raises(ValueError, match="retention_days=27: the gauges need 28 days or more"):
        Ledger.open(f"sqlite:///{tmp_path / 'ledger.sqlite'}", retention_days=27)


def shape(url: str) -> dict[str, object]:
    """Columns, keys and indexes of every table, as the database itself reports them."""
    engine = create_engine(url)
    database = inspect(engine)
    keys, indexes = database.get_multi_pk_constraint(), database.get_multi_indexes()
    shapes = {
        name: (
            [(one["name"], str(one["type"]), one["nullable"]) for one in columns],
            keys[schema, name]["constrained_columns"],
            {
                one["name"]: (one["column_names"], one["unique"], _where(one.get("dialect_options", {})))
                for one in indexes[schema, name]
            },
        )
        for (schema, name), columns in database.get_multi_columns().items()
    }
    engine.dispose()
    return dict(shapes)


def _where(options: dict[str, object]) -> str:
    where = next((str(value) for name, value in options.items() if name.endswith("_where")), "")
    return " ".join(where.split())


def test_every_released_schema_becomes_the_one_of_a_new_ledger(url: str) -> None:
    """Table by table, column by column, index by index, as the database reports them.

    It fails when tables change without a new VERSION and its statements in schemas.py: ledgers of before would not
    catch up.
    """
    assert len(schemas.STEPS) == ledger_schema.VERSION
    Ledger.open(url).close()
    new = shape(url)
    assert sorted(new) == sorted(ledger_schema.tables.tables)
    engine = create_engine(url)
    for version in range(1, ledger_schema.VERSION + 1):
        ledger_schema.tables.drop_all(engine)
        schemas.create(url, version)
        Ledger.open(url).close()
        assert shape(url) == new, f"from version {version}"
    engine.dispose()


def test_an_older_ledger_keeps_its_rows_and_its_key(url: str) -> None:
    """Opening it with newer code is all it takes; doing so again changes nothing."""
    schemas.create(url, 1)
    sql(url, "INSERT INTO agentgauge_usage VALUES ('a', '2026-03-18', 'rep-1', 1, 2, 0.5)")
    for _ in range(2):
        with closing(Ledger.open(url)) as newer:
            assert newer.user_behind(newer.pseudonym("rep-1")) == "rep-1"
    assert [tuple(row) for row in sql(url, "SELECT user_id, turns FROM agentgauge_usage")] == [("rep-1", 2)]
    assert [row.value for row in sql(url, "SELECT value FROM agentgauge_meta WHERE name = 'pseudonym_key'")] == [
        schemas.KEY
    ]


def with_columns(*columns: Column[Any]) -> MetaData:
    """The tables of a version to come, whose usage has these columns as well."""
    newer = MetaData()
    for table in ledger_schema.tables.sorted_tables:
        table.to_metadata(newer)
    for column in columns:
        newer.tables["agentgauge_usage"].append_column(column)
    return newer


def test_a_new_column_is_added_to_an_older_ledger(ledger: Ledger, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And is null in the rows that are there."""
    use(ledger, "rep-1", 0)
    monkeypatch.setattr(ledger_schema, "tables", with_columns(Column("region", Text)))
    monkeypatch.setattr(ledger_schema, "VERSION", ledger_schema.VERSION + 1)
    Ledger.open(url).close()
    assert [tuple(row) for row in sql(url, "SELECT user_id, region FROM agentgauge_usage")] == [("rep-1", None)]


def test_an_upgrade_that_fails_leaves_the_old_schema(ledger: Ledger, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it or nothing: the old code still works on it."""
    use(ledger, "rep-1", 0)
    with monkeypatch.context() as patched:
        columns = with_columns(Column("region", Text), Column("office", Text, nullable=False))
        patched.setattr(ledger_schema, "tables", columns)
        patched.setattr(ledger_schema, "VERSION", ledger_schema.VERSION + 1)
        with pytest.raises(LedgerError, match=r"(?i)not null|contains null values"):
            Ledger.open(url)
    use(ledger, "rep-1", 0)
    assert "region" not in sql(url, "SELECT * FROM agentgauge_usage")[0]._fields
    Ledger.open(url).close()


def test_a_ledger_of_newer_code_is_refused_and_left_alone(ledger: Ledger, url: str) -> None:
    """Where older code would leave something out: the message says what to upgrade."""
    sql(url, "UPDATE agentgauge_meta SET value = '99' WHERE name in ('schema_version', 'oldest_user')")
    with pytest.raises(LedgerError, match=r"schema has version 99, this agentgauge knows \d+ at most; upgrade"):
        Ledger.open(url)
    rows = sql(url, "SELECT value FROM agentgauge_meta WHERE name = 'schema_version'")
    assert [row.value for row in rows] == ["99"]


def test_a_ledger_of_newer_code_that_only_added_something_is_used_and_left_alone(
    ledger: Ledger, url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A replica of before the upgrade starts again on it, but backs nothing up: it does not know all that is there."""
    with monkeypatch.context() as patched:
        patched.setattr(ledger_schema, "tables", with_columns(Column("region", Text)))
        patched.setattr(ledger_schema, "VERSION", ledger_schema.VERSION + 1)
        Ledger.open(url).close()
        later = shape(url)
    with closing(Ledger.open(url)) as older:
        use(older, "rep-1", 0)
        assert older.pseudonym("rep-1") == ledger.pseudonym("rep-1")
        with pytest.raises(LedgerError, match=r"was not written, it would lack a part .* upgrade agentgauge"):
            back_up(older, tmp_path / "backup.sqlite")
    assert shape(url) == later
    assert list(tmp_path.glob("backup*")) == []


def test_replicas_that_start_at_once_make_one_ledger(url: str) -> None:
    """One makes it, the others wait and find it: all have the same key."""
    replicas = 8
    together = Barrier(replicas, timeout=60)

    def start(_replica: int) -> str:
        together.wait()
        with closing(Ledger.open(url)) as ledger:
            use(ledger, "rep-1", 0)
            return ledger.pseudonym("rep-1")

    with ThreadPoolExecutor(replicas) as pool:
        assert len(set(pool.map(start, range(replicas)))) == 1
    assert [row.turns for row in sql(url, "SELECT turns FROM agentgauge_usage")] == [replicas]


def test_a_new_file_that_another_process_is_making_is_waited_for(tmp_path: Path) -> None:
    """SQLite itself refuses at once to change a file to WAL while somebody has its lock."""
    file = tmp_path / "ledger.sqlite"
    with closing(sqlite3.connect(file, isolation_level=None)) as other, ThreadPoolExecutor(1) as pool:
        other.execute("BEGIN IMMEDIATE")
        opening = pool.submit(Ledger.open, f"sqlite:///{file}")
        with pytest.raises(TimeoutError):
            opening.result(timeout=0.2)
        other.execute("ROLLBACK")
        with closing(opening.result(timeout=60)) as ledger:
            assert ledger.spend_today("a") == {}


def test_a_ledger_that_needs_no_migration_opens_whoever_is_writing(tmp_path: Path) -> None:
    """An agent that is started again, or a command on a busy day, needs nothing but to read it."""
    file = tmp_path / "ledger.sqlite"
    Ledger.open(f"sqlite:///{file}").close()
    with closing(sqlite3.connect(file, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        with closing(Ledger.open(f"sqlite:///{file}")) as ledger:
            assert ledger.spend_today("a") == {}


def test_only_the_first_writer_waits_long_for_a_lock_that_is_held_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else all threads of an agent would wait for it, one after the other; once one gets through, patience is back."""
    monkeypatch.setattr(databases, "WAIT_SECONDS", 2)
    monkeypatch.setattr(databases, "MOMENT_SECONDS", 0.01)
    file = tmp_path / "ledger.sqlite"

    def waits() -> float:
        began = monotonic()
        with pytest.raises(OperationalError, match="locked"):
            ledger.add_feedback("a", "rep-1", "up", "none")
        return monotonic() - began

    with (
        closing(Ledger.open(f"sqlite:///{file}")) as ledger,
        closing(sqlite3.connect(file, isolation_level=None, timeout=60)) as holder,
    ):
        holder.execute("BEGIN IMMEDIATE")
        first, second = waits(), waits()
        holder.execute("ROLLBACK")
        ledger.add_feedback("a", "rep-1", "up", "none")
        holder.execute("BEGIN IMMEDIATE")
        after = waits()
        holder.execute("ROLLBACK")
    assert second < first / 2 < after


def test_replicas_that_write_the_same_users_do_not_lock_each_other_out(postgresql_url: str) -> None:
    """Whatever order the users came in, rows are locked in one order."""
    day = datetime(2026, 3, 18, tzinfo=UTC).date()
    users = [f"rep-{number}" for number in range(50)]
    together = Barrier(2, timeout=60)

    def write(order: int) -> None:
        with closing(Ledger.open(postgresql_url)) as ledger:
            together.wait()
            for _ in range(20):
                ledger.add_usage("a", {(day, user_id): Usage(turns=1) for user_id in users[::order]})

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(write, (1, -1)))
    assert {row.turns for row in sql(postgresql_url, "SELECT turns FROM agentgauge_usage")} == {40}


def test_a_restarted_database_is_found_again(postgresql_url: str) -> None:
    """Connections that the server dropped are not used again."""
    with closing(Ledger.open(postgresql_url)) as ledger:
        use(ledger, "rep-1", 0)
        others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        sql(postgresql_url, f"{others} WHERE datname = current_database() AND pid <> pg_backend_pid()")
        use(ledger, "rep-1", 0)
        assert ledger.users("a").active["1d"] == 1


def test_the_sqlite_file_is_made_with_its_folders_and_closed_to_other_people(tmp_path: Path) -> None:
    """It holds user ids, and the key of the pseudonyms."""
    file = tmp_path / "new" / "folder" / "ledger.sqlite"
    Ledger.open(f"sqlite:///{file}").close()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [row.journal_mode for row in sql(f"sqlite:///{file}", "PRAGMA journal_mode")] == ["wal"]


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("ledger.sqlite", "the ledger's URL cannot be read; expected sqlite:///path/to/file or postgresql"),
        ("sqlite://", "a ledger in memory would forget everything; name a file"),
        ("sqlite:///:memory:", "a ledger in memory would forget everything; name a file"),
        ("mysql://me:hush@127.0.0.1/x", r"the ledger mysql://me:\*\*\*@127.0.0.1/x is neither sqlite"),
        ("postgresql://me:hush@127.0.0.1:9/x", r"me:\*\*\*@127.0.0.1:9/x cannot be used: .*Connection refused"),
        ("postgresql+asyncpg://127.0.0.1/x", r"needs asyncpg, which is not installed; .*for postgresql\+psycopg://"),
        ("sqlite:////dev/null/ledger.sqlite", "the ledger sqlite:////dev/null/ledger.sqlite cannot be made: "),
    ],
)
def test_a_ledger_that_cannot_be_opened_says_why_without_the_password(url: str, says: str) -> None:
    """Which ledger, what is wrong, what is right."""
    with pytest.raises(LedgerError, match=says) as raised:
        Ledger.open(url)
    assert "hush" not in str(raised.value)


@pytest.mark.parametrize("user_id", ["", "x" * 201, "with\0null", "line\nbreak", "half \ud83d pair"])
def test_ids_that_a_database_would_refuse_are_known_beforehand(user_id: str) -> None:
    """One such id must not hold up everybody else's usage."""
    assert not is_storable(user_id)


def test_every_other_id_can_be_stored(ledger: Ledger) -> None:
    """Any script, any length up to 200 characters."""
    for user_id in ("rep-1", "jane@globex.example", "Zoë Ω 名前 🙂", "名" * 200):
        assert is_storable(user_id)
        use(ledger, user_id, 0)
        assert ledger.user_behind(ledger.pseudonym(user_id)) == user_id
