"""The runbooks: complete, true to the metrics and commands that exist, and a site that opens at 3 a.m."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from agentgauge import metrics
from alerts import catalog, links, promql, thresholds
from alerts.deployment import DEMO
from alerts.model import Alert, Record
from alerts.rules import render
from bundle.site import build_site
from sample_agent.faults import FAULTS
from sample_agent.sales.tools import TOOLS_BY_NAME
from tests.commands import parse
from tests.runbooks.pages import alert_pages, blocks, commands, index_page, promql_blocks, sections, steps

ROOT = Path(__file__).resolve().parents[2]
PAGES = alert_pages()
ALL_PAGES = {**PAGES, "index": index_page()}
SECTIONS = ["Meaning", "Impact", "Diagnosis", "Mitigation", "Tuning"]

COMMANDS = sorted({command for page in ALL_PAGES.values() for command in commands(page)})
OURS = re.compile(r"agentgauge |python -m (sample_agent|stack) ")
OUR_COMMANDS = [command for command in COMMANDS if OURS.match(command)]
AMTOOL = f"amtool --alertmanager.url={DEMO.alertmanager} "
PROGRAMS_EVERYWHERE = (
    "agentgauge ",
    "amtool --alertmanager.url=",
    "promtool ",
    "curl ",
    "grep ",
    "tail ",
    "python -m pip install --upgrade genai-prices",
)
PROGRAMS_OF_THE_DEMO = (
    "python -m sample_agent ",
    "python -m stack ",
    "make ",
    "cat .stack/",
    "echo ",
    ". .venv/bin/activate",
    'export PATH="$PWD/.stack/bin:$PATH"',
)

KEYWORDS = {"and", "or", "unless", "offset", "bool"}
GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\b\s*(?:\(([^)]*)\))?")
LABELS_OF_OTHERS = {
    "up": {"job", "instance"},
    "scrape_duration_seconds": {"job", "instance"},
    "process_resident_memory_bytes": {"job", "instance"},
    "ALERTS": {"alertname", "alertstate", "severity", "agent", "job"},
    "prometheus_rule_evaluation_failures_total": {"job", "instance", "rule_group"},
    "prometheus_rule_group_rules": {"job", "instance", "rule_group"},
    "prometheus_config_last_reload_successful": {"job", "instance"},
    "prometheus_config_last_reload_success_timestamp_seconds": {"job", "instance"},
    "prometheus_notifications_alertmanagers_discovered": {"job", "instance"},
    "prometheus_notifications_dropped_total": {"job", "instance"},
    "prometheus_notifications_errors_total": {"job", "instance", "alertmanager"},
    "alertmanager_config_last_reload_successful": {"job", "instance"},
    "alertmanager_config_last_reload_success_timestamp_seconds": {"job", "instance"},
    "alertmanager_notifications_total": {"job", "instance", "integration"},
    "alertmanager_notifications_failed_total": {"job", "instance", "integration"},
    "alertmanager_notification_requests_failed_total": {"job", "instance", "integration"},
    "process_start_time_seconds": {"job", "instance"},
}


def labels_by_series() -> dict[str, set[str]]:
    """Every series a query may name, with the labels it carries."""
    known = dict(LABELS_OF_OTHERS)
    for spec in metrics.ALL:
        for series in spec.series:
            known[series] = {*spec.label_names, *promql.TARGET_LABELS, *(["le"] if series.endswith("_bucket") else [])}
    for record in catalog.RECORDS:
        known[record.name] = labels_kept(record, known)
    return known


def labels_kept(record: Record, known: dict[str, set[str]]) -> set[str]:
    """The labels that a recording rule sums by; if it sums nothing, those of the records it is made of."""
    summed = {label.strip() for inside in GROUPING.findall(record.expr) if inside for label in inside.split(",")}
    parts = [known[name] for name in re.findall(r"[a-z]\w*:\w+:\w+", record.expr)]
    return summed or set[str]().union(*parts)


KNOWN_SERIES = labels_by_series()


def unknown_words(query: str) -> set[str]:
    """The series that do not exist and the labels that none of the query's series carries."""
    text = re.sub(r'"[^"]*"', '""', query)
    labels = {label for inside in re.findall(r"\{([^}]*)\}", text) for label in re.findall(r"(\w+)\s*[=!]", inside)}
    labels |= {label.strip() for inside in GROUPING.findall(text) for label in inside.split(",") if label.strip()}
    text = GROUPING.sub(" ", re.sub(r"\{[^}]*\}|\[[^\]]*\]", " ", text))
    series = set(re.findall(r"(?<![\w.:])[a-zA-Z_][\w:]*\b(?!\s*\()", text)) - KEYWORDS
    carried = {label for name in series & KNOWN_SERIES.keys() for label in KNOWN_SERIES[name]}
    return (series - KNOWN_SERIES.keys()) | (labels - carried)


def test_every_alert_has_a_page_and_every_page_an_alert() -> None:
    """A link in a page at 3 a.m. leads somewhere, and no page outlives its alert."""
    assert PAGES.keys() == {alert.name for alert in catalog.ALERTS}


@pytest.mark.parametrize("name", PAGES)
def test_page_is_built_as_readers_expect(name: str) -> None:
    """Title, one sentence, the one next step, fact box, then five sections in the same order everywhere."""
    page = PAGES[name]
    parts = [f"# {name}\n", '!!! tip "Do this first"', "| | |\n|---|---|\n| **Fires when** |", "## Meaning"]
    places = [page.find(part) for part in parts]
    assert -1 not in places
    assert places == sorted(places)
    assert list(sections(page)) == SECTIONS
    assert all(text.strip() for text in sections(page).values())


@pytest.mark.parametrize("name", PAGES)
def test_every_label_of_the_alert_is_explained(name: str) -> None:
    """Meaning has a row for each label that the page at the pager carries."""
    meaning = sections(PAGES[name])["Meaning"]
    assert [label for label in catalog.by_name(name).labels if f"| `{label}` |" not in meaning] == []


@pytest.mark.parametrize("name", PAGES)
def test_every_step_of_the_diagnosis_has_a_query_and_answers(name: str) -> None:
    """A step without a query, or a query whose answer leads nowhere, costs minutes at night."""
    found = steps(sections(PAGES[name])["Diagnosis"])
    assert len(found) >= 3
    assert [step.splitlines()[0] for step in found if not promql_blocks(step) or "    * " not in step] == []


@pytest.mark.parametrize("name", PAGES)
def test_mitigation_says_what_to_type_and_how_to_tell_that_it_worked(name: str) -> None:
    """Numbered steps with commands, and a sign of success."""
    mitigation = sections(PAGES[name])["Mitigation"]
    assert any(commands(step) for step in steps(mitigation))
    assert "worked when" in mitigation


@pytest.mark.parametrize("name", ALL_PAGES)
def test_page_is_finished(name: str) -> None:
    """Nobody is woken up to read a note to its author."""
    assert re.search(r"TODO|FIXME|XXX|TBD", ALL_PAGES[name]) is None


@pytest.mark.parametrize("name", ALL_PAGES)
def test_every_fence_is_closed_and_of_a_language_that_is_checked(name: str) -> None:
    """A query in a block that is not marked as one would escape these tests."""
    page = ALL_PAGES[name]
    understood = sum(len(blocks(page, language)) for language in ("promql", "sh", "yaml"))
    assert 2 * understood == len(re.findall(r"^ *```", page, re.MULTILINE))


@pytest.mark.parametrize("name", PAGES)
def test_queries_name_only_series_and_labels_that_exist(name: str) -> None:
    """A renamed metric must not leave an empty answer that reads like good news."""
    for query in promql_blocks(PAGES[name]):
        assert query
        assert unknown_words(query) == set(), query
        assert promql.fill(query) == query


@pytest.mark.parametrize(
    ("query", "unknown"),
    [
        ("sum(agent_tool_call_total)", {"agent_tool_call_total"}),
        ('agent_tool_calls_total{result="error"}', {"result"}),
        ("sum by (agent, model) (increase(agent_tool_calls_total[5m]))", {"model"}),
        ("histogram_quantile(0.9, sum by (le) (rate(agent_tasks_total[5m] offset 1d)))", {"le"}),
        ('agent:agent_spend_usd:last24h{agent="a", tool="b"}', {"tool"}),
        ("agent_tool_errors:seen5m > 0 unless on (agent) up", {"agent_tool_errors:seen5m", "agent"}),
    ],
)
def test_the_check_of_queries_finds_what_does_not_exist(query: str, unknown: set[str]) -> None:
    """The check above is useless if it lets everything pass."""
    assert unknown_words(query) == unknown


@pytest.mark.parametrize("name", ALL_PAGES)
def test_commands_start_with_a_program_that_is_there(name: str) -> None:
    """A runbook asks for nothing that is not there."""
    assert [
        line for line in commands(ALL_PAGES[name]) if not line.startswith(PROGRAMS_EVERYWHERE + PROGRAMS_OF_THE_DEMO)
    ] == []


@pytest.mark.parametrize("command", OUR_COMMANDS)
def test_command_exists_with_its_options(command: str) -> None:
    """The program's own parser takes it: sub-command, options, and all arguments that it needs."""
    parse(command)


@pytest.mark.parametrize("command", [command for command in COMMANDS if command.startswith("make ")])
def test_make_target_exists(command: str) -> None:
    """`make up` and the like are targets of the Makefile."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(rf"^{command.removeprefix('make ')}:", makefile, re.MULTILINE)


def test_faults_and_tools_that_commands_name_exist() -> None:
    """The parser above takes any word for an argument, so the words are held here."""
    faults = [word for command in OUR_COMMANDS if " fault " in command for word in _words_after(command, "fault")]
    assert set(faults) <= {*FAULTS, "inject", "list", "clear"}
    tools = re.findall(r"(?:disable-tool|enable-tool|--tool) (\S+)", "\n".join(OUR_COMMANDS))
    assert set(tools) <= TOOLS_BY_NAME.keys()
    assert faults
    assert tools


def _words_after(command: str, word: str) -> list[str]:
    words = shlex.split(command.partition(" --")[0])
    return words[words.index(word) + 1 :]


@pytest.mark.parametrize("name", PAGES)
def test_silence_is_for_this_alert_with_labels_that_it_carries(name: str) -> None:
    """A pasted silence mutes this alert, nothing else, and not for ever."""
    silences = [line for line in commands(sections(PAGES[name])["Tuning"]) if line.startswith(f"{AMTOOL}silence add ")]
    assert len(silences) == 1
    words = _words_after(silences[0].removeprefix(AMTOOL).replace("silence add", "silence"), "silence")
    matchers = dict(word.split("=") for word in words)
    assert matchers.pop("alertname") == name
    assert matchers.keys() <= set(catalog.by_name(name).labels)
    assert " --duration " in silences[0]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runbook site, built as the stack builds it: any warning is an error."""
    folder = tmp_path_factory.mktemp("site")
    build_site(DEMO, render(thresholds.load()), folder)
    return folder


@pytest.mark.parametrize("alert", catalog.ALERTS, ids=lambda alert: alert.name)
def test_runbook_link_opens_the_page(site: Path, alert: Alert) -> None:
    """The address in a page is a folder of the site, and holds the page of that alert with its five sections."""
    address = links.runbook_url("", alert.name)
    page = (site / address.strip("/") / "index.html").read_text(encoding="utf-8")
    assert re.search(rf"<h1[^>]*>{alert.name}<", page)
    assert [title for title in SECTIONS if f'<h2 id="{title.lower()}">' not in page] == []


def test_site_loads_nothing_from_outside(site: Path) -> None:
    """It has to open when the network is what is broken."""
    loading = re.compile(r"<(?:link|script|img|iframe|source)\b[^>]*\b(?:href|src)=[\"']?(?:https?:)?//[^>]*>")
    styles = re.compile(r"(?:@import|url\()\s*[\"']?(?:https?:)?//[^)\"']*")
    pages = [path.read_text(encoding="utf-8") for path in site.rglob("*.html")]
    sheets = [path.read_text(encoding="utf-8") for path in site.rglob("*.css")]
    assert len(pages) > len(PAGES)
    assert sheets
    assert [found for page in pages for found in loading.findall(page)] == []
    assert [found for sheet in sheets for found in styles.findall(sheet)] == []
