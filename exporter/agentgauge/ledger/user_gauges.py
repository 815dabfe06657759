"""The gauges that come from the ledger: the same on every replica that shares it."""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo

from agentgauge import metrics
from agentgauge.instruments import Instruments
from agentgauge.ledger.store import Ledger
from agentgauge.vocabulary import COHORT_WEEKS

COHORTS_EVERY = timedelta(hours=1)


class UserGauges:
    """Shows one agent's users as gauges; people are named by pseudonym, and only today's costliest.

    ``usd_a_day`` is what a user may spend on a UTC day; whole days of use are those of the ``time_zone``.
    """

    def __init__(
        self, ledger: Ledger, agent: str, instruments: Instruments, usd_a_day: float, time_zone: tzinfo
    ) -> None:
        self._ledger = ledger
        self._agent = agent
        self._instruments = instruments
        self._usd_a_day = usd_a_day
        self._time_zone = time_zone
        self._shown: set[str] = set()
        self._cohorts_of: datetime | None = None

    def refresh(self) -> None:
        """Read the ledger and set the gauges; raises what the database raises, and then all stay as they were."""
        users = self._ledger.users(self._agent, self._time_zone)
        over = self._ledger.users_above(self._agent, self._usd_a_day)
        failed, others = self._ledger.users_since(self._agent, self._ledger.now() - timedelta(hours=1))
        for window, count in users.active.items():
            self._instruments.gauge(metrics.ACTIVE_USERS, window).set(count)
        for window, count in users.user_days.items():
            self._instruments.gauge(metrics.USER_DAYS, window).set(count)
        self._instruments.gauge(metrics.USER_RETENTION_COHORT).set(users.cohort)
        if users.cohort:
            self._instruments.gauge(metrics.USER_RETENTION).set(users.returned / users.cohort)
        else:
            self._instruments.remove(metrics.USER_RETENTION)
        spenders = {spend.user: spend.cost_usd for spend in users.top_spenders}
        for user in self._shown - spenders.keys():
            self._instruments.remove(metrics.USER_COST, user)
        for user, cost_usd in spenders.items():
            self._instruments.gauge(metrics.USER_COST, user).set(cost_usd)
        self._shown = set(spenders)
        self._instruments.gauge(metrics.USERS_OVER_DAILY_COST).set(over)
        self._instruments.gauge(metrics.USERS_LAST_HOUR, "yes").set(failed)
        self._instruments.gauge(metrics.USERS_LAST_HOUR, "no").set(others)
        self._refresh_cohorts()

    def _refresh_cohorts(self) -> None:
        """Once an hour: weeks do not change faster, and this reads all that the ledger keeps."""
        now = self._ledger.now()
        if self._cohorts_of is not None and timedelta() <= now - self._cohorts_of < COHORTS_EVERY:
            return
        cohorts = self._ledger.cohorts(self._agent)
        for came in range(len(COHORT_WEEKS)):
            for later in range(came + 1):
                gauge = self._instruments.gauge(metrics.USER_COHORT, str(came), str(later))
                gauge.set(cohorts.get((came, later), 0))
        self._cohorts_of = now
