"""Actions as rows of the ledger: how they are written, and read back."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, select

from agentgauge.autonomy.action import LEASE_SECONDS, Action, Proposal, Settlement
from agentgauge.autonomy.real_actions import RealAction
from agentgauge.ledger.schema import ACTIONS


def insert(connection: Connection, agent: str, now: datetime, proposals: Iterable[Proposal]) -> list[Action]:
    """Keep proposals, in their order, within the caller's transaction; what needs no decision counts as started."""
    actions = []
    for proposal in proposals:
        starts = proposal.disposition == "auto"
        expires = None if proposal.expires_in_seconds is None else now.timestamp() + proposal.expires_in_seconds
        row = {
            "id": uuid.uuid4().hex[:12],
            "agent": agent,
            "tool": proposal.tool,
            "risk": proposal.risk,
            "disposition": proposal.disposition,
            "arguments": json.dumps(proposal.arguments),
            "context": json.dumps(proposal.context),
            "session_id": proposal.session_id,
            "user_id": proposal.user_id,
            "version": proposal.version,
            "prompt_version": proposal.prompt_version,
            "model": proposal.model,
            "at": now.timestamp(),
            "expires_at": expires,
            "started_at": now.timestamp() if starts else None,
            "leased_until": now.timestamp() + LEASE_SECONDS if starts else None,
            "sampled": int(proposal.sampled),
            "effect": None if proposal.effect is None else json.dumps(proposal.effect),
            "result": None if proposal.simulated is None else json.dumps({"simulated": proposal.simulated.result}),
        }
        connection.execute(ACTIONS.insert(), row)
        inserted = connection.execute(select(ACTIONS).where(ACTIONS.c.id == row["id"])).one()
        actions.append(action_of(inserted))
    return actions


def with_ids(connection: Connection, agent: str, ids: Sequence[str]) -> tuple[Action, ...]:
    """The actions with these ids, in their order; one that was deleted is left out."""
    rows = connection.execute(select(ACTIONS).where(ACTIONS.c.agent == agent, ACTIONS.c.id.in_(ids)))
    by_id = {row.id: action_of(row) for row in rows}
    return tuple(by_id[one] for one in ids if one in by_id)


def logged(action: Action) -> dict[str, Any]:
    """What the log of decisions says of an action, whatever was decided."""
    proposal = action.proposal
    return {"tool": proposal.tool, "risk": proposal.risk, "seal": action.seal, "proposed_at": action.at.timestamp()}


def _settlement(row: Row[Any]) -> Settlement | None:
    if row.settled_at is None:
        return None
    return Settlement(bool(row.happened), datetime.fromtimestamp(row.settled_at, UTC), row.settled_by, row.settled_why)


def _real(row: Row[Any]) -> RealAction | None:
    if row.real_id is None:
        return None
    return RealAction(
        row.real_id, row.decided_by, datetime.fromtimestamp(row.real_at, UTC), json.loads(row.decided_effect)
    )


def action_of(row: Row[Any]) -> Action:
    """What a row says."""
    proposal = Proposal(
        tool=row.tool,
        risk=row.risk,
        disposition=row.disposition,
        arguments=json.loads(row.arguments),
        context=json.loads(row.context),
        session_id=row.session_id,
        user_id=row.user_id,
        version=row.version,
        prompt_version=row.prompt_version,
        model=row.model,
        expires_in_seconds=None if row.expires_at is None else row.expires_at - row.at,
        sampled=bool(row.sampled),
        effect=_decoded(row.effect),
    )
    return Action(
        id=row.id,
        proposal=proposal,
        at=datetime.fromtimestamp(row.at, UTC),
        expires_at=_utc(row.expires_at),
        decision=row.decision,
        decided_at=_utc(row.decided_at),
        decided_by=row.decided_by,
        decided_arguments=_decoded(row.decided_arguments),
        reason=row.reason,
        started_at=_utc(row.started_at),
        finished_at=_utc(row.finished_at),
        result=_decoded(row.result),
        shadow_match=row.shadow_match,
        verdict=row.verdict,
        leased_until=_utc(row.leased_until),
        settlement=_settlement(row),
        decided_effect=_decoded(row.decided_effect),
        real=_real(row),
        difference=row.difference,
    )


def _utc(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _decoded(document: str | None) -> Any:
    return None if document is None else json.loads(document)
