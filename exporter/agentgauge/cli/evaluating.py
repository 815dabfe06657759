"""What the commands that run evaluations share: the suite, the candidate, the trials under a progress bar."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from agentgauge.cli.common import out, stop
from agentgauge.evals.checks import usd
from agentgauge.evals.evaluation import Evaluated, Plan, evaluate
from agentgauge.evals.history import EvalHistory, Trial
from agentgauge.evals.judge import Judge
from agentgauge.evals.report import EvalReport
from agentgauge.evals.scenario import Scenario, ScenarioError, load
from agentgauge.files.watched_file import state_directory
from agentgauge.files.yaml_file import YamlFileError
from agentgauge.ledger import Ledger
from agentgauge.ops.switches import Switches
from agentgauge.prompts.activations import PromptActivations
from agentgauge.prompts.library import PromptError
from sample_agent import assembly
from sample_agent.sales.tools import TOOLS_BY_NAME
from sample_agent.trials.trials import SCENARIOS, TOOL_FAULTS, Candidate, on_trial

COULD_NOT_RUN = 2
"""The exit status, where 1 means that the agent failed."""

SUITES = {"sales": SCENARIOS}
JUDGING_MODEL = "claude-sonnet-5-5"


Trials = Annotated[int, typer.Option(min=1, max=100, help="Trials of each scenario.")]
Parallel = Annotated[int, typer.Option(min=1, max=64, help="Trials at a time.")]
MaxCost = Annotated[float | None, typer.Option(min=0, help="No trial begins once so many USD are spent.")]
Sample = Annotated[int | None, typer.Option("--sample", min=1, help="Only so many scenarios, others each day.")]


def say(*lines: str) -> None:
    """Print lines as they are."""
    for line in lines:
        out.print(line, markup=False, highlight=False, soft_wrap=True)


def scenarios_of(suite: str | None, folder: Path | None) -> tuple[str, list[Scenario]]:
    """The suite's name and scenarios, from a folder or as shipped; stops the command if they cannot be used."""
    name = suite or (folder.absolute().name if folder else "sales")
    if folder is None and name not in SUITES:
        stop(f"there is no suite {name!r} but {', '.join(SUITES)}; --scenarios names a folder of yours", COULD_NOT_RUN)
    try:
        return name, load(folder or SUITES[name], TOOLS_BY_NAME, TOOL_FAULTS)
    except ScenarioError as error:
        stop(str(error), COULD_NOT_RUN)


def candidate_of(ledger: Ledger, version: str, prompts: str | None, switches: Switches) -> Candidate:
    """The agent with these prompts, or those in force; stops the command if a file of it cannot be used."""
    in_force = PromptActivations(ledger, assembly.AGENT).active()
    try:
        loaded = assembly.prompt_library().load(prompts or (in_force.version if in_force else None))
        return Candidate.of(version, loaded, switches)
    except (PromptError, YamlFileError) as error:
        stop(str(error), COULD_NOT_RUN)


def execute(
    history: EvalHistory,
    begun: Plan,
    candidate: Candidate,
    *,
    parallel: int,
    max_cost: float | None,
    judging: bool = False,
) -> Evaluated:
    """Run the trials under a progress bar, which only a terminal shows."""

    async def run(on_trial_end: Callable[[Trial], None]) -> Evaluated:
        async with on_trial(candidate) as trials:
            ask = functools.partial(trials.judge, JUDGING_MODEL)
            judge = Judge(ask, JUDGING_MODEL, state_directory() / "judgements") if judging else None
            return await evaluate(
                history, begun, trials.answer, on_trial_end, parallel=parallel, max_cost_usd=max_cost, judge=judge
            )

    with _progress(len(begun.todo)) as on_trial_end:
        return asyncio.run(run(on_trial_end))


def summary(report: EvalReport) -> list[str]:
    """The run in a few lines."""
    run = report.run
    count, passed = len(report.scenarios), len(report.scenarios) - len(report.named("broken"))
    k = max(one.result.trials for one in report.scenarios)
    lines = [
        f"suite {run.suite}, version {run.version}, commit {run.commit}: {passed} of {count} scenarios passed",
        f"pass^1 {report.pass_hat(1):.1%}, pass^{k} {report.pass_hat(k):.1%}; the agent cost {usd(report.cost_usd)}",
    ]
    if report.judge_cost_usd:
        lines.append(f"the judge cost {usd(report.judge_cost_usd)}")
    if flaky := report.named("flaky"):
        lines.append(f"flaky, passed in most trials: {', '.join(flaky)}")
    if report.baseline is not None:
        before = report.baseline
        lines.append(f"the version before, {before.version}, passed {before.pass_ratio:.1%} of {len(before.results)}")
    return lines


def what_failed(report: EvalReport) -> str:
    """The scenarios that regressed, and those that are broken besides, by name."""
    others = [name for name in report.named("broken") if name not in report.regressed]
    parts = []
    if report.regressed and report.baseline is not None:
        parts.append(f"regressed since {report.baseline.version}: {', '.join(report.regressed)}")
    if others:
        parts.append(f"broken: {', '.join(others)}")
    return f"{'; '.join(parts)} (`eval show NAME` prints what happened)"


@contextmanager
def _progress(trials: int) -> Iterator[Callable[[Trial], None]]:
    """A bar for so many trials; yields what to call at the end of each."""
    failed, spent = 0, 0.0
    shown = "{task.description} [red]{task.fields[failed]} failed[/red] {task.fields[spent]}"
    columns = (TextColumn(shown), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=out, transient=True) as progress:
        bar = progress.add_task("trials", total=trials, failed=0, spent=usd(0))

        def on_trial_end(trial: Trial) -> None:
            nonlocal failed, spent
            failed += not trial.passed
            spent += trial.cost_usd + trial.judge_cost_usd
            progress.update(bar, advance=1, failed=failed, spent=usd(spent))

        yield on_trial_end
