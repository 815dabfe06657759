"""An incident as a page of the pager: what the terminal shows, the command as a button, the end, the post-mortem."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import pytest
import requests
from playwright.sync_api import Page as BrowserPage
from playwright.sync_api import expect

from agentgauge.ledger import Ledger
from agentgauge.ops import log, switches
from alerts.pager.login import token_beside
from sample_agent.simulator import recording
from stack.layout import HOME, ROOT, Ports
from tests import axe, chromium
from tests.incident import firing
from tests.incident.firing import EVIL, Firing

pytestmark = pytest.mark.browser

SAVED = HOME / "pictures"
TOOL = {"agent": "support_bot", "tool": "search"}
COMMAND = "agentgauge --app support:app ops disable-tool search"


@pytest.fixture(scope="module")
def prometheus(programs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Firing]:
    """The real one: one of support_bot's tools fails, and four alerts fire."""
    with firing.running(programs, tmp_path_factory.mktemp("incident")) as running:
        yield running


@dataclass(frozen=True)
class Pager:
    """The pager as `python -m alerts pager` runs it, beside support_bot's module."""

    url: str
    folder: Path

    @property
    def login(self) -> str:
        """The link that logs in."""
        token = token_beside(self.folder / "pager.sqlite")
        return f"{self.url}/login?{urlencode({'token': token})}"

    @property
    def ledger(self) -> Ledger:
        """That of support_bot."""
        return Ledger.open(f"sqlite:///{self.folder / 'ledger.sqlite'}")

    def disabled(self) -> tuple[str, ...]:
        """The tools that are switched off."""
        return tuple(switches.in_force(self.ledger, "support_bot").disabled_tools)

    def link(self, alert: str, part: str = "", **labels: str) -> str:
        """The link to an incident, as messages have it."""
        return f"{self.url}/incident/{alert}/{part}?{urlencode(labels)}"


def _started(folder: Path, prometheus_url: str) -> tuple[str, subprocess.Popen[bytes]]:
    port = Ports.free().pager
    env = {**os.environ, "PYTHONPATH": str(ROOT), "AGENTGAUGE_APP": "support:app", "USER": "nobody"}
    command = [
        sys.executable, "-m", "alerts", "pager", f"--port={port}", f"--state={folder / 'pager.sqlite'}",
        f"--prometheus={prometheus_url}",
    ]  # fmt: skip  # one line less
    return f"http://127.0.0.1:{port}", subprocess.Popen(command, cwd=folder, env=env)


def _answers(url: str) -> bool:
    try:
        return requests.get(f"{url}/health", timeout=5).ok
    except requests.ConnectionError:
        return False


@pytest.fixture(scope="module")
def pager(prometheus: Firing, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pager]:
    """One with an alarm: the tool's success is low."""
    tmp_path = tmp_path_factory.mktemp("pager")
    (tmp_path / "support.py").write_text(firing.MODULE, encoding="utf-8")
    url, process = _started(tmp_path, prometheus.url)
    with process:
        try:
            firing.wait_until(lambda: _answers(url))
            alarm = {
                "status": "firing",
                "labels": {"alertname": "AgentToolSuccessRateLow", "severity": "critical", **TOOL},
                "annotations": {"summary": "A tool fails.", "runbook_url": "http://127.0.0.1:8020/x/"},
                "startsAt": "2026-03-01T02:14:00Z",
            }
            requests.post(f"{url}/alerts", json={"alerts": [alarm]}, timeout=5).raise_for_status()
            yield Pager(url, tmp_path)
        finally:
            recording.end(process)


@pytest.fixture(scope="module")
def browser_page() -> Iterator[BrowserPage]:
    """A page of a headless Chromium, on which any error fails the test."""
    with chromium.page_without_errors() as page:
        yield page


def test_the_page_walks_runs_watches_and_hands_out_the_draft(
    browser_page: BrowserPage, pager: Pager, prometheus: Firing
) -> None:
    """From the list of incidents to mended, without a reload under the reader; recorded with who did it."""
    page = browser_page
    page.goto(pager.url)
    expect(page.locator("article .impact")).to_contain_text("requests a minute fail")
    page.get_by_role("link", name="what to do").click()
    expect(page.locator("#said")).to_have_text("It fires. Nobody has run anything here yet.")
    expect(page.locator(".what")).to_contain_text("Critical since")
    expect(page.locator(".walk li").first).to_contain_text("Is it this tool only? fetch 1, search 0.75")
    expect(page.locator(".walk li").last).to_contain_text("SchemaMismatch: the API changed its answer. Mitigation 2.")
    expect(page.locator(".walk li").last).to_contain_text("because top error_type in (SchemaMismatch)")
    expect(page.locator("code.line").first).to_have_text(COMMAND)
    _look_at(page, "incident")

    page.get_by_role("link", name="Log in to run it").click()
    onward = page.url
    page.goto(pager.login)
    page.get_by_label("Your name").fill("Kim")
    _look_at(page, "login")
    page.get_by_role("button", name="Log in").click()
    assert page.url == pager.link("AgentToolSuccessRateLow", **TOOL), onward
    page.evaluate("window.stayed = true")
    page.get_by_role("button", name="Run it").click()
    expect(page.locator("#said")).to_have_text("Kim ran the commands. Watching until it is over.")
    page.evaluate("window.stayed = true")
    assert pager.disabled() == ("search",)
    done = [(one.by, one.what, one.why) for one in log.entries(pager.ledger, "support_bot")]
    ran = f"AgentToolSuccessRateLow: ran {COMMAND}"
    assert ("Kim", ran, "runbook of AgentToolSuccessRateLow, mitigation 2") in done
    assert {by for by, _, _ in done} == {"Kim"}
    _look_at(page, "incident-watching")

    prometheus.end("AgentToolSuccessRateLow")
    expect(page.locator("#said")).to_contain_text("Mended: Kim ran the commands, and it no longer fires.")
    expect(page.locator(".done")).to_contain_text(re.compile(r"Mended after \d+ (s|min)"))
    assert page.evaluate("window.stayed")
    with page.expect_download() as download:
        page.get_by_role("link", name="draft of the post-mortem").click()
    draft = download.value.path().read_text(encoding="utf-8")
    assert re.fullmatch(r"[\dT-]+-AgentToolSuccessRateLow\.md", download.value.suggested_filename)
    assert f"Kim ran {COMMAND}" in draft.replace("\\", "")
    assert "SchemaMismatch: the API changed its answer" in draft
    assert "mended after" in draft
    page.goto(pager.url)
    expect(page.locator("article")).to_contain_text("In the hands of Kim since")


def test_a_phone_says_what_it_is_and_what_to_do_before_the_first_swipe(browser_page: BrowserPage, pager: Pager) -> None:
    """How bad, since when, whom it hits, the branch of the runbook and its button stand above why it is this one."""
    page = browser_page
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(pager.link("AgentLLMErrorsHigh", agent="support_bot", model="large"))
    first_screen: dict[str, str | re.Pattern[str]] = {
        "h1": "AgentLLMErrorsHigh",
        ".what": re.compile(r"Critical since [\d-]+ [\d:]+ UTC \(.+\): agent support_bot, model large"),
        ".who": "requests a minute fail (25%)",
        ".branch": "the limit of the account was lowered, or others use it too. Mitigation 2.",
        "code.line": "agentgauge --app support:app ops use-model CHEAPER_MODEL",
        "#log-in, #run": re.compile("un it"),
    }
    for part, said in first_screen.items():
        shown = page.locator(part).first
        expect(shown).to_contain_text(said)
        expect(shown).to_be_in_viewport(ratio=1)
    walk = page.locator(".walk")
    expect(walk).to_contain_text("Mitigation 2. because nothing above it fits")
    expect(walk).not_to_contain_text("otherwise")
    page.set_viewport_size({"width": 1000, "height": 900})


def _look_at(page: BrowserPage, name: str) -> None:
    """axe finds nothing serious, in light and dark; it fits a phone."""
    SAVED.mkdir(parents=True, exist_ok=True)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert axe.serious(page) == []
        page.screenshot(path=SAVED / f"{name}-{scheme}.png", full_page=True)
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.screenshot(path=SAVED / f"{name}-phone.png", full_page=True)
    page.set_viewport_size({"width": 1000, "height": 900})
    page.emulate_media(color_scheme="light")


def _logged_in(pager: Pager) -> requests.Session:
    """Somebody with the token and a name."""
    session = requests.Session()
    form = session.get(pager.login, timeout=10).text
    fields = {"csrf": _field(form, "csrf"), "by": "Kim"}
    session.post(f"{pager.url}/login", data=fields, headers={"origin": pager.url}, timeout=10).raise_for_status()
    return session


def _field(form: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', form)
    assert found, form
    return found[1]


def test_only_who_is_logged_in_takes_an_alarm_in_hand_or_silences_it(pager: Pager) -> None:
    """By the name that they logged in with, whatever else a form says."""

    def in_hand() -> str:
        (incident,) = requests.get(f"{pager.url}/incidents", timeout=10).json()
        return str(incident["alarms"][0]["acknowledged_by"])

    before, ours = in_hand(), {"origin": pager.url}
    (incident,) = requests.get(f"{pager.url}/incidents", timeout=10).json()
    fields = {"alarms": str(incident["alarms"][0]["id"]), "by": "Mallory", "why": "x", "hours": "1"}
    for door in ("acknowledge", "silence"):
        assert requests.post(f"{pager.url}/{door}", data=fields, headers=ours, timeout=10).status_code == 403
        answer = _logged_in(pager).post(f"{pager.url}/{door}", data=fields, headers=ours, timeout=10)
        assert answer.status_code == 403  # without the session's secret
    assert in_hand() == before
    assert 'action="acknowledge"' not in requests.get(pager.url, timeout=10).text
    session = _logged_in(pager)
    home = session.get(pager.url, timeout=10).text
    assert "You are Kim." in home
    incident_page = session.get(pager.link("AgentLLMErrorsHigh", "now", agent="support_bot", model="large"), timeout=20)
    fields["csrf"] = _field(incident_page.text, "csrf")
    assert session.post(f"{pager.url}/acknowledge", data=fields, headers=ours, timeout=10).ok
    assert in_hand() == "Kim"


def test_nothing_is_run_for_whoever_may_not(pager: Pager) -> None:
    """Another website's form, one without the session's secret, one of nobody, and one that shows something else."""
    labels, before = {"agent": "support_bot", "model": "large"}, log.entries(pager.ledger, "support_bot")
    session, link = _logged_in(pager), pager.link("AgentLLMErrorsHigh", "mend", **labels)
    form = session.get(pager.link("AgentLLMErrorsHigh", "now", **labels), timeout=20).text
    fields = {name: _field(form, name) for name in ("csrf", "plan")} | {"word.CHEAPER_MODEL": "tiny"}
    ours = {"origin": pager.url}

    def answered(who: requests.Session, fields: dict[str, str], headers: dict[str, str]) -> int:
        return who.post(link, data=fields, headers=headers, timeout=20, allow_redirects=False).status_code

    assert answered(session, fields, {"origin": "http://evil.example"}) == 403
    assert answered(session, fields, {}) == 403
    assert answered(session, fields, ours | {"sec-fetch-site": "cross-site"}) == 403
    assert answered(session, fields | {"csrf": "x"}, ours) == 403
    assert answered(requests.Session(), fields, ours) == 403
    assert answered(session, fields | {"plan": "x"}, ours) == 409
    quiet = pager.link("AgentToolSuccessRateLow", "mend", agent="support_bot", tool="fetch")
    over = session.post(quiet, data=fields, headers=ours, timeout=20)
    assert (over.status_code, "it no longer fires" in over.text) == (409, True)
    assert log.entries(pager.ledger, "support_bot") == before


def test_a_word_that_nobody_knows_has_a_field(pager: Pager) -> None:
    """What is typed is one word of the command, never an option; a command that fails says so."""
    session, labels = _logged_in(pager), {"agent": "support_bot", "model": "large"}
    now, ours = pager.link("AgentLLMErrorsHigh", "now", **labels), {"origin": pager.url}

    def run(model: str) -> requests.Response:
        form = session.get(now, timeout=20).text
        fields = {name: _field(form, name) for name in ("csrf", "plan")}
        fields["word.CHEAPER_MODEL"] = model
        return session.post(pager.link("AgentLLMErrorsHigh", "mend", **labels), data=fields, headers=ours, timeout=20)

    assert "say what CHEAPER_MODEL stands for" in run("").text
    assert "say what CHEAPER_MODEL stands for" in run("--default").text
    assert run("tiny; rm -rf /").ok
    firing.wait_until(lambda: "ran this:" in session.get(now, timeout=20).text)
    assert switches.in_force(pager.ledger, "support_bot").model == "tiny; rm -rf /"


def test_the_command_that_prints_the_conversations_is_on_the_page(pager: Pager) -> None:
    """For the agent of this pager, where conversations tell more than figures; what was said is for a terminal."""
    labels = {"agent": "support_bot", "tool": "search"}
    slow = requests.get(pager.link("AgentToolLatencyHigh", "now", **labels), timeout=20).text
    assert "agentgauge --app support:app transcripts list --cause slow</code>" in slow
    other = requests.get(pager.link("AgentToolSuccessRateLow", "now", **labels), timeout=20).text
    assert "transcripts" not in other


def test_what_a_link_says_is_text_and_no_query(pager: Pager) -> None:
    """Labels of an alert alone reach a query, as values; nothing that they hold is executed."""
    text = requests.get(pager.link("AgentToolNewErrorType", "now", agent="support_bot"), timeout=20).text
    assert "\x1b" not in text
    assert "sea\N{REPLACEMENT CHARACTER}[31mrch" in text
    evil = pager.link("AgentHung", "", agent="<script>alert(1)</script>", tool=EVIL, cheaper_model="x")
    text = requests.get(evil, timeout=20).text
    assert "<script>alert" not in text
    assert "cheaper" not in text
    assert requests.get(pager.link("AgentNothing"), timeout=20).status_code == 404


def test_a_login_leads_to_pages_of_the_pager_alone(pager: Pager) -> None:
    """However the way onward is written; a wrong token leads nowhere."""
    for onward in ("//evil.example/x", "/\\evil.example/x", "https://evil.example/x"):
        session = requests.Session()
        session.get(f"{pager.url}/login", params={"onward": onward}, timeout=10)
        form = session.get(pager.login, timeout=10).text
        fields = {"csrf": _field(form, "csrf"), "by": "Kim"}
        headers = {"origin": pager.url}
        answer = session.post(f"{pager.url}/login", data=fields, headers=headers, timeout=10, allow_redirects=False)
        assert re.match(r"/[^/\\]", answer.headers["location"]), answer.headers["location"]
    assert requests.get(f"{pager.url}/login?token=wrong", timeout=10).status_code == 403


def test_a_pager_without_prometheus_says_so_and_still_lists(tmp_path: Path) -> None:
    """The list needs nobody; the page of an incident asks again."""
    (tmp_path / "support.py").write_text(firing.MODULE, encoding="utf-8")
    url, process = _started(tmp_path, "http://127.0.0.1:1")
    with process:
        try:
            firing.wait_until(lambda: _answers(url))
            away = Pager(url, tmp_path)
            text = requests.get(away.link("AgentHung", "now", agent="support_bot"), timeout=20).text
            assert "does not answer" in text
            assert requests.get(url, timeout=5).ok
        finally:
            recording.end(process)
