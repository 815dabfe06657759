"""What the commands that run evaluations share: the suite, the candidate, the trials under a progress bar."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from agentgauge.agent_app import AgentApp, Candidate, TrialRunner
from agentgauge.cli.common import problems, stop, warn
from agentgauge.evals.checks import Scorer, usd
from agentgauge.evals.comparison import DEFAULT_LIMITS, Comparison, Limits
from agentgauge.evals.evaluation import Evaluated, Plan, evaluate
from agentgauge.evals.history import EvalHistory, Trial, Version, recorded
from agentgauge.evals.intervals import Interval
from agentgauge.evals.judge import Judge
from agentgauge.evals.report import EvalReport, points, times, why_worse
from agentgauge.evals.runner import NO_SCORERS
from agentgauge.evals.scenario import Scenario
from agentgauge.ops.switches import in_force
from agentgauge.prompts.activations import PromptActivations

if TYPE_CHECKING:
    from agentgauge.evals.recording import Recording
    from agentgauge.ledger import Ledger

T = TypeVar("T")

MOST_MISSES = 5
"""That are printed: one changed prompt makes every request a miss."""

PLAYED_BANNER = "played: no model was asked. This tests the harness and the checks; it says nothing about the prompts"

Trials = Annotated[int, typer.Option(min=1, max=100, help="Trials of each scenario.")]
Parallel = Annotated[int, typer.Option(min=1, max=64, help="Trials at a time.")]
MaxCost = Annotated[float | None, typer.Option(min=0, help="No trial begins once so many USD are spent.")]
Sample = Annotated[int | None, typer.Option("--sample", min=1, help="Only so many scenarios, others each day.")]


def suite_name(app: AgentApp, suite: str | None) -> str:
    """The suite that was named, or the only one that there is; stops the command if that is not clear."""
    if suite is not None:
        return suite
    if not app.suites:
        stop(f"{app.name} declares no suites; add suites={{'smoke': Path('scenarios')}} to its AgentApp")
    if len(app.suites) > 1:
        stop(f"{app.name} has several suites; say which: --suite {' or --suite '.join(app.suites)}")
    return next(iter(app.suites))


def scenarios_of(app: AgentApp, suite: str | None, folder: Path | None) -> tuple[str, list[Scenario]]:
    """The suite's name and scenarios, from a folder or as declared; raises AppError or ScenarioError."""
    if folder is not None:
        return suite or folder.absolute().name, app.load_scenarios(folder)
    name = suite_name(app, suite)
    return name, app.scenarios(name)


def candidate_of(
    app: AgentApp, ledger: Ledger, *, prompts: str | None = None, version: str | None = None, model: str | None = None
) -> Candidate:
    """The agent with these prompts, or those in force; raises PromptError or YamlFileError for a file of it."""
    loaded = None
    if app.prompts is not None or prompts is not None:
        in_force = PromptActivations(ledger, app.name).active()
        loaded = app.prompt_library().load(prompts or (in_force.version if in_force else None))
    return Candidate(version or app.version, loaded, model)


def live_candidate(app: AgentApp, ledger: Ledger) -> Candidate:
    """The agent as it runs now: the prompts in force, on the models that the on-call switched to."""
    switches = in_force(ledger, app.name)
    return replace(candidate_of(app, ledger, model=switches.model), tiers=switches.tiers)


def recording_of(record: Path | None, replay: Path | None) -> Recording | None:
    """What ``--record`` and ``--replay`` ask for; stops the command if both do, or if there is nothing to replay."""
    if record is None and replay is None:
        return None
    if record is not None and replay is not None:
        stop("--record asks the model and --replay does not; give one of them")
    from agentgauge.evals.recording import Recording  # loads an HTTP library that no other command needs

    if replay is not None and not replay.is_dir():
        stop(f"there is no folder {replay}; record one with `agentgauge eval run --record {replay}`")
    return Recording(record, "record") if record is not None else Recording(replay or Path(), "replay")


def version_on_trial(runner: TrialRunner, recording: Recording | None) -> Version:
    """The version that a runner tries; what is replayed is called by the model that was recorded."""
    version = runner.version
    if recording is None:
        return version
    if recording.mode == "record":
        recording.note_model(version.model)
        return version
    return replace(version, model=recorded(recording.model or version.model))


def check_recording(recording: Recording) -> None:
    """Say what came of a recording; stops the command if a request was not recorded, or nothing went through it."""
    if recording.misses:
        for miss in recording.misses[:MOST_MISSES]:
            warn(f"not recorded: {'; '.join(miss.changes)}")
        costs = [miss.cost_usd for miss in recording.misses if miss.cost_usd is not None]
        price = f"about {usd(sum(costs))}, by what the recorded ones took" if costs else "an amount that is not known"
        count = len(recording.misses)
        stop(
            f"{count} requests were not recorded; --record {recording.folder} would ask them of the model, for {price}"
        )
    if not recording.requests:
        stop(
            "no request to a model went through the recording: in the agent's trials, give candidate.recording."
            "transport() to the HTTP client of the model's SDK"
        )
    warn(f"{recording.requests} answers {'recorded' if recording.mode == 'record' else 'replayed'}: {recording.folder}")


def on_trial(app: AgentApp, candidate: Candidate, work: Callable[[TrialRunner], Awaitable[T]]) -> T:
    """What ``work`` returns for a candidate that is ready for its trials."""

    async def run() -> T:
        async with app.on_trial(candidate) as runner:
            return await work(runner)

    return asyncio.run(run())


async def execute(
    runner: TrialRunner,
    history: EvalHistory,
    begun: Plan,
    *,
    parallel: int,
    max_cost: float | None,
    judging_model: str | None = None,
    judgements: Path | None = None,
    limits: Limits = DEFAULT_LIMITS,
    scorers: Mapping[str, Scorer] = NO_SCORERS,
) -> Evaluated:
    """Run the trials under a progress bar, which only a terminal shows.

    ``judging_model`` judges the criteria as well, and ``judgements`` is the folder that keeps what it said.
    """
    judge = None
    if judging_model is not None and judgements is not None:
        judge = Judge(functools.partial(runner.judge, judging_model), judging_model, judgements)
    with _progress(len(begun.todo)) as on_trial_end:
        return await evaluate(
            history,
            begun,
            runner.answer,
            on_trial_end,
            parallel=parallel,
            max_cost_usd=max_cost,
            judge=judge,
            limits=limits,
            scorers=scorers,
        )


def summary(report: EvalReport) -> list[str]:
    """The run in a few lines."""
    run = report.run
    count, passed = len(report.scenarios), len(report.scenarios) - len(report.named("broken"))
    k = max(one.result.trials for one in report.scenarios)
    lines = [
        f"suite {run.suite}, version {run.version}, commit {run.commit}: {passed} of {count} scenarios passed",
        f"pass^1 {_percent(report.pass_hat(1))}, pass^{k} {_percent(report.pass_hat(k))}; "
        f"the agent cost {usd(report.cost_usd)}",
    ]
    if run.version.is_played:
        lines.insert(0, PLAYED_BANNER)
    lines += report.remarks
    if report.judge_cost_usd:
        lines.append(f"the judge cost {usd(report.judge_cost_usd)}")
    if flaky := report.named("flaky"):
        lines.append(f"flaky, passed in most trials: {', '.join(flaky)}")
    if any(one.is_unsure for one in report.scenarios):
        lines.append("“?”: too few trials to tell flaky from broken, because the 95 % interval holds one half")
    if report.baseline is not None:
        before = report.baseline
        lines.append(f"the version before, {before.version}, passed {before.pass_ratio:.1%} of {len(before.results)}")
    if report.comparison is not None:
        lines += _compared(report.comparison)
    return lines


def _compared(comparison: Comparison) -> list[str]:
    judged = [drift for drift in comparison.drifts if isfinite(drift.limit)]
    drifts = ", ".join(f"{drift.name} {times(drift.ratio)}" for drift in judged)
    return [
        f"compared with it: {comparison.verdict}; trials passed {points(comparison.difference)}",
        f"{drifts}; all intervals are of 95 %",
    ]


def _percent(share: Interval) -> str:
    return f"{share.estimate:.1%} ({share.low:.1%} to {share.high:.1%})"


def what_failed(report: EvalReport) -> str:
    """The scenarios that regressed, and those that are broken besides, by name."""
    others = [name for name in report.named("broken") if name not in report.regressed]
    parts = []
    if report.regressed and report.baseline is not None:
        parts.append(f"regressed since {report.baseline.version}: {', '.join(report.regressed)}")
    if others:
        parts.append(f"broken: {', '.join(others)}")
    if report.comparison is not None and report.is_worse:
        parts.append(f"worse: {why_worse(report.comparison)}")
    return f"{'; '.join(parts)} (`agentgauge eval show NAME` prints what happened)"


@contextmanager
def _progress(trials: int) -> Iterator[Callable[[Trial], None]]:
    """A bar for so many trials; yields what to call at the end of each."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    failed, spent = 0, 0.0
    shown = "{task.description} [red]{task.fields[failed]} failed[/red] {task.fields[spent]}"
    columns = (TextColumn(shown), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=problems, transient=True) as progress:
        bar = progress.add_task("trials", total=trials, failed=0, spent=usd(0))

        def on_trial_end(trial: Trial) -> None:
            nonlocal failed, spent
            failed += not trial.passed
            spent += trial.cost_usd + trial.judge_cost_usd
            progress.update(bar, advance=1, failed=failed, spent=usd(spent))

        yield on_trial_end
