"""The model of the rules: it counts as Prometheus does, and begins and ends as the rules do."""

from __future__ import annotations

import numpy as np

from truth.histories import DAY, HOUR, History, changing, draw
from truth.judging import EVALUATED_EVERY, Look, Shape, hold_on, increase, judge, pages

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
