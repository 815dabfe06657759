"""Write every dashboard as the JSON that Grafana and the preview read."""

from __future__ import annotations

import json
from pathlib import Path

from alerts import thresholds
from dashboards.agent import AGENT
from dashboards.autonomy import AUTONOMY
from dashboards.cost import COST
from dashboards.evaluations import EVALUATIONS
from dashboards.overview import OVERVIEW
from dashboards.panels import to_json
from dashboards.stack import STACK
from dashboards.tools import TOOLS
from dashboards.users import USERS

ROOT = Path(__file__).resolve().parent.parent
GENERATED = Path(__file__).with_name("generated")

DASHBOARDS = {
    "overview.json": OVERVIEW,
    "tools.json": TOOLS,
    "agent.json": AGENT,
    "cost.json": COST,
    "users.json": USERS,
    "evaluations.json": EVALUATIONS,
    "autonomy.json": AUTONOMY,
    "stack.json": STACK,
}
"""File name → dashboard."""


def generate(root: Path = ROOT) -> list[Path]:
    """Bring ``dashboards/generated`` under ``root`` up to date; returns the files that changed."""
    numbers = thresholds.load(root / "alerts" / "thresholds.yml")
    changed = []
    for name, dashboard in DASHBOARDS.items():
        path = root / "dashboards" / "generated" / name
        text = json.dumps(to_json(dashboard, numbers), indent=2, ensure_ascii=False) + "\n"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            changed.append(path)
    return changed
