"""A model of the rules: Prometheus' ``increase()`` and the two-window score test, over a whole history at once.

It is quick enough to choose windows and confidence by. What it says is confirmed with promtool on the real rules.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from alerts.evidence import AT_LEAST_LATELY
from truth.histories import STEP, Counts, History, Reals

EVALUATED_EVERY = 15
"""Seconds between evaluations of the rules."""

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Look:
    """One window of a test, in seconds, and the confidence that it asks for (one-sided, in standard deviations)."""

    window: int
    z: float


@dataclass(frozen=True)
class Shape:
    """The shape of a ratio alert, as ``alerts.evidence.share_above`` writes it.

    It begins when one of the ``looks`` is surprised and the last ``recent`` seconds are bad as well, and ends when the
    last ``recent`` seconds are fine, or the longest look is. ``at_least`` is the number of bad ones that a look needs,
    or ``of_all`` the number of all; ``held`` is the rule's ``for``.
    """

    promised: float
    looks: tuple[Look, ...]
    at_least: float
    of_all: bool = False
    recent: int = 540
    held: int = 60


STILL = 1 / 2
"""It is still bad if the share of the last minutes is more than this part of the longest look's."""
MENDED = 1 / 3
"""It is mended if the share of the last minutes is at most this part of the longest look's, or of the promise."""


def increase(counter: Counts, scrape: int, window: int, at: NDArray[np.int64], offset: int = 0) -> Reals:
    """Prometheus' ``increase(counter[window])`` at these moments, extrapolation included; nan below two samples."""
    last = (at - offset) // scrape * scrape + offset
    first = -((window - at + offset) // scrape) * scrape + offset  # the earliest scrape at or after the window's start
    first = np.maximum(first, offset)
    samples = (last - first) // scrape + 1
    length = len(counter)
    grown = counter[np.minimum(last // STEP, length - 1)] - counter[np.minimum(first // STEP, length - 1)]
    to_start, to_end = first - (at - window), at - last
    near = scrape * 1.1
    covered = (
        (last - first) + np.where(to_start < near, to_start, scrape / 2) + np.where(to_end < near, to_end, scrape / 2)
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(samples >= 2, grown * covered / (last - first), np.nan)


def judge(history: History, test: Shape, offset: int = 0) -> Flags:
    """Whether the alert fires at each evaluation."""
    at = np.arange(EVALUATED_EVERY, history.seconds, EVALUATED_EVERY)

    def counted(window: int) -> tuple[Reals, Reals]:
        return (
            increase(history.bad, history.scrape, window, at, offset),
            increase(history.everything, history.scrape, window, at, offset),
        )

    p = test.promised
    surprised = np.zeros(len(at), dtype=bool)
    with np.errstate(divide="ignore", invalid="ignore"):
        for look in test.looks:
            bad, everything = counted(look.window)
            limit = p * everything + look.z * np.sqrt(p * (1 - p) * everything)
            surprised |= (bad > limit) & ((everything if test.of_all else bad) >= test.at_least)
        whole = np.divide(*counted(max(look.window for look in test.looks)))
        lately, all_lately = counted(test.recent)
        share = lately / all_lately
        begins = surprised & (lately >= AT_LEAST_LATELY) & (share > p) & (share > STILL * whole)
        goes_on = (whole > p) & ~((share <= MENDED * whole) | (share <= MENDED * p))
    return hold_on(held(begins, test.held // EVALUATED_EVERY), goes_on | begins)


def hold_on(begins: Flags, goes_on: Flags) -> Flags:
    """True from where it begins for as long as it goes on."""
    firing = np.zeros(len(begins), dtype=bool)
    before = -2
    for now in np.flatnonzero(begins | goes_on).tolist():
        firing[now] = begins[now] or (before == now - 1 and firing[before])
        before = now
    return firing


def held(true: Flags, evaluations: int) -> Flags:
    """True where it has been true for so many evaluations before as well: the rule's ``for``."""
    index = np.arange(len(true))
    last_false = np.maximum.accumulate(np.where(true, -1, index))
    return true & (index - last_false - 1 >= evaluations)


def pages(firing: Flags) -> NDArray[np.int64]:
    """The evaluations at which the alert begins to fire."""
    return np.flatnonzero(firing & ~np.concatenate(([False], firing[:-1])))
