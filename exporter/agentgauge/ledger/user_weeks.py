"""Figures of whole days and weeks of use: they read usage itself, and change once a day.

Each is the sum over parts of the users, so that no statement sorts the rows of a million people, or holds on for long
to what others want to tidy up.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise

from sqlalchemy import ColumnElement, Connection, Subquery, case, func, select

from agentgauge.ledger.schema import USAGE, USERS
from agentgauge.ledger.user_counts import NOON
from agentgauge.vocabulary import COHORT_WEEKS

WEEK_DAYS = 7
USERS_IN_A_PART = 50_000


@dataclass(frozen=True)
class Part:
    """The users whose ids come ``after`` one and are not beyond the other; None for no bound."""

    after: str | None = None
    until: str | None = None

    def has(self, user_id: ColumnElement[str]) -> list[ColumnElement[bool]]:
        """The conditions for a user to be in it."""
        return [
            *([] if self.after is None else [user_id > self.after]),
            *([] if self.until is None else [user_id <= self.until]),
        ]


def parts(connection: Connection, agent: str) -> list[Part]:
    """All users there can be, in parts of some USERS_IN_A_PART of those who were active lately."""
    ids = select(USERS.c.user_id).where(USERS.c.agent == agent).order_by(USERS.c.user_id)
    bounds: list[str | None] = [None]
    while bounds[-1] is not None or len(bounds) == 1:
        further = ids.where(*Part(after=bounds[-1]).has(USERS.c.user_id)).offset(USERS_IN_A_PART - 1).limit(1)
        bounds.append(connection.execute(further).scalar_one_or_none())
    return [Part(after, until) for after, until in pairwise(bounds)]


def user_days(connection: Connection, agent: str, now: datetime, part: Part) -> dict[str, int]:
    """The users of each of the last 7 whole days in the time zone of ``now`` added up, and of the 7 before."""
    midnights = _midnights(now)
    turns = _turns(agent, now.astimezone(UTC).date(), part)
    day_of = case(*((turns.c.at < midnight, number) for number, midnight in enumerate(midnights[1:])))
    in_them = (turns.c.at >= midnights[0], turns.c.at < midnights[-1])
    days = select(turns.c.user_id, day_of.label("day")).where(*in_them).distinct().subquery()
    counts = select(
        func.count().filter(days.c.day >= WEEK_DAYS).label("last"),
        func.count().filter(days.c.day < WEEK_DAYS).label("previous"),
    ).select_from(days)
    row = connection.execute(counts).one()
    return {"last_7d": row.last, "previous_7d": row.previous}


def cohorts(connection: Connection, agent: str, today: date, part: Part) -> dict[tuple[int, int], int]:
    """Active users by (weeks ago that they came first, weeks later); see ``Ledger.cohorts``."""
    oldest = connection.execute(select(func.min(USAGE.c.day)).where(USAGE.c.agent == agent)).scalar_one()
    if oldest is None:
        return {}
    weeks = len(COHORT_WEEKS)
    begins = [(today - timedelta(days=WEEK_DAYS * (week + 1) - 1)).isoformat() for week in range(weeks)]
    week = case(*((USAGE.c.day >= begin, number) for number, begin in enumerate(begins)), else_=weeks)
    # Each day by its name: the index is of agent, day and user, in this order.
    began = date.fromisoformat(oldest)
    all_days = [began + timedelta(days=number) for number in range((today - began).days + 2)]
    days = USAGE.c.day.in_([day.isoformat() for day in all_days])
    mine = (USAGE.c.agent == agent, days, *part.has(USAGE.c.user_id), USAGE.c.turns > 0)
    active = select(USAGE.c.user_id, week.label("week")).where(*mine).distinct().subquery()
    # No join of these with their users' first weeks: SQLite would compare each row with each.
    first = func.max(active.c.week).over(partition_by=active.c.user_id).label("first")
    each = select(active.c.week, first).subquery()
    counted = (
        select(each.c.first, each.c.week, func.count()).where(each.c.first < weeks).group_by(each.c.first, each.c.week)
    )
    return {(came, came - at): users for came, at, users in connection.execute(counted)}


def _turns(agent: str, today: date, part: Part) -> Subquery:
    """Users with ``at``, Unix seconds: the first and the last turn of each of their days in the last fortnight."""
    days = [today - timedelta(days=number) for number in range(2 * WEEK_DAYS + 2)]  # a zone's day may begin in another
    noon = case(*((USAGE.c.day == day.isoformat(), datetime.combine(day, NOON, UTC).timestamp()) for day in days))
    named = USAGE.c.day.in_([day.isoformat() for day in days])
    usage = (USAGE.c.agent == agent, named, *part.has(USAGE.c.user_id), USAGE.c.turns > 0)
    first, last = (
        select(USAGE.c.user_id, func.coalesce(moment, noon).label("at")).where(*usage)
        for moment in (USAGE.c.first_turn_at, USAGE.c.last_turn_at)
    )
    return first.union(last).subquery()


def _midnights(now: datetime) -> list[float]:
    """In Unix seconds, where the last fortnight's days begin in the time zone of ``now``, and today."""
    days = (now.date() - timedelta(days=number) for number in range(2 * WEEK_DAYS, -1, -1))
    return [datetime.combine(day, time(), now.tzinfo).timestamp() for day in days]
