"""The preview in a real Chromium, on a history in the real Prometheus: everything is there and nothing is cut off."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page
from typer.testing import CliRunner

from agentgauge.ops.prometheus import Prometheus
from alerts import catalog, links
from dashboards.catalog import GENERATED as FOLDER
from sample_agent.serving import serving
from stack.__main__ import app
from stack.layout import HOME
from stack.preview import pictures
from stack.preview.app import create_app
from tests import axe, chromium
from tests.dashboards import history
from tests.dashboards.boards import GENERATED

pytestmark = pytest.mark.browser

HOURS = 6
SAVED = HOME / "pictures"
"""Where the last pictures of the tests are, to be looked at."""

FAULTS = """
() => [...document.querySelectorAll(".panel")].flatMap((panel) => {
  const title = panel.querySelector(".title");
  const faults = [];
  const fits = (part, what) => {
    if (part.scrollWidth > part.clientWidth + 1) faults.push(`${what} is cut at the side`);
    if (part.scrollHeight > part.clientHeight + 1) faults.push(`${what} is cut below`);
  };
  const inside = (part, whole, what) => {
    const [a, b] = [part.getBoundingClientRect(), whole.getBoundingClientRect()];
    if (a.left < b.left - 1 || a.right > b.right + 1 || a.top < b.top - 1 || a.bottom > b.bottom + 1)
      faults.push(`${what} sticks out`);
  };
  fits(title, "title");
  const [message, value, table, plot, legend] = [".message", ".value", "table", ".plot", ".legend"]
    .map((name) => panel.querySelector(name));
  if (message) faults.push(message.textContent);
  for (const one of panel.querySelectorAll(".value")) inside(one, panel.querySelector(".content"), one.textContent);
  for (const one of panel.querySelectorAll(".several .value")) fits(one, one.textContent);
  if (table && !table.tBodies[0].rows.length) faults.push("no rows");
  if (table && table.scrollWidth > table.parentElement.clientWidth) faults.push("table is cut at the side");
  if (plot && !plot.querySelector(".js-line, .barlayer path, .heatmaplayer image")) faults.push("no data drawn");
  for (const text of plot?.querySelectorAll("text") ?? []) inside(text, plot, `“${text.textContent}”`);
  if (legend) fits(legend, "legend");
  if (!message && !value && !table && !plot) faults.push("nothing drawn");
  return faults.map((fault) => `${title.textContent}: ${fault}`);
})
"""
"""What is wrong on a page, by the title of the panel."""


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory, programs: dict[str, Path]) -> Iterator[str]:
    """The URL of a Prometheus that holds some hours of everything, up to now."""
    with history.served(programs, tmp_path_factory.mktemp("history"), time.time() // 60 * 60) as url:
        yield url


@pytest.fixture(scope="module")
def preview(prometheus: str) -> Iterator[str]:
    """The URL of the preview."""
    with serving(create_app(FOLDER, Prometheus(prometheus))) as url:
        yield url


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium."""
    with pictures.browser(*chromium.program(HOME)) as started:
        yield started


@pytest.fixture(scope="module")
def context(browser: Browser) -> Iterator[BrowserContext]:
    """One cache for all pages."""
    with browser.new_context() as opened:
        yield opened


@pytest.fixture
def page(context: BrowserContext, preview: str) -> Iterator[Page]:
    """A page on which any error, and any request to somewhere else, fails the test."""
    opened = context.new_page()
    wrong: list[str] = []
    opened.on("console", lambda said: wrong.append(said.text) if said.type in ("error", "warning") else None)
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("response", lambda answer: wrong.append(answer.url) if answer.status >= 400 else None)
    opened.on("request", lambda request: None if request.url.startswith(preview) else wrong.append(request.url))
    yield opened
    opened.close()
    assert [one for one in wrong if not one.startswith("data:")] == []


def last_hours() -> dict[str, str]:
    """The part of the history that has data for every rate, as the URL says it."""
    return {"from": f"now-{HOURS}h", "to": "now"}


@pytest.mark.parametrize("theme", pictures.THEMES)
@pytest.mark.parametrize("uid", GENERATED)
def test_every_panel_is_drawn_with_data_and_nothing_is_cut_off(page: Page, preview: str, uid: str, theme: str) -> None:
    """In light and dark; the pictures stay, to be looked at."""
    pictures.open_dashboard(page, preview, uid, theme=theme, **last_hours())
    SAVED.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SAVED / f"{uid}-{theme}.png")
    assert page.evaluate(FAULTS) == []
    assert page.locator(".panel").count() == sum(panel["type"] != "row" for panel in GENERATED[uid]["panels"])
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert axe.serious(page) == []


@pytest.mark.parametrize("name", ["AgentExporterDown", "AgentToolSuccessRateLow", "AgentUserDailyCostHigh"])
def test_the_panel_that_a_page_links_to_is_drawn_alone(page: Page, preview: str, name: str) -> None:
    """A number, lines and a table: as large as the window, with the runbook in its corner."""
    ref = catalog.by_name(name).panel
    pictures.open_dashboard(page, preview, ref.dashboard, viewPanel=f"panel-{ref.panel_id}", **last_hours())
    assert page.evaluate(FAULTS) == []
    assert page.locator(".panel").count() == 1
    assert page.locator(f".runbook[href$='/{name}/']").is_visible()


def test_themes_differ_and_the_button_changes_between_them(page: Page, preview: str) -> None:
    """Text is dark on light, or light on dark."""
    background = "getComputedStyle(document.body).backgroundColor"
    pictures.open_dashboard(page, preview, links.TOOLS, theme="light", viewPanel="panel-1", **last_hours())
    light = page.evaluate(background)
    with page.expect_navigation():
        page.click("#theme")
    assert "theme=dark" in page.url
    assert page.evaluate(background) != light
    page.wait_for_selector("main[data-drawn]", state="attached")


def test_two_clicks_lead_from_a_red_number_to_the_alerts_panel(page: Page, preview: str) -> None:
    """Overview, Evaluations, then the panel with its runbook; the time range comes along."""
    pictures.open_dashboard(page, preview, links.OVERVIEW, **last_hours())
    page.click(".panel:has(.title:text-is('Scenarios passed')) .value")
    page.click(".panel.timeseries .title:text-is('Scenarios passed')")
    page.wait_for_selector("main.single[data-drawn]", state="attached")
    assert page.locator(".panel").count() == 1
    assert f"from=now-{HOURS}h" in page.url


def test_marks_say_what_they_are_and_can_be_hidden(page: Page, preview: str) -> None:
    """Alerts, deploys and generated history are in the charts until their box is cleared."""
    pictures.open_dashboard(page, preview, links.AGENT, viewPanel="panel-106", **last_hours())
    marks = page.locator(".annotation-text:has-text('▲')")
    everything = marks.count()
    page.click("[data-mark='Deploys']")
    page.wait_for_function("(before) => document.querySelectorAll('.annotation-text').length < before", arg=everything)
    assert 0 < marks.count() < everything


def test_pictures_are_saved_in_both_themes_as_high_as_asked(browser: Browser, preview: str, tmp_path: Path) -> None:
    """What the README shows is taken by this."""
    taken = pictures.take(browser, preview, [links.EVALUATIONS], tmp_path, height=700, **last_hours())
    assert [path.name for path in taken] == ["evaluations-light.png", "evaluations-dark.png"]
    for path in taken:
        header = path.read_bytes()[:24]
        assert (int.from_bytes(header[16:20]), int.from_bytes(header[20:24])) == (pictures.WIDTH, 700)


def test_where_there_is_no_preview_no_picture_is_taken(browser: Browser, prometheus: str, tmp_path: Path) -> None:
    """Something else that answers is told from a preview."""
    with pytest.raises(pictures.PictureError, match="is not a dashboard of the preview"):
        pictures.take(browser, f"{prometheus}/nothing", [links.OVERVIEW], tmp_path)


def test_the_cost_of_every_dashboard_is_measured(prometheus: str) -> None:
    """A line for each, with as many queries as its panels have."""
    result = CliRunner().invoke(app, ["cost", "--prometheus", prometheus, "--since", f"now-{HOURS}h", "--rounds", "1"])
    assert result.exit_code == 0, result.output
    for dashboard in GENERATED.values():
        queries = sum(len(panel.get("targets", ())) for panel in dashboard["panels"])
        # In the first column: the last one names the slowest panel, whose title may have that of a dashboard in it.
        assert f"│ {dashboard['title'].split()[-1]} │ {queries} │" in " ".join(result.output.split())
