"""What is known of an incident before anything is done about it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from agentgauge.incident.diagnosis import Diagnosis
from agentgauge.incident.impact import Firing, Impact
from agentgauge.incident.mending import Plan
from agentgauge.incident.place import Place


@dataclass(frozen=True)
class Seen:
    """An alert of an agent as it was at a time (UTC).

    ``firing`` is the one that has fired for longest, None if none does; ``others`` is how many more there are.
    ``plan`` is how the diagnosis mends it, ``place`` is where it was looked at.
    """

    alert: str
    agent: str
    at: datetime
    summary: str
    firing: Firing | None
    others: int
    impact: Impact
    diagnosis: Diagnosis
    plan: Plan
    place: Place
