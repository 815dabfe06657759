"""A conversation that went wrong, as it is kept: when and why, what was said, and how old the data behind it were."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from agentgauge.vocabulary import TranscriptCause, TranscriptText


@dataclass(frozen=True)
class LookUp:
    """What an answer rests on: a tool that was called, and how old its result was if it came from the cache."""

    tool: str
    cached_seconds: float | None = None


@dataclass(frozen=True)
class Occasion:
    """Why a transcript is kept, at ``at`` (UTC).

    ``detail`` is the reason of a thumb or of a reviewer, the seconds of a slow turn. ``question`` and ``answer`` are
    what was said last by then, empty if no text is kept; ``look_ups`` are those made in between.
    """

    cause: TranscriptCause
    at: datetime
    detail: str = ""
    question: str = ""
    answer: str = ""
    look_ups: tuple[LookUp, ...] = ()


@dataclass(frozen=True)
class Transcript:
    """A session that went wrong, as of ``at`` (UTC), when it was last written.

    ``user`` is a pseudonym. ``text`` is how much of what was said is in ``messages``, which have the shape of the
    Messages API; None where only the session was to be kept.
    """

    session: str
    user: str | None
    at: datetime
    version: str
    prompt_version: str
    tool_calls: int
    turns: int
    cost_usd: float
    text: TranscriptText
    occasions: tuple[Occasion, ...]
    messages: Sequence[Mapping[str, Any]] | None

    @property
    def causes(self) -> list[TranscriptCause]:
        """Why it is kept, each cause once."""
        return list(dict.fromkeys(one.cause for one in self.occasions))
