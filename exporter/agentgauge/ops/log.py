"""Everything that people did to an agent, and what its own rules did in their place: `ops log` shows it.

One fact stands in one place. Activations of prompts and changes of autonomy have their own tables, which keep every
change with who and why, so the log reads them there. Switches, throttles, dropped caches, ended sessions and the
commands of `agentgauge incident` have no such table: each is an operation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select

from agentgauge.ledger.schema import AUTONOMY_CHANGES, PROMPT_ACTIVATIONS
from agentgauge.ledger.store import Ledger
from agentgauge.ops.operations import Kind, Operations
from agentgauge.ops.switches import parse


@dataclass(frozen=True)
class LogEntry:
    """What was done, in words that name tools, models, sessions and pseudonyms, never users; ``at`` is UTC."""

    at: datetime
    by: str
    what: str
    why: str


def entries(ledger: Ledger, agent: str) -> list[LogEntry]:
    """All of them, oldest first. Raises SQLAlchemyError when the database does not answer."""
    operations = Operations(ledger, agent).all()
    done = [LogEntry(one.at, one.by, in_words(one.kind, one.detail), one.why) for one in operations]
    activations = select(PROMPT_ACTIVATIONS).where(PROMPT_ACTIVATIONS.c.agent == agent)
    changes = select(AUTONOMY_CHANGES).where(AUTONOMY_CHANGES.c.agent == agent)
    with ledger.reading() as connection:
        for row in connection.execute(activations):
            done.append(LogEntry(_time(row.at), row.activated_by, f"prompts: {row.version} in force", row.reason))
        for row in connection.execute(changes):
            what = f"autonomy: {_changed(row.subject, row.before, row.after)}"
            done.append(LogEntry(_time(row.at), row.changed_by, what, row.reason))
    return sorted(done, key=lambda entry: entry.at)


def in_words(kind: Kind, detail: Mapping[str, Any]) -> str:
    """What an operation did, as a line."""
    match kind:
        case "switches":
            try:
                return str(parse(detail))
            except ValueError:
                return "switches that this version of agentgauge does not know"
        case "cache_drop":
            return f"cache dropped: results of {detail['tool'] or 'all tools'}"
        case "end_session":
            return f"session {detail['session']} ended"
        case "throttle":
            state = "throttled" if detail["level"] == "throttle" else "stopped"
            return f"user {detail['user']} {state} until {detail['until'] or 'somebody lifts it'}"
        case "unthrottle":
            return f"user {detail['user']} let go"
        case "incident":
            return f"{detail['alert']}: ran {detail['command']}"
    return kind  # an operation of a newer version


def _changed(subject: str, before: str | None, after: str) -> str:
    is_document = after.startswith("{")  # the whole policy, which `agentgauge autonomy` shows
    return f"{subject} changed" if is_document else f"{subject} {before or 'unset'} → {after}"


def _time(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)
