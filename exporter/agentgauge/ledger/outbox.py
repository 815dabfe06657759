"""Measurements on their way to /metrics: what a command, a web page or another replica did, shown once by the agent.

Whoever commits a decision puts what it measures into the same transaction; the agent's ledger thread takes it out and
counts it. So a decision made while no agent runs is counted when one does, and none is counted twice. An agent that
dies in the moment between taking and counting loses the count, never the decision.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import Connection, delete, select

from agentgauge import metrics
from agentgauge.ledger.schema import OUTBOX
from agentgauge.ledger.store import Ledger
from agentgauge.metrics import MetricSpec

if TYPE_CHECKING:  # a command that only puts something in does without Prometheus' client
    from agentgauge.instruments import Instruments


@dataclass(frozen=True)
class Measurement:
    """An increase of a counter, or an observation of a histogram; ``labels`` as in the spec, without ``agent``."""

    spec: MetricSpec
    labels: tuple[str, ...]
    value: float = 1.0


def put(connection: Connection, agent: str, *measurements: Measurement) -> None:
    """Add measurements within the caller's transaction."""
    rows = [
        {
            "id": uuid.uuid4().hex,
            "agent": agent,
            "metric": one.spec.name,
            "labels": json.dumps(one.labels),
            "value": one.value,
        }
        for one in measurements
    ]
    if rows:
        connection.execute(OUTBOX.insert(), rows)


def take(ledger: Ledger, agent: str) -> list[Measurement]:
    """Take out what waits for this agent; of several replicas, each measurement goes to one."""
    waiting = select(OUTBOX.c.id).where(OUTBOX.c.agent == agent).limit(1)
    with ledger.reading() as connection:
        if connection.execute(waiting).first() is None:
            return []
    taking = delete(OUTBOX).where(OUTBOX.c.agent == agent).returning(OUTBOX.c.metric, OUTBOX.c.labels, OUTBOX.c.value)
    with ledger.writing() as connection:
        rows = connection.execute(taking).all()
    return [Measurement(metrics.by_name(row.metric), tuple(json.loads(row.labels)), row.value) for row in rows]


class OutboxCounts:
    """Counts what waits for one agent on its instruments."""

    def __init__(self, ledger: Ledger, agent: str, instruments: Instruments) -> None:
        self._ledger = ledger
        self._agent = agent
        self._instruments = instruments

    def refresh(self) -> None:
        """Take and count; raises what the database raises."""
        for one in take(self._ledger, self._agent):
            if one.spec.kind == "histogram":
                self._instruments.histogram(one.spec, *one.labels).observe(one.value)
            else:
                self._instruments.counter(one.spec, *one.labels).inc(one.value)
