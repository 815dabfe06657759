"""Conversations worth a look: what was said and called in sessions that passed the limit of tool calls.

They hold what users wrote, so they stay in the state folder, readable for its owner alone, the newest only.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agentgauge.session import Session

FOLDER = "transcripts"
KEPT = 50


@dataclass(frozen=True)
class SessionTranscript:
    """One session up to its latest step; the ``id`` is the session's. Messages are in the Messages API's shape."""

    id: str
    at: str
    tool_calls: int
    turns: int
    cost_usd: float
    messages: Sequence[Any]


class UnknownTranscriptError(LookupError):
    """No transcript of that id is kept."""


class Transcripts:
    """The transcripts in the state folder."""

    def __init__(self, state: Path) -> None:
        self._folder = state / FOLDER

    def keep(self, session: Session, messages: Sequence[Any]) -> None:
        """Keep a session as it is now, in place of an earlier step of it; the oldest beyond KEPT are dropped."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        kept = SessionTranscript(
            session.id, now, session.tool_calls, session.turns, round(session.cost_usd, 4), messages
        )
        written = self._folder / f"{session.id}.json.tmp"
        with os.fdopen(os.open(written, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            json.dump(asdict(kept), file)
        written.replace(self._folder / f"{session.id}.json")
        for path in self._newest_first()[KEPT:]:
            path.unlink(missing_ok=True)

    def all(self) -> list[SessionTranscript]:
        """Those that are kept, newest first."""
        return [_read(path) for path in self._newest_first()]

    def get(self, transcript_id: str) -> SessionTranscript:
        """One of them; raises UnknownTranscriptError."""
        for path in self._newest_first():
            if path.stem == transcript_id:
                return _read(path)
        raise UnknownTranscriptError(f"there is no transcript {transcript_id!r}; `ops looping` lists them")

    def _newest_first(self) -> list[Path]:
        return sorted(self._folder.glob("*.json"), key=lambda path: path.stat().st_mtime_ns, reverse=True)


def without_messages(transcript: SessionTranscript) -> dict[str, Any]:
    """A transcript as a row of a list, without what was said."""
    return {name: value for name, value in asdict(transcript).items() if name != "messages"}


def as_text(transcript: SessionTranscript) -> str:
    """What was said and called, a line each, long results cut short."""
    lines = []
    for message in transcript.messages:
        content = message["content"]
        blocks = content if isinstance(content, list) else [{"type": "text", "text": content}]
        lines += [_line(message["role"], block) for block in blocks]
    return "\n".join(lines)


def _line(role: str, block: dict[str, Any]) -> str:
    match block["type"]:
        case "tool_use":
            return f"  call    {block['name']} {json.dumps(block['input'], ensure_ascii=False)}"
        case "tool_result":
            return f"  {'failed' if block.get('is_error') else 'result'}  {_short(str(block.get('content', '')))}"
    return f"{role}: {block.get('text', '')}"


def _short(text: str, longest: int = 200) -> str:
    return text if len(text) <= longest else f"{text[:longest]}… ({len(text)} characters)"


def _read(path: Path) -> SessionTranscript:
    return SessionTranscript(**json.loads(path.read_text(encoding="utf-8")))
