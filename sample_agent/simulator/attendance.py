"""Who comes to a sales floor that never was, and what each of them does there."""

from __future__ import annotations

import random
from datetime import date

from agentgauge.ledger import Usage
from agentgauge.ledger.store import LONGEST_WINDOW_DAYS, WEEK_DAYS
from sample_agent.simulator.rates import TURNS
from sample_agent.simulator.stories import Crowd

ARRIVING_HOURS = 6
COMES_ON_A_WEEKDAY, COMES_ON_A_WEEKEND = 0.9, 0.5


def arrivals(crowd: Crowd, day: date, today: date, rng: random.Random) -> list[tuple[int, str]]:
    """Who comes on a day and when: seconds since midnight and user id, in that order.

    People come at regular intervals, so that a day with more people than another has more of them, or as many, at
    every hour: a crowd that grows by one has grown, whenever one looks.
    """
    weeks_ago = (today - day).days // WEEK_DAYS
    regulars = [f"rep-{number}" for number in range(1, crowd.regulars_of(weeks_ago) + 1)]
    on_weekday = day.weekday() < 5
    who = rng.sample(regulars, round((COMES_ON_A_WEEKDAY if on_weekday else COMES_ON_A_WEEKEND) * len(regulars)))
    if on_weekday:
        each_day, left_over = divmod(crowd.guests_of(weeks_ago), 5)
        guests = each_day + (day.weekday() < left_over)
        who += [f"guest-{day.isoformat()}-{number}" for number in range(1, guests + 1)]
    rng.shuffle(who)
    return [(place * ARRIVING_HOURS * 3600 // len(who), user) for place, user in enumerate(who)]


class Day:
    """A day as far as it has come: who is there, and what each of them did."""

    def __init__(self, coming: list[tuple[int, str]], past: list[set[str]]) -> None:
        self._coming = coming[::-1]
        self._week = set().union(*past[1 - WEEK_DAYS :])
        self._month = set().union(*past[1 - LONGEST_WINDOW_DAYS :])
        self.cohort = set().union(*past[1 - 2 * WEEK_DAYS : 1 - WEEK_DAYS])
        self.spent: dict[str, float] = {}
        self._sessions: dict[str, float] = {}

    def let_in(self, second: int) -> None:
        """Let in who comes until this second of the day."""
        while self._coming and self._coming[-1][0] <= second:
            user = self._coming.pop()[1]
            self.spent[user] = self._sessions[user] = 0.0
            self._week.add(user)
            self._month.add(user)

    def work(self, sessions: int, cost_usd: float, weights: dict[str, float]) -> None:
        """Share out sessions of this cost among those who are there."""
        all_weights = sum(weights[user] for user in self.spent)
        for user in self.spent:
            share = sessions * weights[user] / all_weights
            self._sessions[user] += share
            self.spent[user] += share * cost_usd

    @property
    def people(self) -> int:
        """How many are there."""
        return len(self.spent)

    @property
    def active(self) -> dict[str, int]:
        """Distinct users by window, as ``Ledger.users`` counts them."""
        return {"1d": self.people, "7d": len(self._week), "28d": len(self._month)}

    @property
    def returned(self) -> int:
        """Those of the cohort who were there in the last seven days."""
        return len(self.cohort & self._week)

    def usage(self) -> dict[str, Usage]:
        """What each user did, for the ledger: who came took a turn at least."""
        return {
            user: Usage(max(1, round(sessions)), max(1, round(sessions * TURNS)), self.spent[user])
            for user, sessions in self._sessions.items()
        }
