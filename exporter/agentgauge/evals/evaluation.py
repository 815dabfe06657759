"""One evaluation from start to result: which trials run, how they are stored, and what they are compared with."""

from __future__ import annotations

import subprocess
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

from agentgauge.evals.checks import Scorer
from agentgauge.evals.comparison import DEFAULT_LIMITS, Limits
from agentgauge.evals.history import EvalHistory, Run, Trial, Version
from agentgauge.evals.judge import Judge
from agentgauge.evals.report import EvalReport, report
from agentgauge.evals.runner import NO_SCORERS, Attempt, Ended, attempts, run
from agentgauge.evals.scenario import Scenario
from agentgauge.evals.transcript import TrialTranscript


@dataclass(frozen=True)
class Plan:
    """A run and the trials still to do: all of them, or those that an interrupted run did not reach."""

    run: Run
    todo: list[Attempt]


@dataclass(frozen=True)
class Evaluated:
    """How an evaluation ended. ``report`` is None without a result; the run is finished if ``ended`` is complete."""

    report: EvalReport | None
    ended: Ended


def plan(
    history: EvalHistory,
    suite: str,
    version: Version,
    scenarios: Sequence[Scenario],
    *,
    trials: int,
    partial: bool = False,
    resume: bool = False,
    live: bool = False,
) -> Plan:
    """Begin a run, or with ``resume`` go on with an interrupted one of exactly this version, if there is one.

    ``live``: this is the version in production, and the agent's metrics shall show how it does.
    """
    at = commit()
    broken_off = history.broken_off(suite, version, at, partial=partial, live=live) if resume else None
    begun = broken_off or history.start(suite, version, at, partial=partial, live=live)
    done = [(trial.scenario, trial.number) for trial in history.trials(begun)]
    return Plan(begun, attempts(scenarios, trials, done))


async def evaluate(
    history: EvalHistory,
    planned: Plan,
    answer: Callable[[Scenario], Awaitable[TrialTranscript]],
    on_trial: Callable[[Trial], None],
    *,
    parallel: int = 8,
    max_cost_usd: float | None = None,
    judge: Judge | None = None,
    limits: Limits = DEFAULT_LIMITS,
    scorers: Mapping[str, Scorer] = NO_SCORERS,
) -> Evaluated:
    """Run the trials of a plan and store each as it ends; ``on_trial`` is called with it.

    ``limits`` are what the version may lose against its baseline. A run is finished once every trial has a result.
    Otherwise it counts as an error and can be resumed.
    """

    def keep(trial: Trial) -> None:
        history.add(planned.run, trial)
        on_trial(trial)

    suite, version = planned.run.suite, planned.run.version
    ended = await run(
        planned.todo, answer, keep, parallel=parallel, max_cost_usd=max_cost_usd, judge=judge, scorers=scorers
    )
    trials = history.trials(planned.run)
    baseline = history.baseline(suite, version)
    before = [] if baseline is None else history.trials_behind(baseline)
    if not ended.complete:
        history.count_error(planned.run)
        return Evaluated(report(planned.run, trials, baseline, before, limits) if trials else None, ended)
    made = report(planned.run, trials, baseline, before, limits)
    return Evaluated(replace(made, run=history.finish(planned.run, made.result)), ended)


def sample(scenarios: Sequence[Scenario], size: int, day: date) -> list[Scenario]:
    """A sample of ``size`` scenarios that changes every day, so that in time each of them is run."""
    first = day.toordinal() * size
    return [scenarios[(first + place) % len(scenarios)] for place in range(min(size, len(scenarios)))]


def commit() -> str:
    """The commit of the working folder, with ``-dirty`` if something was changed since; ``unknown`` without git."""
    command = ["git", "describe", "--always", "--dirty", "--exclude=*", "--abbrev=8"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return said.stdout.strip() or "unknown"
