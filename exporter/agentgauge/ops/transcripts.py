"""Transcripts of sessions that passed the limit of tool calls: what was said and called.

They hold what users wrote, so only the newest are stored, in the state folder, readable by its owner alone.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from agentgauge.session import Session

FOLDER = "transcripts"
MOST = 50


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
    """There is no transcript with that id."""


class Transcripts:
    """The transcripts in the state folder."""

    def __init__(self, state: Path) -> None:
        self._folder = state / FOLDER

    def keep(self, session: Session, messages: Sequence[Any]) -> None:
        """Store a session as it is now, in place of what was stored of it before; only the newest MOST stay."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        transcript = SessionTranscript(
            session.id, now, session.tool_calls, session.turns, round(session.cost_usd, 4), messages
        )
        name = _file_name(session.id)
        written = self._folder / f"{name}.tmp"
        with os.fdopen(os.open(written, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            json.dump(asdict(transcript), file)
        written.replace(self._folder / name)
        for path in self._newest_first()[MOST:]:
            path.unlink(missing_ok=True)

    def all(self) -> list[SessionTranscript]:
        """All of them, newest first."""
        return [_read(path) for path in self._newest_first()]

    def get(self, transcript_id: str) -> SessionTranscript:
        """One of them; raises UnknownTranscriptError."""
        for path in self._newest_first():
            if path.name == _file_name(transcript_id):
                return _read(path)
        raise UnknownTranscriptError(f"there is no transcript {transcript_id!r}; `agentgauge ops looping` lists them")

    def _newest_first(self) -> list[Path]:
        return sorted(self._folder.glob("*.json"), key=lambda path: path.stat().st_mtime_ns, reverse=True)


def _file_name(session_id: str) -> str:
    """The file of a session, whose id may hold anything, also slashes."""
    return f"{quote(session_id, safe='')}.json"


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
