"""`feedback improve`: from what people objected to, to a new version of the prompts that is shown to be better."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentgauge.agent_app import AgentApp, Candidate, TrialRunner
from agentgauge.cli.common import AsJson, By, agent, opened_ledger, refuse, say, stop, warn
from agentgauge.cli.evaluating import (
    PLAYED_BANNER,
    MaxCost,
    Parallel,
    Sample,
    Trials,
    check_recording,
    execute,
    on_trial,
    recording_of,
    version_on_trial,
)
from agentgauge.cli.proving import TRIALS, prove
from agentgauge.cli.tables import print_json
from agentgauge.cli.theming import ThemesBy, themes_of
from agentgauge.cli.watching import Days, decided_in, effects_so_far
from agentgauge.evals.evaluation import plan, sample
from agentgauge.evals.history import EvalHistory, Run, Trial, Version
from agentgauge.evals.runner import Ended
from agentgauge.evals.scenario import Scenario
from agentgauge.feedback.drafting import DraftError, draft, request, rule_in
from agentgauge.feedback.evidence import Evidence, evidence
from agentgauge.feedback.lessons import Lesson, lessons
from agentgauge.feedback.lessons import scenarios as scenarios_of
from agentgauge.feedback.rated import lessons_of_thumbs
from agentgauge.prompts.activations import PromptActivations
from agentgauge.prompts.library import PromptLibrary, Prompts, difference
from agentgauge.transcripts.store import Transcripts

if TYPE_CHECKING:
    from agentgauge.ledger import Ledger
    from agentgauge.transcripts.transcript import Transcript

SUITE = "feedback"
"""What the runs of both versions are called in the history of evaluations."""
DRAFTS = "drafts"
"""In the state folder: versions that were not activated."""
NOT_ENOUGH_EVIDENCE = 3


@dataclass(frozen=True)
class No:
    """Why a version is not activated, and the exit status."""

    why: str
    status: int


def improve(
    tool: Annotated[str | None, typer.Option(help="Only what people objected to in this tool.")] = None,
    theme: Annotated[str | None, typer.Option(help="Only this, as `feedback report` calls it, or a part.")] = None,
    days: Days = 30,
    model: Annotated[str | None, typer.Option(help="Drafts the patch; default: the words and edits alone.")] = None,
    themes_by: ThemesBy = None,
    judge: Annotated[str | None, typer.Option(metavar="MODEL", help="Judges in trials what no check can see.")] = None,
    trials: Trials = 5,
    parallel: Parallel = 8,
    size: Sample = None,
    max_cost: MaxCost = None,
    record: Annotated[Path | None, typer.Option(help="Record what the model answers in this folder.")] = None,
    replay: Annotated[Path | None, typer.Option(help="Answer from such a folder.")] = None,
    allow_played: Annotated[
        bool, typer.Option("--allow-played", help="Take the trials for evidence although no model was asked.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Activate a gain without asking.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the draft; try and write nothing.")] = False,
    by: By = "unknown",
    as_json: AsJson = False,
) -> None:
    """Make a new version of the prompts from what people rejected, edited and rated down; activate it if it is better.

    The most frequent objection becomes scenarios, which must fail on the prompts in force, and a sentence for the
    prompts. Both versions are tried on these scenarios and on your own suites; --sample takes some of your own. Exit
    status 0: activated, or a dry run; 1: not activated; 2: it could not run; 3: not enough evidence.
    """
    tell = warn if as_json else say
    app = agent()
    recording = recording_of(record, replay)
    with opened_ledger(app) as ledger:
        library, activations = app.prompt_library(), PromptActivations(ledger, app.name)
        active = activations.active()
        prompts = library.load(active.version if active else None)
        guilty = Candidate(app.version, prompts, recording=recording)
        decided = decided_in(app, ledger, days)
        theme_of = themes_of(app, guilty, themes_by, decided)
        drawn = [
            *lessons(decided, prompts.version, theme_of),
            *lessons_of_thumbs(_rated(app, ledger, days), prompts.version),
        ]
        lesson = _chosen(drawn, prompts.version, tool, theme, days)
        for line in effects_so_far(decided, activations, prompts.version):
            tell(line)
        tell(f"{lesson}, under prompts {prompts.version}")
        made = app.load_scenarios(lambda: _parsed(scenarios_of(lesson, app.tool_names), lesson))
        if not dry_run:
            made = _proven(app, guilty, made, judge, parallel)
            tell(f"{len(made)} scenarios made of it fail on {prompts.version}, as they must")
        rule = lesson.rule if model is None else _written_by(model, app, guilty, prompts, lesson)
        drafted = draft(prompts, lesson, rule, library.next_version())
        diff = difference(prompts, drafted)
        source = f"by {model}" if model else "from the reviewers' words and edits alone, by no model"
        document: dict[str, Any] = {
            "lesson": str(lesson),
            "in_force": prompts.version,
            "scenarios": [one.name for one in made],
            "drafted": drafted.version,
            "drafted_by": model,
            "diff": diff,
            "activated": None,
        }
        tell(f"the draft {drafted.version}, made {source}:")
        for line in diff:
            tell(f"  {line}")
        if dry_run:
            tell(f"a dry run: {len(made)} scenarios would have to fail on {prompts.version}; nothing was tried")
        else:
            own = _own_scenarios(app, ledger, size)
            before, after = (
                _tried(app, ledger, one, [*made, *own], trials, parallel, max_cost, judge)
                for one in (guilty, replace(guilty, prompts=drafted))
            )
            if recording is not None:
                check_recording(recording)
            shown = evidence(before, after, {one.name for one in made})
            document["evidence"] = shown.as_json()
            tell(f"{shown.before} beside {shown.after}, {_answers(shown.after)}:")
            for line in str(shown).splitlines():
                tell(f"  {line}")
            no = _no(shown, drafted.version, yes=yes, allow_played=allow_played, ask=not as_json)
            if no is None:
                folder = library.write(drafted, prompts.version)
                activations.activate(drafted.version, by, f"feedback improve: {lesson}")
                document["activated"] = drafted.version
                tell(f"prompts {drafted.version} are in force; `agentgauge feedback watch` says whether they help")
                tell(f"commit {folder}: a replica without this folder stays on {prompts.version}")
            else:
                kept = _kept(app, library, drafted, prompts)
                tell(f"the draft is in {kept}; `agentgauge eval show --suite {SUITE} SCENARIO` prints a trial")
        if as_json:
            print_json(document)
        if not dry_run and no is not None:
            stop(no.why, no.status)


def _rated(app: AgentApp, ledger: Ledger, days: int) -> list[Transcript]:
    """The conversations that users rated down in the last days, with what was said."""
    transcripts = Transcripts(ledger, app.name)
    newest = transcripts.newest("thumbs_down", since=ledger.now() - timedelta(days=days))
    return [transcripts.get(one.session) for one in newest]


def _chosen(drawn: list[Lesson], in_force: str, tool: str | None, theme: str | None, days: int) -> Lesson:
    drawn = sorted(drawn, key=lambda one: -one.times)
    fitting = [
        one
        for one in drawn
        if (tool is None or one.tool == tool) and (theme is None or theme.casefold() in one.theme.casefold())
    ]
    if drawn and not fitting:
        refuse(f"nothing fits --tool and --theme; there is {'; '.join(map(str, drawn))}")
    if not fitting:
        refuse(
            f"in {days} days people objected to nothing often enough under prompts {in_force}, or gave no reasons; "
            "`agentgauge feedback report` shows what they decided"
        )
    return fitting[0]


def _parsed(entries: Sequence[dict[str, Any]], lesson: Lesson) -> list[Scenario]:
    if not entries:
        refuse(f"{lesson}: no conversation of it was stored, so there is nothing to try")
    return [Scenario.model_validate(entry) for entry in entries]


def _proven(
    app: AgentApp, guilty: Candidate, scenarios: list[Scenario], judge: str | None, parallel: int
) -> list[Scenario]:
    """The scenarios that fail on the prompts in force; ends the command if there is none."""
    if judge is None and not any(one.demands_without_judge for one in scenarios):
        refuse("only a judge can tell whether a version does better: --judge MODEL has a model judge the trials")
    proof = prove(app, guilty, scenarios, judge, parallel)
    proven = [one for one in scenarios if proof.holds(one.name)]
    for one in scenarios:
        if proven and one not in proven:
            warn(f"{one.name} is left out: {proof.passed[one.name]} of {TRIALS} trials pass on what people objected to")
    if not proven:
        hint = "" if judge else ". No check can see some objections: --judge MODEL has a model judge them"
        refuse(f"all {len(scenarios)} scenarios made of it pass on {proof.version}, so they would prove nothing{hint}")
    return proven


def _written_by(model: str, app: AgentApp, candidate: Candidate, prompts: Prompts, lesson: Lesson) -> str:
    async def ask(runner: TrialRunner) -> tuple[str, float]:
        if runner.version.is_played:
            stop(f"there is no key for {model} (ANTHROPIC_API_KEY, for example), and a script cannot draft")
        return await runner.judge(model, request(prompts, lesson))

    answer, _cost_usd = on_trial(app, candidate, ask)
    try:
        return rule_in(answer)
    except DraftError as error:
        stop(str(error))


def _own_scenarios(app: AgentApp, ledger: Ledger, size: int | None) -> list[Scenario]:
    own = [scenario for suite in app.suites for scenario in app.scenarios(suite)]
    return own if size is None else sample(own, size, ledger.today())


def _tried(
    app: AgentApp,
    ledger: Ledger,
    candidate: Candidate,
    scenarios: list[Scenario],
    trials: int,
    parallel: int,
    max_cost: float | None,
    judge: str | None,
) -> tuple[Version, list[Trial]]:
    """A candidate's version and trials, which the ledger keeps as a run of SUITE.

    They are new ones: those that proved the scenarios were chosen because they fail, and would make any change a gain.
    """
    history = EvalHistory(ledger, app.name)

    async def work(runner: TrialRunner) -> tuple[Run, Ended]:
        version = version_on_trial(runner, candidate.recording)
        begun = plan(history, SUITE, version, scenarios, trials=trials)
        judgements = app.state / "judgements"
        evaluated = await execute(
            runner,
            history,
            begun,
            parallel=parallel,
            max_cost=max_cost,
            judging_model=judge,
            judgements=judgements,
            scorers=app.scorers,
        )
        return begun.run, evaluated.ended

    run, ended = on_trial(app, candidate, work)
    if not ended.complete:
        stop(f"the trials of {run.version} broke off: {'; '.join(ended.errors) or 'the budget is spent'}")
    return run.version, history.trials(run)


def _answers(version: Version) -> str:
    if version.is_played:
        return f"whose answers were {PLAYED_BANNER}"
    return "whose answers were recorded" if version.is_recorded else "whose answers were those of the real model"


def _no(shown: Evidence, version: str, *, yes: bool, allow_played: bool, ask: bool) -> No | None:
    """Why the version is not to be activated; None if it is."""
    if shown.after.is_played and not allow_played:
        return No(
            "no evidence about the prompts: the answers were played, because there is no key for the model "
            "(ANTHROPIC_API_KEY, for example). Give the key, or --allow-played where the harness is what you test",
            NOT_ENOUGH_EVIDENCE,
        )
    if not shown.is_gain:
        return No(shown.why_no_gain, 1 if shown.is_loss else NOT_ENOUGH_EVIDENCE)
    if yes:
        return None
    if not ask:
        return No("it is a gain, and not activated: that takes --yes beside --json", 1)
    return None if typer.confirm(f"Activate {version}?") else No("not activated, as you said", 1)


def _kept(app: AgentApp, library: PromptLibrary, drafted: Prompts, prompts: Prompts) -> Path:
    """The folder of a draft that is not activated, for people to look at and to change."""
    folder = app.state / DRAFTS
    shutil.rmtree(folder / drafted.version, ignore_errors=True)
    return library.write(drafted, prompts.version, folder)
