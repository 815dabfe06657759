"""What an edit changed, field by field: added, removed, shortened, its greeting, and so on."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from agentgauge.argument_diff import differences

NOTICEABLE = 0.1
"""A text counts as longer or shorter from this share of change on."""
MOST_WORDS = 1_000
"""Of a text that is compared word by word."""


@dataclass(frozen=True)
class EditHabit:
    """What happened to a field, such as ``tag added``; ``by`` is the share by which a text or number grew or shrank.

    ``put_in`` are the words that were put into a text of which nothing else was changed.
    """

    what: str
    field: str
    by: float | None = None
    put_in: tuple[str, ...] = ()


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[EditHabit]:
    """The changes from the proposed arguments to those that a person made of them, in the order of the fields."""
    return [
        EditHabit(what.format(field=one.field), one.field, by, words_put_in(one.before, one.after))
        for one in differences(before, after)
        for what, by in _changes_of(one.before, one.after)
    ]


def _changes_of(old: Any, new: Any) -> Iterator[tuple[str, float | None]]:
    """What changed in one field, with a hole for its name, and by how much."""
    match old, new:
        case _ if _is_empty(old) and _is_empty(new):
            return
        case _ if _is_empty(old):
            yield "{field} added", None
        case _ if _is_empty(new):
            yield "{field} removed", None
        case list(), list():
            added = any(entry not in old for entry in new)
            removed = any(entry not in new for entry in old)
            if added:
                yield "entry added to {field}", None
            if removed:
                yield "entry removed from {field}", None
            if not added and not removed:
                yield "{field} reordered", None
        case str(), str() if _is_prose(old) or _is_prose(new):
            yield from _changes_of_text(old, new)
        case ((int() | float()), (int() | float())) if not isinstance(old, bool) and not isinstance(new, bool):
            yield "{field} raised" if new > old else "{field} lowered", abs(new - old) / abs(old) if old else None
        case _:
            yield "{field} changed", None


def _changes_of_text(old: str, new: str) -> Iterator[tuple[str, float | None]]:
    old_greeting, old_rest = _greeting_and_rest(old)
    new_greeting, new_rest = _greeting_and_rest(new)
    if old_greeting != new_greeting:
        yield "greeting of {field} changed", None
    if old_rest == new_rest:
        return
    growth = len(new_rest) / max(1, len(old_rest)) - 1
    if growth <= -NOTICEABLE:
        yield "{field} shortened", -growth
    elif growth >= NOTICEABLE:
        yield "{field} lengthened", growth
    else:
        yield "{field} reworded", None


def words_put_in(old: Any, new: Any) -> tuple[str, ...]:
    """What was put into a text whose own words all stayed as they were; () if any was changed or taken out."""
    if not (isinstance(old, str) and isinstance(new, str)):
        return ()
    before, after = old.split(), new.split()
    if not before or len(after) > MOST_WORDS:
        return ()
    steps = [step for step in SequenceMatcher(None, before, after, autojunk=False).get_opcodes() if step[0] != "equal"]
    if any(kind != "insert" for kind, *_ in steps):
        return ()
    return tuple(" ".join(after[start:end]) for *_, start, end in steps)


def _greeting_and_rest(text: str) -> tuple[str, str]:
    """A first line such as ``Dear Jane,``, and what follows it; the greeting is empty without such a line."""
    letter = re.match(r"([^\n]{1,80}[,!:])\s*\n(.*)", text, re.DOTALL)
    return (letter[1], letter[2].strip()) if letter else ("", text.strip())


def _is_prose(text: str) -> bool:
    return len(text.split()) > 1


def _is_empty(value: Any) -> bool:
    return value is None or value in ("", [], {})
