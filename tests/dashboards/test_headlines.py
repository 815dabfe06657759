"""What the first rows say while an agent fails that was well for most of the hour, on the real Prometheus."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from starlette.testclient import TestClient

from agentgauge import metrics
from agentgauge.ops.prometheus import Prometheus
from alerts import links
from dashboards.catalog import GENERATED as FOLDER
from dashboards.style import RED
from stack.preview.app import create_app
from tests.dashboards.boards import GENERATED
from tests.dashboards.history import AGENT, COARSE_SPAN, SeriesOverTime, served

ORIGIN = "http://127.0.0.1"

A_MINUTE, FAILING_SECONDS, FAILED = 2.0, 330.0, 0.6
"""Tasks a minute; for the last five of them (and what it takes to look at them), so many fail."""


def _tasks(outcome: str) -> SeriesOverTime:
    share = {"failed": FAILED, "completed": 1 - FAILED}[outcome]
    well = {"failed": 0.0, "completed": 1.0}[outcome]

    def ended(before: float) -> float:
        bad = max(0.0, FAILING_SECONDS - before)
        return A_MINUTE / 60 * (well * (COARSE_SPAN - before - bad) + share * bad)

    return SeriesOverTime(metrics.TASKS.name, AGENT | {"outcome": outcome}, ended)


@pytest.fixture(scope="module")
def preview(tmp_path_factory: pytest.TempPathFactory, programs: dict[str, Path]) -> Iterator[TestClient]:
    """The preview of an agent that has just begun to fail."""
    folder = tmp_path_factory.mktemp("failing")
    series = [_tasks("completed"), _tasks("failed")]
    with served(programs, folder, time.time(), series) as url:
        app = create_app(FOLDER, Prometheus(url))
        with TestClient(app, base_url=ORIGIN) as client:
            yield client


def _values(preview: TestClient, title: str) -> dict[str, dict[str, Any]]:
    panel = next(panel for panel in GENERATED[links.OVERVIEW]["panels"] if panel["title"] == title)
    return {value["name"]: value for value in preview.get(f"/panel/{links.OVERVIEW}/{panel['id']}").json()["values"]}


def test_what_fails_now_is_red_though_the_hour_was_good(preview: TestClient) -> None:
    """60 % of the last five minutes fail, 95 % of the hour went well: the headline says both, and all of it is red."""
    shown = _values(preview, "Tasks completed")
    assert {name: value["colour"] for name, value in shown.items()} == dict.fromkeys(("5 min", "1 h", "24 h"), RED)
    assert 35 < float(shown["5 min"]["text"].removesuffix(" %")) < 45


def test_the_link_of_a_panel_opens_its_query_in_prometheus(preview: TestClient) -> None:
    """At an address that every version has a page for: Debian's 2.42 leads on to /classic/graph, 3 to /query."""
    panel = next(panel for panel in GENERATED[links.OVERVIEW]["panels"] if panel["title"] == "Tasks completed")
    link = preview.get(f"/panel/{links.OVERVIEW}/{panel['id']}").json()["query"]
    page = requests.get(link, timeout=60)
    assert (page.status_code, "g0.expr" in page.url) == (200, True)
    assert page.headers["content-type"].startswith("text/html")


def test_what_did_not_happen_has_no_number(preview: TestClient) -> None:
    """No rating in a day is neither good nor bad."""
    panel = next(panel for panel in GENERATED[links.OVERVIEW]["panels"] if panel["title"] == "Thumbs down")
    assert preview.get(f"/panel/{links.OVERVIEW}/{panel['id']}").json()["kind"] == "message"


def test_every_headline_of_what_happens_looks_back_five_minutes_an_hour_and_a_day() -> None:
    """On each dashboard, in this order, or a day, a week and a month at what is rare; a single number is true now."""
    for dashboard in GENERATED.values():
        for panel in dashboard["panels"]:
            if panel["type"] == "stat" and any("increase(" in target["expr"] for target in panel["targets"]):
                names = [target["legendFormat"] for target in panel["targets"]]
                assert names in (["5 min", "1 h", "24 h"], ["24 h", "7 d", "28 d"]), panel["title"]


def test_spend_is_one_figure_by_one_query() -> None:
    """Once on a dashboard, and counted alike on each that has it, whatever can be chosen there."""
    shown = [
        [re.sub(r"\{[^}]*\}", "", target["expr"]) for target in panel["targets"]]
        for dashboard in GENERATED.values()
        for panel in dashboard["panels"]
        if panel["type"] == "stat" and panel["title"] == "Spend"
    ]
    boards = [
        uid for uid, dashboard in GENERATED.items() if any(one["title"] == "Spend" for one in dashboard["panels"])
    ]
    assert len(shown) == len(boards) > 1
    assert all(one == shown[0] for one in shown)
