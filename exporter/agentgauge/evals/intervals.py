"""Confidence intervals for trials: shares that passed, differences of such shares, and ratios of amounts.

The scenarios of a suite are given, the trials of each are a sample: a suite is a stratified sample whose strata weigh
the same. Methods, by name:

* a share: Wilson (1927), the score interval;
* the mean of shares over scenarios: Wilson's interval with an effective number of trials, as Korn and Graubard (1998),
  "Confidence intervals for proportions with small expected number of positive counts estimated from survey data",
  Survey Methodology 24(2), have it for stratified samples; never fewer than there were;
* the chance that k trials all pass: unbiased, with as many effective trials as there are disjoint groups of k;
* a difference of two means of shares: Newcombe (1998), "Interval estimation for the difference between independent
  proportions", Statistics in Medicine 17, method 10, on those limits;
* a ratio of amounts: Welch's t interval for the mean of logarithms within scenarios, so a ratio of geometric means.

tests/exporter/evals/test_error_rates.py measures how often they err.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import comb, exp, log, sqrt
from statistics import NormalDist

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """An estimate between the limits ``low`` and ``high``."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True)
class Share:
    """So many of so many trials passed."""

    passed: float
    trials: float

    @property
    def rate(self) -> float:
        """The share."""
        return self.passed / self.trials


def z_of(confidence: float) -> float:
    """How many standard deviations lie on each side of a two-sided normal interval."""
    return NormalDist().inv_cdf((1 + confidence) / 2)


def share(one: Share, confidence: float = CONFIDENCE) -> Interval:
    """Wilson's interval for the chance that a trial passes."""
    return Interval(one.rate, *_wilson(one, z_of(confidence)))


def mean_share(shares: Sequence[Share], k: int = 1, confidence: float = CONFIDENCE) -> Interval:
    """The chance that ``k`` trials of a scenario all pass, as a mean over the scenarios; at most all of its trials."""
    estimate = _mean([all_pass(one, k) for one in shares])
    groups = len(shares) ** 2 / sum(1 / max(1, one.trials // k) for one in shares)
    effective = groups * (_binomial_over_stratified(shares) if k == 1 else 1.0)
    return Interval(estimate, *_wilson(Share(estimate * effective, effective), z_of(confidence)))


def all_pass(one: Share, k: int) -> float:
    """The chance that ``k`` trials, drawn from those of a scenario, all passed; with k = all of them, 1 or 0."""
    k = min(k, round(one.trials))
    return one.rate if k == 1 else comb(round(one.passed), k) / comb(round(one.trials), k)


def difference(before: Sequence[Share], after: Sequence[Share], confidence: float = CONFIDENCE) -> Interval:
    """By how much the mean share after differs from that before, −1 to 1; the same scenarios in both."""
    old, new = mean_share(before, confidence=confidence), mean_share(after, confidence=confidence)
    estimate = new.estimate - old.estimate
    down = sqrt((new.estimate - new.low) ** 2 + (old.high - old.estimate) ** 2)
    up = sqrt((new.high - new.estimate) ** 2 + (old.estimate - old.low) ** 2)
    return Interval(estimate, max(-1.0, estimate - down), min(1.0, estimate + up))


def ratio(
    before: Mapping[str, Sequence[float]], after: Mapping[str, Sequence[float]], confidence: float = CONFIDENCE
) -> Interval | None:
    """After ÷ before of an amount, as a mean over the scenarios that both have, by scenario.

    None where it cannot be known: an amount of 0, or no scenario was tried twice and there are fewer than three.
    """
    names = [name for name in before if name in after]
    amounts = [amount for side in (before, after) for name in names for amount in side[name]]
    if not amounts or min(amounts) <= 0:
        return None
    old, new = ([[log(amount) for amount in side[name]] for name in names] for side in (before, after))
    gaps = [_mean(one) - _mean(other) for one, other in zip(new, old, strict=True)]
    estimate = _mean(gaps)
    spread = _spread_within(old, new) or _spread_between(gaps)
    if spread is None:
        return None
    deviation, freedom = spread
    reach = _t_of(confidence, freedom) * deviation
    return Interval(exp(estimate), exp(estimate - reach), exp(estimate + reach))


def _wilson(one: Share, z: float) -> tuple[float, float]:
    rate, trials = one.rate, one.trials
    middle = (rate + z * z / (2 * trials)) / (1 + z * z / trials)
    reach = z / (1 + z * z / trials) * sqrt(rate * (1 - rate) / trials + z * z / (4 * trials * trials))
    return max(0.0, middle - reach), min(1.0, middle + reach)


def _binomial_over_stratified(shares: Sequence[Share]) -> float:
    """By how much the variance of a mean is smaller for scenarios that differ than for equal ones; at least 1.

    What is known of the scenarios' own variance is shrunk towards that of equal ones, by the weight of four trials.
    """
    rate = _mean([one.rate for one in shares])
    equal = rate * (1 - rate)
    if not equal:
        return 1.0
    trials = sum(one.trials for one in shares)
    own = _mean([_variance(one) if one.trials > 1 else equal for one in shares])
    return max(1.0, equal * (trials + 4) / (own * trials + equal * 4))


def _variance(one: Share) -> float:
    """Of a single trial, unbiased."""
    return one.rate * (1 - one.rate) * one.trials / (one.trials - 1)


def _spread_within(old: Sequence[Sequence[float]], new: Sequence[Sequence[float]]) -> tuple[float, float] | None:
    """Standard deviation and degrees of freedom of the mean gap, from how trials of the same scenario differ."""
    variances = []
    for side in (old, new):
        freedom = sum(len(values) - 1 for values in side)
        if freedom < 2:
            return None
        squares = sum((value - _mean(values)) ** 2 for values in side for value in values)
        variance = squares / freedom * sum(1 / len(values) for values in side) / len(side) ** 2
        variances.append((variance, freedom))
    total = sum(variance for variance, _ in variances)
    if not total:
        return 0.0, float(sum(freedom for _, freedom in variances))
    return sqrt(total), total**2 / sum(variance**2 / freedom for variance, freedom in variances)


def _spread_between(gaps: Sequence[float]) -> tuple[float, float] | None:
    """The same from how scenarios differ: with one trial of each, nothing else is known."""
    freedom = len(gaps) - 1
    if freedom < 2:
        return None
    squares = sum((gap - _mean(gaps)) ** 2 for gap in gaps)
    return sqrt(squares / freedom / len(gaps)), float(freedom)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _t_of(confidence: float, freedom: float) -> float:
    """Student's t for a two-sided interval: Abramowitz and Stegun 26.7.5, 3 % short at two degrees of freedom."""
    z = z_of(confidence)
    return (
        z
        + (z**3 + z) / (4 * freedom)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3)
    )
