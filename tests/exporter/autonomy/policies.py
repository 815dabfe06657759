"""A policy for the tests: an agent with a look-up, a tool of each risk, and a rule."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agentgauge.autonomy.policy import Policy, load
from agentgauge.tool import Tool


def _schema(*arguments: str) -> Mapping[str, Any]:
    return {"type": "object", "properties": {name: {} for name in arguments}, "additionalProperties": False}


TOOLS = (
    Tool("find", _schema("words"), "low", side_effect=False),
    Tool("tidy", _schema("folder"), "low"),
    Tool("write", _schema("subject", "body", "discount"), "medium"),
    Tool("send", _schema("draft_id"), "high"),
)
TOOL_NAMES = [tool.name for tool in TOOLS]

TEXT = r"""
changed_by: jane
reason: a test
stage: approval_required
audit: { share: 0.5, seed: 1 }
tools:
  tidy: {}
  write:
    rules:
      - when: { arguments: [subject, body], matches: '(\d+(?:[.,]\d+)?)\s*(?:%|per ?cent)', above: 20 }
        then: high
        why: it speaks of more than 20 %
      - when: { arguments: [discount], above: 50 }
        then: denied
        why: nobody gives half of it away
  send: { compared: [draft_id] }
"""


def written(folder: Path, text: str = TEXT) -> Path:
    """The policy file in a folder."""
    path = folder / "policy.yml"
    path.write_text(text, encoding="utf-8")
    return path


def policy(folder: Path, *changes: tuple[str, str]) -> Policy:
    """The policy, with texts replaced in its file."""
    text = TEXT
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    return load(written(folder, text), TOOLS)
