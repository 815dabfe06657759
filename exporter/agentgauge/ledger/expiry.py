"""When the rows that are older than the retention may go: not as long as the clock is in doubt.

A clock that is far ahead makes everything look expired, and what is deleted stays deleted. So each deletion leaves its
time in the ledger. A clock that is long after the latest one is right if nothing ran in between, and wrong if the
machine's time is: that shows when another replica, with another clock, deletes meanwhile.
"""

from __future__ import annotations

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
        self._in_doubt: tuple[float, float] | None = None  # the latest deletion, and when the doubt about it began

    def delete(self) -> None:
        """Delete the agent's expired rows, or say in the log why not. Raises what the database raises."""
        latest, now = self._latest(), self._ledger.now().timestamp()
        if latest is not None and now - latest > LEAP.total_seconds() and self._is_doubtful(latest):
            LOG.warning(
                "nothing is deleted from the ledger: this machine's clock says %s, and the latest deletion was on %s. "
                "If the clock is right, expired rows go %s hours after the start; if not, set it right",
                _day(now),
                _day(latest),
                f"{DOUBT.total_seconds() / 3600:g}",
            )
            return
        self._in_doubt = None
        self._ledger.delete_expired(self._agent)
        self._keep(now)

    def _is_doubtful(self, latest: float) -> bool:
        """Whether the doubt is younger than DOUBT, or another replica has deleted since it began."""
        if self._in_doubt is None or self._in_doubt[0] != latest:
            self._in_doubt = latest, self._elapsed()
        return self._elapsed() - self._in_doubt[1] < DOUBT.total_seconds()

    def _latest(self) -> float | None:
        with self._ledger.reading() as connection:
            value = connection.execute(select(META.c.value).where(META.c.name == self._row)).scalar_one_or_none()
        return None if value is None else float(value)

    def _keep(self, now: float) -> None:
        row = self._ledger.upserting(META).values(name=self._row, value=repr(now))
        with self._ledger.writing() as connection:
            connection.execute(row.on_conflict_do_update(index_elements=[META.c.name], set_={"value": repr(now)}))


def _day(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M} UTC"
