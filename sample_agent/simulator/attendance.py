"""Who comes to a sales floor that never was, and what each of them does there."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from datetime import date

from agentgauge.ledger import Usage
from agentgauge.ledger.user_weeks import WEEK_DAYS
from sample_agent.simulator.rates import TURNS
from sample_agent.simulator.stories import Crowd

ARRIVING_HOURS = 6
LEAVING_HOUR = 18
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


Past = Sequence[Mapping[str, int]]
"""Who came on each of the days before, the last one last, and at which second of the day."""


class Day:
    """A day as far as it has come: who is there, and what each of them did. People leave at LEAVING_HOUR."""

    def __init__(self, coming: list[tuple[int, str]], past: Past) -> None:
        self._coming = coming[::-1]
        self._past = past
        self.came = {user: second for second, user in coming}
        self.spent: dict[str, float] = {}
        self._sessions: dict[str, float] = {}

    def let_in(self, second: int) -> None:
        """Let in who comes until this second of the day."""
        while self._coming and self._coming[-1][0] <= second:
            user = self._coming.pop()[1]
            self.spent[user] = self._sessions[user] = 0.0

    def work(self, sessions: float, cost_usd: float, weights: dict[str, float]) -> None:
        """Share out sessions of this cost among those who are there."""
        all_weights = sum(weights[user] for user in self.spent)
        for user in self.spent:
            share = sessions * weights[user] / all_weights
            self._sessions[user] += share
            self.spent[user] += share * cost_usd

    @property
    def people(self) -> int:
        """How many of those who come today are there."""
        return len(self.spent)

    def not_relieved(self, second: int) -> float:
        """How many who came yesterday still work: one leaves for each who could come, so that nobody leaves at once."""
        return len(self._past[-1]) * max(0.0, 1 - second / (ARRIVING_HOURS * 3600)) if self._past else 0.0

    @property
    def user_days(self) -> dict[str, int]:
        """Distinct users of each whole day, added up, as ``Ledger.users`` counts them."""
        counts = [len(day) for day in self._past[-2 * WEEK_DAYS :]]
        return {"last_7d": sum(counts[-WEEK_DAYS:]), "previous_7d": sum(counts[:-WEEK_DAYS])}

    def since(self, days: int, second: int) -> set[str]:
        """The users of the last so many times 24 hours, at that second of this day."""
        return set(self.spent).union(*self._past[max(0, len(self._past) - days + 1) :], self._after(days, second))

    def between(self, before: int, days: int, second: int) -> set[str]:
        """The users of the time from so many ``days`` ago to so many ``before``."""
        place = len(self._past) - before
        if place < 0:
            return set()
        whole = self._past[max(0, len(self._past) - days + 1) : place]
        early = {user for user, came in self._past[place].items() if came < second}
        return early.union(*whole, self._after(days, second))

    def _after(self, days: int, second: int) -> set[str]:
        """Who was still there at that second so many days ago."""
        place = len(self._past) - days
        return set(self._past[place]) if place >= 0 and second <= LEAVING_HOUR * 3600 else set()

    def usage(self, midnight: int, end: int) -> dict[str, Usage]:
        """What each user did until ``end``, for the ledger: who came took a turn at least. Unix seconds."""
        leaving = min(midnight + LEAVING_HOUR * 3600, end)
        return {
            user: Usage(
                max(1, round(sessions)),
                max(1, round(sessions * TURNS)),
                self.spent[user],
                midnight + self.came[user],
                max(leaving, midnight + self.came[user]),
            )
            for user, sessions in self._sessions.items()
        }
