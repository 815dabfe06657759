"""How the ratio alerts do with the numbers of ``thresholds.yml``: false pages, and minutes to find and to end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

import numpy as np

from alerts import thresholds
from alerts.thresholds import Numbers
from truth.histories import HOUR, WEEK, History, changing, draw
from truth.judging import EVALUATED_EVERY, Look, Shape, judge, pages

WEEKS = 24
INCIDENTS = 40


@dataclass(frozen=True)
class Subject:
    """An alert with the volumes (events an hour) and the incidents (bad share, hours) that it is measured with."""

    alert: str
    promised: float
    volumes: tuple[float, ...]
    incidents: tuple[tuple[float, float, float], ...]


SUBJECTS = (
    Subject(
        "AgentToolSuccessRateLow",
        0.05,
        (10, 45, 190, 1900),
        ((10, 1, 1.5), (45, 1, 0.75), (240, 1, 0.75), (45, 0.2, 3), (240, 0.2, 2), (45, 0.1, 6), (240, 0.1, 3)),
    ),
    Subject(
        "AgentTaskCompletionLow",
        0.2,
        (7.5, 15, 75, 750),
        ((15, 1, 1.5), (75, 1, 0.75), (75, 0.5, 2), (75, 0.3, 4), (750, 0.3, 2)),
    ),
)


def shape_of(numbers: Numbers, promised: float, *, of_all: bool) -> Shape:
    """The model of an alert with these numbers; ``of_all`` where the evidence counts the whole."""
    looks = tuple(Look(int(look.window.seconds), look.z) for look in numbers.looks.values() if look.z)
    floor = numbers.evidence.value if numbers.evidence else 0
    held = int(numbers.for_.seconds) if numbers.for_ else 0
    return Shape(promised, looks, floor, of_all, int(numbers.looks["lately"].window.seconds), held)


def lines(seed: int, scrape: int, *, short: bool = False) -> Iterator[str]:
    """The table, line by line, as Markdown; ``short`` draws a sixth of the histories."""
    numbers = thresholds.load().alerts
    weeks, incidents = (WEEKS // 6, INCIDENTS // 5) if short else (WEEKS, INCIDENTS)
    yield "| alert | what happens | false pages in 4 weeks | found | minutes to find | minutes to end |"
    yield "|---|---|---|---|---|---|"
    for subject in SUBJECTS:
        test = shape_of(numbers[subject.alert], subject.promised, of_all=subject.alert == "AgentTaskCompletionLow")
        rng = np.random.default_rng(seed)
        for volume in subject.volumes:
            for part, words in ((0.5, "half"), (0.8, "four fifths")):
                share = subject.promised * part
                history = draw(rng, per_hour=volume, bad_share=share, seconds=weeks * WEEK, scrape=scrape)
                false = len(pages(judge(history, test))) * 4 / weeks
                yield f"| {subject.alert} | {volume:g} an hour, {words} of what is promised bad | {false:.1f} | | | |"
        for volume, share, hours in subject.incidents:
            outcomes = [
                _incident(rng, test, subject.promised / 4, volume, share, hours, scrape) for _ in range(incidents)
            ]
            found = [minutes for minutes, _ in outcomes if minutes is not None]
            ends = [minutes for _, minutes in outcomes if minutes is not None]
            all_found = [minutes if minutes is not None else float("inf") for minutes, _ in outcomes]
            yield (
                f"| {subject.alert} | {volume:g} an hour, {share:.0%} bad for {hours:g} h | | "
                f"{len(found) / incidents:.0%} | {median(all_found):.1f} | {median(ends) if ends else 0:.1f} |"
            )


def _incident(
    rng: np.random.Generator, test: Shape, before: float, volume: float, share: float, hours: float, scrape: int
) -> tuple[float | None, float | None]:
    """Minutes until the alert began, and minutes from the mending until it ended; None where it did not."""
    begins, ends = 2 * HOUR, int((2 + hours) * HOUR)
    history: History = draw(
        rng,
        per_hour=volume,
        bad_share=changing(before, share, begins, ends),
        seconds=ends + 3 * HOUR,
        scrape=scrape,
    )
    firing = judge(history, test)
    during = np.flatnonzero(firing[begins // EVALUATED_EVERY - 1 : ends // EVALUATED_EVERY - 1])
    after = np.flatnonzero(~firing[ends // EVALUATED_EVERY - 1 :])
    if not len(during):
        return None, None
    return during[0] * EVALUATED_EVERY / 60, after[0] * EVALUATED_EVERY / 60 if len(after) else None
