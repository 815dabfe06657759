"""What a call would do, as plain fields that people read: the draft behind a number, the price behind a code.

A tool's own ``preview`` says it. What people approve is bound to what they were shown.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Effect = Mapping[str, Any]
"""Field → value, as JSON: the recipient, the subject, the text, the price."""

Preview = Callable[[str, Mapping[str, Any]], Effect | None]
"""(tool, arguments) → what such a call would do now; None for a tool whose arguments say it all.

Raises what is wrong with a call that could not be carried out now, in words that the model may read.
"""


@dataclass(frozen=True)
class Simulated:
    """What a call would have come to, had it been made: the ``result`` that the model reads, as JSON, and the effect.

    The effect is None where the arguments say it all.
    """

    result: Any
    effect: Effect | None = None


@dataclass(frozen=True)
class SimulatedStep:
    """A call of a conversation that was only simulated."""

    tool: str
    arguments: Mapping[str, Any]
    outcome: Simulated


Simulate = Callable[[str, Mapping[str, Any], Sequence[SimulatedStep]], Simulated | None]
"""(tool, arguments, earlier steps of the conversation) → what the call would have come to; None if that is unknown.

It does nothing, and raises what the tool would raise.
"""


def no_preview(tool: str, arguments: Mapping[str, Any]) -> Effect | None:
    """Of tools whose arguments say all that a call does."""
    return None


def seal(tool: str, arguments: Mapping[str, Any], effect: Effect | None) -> str:
    """A short text that is the same only for the same call with the same effect."""
    document = json.dumps([tool, arguments, effect], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(document.encode("utf-8", "surrogatepass")).hexdigest()[:32]
