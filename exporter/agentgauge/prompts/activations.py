"""Which version of an agent's prompts is in force, every one that was, and what people made of its proposals."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, func, select

from agentgauge.autonomy.actions import TrackRecord
from agentgauge.ledger.schema import ACTIONS, PROMPT_ACTIVATIONS
from agentgauge.ledger.store import Ledger

CLOCK_STEP_SECONDS = 1e-6


@dataclass(frozen=True)
class Activation:
    """A version put in force; ``at`` is UTC."""

    version: str
    by: str
    reason: str
    at: datetime


class NothingBeforeError(LookupError):
    """There is no version to roll back to."""


class PromptActivations:
    """The prompt versions of one agent, as activated. Methods raise SQLAlchemyError when the database cannot."""

    def __init__(self, ledger: Ledger, agent: str) -> None:
        self._ledger = ledger
        self._agent = agent

    def history(self) -> list[Activation]:
        """Every activation, oldest first; the last one is in force."""
        with self._ledger.reading() as connection:
            return self._history(connection)

    def active(self) -> Activation | None:
        """The one in force; None before the first."""
        history = self.history()
        return history[-1] if history else None

    def start_with(self, version: str) -> Activation:
        """The one in force; if there never was one, ``version`` is from now on."""
        with self._ledger.writing() as connection:
            history = self._history(connection)
            return history[-1] if history else self._add(connection, history, version, "the agent", "first start")

    def activate(self, version: str, by: str, reason: str) -> Activation:
        """Put a version in force on all replicas; if it is already, nothing changes and the old activation returns."""
        with self._ledger.writing() as connection:
            history = self._history(connection)
            if history and history[-1].version == version:
                return history[-1]
            return self._add(connection, history, version, by, reason)

    def before(self, older: str | None = None) -> str:
        """The version that the present one replaced when it was first activated.

        ``older`` is the answer where the ledger knows none, as after a first start; NothingBeforeError without it.
        """
        return _before(self.history(), older)

    def rollback(self, by: str, reason: str, older: str | None = None) -> Activation:
        """Put the version of ``before`` in force: a second rollback goes one further back, not forth again."""
        with self._ledger.writing() as connection:
            history = self._history(connection)
            target = _before(history, older)
            if target == older and all(one.version != older for one in history):
                # It was in force before this ledger began; without that, the next rollback would go forth again.
                at = history[0].at.timestamp() - CLOCK_STEP_SECONDS
                self._insert(connection, at, target, "the agent", "older than this ledger")
            return self._add(connection, history, target, by, reason)

    def track_records(self, since: datetime) -> dict[str, TrackRecord]:
        """What people decided from then on, by the version that had proposed it."""
        counting = (
            select(ACTIONS.c.prompt_version, ACTIONS.c.decision, func.count().label("number"))
            .where(ACTIONS.c.agent == self._agent, ACTIONS.c.decided_at >= since.timestamp())
            .where(ACTIONS.c.decision.is_not(None))
            .group_by(ACTIONS.c.prompt_version, ACTIONS.c.decision)
        )
        counts: dict[str, dict[str, int]] = {}
        with self._ledger.reading() as connection:
            for row in connection.execute(counting):
                counts.setdefault(row.prompt_version, {})[row.decision] = row.number
        return {version: TrackRecord(**counts[version]) for version in sorted(counts)}

    def _history(self, connection: Connection) -> list[Activation]:
        own = select(PROMPT_ACTIVATIONS).where(PROMPT_ACTIVATIONS.c.agent == self._agent)
        rows = connection.execute(own.order_by(PROMPT_ACTIVATIONS.c.at, PROMPT_ACTIVATIONS.c.id))
        return [
            Activation(row.version, row.activated_by, row.reason, datetime.fromtimestamp(row.at, UTC)) for row in rows
        ]

    def _add(self, connection: Connection, history: list[Activation], version: str, by: str, reason: str) -> Activation:
        at = self._ledger.now().timestamp()
        if history:
            # The clocks of two hosts differ; whoever comes later is later.
            at = max(at, history[-1].at.timestamp() + CLOCK_STEP_SECONDS)
        return self._insert(connection, at, version, by, reason)

    def _insert(self, connection: Connection, at: float, version: str, by: str, reason: str) -> Activation:
        row = {
            "id": uuid.uuid4().hex,
            "agent": self._agent,
            "at": at,
            "version": version,
            "activated_by": by,
            "reason": reason,
        }
        connection.execute(PROMPT_ACTIVATIONS.insert(), row)
        return Activation(version, by, reason, datetime.fromtimestamp(at, UTC))


def _before(history: list[Activation], older: str | None) -> str:
    versions = [activation.version for activation in history]
    if not versions:
        raise NothingBeforeError("no prompt version was ever activated")
    first = versions.index(versions[-1])
    if first == 0 and older is not None:
        return older
    if first == 0:
        raise NothingBeforeError(f"no prompt version was in force before {versions[-1]}")
    return versions[first - 1]
