"""How often the gate errs, measured: trials are drawn from known chances, thousands of times, with a fixed seed.

The bounds below are what the docs publish (docs/evaluations.md).
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

import pytest

from agentgauge.evals.comparison import compare
from agentgauge.evals.history import Trial
from agentgauge.evals.intervals import Share, mean_share

REPETITIONS = 300
SUITES = {
    "six scenarios, ten trials": ([0.8] * 6, 10),
    "twenty scenarios, a mixture": ([1.0] * 10 + [0.0] * 3 + [0.6] * 7, 5),
    "one scenario, thirty trials": ([0.7], 30),
}
"""Name → the chance of each scenario to pass, and trials of each."""
suites = pytest.mark.parametrize(("chances", "count"), SUITES.values(), ids=SUITES)


def drawn(dice: random.Random, chances: Sequence[float], count: int) -> list[Trial]:
    """Trials of a version whose scenarios pass with these chances."""
    trials = []
    for scenario, chance in enumerate(chances):
        for number in range(count):
            passed = dice.random() < chance
            trials.append(Trial(str(scenario), number, float(passed), passed, 3, 0.02, 0, 0.5, (), {}))
    return trials


def verdicts(chances: Sequence[float], count: int, drop: float) -> Counter[str]:
    """How often each verdict falls on a version that passes less by ``drop`` where it can."""
    dice = random.Random(15)  # noqa: S311 - no secret: the same draw every time
    worse = [max(0.0, chance - drop) for chance in chances]
    return Counter(compare(drawn(dice, chances, count), drawn(dice, worse, count)).verdict for _ in range(REPETITIONS))


@suites
def test_an_equal_version_is_rarely_called_worse_or_better(chances: list[float], count: int) -> None:
    """Each at most once in twenty."""
    said = verdicts(chances, count, drop=0.0)
    assert said["worse"] <= 0.05 * REPETITIONS
    assert said["better"] <= 0.05 * REPETITIONS


@suites
def test_a_version_that_is_much_worse_is_never_let_pass(chances: list[float], count: int) -> None:
    """40 points less: nearly always called worse, and else that there is not enough evidence."""
    said = verdicts(chances, count, drop=0.4)
    assert said["as good"] + said["better"] == 0
    assert said["worse"] >= 0.8 * REPETITIONS


def test_a_version_that_is_worse_by_more_than_the_margin_is_rarely_called_as_good() -> None:
    """15 points less where 10 are allowed: at most once in forty."""
    said = verdicts([0.9] * 6, 20, drop=0.15)
    assert said["as good"] + said["better"] <= 0.025 * REPETITIONS


@suites
def test_the_interval_of_the_mean_holds_the_truth(chances: list[float], count: int) -> None:
    """In at least 92 of 100 draws: it is meant for 95."""
    dice = random.Random(4)  # noqa: S311 - no secret: the same draw every time
    truth = sum(chances) / len(chances)
    held = 0
    for _ in range(REPETITIONS):
        shares = [Share(sum(dice.random() < chance for _ in range(count)), count) for chance in chances]
        interval = mean_share(shares)
        held += interval.low <= truth <= interval.high
    assert held >= 0.92 * REPETITIONS
