"""Tables for the terminal: a run by scenario, two versions side by side, the trend, one trial word for word."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from agentgauge.evals.checks import usd
from agentgauge.evals.history import Run, ScenarioResult, Trial, VersionStanding
from agentgauge.evals.report import EvalReport, pass_hat
from agentgauge.evals.transcript import Called, TrialTranscript

COLOURS = {"passed": "green", "flaky": "yellow", "broken": "red", "failed": "red"}
BARS = "▁▂▃▄▅▆▇█"


def of_run(report: EvalReport) -> Table:
    """Each scenario with its status and figures, and under its name the reason if it did not pass."""
    table = _table("scenario", "scenario", "status", "passed", "95 %", "score", "turns", "cost")
    for one in report.scenarios:
        result = one.result
        style = COLOURS[result.status]
        name = Text(one.name) if not one.why else Text.assemble(one.name, "\n", (f"  {one.why}", style))
        table.add_row(
            name,
            Text(("regressed" if one.regressed else result.status) + "?" * one.is_unsure, style=style),
            f"{result.passed}/{result.trials}",
            f"{one.passing.low:.0%}–{one.passing.high:.0%}",
            f"{result.score:.2f}",
            f"{result.turns:.1f}",
            usd(result.cost_usd),
        )
    return table


def side_by_side(report: EvalReport, other: VersionStanding) -> RenderableType:
    """Each scenario in another version and in this run: trials passed, turns, cost, and what changed."""
    now = {one.name: one.result for one in report.scenarios}
    table = _table("scenario", "scenario", "before", "now", "turns", "cost", "change")
    for name in now if report.run.partial else sorted({*now, *other.results}):
        before, after = other.results.get(name), now.get(name)
        table.add_row(
            Text(name),
            _status(before),
            _status(after),
            _from_to(before, after, lambda one: f"{one.turns:.1f}"),
            _from_to(before, after, lambda one: usd(one.cost_usd)),
            _change(before, after),
        )
    return Group(Text(f"before: {other.version}, now: {report.run.version}", style="bold"), table)


def of_history(runs: Sequence[Run], results: Mapping[str, Mapping[str, ScenarioResult]]) -> RenderableType:
    """The runs, newest first, and above them the pass ratio of the whole ones as a line of bars, oldest first."""
    table = _table("commit", "when (UTC)", "version", "result", "passed", "pass^k", "cost", "commit")
    ratios = []
    for run in runs:
        own = list(results.get(run.id, {}).values())
        if not own:
            continue
        passed = sum(one.status != "broken" for one in own)
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
    for step in TrialTranscript.from_json(trial.transcript).steps:
        if isinstance(step, Called):
            outcome = "" if step.ok else " failed"
            parts.append(Text(f"{step.tool} {json.dumps(dict(step.arguments))}{outcome}", style="magenta"))
            parts.append(Padding(Text(step.result, style="dim"), (0, 0, 0, 4)))
        else:
            parts.append(Text(step.by, style="bold cyan"))
            parts.append(Padding(Text(step.text), (0, 0, 0, 4)))
    return Group(*parts)


def _table(wraps: str, *columns: str) -> Table:
    """A table without lines, so that more fits on a terminal; only the column ``wraps`` may wrap."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for column in columns:
        table.add_column(column, no_wrap=column != wraps, header_style="bold underline")
    return table


def _status(result: ScenarioResult | None) -> Text:
    if result is None:
        return Text("–", style="dim")
    return Text(f"{result.status} {result.passed}/{result.trials}", style=COLOURS[result.status])


def _from_to(
    before: ScenarioResult | None, after: ScenarioResult | None, shown: Callable[[ScenarioResult], str]
) -> str:
    return "→".join("–" if one is None else shown(one) for one in (before, after))


def _change(before: ScenarioResult | None, after: ScenarioResult | None) -> Text:
    if before is None or after is None:
        return Text("new" if before is None else "not run", style="dim")
    if (before.status == "broken") == (after.status == "broken"):
        return Text("")
    return Text("mended", style="green") if before.status == "broken" else Text("regressed", style="red")
