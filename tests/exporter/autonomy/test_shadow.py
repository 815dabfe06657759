"""What the agent suggested beside what a person did."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agentgauge.autonomy import shadow
from agentgauge.autonomy.actions import Proposal
from agentgauge.autonomy.parts import Autonomy
from tests.exporter.autonomy.policies import TEXT, written

SUGGESTED = {"subject": "Renewal", "body": "Dear Jane,\n\n10 % off."}


@pytest.mark.parametrize(
    ("done", "match", "differing"),
    [
        (SUGGESTED, "aligned", []),
        (SUGGESTED | {"body": "Dear Jane, 10 % off. "}, "aligned", []),  # white space does not count
        (SUGGESTED | {"body": "Hi Jane"}, "misaligned", ["body"]),
        (SUGGESTED | {"discount": 5}, "misaligned", ["discount"]),
        ({"subject": "Renewal"}, "misaligned", ["body"]),
        (None, "misaligned", ["subject", "body"]),
    ],
)
def test_a_suggestion_is_compared_field_by_field(
    autonomy: Autonomy, done: dict[str, Any] | None, match: str, differing: list[str]
) -> None:
    """Aligned is the same in every field; who did something else was not."""
    action = autonomy.actions.propose(Proposal("write", "medium", "suggested", SUGGESTED, {}))
    compared, where = shadow.record(autonomy.actions, autonomy.policy(), action.id, done, "jane")
    assert (compared.shadow_match, where, compared.decided_by) == (match, differing, "jane")


def test_the_policy_says_which_fields_count(autonomy: Autonomy, tmp_path: Path) -> None:
    """No two people write the same letter; whom they write to and about what can be the same."""
    written(tmp_path, TEXT.replace("write:\n", "write:\n    compared: [subject]\n"))
    action = autonomy.actions.propose(Proposal("write", "medium", "suggested", SUGGESTED, {}))
    done = {"subject": "Renewal", "body": "Hi Jane"}
    compared, where = shadow.record(autonomy.actions, autonomy.policy(), action.id, done, "jane")
    assert (compared.shadow_match, where) == ("aligned", [])
