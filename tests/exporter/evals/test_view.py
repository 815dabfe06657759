"""The page of `eval view`, in a real browser: runs, transcripts, and two runs as the gate compares them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import requests
from playwright.sync_api import Page, expect

from agentgauge.evals.history import EvalHistory, Run, Trial, Version, played
from agentgauge.evals.scenario import Scenario
from agentgauge.evals.transcript import Called, Said, TrialTranscript
from agentgauge.evals.view import view_app
from agentgauge.ledger import Ledger
from sample_agent.serving import serving
from stack.layout import HOME
from tests import axe, chromium

pytestmark = pytest.mark.browser

TOKEN = "the-token"
PICTURES = HOME / "pictures"
SAID = TrialTranscript(
    (
        Said("user", "Who is at Globex? <b>&</b>"),
        Called("look_up", {"account": "Globex"}, "Jane Cooper"),
        Said("agent", "Nobody."),
    ),
    2,
    0.01,
)


def finished(history: EvalHistory, version: Version, passed: int, *, live: bool = False) -> Run:
    """A run of two scenarios, ten trials each: one passes, of the other so many."""
    run = history.start("smoke", version, "abc", live=live)
    for number in range(1, 11):
        for name, good in (("greeting", True), ("look-up", number <= passed)):
            failures = () if good else ("phrase absent: “Jane”",)
            cost = 0.01 + number / 10_000
            history.add(run, Trial(name, number, float(good), good, 2, cost, 0.0, 0.5, failures, SAID.as_json()))
    return history.finish(run, "passed" if passed > 5 else "failed")


@pytest.fixture
def history(tmp_path: Path) -> Iterator[EvalHistory]:
    """Two runs: the live version, and a candidate whose answers were played."""
    with closing(Ledger.open(f"sqlite:///{tmp_path / 'ledger.sqlite'}")) as ledger:
        made = EvalHistory(ledger, "bot")
        finished(made, Version("1", "v1", "large"), 10, live=True)
        finished(made, Version("1", "v2", played("large")), 1)
        yield made


@pytest.fixture
def url(history: EvalHistory) -> Iterator[str]:
    """Where the page is."""

    def expected(_suite: str, name: str) -> Scenario | None:
        return Scenario(name=name, input="Who?", expected_output_contains=["Jane"]) if name == "look-up" else None

    with serving(view_app(history, "bot", TOKEN, expected)) as served:
        yield served


def test_only_who_has_the_token_reads(url: str) -> None:
    """Other users of the machine reach loopback, too; once let in, the address holds no token any more."""
    for path in ("/", "/run?id=1", "/trial", "/diff"):
        assert requests.get(url + path, timeout=60).status_code == 403
    assert requests.get(url, params={"token": "wrong"}, timeout=60).status_code == 403
    with requests.Session() as session:
        entered = session.get(url, params={"token": TOKEN}, timeout=60)
        assert (entered.status_code, entered.url) == (200, f"{url}/")
        assert session.get(url, timeout=60).status_code == 200
    assert requests.get(url, headers={"Host": "evil.example.com"}, timeout=60).status_code == 400


def test_what_is_not_there_is_said(url: str, history: EvalHistory) -> None:
    """A run that was forgotten, a scenario of another run."""
    with requests.Session() as session:
        session.get(url, params={"token": TOKEN}, timeout=60)
        (newest, _) = history.runs("smoke")
        for path in ("/run?id=gone", f"/trial?id={newest.id}&scenario=gone", f"/diff?before={newest.id}&after=gone"):
            answer = session.get(url + path, timeout=60)
            assert answer.status_code == 404
            assert "Not shown" in answer.text


def test_a_person_finds_from_the_trend_to_the_transcript(url: str) -> None:
    """Slow, as browsers are: runs, their difference with the gate's verdict, what was said beside what was demanded."""
    with chromium.page_without_errors() as page:
        page.goto(f"{url}/?token={TOKEN}")
        expect(page.get_by_role("img", name="Share of trials that passed")).to_have_accessible_name(
            "Share of trials that passed, oldest run first: 100 %, 55 %"
        )
        expect(page.get_by_role("row", name="played")).to_contain_text("failed")
        look(page, "eval-runs")
        page.get_by_role("button", name="Compare before with after").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Worse")
        expect(page.locator("main")).to_contain_text("-45.0 points")
        expect(page.locator("main")).to_contain_text("Played: no model was asked.")
        expect(page.locator("main")).to_contain_text("One was answered by a script and the other by a model")
        look(page, "eval-diff")
        page.get_by_role("link", name="look-up after: 1/10").click()
        expect(page.locator("main")).to_contain_text("expected_output_contains:\n- Jane")
        expect(page.locator("details[open]")).to_contain_text("phrase absent: “Jane”")
        expect(page.locator("details[open]")).to_contain_text("Who is at Globex? <b>&</b>")
        look(page, "eval-trial")
        page.get_by_role("link", name="smoke: 1+v2+played:large").click()
        expect(page.get_by_role("row", name="look-up")).to_contain_text("broken")
        look(page, "eval-run")


def look(page: Page, name: str) -> None:
    """Nothing serious for axe, in light and dark and on a phone; a picture of each for people."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    for scheme, width in (("light", 1200), ("dark", 1200), ("light", 390)):
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        page.set_viewport_size({"width": width, "height": 800})
        assert axe.serious(page) == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.screenshot(path=PICTURES / f"{name}-{scheme}-{width}.png", full_page=True)
    page.set_viewport_size({"width": 1200, "height": 800})
