"""What an alert and a recording rule are.

Holes in the templates: ``<window>``, ``<evidence>``, ``<threshold>`` (the number, in base units), ``<le>`` (the
threshold as a bucket boundary), ``<scatter>``, ``<z>``, ``<fast.window>``, ``<fast.z>`` and so on for each look of the
alert, and the metrics of ``agentgauge.metrics``. In descriptions ``<threshold>``, ``<evidence>`` and the windows are
written for people (95 %, 5 s, 5m).
"""

from __future__ import annotations

from dataclasses import dataclass

from agentgauge.metrics import MetricSpec
from alerts.links import PanelRef

SLOW_SHARE = 0.05
"""A p95 is above a limit exactly when more than 5 % of the calls are slower than it."""


@dataclass(frozen=True)
class Record:
    """A recording rule: a query that two consumers share, or the short memory of a long window.

    ``of`` is the alert whose windows the holes of ``expr`` are.
    """

    name: str
    expr: str
    area: str
    of: str = ""


@dataclass(frozen=True)
class Alert:
    """One alert. ``labels`` are those it carries besides ``severity``; ``panel`` shows the breach.

    ``fires_when`` is the condition in words, with the same holes as ``description``. ``boundary_of`` is the
    histogram whose bucket boundary the threshold must be. ``inhibits`` names the symptoms that this alert causes;
    they are muted while it fires, where ``inhibit_equal`` labels agree. ``baseline`` says in words what the rule
    compares with, where that is not a number of thresholds.yml.
    """

    name: str
    area: str
    summary: str
    fires_when: str
    expr: str
    description: str
    labels: tuple[str, ...]
    panel: PanelRef
    boundary_of: MetricSpec | None = None
    inhibits: tuple[str, ...] = ()
    inhibit_equal: tuple[str, ...] = ("agent",)
    baseline: str = ""
