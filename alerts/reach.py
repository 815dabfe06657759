"""What an alert can find at a volume: arithmetic on thresholds.yml, no simulation.

An alert on shares needs so many events before a share can surprise it. What is said here is the median: half of the
incidents are found sooner. ``make truth`` measures it with the rules themselves, on made-up traffic.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, inf, sqrt
from typing import Literal

from alerts.model import SLOW_SHARE
from alerts.thresholds import Numbers, Thresholds

Events = Literal["calls", "tasks", "sessions", "approvals", "ratings", "llm_calls"]

USUAL: dict[Events, float] = {
    "calls": 190, "tasks": 75, "sessions": 25, "approvals": 8, "ratings": 4, "llm_calls": 300,
}  # fmt: skip  # one line reads better
"""Events an hour of the agent that ``make truth`` measures: who says only one of them has the others in proportion."""

Promise = Literal["share", "success", "p95", "mean", "any"]


@dataclass(frozen=True)
class Subject:
    """What an alert judges: events, and how its threshold is to be read.

    ``any``: that not a single one is good. ``share``: the bad share. ``success``: the good one. ``p95``: a twentieth
    may be worse. ``mean``: a mean, above or, with ``below``, under it. ``of_all``: the evidence counts all events, not
    the bad ones.
    """

    alert: str
    events: Events
    promise: Promise
    of_all: bool = False
    below: bool = False


SUBJECTS = (
    Subject("AgentAllToolCallsFailing", "calls", "any"),
    Subject("AgentToolSuccessRateLow", "calls", "success"),
    Subject("AgentToolLatencyHigh", "calls", "p95"),
    Subject("AgentMCPErrorsHigh", "calls", "share"),
    Subject("AgentLLMErrorsHigh", "llm_calls", "share"),
    Subject("AgentLatencySpike", "tasks", "p95"),
    Subject("AgentTaskCompletionLow", "tasks", "success", of_all=True),
    Subject("AgentFallbackRateHigh", "tasks", "share", of_all=True),
    Subject("AgentTurnsIncreasing", "tasks", "mean", of_all=True),
    Subject("AgentWrongAnswersReported", "tasks", "share"),
    Subject("AgentSessionCostHigh", "sessions", "mean", of_all=True),
    Subject("AgentSessionsAbandoned", "sessions", "mean", of_all=True, below=True),
    Subject("AgentInputTokensHigh", "llm_calls", "mean", of_all=True),
    Subject("AgentApprovalRateLow", "approvals", "success", of_all=True),
    Subject("AgentNegativeFeedbackHigh", "ratings", "share", of_all=True),
)
"""The alerts that need events. The others see a single one, or a silence, at any volume."""


@dataclass(frozen=True)
class Reach:
    """What one alert can find. ``worst`` is the least bad share, or the mean, that it finds, in ``within`` minutes.

    ``total_minutes`` is when it finds that everything is bad; None for a mean. ``needs_hours`` is the window that it
    would need to see that at all; 0 where the windows that it has are long enough.
    """

    alert: str
    events: Events
    per_hour: float
    total_minutes: float | None
    worst: float
    within: float
    needs_hours: float
    mean: bool

    @property
    def works(self) -> bool:
        """Whether it finds anything."""
        return self.worst < inf


def volumes(given: dict[Events, float]) -> dict[Events, float]:
    """Events an hour: as given, the others in proportion to the first that is given."""
    first = next(iter(given))
    return {name: given.get(name, usual * given[first] / USUAL[first]) for name, usual in USUAL.items()}


def reaches(thresholds: Thresholds, per_hour: dict[Events, float]) -> Iterator[Reach]:
    """What each alert can find at these volumes, in the order of SUBJECTS."""
    for subject in SUBJECTS:
        if subject.alert in thresholds.alerts:
            yield reach(subject, thresholds.alerts[subject.alert], per_hour[subject.events])


def reach(subject: Subject, numbers: Numbers, per_hour: float) -> Reach:
    """What this alert can find with so many events an hour."""
    if subject.promise == "any":
        return _none_good(subject, numbers, per_hour)
    looks = [(look.window.seconds / 3600, look.z) for look in numbers.looks.values() if look.z is not None]
    evidence = numbers.evidence.value if numbers.evidence else 1
    held = (numbers.for_.seconds / 60) if numbers.for_ else 0
    if subject.promise == "mean":
        found = [
            (_mean_found(subject, numbers, hours * per_hour, z, evidence), hours * 60 + held) for hours, z in looks
        ]
        # For a limit from below the worst mean that is found is the highest.
        worst, within = min(found, key=lambda one: -one[0] if subject.below and one[0] < inf else one[0])
        needs = 0 if worst < inf else evidence / per_hour
        return Reach(subject.alert, subject.events, per_hour, None, worst, within, needs, mean=True)
    p = _promised(subject, numbers)
    found = [(_share_found(p, hours * per_hour, z, evidence, subject.of_all), hours * 60 + held) for hours, z in looks]
    worst, within = min(found)
    total = [minutes for hours, z in looks for minutes in _total(p, per_hour, hours, z, evidence, subject.of_all)]
    needs = 0 if worst < inf else min(max(evidence, ceil(z**2 * p / (1 - p))) for _, z in looks) / per_hour
    minutes = min(total, default=inf) + held
    return Reach(subject.alert, subject.events, per_hour, minutes, worst, within, needs, mean=False)


def _none_good(subject: Subject, numbers: Numbers, per_hour: float) -> Reach:
    """The window has to run empty of good ones, and to hold the evidence."""
    hours = numbers.window.seconds / 3600 if numbers.window else 0
    evidence = numbers.evidence.value if numbers.evidence else 1
    sees = per_hour * hours >= evidence
    worst, minutes = (1.0, hours * 60) if sees else (inf, inf)
    needs = 0 if sees else evidence / per_hour
    return Reach(subject.alert, subject.events, per_hour, minutes, worst, hours * 60, needs, mean=False)


def _promised(subject: Subject, numbers: Numbers) -> float:
    if subject.promise == "p95" or numbers.threshold is None:
        return SLOW_SHARE
    return 1 - numbers.threshold.value if subject.promise == "success" else numbers.threshold.value


def _share_found(p: float, n: float, z: float, evidence: float, of_all: bool) -> float:
    """The least bad share that ``n`` events of a window show."""
    if not n or (of_all and n < evidence):
        return inf
    share = max(p + z * sqrt(p * (1 - p) / n), 0 if of_all else evidence / n)
    return share if share <= 1 else inf


def _total(p: float, per_hour: float, hours: float, z: float, evidence: float, of_all: bool) -> Iterator[float]:
    """Minutes until a window sees that everything is bad, as all of it was fine before; none if it never does."""
    n = per_hour * hours
    bad = p * n + z * sqrt(p * (1 - p) * n)
    needed = max(bad, evidence) if not of_all else bad
    if n and needed <= n and (not of_all or n >= evidence):
        yield needed / per_hour * 60


def _mean_found(subject: Subject, numbers: Numbers, n: float, z: float, evidence: float) -> float:
    """The mean nearest to the threshold that ``n`` events of a window show."""
    if numbers.threshold is None or numbers.scatter is None or n < evidence:
        return inf
    away = z * numbers.scatter.value / sqrt(n)
    mean = numbers.threshold.value - away if subject.below else numbers.threshold.value + away
    return mean if mean >= 0 else inf
