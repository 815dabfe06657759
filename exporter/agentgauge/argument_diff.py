"""What differs between two sets of arguments, or two JSON documents: one answer for pages, ledger and feedback."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Difference:
    """A field that is not the same in both; None where it is missing (or null)."""

    field: str
    before: Any
    after: Any


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Difference]:
    """The fields that differ, in their order, compared as JSON: true is not 1, but 1 is 1.0; missing is not null."""
    fields = dict.fromkeys([*before, *after])
    return [
        Difference(field, before.get(field), after.get(field))
        for field in fields
        if (field in before) != (field in after) or not _same(before[field], after[field])
    ]


def differing_fields(
    before: Mapping[str, Any], after: Mapping[str, Any], compared: Collection[str] | None = None
) -> list[str]:
    """The fields that differ in what they say, or those of ``compared`` only.

    White space does not count, and null is the same as missing.
    """
    found = [one.field for one in differences(_in_essence(before), _in_essence(after))]
    return [field for field in found if compared is None or field in compared]


def flattened(document: Mapping[str, Any], inside: str = "") -> dict[str, Any]:
    """A document with one level of fields: ``{"send": {"risk": "high"}}`` becomes ``{"send.risk": "high"}``."""
    return dict(_leaves(document, inside))


def _leaves(document: Mapping[str, Any], inside: str) -> Iterator[tuple[str, Any]]:
    for key, value in document.items():
        name = f"{inside}.{key}" if inside else key
        if isinstance(value, Mapping):
            yield from _leaves(value, name)
        else:
            yield name, value


def _in_essence(arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {
        field: " ".join(value.split()) if isinstance(value, str) else value
        for field, value in arguments.items()
        if value is not None
    }


def _same(one: Any, other: Any) -> bool:
    if _is_number(one) and _is_number(other):
        return bool(one == other)
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
