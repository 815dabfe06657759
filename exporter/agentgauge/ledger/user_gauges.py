"""The gauges that come from the ledger: the same on every replica that shares it."""

from __future__ import annotations

from datetime import timedelta, tzinfo
from typing import Any

from agentgauge import metrics
from agentgauge.instruments import Instruments
from agentgauge.ledger.shared_figures import SharedFigures
from agentgauge.ledger.store import Ledger
from agentgauge.vocabulary import COHORT_WEEKS

USERS_EVERY = timedelta(seconds=5)
WEEKS_EVERY = timedelta(hours=1)
"""Whole days and weeks do not change faster, and counting them reads usage of weeks."""


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
        self._users = SharedFigures(ledger, agent, f"users, {usd_a_day:g} USD", USERS_EVERY, self._read_users)
        self._weeks = SharedFigures(ledger, agent, f"weeks, {time_zone}", WEEKS_EVERY, self._read_weeks)

    def refresh(self) -> None:
        """Set the gauges to what the ledger last held; raises what the database raises, and then all stay as they were.

        One replica of all reads the ledger, the others what it wrote down.
        """
        self._show_weeks(self._weeks.get())
        self._show_users(self._users.get())

    def refresh_now(self) -> None:
        """Set the gauges to what the ledger holds now."""
        self._show_weeks(self._weeks.read())
        self._show_users(self._users.read())

    def _read_users(self) -> dict[str, Any]:
        users = self._ledger.users(self._agent)
        return {
            "active": dict(users.active),
            "cohort": users.cohort,
            "returned": users.returned,
            "last_hour": {"yes": users.failed_last_hour, "no": users.others_last_hour},
            "spenders": {spend.user: spend.cost_usd for spend in users.top_spenders},
            "over": self._ledger.users_above(self._agent, self._usd_a_day),
        }

    def _read_weeks(self) -> dict[str, Any]:
        self._ledger.catch_up(self._agent)
        cohorts = self._ledger.cohorts(self._agent)
        return {
            "user_days": self._ledger.user_days(self._agent, self._time_zone),
            "cohorts": [
                [came, later, cohorts.get((came, later), 0)]
                for came in range(len(COHORT_WEEKS))
                for later in range(came + 1)
            ],
        }

    def _show_users(self, users: dict[str, Any] | None) -> None:
        if users is None:
            return
        for window, count in users["active"].items():
            self._instruments.gauge(metrics.ACTIVE_USERS, window).set(count)
        self._instruments.gauge(metrics.USER_RETENTION_COHORT).set(users["cohort"])
        if users["cohort"]:
            self._instruments.gauge(metrics.USER_RETENTION).set(users["returned"] / users["cohort"])
        else:
            self._instruments.remove(metrics.USER_RETENTION)
        for user in self._shown - users["spenders"].keys():
            self._instruments.remove(metrics.USER_COST, user)
        for user, cost_usd in users["spenders"].items():
            self._instruments.gauge(metrics.USER_COST, user).set(cost_usd)
        self._shown = set(users["spenders"])
        self._instruments.gauge(metrics.USERS_OVER_DAILY_COST).set(users["over"])
        for failed, count in users["last_hour"].items():
            self._instruments.gauge(metrics.USERS_LAST_HOUR, failed).set(count)

    def _show_weeks(self, weeks: dict[str, Any] | None) -> None:
        if weeks is None:
            return
        for window, count in weeks["user_days"].items():
            self._instruments.gauge(metrics.USER_DAYS, window).set(count)
        for came, later, users in weeks["cohorts"]:
            self._instruments.gauge(metrics.USER_COHORT, str(came), str(later)).set(users)
