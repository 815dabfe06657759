"""What one replica reads from the ledger and all of them show, so that two hundred cost the database as much as one."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from time import monotonic
from typing import Any

from sqlalchemy import or_, select, update

from agentgauge.ledger.schema import FIGURES
from agentgauge.ledger.store import Ledger

LEASE = timedelta(minutes=1)
"""A replica that has not come back with the figures by then has died, and another reads them."""
SLOW_FACTOR = 20
"""Figures that take long to read are read less often: at most 1/20 of the time, by all replicas together."""


class SharedFigures:
    """The figures of one agent under one ``name``: ``read`` gives them, as JSON values, at most once in ``every``."""

    def __init__(self, ledger: Ledger, agent: str, name: str, every: timedelta, read: Callable[[], Any]) -> None:
        self._ledger = ledger
        self._name = name
        self._agent = agent
        self._every = every
        self._read = read
        self._is_mine = (FIGURES.c.agent == agent) & (FIGURES.c.name == name)

    def get(self) -> Any | None:
        """The newest figures: from another replica if they are not due, else read here; None if there are none yet.

        Raises what the database raises.
        """
        now = self._ledger.now().timestamp()
        with self._ledger.reading() as connection:
            row = connection.execute(select(FIGURES).where(self._is_mine)).one_or_none()
        if row is not None and row.read_at <= now < row.due_at:
            return _decoded(row.value)
        if not self._take(now, row is None):
            return None if row is None else _decoded(row.value)
        return self.read()

    def read(self) -> Any:
        """Read them now, due or not, and leave them for the others."""
        now, began = self._ledger.now(), monotonic()
        value = self._read()
        pause = max(self._every, timedelta(seconds=SLOW_FACTOR * (monotonic() - began)))
        insert = self._ledger.upserting(FIGURES)
        values = {"value": json.dumps(value), "read_at": now.timestamp(), "due_at": (now + pause).timestamp()}
        own = {"agent": self._agent, "name": self._name}
        writing = insert.values(own | values).on_conflict_do_update(
            index_elements=[FIGURES.c.agent, FIGURES.c.name], set_=values
        )
        with self._ledger.writing() as connection:
            connection.execute(writing)
        return value

    def _take(self, now: float, is_new: bool) -> bool:
        """Whether this replica is the one to read them, of those that see them due."""
        until = now + LEASE.total_seconds()
        with self._ledger.writing() as connection:
            if is_new:
                row = {"agent": self._agent, "name": self._name, "read_at": now, "due_at": until}
                making = self._ledger.upserting(FIGURES).values(row).on_conflict_do_nothing()
                return connection.execute(making.returning(FIGURES.c.name)).first() is not None
            is_due = or_(FIGURES.c.due_at <= now, FIGURES.c.read_at > now)
            taking = update(FIGURES).where(self._is_mine, is_due).values(read_at=now, due_at=until)
            return connection.execute(taking).rowcount == 1


def _decoded(value: str | None) -> Any | None:
    return None if value is None else json.loads(value)
