"""Running trials: in parallel, within a budget, kept one by one, resumed where they broke off."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from datetime import date
from pathlib import Path

import pytest

from agentgauge.evals.evaluation import evaluate, plan, sample
from agentgauge.evals.history import EvalHistory, Trial, Version
from agentgauge.evals.runner import attempts, run
from agentgauge.evals.scenario import Scenario
from agentgauge.evals.transcript import Said, TrialTranscript
from agentgauge.ledger import Ledger

VERSION = Version("1.0", "v1", "claude-opus-5-5")


def scenario(name: str, trials: int | None = None) -> Scenario:
    """A scenario that is passed by saying its name."""
    return Scenario(
        name=name,
        input="hello",
        expected_tools=[],
        expected_output_contains=[name],
        max_turns=1,
        max_cost=1,
        trials=trials,
    )


A, B, C = scenario("alpha"), scenario("beta"), scenario("gamma")


async def right(asked: Scenario) -> TrialTranscript:
    """An agent that passes, for ten cents."""
    return TrialTranscript((Said("agent", asked.name),), 1, 0.1)


async def wrong(asked: Scenario) -> TrialTranscript:
    """An agent that does not."""
    return TrialTranscript((Said("agent", "?"),), 1, 0.1)


@pytest.fixture
def history(tmp_path: Path) -> Iterator[EvalHistory]:
    """A history of its own."""
    with closing(Ledger.open(f"sqlite:///{tmp_path / 'ledger.sqlite'}")) as ledger:
        yield EvalHistory(ledger, "a")


def test_every_scenario_is_tried_once_before_any_is_tried_twice() -> None:
    """So that a broken one shows early; one that says how many trials it needs gets these."""
    todo = [(one.scenario.name, one.number) for one in attempts([A, scenario("once", 1), C], trials=2)]
    assert todo == [("alpha", 1), ("once", 1), ("gamma", 1), ("alpha", 2), ("gamma", 2)]


async def test_trials_run_side_by_side_up_to_a_number() -> None:
    """The third begins when one of two has ended."""
    running, most = 0, 0

    async def slow(asked: Scenario) -> TrialTranscript:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return await right(asked)

    kept: list[Trial] = []
    ended = await run(attempts([A, B, C], 3), slow, kept.append, parallel=2)
    assert most == 2
    assert ended.complete
    assert len(kept) == 9
    assert all(trial.passed for trial in kept)


async def test_a_budget_keeps_further_trials_from_beginning() -> None:
    """Those under way end; how many did not begin is said."""
    kept: list[Trial] = []
    ended = await run(attempts([A, B, C], 3), right, kept.append, parallel=1, max_cost_usd=0.35)
    assert (len(kept), ended.not_begun, ended.complete) == (4, 5, False)
    assert ended.spent_usd == pytest.approx(0.4)


async def test_what_keeps_an_agent_from_answering_is_no_verdict_on_it() -> None:
    """The trial stays undone; after three of these it is not the agent that is broken, and no more begin."""

    async def unreachable(asked: Scenario) -> TrialTranscript:
        raise ConnectionError("no route")

    kept: list[Trial] = []
    ended = await run(attempts([A, B, C], 3), unreachable, kept.append, parallel=1)
    assert (kept, ended.not_begun, ended.complete) == ([], 6, False)
    assert ended.errors[0] == "alpha: ConnectionError: no route"


async def test_scorers_of_ones_own_are_demands_like_the_others() -> None:
    """Several, each named where it fails; one that raises says nothing about the agent."""

    def polite(_scenario: Scenario, transcript: TrialTranscript) -> str | None:
        return None if "please" in transcript.output else "says no please"

    def short(_scenario: Scenario, transcript: TrialTranscript) -> str | None:
        return None if len(transcript.output) < 80 else "is too long"

    def broken(_scenario: Scenario, _transcript: TrialTranscript) -> str | None:
        raise LookupError("no dictionary")

    kept: list[Trial] = []
    await run(attempts([A], 1), right, kept.append, scorers={"polite": polite, "short": short})
    assert (kept[0].passed, kept[0].failures) == (False, ("polite: says no please",))
    assert 0 < kept[0].score < 1
    ended = await run(attempts([A], 1), right, kept.append, scorers={"broken": broken})
    assert (len(kept), ended.errors) == (1, ("alpha: LookupError: no dictionary",))


async def test_a_scenario_that_only_a_judge_can_judge_does_not_pass_unjudged() -> None:
    """It says what is missing."""
    kept: list[Trial] = []
    await run(attempts([Scenario(name="n", input="i", judge="Is polite.")], 1), right, kept.append)
    assert [(trial.passed, trial.score) for trial in kept] == [(False, 0)]
    assert "--judge" in kept[0].failures[0]


async def test_a_run_that_breaks_off_keeps_what_it_has_and_is_resumed(history: EvalHistory) -> None:
    """Trial by trial, in a run that is finished once, when it is whole."""
    first = plan(history, "suite", VERSION, [A, B], trials=2)
    broke = await evaluate(history, first, right, lambda _trial: None, parallel=1, max_cost_usd=0.25)
    assert not broke.ended.complete
    assert len(history.trials(first.run)) == 3
    assert history.runs("suite")[0].result is None
    second = plan(history, "suite", VERSION, [A, B], trials=2, resume=True)
    assert second.run == first.run
    assert [(one.scenario.name, one.number) for one in second.todo] == [("beta", 2)]
    ended = await evaluate(history, second, right, lambda _trial: None)
    assert ended.ended.complete
    assert [run.result for run in history.runs("suite")] == ["passed"]
    assert len(history.trials(second.run)) == 4


async def test_without_resume_a_new_run_begins(history: EvalHistory) -> None:
    """And another version never goes on with the run of the one before."""
    first = plan(history, "suite", VERSION, [A], trials=1)
    assert plan(history, "suite", VERSION, [A], trials=1).run.id != first.run.id
    other = Version("1.1", "v1", "claude-opus-5-5")
    assert plan(history, "suite", other, [A], trials=1, resume=True).run.version == other


async def test_trials_are_kept_when_the_run_is_cancelled(history: EvalHistory) -> None:
    """By Ctrl-C, for example."""
    second_began = asyncio.Event()

    async def hangs_at_beta(asked: Scenario) -> TrialTranscript:
        if asked.name == "beta":
            second_began.set()
            await asyncio.Event().wait()
        return await right(asked)

    begun = plan(history, "suite", VERSION, [A, B], trials=1)
    running = asyncio.create_task(evaluate(history, begun, hangs_at_beta, lambda _trial: None, parallel=1))
    await second_began.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert [trial.scenario for trial in history.trials(begun.run)] == ["alpha"]


async def test_the_version_before_is_the_baseline_of_a_regression(history: EvalHistory) -> None:
    """Named, and told apart from what was broken before."""

    async def only_alpha(asked: Scenario) -> TrialTranscript:
        return await (right if asked.name == "alpha" else wrong)(asked)

    async def only_gamma(asked: Scenario) -> TrialTranscript:
        return await (right if asked.name == "gamma" else wrong)(asked)

    before = await evaluate(history, plan(history, "suite", VERSION, [A, B], trials=3), only_alpha, lambda _trial: None)
    assert before.report is not None
    assert (before.report.baseline, before.report.regressed) == (None, [])
    upgraded = Version("1.0", "v1", "claude-haiku-5-5")
    after = await evaluate(
        history, plan(history, "suite", upgraded, [A, B, C], trials=3), only_gamma, lambda _trial: None
    )
    assert after.report is not None
    assert after.report.regressed == ["alpha"]
    assert after.report.named("broken") == ["alpha", "beta"]
    assert after.report.result == "failed"


def test_a_sample_is_another_one_each_day_until_each_had_its_turn() -> None:
    """Three nights of eight hold all of twenty-four; a sample of all is all."""
    suite = [scenario(f"number {number}") for number in range(24)]
    nights = [sample(suite, 8, date(2026, 11, day)) for day in (1, 2, 3)]
    assert {one.name for night in nights for one in night} == {one.name for one in suite}
    assert len(sample(suite, 99, date(2026, 11, 1))) == 24
