"""Pictures of the preview: for the README, and to review a change by looking at it before and after."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlencode

from playwright.sync_api import Browser, Error, Page, sync_playwright

THEMES = ("light", "dark")
WIDTH, FIRST_HEIGHT = 1400, 900
DRAWN_SECONDS = 120
"""How long a dashboard may take: some hundred queries, on a machine that is busy with other things."""
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


class PictureError(Exception):
    """No picture can be taken; the message says why."""


@contextmanager
def browser(program: str | None = None, environment: Mapping[str, str] = MappingProxyType({})) -> Iterator[Browser]:
    """A headless Chromium: ``program``, or the one on PATH; ``environment`` is added to that of this process.

    PictureError if there is none.
    """
    executable = program or next(filter(None, map(shutil.which, PROGRAMS)), None)
    if executable is None:
        raise PictureError("there is no Chromium on PATH; on Debian and Ubuntu: apt-get install chromium")
    env: dict[str, str | float | bool] = {**os.environ, **environment}
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=executable, args=FLAGS, env=env)
        try:
            yield started
        finally:
            started.close()


def open_dashboard(page: Page, url: str, uid: str, **query: str) -> None:
    """Open a dashboard of the preview at ``url`` and wait until every panel is drawn, the page as high as all of them.

    PictureError if that is not a preview, or it does not finish.
    """
    address = f"{url.rstrip('/')}/d/{uid}?{urlencode(query)}"
    page.set_viewport_size({"width": WIDTH, "height": FIRST_HEIGHT})
    try:
        page.goto(address)
        if page.locator("main[data-refresh]").count() == 0:
            raise PictureError(f"{address} is not a dashboard of the preview; `python -m stack preview` starts it")
        page.wait_for_selector("main[data-drawn]", state="attached", timeout=DRAWN_SECONDS * 1000)
        height = page.evaluate("document.documentElement.scrollHeight")
        page.set_viewport_size({"width": WIDTH, "height": height})
        page.evaluate("() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))")
    except Error as error:
        raise PictureError(f"{address} is not drawn: {error.message.splitlines()[0]}") from None


def take(
    browser: Browser, url: str, uids: Iterable[str], folder: Path, *, height: int | None = None, **query: str
) -> list[Path]:
    """Save a PNG of each dashboard in each theme, such as ``overview-dark.png``, cut at ``height`` pixels if given."""
    folder.mkdir(parents=True, exist_ok=True)
    taken = []
    page = browser.new_page()
    for uid in uids:
        for theme in THEMES:
            open_dashboard(page, url, uid, theme=theme, **query)
            if height:
                page.set_viewport_size({"width": WIDTH, "height": height})
            path = folder / f"{uid.removeprefix('agentgauge-')}-{theme}.png"
            page.screenshot(path=path)
            taken.append(path)
    page.close()
    return taken
