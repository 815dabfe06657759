"""Where the processes of an agent can be asked: each registers its address in the ledger and renews it."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, select

from agentgauge.ledger.schema import REPLICAS
from agentgauge.ledger.store import Ledger

STALE_AFTER = timedelta(seconds=30)
"""A replica that has not renewed its address for so long counts as gone."""


@dataclass(frozen=True)
class Replica:
    """One process of an agent: the URL under which it answers, and its certificate (PEM) if that is HTTPS."""

    id: str
    address: str
    version: str
    started_at: datetime
    certificate: str | None = None


class Replicas:
    """The processes of one agent. Methods work at once and raise SQLAlchemyError when the database cannot."""

    def __init__(self, ledger: Ledger, agent: str) -> None:
        self._ledger = ledger
        self._agent = agent

    def now(self) -> datetime:
        """The time it is for the ledger, in UTC."""
        return self._ledger.now()

    def renew(self, replica: Replica) -> None:
        """Say that this replica is there, and delete those that are stale."""
        now = self._ledger.now()
        content = {
            "address": replica.address,
            "certificate": replica.certificate,
            "version": replica.version,
            "started_at": replica.started_at.timestamp(),
            "seen_at": now.timestamp(),
        }
        key = {"agent": self._agent, "id": replica.id}
        inserting = self._ledger.upserting(REPLICAS).values(key | content)
        stale = REPLICAS.c.seen_at < (now - STALE_AFTER).timestamp()
        with self._ledger.writing() as connection:
            connection.execute(inserting.on_conflict_do_update(index_elements=list(key), set_=content))
            connection.execute(delete(REPLICAS).where(REPLICAS.c.agent == self._agent, stale))

    def remove(self, replica_id: str) -> None:
        """Say that a replica is gone."""
        own = (REPLICAS.c.agent == self._agent, REPLICAS.c.id == replica_id)
        with self._ledger.writing() as connection:
            connection.execute(delete(REPLICAS).where(*own))

    def live(self) -> list[Replica]:
        """Those that were seen in the last STALE_AFTER, by address."""
        since = (self._ledger.now() - STALE_AFTER).timestamp()
        own = select(REPLICAS).where(REPLICAS.c.agent == self._agent, REPLICAS.c.seen_at >= since)
        with self._ledger.reading() as connection:
            return [
                Replica(row.id, row.address, row.version, datetime.fromtimestamp(row.started_at, UTC), row.certificate)
                for row in connection.execute(own.order_by(REPLICAS.c.address, REPLICAS.c.id))
            ]

    def token(self, replica_id: str) -> str:
        """The token that a replica asks of whoever reads from it; only who can read the ledger can derive it."""
        secret = self._ledger.secret_for("control endpoint")
        return hmac.digest(secret, f"{self._agent}\n{replica_id}".encode(), "sha256").hex()
