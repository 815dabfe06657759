"""Runs the runbook's commands on the agent of an alert, and keeps in its log of operations who did."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from agentgauge.incident import mending
from agentgauge.incident.mending import MendingError
from agentgauge.incident.seen import Seen
from agentgauge.incident.terminal import printable

if TYPE_CHECKING:
    from agentgauge.agent_app import AgentApp
    from agentgauge.ops.log import LogEntry

LOG_BEFORE = timedelta(hours=1)
"""So much of the log of operations before the alert is in the post-mortem: what somebody did may have caused it."""


def check_is_of(app: AgentApp, seen: Seen) -> None:
    """Raise MendingError unless the commands would reach the agent of the alert."""
    if seen.agent not in (app.name, "unknown"):
        raise MendingError(
            f"the alert is about {printable(seen.agent)}, and the commands would reach {app.name}; say --app"
        )


def listed(seen: Seen, word: str) -> str | None:
    """What a missing word of the plan stands for: the first of its list; None if it has no list.

    Raises MendingError if the list is empty or cannot be had.
    """
    if word not in mending.LISTS:
        return None
    line = next(command for command in seen.plan.commands if word in mending.placeholders(command))
    value = mending.first_of_list(word, mending.output_of, line)
    if value is None:
        raise MendingError(
            f"what is {word} in {line!r}? `agentgauge {mending.LISTS[word][0]}` lists none; "
            f"give --label {word.lower()}=VALUE"
        )
    return value


def record(app: AgentApp, seen: Seen, commands: Sequence[str], by: str) -> str:
    """Write into the log of operations what was run; the result says why that failed, and is empty if it did not.

    A ledger that is away does not stop the mending.
    """
    from sqlalchemy.exc import SQLAlchemyError

    from agentgauge.ledger import LedgerError
    from agentgauge.ops.operations import Operations

    assert seen.diagnosis.mitigation is not None  # noqa: S101  # or there would be no commands
    why = f"runbook of {seen.diagnosis.alert}, mitigation {seen.diagnosis.mitigation.number}"
    try:
        ledger = app.open_ledger()
        try:
            for command in commands:
                if mending.effect(command) == "changes":
                    Operations(ledger, app.name).add("incident", {"alert": seen.alert, "command": command}, by, why)
        finally:
            ledger.close()
    except (LedgerError, SQLAlchemyError) as error:
        return f"the ledger did not take what was run: {getattr(error, 'orig', None) or error}"
    return ""


def log_around(app: AgentApp, seen: Seen) -> list[LogEntry]:
    """What people did to the agent since shortly before the alert, but for our own commands; [] without a ledger."""
    from sqlalchemy.exc import SQLAlchemyError

    from agentgauge.ledger import LedgerError
    from agentgauge.ops.log import entries

    since = (seen.firing and seen.firing.since) or seen.at
    ours = f"{seen.alert}: ran "
    try:
        ledger = app.open_ledger()
        try:
            done = entries(ledger, app.name)
        finally:
            ledger.close()
    except (LedgerError, SQLAlchemyError):
        return []
    return [one for one in done if one.at >= since - LOG_BEFORE and not one.what.startswith(ours)]
