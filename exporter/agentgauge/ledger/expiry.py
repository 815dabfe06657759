"""When the rows that are older than the retention may go: not as long as the clock is in doubt.

A clock that is far ahead makes everything look expired, and what is deleted stays deleted. So each deletion leaves its
time in the ledger. A clock that is long after the latest one is right if nothing ran in between, and wrong if the
machine's time is: that shows when another replica, with another clock, deletes meanwhile. For how long this has been
in doubt is in the ledger, too, in seconds that replicas ran: a restart does not begin it again, and no clock ends it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from time import monotonic

from sqlalchemy import select

from agentgauge.ledger.schema import META
from agentgauge.ledger.store import Ledger

LOG = logging.getLogger(__name__)

LEAP = timedelta(days=35)
"""An agent that was away for so long is rare: what is started once a month does not wait."""
DOUBT = timedelta(days=1)
"""How long nothing is deleted after a leap: time for people to set a clock right."""


class Expiry:
    """Deletes what an agent's ledger need not keep any more; ``elapsed`` are seconds that no clock's jump changes."""

    def __init__(self, ledger: Ledger, agent: str, elapsed: Callable[[], float] = monotonic) -> None:
        self._ledger = ledger
        self._agent = agent
        self._elapsed = elapsed
        self._row = f"expired_at {agent}"
        self._doubt_row = f"expiry_doubt {agent}"
        self._in_doubt: tuple[float, float] | None = None  # the latest deletion, and when the doubt about it began

    def delete(self) -> None:
        """Delete the agent's expired rows, or say in the log why not. Raises what the database raises."""
        said, now = self._read(self._row), self._ledger.now().timestamp()
        latest = None if said is None else float(said)
        if latest is not None and now - latest > LEAP.total_seconds() and self._is_doubtful(latest):
            LOG.warning(
                "nothing is deleted from the ledger: this machine's clock says %s, and the latest deletion was on %s. "
                "If the clock is right, expired rows go when agents have run for %s hours; if not, set it right",
                _day(now),
                _day(latest),
                f"{DOUBT.total_seconds() / 3600:g}",
            )
            return
        self._in_doubt = None
        self._ledger.delete_expired(self._agent)
        self._keep(self._row, repr(now))

    def _is_doubtful(self, latest: float) -> bool:
        """Whether the doubt is younger than DOUBT, or another replica has deleted since it began."""
        of, seconds = json.loads(self._read(self._doubt_row) or "[null, 0]")
        known = seconds if of == latest else 0.0
        if self._in_doubt is None or self._in_doubt[0] != latest:
            self._in_doubt = latest, self._elapsed() - known
        # Of replicas that doubt at the same time, none adds to what another noted: the longest is right.
        lasts = max(known, self._elapsed() - self._in_doubt[1])
        self._keep(self._doubt_row, json.dumps([latest, lasts]))
        return lasts < DOUBT.total_seconds()

    def _read(self, name: str) -> str | None:
        with self._ledger.reading() as connection:
            return connection.execute(select(META.c.value).where(META.c.name == name)).scalar_one_or_none()

    def _keep(self, name: str, value: str) -> None:
        row = self._ledger.upserting(META).values(name=name, value=value)
        with self._ledger.writing() as connection:
            connection.execute(row.on_conflict_do_update(index_elements=[META.c.name], set_={"value": value}))


def _day(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M} UTC"
