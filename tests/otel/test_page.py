"""docs/opentelemetry.md says which spans are understood, no more and no less."""

from __future__ import annotations

import re

import pytest

from agentgauge.otel import spellings
from agentgauge.otel.agents import MOST_AGENTS
from agentgauge.otel.payload import MOST_BYTES, MOST_SPANS
from agentgauge.otel.recording import IDLE_SECONDS
from agentgauge.otel.spellings import Spelling
from tests.imports import ROOT

PAGE = (ROOT / "docs" / "opentelemetry.md").read_text(encoding="utf-8")


def rows() -> dict[str, list[set[str]]]:
    """Of each row of the table, by its attribute: the names in its other cells."""
    lines = [line for line in PAGE.splitlines() if line.startswith("|")][2:]
    cells = [[set(re.findall(r"`([^`]+)`", cell)) for cell in line.strip("|").split("|")] for line in lines]
    return {row[1].pop(): row[2:] for row in cells}


@pytest.mark.parametrize("spelling", spellings.SPELLINGS, ids=lambda spelling: spelling.kind)
def test_the_table_is_what_the_code_understands(spelling: Spelling) -> None:
    """Each spelling has a row."""
    understood = (spelling.model_calls, spelling.tools, (*spelling.agents, *spelling.chains), spelling.conversation)
    assert rows()[spelling.kind] == [set(names) for names in understood]
    assert len(rows()) == len(spellings.SPELLINGS)


def test_the_page_says_when_a_conversation_ends() -> None:
    """In words."""
    assert "nothing was heard of it for half an hour" in PAGE
    assert IDLE_SECONDS == 30 * 60


def test_the_page_says_how_much_the_gateway_takes() -> None:
    """In words."""
    assert "more than 4 MB" in PAGE
    assert MOST_BYTES == 4 * 1024**2
    assert "more than 20 000 spans" in PAGE
    assert MOST_SPANS == 20_000
    assert "After twenty agents" in PAGE
    assert MOST_AGENTS == 20
