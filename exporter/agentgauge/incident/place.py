"""Where an incident is looked at: a Prometheus, and what else its runbook depends on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from agentgauge.incident.conditions import Row
from agentgauge.incident.diagnosis import Ask
from agentgauge.incident.impact import Impact, impact
from agentgauge.incident.pages import faster
from agentgauge.ops.prometheus import Prometheus


@dataclass(frozen=True)
class Place:
    """Where to look. ``job`` is the agent's scrape job, None for that of its series; ``app`` is what commands name.

    ``speed`` is how much faster than real the clocks of a drill run.
    """

    prometheus: Prometheus
    thresholds: Path | None = None
    job: str | None = None
    app: str | None = None
    speed: float = 1

    def ask(self, at: datetime | None = None) -> Ask:
        """What asks Prometheus for the rows of a query at a time; now by default. It raises PrometheusError."""

        def rows(query: str) -> tuple[Row, ...]:
            answer = self.prometheus.instant(query, None if at is None else at.timestamp())
            return tuple(Row(series.labels, series.points[0][1]) for series in answer)

        return rows

    def impact(self, agent: str, at: datetime | None = None) -> Impact:
        """What users and the bill of an agent have of whatever is wrong; raises PrometheusError."""
        return impact(agent, self.ask(at), lambda query: faster(query, self.speed))
