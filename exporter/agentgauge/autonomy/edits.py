"""Arguments as fields that a person edits as text, and the way back."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

FieldKind = Literal["line", "text", "number", "choice", "list", "json"]

LONGEST_LINE = 80
_BOOLEANS = {"true": True, "false": False}


@dataclass(frozen=True)
class Field:
    """One argument of a call: ``text`` is what a person reads and edits.

    A ``list`` holds one entry a line. ``given`` is False for an argument that the tool knows and the agent left out.
    """

    name: str
    kind: FieldKind
    text: str
    given: bool = True
    hint: str = ""
    choices: tuple[str, ...] = ()


class FieldError(ValueError):
    """A field was given a text that it cannot hold; ``field`` is its name and the message says what it can."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field


def fields_of(arguments: Mapping[str, Any], schema: Mapping[str, Any]) -> list[Field]:
    """The given arguments, then those that the tool's JSON schema knows besides; an empty schema knows none."""
    known: Mapping[str, Any] = schema.get("properties", {})
    given = [_field(name, value, known.get(name, {})) for name, value in arguments.items()]
    left_out = [_left_out(name, described) for name, described in known.items() if name not in arguments]
    return given + left_out


def edited(arguments: Mapping[str, Any], texts: Mapping[str, str], schema: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments with the fields that ``texts`` names replaced; one left out stays out while its text is empty.

    Raises FieldError for an unknown field, and for a text that the field cannot hold.
    """
    fields = {field.name: field for field in fields_of(arguments, schema)}
    result = dict(arguments)
    for name, text in texts.items():
        if name not in fields:
            raise FieldError(name, f"there is no such field; the fields are {', '.join(fields)}")
        # Browsers send every line's end as \r\n.
        if _unix(text) != _unix(fields[name].text):
            result[name] = _value(fields[name], _unix(text))
    return result


def text_of(value: Any) -> str:
    """A value as its field's text."""
    if isinstance(value, str):
        return value
    if _is_list_of_lines(value):
        return "\n".join(value)
    return json.dumps(value, ensure_ascii=False, indent=2)


def _field(name: str, value: Any, described: Mapping[str, Any]) -> Field:
    text, choices = text_of(value), _choices(described)
    kind = "choice" if text in choices else _kind(value)
    return Field(name, kind, text, hint=described.get("description", ""), choices=choices)


def _left_out(name: str, described: Mapping[str, Any]) -> Field:
    kinds: dict[str, FieldKind] = {"string": "line", "integer": "number", "number": "number", "array": "list"}
    choices = _choices(described)
    kind = "choice" if choices else kinds.get(described.get("type", ""), "json")
    return Field(name, kind, "", given=False, hint=described.get("description", ""), choices=("", *choices))


def _choices(described: Mapping[str, Any]) -> tuple[str, ...]:
    if described.get("type") == "boolean":
        return tuple(_BOOLEANS)
    return tuple(choice for choice in described.get("enum", ()) if isinstance(choice, str))


def _kind(value: Any) -> FieldKind:
    if isinstance(value, str):
        return "text" if len(value) > LONGEST_LINE or len(value.splitlines()) > 1 else "line"
    if isinstance(value, int | float):
        return "number"
    return "list" if _is_list_of_lines(value) else "json"


def _is_list_of_lines(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(entry, str) and entry.splitlines() == [entry] for entry in value)


def _value(field: Field, text: str) -> Any:
    match field.kind:
        case "line" | "text":
            return text
        case "choice":
            if text not in field.choices:
                raise FieldError(field.name, f"expected one of {', '.join(filter(None, field.choices))}")
            return _BOOLEANS.get(text, text)
        case "list" if not text.startswith("["):
            return [line.strip() for line in text.splitlines() if line.strip()]
    value = _parsed(field, text)
    if field.kind == "number" and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise FieldError(field.name, f"expected a number, not {text!r}")
    return value


def _parsed(field: Field, text: str) -> Any:
    try:
        value = json.loads(text)
    except ValueError as error:
        what = "a number" if field.kind == "number" else f"JSON ({error})"
        raise FieldError(field.name, f"expected {what}, not {text!r}") from None
    if isinstance(value, float) and not math.isfinite(value):
        raise FieldError(field.name, f"expected a number, not {text!r}")
    return value


def _unix(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")
