"""How `agentgauge incident` mends: asks, runs the runbook's command, records who did, waits, writes the post-mortem."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from agentgauge.agent_app import AppError
from agentgauge.cli.common import agent, say, stop, warn
from agentgauge.incident import acting, mending, postmortem, words
from agentgauge.incident.looking import still_fires
from agentgauge.incident.mending import MendingError
from agentgauge.incident.postmortem import Incident
from agentgauge.incident.seen import Seen
from agentgauge.incident.terminal import printable
from agentgauge.incident.watching import watch

if TYPE_CHECKING:
    from agentgauge.agent_app import AgentApp


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
        if app is not None and (problem := acting.record(app, seen, [command for _, command in done], by)):
            warn(f"warning: {problem}")
    seconds = _watched(seen, patience)
    say(f"mended after {words.age(seconds)}" if seconds is not None else "not mended: it still fires")
    incident = Incident(seen, by, began, done, seconds)
    _write(incident, app, file)
    return seconds is not None


def _app_of(seen: Seen) -> AgentApp:
    """The agent that the commands reach, which has to be the one of the alert."""
    app = agent()
    try:
        acting.check_is_of(app, seen)
    except MendingError as error:
        stop(str(error))
    return app


def _filled(seen: Seen, *, yes: bool) -> tuple[str, ...]:
    """The commands with every word in capitals known: from its list, or else from whoever sits here."""
    given = {}
    for word in seen.plan.missing:
        try:
            value = acting.listed(seen, word)
        except MendingError as error:
            stop(str(error), status=1)
        if value is None and yes:
            line = next(command for command in seen.plan.commands if word in mending.placeholders(command))
            stop(f"what is {word} in {line!r}? Give --label {word.lower()}=VALUE", status=1)
        given[word] = value or typer.prompt(word)
        say(f"    {word}: {printable(given[word])}")
    return tuple(mending.filled(command, given) for command in seen.plan.commands)


def _watched(seen: Seen, patience: float) -> float | None:
    """Seconds until the alert no longer fires, or None; ends when somebody has seen enough (Ctrl-C)."""

    def waiting(seconds: float) -> None:
        say(f"still firing after {words.age(seconds)}")

    say("watching; Ctrl-C ends it")
    try:
        return watch(lambda: still_fires(seen), patience, waiting)
    except KeyboardInterrupt:
        return None


def _write(incident: Incident, app: AgentApp | None, file: Path | None) -> None:
    log = [] if app is None else acting.log_around(app, incident.seen)
    if file is None:
        folder = _state(app)
        if folder is None:
            return
        file = folder / "incidents" / postmortem.file_name(incident.seen)
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
