"""How many users were active in a trailing window: counted as usage is written, so that nobody has to read the users.

Each user's activity is one row, and each slot of five minutes has a count of the users whose last turn is in it, and a
few others (``activity.Kind``). Writing a turn moves its user from one slot to the next; a window is the sum of its
slots. So a million users cost as little to count as ten.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from itertools import groupby, islice
from typing import Any

from sqlalchemy import Connection, Row, Select, Table, and_, bindparam, delete, func, or_, select

from agentgauge.ledger.activity import Activity, Count, Kind, slot_of
from agentgauge.ledger.many_rows import write_rows
from agentgauge.ledger.schema import USAGE, USER_COUNTS, USERS

NOON = time(12)
WINDOWS: Mapping[str, timedelta] = {"1d": timedelta(days=1), "7d": timedelta(days=7), "28d": timedelta(days=28)}
HOUR, WEEK, FORTNIGHT = timedelta(hours=1), timedelta(days=7), timedelta(days=14)
COUNTED = timedelta(days=29)
"""Slots before that are in no window, so nothing is counted there any more."""
KEPT = timedelta(days=30)
AT_ONCE = 500

Insert = Callable[[Table], Any]
"""The ``insert`` of a database that can update a row which is there already."""


@dataclass(frozen=True)
class DayOfUse:
    """When a user took turns on one UTC day, and when a request failed, in Unix seconds."""

    first_turn_at: float | None = None
    last_turn_at: float | None = None
    last_failed_at: float | None = None


@dataclass(frozen=True)
class ActiveUsers:
    """Users by trailing window, the cohort of the weekly retention and who of it returned, and those of the last hour.

    ``Ledger.users`` says what counts.
    """

    active: Mapping[str, int]
    cohort: int
    returned: int
    failed_last_hour: int
    others_last_hour: int


def day_of_use(day: str, turns: int, first: float | None, last: float | None, failed: float | None) -> DayOfUse:
    """Of a row of usage; turns of which nobody noted the time, as older versions did not, count for noon."""
    if not turns:
        return DayOfUse(last_failed_at=failed)
    if first is None or last is None:
        noon = datetime.combine(date.fromisoformat(day), NOON, UTC).timestamp()
        first, last = noon if first is None else first, noon if last is None else last
    return DayOfUse(first, last, failed)


def note(
    connection: Connection, insert: Insert, agent: str, now: datetime, use: Mapping[str, Iterable[DayOfUse]]
) -> None:
    """Count what users did, by user id; in the transaction that writes their usage, and after it."""
    came: list[Count] = []
    went: list[Count] = []
    users = iter(sorted(use))  # every replica locks rows in the same order, so none waits for another in a circle
    while some := list(islice(users, AT_ONCE)):
        if connection.dialect.name == "postgresql":  # where a row that is not there cannot be locked
            nobody = [{"agent": agent, "user_id": user, "runs": "[]"} for user in some]
            write_rows(connection, _making(insert), nobody)
        known = _known(connection, agent, some)
        changed = {}
        for user in some:
            before = known.get(user, Activity())
            after = _after(before, use[user])
            if after != before:
                changed[user] = after
                new, old = after.counts(), before.counts()
                if new != old:
                    came += new
                    went += old
        _write(connection, insert, agent, changed)
    moved = Counter(came)
    moved.subtract(Counter(went))
    oldest = slot_of((now - COUNTED).timestamp())
    _move(connection, insert, agent, {at: users for at, users in moved.items() if users and at[1] >= oldest})


def active_users(connection: Connection, agent: str, now: datetime) -> ActiveUsers:
    """As of now, from the counts alone."""

    def since(kind: Kind, window: timedelta) -> Any:
        mine = (USER_COUNTS.c.agent == agent, USER_COUNTS.c.kind == kind)
        recent = USER_COUNTS.c.slot >= slot_of((now - window).timestamp())
        return select(func.coalesce(func.sum(USER_COUNTS.c.users), 0)).where(*mine, recent).scalar_subquery()

    sums = {
        **{name: since("turn", window) for name, window in WINDOWS.items()},
        "fortnight": since("turn", FORTNIGHT),
        "left": since("left", FORTNIGHT),
        "began": since("began", WEEK),
        "seen": since("seen", HOUR),
        "failed": since("failed", HOUR),
    }
    row = connection.execute(select(*(sum_.label(name) for name, sum_ in sums.items()))).one()._mapping
    # The runs that went on within the fortnight or after, without those that began after the cohort's week: a run
    # has a turn in every week between, and two runs of a user are more than a week apart, so each user is in it once.
    cohort = row["fortnight"] + row["left"] - row["began"]
    return ActiveUsers(
        active={name: row[name] for name in WINDOWS},
        cohort=cohort,
        returned=cohort + row["7d"] - row["fortnight"],
        failed_last_hour=row["failed"],
        others_last_hour=row["seen"] - row["failed"],
    )


def count_all(connection: Connection, insert: Insert, now: datetime) -> None:
    """Count the usage of all agents that was written before there were counts; in the migration that makes them."""
    rows = connection.execute(_usage(now - KEPT), execution_options={"yield_per": 10 * AT_ONCE})
    for agent, of_agent in groupby(rows, lambda row: str(row.agent)):
        users = ((user, list(days)) for user, days in groupby(of_agent, lambda row: str(row.user_id)))
        while some := dict(islice(users, AT_ONCE)):
            note(connection, insert, agent, now, {user: map(_day_of_use, days) for user, days in some.items()})


def missed(connection: Connection, agent: str, now: datetime) -> dict[str, list[DayOfUse]]:
    """The usage of yesterday and today that a replica of an older version wrote without counting it: for ``note``."""
    of_user = and_(USERS.c.agent == USAGE.c.agent, USERS.c.user_id == USAGE.c.user_id)
    is_missed = or_(
        USERS.c.user_id.is_(None),
        and_(USAGE.c.turns > 0, USERS.c.last_turn_at.is_(None)),
        USAGE.c.last_turn_at > USERS.c.last_turn_at,
        USAGE.c.last_failed_at > func.coalesce(USERS.c.last_failed_at, 0),
    )
    usage = _usage(now - timedelta(days=1)).outerjoin(USERS, of_user).where(USAGE.c.agent == agent, is_missed)
    rows = connection.execute(usage).all()
    return {user: [_day_of_use(row) for row in days] for user, days in groupby(rows, lambda row: str(row.user_id))}


def delete_expired(connection: Connection, agent: str, now: datetime) -> None:
    """Delete what is in no window any more."""
    oldest = (now - KEPT).timestamp()
    gone = [func.coalesce(at, 0) < oldest for at in (USERS.c.last_turn_at, USERS.c.last_failed_at)]
    connection.execute(delete(USERS).where(USERS.c.agent == agent, *gone))
    connection.execute(delete(USER_COUNTS).where(USER_COUNTS.c.agent == agent, USER_COUNTS.c.slot < slot_of(oldest)))


def _usage(since: datetime) -> Select[Any]:
    columns = (USAGE.c.agent, USAGE.c.user_id, USAGE.c.day, USAGE.c.turns)
    moments = (USAGE.c.first_turn_at, USAGE.c.last_turn_at, USAGE.c.last_failed_at)
    used = or_(USAGE.c.turns > 0, USAGE.c.last_failed_at.is_not(None))
    recent = USAGE.c.day >= since.astimezone(UTC).date().isoformat()
    return select(*columns, *moments).where(used, recent).order_by(USAGE.c.agent, USAGE.c.user_id)


def _day_of_use(row: Row[Any]) -> DayOfUse:
    return day_of_use(row.day, row.turns, row.first_turn_at, row.last_turn_at, row.last_failed_at)


def _after(activity: Activity, days: Iterable[DayOfUse]) -> Activity:
    for day in days:
        if day.first_turn_at is not None and day.last_turn_at is not None:
            activity = activity.with_turns(day.first_turn_at, day.last_turn_at)
        if day.last_failed_at is not None:
            activity = activity.with_failure(day.last_failed_at)
    return activity


_KNOWN = (
    select(USERS.c.user_id, USERS.c.runs, USERS.c.last_failed_at)
    .where(USERS.c.agent == bindparam("agent"), USERS.c.user_id.in_(bindparam("users", expanding=True)))
    .order_by(USERS.c.user_id)
    .with_for_update()
)


def _known(connection: Connection, agent: str, users: list[str]) -> dict[str, Activity]:
    """The users' activity so far, locked until the transaction ends."""
    rows = connection.execute(_KNOWN, {"agent": agent, "users": users}).all()
    runs = json.loads(f"[{','.join([row.runs for row in rows])}]")  # all at once: one by one takes five times as long
    return {row.user_id: Activity.read(of_user, row.last_failed_at) for row, of_user in zip(rows, runs, strict=True)}


def _write(connection: Connection, insert: Insert, agent: str, changed: Mapping[str, Activity]) -> None:
    rows = [
        {
            "agent": agent,
            "user_id": user,
            "runs": activity.written(),
            "last_turn_at": activity.last_turn_at,
            "last_failed_at": activity.last_failed_at,
        }
        for user, activity in changed.items()
    ]
    if rows:
        write_rows(connection, _writing(insert), rows)


def _move(connection: Connection, insert: Insert, agent: str, moved: Mapping[Count, int]) -> None:
    rows = [
        {"agent": agent, "kind": kind, "slot": slot, "users": users} for (kind, slot), users in sorted(moved.items())
    ]
    if rows:
        write_rows(connection, _adding(insert), rows)


# Statements are made once: making one takes longer than to carry it out.


@cache
def _making(insert: Insert) -> Any:
    return insert(USERS).on_conflict_do_nothing()


@cache
def _writing(insert: Insert) -> Any:
    writing = insert(USERS)
    columns = ("runs", "last_turn_at", "last_failed_at")
    values = {name: writing.excluded[name] for name in columns}
    return writing.on_conflict_do_update(index_elements=[USERS.c.agent, USERS.c.user_id], set_=values)


@cache
def _adding(insert: Insert) -> Any:
    adding = insert(USER_COUNTS)
    return adding.on_conflict_do_update(
        index_elements=[USER_COUNTS.c.agent, USER_COUNTS.c.kind, USER_COUNTS.c.slot],
        set_={"users": USER_COUNTS.c.users + adding.excluded.users},
    )
