"""What users thought of answers: thumbs by reason."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, select

from agentgauge.ledger.schema import FEEDBACK
from agentgauge.ledger.store import Ledger


def thumbs_since(ledger: Ledger, agent: str, since: datetime) -> dict[tuple[str, str], int]:
    """The number of thumbs since then, by rating and reason; raises SQLAlchemyError if the ledger cannot be read."""
    counting = (
        select(FEEDBACK.c.rating, FEEDBACK.c.reason, func.count().label("number"))
        .where(FEEDBACK.c.agent == agent, FEEDBACK.c.at >= since.timestamp())
        .group_by(FEEDBACK.c.rating, FEEDBACK.c.reason)
        .order_by(FEEDBACK.c.rating, FEEDBACK.c.reason)
    )
    with ledger.reading() as connection:
        return {(row.rating, row.reason): row.number for row in connection.execute(counting)}
