"""`agentgauge incident`: from a page to its end, along the alert's runbook."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated
from urllib.parse import parse_qsl, urlsplit

import typer

from agentgauge.agent_app import AppError
from agentgauge.bundled import NotBundledError
from agentgauge.cli.common import REFUSED, AsJson, By, agent, out, say, selected_app, stop
from agentgauge.cli.conversations import behind, lines
from agentgauge.cli.mending import mend
from agentgauge.cli.tables import print_json
from agentgauge.incident import words
from agentgauge.incident.looking import look
from agentgauge.incident.place import Place
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
        place = Place(Prometheus(prometheus, TIMEOUT_SECONDS), thresholds, job, selected_app(), speed)
        seen = look(name, labels, place, then, _agents_name)
        found = behind(seen)
        if as_json:
            print_json({**words.document(seen), "conversations": [one.session for one in found]})
        else:
            _show(seen, lines(seen, found))
        if dry_run or seen.firing is None:
            return
        is_mended = mend(seen, yes=yes, by=by, patience=patience * MINUTE, file=post_mortem)
    except (PrometheusError, RunbookError, NotBundledError) as error:
        stop(str(error))
    if not is_mended:
        raise typer.Exit(REFUSED)


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


def _agents_name(needed: bool) -> str:
    try:
        return agent().name
    except AppError as error:
        if needed:
            stop(f"of which agent? Give --label agent=NAME, or {error}")
        return "unknown"


def _show(seen: Seen, said: list[str]) -> None:
    say(words.headline(seen.alert, seen.firing, seen.others, seen.at), style="bold")
    _say_cut(f"  {seen.summary}")
    for line in words.impact_lines(seen.impact):
        _say_cut(f"  {line}")
    for line in said:
        _say_cut(f"  {printable(line)}" if not line.startswith(" ") else f"    {printable(line)}")
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
