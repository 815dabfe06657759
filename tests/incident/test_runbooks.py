"""The runbooks as `agentgauge incident` reads them: one text, whose words and conditions lead to the same place."""

from __future__ import annotations

import re

import pytest

from agentgauge.incident.runbook import Mitigation, Reading, RunbookError, Step, Target, read
from alerts import catalog, thresholds
from alerts.deployment import DEMO
from alerts.rules import render
from bundle.pages import render_pages
from tests.runbooks.pages import STRANGERS
from tests.runbooks.test_runbooks import GROUPING, KNOWN_SERIES

PAGES = {name.removesuffix(".md"): text for name, text in render_pages(DEMO, render(thresholds.load())).items()}
BOOKS = {name: read(text, f"runbooks/{name}.md") for name, text in PAGES.items() if name != "index"}

STEPS = [pytest.param(step, id=f"{name}-{step.number}") for name, book in BOOKS.items() for step in book.steps]

SAYS_NOTHING = re.compile(r"\bno rows?\b|\bnone\b", re.IGNORECASE)


@pytest.mark.parametrize("step", STEPS)
def test_every_reading_has_a_condition_and_one_of_them_holds(step: Step) -> None:
    """The last one holds for whatever the others do not, and no earlier one hides it."""
    written = [str(reading.condition) for reading in step.readings]
    assert "None" not in written
    assert written.index("otherwise") == len(written) - 1


@pytest.mark.parametrize("step", STEPS)
def test_the_page_says_what_an_empty_answer_means(step: Step) -> None:
    """In words, and in the reading that is taken then."""
    taken = next(reading for reading in step.readings if reading.condition is not None and reading.condition.holds([]))
    assert SAYS_NOTHING.search(taken.text), taken.text


@pytest.mark.parametrize("step", STEPS)
def test_conditions_look_at_labels_that_the_query_returns(step: Step) -> None:
    """A condition on another label never holds, and nobody would notice."""
    returned = _labels(step.queries[0])
    for reading in step.readings:
        assert reading.condition is None or reading.condition.labels <= returned, reading.text


def _labels(query: str) -> set[str]:
    grouped = {label.strip() for listed in re.findall(r"\bby \(([^)]*)\)", query) for label in listed.split(",")}
    if grouped:
        return grouped | set(re.findall(r'"(\w+)", "[^"]*", "", ""', query))  # what label_replace adds
    words = set(re.findall(r"[a-zA-Z_][\w:]*", GROUPING.sub("", query)))
    return {label for series in words & KNOWN_SERIES.keys() for label in KNOWN_SERIES[series]}


def test_readings_lead_to_pages_and_steps_that_exist() -> None:
    """Within a page that is checked when it is read; here across pages."""
    for name, book in BOOKS.items():
        for reading in (reading for step in book.steps for reading in step.readings):
            if reading.target is not None and reading.target.page is not None:
                other = BOOKS[reading.target.page]
                assert reading.target.step is None or other.step(reading.target.step), f"{name}: {reading.text}"


def test_every_page_is_read_for_agents_of_others_as_well() -> None:
    """What only the demo has is not what holds a page together."""
    pages = render_pages(STRANGERS, render(thresholds.load(), STRANGERS))
    books = {name: read(text, name) for name, text in pages.items() if name != "index.md"}
    assert len(books) == len(catalog.ALERTS)
    for book in books.values():
        lines = [line for one in book.mitigations for block in one.blocks for line in block]
        assert not [line for line in lines if "sample_agent" in line]


PAGE = """# AgentLost
<!-- Rendered from a template. -->

It is gone, and
**nobody** knows.

## Diagnosis

1. **Is it `up`?** One row for each.

    ```promql
    up
    ```

    * One: go to step 2. <!-- when one row == 1 -->
    * Several, or
      no rows: see [AgentGone](AgentGone.md), step 3.
      <!-- when several rows == 1 or
      no rows -->
    * Else: Mitigation 1, and step 2 for the cause. <!-- when otherwise -->

2. **Why?**

    ```promql
    sum(up)
    ```

    * It is over.

## Mitigation

1. **Start it,** and wait.
   It takes a minute.

    ```sh
    agentgauge ops tools
    agentgauge ops enable-tool TOOL
    ```

    Undo it:

    ```sh
    agentgauge ops disable-tool TOOL
    ```

2. **Tell its owner.**
"""


def test_a_page_is_read_from_its_words() -> None:
    """Questions, queries, readings with where they lead; what to type."""
    book = read(PAGE, "AgentLost.md")
    assert (book.alert, book.summary) == ("AgentLost", "It is gone, and nobody knows.")
    step, _ = book.steps
    assert (step.number, step.question, step.queries) == (1, "Is it up?", ("up",))
    assert [(reading.text, reading.target) for reading in step.readings] == [
        ("One: go to step 2.", Target(step=2)),
        ("Several, or no rows: see AgentGone, step 3.", Target(page="AgentGone", step=3)),
        ("Else: Mitigation 1, and step 2 for the cause.", Target(mitigation=1)),
    ]
    assert str(step.readings[1].condition) == "several rows == 1 or no rows"
    assert book.steps[1].readings == (Reading("It is over.", None, None, 28),)
    assert book.mitigations == (
        Mitigation(
            1,
            "Start it, and wait. It takes a minute.",
            (("agentgauge ops tools", "agentgauge ops enable-tool TOOL"), ("agentgauge ops disable-tool TOOL",)),
            32,
        ),
        Mitigation(2, "Tell its owner.", (), 46),
    )


def test_what_only_the_demo_has_comes_first() -> None:
    """What is broken there is broken on purpose, and mended by clearing it."""
    demo = '    !!! example "In the demo"\n        ```sh\n        python -m stack status\n        ```\n'
    page = PAGE.replace("    Undo it:\n", demo)
    assert [block[0] for block in read(page, "x").mitigations[0].blocks] == [
        "python -m stack status",
        "agentgauge ops tools",
        "agentgauge ops disable-tool TOOL",
    ]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("# AgentLost", "AgentLost", r"AgentLost\.md:1: no title"),
        ("**Why?**", "Why?", r"AgentLost\.md:22: step 2 does not begin with its question in bold"),
        ("```promql\n    sum(up)", "```\n    sum(up)", r"AgentLost\.md:22: step 2 has no promql block"),
        ("    * ", "    ", r"AgentLost\.md:9: step 1 has no list of what its answers mean"),
        ("one row == 1", "one row is 1", r"AgentLost\.md:15: 'one row is 1' is not a condition"),
        ("go to step 2", "go to step 7", r"AgentLost\.md:15: leads to step 7, which the page does not have"),
        ("Mitigation 1", "Mitigation 4", r"AgentLost\.md:20: leads to Mitigation 4, which is not there"),
        ("step 2. <!--", "step 2. <!-- when no rows --> <!--", r"AgentLost\.md:15: two conditions"),
    ],
)
def test_a_slip_in_a_page_is_named_by_file_and_line(old: str, new: str, message: str) -> None:
    """The author of the page reads it, not the on-call."""
    with pytest.raises(RunbookError, match=message):
        read(PAGE.replace(old, new), "AgentLost.md")
