"""Evaluation runs in the ledger: kept trial by trial, compared with the version before, shown alike by all replicas."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry

from agentgauge import AgentGauge, metrics
from agentgauge.evals.history import EvalHistory, Run, Trial, Version
from agentgauge.ledger import Ledger
from tests.clock import Clock

V1 = Version("1.0", "v1", "claude-opus-5-5")
V2 = replace(V1, model="claude-haiku-5-5")
GOOD, BAD = (1, 1, 1), (0, 0, 1)
"""Trials of one scenario: 1 passed, 0 failed. A majority of BAD failed."""


@pytest.fixture
def history(ledger: Ledger) -> EvalHistory:
    """The evaluations of agent ``a``."""
    return EvalHistory(ledger, "a")


def trial(scenario: str, number: int, passed: bool) -> Trial:
    """A trial that scores 1 or, failed, 0.5."""
    failures = () if passed else ("missing tool get_deal_history",)
    return Trial(scenario, number, 1.0 if passed else 0.5, passed, 3, 0.02, 0.001, 0.5, failures, {"output": "Globex"})


class Runs:
    """Makes finished runs, one a minute, of what was live then unless it says otherwise."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock

    def __call__(
        self,
        version: Version,
        *,
        agent: str = "a",
        suite: str = "sales",
        partial: bool = False,
        live: bool = True,
        **trials: tuple[int, ...],
    ) -> Run:
        """A run that holds, per scenario, these trials."""
        self._clock.forward(minutes=1)
        history = EvalHistory(self._ledger, agent)
        started = history.start(suite, version, "abc123", partial=partial, live=live)
        for scenario, passed in trials.items():
            for number, one in enumerate(passed, start=1):
                history.add(started, trial(scenario, number, bool(one)))
        return history.finish(started, "passed" if all(map(all, trials.values())) else "failed")


@pytest.fixture
def run(ledger: Ledger, clock: Clock) -> Runs:
    """``run(V1, look_up=GOOD)`` is a finished run of one scenario."""
    return Runs(ledger, clock)


def shown(gauge: AgentGauge, name: str) -> dict[tuple[str, ...], float]:
    """The series of a metric, keyed by its labels but ``agent``."""
    gauge.refresh_from_ledger()
    return {
        tuple(value for label, value in sample.labels.items() if label != "agent"): sample.value
        for metric in gauge.registry.collect()
        for sample in metric.samples
        if sample.name == name
    }


def test_a_run_comes_back_with_what_was_evaluated_and_each_trial(run: Runs, history: EvalHistory, clock: Clock) -> None:
    """Transcripts and reasons included, so that a failure can be read weeks later."""
    made = run(V1, look_up=(1, 0))
    assert history.runs("sales") == [made]
    assert (made.version, made.commit, made.result, made.finished_at) == (V1, "abc123", "failed", clock())
    assert history.trials(made) == [trial("look_up", 1, True), trial("look_up", 2, False)]
    assert history.results(made)["look_up"].score == 0.75


def test_a_run_that_broke_off_keeps_its_trials_and_is_found_again(url: str) -> None:
    """By another process, for the same version of the same commit only."""
    with closing(Ledger.open(url)) as ledger:
        started = EvalHistory(ledger, "a").start("sales", V1, "abc123")
        EvalHistory(ledger, "a").add(started, trial("look_up", 1, True))
    with closing(Ledger.open(url)) as ledger:
        history = EvalHistory(ledger, "a")
        assert history.broken_off("sales", V1, "abc123") == started
        assert history.trials(started) == [trial("look_up", 1, True)]
        for other in (V2, "abc123"), (V1, "def456"):
            assert history.broken_off("sales", *other) is None
        assert history.broken_off("sales", V1, "abc123", partial=True) is None
        history.finish(started, "passed")
        assert history.broken_off("sales", V1, "abc123") is None


def test_an_unfinished_run_says_nothing_about_a_version(run: Runs, history: EvalHistory) -> None:
    """It may have broken off at the first failure."""
    run(V1, look_up=GOOD)
    history.add(history.start("sales", V2, "abc123"), trial("look_up", 1, False))
    standing = history.standing("sales")
    assert standing is not None
    assert (standing.version, standing.pass_ratio) == (V1, 1)


def test_a_run_without_trials_cannot_be_finished(history: EvalHistory) -> None:
    """Nothing passed of nothing is not a result."""
    with pytest.raises(ValueError, match="has no trial"):
        history.finish(history.start("sales", V1, "abc123"), "passed")


@pytest.mark.parametrize(
    ("trials", "status"),
    [((1, 1), "passed"), ((1, 0), "flaky"), ((1, 1, 0), "flaky"), ((1, 0, 0), "broken")],
)
def test_a_scenario_is_broken_when_a_majority_of_its_trials_fails(
    run: Runs, history: EvalHistory, trials: tuple[int, ...], status: str
) -> None:
    """Fewer are flaky, and count as passed: one bad trial is not a page."""
    made = run(V1, look_up=trials)
    assert history.results(made)["look_up"].status == status
    standing = history.standing("sales")
    assert standing is not None
    assert standing.pass_ratio == (0 if status == "broken" else 1)


@pytest.mark.parametrize("change", [{"agent": "1.1"}, {"prompt": "v2"}, {"model": "claude-haiku-5-5"}])
def test_agent_prompt_and_model_each_make_a_new_version(
    run: Runs, history: EvalHistory, change: dict[str, str]
) -> None:
    """A model upgrade is compared with the model before."""
    run(V1, look_up=GOOD, draft=GOOD)
    changed = replace(V1, **change)
    run(changed, look_up=GOOD, draft=BAD)
    current, baseline = history.standing("sales"), history.baseline("sales", changed)
    assert current is not None
    assert baseline is not None
    assert (current.version, current.pass_ratio) == (changed, 0.5)
    assert (baseline.version, baseline.pass_ratio) == (V1, 1)
    assert history.baseline("sales", V1) == current, "after a roll-back, the bad one is what was before"
    assert history.standing_of("sales", str(changed), other_than=V1) == current
    (part,) = change.values()
    assert history.standing_of("sales", part, other_than=V1) == current
    assert history.standing_of("sales", part, other_than=changed) is None


def test_the_first_version_has_no_baseline(run: Runs, history: EvalHistory) -> None:
    """However often it runs."""
    run(V1, look_up=GOOD)
    run(V1, look_up=BAD)
    assert history.baseline("sales", V1) is None


def test_a_part_of_a_suite_renews_what_it_holds_and_leaves_the_rest(run: Runs, history: EvalHistory) -> None:
    """A nightly sample must not look like a suite of eight scenarios."""
    run(V1, look_up=GOOD, draft=GOOD, note=BAD, send=GOOD)
    run(V1, partial=True, draft=BAD)
    run(V1, partial=True, note=GOOD)
    standing = history.standing("sales")
    assert standing is not None
    assert {name: one.status for name, one in standing.results.items()} == {
        "look_up": "passed", "draft": "broken", "note": "passed", "send": "passed"
    }  # fmt: skip  # four scenarios on one line
    assert standing.pass_ratio == 0.75
    run(V1, look_up=GOOD, draft=GOOD)
    standing = history.standing("sales")
    assert standing is not None
    assert set(standing.results) == {"look_up", "draft"}, "a whole run says which scenarios there are"


def test_a_version_of_which_only_a_part_was_run_is_not_compared(run: Runs, history: EvalHistory) -> None:
    """Two scenarios against twenty would be a regression or none by luck."""
    run(V1, look_up=GOOD, draft=GOOD)
    run(V2, partial=True, look_up=BAD)
    standing = history.standing("sales")
    assert standing is not None
    assert standing.version == V1


def test_the_gauges_show_the_current_version_and_the_one_before(
    run: Runs, ledger: Ledger, registry: CollectorRegistry, clock: Clock
) -> None:
    """The version before is the baseline; its own series are gone."""
    run(V1, look_up=GOOD, draft=GOOD, retired=GOOD)
    with closing(AgentGauge("a", registry=registry, ledger=ledger)) as gauge:
        assert shown(gauge, "agent_eval_pass_ratio") == {("sales", str(V1)): 1}
        assert shown(gauge, "agent_eval_baseline_pass_ratio") == {}
        run(V2, look_up=GOOD, draft=BAD)
        assert shown(gauge, "agent_eval_pass_ratio") == {("sales", str(V2)): 0.5}
        assert shown(gauge, "agent_eval_baseline_pass_ratio") == {("sales",): 1}
        draft = pytest.approx(2 / 3)
        assert shown(gauge, "agent_eval_score") == {
            ("sales", "look_up", str(V2)): 1,
            ("sales", "draft", str(V2)): draft,
        }
        assert shown(gauge, "agent_eval_last_run_timestamp_seconds") == {("sales",): clock().timestamp()}


def test_a_candidate_moves_no_gauge_and_no_counter(
    run: Runs, history: EvalHistory, ledger: Ledger, registry: CollectorRegistry
) -> None:
    """An experiment on the ledger that production uses cannot look like production, whatever it is called."""
    run(V1, look_up=GOOD, draft=GOOD)
    with closing(AgentGauge("a", registry=registry, ledger=ledger)) as gauge:
        names = ("pass_ratio", "baseline_pass_ratio", "score", "runs_total", "last_run_timestamp_seconds")
        before = [shown(gauge, f"agent_eval_{name}") for name in names]
        run(V2, live=False, look_up=BAD, draft=BAD)
        run(V1, live=False, look_up=BAD, draft=BAD)
        run(V1, live=False, suite="experiment", look_up=BAD)
        history.count_error(history.start("sales", V1, "abc123"))
        assert [shown(gauge, f"agent_eval_{name}") for name in names] == before


def test_a_candidate_is_compared_with_the_live_version(run: Runs, history: EvalHistory) -> None:
    """Not with the candidate before it; what is live is compared with what was live before."""
    run(V1, look_up=GOOD)
    run(V2, live=False, look_up=BAD)
    candidate = replace(V1, prompt="v9")
    baseline = history.baseline("sales", candidate)
    assert baseline is not None
    assert baseline.version == V1
    assert history.baseline("sales", V1) is None, "V2 was never live"
    run(V2, look_up=GOOD)
    for version, against in ((candidate, V2), (V2, V1)):
        baseline = history.baseline("sales", version)
        assert baseline is not None
        assert (baseline.version, baseline.pass_ratio) == (against, 1)


def test_where_nothing_is_evaluated_live_the_version_before_is_the_baseline(run: Runs, history: EvalHistory) -> None:
    """As in a pipeline that only knows what it deployed."""
    run(V1, live=False, look_up=GOOD)
    run(V2, live=False, look_up=BAD)
    baseline = history.baseline("sales", V2)
    assert baseline is not None
    assert baseline.version == V1
    assert history.standing("sales") is None


def test_a_candidates_run_is_not_resumed_as_the_live_versions(history: EvalHistory) -> None:
    """Its trials would count as production's."""
    started = history.start("sales", V1, "abc123")
    assert history.broken_off("sales", V1, "abc123", live=True) is None
    assert history.broken_off("sales", V1, "abc123") == started


def test_every_replica_shows_the_same_also_right_after_a_restart(url: str, clock: Clock) -> None:
    """The ledger remembers, not the process."""
    with closing(Ledger.open(url, now=clock)) as ledger:
        run = Runs(ledger, clock)
        run(V1, look_up=GOOD)
        run(V2, look_up=BAD)
    seen = []
    for _ in range(2):
        ledger = Ledger.open(url, now=clock)
        with closing(AgentGauge("a", registry=CollectorRegistry(), ledger=ledger)) as replica:
            seen.append([shown(replica, name) for name in ("agent_eval_pass_ratio", "agent_eval_baseline_pass_ratio")])
    assert seen[0] == seen[1] == [{("sales", str(V2)): 0}, {("sales",): 1}]


def test_runs_are_counted_by_how_they_ended_once(
    run: Runs, history: EvalHistory, ledger: Ledger, registry: CollectorRegistry
) -> None:
    """Also those that ran while no agent did; a suite that could not run is an error."""
    run(V1, look_up=GOOD)
    run(V1, look_up=BAD)
    history.count_error(history.start("sales", V1, "abc123", live=True))
    with closing(AgentGauge("a", registry=registry, ledger=ledger)) as gauge:
        counted = {("sales", "passed"): 1, ("sales", "failed"): 1, ("sales", "error"): 1}
        assert shown(gauge, "agent_eval_runs_total") == counted
        assert shown(gauge, "agent_eval_runs_total") == counted


def test_suites_that_come_and_go_overflow_no_label(
    run: Runs, history: EvalHistory, ledger: Ledger, registry: CollectorRegistry
) -> None:
    """Only what is shown takes a place within the bounds, and 20 suites may be shown."""
    with closing(AgentGauge("a", registry=registry, ledger=ledger)) as gauge:
        for number in range(22):
            run(V1, suite=f"suite {number}", look_up=(1,))
            assert set(shown(gauge, "agent_eval_pass_ratio")) == {(f"suite {number}", str(V1))}
            history.forget(f"suite {number}")


def test_a_value_frees_its_place_with_its_last_series(registry: CollectorRegistry) -> None:
    """A scenario that goes must not make room for a suite too many while its own suite is still shown."""
    instruments = AgentGauge("a", registry=registry).instruments
    for number in range(20):
        instruments.gauge(metrics.EVAL_SCORE, f"suite {number}", "look_up", "v").set(1)
    instruments.gauge(metrics.EVAL_SCORE, "suite 0", "draft", "v").set(1)
    instruments.remove(metrics.EVAL_SCORE, "suite 0", "draft", "v")
    instruments.gauge(metrics.EVAL_SCORE, "suite 20", "look_up", "v").set(1)
    suites = {"agent": "a", "scenario": "look_up", "version": "v"}
    assert registry.get_sample_value("agent_eval_score", {**suites, "suite": "other"}) == 1
    instruments.remove(metrics.EVAL_SCORE, "suite 0", "look_up", "v")
    instruments.gauge(metrics.EVAL_SCORE, "suite 21", "look_up", "v").set(1)
    assert registry.get_sample_value("agent_eval_score", {**suites, "suite": "suite 21"}) == 1


def test_forgetting_a_suite_ends_its_gauges(
    run: Runs, history: EvalHistory, ledger: Ledger, registry: CollectorRegistry
) -> None:
    """A suite that nobody runs any more must not be called stale for ever."""
    run(V1, look_up=GOOD)
    run(V1, suite="once", look_up=GOOD)
    with closing(AgentGauge("a", registry=registry, ledger=ledger)) as gauge:
        assert set(shown(gauge, "agent_eval_last_run_timestamp_seconds")) == {("sales",), ("once",)}
        assert history.forget("once") == 1
        assert set(shown(gauge, "agent_eval_last_run_timestamp_seconds")) == {("sales",)}


def test_old_runs_are_deleted_but_each_versions_last_whole_one(
    run: Runs, history: EvalHistory, ledger: Ledger, clock: Clock
) -> None:
    """Else a baseline would vanish after three months without a deploy, and no regression could be seen."""
    run(V1, look_up=BAD)
    last_of_v1 = run(V1, look_up=GOOD, draft=GOOD)
    run(V1, partial=True, look_up=BAD)
    broken_off = history.start("sales", V1, "abc123")
    history.add(broken_off, trial("look_up", 1, True))
    other = run(V1, agent="b", look_up=GOOD)
    clock.forward(days=89)
    last_of_v2 = run(V2, look_up=GOOD, draft=GOOD)
    clock.forward(days=2)
    ledger.delete_expired("a")
    assert history.runs("sales") == [last_of_v2, last_of_v1]
    assert history.trials(broken_off) == []
    assert len(history.trials(last_of_v1)) == 6
    baseline = history.baseline("sales", V2)
    assert baseline is not None
    assert baseline.pass_ratio == 1
    assert EvalHistory(ledger, "b").runs("sales") == [other]


def test_a_part_leaves_no_trace_in_another_agents_history(run: Runs, ledger: Ledger) -> None:
    """One ledger serves many agents."""
    run(V1, look_up=GOOD)
    assert EvalHistory(ledger, "b").standing("sales") is None
    assert EvalHistory(ledger, "b").suites() == []
