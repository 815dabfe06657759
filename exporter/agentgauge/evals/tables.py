"""What the terminal shows: a run by scenario, two versions side by side, the trend, one trial word for word."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from agentgauge.evals.checks import usd
from agentgauge.evals.history import Outcome, Run, Standing, Trial
from agentgauge.evals.report import Report, pass_hat
from agentgauge.evals.transcript import Called, Transcript

COLOURS = {"passed": "green", "flaky": "yellow", "broken": "red", "failed": "red"}
BARS = "▁▂▃▄▅▆▇█"


def of_run(report: Report) -> Table:
    """Each scenario with its verdict and figures, and under its name the reason if it did not pass."""
    table = _table("scenario", "scenario", "verdict", "passed", "score", "turns", "cost")
    for one in report.scenarios:
        outcome = one.outcome
        style = COLOURS[outcome.verdict]
        name = Text(one.name) if not one.why else Text.assemble(one.name, "\n", (f"  {one.why}", style))
        table.add_row(
            name,
            Text("regressed" if one.regressed else outcome.verdict, style=style),
            f"{outcome.passed}/{outcome.trials}",
            f"{outcome.score:.2f}",
            f"{outcome.turns:.1f}",
            usd(outcome.cost_usd),
        )
    return table


def side_by_side(report: Report, other: Standing) -> RenderableType:
    """Each scenario with another version and now: trials passed, turns and cost, and what changed."""
    now = {one.name: one.outcome for one in report.scenarios}
    table = _table("scenario", "scenario", "before", "now", "turns", "cost", "change")
    for name in now if report.run.partial else sorted({*now, *other.outcomes}):
        before, after = other.outcomes.get(name), now.get(name)
        table.add_row(
            Text(name),
            _verdict(before),
            _verdict(after),
            _from_to(before, after, lambda one: f"{one.turns:.1f}"),
            _from_to(before, after, lambda one: usd(one.cost_usd)),
            _change(before, after),
        )
    return Group(Text(f"before: {other.version}, now: {report.run.version}", style="bold"), table)


def of_history(runs: Sequence[Run], outcomes: Mapping[str, Mapping[str, Outcome]]) -> RenderableType:
    """The runs, newest first, and above them the pass ratio of the whole ones as a line of bars, oldest first."""
    table = _table("commit", "when (UTC)", "version", "result", "passed", "pass^k", "cost", "commit")
    ratios = []
    for run in runs:
        own = list(outcomes.get(run.id, {}).values())
        if not own:
            continue
        passed = sum(one.verdict != "broken" for one in own)
        reliable = sum(pass_hat(one, one.trials) for one in own) / len(own)
        result = run.result or "broke off"
        table.add_row(
            f"{run.started_at:%m-%d %H:%M}",
            str(run.version),
            Text(result, style=COLOURS.get(result, "dim")),
            f"{passed}/{len(own)}{' (a part)' if run.partial else ''}",
            f"{reliable:.0%}",
            usd(sum(one.cost_usd * one.trials for one in own)),
            run.commit,
        )
        if run.result and not run.partial:
            ratios.append(passed / len(own))
    line = "".join(BARS[round(ratio * (len(BARS) - 1))] for ratio in reversed(ratios))
    return Group(Text(f"passed, oldest to newest  {line}"), table)


def of_trial(trial: Trial) -> RenderableType:
    """One trial word for word."""
    verdict = Text("passed", style="green") if trial.passed else Text("; ".join(trial.failures), style="red")
    about = f"trial {trial.number}: {trial.turns} turns, {usd(trial.cost_usd)}, {trial.seconds:.1f} s, "
    parts: list[RenderableType] = [Text.assemble((about, "bold"), verdict)]
    for step in Transcript.from_json(trial.transcript).steps:
        if isinstance(step, Called):
            outcome = "" if step.ok else " failed"
            parts.append(Text(f"{step.tool} {json.dumps(dict(step.arguments))}{outcome}", style="magenta"))
            parts.append(Padding(Text(step.result, style="dim"), (0, 0, 0, 4)))
        else:
            parts.append(Text(step.by, style="bold cyan"))
            parts.append(Padding(Text(step.text), (0, 0, 0, 4)))
    return Group(*parts)


def _table(wraps: str, *columns: str) -> Table:
    """A table without lines, so that more of it fits on a terminal; one column wraps if it has to."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for column in columns:
        table.add_column(column, no_wrap=column != wraps, header_style="bold underline")
    return table


def _verdict(outcome: Outcome | None) -> Text:
    if outcome is None:
        return Text("–", style="dim")
    return Text(f"{outcome.verdict} {outcome.passed}/{outcome.trials}", style=COLOURS[outcome.verdict])


def _from_to(before: Outcome | None, after: Outcome | None, shown: Callable[[Outcome], str]) -> str:
    return "→".join("–" if one is None else shown(one) for one in (before, after))


def _change(before: Outcome | None, after: Outcome | None) -> Text:
    if before is None or after is None:
        return Text("new" if before is None else "not run", style="dim")
    if (before.verdict == "broken") == (after.verdict == "broken"):
        return Text("")
    return Text("mended", style="green") if before.verdict == "broken" else Text("regressed", style="red")
