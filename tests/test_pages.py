"""Every page that we serve is one that everybody can use: axe finds nothing serious on any of them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Page
from starlette.applications import Starlette
from starlette.routing import Mount

from agentgauge.autonomy import web_forms
from agentgauge.autonomy.access import Door
from agentgauge.autonomy.parts import Autonomy
from agentgauge.autonomy.people import People
from agentgauge.autonomy.policy import Policy
from agentgauge.autonomy.web import approvals_app
from agentgauge.evals.history import EvalHistory
from agentgauge.evals.view import view_app
from agentgauge.incident.place import Place
from agentgauge.ledger import Ledger
from agentgauge.ops.prometheus import Prometheus
from alerts.pager.app import Following, create_app
from dashboards.catalog import GENERATED
from sample_agent.serving import serving
from stack.layout import HOME, ROOT
from stack.preview import app as preview
from tests import axe, chromium, sample, static_site

PICTURES = HOME / "pictures"
NOBODY = "http://127.0.0.1:9"
"""Where no Prometheus answers: pages say so."""

APPROVALS, EVALS = "exporter/agentgauge/autonomy/templates/", "exporter/agentgauge/evals/templates/"
PAGER, PREVIEW = "alerts/pager/templates/", "stack/preview/static/"

LOOKED_AT = {
    **dict.fromkeys((f"{APPROVALS}queue.html", f"{APPROVALS}action.html"), "exporter/autonomy/test_web.py"),
    **dict.fromkeys(
        (f"{EVALS}{name}.html" for name in ("runs", "run", "trial", "diff")), "exporter/evals/test_view.py"
    ),
    **dict.fromkeys((f"{PAGER}page.html", f"{PAGER}list.html"), "alerts/test_incident_list.py"),
    **dict.fromkeys((f"{PAGER}incident.html", f"{PAGER}incident_now.html"), "incident/test_page.py"),
    f"{PREVIEW}page.html": "dashboards/test_drawn.py",
}
"""Template → the test that has axe look at what is made of it, with something on it."""

AROUND = {f"{APPROVALS}base.html", f"{EVALS}base.html", f"{PAGER}layout.html"}
"""What stands around the others."""

SMALL = {
    f"{APPROVALS}login.html": "/approvals/login",
    f"{APPROVALS}message.html": "/approvals/nowhere",
    f"{APPROVALS}arrival.html": "/approvals/login",
    f"{EVALS}message.html": "/run?id=gone",
    f"{PAGER}login.html": "/login",
    f"{PAGER}message.html": "/incident/AgentNothing/",
    f"{PAGER}unseen.html": "/incident/AgentHung/?agent=support_bot",
    f"{PREVIEW}not_found.html": "/d/nowhere",
}
"""Template → where it is shown when there is nothing else to show; axe looks at it here."""


def test_axe_looks_at_every_page_there_is() -> None:
    """A page that somebody adds has no place here until a test looks at it."""
    rooms = ("exporter", "alerts", "stack", "dashboards", "bundle", "sample_agent", "runbooks")
    there = {str(file.relative_to(ROOT)) for room in rooms for file in (ROOT / room).rglob("*.html")}
    assert there == LOOKED_AT.keys() | SMALL.keys() | AROUND
    for test in set(LOOKED_AT.values()):
        assert "axe.serious(" in (ROOT / "tests" / test).read_text(encoding="utf-8"), test


@contextmanager
def served(template: str, folder: Path) -> Iterator[str]:
    """The address of the program that shows this page."""
    with closing(Ledger.open(f"sqlite:///{folder / 'ledger.sqlite'}")) as ledger:
        people = People(folder / "people.yml", folder / "token")
        if template.startswith(APPROVALS):
            policy = Policy.model_validate({"changed_by": "x", "reason": "x", "stage": "shadow", "tools": {}})
            autonomy = Autonomy.on(ledger, "support_bot", lambda: policy, lambda _tool, _arguments: None)
            page = approvals_app(autonomy, {}, Door(people), "support_bot")
            app = Starlette(routes=[Mount("/approvals", page)])
        elif template.startswith(EVALS):
            app = view_app(EvalHistory(ledger, "support_bot"), "support_bot", "x", lambda _suite, _name: None)
        elif template.startswith(PAGER):
            app = create_app(list[str]().append, following=Following(Place(Prometheus(NOBODY)), people, "secret"))
        else:
            app = preview.create_app(GENERATED, Prometheus(NOBODY))
        with serving(app) as url:
            yield url


@pytest.fixture(scope="module")
def browser_page() -> Iterator[Page]:
    """A page of a headless Chromium, on which any error of a script fails the test."""
    with chromium.page_without_errors() as page:
        yield page


@pytest.mark.browser
@pytest.mark.parametrize("template", SMALL)
def test_a_page_that_says_little_can_be_used_by_everybody(browser_page: Page, template: str, tmp_path: Path) -> None:
    """On a desk in the dark and on a phone in the light, wide enough for neither to scroll; a picture stays."""
    page, name = browser_page, template.rpartition("/")[2]
    PICTURES.mkdir(parents=True, exist_ok=True)
    with served(template, tmp_path) as url:
        for scheme, width in (("dark", 1280), ("light", 390)):
            page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
            page.set_viewport_size({"width": width, "height": 800})
            page.goto(url + SMALL[template])
            if name == "unseen.html":
                page.get_by_text("Follow the runbook by hand").wait_for()
            if name == "arrival.html":  # it leads on at once, so it is put there
                page.set_content(web_forms.templates.get_template(name).render(root="").replace("refresh", "x"))
            assert axe.serious(page) == []
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            page.screenshot(path=PICTURES / f"small-{template.split('/')[-3]}-{name}-{width}.png", full_page=True)


DOCS = sorted(str(page.relative_to(ROOT / "docs").with_suffix("")) for page in (ROOT / "docs").rglob("*.md"))


@pytest.fixture(scope="module")
def docs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the documentation, as `make docs` builds it."""
    folder = tmp_path_factory.mktemp("docs")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "-f", str(ROOT / "stack" / "docs.yml")]
    env = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    subprocess.run([*command, "-d", str(folder)], env=env, cwd=ROOT, check=True, timeout=300)
    with static_site.served(folder) as url:
        yield url


@pytest.mark.browser
@pytest.mark.parametrize("name", sample.chosen(DOCS))
def test_a_page_of_the_documentation_can_be_used_by_everybody(browser_page: Page, docs: str, name: str) -> None:
    """On a desk and on a phone: colours stand out, what can be clicked has a name, nothing is wider than the phone."""
    browser = browser_page.context.browser  # two at once are more than Playwright runs in a thread
    assert browser is not None
    axe.on_desk_and_phone(browser, f"{docs}/{name.removesuffix('index')}")
