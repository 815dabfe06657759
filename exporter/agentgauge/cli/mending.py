"""How `agentgauge incident` mends: asks, runs the runbook's command, records who did, waits, writes the post-mortem."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from agentgauge.agent_app import AppError
from agentgauge.cli.common import agent, opened_ledger, say, stop, warn
from agentgauge.incident import mending, postmortem, words
from agentgauge.incident.conditions import Row
from agentgauge.incident.impact import firing
from agentgauge.incident.mending import MendingError
from agentgauge.incident.postmortem import Incident
from agentgauge.incident.seen import Seen
from agentgauge.incident.terminal import printable
from agentgauge.incident.watching import watch

if TYPE_CHECKING:
    from agentgauge.agent_app import AgentApp
    from agentgauge.ops.log import LogEntry

LOG_BEFORE = timedelta(hours=1)
"""So much of the log of operations before the alert is in the post-mortem: what somebody did may have caused it."""


def mend(seen: Seen, *, yes: bool, by: str, patience: float, file: Path | None) -> bool:
    """Whether it is over after ``patience`` seconds at most; nothing is run that nobody agreed to."""
    app = None if seen.plan.by_hand else _app_of(seen)
    commands = () if app is None else _filled(seen, yes=yes)
    question = "Run it?" if commands else "This is done by hand. Watch until it is over?"
    if not (yes or typer.confirm(question)):
        return False
    began, done = datetime.now(UTC), []

    def before(command: str) -> None:
        done.append((datetime.now(UTC), command))
        say(f"$ {printable(command)}", style="bold")

    try:
        mending.run(commands, before)
    except MendingError as error:
        stop(str(error), status=1)
    finally:
        if app is not None:
            _record(app, seen, [command for _, command in done], by)
    seconds = _watched(seen, patience)
    say(f"mended after {words.age(seconds)}" if seconds is not None else "not mended: it still fires")
    incident = Incident(seen, by, began, done, seconds)
    _write(incident, app, file)
    return seconds is not None


def _app_of(seen: Seen) -> AgentApp:
    """The agent that the commands reach, which has to be the one of the alert."""
    app = agent()
    if seen.agent not in (app.name, "unknown"):
        stop(f"the alert is about {printable(seen.agent)}, and the commands would reach {app.name}; say --app")
    return app


def _filled(seen: Seen, *, yes: bool) -> tuple[str, ...]:
    """The commands with every word in capitals known: from its list, or else from whoever sits here."""
    given = {}
    for word in seen.plan.missing:
        line = next(command for command in seen.plan.commands if word in mending.placeholders(command))
        try:
            value = mending.first_of_list(word, mending.output_of, line)
        except MendingError as error:
            stop(str(error))
        if value is None and (yes or word in mending.LISTS):
            listed = f"; `agentgauge {mending.LISTS[word][0]}` lists none" if word in mending.LISTS else ""
            stop(f"what is {word} in {line!r}{listed}? Give --label {word.lower()}=VALUE", status=1)
        given[word] = value or typer.prompt(word)
        say(f"    {word}: {printable(given[word])}")
    return tuple(mending.filled(command, given) for command in seen.plan.commands)


def _record(app: AgentApp, seen: Seen, commands: Sequence[str], by: str) -> None:
    """Write into the log of operations what was run; a ledger that is away does not stop the mending."""
    from sqlalchemy.exc import SQLAlchemyError

    from agentgauge.ledger import LedgerError
    from agentgauge.ops.operations import Operations

    assert seen.diagnosis.mitigation is not None  # noqa: S101  # or there would be no commands
    why = f"runbook of {seen.diagnosis.alert}, mitigation {seen.diagnosis.mitigation.number}"
    try:
        with opened_ledger(app) as ledger:
            for command in commands:
                if mending.effect(command) == "changes":
                    Operations(ledger, app.name).add("incident", {"alert": seen.alert, "command": command}, by, why)
    except (LedgerError, SQLAlchemyError) as error:
        warn(f"warning: the ledger did not take what was run: {getattr(error, 'orig', None) or error}")


def _watched(seen: Seen, patience: float) -> float | None:
    """Seconds until the alert no longer fires, or None; ends when somebody has seen enough (Ctrl-C)."""
    assert seen.firing is not None  # noqa: S101  # what does not fire is not mended
    labels = seen.firing.labels

    def ask(query: str) -> tuple[Row, ...]:
        return tuple(Row(one.labels, one.points[0][1]) for one in seen.prometheus.instant(query))

    def waiting(seconds: float) -> None:
        say(f"still firing after {words.age(seconds)}")

    say("watching; Ctrl-C ends it")
    try:
        return watch(lambda: bool(firing(seen.alert, labels, ask)), patience, waiting)
    except KeyboardInterrupt:
        return None


def _write(incident: Incident, app: AgentApp | None, file: Path | None) -> None:
    log = [] if app is None else _log(app, incident)
    if file is None:
        folder = _state(app)
        if folder is None:
            return
        file = folder / "incidents" / f"{incident.seen.at:%Y-%m-%dT%H%M}-{incident.seen.alert}.md"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(postmortem.draft(incident, log), encoding="utf-8")
    except OSError as error:
        warn(f"warning: {file} cannot be written: {error.strerror or error}")
    else:
        say(f"post-mortem: {file}")


def _state(app: AgentApp | None) -> Path | None:
    try:
        return (app or agent()).state
    except AppError:
        return None


def _log(app: AgentApp, incident: Incident) -> list[LogEntry]:
    from sqlalchemy.exc import SQLAlchemyError

    from agentgauge.ledger import LedgerError
    from agentgauge.ops.log import entries

    since = (incident.seen.firing and incident.seen.firing.since) or incident.seen.at
    ours = f"{incident.seen.alert}: ran "
    try:
        with opened_ledger(app) as ledger:
            return [
                one
                for one in entries(ledger, app.name)
                if one.at >= since - LOG_BEFORE and not one.what.startswith(ours)
            ]
    except (LedgerError, SQLAlchemyError):
        return []
