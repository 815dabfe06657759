"""The log of decisions: rows that are only ever added, each with the hash of the one before.

Who changes a row afterwards, or takes one out, breaks the chain at that row. Who rewrites all that follows as well is
found out by the head, a number and a hash that somebody keeps elsewhere. Retention takes whole rows from the beginning,
and adds one that says where the chain goes on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, Row, delete, func, select, text

from agentgauge.ledger.schema import DECISIONS

CHECKPOINT = "checkpoint"
RETENTION = "retention"
BEGINNING = "0" * 64
"""What the first row of all has in the place of a hash."""

CHAIN_LOCK = 0x61676463
"""The advisory lock of PostgreSQL under which one process adds to a chain; an arbitrary number."""


def alone(connection: Connection, agent: str) -> None:
    """Until the transaction commits, nobody else adds to the chain of this agent; SQLite has one writer anyway."""
    if connection.dialect.name == "postgresql":
        lock = text("SELECT pg_advisory_xact_lock(:lock, hashtext(:agent))")
        connection.execute(lock, {"lock": CHAIN_LOCK, "agent": agent})


def append(
    connection: Connection, agent: str, at: float, action_id: str, kind: str, person: str, content: Mapping[str, Any]
) -> None:
    """Add a row, as the last thing that a transaction waits for: until it commits, nobody else adds one."""
    alone(connection, agent)
    last = connection.execute(
        select(DECISIONS).where(DECISIONS.c.agent == agent).order_by(DECISIONS.c.number.desc()).limit(1)
    ).one_or_none()
    row = {
        "agent": agent,
        "number": 1 if last is None else last.number + 1,
        "at": at,
        "action_id": action_id,
        "kind": kind,
        "person": person,
        "content": json.dumps(content, sort_keys=True),
        "previous": BEGINNING if last is None else last.hash,
    }
    connection.execute(DECISIONS.insert(), {**row, "hash": _hash(row)})


def delete_expired(connection: Connection, agent: str, oldest: float, now: float) -> None:
    """Take out the rows from before ``oldest``, and say in a new one up to which number, and with which hash."""
    own = DECISIONS.c.agent == agent
    expired = connection.execute(
        select(func.max(DECISIONS.c.number)).where(own, DECISIONS.c.at < oldest)
    ).scalar_one_or_none()
    # What says where an earlier stretch ended is taken out with it, so one row of retention is not worth another.
    newest = connection.execute(select(func.max(DECISIONS.c.number)).where(own)).scalar_one_or_none()
    if expired is None or expired == newest:
        return
    last = connection.execute(select(DECISIONS).where(own, DECISIONS.c.number == expired)).one()
    append(connection, agent, now, "", CHECKPOINT, RETENTION, {"number": last.number, "hash": last.hash})
    connection.execute(delete(DECISIONS).where(own, DECISIONS.c.number <= expired))


def breaks(rows: Iterable[Row[Any]]) -> list[str]:
    """What is wrong with the rows of an agent, which come in their order: one sentence each, naming the row."""
    found: list[str] = []
    checkpoints: list[Mapping[str, Any]] = []
    first: Row[Any] | None = None
    before: Row[Any] | None = None
    for row in rows:
        first = first or row
        if row.hash != _hash(row._asdict()):
            found.append(f"decision {row.number} was changed: its hash does not fit what it says")
        if before is not None and row.number != before.number + 1:
            found.append(f"{_missing(before.number + 1, row.number - 1)} missing")
        elif before is not None and row.previous != before.hash:
            found.append(f"decision {row.number} does not follow decision {before.number}: one of them was replaced")
        if row.kind == CHECKPOINT:
            checkpoints.append(json.loads(row.content))
        before = row
    if first is not None:
        found += _break_before(first, checkpoints)
    return found


def _break_before(first: Row[Any], checkpoints: list[Mapping[str, Any]]) -> list[str]:
    """What is wrong with where the chain begins: at the first decision, or where retention says."""
    begins: Mapping[str, Any] = checkpoints[-1] if checkpoints else {"number": 0, "hash": BEGINNING}
    if first.number > begins["number"] + 1:
        return [f"{_missing(begins['number'] + 1, first.number - 1)} missing"]
    if first.number == begins["number"] + 1 and first.previous != begins["hash"]:
        return [f"decision {first.number} does not follow what was there before it"]
    return []


def _missing(first: int, last: int) -> str:
    return f"decision {first} is" if first == last else f"decisions {first} to {last} are"


def _hash(row: Mapping[str, Any]) -> str:
    """Of all that a row says, and of the row before it."""
    said = [row[name] for name in ("agent", "number", "at", "action_id", "kind", "person", "content", "previous")]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()
