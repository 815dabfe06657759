"""What an open session remembers for its transcript: references to what was said, until the ledger's thread writes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agentgauge.vocabulary import TranscriptCause

MOST_OCCASIONS = 20
MOST_LOOK_UPS = 20


@dataclass(frozen=True)
class CachedLookUp:
    """A result that the cache served at ``at`` (Unix seconds) and that was ``age_seconds`` old then."""

    tool: str
    age_seconds: float
    at: float


@dataclass(frozen=True)
class NotedOccasion:
    """Why the transcript is kept, at ``at`` (Unix seconds).

    ``said`` are the messages up to then, ``cached`` what of it came from the cache.
    """

    cause: TranscriptCause
    detail: str
    at: float
    said: Sequence[Any]
    cached: tuple[CachedLookUp, ...]


@dataclass
class SessionNotes:
    """The notes of one session; ``now`` is the time in Unix seconds.

    ``messages`` is all that was said so far, as the agent says it or, if it does not, as its calls of the model show.
    """

    now: Callable[[], float]
    messages: Sequence[Any] = ()
    occasions: deque[NotedOccasion] = field(default_factory=lambda: deque(maxlen=MOST_OCCASIONS))
    cached: deque[CachedLookUp] = field(default_factory=lambda: deque(maxlen=MOST_LOOK_UPS))
    _by_agent: bool = False

    def record(self, messages: Sequence[Any]) -> None:
        """What the agent says was said."""
        self.messages, self._by_agent = list(messages), True

    def asked(self, messages: Sequence[Any]) -> None:
        """What the model was sent."""
        if not self._by_agent:
            self.messages = list(messages)

    def answered(self, message: Mapping[str, Any]) -> None:
        """What the model answered to that."""
        if not self._by_agent:
            self.messages = [*self.messages, message]

    def looked_up(self, tool: str, age_seconds: float) -> None:
        """A result that the cache served."""
        self.cached.append(CachedLookUp(tool, age_seconds, self.now()))

    def keep(self, cause: TranscriptCause, detail: str) -> None:
        """This went wrong, now."""
        self.occasions.append(NotedOccasion(cause, detail, self.now(), self.messages, tuple(self.cached)))
