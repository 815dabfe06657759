"""`agentgauge incident`: from a page to its end, along the alert's runbook."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated
from urllib.parse import parse_qsl, urlsplit

import typer

from agentgauge.agent_app import AppError
from agentgauge.cli.common import REFUSED, AsJson, By, agent, out, say, stop
from agentgauge.cli.mending import mend
from agentgauge.cli.runbooks import declared, faster, job_of, pages_of
from agentgauge.cli.tables import print_json
from agentgauge.incident import mending, words
from agentgauge.incident.conditions import Row
from agentgauge.incident.diagnosis import Diagnosis, walk
from agentgauge.incident.impact import firing, impact
from agentgauge.incident.runbook import RunbookError
from agentgauge.incident.seen import Seen
from agentgauge.incident.terminal import cut, printable
from agentgauge.ops.prometheus import Prometheus, PrometheusError

TIMEOUT_SECONDS = 10.0
MINUTE = 60.0

app = typer.Typer(add_completion=False)


@app.command()
def incident(
    alert: Annotated[
        str, typer.Argument(metavar="ALERT", help="Name of the alert, or the page's link to its runbook.")
    ],
    label: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE that the page shows; once for each. Narrows what fires.")
    ] = None,
    at: Annotated[str | None, typer.Option(help="Look at this time (ISO 8601, UTC) instead of now.")] = None,
    prometheus: Annotated[
        str, typer.Option(envvar="AGENTGAUGE_PROMETHEUS", help="URL of Prometheus.")
    ] = "http://127.0.0.1:9090",
    thresholds: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Your thresholds.yml, as for the bundle.")
    ] = None,
    job: Annotated[str | None, typer.Option(help="Scrape job of the agent; default: that of its series.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show everything, run nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Run the command without asking.")] = False,
    patience: Annotated[float, typer.Option(min=0, help="Minutes to wait for the end.")] = 30,
    post_mortem: Annotated[
        Path | None, typer.Option(dir_okay=False, help="File for the draft; default: in the agent's folder of state.")
    ] = None,
    speed: Annotated[float, typer.Option(min=1, hidden=True, help="For drills: how much faster the clocks run.")] = 1,
    by: By = "unknown",
    as_json: AsJson = False,
) -> None:
    """Say who is affected, walk through the runbook, run its command if you agree, and wait until it is over.

    Exit status: 0 mended, nothing to mend, or a dry run; 1 not mended; 2 it could not run.
    """
    if as_json and not dry_run:
        stop("--json shows what is found out and runs nothing; give --dry-run with it")
    name, labels, linked_at = _page(alert)
    labels |= _labels(label or [])
    then = _time(at or linked_at)
    try:
        seen = _look(name, labels, then, Prometheus(prometheus, TIMEOUT_SECONDS), thresholds, job, speed)
        if as_json:
            print_json(words.document(seen))
        else:
            _show(seen)
        if dry_run or seen.firing is None:
            return
        is_mended = mend(seen, yes=yes, by=by, patience=patience * MINUTE, file=post_mortem)
    except (PrometheusError, RunbookError) as error:
        stop(str(error))
    if not is_mended:
        raise typer.Exit(REFUSED)


def _look(
    alert: str,
    labels: dict[str, str],
    at: datetime | None,
    prometheus: Prometheus,
    thresholds: Path | None,
    job: str | None,
    speed: float,
) -> Seen:
    needs_agent = "agent" in declared(alert).labels

    def ask(query: str) -> tuple[Row, ...]:
        answer = prometheus.instant(query, None if at is None else at.timestamp())
        return tuple(Row(series.labels, series.points[0][1]) for series in answer)

    fires = firing(alert, labels, ask)
    first = fires[0] if fires else None
    of = {**labels, **(first.labels if first else {})}
    name = of.get("agent") or _agents_name(needed=needs_agent)
    page = pages_of(name, job or of.get("job") or job_of(name, ask), prometheus.url, thresholds, speed)
    found = walk(alert, page, of, ask)
    return Seen(
        alert=alert,
        agent=name,
        at=at or datetime.now(UTC),
        summary=page(alert).summary,
        firing=first,
        others=len(fires) - 1,
        impact=impact(name, ask, lambda query: faster(query, speed)),
        diagnosis=found,
        plan=_plan(found, of, name),
        prometheus=prometheus,
    )


def _page(given: str) -> tuple[str, dict[str, str], str | None]:
    """The alert's name, and the labels and the time that a link holds."""
    if "/" not in given:
        return given, {}, None
    link = urlsplit(given)
    name = link.path.rstrip("/").rpartition("/")[2].removesuffix(".md").removesuffix(".html")
    labels = dict(parse_qsl(link.query))
    at = labels.pop("at", None)
    return name, labels, at


def _labels(written: list[str]) -> dict[str, str]:
    for one in written:
        if not one.partition("=")[0].isidentifier() or "=" not in one:
            raise typer.BadParameter(f"{one!r}: expected NAME=VALUE, such as tool=search", param_hint="--label")
    return dict(one.split("=", 1) for one in written)


def _time(written: str | None) -> datetime | None:
    if written is None:
        return None
    try:
        at = datetime.fromisoformat(written)
    except ValueError:
        raise typer.BadParameter(f"{written!r}: expected a time such as 2026-03-01T02:14", param_hint="--at") from None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def _agents_name(*, needed: bool) -> str:
    try:
        return agent().name
    except AppError as error:
        if needed:
            stop(f"of which agent? Give --label agent=NAME, or {error}")
        return "unknown"


def _plan(found: Diagnosis, labels: Mapping[str, str], agent_name: str) -> mending.Plan:
    if found.mitigation is None:
        return mending.Plan((), by_hand=True)
    return mending.plan(found.mitigation, mending.known_words(found.mitigation, found, labels))


def _show(seen: Seen) -> None:
    say(words.headline(seen.alert, seen.firing, seen.others, seen.at), style="bold")
    _say_cut(f"  {seen.summary}")
    for line in (words.who(seen.impact), words.conversations(seen.impact), words.what(seen.impact)):
        _say_cut(f"  {line}")
    before = seen.alert
    for one in seen.diagnosis.steps:
        for line in words.step_lines(one, one.alert != before):
            _say_cut(line)
        before = one.alert
    match seen.diagnosis.ended:
        case "mitigation":
            _show_mitigation(seen)
        case "over":
            say("the runbook has nothing to run for that")
        case "no branch":
            say("the runbook has no branch for that; go on by hand:")
            page = seen.diagnosis.alert
            say(f"  agentgauge bundle DIR --agent {printable(seen.agent)} writes {page}.md, the whole page")


def _show_mitigation(seen: Seen) -> None:
    mitigation = seen.diagnosis.mitigation
    assert mitigation is not None  # noqa: S101  # as `ended` says
    of_page = f" of {seen.diagnosis.alert}" if seen.diagnosis.alert != seen.alert else ""
    say(f"mitigation {mitigation.number}{of_page}: {mitigation.text}", style="bold")
    for command in seen.plan.commands:
        say(f"    {printable(command)}")


def _say_cut(line: str) -> None:
    say(cut(line, out.width) if out.is_terminal else line)
