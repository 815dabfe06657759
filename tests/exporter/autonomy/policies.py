"""A policy for the tests: an agent with a look-up, a tool of each risk, and a rule."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from agentgauge.autonomy.policy import Policy, load

TOOLS: Mapping[str, Collection[str]] = {
    "find": ["words"],
    "tidy": ["folder"],
    "write": ["subject", "body", "discount"],
    "send": ["draft_id"],
}

TEXT = r"""
changed_by: jane
reason: a test
stage: approval_required
audit: { share: 0.5, seed: 1 }
tools:
  find: { risk: low, side_effect: false }
  tidy: { risk: low }
  write:
    risk: medium
    rules:
      - when: { arguments: [subject, body], matches: '(\d+(?:[.,]\d+)?)\s*(?:%|per ?cent)', above: 20 }
        then: high
        why: it speaks of more than 20 %
      - when: { arguments: [discount], above: 50 }
        then: denied
        why: nobody gives half of it away
  send: { risk: high }
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
