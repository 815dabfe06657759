"""Whether a scenario made from a rejection fails on the prompts that were rejected: else it teaches nothing."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from agentgauge.agent_app import AgentApp, AppError, Candidate, TrialRunner
from agentgauge.cli.evaluating import on_trial
from agentgauge.evals.history import Trial, Version
from agentgauge.evals.judge import Judge
from agentgauge.evals.runner import attempts, run
from agentgauge.evals.scenario import Scenario
from agentgauge.prompts.library import PromptError

TRIALS = 3
"""Of each scenario; it is proven if most of them fail."""
PARALLEL = 8
"""Of them at a time, unless the command says otherwise."""


@dataclass(frozen=True)
class Proof:
    """How many of TRIALS each scenario passes, and the version that was tried."""

    version: Version
    passed: Mapping[str, int]

    def holds(self, scenario: str) -> bool:
        """Whether most of the trials fail, as they must on what people objected to."""
        return 2 * self.passed[scenario] < TRIALS


def keep_proven(app: AgentApp, file: Path, guilty: Mapping[str, str], judging_model: str | None) -> list[str]:
    """Take out of a file the scenarios that pass on the version that was rejected; returns why each went, in words.

    ``guilty`` is scenario → version of the prompts. Raises as ``prove`` does, and then the file holds no scenario.
    """
    entries = yaml.safe_load(file.read_text(encoding="utf-8"))
    if not entries:
        return []
    by_version: dict[str, list[Scenario]] = defaultdict(list)
    for scenario in app.load_scenarios(file.parent):
        by_version[guilty[scenario.name]].append(scenario)
    _write(file, [])
    left_out: dict[str, str] = {}
    for version, scenarios in sorted(by_version.items()):
        try:
            prompts = None if app.prompts is None else app.prompt_library().load(version)
        except PromptError:
            left_out |= {
                one.name: f"the prompts {version} that were rejected are not there any more" for one in scenarios
            }
            continue
        proof = prove(app, Candidate(app.version, prompts), scenarios, judging_model)
        left_out |= {
            name: f"{passed} of {TRIALS} trials pass on the prompts {version} that were rejected"
            for name, passed in proof.passed.items()
            if not proof.holds(name)
        }
    _write(file, [entry for entry in entries if entry["name"] not in left_out])
    return [f"{name} is left out: {why}" for name, why in left_out.items()]


def prove(
    app: AgentApp, guilty: Candidate, scenarios: list[Scenario], judging_model: str | None, parallel: int = PARALLEL
) -> Proof:
    """Run each scenario TRIALS times on the version that people objected to; a ``judging_model`` judges criteria.

    ``parallel`` trials run at a time. Raises AppError if a trial gave no result or cannot be run.
    """
    work = functools.partial(
        _trials, scenarios=scenarios, judging_model=judging_model, judgements=app.state, parallel=parallel
    )
    version, trials = on_trial(app, guilty, work)
    return Proof(
        version,
        {one.name: sum(trial.passed for trial in trials if trial.scenario == one.name) for one in scenarios},
    )


def _write(file: Path, entries: list[Any]) -> None:
    file.write_text(yaml.safe_dump(entries, sort_keys=False, allow_unicode=True, width=120), encoding="utf-8")


async def _trials(
    runner: TrialRunner, *, scenarios: list[Scenario], judging_model: str | None, judgements: Path, parallel: int
) -> tuple[Version, list[Trial]]:
    trials: list[Trial] = []
    judge = None
    if judging_model is not None:
        judge = Judge(functools.partial(runner.judge, judging_model), judging_model, judgements / "judgements")
    todo = attempts([one.model_copy(update={"trials": TRIALS}) for one in scenarios], TRIALS)
    ended = await run(todo, runner.answer, trials.append, parallel=parallel, judge=judge)
    if not ended.complete:
        raise AppError(f"the scenarios cannot be proven: {ended.errors[0]}")
    return runner.version, trials
