"""The docs say what the code does: in both directions, and with commands and examples that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agentgauge import metrics
from stack import reference
from tests.commands import parse

ROOT = Path(__file__).resolve().parent.parent
DOCS = sorted((ROOT / "docs").rglob("*.md"))
WRITTEN = [page for page in DOCS if page.parent != reference.FOLDER]
PROSE = [*WRITTEN, *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"))]


def blocks(page: Path, language: str) -> list[str]:
    """The fenced code blocks of a page in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def test_the_reference_is_what_the_code_gives() -> None:
    """`make generate` leaves nothing to change."""
    for name, text in reference.pages().items():
        assert (reference.FOLDER / name).read_text(encoding="utf-8") == text, f"{name} is stale: run `make generate`"


def test_every_metric_is_documented() -> None:
    """What exists is documented."""
    page = (reference.FOLDER / "metrics.md").read_text(encoding="utf-8")
    assert {spec.name for spec in metrics.ALL} == set(re.findall(r"^\| `(\w+)`", page, re.MULTILINE))


@pytest.mark.parametrize("page", PROSE, ids=lambda page: page.name)
def test_every_metric_that_is_mentioned_exists(page: Path) -> None:
    """What is documented exists."""
    names = set(re.findall(r"\bagent_[a-z][a-z0-9_]+\b", page.read_text(encoding="utf-8")))
    known = {spec.name for spec in metrics.ALL} | {series for spec in metrics.ALL for series in spec.series}
    assert not names - known - {"agent_app", "agent_version"}


COMMANDS = sorted(
    {
        line
        for page in PROSE
        for block in blocks(page, "sh")
        for line in block.splitlines()
        if line.startswith(("agentgauge ", "python -m sample_agent", "python -m stack"))
    }
)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_exists(command: str) -> None:
    """The program's own parser takes it."""
    parse(command)


TARGETS = set(re.findall(r"^([a-z0-9-]+):.*##", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
NO_SUITES = {"up", "down", "page", "deploy-check", "lint", "generate", "docs", "dist", "lock"}


@pytest.mark.parametrize("page", PROSE, ids=lambda page: page.name)
def test_every_make_target_that_is_mentioned_exists(page: Path) -> None:
    """In the text as in blocks."""
    assert set(re.findall(r"`make ([a-z][a-z0-9-]*)", page.read_text(encoding="utf-8"))) <= TARGETS


def test_every_suite_says_what_is_real_in_it() -> None:
    """What exists is in the table of docs/tried.md."""
    page = (ROOT / "docs" / "tried.md").read_text(encoding="utf-8")
    assert {name for name in TARGETS - NO_SUITES if f"`make {name}`" not in page} == set()


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: page.name)
def test_every_example_is_python(page: Path) -> None:
    """Examples compile."""
    for number, block in enumerate(blocks(page, "python")):
        compile(block, f"{page.name}:{number}", "exec")


@pytest.mark.parametrize("page", PROSE, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    """Links between pages, and into the repository."""
    for target in re.findall(r"\]\(([\w/.-]+?)(?:#[\w-]+)?\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_every_page_is_on_the_site() -> None:
    """The navigation names each page once."""
    named = re.findall(r": ([\w/-]+\.md)$", (ROOT / "stack" / "docs.yml").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(named) == sorted(str(page.relative_to(ROOT / "docs")) for page in DOCS)
