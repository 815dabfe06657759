"""What differs between two sets of arguments."""

from __future__ import annotations

from typing import Any

import pytest

from agentgauge.argument_diff import Difference, differences, differing_fields, flattened


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1}, {"a": 1.0}, []),
        ({"a": 1}, {"a": True}, [Difference("a", 1, True)]),
        ({"a": [1]}, {"a": [True]}, [Difference("a", [1], [True])]),
        ({"a": {"x": 1, "y": 2}}, {"a": {"y": 2, "x": 1}}, []),
        ({"a": "x"}, {"b": "x"}, [Difference("a", "x", None), Difference("b", None, "x")]),
        ({}, {"a": None}, [Difference("a", None, None)]),
        ({"a": "x y"}, {"a": "x  y"}, [Difference("a", "x y", "x  y")]),
    ],
)
def test_fields_are_compared_as_json(before: dict[str, Any], after: dict[str, Any], expected: list[Difference]) -> None:
    """In the order of the fields; a field that came or went differs."""
    assert differences(before, after) == expected


@pytest.mark.parametrize(
    ("after", "compared", "expected"),
    [
        ({"to": "jane", "text": "Dear  Jane,\n\nhello "}, None, []),
        ({"to": "jane", "text": "Dear Jane, hello", "cc": None}, None, []),
        ({"to": "joe", "text": "Hi"}, None, ["to", "text"]),
        ({"to": "joe", "text": "Hi"}, ["to"], ["to"]),
        ({"to": "jane"}, None, ["text"]),
    ],
)
def test_what_a_person_did_differs_only_in_what_it_says(
    after: dict[str, Any], compared: list[str] | None, expected: list[str]
) -> None:
    """Not in white space, nor in a field that is null instead of missing."""
    assert differing_fields({"to": "jane", "text": "Dear Jane, hello"}, after, compared) == expected


def test_a_document_is_compared_by_the_path_to_each_value() -> None:
    """As the ledger tells what changed in a policy."""
    before: dict[str, Any] = {"tools": {"send": {"risk": "high", "rules": []}}}
    after: dict[str, Any] = {"tools": {"send": {"risk": "medium", "rules": []}}}
    changed = differences(flattened(before), flattened(after))
    assert changed == [Difference("tools.send.risk", "high", "medium")]
