"""Two versions compared by their trials: worse, better, as good, or too few trials to say."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from agentgauge.evals.comparison import Comparison, Limits, compare
from agentgauge.evals.history import Trial

MANY = [f"scenario {number}" for number in range(33)]


def trials(
    passed: Mapping[str, tuple[int, int]], *, cost: float = 0.02, turns: int = 3, seconds: float = 0.5
) -> list[Trial]:
    """Scenario → so many of so many trials passed; costs and seconds differ a little from trial to trial."""
    return [
        Trial(name, number, float(number < good), number < good, turns, cost * (1 + number / 50), 0.0, seconds, (), {})
        for name, (good, count) in passed.items()
        for number in range(count)
    ]


def everywhere(good: int, count: int, names: list[str] = MANY) -> dict[str, tuple[int, int]]:
    """The same in every scenario."""
    return dict.fromkeys(names, (good, count))


def change(before: Mapping[str, tuple[int, int]], after: Mapping[str, tuple[int, int]]) -> Comparison:
    """What passed before and after, at the same cost."""
    return compare(trials(before), trials(after))


@pytest.mark.parametrize("scenarios", [3, 33])
def test_five_of_five_to_three_of_five_everywhere_is_worse(scenarios: int) -> None:
    """Although each scenario for itself is only flaky."""
    made = change(everywhere(5, 5, MANY[:scenarios]), everywhere(3, 5, MANY[:scenarios]))
    assert made.verdict == "worse"
    assert made.difference.estimate == pytest.approx(-0.4)
    assert made.difference.high < 0


def test_what_changed_nothing_is_as_good() -> None:
    """With enough trials to exclude that it is worse by more than the margin."""
    made = change(everywhere(5, 5), everywhere(5, 5))
    assert (made.verdict, made.trials_needed) == ("as good", None)
    assert made.difference.low > -0.1


def test_too_few_trials_are_no_evidence_and_say_how_many_are_missing() -> None:
    """That many then are enough, and one less is not."""
    few = change(everywhere(2, 2, MANY[:3]), everywhere(2, 2, MANY[:3]))
    assert few.verdict == "no evidence"
    needed = few.trials_needed
    assert needed is not None
    for count, verdict in ((needed, "as good"), (needed - 1, "no evidence")):
        assert change(everywhere(count, count, MANY[:3]), everywhere(count, count, MANY[:3])).verdict == verdict


def test_trials_that_would_not_decide_are_not_asked_for() -> None:
    """With no margin at all, versions that pass alike are never shown to be as good."""
    made = compare(trials({"a": (5, 10)}), trials({"a": (5, 10)}), Limits(margin=0.0))
    assert (made.verdict, made.trials_needed) == ("no evidence", None)


def test_what_passes_more_is_better() -> None:
    """And says so only when the whole interval does."""
    assert change(everywhere(3, 5), everywhere(5, 5)).verdict == "better"
    assert change({"a": (3, 5)}, {"a": (5, 5)}).verdict == "no evidence"


def test_one_scenario_that_broke_among_many_is_worse_by_name() -> None:
    """The mean hardly moves: the scenario is compared for itself."""
    made = change(everywhere(5, 5), everywhere(5, 5) | {MANY[7]: (0, 5)})
    assert (made.verdict, made.worse_scenarios) == ("worse", [MANY[7]])
    assert made.difference.high > -0.1


def test_one_bad_trial_among_many_is_not_worse() -> None:
    """Models are noisy."""
    made = change(everywhere(5, 5), everywhere(5, 5) | {MANY[7]: (4, 5)})
    assert (made.verdict, made.worse_scenarios) == ("as good", [])


@pytest.mark.parametrize(
    ("changed", "name"), [({"cost": 0.2}, "cost"), ({"turns": 6}, "turns"), ({"seconds": 5.0}, "latency")]
)
def test_ten_times_the_cost_is_worse_however_well_it_passes(changed: dict[str, float], name: str) -> None:
    """As are twice the turns and ten times the seconds."""
    passed = everywhere(5, 5)
    made = compare(trials(passed), trials(passed, **changed))  # type: ignore[arg-type]  # the names are those of it
    assert (made.verdict, made.passing) == ("worse", "as good")
    assert [drift.name for drift in made.too_much] == [name]


def test_a_little_more_cost_is_shown_and_not_blamed() -> None:
    """Within the limit."""
    made = compare(trials(everywhere(5, 5)), trials(everywhere(5, 5), cost=0.022))
    (cost, _, _) = made.drifts
    assert made.verdict == "as good"
    assert cost.ratio is not None
    assert cost.ratio.low < 1.1 < cost.ratio.high


def test_drift_is_unknown_where_nothing_says_how_much_amounts_vary() -> None:
    """One trial of one scenario, or an amount of 0 because the model has no price."""
    once = {"a": (1, 1)}
    assert [drift.ratio for drift in compare(trials(once), trials(once, cost=2)).drifts] == [None] * 3
    free = compare(trials(everywhere(5, 5), cost=0), trials(everywhere(5, 5), cost=0))
    assert free.drifts[0].ratio is None


def test_only_scenarios_that_both_were_tried_on_are_compared() -> None:
    """A new and harder scenario makes no version worse."""
    made = change({"a": (5, 5), "gone": (5, 5)}, {"a": (5, 5), "new": (0, 5)})
    assert [one.name for one in made.scenarios] == ["a"]
    with pytest.raises(ValueError, match="no scenario in common"):
        change({"a": (5, 5)}, {"b": (5, 5)})
