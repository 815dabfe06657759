"""The generated dashboards as tests read them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from alerts.links import PanelRef
from dashboards import catalog as dashboards

GENERATED: dict[str, dict[str, Any]] = {
    dashboard["uid"]: dashboard
    for path in sorted(dashboards.GENERATED.glob("*.json"))
    for dashboard in [json.loads(path.read_text(encoding="utf-8"))]
}
"""uid → dashboard."""

PANELS = [
    (uid, panel) for uid, dashboard in GENERATED.items() for panel in dashboard["panels"] if panel["type"] != "row"
]
"""Every panel with the uid of its dashboard."""

EACH_PANEL = pytest.mark.parametrize(
    ("uid", "panel"), [pytest.param(uid, panel, id=f"{uid}-{panel['id']}") for uid, panel in PANELS]
)


def panel_of(ref: PanelRef) -> dict[str, Any]:
    """The generated panel that a reference means."""
    return next(panel for panel in GENERATED[ref.dashboard]["panels"] if panel["id"] == ref.panel_id)


def expressions(dashboard: dict[str, Any]) -> list[str]:
    """Every query of a dashboard: of its panels and of its annotations."""
    of_panels = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    return of_panels + [annotation["expr"] for annotation in dashboard["annotations"]["list"]]
