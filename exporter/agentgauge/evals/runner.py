"""Runs trials, several at a time; each is one attempt at one scenario, judged and stored as soon as it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter

from agentgauge.evals import checks
from agentgauge.evals.history import Trial
from agentgauge.evals.judge import Judge
from agentgauge.evals.scenario import Scenario
from agentgauge.evals.transcript import TrialTranscript

NO_SCORERS: Mapping[str, checks.Scorer] = {}
MOST_ERRORS = 3
"""After so many trials without a result no more are started: the fault is not the agent's."""


@dataclass(frozen=True)
class Attempt:
    """A trial to come, numbered from 1."""

    scenario: Scenario
    number: int


@dataclass(frozen=True)
class Ended:
    """How a batch of trials ended: what it spent in USD, how many never began, and errors that prevented a result."""

    spent_usd: float
    not_begun: int
    errors: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Whether every trial has a result."""
        return not self.not_begun and not self.errors


def attempts(scenarios: Sequence[Scenario], trials: int, done: Iterable[tuple[str, int]] = ()) -> list[Attempt]:
    """The trials to run, without those done: the first of every scenario, then the second, so that each shows early.

    A scenario with a number of trials of its own gets that many, others ``trials``.
    """
    already = set(done)
    most = max(one.trials or trials for one in scenarios)
    return [
        Attempt(scenario, number)
        for number in range(1, most + 1)
        for scenario in scenarios
        if number <= (scenario.trials or trials) and (scenario.name, number) not in already
    ]


async def run(
    todo: Sequence[Attempt],
    answer: Callable[[Scenario], Awaitable[TrialTranscript]],
    keep: Callable[[Trial], None],
    *,
    parallel: int = 8,
    max_cost_usd: float | None = None,
    judge: Judge | None = None,
    scorers: Mapping[str, checks.Scorer] = NO_SCORERS,
) -> Ended:
    """Run the trials, ``parallel`` at a time.

    ``answer`` has the agent do what the scenario says; ``keep`` stores each trial as it ends, in a thread. If
    either raises, the trial has no result: that says nothing about the agent. Once ``max_cost_usd`` is spent no trial
    begins, and those that run come to their end.
    """
    state = _State(iter(todo), max_cost_usd)

    async def work() -> None:
        while (attempt := state.next()) is not None:
            try:
                trial = await _trial(attempt, answer, judge, scorers)
                state.spent_usd += trial.cost_usd + trial.judge_cost_usd
                await asyncio.to_thread(keep, trial)
            except Exception as error:
                state.errors.append(f"{attempt.scenario.name}: {type(error).__name__}: {error}")

    async with asyncio.TaskGroup() as group:
        for _ in range(min(parallel, len(todo))):
            group.create_task(work())
    return Ended(state.spent_usd, len(todo) - state.begun, tuple(state.errors))


class _State:
    """What the workers share."""

    def __init__(self, todo: Iterator[Attempt], max_cost_usd: float | None) -> None:
        self._todo = todo
        self._max_cost_usd = max_cost_usd
        self.begun = 0
        self.spent_usd = 0.0
        self.errors: list[str] = []

    def next(self) -> Attempt | None:
        """The next trial to begin; None after the last, over budget, or after too many errors."""
        broke = self._max_cost_usd is not None and self.spent_usd >= self._max_cost_usd
        if broke or len(self.errors) >= MOST_ERRORS:
            return None
        attempt = next(self._todo, None)
        self.begun += attempt is not None
        return attempt


async def _trial(
    attempt: Attempt,
    answer: Callable[[Scenario], Awaitable[TrialTranscript]],
    judge: Judge | None,
    scorers: Mapping[str, checks.Scorer],
) -> Trial:
    scenario = attempt.scenario
    started = perf_counter()
    transcript = await answer(scenario)
    seconds = perf_counter() - started
    checked = [*checks.check(scenario, transcript), *checks.scored(scorers, scenario, transcript)]
    judge_cost_usd = 0.0
    if judge is not None and scenario.judge is not None:
        judgement = await judge(scenario.judge, transcript)
        judge_cost_usd = judgement.cost_usd
        checked.append(checks.Check(None if judgement.passed else f"judge: {judgement.reason}"))
    if not checked:
        checked.append(checks.Check("nothing was checked: its only demand is for a judge (--judge MODEL)"))
    failures = tuple(one.failure for one in checked if one.failure is not None)
    return Trial(
        scenario=scenario.name,
        number=attempt.number,
        score=checks.score(checked),
        passed=not failures,
        turns=transcript.turns,
        cost_usd=transcript.cost_usd,
        judge_cost_usd=judge_cost_usd,
        seconds=seconds,
        failures=failures,
        transcript=transcript.as_json(),
    )
