"""axe in a real browser: what keeps people from using a page."""

from __future__ import annotations

from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]  # it ships no types
from playwright.sync_api import Page


def serious(page: Page) -> list[str]:
    """What axe calls serious or critical, one line for each element; the rule is its first word."""
    return [
        f"{rule['id']}: {node['html'][:120]}: {node['failureSummary'].splitlines()[-1].strip()}"
        for rule in Axe().run(page).response["violations"]
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
    ]
