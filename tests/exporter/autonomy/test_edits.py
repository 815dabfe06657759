"""Arguments as fields of text, and back: what nobody touched stays as it was, what does not fit is said."""

from __future__ import annotations

from typing import Any

import pytest

from agentgauge.autonomy.edits import Field, FieldError, edited, fields_of

SCHEMA = {
    "properties": {
        "subject": {"type": "string", "description": "One line."},
        "accounts": {"type": "array"},
        "limit": {"type": "integer"},
        "tone": {"type": "string", "enum": ["formal", "friendly"]},
        "urgent": {"type": "boolean"},
    }
}


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        ("Renewal", "line", "Renewal"),
        ("Hi,\n\nhello", "text", "Hi,\n\nhello"),
        ("x" * 81, "text", "x" * 81),
        (7, "number", "7"),
        (0.5, "number", "0.5"),
        (["Globex", "Initech"], "list", "Globex\nInitech"),
        ([], "list", ""),
        (["two\nlines"], "json", '[\n  "two\\nlines"\n]'),
        ({"a": 1}, "json", '{\n  "a": 1\n}'),
        (None, "json", "null"),
    ],
)
def test_each_argument_is_a_field_of_its_kind(value: Any, kind: str, text: str) -> None:
    """Also for a tool of which no schema is known."""
    assert fields_of({"x": value}, {}) == [Field("x", kind, text)]  # type: ignore[arg-type]  # one of the kinds


def test_what_the_agent_left_out_can_be_filled_in() -> None:
    """The tool's schema says what else there is; what stays empty stays left out."""
    names = {field.name: (field.kind, field.given, field.choices) for field in fields_of({"subject": "x"}, SCHEMA)}
    assert names == {
        "subject": ("line", True, ()),
        "accounts": ("list", False, ("",)),
        "limit": ("number", False, ("",)),
        "tone": ("choice", False, ("", "formal", "friendly")),
        "urgent": ("choice", False, ("", "true", "false")),
    }
    texts = {"subject": "x", "accounts": "", "limit": "", "tone": "friendly", "urgent": "false"}
    assert edited({"subject": "x"}, texts, SCHEMA) == {"subject": "x", "tone": "friendly", "urgent": False}


@pytest.mark.parametrize("value", ["a\r\nb\rc", ["a", "b"], {"deep": [1, None]}, 1.50, " spaces \n", "", [], None])
def test_a_field_that_nobody_touched_is_unchanged(value: Any) -> None:
    """A browser sends every field back, with its own line ends: that is not an edit."""
    (field,) = fields_of({"x": value}, {})
    sent = field.text.replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\r\n")
    assert edited({"x": value}, {"x": sent}, {}) == {"x": value}


def test_texts_are_read_as_what_the_field_holds() -> None:
    """A number stays a number, a list a list."""
    arguments = {"body": "a\nb", "limit": 10, "accounts": ["Globex"], "tone": "formal", "urgent": True}
    texts = {
        "body": "c\r\nd",
        "limit": "3",
        "accounts": "Globex\r\n\r\n Initech ",
        "tone": "friendly",
        "urgent": "false",
    }
    expected = {"body": "c\nd", "limit": 3, "accounts": ["Globex", "Initech"], "tone": "friendly", "urgent": False}
    assert edited(arguments, texts, SCHEMA) == expected
    assert edited(arguments, {"accounts": '["a", "b"]'}, SCHEMA)["accounts"] == ["a", "b"]


@pytest.mark.parametrize(
    ("field", "text", "says"),
    [
        ("limit", "many", "limit: expected a number, not 'many'"),
        ("limit", "true", "limit: expected a number, not 'true'"),
        ("limit", "NaN", "limit: expected a number, not 'NaN'"),
        ("tone", "rude", "tone: expected one of formal, friendly"),
        ("deep", "{", "deep: expected JSON"),
        (
            "colour",
            "red",
            "colour: there is no such field; the fields are limit, tone, deep, subject, accounts, urgent",
        ),
    ],
)
def test_a_text_that_does_not_fit_is_refused_with_the_field(field: str, text: str, says: str) -> None:
    """The person who typed it reads this."""
    with pytest.raises(FieldError) as refused:
        edited({"limit": 10, "tone": "formal", "deep": {}}, {field: text}, SCHEMA)
    assert str(refused.value).startswith(says)
    assert refused.value.field == field
