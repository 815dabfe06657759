"""Watch the live version: its suites run when it changes, and once a day."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Annotated

import typer

from agentgauge.agent_app import AgentApp, Candidate, TrialRunner
from agentgauge.cli.common import agent, opened_ledger, say, stop, warn
from agentgauge.cli.evaluating import MaxCost, Parallel, Sample, Trials, execute, live_candidate, on_trial, summary
from agentgauge.evals.evaluation import Evaluated, plan, sample
from agentgauge.evals.history import EvalHistory, Version
from agentgauge.evals.scenario import Scenario
from agentgauge.ledger import Ledger

POLL_SECONDS = 10.0
RETRY_SECONDS = 3600.0
SAMPLE_ON_REAL_API = 8
BUDGET_ON_REAL_API = 1.0
NICENESS = 10
"""It must not slow the agent that runs beside it."""


@dataclass(frozen=True)
class Schedule:
    """How the live version is run; ``size`` is how many scenarios will do when it is not new."""

    trials: int
    parallel: int
    every: timedelta
    size: int | None
    max_cost: float | None


def nightly(
    trials: Trials = 3,
    parallel: Parallel = 2,
    hours: Annotated[float, typer.Option(min=0.01, help="Run again after so many hours.")] = 24.0,
    size: Sample = None,
    max_cost: MaxCost = None,
) -> None:
    """Run the declared suites on the live version, when it changes and once a day, until Ctrl-C.

    The live version is the one with the prompts in force and the models that the on-call switched to. When it is new,
    all scenarios are run; after that a sample will do: on the real API 8 and for $1, unless the options say otherwise.
    What a budget leaves undone is done an hour later.
    """
    os.nice(NICENESS)
    if os.environ.get("ANTHROPIC_API_KEY"):
        size, max_cost = size or SAMPLE_ON_REAL_API, max_cost or BUDGET_ON_REAL_API
    app = agent()
    if not app.suites:
        stop(f"{app.name} declares no suites; add suites={{'smoke': Path('scenarios')}} to its AgentApp")
    watch = Watch(app, Schedule(trials, parallel, timedelta(hours=hours), size, max_cost))
    retry_at = 0.0
    while True:
        if time.monotonic() >= retry_at:
            ran = [watch.run_if_due(suite) for suite in app.suites]
            retry_at = 0.0 if all(ran) else time.monotonic() + RETRY_SECONDS
        time.sleep(POLL_SECONDS)


@dataclass(frozen=True)
class Watch:
    """Runs the suites of an agent as a schedule says."""

    app: AgentApp
    schedule: Schedule
    _versions: dict[tuple[object, ...], Version] = field(default_factory=dict)

    def run_if_due(self, suite: str) -> bool:
        """Run a suite on the live version, if that is due; False if it could not run, or broke off."""
        try:
            with opened_ledger(self.app) as ledger:
                evaluated = self._run_if_due(suite, ledger)
        except Exception as error:  # whatever it was, the next night is another one
            warn(f"{type(error).__name__}: {error}")
            return False
        if evaluated is None:
            return True
        if evaluated.report is not None:
            say(*summary(evaluated.report))
        for problem in evaluated.ended.errors:
            warn(problem)
        return evaluated.ended.complete

    def _run_if_due(self, suite: str, ledger: Ledger) -> Evaluated | None:
        history = EvalHistory(ledger, self.app.name)
        candidate = live_candidate(self.app, ledger)
        version = self._version_of(candidate)
        standing = history.standing(suite)
        is_new = standing is None or standing.version != version
        if standing is not None and not is_new and ledger.now() - standing.at < self.schedule.every:
            return None
        scenarios = self.app.scenarios(suite)
        size = len(scenarios) if is_new or self.schedule.size is None else self.schedule.size
        chosen = sample(scenarios, size, ledger.today())
        return on_trial(self.app, candidate, lambda runner: self._run(runner, history, suite, chosen, len(scenarios)))

    async def _run(
        self, runner: TrialRunner, history: EvalHistory, suite: str, chosen: list[Scenario], count: int
    ) -> Evaluated:
        schedule, partial = self.schedule, len(chosen) < count
        begun = plan(
            history, suite, runner.version, chosen, trials=schedule.trials, partial=partial, resume=True, live=True
        )
        return await execute(
            runner, history, begun, parallel=schedule.parallel, max_cost=schedule.max_cost, scorers=self.app.scorers
        )

    def _version_of(self, candidate: Candidate) -> Version:
        """Its version; getting it ready to hear that is done once for each."""
        prompts = candidate.prompts.version if candidate.prompts else None
        key = (candidate.agent_version, prompts, candidate.model, *sorted(candidate.tiers.items()))
        if key not in self._versions:
            self._versions[key] = on_trial(self.app, candidate, _version)
        return self._versions[key]


async def _version(runner: TrialRunner) -> Version:
    return runner.version
