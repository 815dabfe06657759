"""The model of the rules: it counts as Prometheus does, and begins and ends as the rules do."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from agentgauge import metrics
from alerts import thresholds
from tests.alerts.promtool import RULES
from truth.curve import ALERT, shape_of
from truth.histories import DAY, HOUR, STEP, History, changing, draw
from truth.incidents import TUESDAY
from truth.judging import EVALUATED_EVERY, Look, Shape, hold_on, increase, judge, pages
from truth.remote_write import Samples
from truth.replay import Clock, replay

TOOL = Shape(0.05, (Look(300, 5.5), Look(600, 4.3), Look(HOUR, 3.3)), at_least=5)


def test_an_increase_is_stretched_to_the_edges_of_the_window() -> None:
    """Ten a minute are fifty in five minutes, whether five or twenty scrapes saw them."""
    counter = np.arange(1, 721) * 10 // 12  # ten a minute on the grid of five seconds
    at = np.array([1800])
    for scrape in (15, 60):
        assert abs(increase(counter, scrape, 300, at)[0] - 50) < 2


def test_a_healthy_tool_pages_nobody_for_a_week_and_a_dead_one_does_within_minutes() -> None:
    """At 240 calls an hour; the same seed draws the same history."""
    healthy = draw(np.random.default_rng(3), per_hour=240, bad_share=0.02, seconds=7 * DAY, scrape=15)
    assert not judge(healthy, TOOL).any()
    dies = changing(0.02, 1, 2 * HOUR, 3 * HOUR)
    dead = draw(np.random.default_rng(3), per_hour=240, bad_share=dies, seconds=5 * HOUR, scrape=15)
    firing = judge(dead, TOOL)
    (began,) = pages(firing)
    assert 2 * HOUR < began * EVALUATED_EVERY < 2 * HOUR + 300
    assert not firing[(3 * HOUR + 660) // EVALUATED_EVERY :].any()


def test_it_goes_on_only_from_where_it_began() -> None:
    """What may go on without having begun stays silent."""
    begins = np.array([False, True, False, False, False])
    goes_on = np.array([True, False, True, False, True])
    assert hold_on(begins, goes_on).tolist() == [False, True, True, False, False]


def test_the_same_seed_draws_the_same_history() -> None:
    """Whoever doubts a figure can draw it again."""
    one, two = (draw(np.random.default_rng(5), per_hour=60, bad_share=0.1, seconds=HOUR, scrape=60) for _ in range(2))
    assert isinstance(one, History)
    assert (one.bad == two.bad).all()
    assert (one.everything == two.everything).all()


def test_the_model_says_what_the_rules_say_of_the_same_history(programs: dict[str, Path], tmp_path: Path) -> None:
    """When it begins and ends, to the evaluation; with the numbers in force."""
    for number, share in enumerate((1.0, 0.2, 0.1)):
        fails = changing(0.0125, share, 2 * HOUR, 3 * HOUR)
        history = draw(np.random.default_rng(number), per_hour=240, bad_share=fails, seconds=4 * HOUR, scrape=15)
        modelled = judge(history, shape_of(thresholds.load().alerts[ALERT], 0.05, of_all=False))
        moments = TUESDAY + np.arange(EVALUATED_EVERY, history.seconds, EVALUATED_EVERY)
        folder = tmp_path / str(number)
        folder.mkdir()
        clock = Clock(TUESDAY, TUESDAY, TUESDAY + 4 * HOUR - EVALUATED_EVERY, EVALUATED_EVERY)
        firings = replay(tool(history), clock, programs["prometheus"], RULES, folder)
        fired = np.zeros(len(modelled), dtype=bool)
        for firing in firings:
            if firing.alert == ALERT:
                fired |= (moments >= firing.begins) & (moments < (firing.ends or moments[-1] + 1))
        assert fired.any() == modelled.any()
        assert (fired != modelled).sum() <= 0.02 * len(fired), f"{share:.0%} bad: {(fired != modelled).sum()} moments"


def tool(history: History) -> list[Samples]:
    """A history as the calls of one tool, beside another that always succeeds."""
    at = np.arange(0, history.seconds, history.scrape)
    series = {
        ("crm", "error"): history.bad[at // STEP],
        ("crm", "success"): (history.everything - history.bad)[at // STEP],
        ("mail", "success"): at,
    }
    return [
        Samples(metrics.BUILD_INFO.name, {"agent": "a"}, TUESDAY + at, np.ones(len(at))),
        *(
            Samples(
                metrics.TOOL_CALLS.name,
                {"agent": "a", "tool": name, "outcome": outcome},
                TUESDAY + at,
                values.astype(np.float64),
            )
            for (name, outcome), values in series.items()
        ),
    ]
