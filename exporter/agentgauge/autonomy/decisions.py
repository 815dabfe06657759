"""What people decided, in the order in which they did: the log that `agentgauge approvals verify` checks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Row, select

from agentgauge.autonomy.effects import seal
from agentgauge.ledger import decision_chain
from agentgauge.ledger.schema import ACTIONS, DECISIONS
from agentgauge.ledger.store import Ledger
from agentgauge.vocabulary import DECISIONS as DECISION_KINDS

AGREED = "agreed"
"""Of the first of two people whom the policy wants: it decides nothing yet."""
AUDITED, SETTLED = "audited", "settled"
"""Of a verdict on what ran unasked, and of what somebody found out about an action without an end."""

_CHECKED = tuple(
    ACTIONS.c[name]
    for name in (
        "id", "tool", "risk", "arguments", "effect", "at", "own", "decision", "decided_at", "decided_by",
        "decided_arguments", "decided_effect", "reason", "verdict", "audited_by", "happened", "settled_at",
        "settled_by", "settled_why",
    )
)  # fmt: skip  # all but the conversation, which is long, in a few lines
_CALLED = {
    "tool": "its tool",
    "risk": "its risk",
    "seal": "what was proposed",
    "proposed_at": "when it was proposed",
    "final": "what was decided on",
    "reason": "the reason",
    "verdict": "the verdict",
    "happened": "whether it happened",
    "why": "how somebody knows",
}
"""What the log says of an action → what people call that."""


@dataclass(frozen=True)
class Head:
    """The newest row: who keeps it elsewhere finds out later whether everything before it was rewritten."""

    number: int
    hash: str

    def __str__(self) -> str:
        return f"{self.number}:{self.hash}"


@dataclass(frozen=True)
class Verified:
    """What a check of the log came to: how many rows, the newest, and what is wrong, a sentence each."""

    rows: int
    head: Head | None
    problems: tuple[str, ...]


class Decisions:
    """The log of one agent. Methods work at once and raise SQLAlchemyError when the database cannot."""

    def __init__(self, ledger: Ledger, agent: str) -> None:
        self._ledger = ledger
        self._agent = agent

    def verify(self, kept: Head | None = None) -> Verified:
        """Check the chain, and every decided action against it; with ``kept``, that this row is still the same."""
        with self._ledger.reading() as connection:
            own = select(DECISIONS).where(DECISIONS.c.agent == self._agent).order_by(DECISIONS.c.number)
            rows = connection.execute(own).all()
            problems = [*decision_chain.breaks(rows), *self._misfits(connection, rows)]
        if kept is not None:
            problems += _differs(kept, rows)
        head = Head(rows[-1].number, rows[-1].hash) if rows else None
        return Verified(len(rows), head, tuple(problems))

    def _misfits(self, connection: Connection, rows: Sequence[Row[Any]]) -> Iterator[str]:
        """Actions that are not as the log says, and those of the log that are gone."""
        own = select(*_CHECKED).where(ACTIONS.c.agent == self._agent)
        known = {action.id: action for action in connection.execute(own)}
        decided = {row.action_id for row in rows if row.kind in DECISION_KINDS}
        for action in known.values():
            if action.decision is not None and action.id not in decided and _was_logged(action, rows):
                yield f"action {action.id} ({action.tool}) is {action.decision}, and the log has no such decision"
        oldest = (self._ledger.now() - timedelta(days=self._ledger.retention_days)).timestamp()
        for row in rows:
            if row.kind not in (*DECISION_KINDS, AUDITED, SETTLED):
                continue
            if row.action_id in known:
                yield from _misfit(known[row.action_id], row)
            elif json.loads(row.content)["proposed_at"] >= oldest:
                yield f"action {row.action_id}, which decision {row.number} is about, is missing"


def _was_logged(action: Row[Any], rows: Sequence[Row[Any]]) -> bool:
    """Whether an action was decided since there is a log; an older agentgauge kept none, and no ``own``."""
    if action.own is not None or action.decided_at is None:
        return True
    return bool(rows) and action.decided_at >= rows[0].at


def _misfit(action: Row[Any], row: Row[Any]) -> Iterator[str]:
    """What an action says otherwise than the row of the log that is about it."""
    who = f"action {action.id} ({action.tool})"
    kind, person = {
        AUDITED: (AUDITED if action.verdict else None, action.audited_by),
        SETTLED: (SETTLED if action.settled_at else None, action.settled_by),
    }.get(row.kind, (action.decision, action.decided_by))
    if (kind, person) != (row.kind, row.person):
        yield f"{who} says {kind} by {person}, and decision {row.number} says {row.kind} by {row.person}"
    arguments, effect = action.arguments, action.effect
    if action.decided_arguments is not None:
        arguments, effect = action.decided_arguments, action.decided_effect
    now = {
        "tool": action.tool,
        "risk": action.risk,
        "seal": _sealed(action.tool, action.arguments, action.effect),
        "proposed_at": action.at,
        "final": _sealed(action.tool, arguments, effect),
        "reason": action.reason,
        "verdict": action.verdict,
        "happened": None if action.happened is None else bool(action.happened),
        "why": action.settled_why,
    }
    said = json.loads(row.content)
    changed = [words for name, words in _CALLED.items() if name in said and now[name] != said[name]]
    if changed:
        yield f"{who} was changed after decision {row.number}: {', '.join(changed)}"


def _sealed(tool: str, arguments: str, effect: str | None) -> str:
    return seal(tool, json.loads(arguments), None if effect is None else json.loads(effect))


def agreed(connection: Connection, agent: str, action_id: str, seal: str) -> list[str]:
    """Who has agreed to an action so far, as it was sealed."""
    of_action = select(DECISIONS.c.person, DECISIONS.c.content).where(
        DECISIONS.c.agent == agent, DECISIONS.c.action_id == action_id, DECISIONS.c.kind == AGREED
    )
    return [row.person for row in connection.execute(of_action) if json.loads(row.content)["seal"] == seal]


def _differs(kept: Head, rows: Sequence[Row[Any]]) -> list[str]:
    by_number = {row.number: row for row in rows}
    if kept.number not in by_number:
        if rows and kept.number < rows[0].number:
            return [f"decision {kept.number} is older than what is kept, so it cannot be compared"]
        return [f"decision {kept.number} is missing, which was there when its hash was written down"]
    if by_number[kept.number].hash != kept.hash:
        return [f"decision {kept.number} is another one than when its hash was written down"]
    return []
