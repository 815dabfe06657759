"""What people are shown before they decide: nothing hidden in a text, what an edit changes, how long it waited."""

from __future__ import annotations

import difflib
import itertools
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from agentgauge.argument_diff import differences
from agentgauge.autonomy.action import Action
from agentgauge.autonomy.edits import text_of

GIST_LENGTH = 100

NO_PREVIEW = "The arguments as the model wrote them: this tool has no preview that says what the call would do."
"""Said of what waits where nobody but the model says what would happen."""

_WORDS = re.compile(r"\S+\s*|\s+")
_JOINERS = "\u200c\u200d"  # what Persian words and family emoji are made with


@dataclass(frozen=True)
class Piece:
    """A stretch of a text: in both versions, only in the one before, or only in the one after."""

    kind: Literal["same", "removed", "added"]
    text: str


@dataclass(frozen=True)
class FieldChange:
    """What an edit does to one field."""

    field: str
    pieces: tuple[Piece, ...]


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[FieldChange]:
    """The fields that differ, each compared word by word."""
    changed = [one.field for one in differences(before, after)]
    return [FieldChange(name, tuple(_pieces(_text(before, name), _text(after, name)))) for name in changed]


def visible(text: str) -> str:
    """The text with what has no shape spelled out, such as ``⟨U+202E⟩``.

    An escape sequence could rewrite a terminal, and an invisible character could make a text read as what it is not.
    """
    return "".join(
        f"⟨U+{ord(character):04X}⟩" if _has_no_shape(character) else character
        for character in text.replace("\r\n", "\n")
    )


def gist(arguments: Mapping[str, Any]) -> str:
    """The arguments in one line, to tell actions apart in a list; numbers and the like with their names."""
    texts = [
        text_of(value) if isinstance(value, str) else f"{name} {text_of(value)}" for name, value in arguments.items()
    ]
    return " · ".join(visible(" ".join(text.split()))[:GIST_LENGTH] for text in texts)


def too_late(action: Action) -> str:
    """For somebody whose decision, or verdict, was not taken: what became of the action before."""
    if action.verdict is not None:
        return f"Somebody was faster and judged it: {action.verdict}. Your verdict was not kept."
    if action.decision == "expired":
        return "It expired before you decided. It was not done, and the agent was told."
    if action.decision is None:
        return "It does not wait for that. Nothing was done."
    who, when = decided_by(action), ago(action.decided_at)
    return f"It was {action.decision} {when} ago by {who}, who was faster. Your decision was not kept."


def decided_by(action: Action) -> str:
    """Who decided; the user who asked for it, and decided in the chat, is not named."""
    if action.decided_by is None:
        return "nobody"
    return "the user" if action.decided_by == action.proposal.user_id else visible(action.decided_by)


def ago(at: datetime | None) -> str:
    """How long ago that was."""
    return "" if at is None else how_long((datetime.now(UTC) - at).total_seconds())


def until(at: datetime | None) -> str:
    """How long it is until then."""
    return "" if at is None else how_long((at - datetime.now(UTC)).total_seconds())


def how_long(seconds: float) -> str:
    """A stretch of time in its largest unit, rounded down: ``40 s``, ``12 min``, ``3 h``, ``2 d``."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{int(seconds / size)} {unit}"
    return f"{int(max(seconds, 0))} s"


def _text(arguments: Mapping[str, Any], name: str) -> str:
    return visible(text_of(arguments[name])) if name in arguments else ""


def _pieces(before: str, after: str) -> list[Piece]:
    old, new = _WORDS.findall(before), _WORDS.findall(after)
    pieces = []
    for operation, old_from, old_to, new_from, new_to in difflib.SequenceMatcher(None, old, new).get_opcodes():
        removed, added = "".join(old[old_from:old_to]), "".join(new[new_from:new_to])
        if operation == "equal":
            pieces.append(Piece("same", added))
            continue
        # The space after a word stays, if only the word changes.
        space = removed[len(removed.rstrip()) :]
        kept = space if operation == "replace" and added[len(added.rstrip()) :] == space else ""
        pieces += [
            Piece("removed", removed.removesuffix(kept)),
            Piece("added", added.removesuffix(kept)),
            Piece("same", kept),
        ]
    found = itertools.groupby((piece for piece in pieces if piece.text), lambda piece: piece.kind)
    return [Piece(kind, "".join(piece.text for piece in group)) for kind, group in found]


def _has_no_shape(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cf") and character not in f"\n\t{_JOINERS}"
