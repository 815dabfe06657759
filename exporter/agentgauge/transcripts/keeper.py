"""Takes conversations that went wrong to the ledger: noted at once, redacted and written by the ledger's thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from time import monotonic
from typing import Any, Protocol

from agentgauge.forks import in_forked_children
from agentgauge.ledger.store import Ledger
from agentgauge.transcripts.messages import Message, blocks, in_one_shape, redacted_and_cut, role_of, texts_of
from agentgauge.transcripts.notes import NotedOccasion, SessionNotes
from agentgauge.transcripts.policy import TranscriptPolicy
from agentgauge.transcripts.redaction import redact
from agentgauge.transcripts.store import Transcripts
from agentgauge.transcripts.transcript import LookUp, Occasion, Transcript

MOST_WAITING = 200
"""Sessions that may wait to be written; what comes beyond is dropped and counted."""
BOUND_SECONDS = 60.0
"""How often what is stored is held to the policy's limits."""
LONGEST_QUOTE = 1_000
"""Characters of the question, of the answer and of a reason."""
NOT_REDACTED = "[left out: the redactor failed]"


class TranscriptDroppedError(Exception):
    """A transcript that could not be kept: too many wait to be written."""


class Noted(Protocol):
    """A session, as far as a transcript tells of it."""

    id: str
    user_id: str | None
    tool_calls: int
    turns: int
    cost_usd: float
    notes: SessionNotes | None


class TranscriptKeeper:
    """Keeps the transcripts of one agent. ``build`` is the version of the agent and of its prompts.

    ``keep`` returns at once and never raises; ``write`` is for the ledger's thread. Faults go to ``on_fault``.
    """

    _waiting: dict[str, Noted]
    _lock: threading.RLock  # not Lock: what is collected as garbage meanwhile may cross a limit, and come here, too

    def __init__(
        self,
        ledger: Ledger,
        agent: str,
        policy: TranscriptPolicy,
        build: Callable[[], tuple[str, str]],
        on_fault: Callable[[Exception], None],
    ) -> None:
        self.policy = policy
        self._ledger = ledger
        self._store = Transcripts(ledger, agent)
        self._build = build
        self._on_fault = on_fault
        self._bound_at = monotonic()
        self._begin_empty()
        in_forked_children(self._begin_empty)

    def notes(self) -> SessionNotes | None:
        """What a new session notes; None if nothing is kept."""
        return None if self.policy.text == "none" else SessionNotes(lambda: self._ledger.now().timestamp())

    def keep(self, session: Noted) -> None:
        """Write this session's transcript within the second, as it is then."""
        with self._lock:
            if session.id in self._waiting or len(self._waiting) < MOST_WAITING:
                self._waiting[session.id] = session
                return
        self._on_fault(TranscriptDroppedError())

    def write(self) -> None:
        """Write what waits, and now and then delete what is beyond the policy; raises what the database raises."""
        with self._lock:
            waiting, self._waiting = self._waiting, {}
        while waiting:
            session_id = next(iter(waiting))
            try:
                self._store.put(self._transcript(waiting[session_id]))
            except ValueError as fault:
                self._on_fault(fault)
            except Exception:
                self._wait_on(waiting)
                raise
            del waiting[session_id]
        if monotonic() >= self._bound_at:
            self._bound_at = monotonic() + BOUND_SECONDS
            self._store.bound(self.policy)

    def _wait_on(self, unwritten: dict[str, Noted]) -> None:
        with self._lock:
            for session_id, session in unwritten.items():
                self._waiting.setdefault(session_id, session)

    def _begin_empty(self) -> None:
        self._waiting = {}
        self._lock = threading.RLock()

    def _transcript(self, session: Noted) -> Transcript:
        notes = session.notes or SessionNotes(lambda: 0.0)
        version, prompt_version = self._build()
        occasions = tuple(self._occasion(one, notes) for one in list(notes.occasions))
        messages = self._readable(notes.messages, self.policy.longest) if self.policy.holds_text else None
        return Transcript(
            session=session.id,
            user=None if session.user_id is None else self._ledger.pseudonym(session.user_id),
            at=self._ledger.now(),
            version=version,
            prompt_version=prompt_version,
            tool_calls=session.tool_calls,
            turns=session.turns,
            cost_usd=round(session.cost_usd, 6),
            text=self.policy.text,
            occasions=occasions,
            messages=messages or None,
        )

    def _occasion(self, noted: NotedOccasion, notes: SessionNotes) -> Occasion:
        said = self._readable(noted.said or notes.messages, self.policy.longest)
        ages = {one.tool: one.age_seconds for one in noted.cached}
        question, answer, called = _exchange(said)
        detail = noted.detail
        if noted.cause == "rejected":  # people wrote it
            detail = redacted_and_cut(detail, self._redacted, LONGEST_QUOTE) if self.policy.holds_text else ""
        if not self.policy.holds_text:
            question = answer = ""
        return Occasion(
            noted.cause,
            datetime.fromtimestamp(noted.at, UTC),
            detail[:LONGEST_QUOTE],
            question[:LONGEST_QUOTE],
            answer[:LONGEST_QUOTE],
            tuple(LookUp(tool, ages.get(tool)) for tool in dict.fromkeys([*called, *ages])),
        )

    def _readable(self, messages: Sequence[Any], longest: int) -> list[Message]:
        return in_one_shape(list(messages), self._redacted, longest)

    def _redacted(self, text: str) -> str:
        try:
            if self.policy.text != "full":
                text = redact(text)
            own = self.policy.redact
            return text if own is None else redacted_by(own, text)
        except Exception as fault:
            self._on_fault(fault)
            return NOT_REDACTED


def redacted_by(redactor: Callable[[str], str], text: str) -> str:
    """What a redactor of an adopter makes of a text; raises TypeError if that is not a text."""
    redacted = redactor(text)
    if not isinstance(redacted, str):
        raise TypeError("the redactor returned something else than a text")
    return redacted


def _exchange(messages: Sequence[Message]) -> tuple[str, str, list[str]]:
    """What the user said last, what the agent answered to it, and the tools that it called in between."""
    asked = next(
        (
            number
            for number, message in reversed(list(enumerate(messages)))
            if role_of(message) == "user" and texts_of(message).strip()
        ),
        None,
    )
    if asked is None:
        return "", "", []
    after = [message for message in messages[asked + 1 :] if role_of(message) == "assistant"]
    called = [str(block["name"]) for message in after for block in blocks(message) if block["type"] == "tool_use"]
    return texts_of(messages[asked]), texts_of(after[-1]) if after else "", called
