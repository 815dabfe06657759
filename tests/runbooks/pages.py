"""Runbook pages as tests read them: sections, queries and commands; and two agents of somebody else."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

from alerts.deployment import Deployment

RUNBOOKS = Path(__file__).resolve().parents[2] / "runbooks"

STRANGERS = Deployment(
    agents=("support_bot", "billing_bot"),
    job="my-agents",
    grafana="https://grafana.example.com",
    runbooks="https://runbooks.example.com",
    prometheus="https://prometheus.example.com",
    alertmanager="https://alerts.example.com/am",
    pager="https://pager.example.com",
    targets=("10.0.0.5:9464", "10.0.0.6:9464"),
    apps={"support_bot": "support:app", "billing_bot": "billing.agent:app"},
)
"""Two agents that have nothing to do with the demo."""

_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*)\n(?P<body>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)


def alert_pages() -> dict[str, str]:
    """Alert name → Markdown of its page; the index is not among them."""
    return {
        path.stem: path.read_text(encoding="utf-8") for path in sorted(RUNBOOKS.glob("*.md")) if path.stem != "index"
    }


def index_page() -> str:
    """Markdown of the start page."""
    return (RUNBOOKS / "index.md").read_text(encoding="utf-8")


def blocks(page: str, language: str) -> list[str]:
    """The fenced blocks of a language in some Markdown, without the indent of the list they stand in."""
    return [textwrap.dedent(found["body"]).strip() for found in _FENCE.finditer(page) if found["language"] == language]


def promql_blocks(page: str) -> list[str]:
    """The queries in some Markdown, in order."""
    return blocks(page, "promql")


def commands(page: str) -> list[str]:
    """The command lines in some Markdown, in order."""
    return [line for block in blocks(page, "sh") for line in block.splitlines() if line]


def sections(page: str) -> dict[str, str]:
    """Title → text of each second-level section, in order."""
    titles_and_texts = re.split(r"^## (.+)$", page, flags=re.MULTILINE)[1:]
    return dict(zip(titles_and_texts[::2], titles_and_texts[1::2], strict=True))


def steps(section: str) -> list[str]:
    """The numbered steps of a section, with all that is indented below them."""
    return [text for text in re.split(r"^(?=\d+\. )", section, flags=re.MULTILINE) if re.match(r"\d+\. ", text)]
