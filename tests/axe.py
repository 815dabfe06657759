"""axe in a real browser: what keeps people from using a page."""

from __future__ import annotations

from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]  # it ships no types
from playwright.sync_api import Browser, Page


def serious(page: Page) -> list[str]:
    """What axe calls serious or critical, one line for each element; the rule is its first word."""
    return [
        f"{rule['id']}: {node['html'][:120]}: {node['failureSummary'].splitlines()[-1].strip()}"
        for rule in Axe().run(page).response["violations"]
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
    ]


def on_desk_and_phone(browser: Browser, url: str) -> None:
    """Nothing serious on a desk in the light, nor on a phone in the dark, where the page is as wide as the phone."""
    for scheme, width in (("light", 1280), ("dark", 360)):
        with browser.new_context(
            color_scheme="dark" if scheme == "dark" else "light", viewport={"width": width, "height": 1500}
        ) as context:
            page = context.new_page()
            page.goto(url)
            assert serious(page) == [], f"{url}, {scheme}"
            assert page.evaluate("document.documentElement.scrollWidth") <= width, f"{url}, {width} wide"
