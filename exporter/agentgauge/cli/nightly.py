"""Watch the live version: its suites run when it changes, and once a day."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

import typer

from agentgauge.cli.common import open_ledger, problems
from agentgauge.cli.evaluating import (
    SUITES,
    MaxCost,
    Parallel,
    Sample,
    Trials,
    candidate_of,
    execute,
    say,
    scenarios_of,
    summary,
)
from agentgauge.evals.evaluation import plan, sample
from agentgauge.evals.history import EvalHistory
from agentgauge.files.watched_file import state_directory
from agentgauge.ops.switches import switch_file
from sample_agent import assembly

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
    """Run the shipped suites on the live version, when it changes and once a day, until Ctrl-C.

    The live version is the one with the prompts in force and the model that the on-call switched to. When it is new,
    all scenarios are run; after that a sample will do: on the real API 8 and for $1, unless the options say otherwise.
    What a budget leaves undone is done an hour later.
    """
    os.nice(NICENESS)
    if os.environ.get("ANTHROPIC_API_KEY"):
        size, max_cost = size or SAMPLE_ON_REAL_API, max_cost or BUDGET_ON_REAL_API
    schedule = Schedule(trials, parallel, timedelta(hours=hours), size, max_cost)
    retry_at = 0.0
    while True:
        if time.monotonic() >= retry_at:
            ran = [run_if_due(suite, schedule) for suite in SUITES]
            retry_at = 0.0 if all(ran) else time.monotonic() + RETRY_SECONDS
        time.sleep(POLL_SECONDS)


def run_if_due(suite: str, schedule: Schedule) -> bool:
    """Run a suite on the live version, if that is due; False if it could not run, or broke off."""
    try:
        with open_ledger() as ledger:
            history = EvalHistory(ledger, assembly.AGENT)
            candidate = candidate_of(ledger, assembly.VERSION, None, switch_file(state_directory()).value())
            standing = history.standing(suite)
            is_new = standing is None or standing.version != candidate.version
            if standing is not None and not is_new and ledger.now() - standing.at < schedule.every:
                return True
            _, scenarios = scenarios_of(suite, None)
            size = len(scenarios) if is_new or schedule.size is None else schedule.size
            chosen = sample(scenarios, size, ledger.today())
            partial = len(chosen) < len(scenarios)
            trials = schedule.trials
            begun = plan(history, suite, candidate.version, chosen, trials=trials, partial=partial, resume=True)
            evaluated = execute(history, begun, candidate, parallel=schedule.parallel, max_cost=schedule.max_cost)
    except typer.Exit:  # it has said why
        return False
    except Exception as error:  # whatever it was, the next night is another one
        problems.print(f"{type(error).__name__}: {error}", markup=False, highlight=False, soft_wrap=True)
        return False
    if evaluated.report is not None:
        say(*summary(evaluated.report))
    for problem in evaluated.ended.errors:
        problems.print(problem, markup=False, highlight=False, soft_wrap=True)
    return evaluated.ended.complete
