"""Seeded traffic: Poisson arrivals with binomial outcomes, as the counters that Prometheus would scrape.

Time is in seconds on a grid of ``STEP``. Rates are per hour; shares lie between 0 and 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

STEP = 5
"""Seconds of the finest grid: what happens within it is seen at once."""

HOUR = 3600
DAY = 24 * HOUR
WEEK = 7 * DAY

Counts = NDArray[np.int64]
Reals = NDArray[np.float64]


@dataclass(frozen=True)
class History:
    """What happened, and how much of it was bad: cumulative counts at the end of each step, and the scrapes of them.

    ``scrape`` is how often Prometheus looks, in seconds.
    """

    everything: Counts
    bad: Counts
    scrape: int

    @property
    def seconds(self) -> int:
        """How long it lasts."""
        return len(self.everything) * STEP


def draw(
    rng: np.random.Generator,
    *,
    per_hour: float,
    bad_share: float | Callable[[Reals], Reals],
    seconds: int,
    scrape: int,
    busy: Callable[[Reals], Reals] | None = None,
) -> History:
    """One history: ``bad_share`` may change over time (a function of seconds), and so may the traffic (``busy``)."""
    at: Reals = np.arange(seconds // STEP, dtype=np.float64) * STEP
    rate = per_hour * STEP / HOUR * (busy(at) if busy else np.ones_like(at))
    share = bad_share(at) if callable(bad_share) else np.full_like(at, bad_share)
    arrived = rng.poisson(rate)
    failed = rng.binomial(arrived, share)
    return History(np.cumsum(arrived), np.cumsum(failed), scrape)


def office_hours(at: Reals) -> Reals:
    """Traffic relative to the busy hours: Monday to Friday from 8 to 18, a twentieth of it otherwise."""
    hour, day = at % DAY / HOUR, at // DAY % 7
    return np.where((day < 5) & (hour >= 8) & (hour < 18), 1.0, 0.05)


def changing(before: float, during: float, begins: float, ends: float = float("inf")) -> Callable[[Reals], Reals]:
    """A share (or a factor) that is ``before``, ``during`` the incident something else, and afterwards as before."""
    return lambda at: np.where((at >= begins) & (at < ends), during, before)
