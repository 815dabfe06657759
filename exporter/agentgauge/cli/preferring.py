"""`eval prefer`: which of two versions a judge prefers, pair by pair and in both orders."""

from __future__ import annotations

import functools
from typing import Annotated

import typer

from agentgauge.agent_app import TrialRunner
from agentgauge.cli.common import AsJson, agent, opened_ledger, refuse, say, stop
from agentgauge.cli.evaluating import candidate_of, on_trial, suite_name
from agentgauge.cli.tables import print_json
from agentgauge.evals.checks import usd
from agentgauge.evals.history import EvalHistory, Run, Trial
from agentgauge.evals.judge import JudgeError
from agentgauge.evals.pairwise import CRITERION, PairJudge, Preferences, compare_pairs, paired

Name = Annotated[str, typer.Argument(help="A version, or its prompts or model, as `eval history` shows it.")]


def prefer(
    before: Name,
    after: Name,
    judge: Annotated[str, typer.Option(metavar="MODEL", help="The model that judges.")],
    suite: Annotated[str | None, typer.Option(help="Name of the suite; default: the only one.")] = None,
    criterion: Annotated[str, typer.Option(help="What makes one better than the other.")] = CRITERION,
    as_json: AsJson = False,
) -> None:
    """Have a model say which version's transcripts are better; each pair in both orders, so that no place wins.

    The pairs are the trials of the last run of each version. Exit status 0: the one after is better; 1: it is worse;
    3: no evidence.
    """
    app = agent()
    name = suite_name(app, suite)
    with opened_ledger(app) as ledger:
        history = EvalHistory(ledger, app.name)
        old, new = (_last(history, name, version) for version in (before, after))
        candidate = candidate_of(app, ledger)
    pairs = paired(old[1], new[1])
    if not pairs:
        refuse(f"{old[0].version} and {new[0].version} were tried on no scenario in common")

    async def work(runner: TrialRunner) -> Preferences:
        asking = PairJudge(functools.partial(runner.judge, judge), judge, app.state / "judgements")
        return await compare_pairs(asking, criterion, pairs)

    try:
        made = on_trial(app, candidate, work)
    except JudgeError as error:
        stop(str(error))
    if as_json:
        print_json(
            {
                "before": str(old[0].version),
                "after": str(new[0].version),
                "verdict": made.verdict,
                "p_value": made.chance,
                "preferred": made.preferred,
                "position_bias": made.position_bias,
                "counts": made,
            }
        )
    else:
        say(*_in_words(made, judge, old[0], new[0]))
    if made.verdict != "better":
        raise typer.Exit(1 if made.verdict == "worse" else 3)


def _last(history: EvalHistory, suite: str, name: str) -> tuple[Run, list[Trial]]:
    """The last run of a version that has trials, with these; ends the command if there is none."""
    meant = (run for run in history.runs(suite) if run.version.is_called(name))
    kept = next(((run, trials) for run in meant if (trials := history.trials(run))), None)
    if kept is None:
        refuse(f"no version called {name!r} ran the suite {suite}; see `agentgauge eval history`")
    return kept


def _in_words(made: Preferences, judge: str, old: Run, new: Run) -> list[str]:
    lines = [
        f"{new.version} beside {old.version}, by {judge}: {made.verdict} (sign test, p = {made.chance:.3g})",
        f"of {made.pairs} pairs it is better in {made.after} and worse in {made.before}; {made.ties} are equal, and "
        f"{made.turned} were decided by the place alone",
    ]
    bias = made.position_bias
    if bias is not None:
        lines.append(
            f"{judge} chose what it read first in {bias.estimate:.0%} of its choices "
            f"({bias.low:.0%} to {bias.high:.0%}); one half is without bias"
        )
    return [*lines, f"it cost {usd(made.cost_usd)}"]
