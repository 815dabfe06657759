"""What is gained and lost by another confidence: false pages against minutes to find, from the model in judging.py.

The real rules cannot be asked for the thousands of days that this needs; tests/truth/test_judging.py holds the model
against them on the same history.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import inf
from statistics import median

import numpy as np

from alerts import thresholds
from alerts.thresholds import Numbers
from truth.histories import HOUR, WEEK, changing, draw
from truth.judging import EVALUATED_EVERY, Look, Shape, judge, pages
from truth.traffic import promised

ALERT = "AgentToolSuccessRateLow"
VOLUMES = (10, 45, 240, 1900)
"""Calls of one tool an hour."""
FACTORS = (0.55, 0.7, 0.85, 1.0, 1.15, 1.3)
"""By which every z of thresholds.yml is multiplied."""
BAD = 0.2
"""The incident: so many of the calls fail."""
EDGE = 0.8
"""A false page: one for a tool that fails in this part of what is promised."""
WEEKS, INCIDENTS = 8, 15
LASTS = 6 * HOUR


@dataclass(frozen=True)
class Point:
    """What one confidence brings at one volume; ``minutes`` is a median, infinite where it is not found."""

    volume: float
    factor: float
    false_in_four_weeks: float
    minutes: float


def shape_of(numbers: Numbers, bad_share: float, *, of_all: bool) -> Shape:
    """The model of an alert with these numbers; ``of_all`` where the evidence counts the whole."""
    looks = tuple(Look(int(look.window.seconds), look.z) for look in numbers.looks.values() if look.z)
    floor = numbers.evidence.value if numbers.evidence else 0
    held = int(numbers.for_.seconds) if numbers.for_ else 0
    return Shape(bad_share, looks, floor, of_all, int(numbers.looks["lately"].window.seconds), held)


def points(seed: int) -> Iterator[Point]:
    """The curve, a line for each volume."""
    share = promised(ALERT)
    shape = shape_of(thresholds.load().alerts[ALERT], share, of_all=False)
    for volume in VOLUMES:
        rng = np.random.default_rng([seed, volume])
        quiet = draw(rng, per_hour=volume, bad_share=share * EDGE, seconds=WEEKS * WEEK, scrape=15)
        fails = changing(share / 4, BAD, 2 * HOUR)
        incidents = [
            draw(rng, per_hour=volume, bad_share=fails, seconds=2 * HOUR + LASTS, scrape=15) for _ in range(INCIDENTS)
        ]
        for factor in FACTORS:
            judged = replace(shape, looks=tuple(Look(look.window, look.z * factor) for look in shape.looks))
            found = [np.flatnonzero(judge(incident, judged)[2 * HOUR // EVALUATED_EVERY :]) for incident in incidents]
            minutes = median(float(first[0]) * EVALUATED_EVERY / 60 if len(first) else inf for first in found)
            yield Point(volume, factor, len(pages(judge(quiet, judged))) * 4 / WEEKS, minutes)
