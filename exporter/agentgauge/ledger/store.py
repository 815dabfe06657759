"""The store behind the ledger: plain reads and writes, each in its own transaction."""

from __future__ import annotations

import hashlib
import hmac
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import cache
from typing import Any, Self, TypeVar

from sqlalchemy import (
    ColumnElement,
    Connection,
    Table,
    bindparam,
    case,
    delete,
    func,
    make_url,
    select,
    update,
)
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from agentgauge.ledger import decision_chain, user_counts, user_weeks
from agentgauge.ledger.databases import Database, LedgerError, open_database, shown
from agentgauge.ledger.many_rows import write_rows
from agentgauge.ledger.schema import (
    ACTIONS,
    BUDGET_ACCOUNTS,
    BUDGET_HOLDS,
    EVAL_RUNS,
    EVAL_TRIALS,
    FEEDBACK,
    OPERATIONS,
    SUSPENSIONS,
    THROTTLES,
    USAGE,
    NewerSchemaError,
    key_if_current,
    migrate,
)

RETENTION_DAYS = 90
LONGEST_WINDOW_DAYS = 28
TOP_SPENDERS = 10
PSEUDONYM_LENGTH = 12
LONGEST_USER_ID = 200
USERS_AT_ONCE = 1000
"""How many are named in one query: databases have a limit for that."""


Key = TypeVar("Key")


@dataclass
class Usage:
    """What one user did with one agent on one UTC day: USD where it is money, Unix seconds where it is a time.

    Wherever that day is cut in two, its first and last turn tell in which of the parts the user was active.
    """

    sessions: int = 0
    turns: int = 0
    cost_usd: float = 0.0
    first_turn_at: float | None = None
    last_turn_at: float | None = None
    last_failed_at: float | None = None

    def add(self, other: Usage) -> None:
        """Add up."""
        self.sessions += other.sessions
        self.turns += other.turns
        self.cost_usd += other.cost_usd
        self.first_turn_at = min(_known(self.first_turn_at, other.first_turn_at), default=None)
        self.last_turn_at = max(_known(self.last_turn_at, other.last_turn_at), default=None)
        self.last_failed_at = max(_known(self.last_failed_at, other.last_failed_at), default=None)


UserDay = tuple[date, str]
"""The UTC day and the user id."""


@dataclass(frozen=True)
class Spend:
    """What a user, by pseudonym, spent since 00:00 UTC, and the turns taken for it."""

    user: str
    cost_usd: float
    turns: int


@dataclass(frozen=True)
class UserFigures(user_counts.ActiveUsers):
    """How many people use an agent, and who costs most; see ``Ledger.users`` for what counts as active.

    ``active`` is users by window: ``1d``, ``7d``, ``28d``. ``cohort`` is the users of the week before the last seven
    days, ``returned`` those of them who were active in the last seven. Of the users of the last hour, a request of
    ``failed_last_hour`` failed in it. ``top_spenders`` are the costliest of today (UTC).
    """

    top_spenders: tuple[Spend, ...]


class Ledger:
    """One database of usage and of what people decided, shared by all agents and replicas that open it.

    Made by ``Ledger.open``. Its methods work at once and raise SQLAlchemyError when the database cannot; what keeps
    them off an agent's request path, and their errors away from it, is the AgentGauge that was given the ledger.
    """

    def __init__(self, database: Database, retention_days: int, now: Callable[[], datetime]) -> None:
        self._database = database
        self._retention_days = retention_days
        self._now = now
        self.upserting = _upserting(database.dialect)
        self._key = self._known_key() or self._migrated()

    @classmethod
    def open(
        cls, url: str, *, retention_days: int = RETENTION_DAYS, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> Self:
        """Open, and where needed make or migrate, ``sqlite:///path/to/file`` or ``postgresql+psycopg://…``.

        Rows older than ``retention_days`` are deleted in time (ValueError below 28: the gauges look that far back).
        ``now`` is the clock, in UTC. Raises LedgerError when the database cannot be used.
        """
        if retention_days < LONGEST_WINDOW_DAYS:
            raise ValueError(f"retention_days={retention_days}: the gauges need {LONGEST_WINDOW_DAYS} days or more")
        try:
            parsed = make_url(url)
        except ArgumentError:
            raise LedgerError(
                "the ledger's URL cannot be read; expected sqlite:///path/to/file or postgresql+psycopg://user@host/name"
            ) from None
        database = open_database(parsed)
        try:
            return cls(database, retention_days, now)
        except (NewerSchemaError, SQLAlchemyError) as error:
            database.close()
            raise LedgerError(f"the ledger {shown(parsed)} cannot be used: {_first_line(error)}") from error

    def _known_key(self) -> bytes | None:
        # Reading first: whoever opens a ledger that is as it should be waits for no writer, and asks no write of it.
        with self.reading() as connection:
            return key_if_current(connection)

    def _migrated(self) -> bytes:
        with self.writing() as connection:
            return migrate(connection, lambda it: user_counts.count_all(it, self.upserting, self.now()))

    @property
    def retention_days(self) -> int:
        """For how long rows are kept."""
        return self._retention_days

    def now(self) -> datetime:
        """The time it is, in UTC."""
        return self._now().astimezone(UTC)

    def today(self) -> date:
        """The UTC day it is."""
        return self.now().date()

    def add_usage(self, agent: str, usage: Mapping[UserDay, Usage]) -> None:
        """Add usage to what is there, all of it or, if it raises, none.

        (Unless the connection breaks in the very moment of the commit: then nobody knows.)
        """
        rows = [
            {
                "agent": agent,
                "day": day.isoformat(),
                "user_id": user_id,
                **vars(one),
                "pseudonym": self.pseudonym(user_id),
            }
            # Every replica locks rows in the same order, so none waits for another in a circle.
            for (day, user_id), one in sorted(usage.items(), key=lambda item: item[0])
        ]
        use: dict[str, list[user_counts.DayOfUse]] = {}
        for (day, user_id), one in usage.items():
            if one.turns or one.last_failed_at is not None:
                moments = (one.first_turn_at, one.last_turn_at, one.last_failed_at)
                use.setdefault(user_id, []).append(user_counts.day_of_use(day.isoformat(), one.turns, *moments))
        if rows:
            with self.writing() as connection:
                write_rows(connection, _adding_up(self.upserting), rows)
                user_counts.note(connection, self.upserting, agent, self.now(), use)

    def add_feedback(
        self, agent: str, user_id: str | None, rating: str, reason: str, session_id: str | None = None
    ) -> None:
        """Commit one thumb on a session; when this returns, it survives a crash."""
        row = {
            "id": uuid.uuid4().hex,
            "agent": agent,
            "at": self._now().timestamp(),
            "user_id": user_id,
            "rating": rating,
            "reason": reason,
            "session_id": session_id,
        }
        with self.writing() as connection:
            connection.execute(FEEDBACK.insert(), row)

    def users(self, agent: str) -> UserFigures:
        """Who uses the agent, as of now.

        A user is active when a turn is taken: opening a session is not yet use. The windows trail, to five minutes:
        ``1d`` is the last 24 hours. The cohort of the weekly retention are the users active 14 to 7 days ago; they
        returned if they were active in the last seven. A row of an older agentgauge, which did not note when turns
        were taken, counts for noon UTC of its day.
        """
        with self.reading() as connection:
            users = user_counts.active_users(connection, agent, self.now())
            return UserFigures(**vars(users), top_spenders=self._spenders(connection, agent, TOP_SPENDERS))

    def user_days(self, agent: str, time_zone: tzinfo = UTC) -> dict[str, int]:
        """The users of each whole day in a time zone added up, of the ``last_7d`` and of the ``previous_7d``.

        Today is not over yet. This reads the usage of a fortnight.
        """
        now = self.now().astimezone(time_zone)
        return self._summed(agent, lambda connection, part: user_weeks.user_days(connection, agent, now, part))

    def cohorts(self, agent: str) -> dict[tuple[int, int], int]:
        """Active users by when they came first and how long after: (weeks ago, weeks later) → users.

        Weeks are of seven UTC days and count back from today, which is in week 0; users are those of the last
        ``COHORT_WEEKS`` who took a turn and were never seen before, as far as the ledger reaches. All of it is read.
        """
        today = self.today()
        return self._summed(agent, lambda connection, part: user_weeks.cohorts(connection, agent, today, part))

    def catch_up(self, agent: str) -> None:
        """Do what replicas of an older version left out: count the users of yesterday and today, and name all."""
        with self.reading() as connection:  # for seconds, where there are many: nobody waits for this to write
            missed = user_counts.missed(connection, agent, self.now())
            nameless = connection.execute(_NAMELESS.where(USAGE.c.agent == agent)).scalars().all()
        if missed:
            with self.writing() as connection:
                user_counts.note(connection, self.upserting, agent, self.now(), missed)
        for start in range(0, len(nameless), USERS_AT_ONCE):
            users = nameless[start : start + USERS_AT_ONCE]
            with self.writing() as connection:
                names = [{"of_user": user, "name": self.pseudonym(user)} for user in users]
                connection.execute(_NAMING.where(USAGE.c.agent == agent), names)

    def top_spenders(self, agent: str, limit: int) -> tuple[Spend, ...]:
        """The users with any spend today, costliest first, at most ``limit``."""
        with self.reading() as connection:
            return self._spenders(connection, agent, limit)

    def users_above(self, agent: str, usd: float) -> int:
        """How many users have spent more than that since 00:00 UTC."""
        above = (USAGE.c.agent == agent, USAGE.c.day == self.today().isoformat(), USAGE.c.cost_usd > usd)
        with self.reading() as connection:
            return connection.execute(select(func.count()).select_from(USAGE).where(*above)).scalar_one()

    def spend_today(self, agent: str, *, at_least: float = 0.0, and_of: Sequence[str] = ()) -> dict[str, float]:
        """USD since 00:00 UTC by user id: of everybody with any spend of ``at_least`` so much, and of these users."""
        today = (USAGE.c.agent == agent, USAGE.c.day == self.today().isoformat(), USAGE.c.cost_usd > 0)
        asked = select(USAGE.c.user_id, USAGE.c.cost_usd).where(*today)
        chosen = [USAGE.c.cost_usd >= at_least]
        chosen += [
            USAGE.c.user_id.in_(and_of[start : start + USERS_AT_ONCE]) for start in range(0, len(and_of), USERS_AT_ONCE)
        ]
        with self.reading() as connection:
            return {row.user_id: row.cost_usd for one in chosen for row in connection.execute(asked.where(one))}

    def pseudonym(self, user_id: str) -> str:
        """The name by which metrics and pages call a user: 12 hex digits, the same on every replica of this ledger."""
        return hmac.digest(self._key, user_id.encode(), "sha256").hex()[:PSEUDONYM_LENGTH]

    def secret_for(self, purpose: str) -> bytes:
        """A secret that whoever can read this ledger can derive, and nobody else; another one for each purpose."""
        own_key = hmac.new(self._key, b"agentgauge secrets", hashlib.sha256).digest()
        return hmac.new(own_key, purpose.encode(), hashlib.sha256).digest()

    def user_behind(self, pseudonym: str) -> str | None:
        """The user id behind a pseudonym, for the on-call; None if the ledger knows no such user."""
        with self.reading() as connection:
            known = select(USAGE.c.user_id).where(USAGE.c.pseudonym == pseudonym).limit(1)
            user_id: str | None = connection.execute(known).scalar_one_or_none()
            if user_id is not None:
                return user_id
            with connection.execute(_NAMELESS).scalars() as user_ids:
                return next((str(one) for one in user_ids if self.pseudonym(one) == pseudonym), None)

    def delete_expired(self, agent: str) -> None:
        """Delete the agent's rows that are older than the retention."""
        oldest = self._now() - timedelta(days=self._retention_days)
        first_day = self.today() - timedelta(days=self._retention_days)
        with self.writing() as connection:
            connection.execute(delete(USAGE).where(USAGE.c.agent == agent, USAGE.c.day < first_day.isoformat()))
            user_counts.delete_expired(connection, agent, self.now())
            for table in (FEEDBACK, ACTIONS, SUSPENSIONS, BUDGET_ACCOUNTS):
                connection.execute(delete(table).where(table.c.agent == agent, table.c.at < oldest.timestamp()))
            lapsed = (BUDGET_HOLDS.c.agent == agent, BUDGET_HOLDS.c.until < self._now().timestamp())
            connection.execute(delete(BUDGET_HOLDS).where(*lapsed))
            over = (THROTTLES.c.agent == agent, THROTTLES.c.until < oldest.timestamp())
            connection.execute(delete(THROTTLES).where(*over))
            _delete_expired_evals(connection, agent, oldest.timestamp())
            _delete_expired_operations(connection, agent, oldest.timestamp())
            decision_chain.delete_expired(connection, agent, oldest.timestamp(), self._now().timestamp())

    def close(self) -> None:
        """Close the connections that wait for use; using the ledger again opens new ones."""
        self._database.close()

    def _spenders(self, connection: Connection, agent: str, limit: int) -> tuple[Spend, ...]:
        rows = connection.execute(
            select(USAGE.c.user_id, USAGE.c.cost_usd, USAGE.c.turns)
            .where(USAGE.c.agent == agent, USAGE.c.day == self.today().isoformat(), USAGE.c.cost_usd > 0)
            .order_by(USAGE.c.cost_usd.desc(), USAGE.c.user_id)
            .limit(limit)
        )
        return tuple(Spend(self.pseudonym(row.user_id), row.cost_usd, row.turns) for row in rows)

    def _summed(self, agent: str, count: Callable[[Connection, user_weeks.Part], Mapping[Key, int]]) -> dict[Key, int]:
        """What there is of each part of the users, added up; each is read in a transaction of its own."""
        with self.reading() as connection:
            parts = user_weeks.parts(connection, agent)
        total: Counter[Key] = Counter()
        for part in parts:
            with self.reading() as connection:
                total.update(count(connection, part))
        return dict(total)

    def writing(self) -> AbstractContextManager[Connection]:
        """A transaction that may write: committed at the end of the ``with``, rolled back if it raises."""
        return self._database.writing()

    def reading(self) -> AbstractContextManager[Connection]:
        """A transaction that only reads, and so never waits for a writer."""
        return self._database.reading()


_NAMELESS = select(USAGE.c.user_id).where(USAGE.c.pseudonym.is_(None)).distinct().order_by(USAGE.c.user_id)
"""The users of rows that an older agentgauge wrote; ``Ledger.catch_up`` names them within the hour."""
_NAMING = (
    update(USAGE)
    .where(USAGE.c.pseudonym.is_(None), USAGE.c.user_id == bindparam("of_user"))
    .values(pseudonym=bindparam("name"))
)


@cache
def _adding_up(upserting: Callable[[Table], Any]) -> Any:
    """Add usage to what is there; made once, because that takes longer than to carry it out.

    A pseudonym never changes, and to write it again would cost a page of its index for each user.
    """
    insert = upserting(USAGE)
    return insert.on_conflict_do_update(
        index_elements=[USAGE.c.agent, USAGE.c.day, USAGE.c.user_id],
        set_={
            **{
                column.name: column + insert.excluded[column.name]
                for column in (USAGE.c.sessions, USAGE.c.turns, USAGE.c.cost_usd)
            },
            "first_turn_at": _first(USAGE.c.first_turn_at, insert.excluded.first_turn_at),
            "last_turn_at": -_first(-USAGE.c.last_turn_at, -insert.excluded.last_turn_at),
            "last_failed_at": -_first(-USAGE.c.last_failed_at, -insert.excluded.last_failed_at),
        },
    )


def _known(*moments: float | None) -> list[float]:
    return [moment for moment in moments if moment is not None]


def _first(one: ColumnElement[float], other: ColumnElement[float]) -> ColumnElement[float]:
    """The lesser of two columns, or the one that is not null; the databases' own functions differ about null."""
    return case((other.is_(None), one), (one <= other, one), else_=other)


def is_storable(user_id: str) -> bool:
    """Whether an id can be kept: printable, 1 to 200 characters; another would make a database refuse the batch."""
    return 0 < len(user_id) <= LONGEST_USER_ID and user_id.isprintable()


def _delete_expired_evals(connection: Connection, agent: str, oldest: float) -> None:
    """Delete older runs, but not the last whole one of each version: a baseline does not expire."""
    run = EVAL_RUNS.c
    kept = (
        select(func.max(run.finished_at))
        .where(run.agent == agent, run.partial == 0, run.finished_at.is_not(None))
        .group_by(run.suite, run.version, run.prompt_version, run.model, run.live)
    )
    gone = run.finished_at.is_(None) | run.finished_at.not_in(kept)
    expired = select(run.id).where(run.agent == agent, run.started_at < oldest, gone)
    connection.execute(delete(EVAL_TRIALS).where(EVAL_TRIALS.c.run_id.in_(expired)))
    connection.execute(delete(EVAL_RUNS).where(run.id.in_(expired)))


def _delete_expired_operations(connection: Connection, agent: str, oldest: float) -> None:
    """Delete older operations, but not the newest of each kind: it is in force, and the numbers go on from it."""
    operation = OPERATIONS.c
    newest = select(func.max(operation.number)).where(operation.agent == agent).group_by(operation.kind)
    expired = (operation.agent == agent, operation.at < oldest, operation.number.not_in(newest))
    connection.execute(delete(OPERATIONS).where(*expired))


def _upserting(dialect: str) -> Callable[[Table], Any]:
    """The ``insert`` of a database, which can update a row that is there already; the other's module takes long."""
    if dialect == "postgresql":
        from sqlalchemy.dialects import postgresql

        return postgresql.insert
    from sqlalchemy.dialects import sqlite

    return sqlite.insert


def _first_line(error: Exception) -> str:
    said = str(getattr(error, "orig", None) or error).strip()
    return said.splitlines()[0] if said else type(error).__name__
