"""What is kept of conversations that went wrong: how much of the text, for how long, and how many."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from agentgauge.vocabulary import TRANSCRIPT_TEXTS, TranscriptText


@dataclass(frozen=True)
class TranscriptPolicy:
    """What a transcript holds, and what bounds them.

    ``text`` is how much of what was said is kept: ``none`` keeps no transcripts at all, ``ids`` only that there was
    such a session, ``redacted`` what was said without what ``redaction.redact`` takes out, ``full`` every word.
    ``redact`` is your own redactor, called with each text after that one, also with ``full``; if it raises, the text is
    left out. It runs on the ledger's thread, never while a user waits.

    Of each cause the newest ``most`` are kept, for ``days`` at most. One holds up to ``longest`` characters; what was
    said first and last stays. A turn of ``slow_seconds`` or more is slow. A stricter policy holds for what was stored
    before, too.
    """

    text: TranscriptText = "redacted"
    redact: Callable[[str], str] | None = None
    days: float = 14
    most: int = 200
    longest: int = 64_000
    slow_seconds: float = 10

    def __post_init__(self) -> None:
        if self.text not in TRANSCRIPT_TEXTS:
            raise ValueError(f"TranscriptPolicy(text={self.text!r}): expected one of {', '.join(TRANSCRIPT_TEXTS)}")
        for name in ("days", "most", "longest", "slow_seconds"):
            if not getattr(self, name) > 0:
                raise ValueError(f"TranscriptPolicy({name}={getattr(self, name)!r}): expected more than 0")

    @property
    def holds_text(self) -> bool:
        """Whether anything of what was said is kept."""
        return self.text in ("redacted", "full")
