"""The generated panels drawn by Grafana's own published components, on answers of the real Prometheus.

What Grafana makes of a setting is not guessed: units, thresholds, mappings, overrides, transformations and legends are
applied by `@grafana/data` and `@grafana/ui`. Grafana's server, its data source and its layout have no part in it.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from playwright.sync_api import Page

from agentgauge.ops.prometheus import Prometheus
from alerts import links
from alerts.deployment import DEMO
from dashboards.style import AMBER, GREEN, GREY, LIMIT_DASH, RED
from stack.layout import HOME
from stack.preview import pictures
from stack.preview.query import Choices, TimeRange, run_panel
from tests import chromium
from tests.dashboards import history
from tests.dashboards.boards import GENERATED

pytestmark = pytest.mark.grafana

SOURCES = Path(__file__).parent
FOLDER = HOME / "grafana"
SAVED = HOME / "pictures"
"""Where the pictures are, to be looked at."""
DATA = "./node_modules/@grafana/data/dist/esm"
HOURS = 6
KINDS = ("stat", "timeseries", "table")
"""Those whose drawing Grafana publishes; heatmaps and state timelines are part of its server's pages alone."""
PATIENCE_SECONDS = 180

Fields = dict[str, list[dict[str, Any]]]
"""Panel id → what Grafana made of each of its fields."""


@pytest.fixture(scope="session")
def built() -> Path:
    """The page with Grafana's components in it, as the lock file has them."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not on PATH: Grafana's packages cannot be installed (Debian, Ubuntu: apt-get install npm)")
    FOLDER.mkdir(parents=True, exist_ok=True)
    wanted = (SOURCES / "package-lock.json").read_text(encoding="utf-8")
    installed = FOLDER / "installed.json"
    for name in ("package.json", "package-lock.json", "panels.jsx", "page.html"):
        shutil.copy(SOURCES / name, FOLDER)
    if not installed.exists() or installed.read_text(encoding="utf-8") != wanted:
        _run("npm", "ci", "--ignore-scripts", "--legacy-peer-deps", "--no-audit", "--no-fund", "--loglevel=error")
        installed.write_text(wanted, encoding="utf-8")
    _run(
        "node",
        "node_modules/esbuild/bin/esbuild",
        "panels.jsx",
        "--bundle",
        "--outfile=bundle.js",
        "--jsx=automatic",
        "--log-level=error",
        '--define:process.env.NODE_ENV="production"',
        # @grafana/ui brings an older @grafana/data, and two of them do not share a theme.
        f"--alias:@grafana/data/unstable={DATA}/unstable.mjs",
        f"--alias:@grafana/data={DATA}/index.mjs",
        "--loader:.svg=text",
        "--loader:.ttf=empty",
    )
    return FOLDER / "page.html"


def _run(*command: str) -> None:
    done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command[:2])} failed:\n{done.stderr}"


@pytest.fixture(scope="session")
def answers(tmp_path_factory: pytest.TempPathFactory, programs: dict[str, Path]) -> dict[str, Any]:
    """The time range, and each dashboard's panels with what Prometheus answered to their queries."""
    end = time.time() // 60 * 60
    span = TimeRange(end - HOURS * 3600, end)
    boards = {}
    with history.served(programs, tmp_path_factory.mktemp("history"), end) as url:
        prometheus = Prometheus(url)
        for uid, board in GENERATED.items():
            choices = Choices.of(board, {})
            boards[uid] = [
                {
                    "panel": panel,
                    "results": [
                        [{"labels": series.labels, "points": series.points} for series in found]
                        for found in run_panel(panel, prometheus, span, choices)
                    ],
                }
                for panel in board["panels"]
                if panel["type"] in KINDS
            ]
    return {"from": span.start * 1000, "to": span.end * 1000, "boards": boards}


@pytest.fixture(scope="session")
def page(built: Path) -> Iterator[Page]:
    """The page in a headless Chromium; an error on it fails the test that caused it."""
    with pictures.browser(*chromium.program(HOME)) as browser:
        opened = browser.new_page(viewport={"width": pictures.WIDTH, "height": pictures.FIRST_HEIGHT})
        opened.set_default_timeout(PATIENCE_SECONDS * 1000)
        opened.goto(built.as_uri())
        yield opened


def _draw(page: Page, answers: dict[str, Any], uid: str, theme: str = "light") -> Fields:
    """Draw a dashboard and wait until every panel shows something."""
    wrong: list[str] = []
    page.once("pageerror", lambda error: wrong.append(str(error)))
    drawn = [theme, answers["from"], answers["to"], answers["boards"][uid]]
    fields: Fields = page.evaluate("(given) => window.drawPanels(...given)", drawn)
    page.wait_for_function(
        """() => [...document.querySelectorAll("[data-panel]")].every((panel) =>
             panel.querySelector("canvas, [data-value], [role=gridcell], .empty"))"""
    )
    page.set_viewport_size({"width": pictures.WIDTH, "height": page.evaluate("document.body.scrollHeight")})
    page.evaluate("() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))")
    SAVED.mkdir(parents=True, exist_ok=True)
    page.locator("#host").screenshot(path=SAVED / f"grafana-{uid.removeprefix('agentgauge-')}-{theme}.png")
    assert wrong == []
    return fields


def _panel(page: Page, title: str) -> Any:
    return page.locator(f"[data-title='{title}']")


@pytest.mark.parametrize("uid", GENERATED)
def test_grafana_draws_every_panel_with_its_units_and_thresholds(page: Page, answers: dict[str, Any], uid: str) -> None:
    """Nothing is NaN or of no unit, and each field has the thresholds of its panel or column."""
    fields = _draw(page, answers, uid)
    assert "NaN" not in page.inner_text("#host")
    for given in answers["boards"][uid]:
        panel = given["panel"]
        defaults = panel["fieldConfig"]["defaults"]
        for field in fields[str(panel["id"])]:
            if panel["type"] != "table":
                units = {defaults["unit"]} | {
                    one["value"] for rule in panel["fieldConfig"]["overrides"] for one in rule["properties"]
                    if one["id"] == "unit"
                }  # fmt: skip
                assert field["unit"] in units, panel["title"]
                if "thresholds" in defaults:
                    steps = [(step["value"], step["color"]) for step in field["thresholds"]]
                    assert steps == [(step["value"], step["color"]) for step in defaults["thresholds"]["steps"]]


@pytest.mark.parametrize(
    ("title", "windows", "colour"),
    [
        ("Tasks completed", (0.9, 0.81, 0.95), GREEN),
        ("Tasks completed", (0.9, 0.79, 0.95), RED),
        ("Answer p95", (4.0, 5.0, 3.0), GREEN),
        ("Answer p95", (400.0, 5.0, 3.0), RED),
    ],
)
def test_a_headline_shows_three_windows_in_the_colour_of_the_worst(
    page: Page, answers: dict[str, Any], title: str, windows: tuple[float, ...], colour: str
) -> None:
    """Each has its name, and all are red as soon as one is bad: a share that is too low, or a time that is too long."""
    (given,) = (one for one in answers["boards"][links.OVERVIEW] if one["panel"]["title"] == title)
    results = [[{"labels": {}, "points": [(answers["to"] / 1000, value)]}] for value in windows]
    _draw(page, {**answers, "boards": {links.OVERVIEW: [{**given, "results": results}]}}, links.OVERVIEW)
    shown = _panel(page, title).locator("[data-value]")
    read = "(all) => all.map((one) => [one.dataset.name, one.dataset.colour.toLowerCase()])"
    assert shown.evaluate_all(read) == [[name, colour] for name in ("5 min", "1 h", "24 h")]
    assert (shown.first.get_attribute("data-links") or "").startswith(f"/d/{links.AGENT}?")


def test_the_table_of_firing_alerts_is_read_from_the_top(page: Page, answers: dict[str, Any]) -> None:
    """The worst is first, in its colour; the name leads to its runbook; ages are in words."""
    fields = _draw(page, answers, links.OVERVIEW)
    table = _panel(page, "Firing alerts")
    assert table.locator("[role=columnheader]").all_inner_texts() == [
        "severity",
        "alert",
        "of",
        "since",
        "next",
    ]
    cells = table.locator("[role=gridcell]").all_inner_texts()
    assert cells[:3] == ["warning", "AgentToolLatencyHigh", "sales_companion search_emails"]
    assert cells[3].endswith(" ago")
    runbook, incident = table.locator("a").all()[:2]
    assert runbook.get_attribute("href") == f"{DEMO.runbooks}/AgentToolLatencyHigh/"
    link = urlsplit(incident.get_attribute("href") or "")
    assert link.path == "/incident/AgentToolLatencyHigh/"
    assert dict(parse_qsl(link.query)) == {"agent": "sales_companion", "tool": "search_emails"}
    (severity,) = (field for field in fields[str(links.FIRING_ALERTS.panel_id)] if field["name"] == "severity")
    assert severity["colour"].lower() in (AMBER, GREY, RED)


def test_a_limit_that_moves_is_dashed_and_red_and_series_beside_it_are_not(page: Page, answers: dict[str, Any]) -> None:
    """Overrides by query, as Grafana applies them."""
    fields = {field["name"]: field for field in _draw(page, answers, links.COST)[str(links.SPEND.panel_id)]}
    limit = fields.pop("sales_companion, limit")
    assert limit["custom"]["lineStyle"] == {"fill": "dash", "dash": LIMIT_DASH}
    assert limit["colour"].lower() == RED
    assert all(field["colour"].lower() != RED for field in fields.values())


def test_ages_are_in_hours_and_days_and_states_in_words(page: Page, answers: dict[str, Any]) -> None:
    """Not 0.0111 d; and a stage is a word, not a number."""
    ages = _draw(page, answers, links.EVALUATIONS)[str(links.EVAL_AGE.panel_id)]
    assert {age["text"].split()[-1] for age in ages} <= {"min", "mins", "hour", "hours", "day", "days"}
    (stage,) = _draw(page, answers, links.AUTONOMY)["100"]
    assert stage["text"] == "autonomous"


@pytest.mark.parametrize("uid", [links.OVERVIEW, links.TOOLS])
def test_dark_is_drawn_as_well(page: Page, answers: dict[str, Any], uid: str) -> None:
    """The pictures of the README are of both themes."""
    _draw(page, answers, uid, "dark")
    background = page.locator("section").first.evaluate("(panel) => getComputedStyle(panel).backgroundColor")
    assert max(int(part) for part in background[4:-1].split(",")[:3]) < 80
