"""Every dashboard there is, and the folder of their committed JSON, which Grafana and the preview read."""

from __future__ import annotations

from pathlib import Path

from dashboards.agent import AGENT
from dashboards.autonomy import AUTONOMY
from dashboards.cost import COST
from dashboards.evaluations import EVALUATIONS
from dashboards.overview import OVERVIEW
from dashboards.stack import STACK
from dashboards.tools import TOOLS
from dashboards.users import USERS
from dashboards.value import VALUE

GENERATED = Path(__file__).with_name("generated")

DASHBOARDS = {
    "overview.json": OVERVIEW,
    "tools.json": TOOLS,
    "agent.json": AGENT,
    "cost.json": COST,
    "users.json": USERS,
    "evaluations.json": EVALUATIONS,
    "autonomy.json": AUTONOMY,
    "value.json": VALUE,
    "stack.json": STACK,
}
"""File name → dashboard."""
