"""Evaluate the agent: run a suite, read what happened, see the trend."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agentgauge.agent_app import TrialRunner
from agentgauge.cli import nightly, preferring, viewing
from agentgauge.cli.common import AsJson, agent, group, opened_ledger, refuse, say, stop, warn
from agentgauge.cli.evaluating import (
    MaxCost,
    Parallel,
    Sample,
    Trials,
    candidate_of,
    check_recording,
    execute,
    live_candidate,
    on_trial,
    recording_of,
    scenarios_of,
    suite_name,
    summary,
    version_on_trial,
    what_failed,
)
from agentgauge.cli.tables import print_json, print_wide
from agentgauge.evals import report, tables
from agentgauge.evals.calibration import Agreement, read_labels
from agentgauge.evals.calibration import calibrate as judge_examples
from agentgauge.evals.checks import usd
from agentgauge.evals.comparison import DEFAULT_LIMITS
from agentgauge.evals.evaluation import plan, sample
from agentgauge.evals.history import EvalHistory
from agentgauge.evals.judge import Judge

if TYPE_CHECKING:
    from agentgauge.evals.evaluation import Evaluated
    from agentgauge.evals.history import VersionStanding

app = group("eval")
app.command()(nightly.nightly)
app.command()(viewing.view)
app.command()(viewing.export)
app.command()(preferring.prefer)

NOT_ENOUGH_EVIDENCE = 3
"""The exit status of a run whose trials are too few."""

Suite = Annotated[str | None, typer.Option(help="Name of the suite; default: the only one, or that of the folder.")]


@app.command()
def run(
    suite: Suite = None,
    folder: Annotated[Path | None, typer.Option("--scenarios", help="Folder of other scenarios.")] = None,
    trials: Trials = 5,
    parallel: Parallel = 8,
    version: Annotated[str | None, typer.Option(help="The agent's version; default: the declared one.")] = None,
    prompts: Annotated[str | None, typer.Option(help="Version of the prompts; default: the one in force.")] = None,
    model: Annotated[str | None, typer.Option(help="The model that plans; default: the configured one.")] = None,
    max_cost: MaxCost = None,
    size: Sample = None,
    tag: Annotated[str | None, typer.Option(help="Only the scenarios with this tag.")] = None,
    live: Annotated[
        bool, typer.Option("--live", help="Evaluate what runs in production, and show that on its metrics.")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run that broke off.")] = False,
    judge: Annotated[str | None, typer.Option(metavar="MODEL", help="Have this model judge the criteria, too.")] = None,
    record: Annotated[Path | None, typer.Option(help="Record what the model answers in this folder.")] = None,
    replay: Annotated[Path | None, typer.Option(help="Answer from such a folder: offline, and for nothing.")] = None,
    junit: Annotated[Path | None, typer.Option(help="Write JUnit XML to this file.")] = None,
    json_file: Annotated[Path | None, typer.Option(help="Write JSON to this file.")] = None,
    margin: Annotated[
        float, typer.Option(min=0, max=100, help="So many points less of the trials may pass than on the live version.")
    ] = 100 * DEFAULT_LIMITS.margin,
    compare: Annotated[str | None, typer.Option(help="Show this version beside it.")] = None,
    allow_played: Annotated[
        bool, typer.Option("--allow-played", help="Let it pass although no model was asked.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run a suite and compare it with the live version.

    Exit status 0: passed, and not worse; 1: a scenario is broken or regressed, the version is worse or costs too much,
    or no model was asked; 2: it could not run; 3: not enough evidence that it is not worse.
    """
    app = agent()
    if live and (folder, version, prompts, model) != (None, None, None, None):
        stop("--live evaluates what runs in production; leave out --scenarios, --version, --prompts and --model")
    recording = recording_of(record, replay)
    name, scenarios = scenarios_of(app, suite, folder)
    chosen = [one for one in scenarios if tag is None or tag in one.tags]
    if not chosen:
        known = sorted({one for scenario in scenarios for one in scenario.tags})
        stop(f"no scenario of the suite {name} has the tag {tag!r}; the tags are {', '.join(known) or 'none at all'}")
    with opened_ledger(app) as ledger:
        history = EvalHistory(ledger, app.name)
        if live:
            candidate = live_candidate(app, ledger)
        else:
            candidate = candidate_of(app, ledger, prompts=prompts, version=version, model=model)
        candidate = replace(candidate, recording=recording)
        chosen = chosen if size is None else sample(chosen, size, ledger.today())
        partial = len(chosen) < len(scenarios)

        async def work(runner: TrialRunner) -> tuple[VersionStanding | None, Evaluated]:
            on_trial_now = version_on_trial(runner, recording)
            other = None if compare is None else history.standing_of(name, compare, on_trial_now)
            if compare is not None and other is None:
                stop(f"no other version called {compare!r} ran the suite {name}; see `agentgauge eval history`")
            begun = plan(history, name, on_trial_now, chosen, trials=trials, partial=partial, resume=resume, live=live)
            judgements = app.state / "judgements"
            evaluated = await execute(
                runner,
                history,
                begun,
                parallel=parallel,
                max_cost=max_cost,
                judging_model=judge,
                judgements=judgements,
                limits=replace(DEFAULT_LIMITS, margin=margin / 100),
                scorers=app.scorers,
            )
            if evaluated.report is not None:
                remarks = tuple(getattr(runner, "remarks", ()))
                evaluated = replace(evaluated, report=replace(evaluated.report, remarks=remarks))
            return other, evaluated

        try:
            other, evaluated = on_trial(app, candidate, work)
        except KeyboardInterrupt:
            stop("stopped; what was done is kept: `agentgauge eval run --resume` goes on")
    made, ended = evaluated.report, evaluated.ended
    if recording is not None:
        check_recording(recording)
    if made is not None:
        not_run = sorted({one.name for one in chosen} - {one.name for one in made.scenarios})
        if junit is not None:
            report.write_junit(made, junit, not_run)
        if json_file is not None:
            report.write_json(made, json_file)
        if as_json:
            print_json(report.as_json(made))
        else:
            print_wide(tables.of_run(made))
            if other is not None:
                print_wide(tables.side_by_side(made, other))
            say(*summary(made))
    if not ended.complete:
        for problem in ended.errors:
            warn(problem)
        why = "the trials above failed to run" if ended.errors else "the budget is spent"
        stop(f"the run broke off: {why}. What was done is kept; `agentgauge eval run --resume` goes on")
    if made is not None and made.result == "failed":
        refuse(what_failed(made))
    if made is not None and made.run.version.is_played and not allow_played:
        refuse(
            "not a pass: the answers were played, because there is no key for the model (ANTHROPIC_API_KEY, for "
            "example). Give the key, or --allow-played where the harness is what you test"
        )
    if made is not None and made.comparison is not None and made.lacks_evidence:
        warn(f"{report.evidence_missing(made.comparison)} (--trials; `eval run --live --trials` for the live version)")
        raise typer.Exit(NOT_ENOUGH_EVIDENCE)


@app.command()
def show(
    scenario: Annotated[str, typer.Argument(help="Name of the scenario.")],
    suite: Suite = None,
    trial: Annotated[int | None, typer.Option(min=1, help="Default: the first that failed, or the first.")] = None,
    as_json: AsJson = False,
) -> None:
    """Print a trial of the last run word for word: what was said, called, returned and decided."""
    app = agent()
    name = suite_name(app, suite)
    with opened_ledger(app) as ledger:
        history = EvalHistory(ledger, app.name)
        for one in history.runs(name):
            trials = [kept for kept in history.trials(one) if kept.scenario == scenario]
            if trials:
                break
        else:
            refuse(f"no run of the suite {name} holds a scenario {scenario!r}")
    wanted = [kept for kept in trials if trial is None or kept.number == trial]
    if not wanted:
        refuse(f"the last run of {scenario!r} has {len(trials)} trials; there is no number {trial}")
    shown = min(wanted, key=lambda kept: (kept.passed, kept.number))
    if as_json:
        print_json({"suite": name, "version": str(one.version), "started_at": one.started_at, "trial": shown})
        return
    say(f"{scenario}, version {one.version}, {one.started_at:%Y-%m-%d %H:%M} UTC")
    print_wide(tables.of_trial(shown))


@app.command()
def history(
    suite: Suite = None,
    limit: Annotated[int, typer.Option(min=1, help="Show so many runs.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Draw the trend of a suite, version by version."""
    app = agent()
    name = suite_name(app, suite)
    with opened_ledger(app) as ledger:
        past = EvalHistory(ledger, app.name)
        runs = past.runs(name, limit)
        if not runs:
            ran = ", ".join(past.suites()) or "none so far"
            refuse(f"the suite {name} was never run; those that were: {ran}; `agentgauge eval run` runs it")
        outcomes = {one.id: past.results(one) for one in runs}
    if as_json:
        print_json([{"run": one, "version": str(one.version), "scenarios": outcomes[one.id]} for one in runs])
    else:
        print_wide(tables.of_history(runs, outcomes))


@app.command()
def calibrate(
    labels: Annotated[Path, typer.Argument(help="Examples, a JSON object a line: criterion, passed, transcript.")],
    judge: Annotated[str, typer.Option(metavar="MODEL", help="The model that judges.")],
    as_json: AsJson = False,
) -> None:
    """Show how far a judge agrees with examples that people labelled."""
    app = agent()
    examples = read_labels(labels)
    with opened_ledger(app) as ledger:
        candidate = candidate_of(app, ledger)

    async def work(runner: TrialRunner) -> Agreement:
        ask = functools.partial(runner.judge, judge)
        return await judge_examples(Judge(ask, judge, app.state / "judgements"), examples)

    made = on_trial(app, candidate, work)
    share, kappa = made.agreement, made.kappa
    if as_json:
        print_json({"examples": made.examples, "agreement": share, "kappa": kappa, "counts": made})
        return
    say(
        f"{judge} agrees with people on {share.estimate:.0%} of {made.examples} examples "
        f"({share.low:.0%} to {share.high:.0%}), kappa {'unknown' if kappa is None else f'{kappa:.2f}'}",
        f"people passed and it failed {made.passed_failed}, people failed and it passed {made.failed_passed}; "
        f"it cost {usd(made.cost_usd)}",
    )


@app.command()
def forget(suite: Annotated[str, typer.Argument(help="Name of the suite.")]) -> None:
    """Delete all runs of a suite that nobody runs any more: its gauges and alerts end."""
    app = agent()
    with opened_ledger(app) as ledger:
        say(f"{EvalHistory(ledger, app.name).forget(suite)} runs of {suite} are deleted")
