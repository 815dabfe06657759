"""Compares two versions by their trials: better, worse, as good, or no evidence, and how many trials are missing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from agentgauge.evals import intervals
from agentgauge.evals.history import Trial
from agentgauge.evals.intervals import CONFIDENCE, Interval, Share

Verdict = Literal["better", "worse", "as good", "no evidence"]
"""``as good``: not worse by more than the margin. ``no evidence``: it may be worse by more, and it may not."""

MOST_TRIALS = 1000
"""Of a scenario: nobody runs more, so more are not proposed."""


@dataclass(frozen=True)
class Limits:
    """What a candidate may lose. ``margin`` is of the share that passes; the others are after ÷ before."""

    margin: float = 0.10
    cost: float = 1.25
    turns: float = 1.25
    latency: float = 2.0


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True)
class ScenarioChange:
    """One scenario before and after.

    Its interval is wider than that of the suite, in order that the chance to blame any scenario wrongly stays as small
    with many scenarios as with one.
    """

    name: str
    before: Share
    after: Share
    difference: Interval

    @property
    def is_worse(self) -> bool:
        """Whether it passes less: the whole interval is below 0."""
        return self.difference.high < 0

    @property
    def is_better(self) -> bool:
        """Whether it passes more."""
        return self.difference.low > 0


@dataclass(frozen=True)
class Drift:
    """How an amount changed: after ÷ before, None where it could not be measured; ``limit`` is what it may be."""

    name: Literal["cost", "turns", "latency"]
    ratio: Interval | None
    limit: float

    @property
    def is_too_much(self) -> bool:
        """Whether the whole interval is above the limit."""
        return self.ratio is not None and self.ratio.low > self.limit


@dataclass(frozen=True)
class Comparison:
    """A candidate beside the version that it would replace, over the scenarios that both were tried on.

    ``difference`` is that of the share of trials that pass. ``trials_needed`` of each scenario and version would
    decide it if the shares stay as they are; None if it is decided, or no number of trials would.
    """

    scenarios: tuple[ScenarioChange, ...]
    difference: Interval
    drifts: tuple[Drift, ...]
    margin: float
    trials_needed: int | None

    @property
    def worse_scenarios(self) -> list[str]:
        """The scenarios that are worse, each for itself."""
        return [one.name for one in self.scenarios if one.is_worse]

    @property
    def too_much(self) -> list[Drift]:
        """What rose above its limit."""
        return [drift for drift in self.drifts if drift.is_too_much]

    @property
    def passing(self) -> Verdict:
        """The verdict on what passes, whatever it costs."""
        return "worse" if self.worse_scenarios else _verdict(self.difference, self.margin)

    @property
    def verdict(self) -> Verdict:
        """The verdict on all of it: what costs too much is worse, however well it passes."""
        return "worse" if self.too_much else self.passing


def compare(before: Sequence[Trial], after: Sequence[Trial], limits: Limits = DEFAULT_LIMITS) -> Comparison:
    """Compare the trials of two versions, scenario by scenario; ValueError if they share no scenario."""
    old, new = _by_scenario(before), _by_scenario(after)
    names = sorted(name for name in old if name in new)
    if not names:
        raise ValueError("the two versions were tried on no scenario in common")
    olds, news = ([_share(side[name]) for name in names] for side in (old, new))
    alone = 1 - (1 - CONFIDENCE) / len(names)  # Bonferroni: one error in twenty over all scenarios together
    whole = intervals.difference(olds, news)
    return Comparison(
        scenarios=tuple(
            ScenarioChange(name, one, other, intervals.difference([one], [other], alone))
            for name, one, other in zip(names, olds, news, strict=True)
        ),
        difference=whole,
        drifts=(
            _drift("cost", old, new, limits.cost, lambda trial: trial.cost_usd),
            _drift("turns", old, new, limits.turns, lambda trial: trial.turns),
            _drift("latency", old, new, limits.latency, lambda trial: trial.seconds),
        ),
        margin=limits.margin,
        trials_needed=_trials_needed(olds, news, limits.margin)
        if _verdict(whole, limits.margin) == "no evidence"
        else None,
    )


def _verdict(whole: Interval, margin: float) -> Verdict:
    if whole.high < 0:
        return "worse"
    if whole.low > 0:
        return "better"
    return "as good" if whole.low >= -margin else "no evidence"


def _trials_needed(before: Sequence[Share], after: Sequence[Share], margin: float) -> int | None:
    """The smallest number of trials of each scenario, in both versions, that would decide at these shares."""

    def decides(trials: int) -> bool:
        olds, news = ([Share(one.rate * trials, trials) for one in side] for side in (before, after))
        return _verdict(intervals.difference(olds, news), margin) != "no evidence"

    if not decides(MOST_TRIALS):
        return None
    low, high = 1, MOST_TRIALS
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if decides(middle) else (middle + 1, high)
    return low


def _drift(
    name: Literal["cost", "turns", "latency"],
    before: Mapping[str, Sequence[Trial]],
    after: Mapping[str, Sequence[Trial]],
    limit: float,
    amount: Callable[[Trial], float],
) -> Drift:
    def amounts(side: Mapping[str, Sequence[Trial]]) -> dict[str, list[float]]:
        return {scenario: [amount(trial) for trial in trials] for scenario, trials in side.items()}

    return Drift(name, intervals.ratio(amounts(before), amounts(after)), limit)


def _by_scenario(trials: Sequence[Trial]) -> dict[str, list[Trial]]:
    by_name: dict[str, list[Trial]] = {}
    for trial in trials:
        by_name.setdefault(trial.scenario, []).append(trial)
    return by_name


def _share(trials: Sequence[Trial]) -> Share:
    return Share(sum(trial.passed for trial in trials), len(trials))
