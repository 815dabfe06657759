"""The load test: it measures on the real Prometheus, and the page does its sums right."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from agentgauge.ledger.store import LONGEST_WINDOW_DAYS
from stack.load import results, rules
from stack.load.results import FLEETS, PEOPLE, SCRAPE_SECONDS, LoadResult
from stack.load.run import run

FEW = LoadResult(
    replicas=20,
    seconds=90,
    asked_sessions_per_second=100,
    sessions_per_second=100,
    added_p50=0.0002,
    added_p99=0.001,
    up=20,
    slowest_scrape=0.01,
    rules=0.05,
    missed=0,
    series=5000,
    memory=100_000_000,
    machine="2 cores",
    load=1,
)
MANY = replace(FEW, replicas=220, up=220, series=45_000, memory=300_000_000)


@pytest.mark.e2e
def test_a_run_measures_on_the_real_prometheus(tmp_path: Path, programs: dict[str, Path]) -> None:
    """Every replica is scraped and every figure is there. It takes as long as the first scrapes and evaluations."""
    measured = run(3, 20, 25, tmp_path, programs, lambda _text: None)
    assert measured.up == measured.replicas == 3
    assert measured.sessions_per_second > 0
    assert 0 < measured.added_p50 <= measured.added_p99
    assert measured.series > 100
    assert min(measured.slowest_scrape, measured.rules, measured.memory) > 0


def test_the_sums_go_on_as_the_two_runs_did() -> None:
    """200 series a replica, 5 kB a series: what does not grow with the replicas is counted once."""
    for replicas in FLEETS:
        made = results.fleet(replicas, FEW, MANY)
        assert made.series == 5000 + 200 * (replicas - 20)
        assert made.samples_per_second == pytest.approx(made.series / SCRAPE_SECONDS)
        assert made.memory == pytest.approx(100e6 + 5000 * (made.series - 5000))


def test_the_page_shows_the_sums_up_to_ten_thousand_replicas_and_a_million_people() -> None:
    """With what they are made of."""
    text = results.page([FEW, MANY])
    assert "(45,000 − 5,000) / (220 − 20)" in text
    assert "| 10,000 | 2,001,000 | 200,100 | 10.1 GB |" in text
    assert f"{PEOPLE * LONGEST_WINDOW_DAYS:,} in the {LONGEST_WINDOW_DAYS} days" in re.sub(r"\s+", " ", text)


def test_a_run_in_which_replicas_were_not_scraped_is_not_reckoned_with() -> None:
    """Their series are not there, so a replica would seem to have few."""
    broken = replace(MANY, replicas=600, up=0, series=10_000)
    assert "(45,000 − 5,000) / (220 − 20)" in results.page([FEW, MANY, broken])


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        ({"up": 210}, "with 220 replicas, 10 were not scraped in time"),
        ({"missed": 4}, "with 220 replicas, 4 evaluations of a group of rules were late"),
        ({}, "not up to 220 replicas"),
    ],
)
def test_the_page_says_where_it_breaks_first(broken: dict[str, int], says: str) -> None:
    """And by which metric or alert one would hear of it."""
    assert says in results.page([FEW, replace(MANY, **broken)])  # type: ignore[arg-type]  # all are numbers


def test_results_are_kept_one_for_each_number_of_replicas(tmp_path: Path) -> None:
    """The newest, fewest replicas first."""
    file = tmp_path / "results.json"
    for one in (MANY, FEW, replace(MANY, missed=3)):
        results.keep(one, file)
    assert results.load(file) == [FEW, replace(MANY, missed=3)]


def test_what_only_grows_grows_with_the_work_and_gauges_do_not() -> None:
    """So many replicas cost nothing to play: they are one text."""
    text = b'# TYPE a_total counter\na_total{agent="a"} 2.0\nb_bucket{le="+Inf"} 3.0\nb_sum 0.0\nc_active 4.0\n'
    assert rules.grown(text, 1.5).splitlines()[1:] == [
        b'a_total{agent="a"} 3.0',
        b'b_bucket{le="+Inf"} 4.5',
        b"b_sum 0.0",
        b"c_active 4.0",
    ]


def test_the_page_of_the_docs_is_that_of_the_kept_results() -> None:
    """`make load WRITE=1` and `make bench-rules WRITE=1` renew both."""
    text = (Path(__file__).resolve().parents[2] / "docs" / "scaling.md").read_text(encoding="utf-8")
    assert results.page(results.load()).rstrip() in text
    assert rules.section(rules.load()).rstrip() in text
