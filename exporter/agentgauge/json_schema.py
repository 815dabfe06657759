"""Checks a value against the part of JSON Schema that tool arguments use.

Understood: type, enum, const, properties, required, additionalProperties, items, minItems, maxItems, minLength,
maxLength, pattern, minimum, maximum, exclusiveMinimum, exclusiveMaximum, anyOf, oneOf, allOf, and $ref into $defs of
the same schema. Every other keyword is ignored; an agent that needs more passes its own ``check`` to AgentApp.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Schema = Mapping[str, Any]


def check_value(value: Any, schema: Schema) -> None:
    """Raise ValueError for the first place where the value does not fit, as ``limit: expected an integer, …``."""
    _check(value, schema, schema, "")


def _check(value: Any, schema: Any, root: Schema, where: str) -> None:
    if schema is True:
        return
    if schema is False:
        raise _misfit(where, "nothing is allowed here")
    if "$ref" in schema:
        _check(value, _referenced(schema["$ref"], root), root, where)
    _check_choice(value, schema, root, where)
    if "type" in schema:
        types = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
        if not any(_is(value, one) for one in types):
            raise _misfit(
                where, f"expected {' or '.join(_TYPE_NAMES.get(one, one) for one in types)}, not {_say(value)}"
            )
    if isinstance(value, str):
        _check_text(value, schema, where)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        _check_number(value, schema, where)
    elif isinstance(value, Mapping):
        _check_object(value, schema, root, where)
    elif isinstance(value, Sequence):
        _check_array(value, schema, root, where)


def _check_choice(value: Any, schema: Schema, root: Schema, where: str) -> None:
    allowed = [schema["const"]] if "const" in schema else schema.get("enum")
    if allowed is not None and not any(_same(value, one) for one in allowed):
        raise _misfit(where, f"expected {' or '.join(map(_say, allowed))}, not {_say(value)}")
    for part in schema.get("allOf", ()):
        _check(value, part, root, where)
    for keyword in ("anyOf", "oneOf"):
        if keyword not in schema:
            continue
        problems = [problem for part in schema[keyword] if (problem := _problem(value, part, root, where)) is not None]
        fitting = len(schema[keyword]) - len(problems)
        if fitting == 0:
            raise ValueError("; or ".join(dict.fromkeys(problems)))
        if keyword == "oneOf" and fitting > 1:
            raise _misfit(where, f"{_say(value)} fits {fitting} of the forms that exclude each other")


def _problem(value: Any, schema: Any, root: Schema, where: str) -> str | None:
    try:
        _check(value, schema, root, where)
    except ValueError as error:
        return str(error)
    return None


def _check_text(value: str, schema: Schema, where: str) -> None:
    if len(value) < schema.get("minLength", 0):
        least = schema["minLength"]
        raise _misfit(where, "expected some text" if least == 1 else f"expected at least {least} characters")
    if len(value) > schema.get("maxLength", len(value)):
        raise _misfit(where, f"expected at most {schema['maxLength']} characters, not {len(value)}")
    if "pattern" in schema and re.search(schema["pattern"], value) is None:
        raise _misfit(where, f"{_say(value)} does not match the pattern {schema['pattern']}")


_BOUNDS: tuple[tuple[str, str, Callable[[float, float], bool]], ...] = (
    ("minimum", "at least", operator.ge),
    ("maximum", "at most", operator.le),
    ("exclusiveMinimum", "more than", operator.gt),
    ("exclusiveMaximum", "less than", operator.lt),
)


def _check_number(value: float, schema: Schema, where: str) -> None:
    for keyword, words, fits in _BOUNDS:
        if keyword in schema and not fits(value, schema[keyword]):
            raise _misfit(where, f"expected {words} {schema[keyword]}, not {value}")


def _check_object(value: Mapping[str, Any], schema: Schema, root: Schema, where: str) -> None:
    known = schema.get("properties", {})
    for name in schema.get("required", ()):
        if name not in value:
            raise _misfit(_inside(where, name), "is missing")
    others = schema.get("additionalProperties", True)
    for name, inner in value.items():
        if name not in known and others is False:
            raise _misfit(_inside(where, name), f"unknown; expected {', '.join(known) or 'no fields'}")
        _check(inner, known.get(name, others), root, _inside(where, name))


def _check_array(value: Sequence[Any], schema: Schema, root: Schema, where: str) -> None:
    if len(value) < schema.get("minItems", 0):
        raise _misfit(where, f"expected at least {schema['minItems']} entries, not {len(value)}")
    if len(value) > schema.get("maxItems", len(value)):
        raise _misfit(where, f"expected at most {schema['maxItems']} entries, not {len(value)}")
    for number, inner in enumerate(value):
        _check(inner, schema.get("items", True), root, _inside(where, str(number)))


_TYPE_NAMES = {
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "an object",
}


def _is(value: Any, kind: str) -> bool:
    match kind:
        case "null":
            return value is None
        case "boolean":
            return isinstance(value, bool)
        case "string":
            return isinstance(value, str)
        case "integer":
            return isinstance(value, int | float) and not isinstance(value, bool) and value == value // 1
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "array":
            return isinstance(value, Sequence) and not isinstance(value, str)
        case "object":
            return isinstance(value, Mapping)
    return True


def _same(one: Any, other: Any) -> bool:
    """Equal as JSON: True is not 1."""
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


def _referenced(reference: str, root: Schema) -> Any:
    schema: Any = root
    for part in reference.removeprefix("#/").split("/"):
        if not isinstance(schema, Mapping) or part not in schema:
            raise ValueError(f"the schema refers to {reference}, which it does not define")
        schema = schema[part]
    return schema


def _inside(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def _misfit(where: str, problem: str) -> ValueError:
    return ValueError(f"{where or 'the arguments'}: {problem}")


def _say(value: Any, longest: int = 60) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= longest else f"{text[:longest]}…"
