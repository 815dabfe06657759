"""The runbook site of several agents, in a real browser: a page opened from an alert is about that alert's agent."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from alerts import thresholds
from alerts.catalog import ALERTS
from alerts.rules import render
from bundle.pages import AGENT_MARK, COMMAND_MARK
from bundle.site import build_site
from stack.layout import HOME
from stack.preview import pictures
from tests import axe, chromium, sample, static_site
from tests.runbooks.pages import STRANGERS

pytestmark = pytest.mark.browser

SAVED = HOME / "pictures"
"""Where the last picture of the tests is, to be looked at."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site of two agents."""
    folder = tmp_path_factory.mktemp("site") / "site"
    build_site(STRANGERS, render(thresholds.load(), STRANGERS), folder)
    return folder


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    """Where the site is served."""
    with static_site.served(site) as url:
        yield url


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium."""
    with pictures.browser(*chromium.program(HOME)) as started:
        yield started


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    """A page on which any error, and any request to somewhere else, fails the test."""
    opened = browser.new_page(viewport={"width": 1280, "height": 1500})
    wrong: list[str] = []
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("response", lambda answer: wrong.append(answer.url) if answer.status >= 400 else None)
    opened.on("request", lambda request: None if request.url.startswith(address) else wrong.append(request.url))
    yield opened
    opened.close()
    assert [one for one in wrong if not one.startswith(("data:", "blob:"))] == []


def code(page: Page) -> str:
    """Everything on the page that is set as code."""
    return "\n".join(page.locator("article code").all_inner_texts())


def test_a_page_opened_from_an_alert_is_about_its_agent(page: Page, address: str) -> None:
    """Queries and commands name the agent and its app; the other one is nowhere among them."""
    page.goto(f"{address}/AgentLatencySpike/?agent=billing_bot")
    shown = code(page)
    assert 'agent="billing_bot"' in shown
    assert "agentgauge --app billing.agent:app ops disable-tool TOOL" in shown
    assert "alertname=AgentLatencySpike agent=billing_bot" in shown
    assert "support" not in shown
    SAVED.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SAVED / "runbook-of-another-agent.png")


def test_without_an_agent_in_the_address_a_page_is_about_the_first(page: Page, address: str) -> None:
    """Who comes by the navigation can choose; the choice goes along to the next page."""
    page.goto(f"{address}/AgentLatencySpike/")
    assert 'agent="support_bot"' in code(page)
    page.get_by_label("Agent", exact=True).select_option("billing_bot")
    assert 'agent="billing_bot"' in code(page)
    page.locator("article").get_by_role("link", name="AgentSessionLooping").first.click()
    page.wait_for_url("**/AgentSessionLooping/?agent=billing_bot")
    assert 'agent="billing_bot"' in code(page)


def test_an_agent_that_the_pages_do_not_know_is_not_taken_from_the_address(page: Page, address: str) -> None:
    """A link cannot put words into a command that somebody pastes."""
    page.goto(f"{address}/AgentLatencySpike/?agent=x%3B%20rm%20-rf%20~")
    assert 'agent="support_bot"' in code(page)
    assert "rm -rf" not in page.locator("body").inner_text()
    assert "another agent, which these pages do not know" in page.locator(".which-agent").inner_text()


LOOKED_AT = (
    *("", "404.html", "AgentLatencySpike/?agent=billing_bot"),
    *(f"{alert.name}/" for alert in sample.chosen(ALERTS)),
)
"""Every page of the site, of runbooks those that are asked for, and one as an alert of the other agent links to it."""


@pytest.mark.parametrize("path", LOOKED_AT)
def test_everybody_can_use_the_site(browser: Browser, address: str, path: str) -> None:
    """axe finds nothing serious: colours stand out, links are seen, what can be clicked has a name."""
    axe.on_desk_and_phone(browser, f"{address}/{path}")


def test_a_phone_shows_what_to_do_first_before_the_first_swipe(browser: Browser, address: str) -> None:
    """Whole, with its query; the facts about the alert come after it."""
    with browser.new_context(viewport={"width": 390, "height": 844}) as context:
        page = context.new_page()
        page.goto(f"{address}/AgentToolSuccessRateLow/")
        expect(page.locator(".admonition", has_text="Do this first")).to_be_in_viewport(ratio=1)


def test_without_javascript_a_page_says_whose_queries_it_shows(browser: Browser, address: str) -> None:
    """And which name to put in its place."""
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(f"{address}/AgentLatencySpike/?agent=billing_bot")
        assert "are those of support_bot. For another agent (billing_bot)" in page.locator(".which-agent").inner_text()
        assert 'agent="support_bot"' in code(page)


def test_no_mark_is_left_in_the_site(site: Path) -> None:
    """Each became an element in a page's text, and a name in the search index."""
    for path in [*site.rglob("*.html"), *site.rglob("*.json"), *site.rglob("*.xml")]:
        text = path.read_text(encoding="utf-8")
        assert AGENT_MARK not in text
        assert COMMAND_MARK not in text
        assert not re.search(r"<[^<>]*=\"[^\"<>]*<span data-", text), "an element inside an attribute"
