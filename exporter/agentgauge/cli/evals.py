"""Evaluate the Sales Companion: run a suite, read what happened, see the trend."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from agentgauge.cli import nightly
from agentgauge.cli.common import open_ledger, out, problems, stop
from agentgauge.cli.evaluating import (
    COULD_NOT_RUN,
    JUDGING_MODEL,
    MaxCost,
    Parallel,
    Sample,
    Trials,
    candidate_of,
    execute,
    say,
    scenarios_of,
    summary,
    what_failed,
)
from agentgauge.evals import report, tables
from agentgauge.evals.evaluation import plan, sample
from agentgauge.evals.history import EvalHistory
from agentgauge.files.yaml_file import YamlFileError
from agentgauge.ops.switches import Switches
from sample_agent import assembly


class RunsByDefault(TyperGroup):
    """`eval`, alone or with options, is `eval run`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As every group does, once the command is put in."""
        if not args or (args[0].startswith("-") and args[0] != "--help"):
            args = ["run", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(cls=RunsByDefault, help="Evaluate the agent; without a command: run.")
app.command()(nightly.nightly)

Suite = Annotated[str | None, typer.Option(help="Name of the suite; default: sales, or that of the folder.")]


@app.command()
def run(
    suite: Suite = None,
    folder: Annotated[Path | None, typer.Option("--scenarios", help="Folder of scenarios of yours.")] = None,
    trials: Trials = 5,
    parallel: Parallel = 8,
    version: Annotated[str, typer.Option(help="The agent's version.")] = assembly.VERSION,
    prompts: Annotated[str | None, typer.Option(help="Version of the prompts; default: the one in force.")] = None,
    model: Annotated[str | None, typer.Option(help="The model that plans; default: the configured one.")] = None,
    max_cost: MaxCost = None,
    size: Sample = None,
    tag: Annotated[str | None, typer.Option(help="Only the scenarios with this tag.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run that broke off.")] = False,
    judge: Annotated[bool, typer.Option("--judge", help=f"Have {JUDGING_MODEL} judge the criteria, too.")] = False,
    junit: Annotated[Path | None, typer.Option(help="Write JUnit XML to this file.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write JSON to this file.")] = None,
    compare: Annotated[str | None, typer.Option(help="Show this version beside it.")] = None,
) -> None:
    """Run a suite and compare it with the version before.

    Exit status 0: passed; 1: a scenario is broken, or regressed; 2: it could not run.
    """
    name, scenarios = scenarios_of(suite, folder)
    chosen = [one for one in scenarios if tag is None or tag in one.tags]
    if not chosen:
        stop(f"no scenario of the suite {name} has the tag {tag!r}", COULD_NOT_RUN)
    with open_ledger(COULD_NOT_RUN) as ledger:
        history = EvalHistory(ledger, assembly.AGENT)
        candidate = candidate_of(ledger, version, prompts, Switches(model=model))
        other = None if compare is None else history.standing_of(name, compare, candidate.version)
        if compare is not None and other is None:
            stop(f"no other version called {compare!r} ran the suite {name}; see `eval history`", COULD_NOT_RUN)
        chosen = chosen if size is None else sample(chosen, size, ledger.today())
        partial = len(chosen) < len(scenarios)
        begun = plan(history, name, candidate.version, chosen, trials=trials, partial=partial, resume=resume)
        try:
            evaluated = execute(history, begun, candidate, parallel=parallel, max_cost=max_cost, judging=judge)
        except YamlFileError as error:
            stop(str(error), COULD_NOT_RUN)
        except KeyboardInterrupt:
            stop("stopped; what was done is kept: `eval run --resume` goes on", COULD_NOT_RUN)
    made, ended = evaluated.report, evaluated.ended
    if made is not None:
        not_run = sorted({one.name for one in chosen} - {one.name for one in made.scenarios})
        if junit is not None:
            report.write_junit(made, junit, not_run)
        if json_file is not None:
            report.write_json(made, json_file)
        out.print(tables.of_run(made))
        if other is not None:
            out.print(tables.side_by_side(made, other))
        say(*summary(made))
    if not ended.complete:
        for problem in ended.errors:
            problems.print(problem, markup=False, highlight=False, soft_wrap=True)
        why = "the trials above came to nothing" if ended.errors else "the budget is spent"
        stop(f"the run broke off: {why}. What there is is kept; `eval run --resume` goes on", COULD_NOT_RUN)
    if made is not None and made.result == "failed":
        stop(what_failed(made))


@app.command()
def show(
    scenario: Annotated[str, typer.Argument(help="Name of the scenario.")],
    suite: Suite = None,
    trial: Annotated[int | None, typer.Option(min=1, help="Default: the first that failed, or the first.")] = None,
) -> None:
    """Print a trial of the last run word for word: what was said, called, returned and decided."""
    name = suite or "sales"
    with open_ledger() as ledger:
        history = EvalHistory(ledger, assembly.AGENT)
        for one in history.runs(name):
            trials = [kept for kept in history.trials(one) if kept.scenario == scenario]
            if trials:
                break
        else:
            stop(f"no run of the suite {name} holds a scenario {scenario!r}")
    wanted = [kept for kept in trials if trial is None or kept.number == trial]
    if not wanted:
        stop(f"the last run of {scenario!r} has {len(trials)} trials; there is no number {trial}")
    say(f"{scenario}, version {one.version}, {one.started_at:%Y-%m-%d %H:%M} UTC")
    out.print(tables.of_trial(min(wanted, key=lambda kept: (kept.passed, kept.number))))


@app.command()
def history(suite: Suite = None, limit: Annotated[int, typer.Option(min=1, help="Show so many runs.")] = 20) -> None:
    """Draw the trend of a suite, version by version."""
    name = suite or "sales"
    with open_ledger() as ledger:
        kept = EvalHistory(ledger, assembly.AGENT)
        runs = kept.runs(name, limit)
        if not runs:
            stop(f"the suite {name} was never run; those that were: {', '.join(kept.suites()) or 'none so far'}")
        out.print(tables.of_history(runs, {one.id: kept.results(one) for one in runs}))


@app.command()
def forget(suite: Annotated[str, typer.Argument(help="Name of the suite.")]) -> None:
    """Delete all runs of a suite that nobody runs any more: its gauges and alerts end."""
    with open_ledger() as ledger:
        say(f"{EvalHistory(ledger, assembly.AGENT).forget(suite)} runs of {suite} are deleted")
