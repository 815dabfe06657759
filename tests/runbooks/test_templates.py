"""The runbooks' templates: right for any agent, and nothing of the demo outside its own blocks."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from alerts import thresholds
from alerts.catalog import ALERTS, by_name
from alerts.deployment import DEMO
from alerts.rules import render
from bundle import pages
from bundle.holes import TemplateError, fill, holes_in
from bundle.pages import TEMPLATES, general_holes, render_pages
from tests.commands import parse
from tests.runbooks.pages import STRANGERS, blocks, commands, promql_blocks, sections
from tests.runbooks.test_runbooks import OURS, PROGRAMS_EVERYWHERE, unknown_words

RENDERED = render(thresholds.load(), STRANGERS)
STRANGE_PAGES = render_pages(STRANGERS, RENDERED)
OF_THE_DEMO = re.compile(
    r"sales_companion|Sales Companion|sample_agent|python -m stack|127\.0\.0\.1|\.stack|`make \w|\bdemo\b|\bCRM\b"
    + "".join(rf"|\b{example}\b" for example in ("get_deal_history", "search_emails", "draft_email"))
)


@pytest.mark.parametrize("name", STRANGE_PAGES)
def test_a_page_of_another_agent_holds_nothing_of_the_demo(name: str) -> None:
    """Its ports, commands, tools and faults are in blocks that are rendered for the demo only."""
    assert OF_THE_DEMO.findall(STRANGE_PAGES[name]) == []


@pytest.mark.parametrize("name", STRANGE_PAGES)
def test_queries_and_commands_of_another_agent_work(name: str) -> None:
    """The same checks as on the demo's pages: series, labels, programs, sub-commands and options exist."""
    page = STRANGE_PAGES[name]
    for query in promql_blocks(page):
        assert unknown_words(query) == set(), query
        assert "<<" not in query
    assert [line for line in commands(page) if not line.startswith(PROGRAMS_EVERYWHERE)] == []
    for command in commands(page):
        if OURS.match(command):
            parse(command)


def test_commands_name_the_agent_its_app_and_where_everything_runs() -> None:
    """A page can be followed without knowing how it was deployed."""
    page = STRANGE_PAGES["AgentToolSuccessRateLow.md"]
    assert "agentgauge --app support:app ops disable-tool TOOL" in commands(page)
    assert [line for line in commands(page) if line.startswith("amtool")] == [
        "amtool --alertmanager.url=https://alerts.example.com/am silence add alertname=AgentToolSuccessRateLow "
        'agent=support_bot tool=TOOL --duration 1h --comment "its owner works on it" --author you'
    ]
    assert "promtool query instant https://prometheus.example.com 'up{job=\"my-agents\"}'" in commands(
        STRANGE_PAGES["index.md"]
    )


def test_a_page_still_has_its_five_parts_and_something_to_type_without_the_demo() -> None:
    """Taking the demo out leaves no empty section and no step that says nothing."""
    for alert in ALERTS:
        parts = sections(STRANGE_PAGES[f"{alert.name}.md"])
        assert list(parts) == ["Meaning", "Impact", "Diagnosis", "Mitigation", "Tuning"]
        assert blocks(parts["Mitigation"], "sh"), alert.name


def test_with_several_agents_a_page_says_whose_queries_it_shows() -> None:
    """Who reads the Markdown, or has no JavaScript, is told what to put in."""
    page = STRANGE_PAGES["AgentLatencySpike.md"]
    assert "are those of <code>support_bot</code>. For another agent (<code>billing_bot</code>)" in page
    assert 'agent="support_bot"' in page
    assert "which-agent" not in render_pages(DEMO, render(thresholds.load()))["AgentLatencySpike.md"]


def test_every_hole_that_can_be_filled_is_used() -> None:
    """A hole that no template has any more is not carried along."""
    used = {hole for path in TEMPLATES.glob("*.md") for hole in holes_in(path.read_text(encoding="utf-8"))}
    assert general_holes(DEMO).keys() - used == set()


def test_hints_to_faults_are_the_only_commands_of_the_sample_agent() -> None:
    """What the demo alone can do is to break, to be talked to, and to be started again."""
    for path in TEMPLATES.glob("*.md"):
        for line in path.read_text(encoding="utf-8").splitlines():
            if "python -m sample_agent" in line:
                assert re.search(r"python -m sample_agent (fault|chat)\b", line), f"{path.name}: {line}"


def test_a_time_to_resolve_is_taken_from_the_rule() -> None:
    """By hand a page said "within a minute" where the rule says five; the words are the box's."""
    for path in TEMPLATES.glob("*.md"):
        text = path.read_text(encoding="utf-8")
        assert re.search(r"resolves? (?:within|after) ", text) is None or "resolves after a day even if" in text, path
    numbers = thresholds.load()
    page = render_pages(DEMO, render(numbers))["AgentAllToolCallsFailing.md"]
    later = numbers.alerts["AgentAllToolCallsFailing"].keep_firing_for
    assert f"| **Resolves** | {later} after the condition no longer holds |" in page
    assert f"The alert resolves {later} after the condition no longer holds" in page


def test_a_baseline_is_described_by_the_rule() -> None:
    """The formula of a usual day is written once, beside its query."""
    pages_of_the_demo = render_pages(DEMO, render(thresholds.load()))
    for name in ("AgentCostSpike", "AgentToolSpendAnomaly"):
        assert f"| **Baseline** | {by_name(name).baseline} |" in pages_of_the_demo[f"{name}.md"]
        assert "24 times the mean" not in pages_of_the_demo[f"{name}.md"]


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("a\n<<agnt>>\n", r"x\.md:2: unknown hole <<agnt>>; the known ones are agent"),
        ("<<if dmo>>\n<<end>>\n", r"x\.md:1: unknown condition 'dmo'; the known ones are demo"),
        ("<<if demo>>\na\n", r"x\.md: <<if demo>> has no <<end>>"),
        ("a\n<<end>>\n", r"x\.md:2: <<end>> without an <<if …>> before it"),
        ("<<if demo>>\n<<if demo>>\n", r"x\.md:2: <<if demo>> stands inside <<if demo>>"),
    ],
)
def test_a_slip_in_a_template_is_named_by_file_and_line(template: str, message: str) -> None:
    """Nothing half-filled reaches a page."""
    with pytest.raises(TemplateError, match=message):
        fill(template, {"agent": "a"}, {"demo": True}, where="x.md")


@pytest.mark.parametrize(("demo", "expected"), [(True, "a\n  1\n  2\n"), (False, "a\nother\n")])
def test_a_block_is_there_or_not_and_a_value_keeps_the_indent_of_its_hole(demo: bool, expected: str) -> None:
    """So that a value of several lines can stand in a list or an admonition."""
    template = "a\n<<if demo>>\n  <<lines>>\n<<else>>\nother\n<<end>>\n"
    assert fill(template, {"lines": "1\n2"}, {"demo": demo}, where="x") == expected


def test_every_alert_has_a_template_and_every_template_an_alert(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing or left-over page stops the rendering with its name."""
    for path in TEMPLATES.glob("*.md"):
        (tmp_path / path.name).write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setattr(pages, "TEMPLATES", tmp_path)
    (tmp_path / "AgentLatencySpike.md").rename(tmp_path / "AgentLatencySpikes.md")
    with pytest.raises(TemplateError, match=r"AgentLatencySpikes\.md: AgentLatencySpikes is not an alert"):
        render_pages(DEMO, RENDERED)
    (tmp_path / "AgentLatencySpikes.md").unlink()
    with pytest.raises(TemplateError, match=r"AgentLatencySpike\.md is missing: every alert has a page"):
        render_pages(DEMO, RENDERED)
