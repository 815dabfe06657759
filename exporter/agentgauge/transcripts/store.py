"""The transcripts in the ledger: one a session, whichever replica served it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, Select, delete, select, update

from agentgauge.ledger.schema import ACTIONS, TRANSCRIPTS
from agentgauge.ledger.store import Ledger, is_storable
from agentgauge.transcripts.notes import MOST_OCCASIONS
from agentgauge.transcripts.policy import TranscriptPolicy
from agentgauge.transcripts.transcript import LookUp, Occasion, Transcript
from agentgauge.vocabulary import TRANSCRIPT_TEXTS, TranscriptCause


class UnknownTranscriptError(LookupError):
    """There is no transcript of that session."""


class Transcripts:
    """The transcripts of one agent. Methods work at once and raise SQLAlchemyError when the database cannot."""

    def __init__(self, ledger: Ledger, agent: str) -> None:
        self._ledger = ledger
        self._agent = agent

    def newest(
        self, cause: TranscriptCause | None = None, *, limit: int = 100, since: datetime | None = None
    ) -> list[Transcript]:
        """The newest, without their messages; of one cause, if it is given, and that were written since then."""
        columns = [column for column in TRANSCRIPTS.c if column.name != "messages"]
        asked = select(*columns).where(TRANSCRIPTS.c.agent == self._agent).order_by(TRANSCRIPTS.c.at.desc())
        if since is not None:
            asked = asked.where(TRANSCRIPTS.c.at >= since.timestamp())
        found = []
        with self._ledger.reading() as connection:
            for row in connection.execute(asked):
                one = _transcript(row)
                if cause is None or cause in one.causes:
                    found.append(one)
                    if len(found) == limit:
                        break
        return found

    def get(self, session: str) -> Transcript:
        """One of them, with its messages; raises UnknownTranscriptError."""
        with self._ledger.reading() as connection:
            row = connection.execute(self._of(session)).one_or_none()
        if row is None:
            raise _unknown(session)
        return _transcript(row)

    def causes(self, session: str) -> list[TranscriptCause]:
        """Why the transcript of a session is kept, each cause once; empty if there is none."""
        asked = select(TRANSCRIPTS.c.occasions).where(
            TRANSCRIPTS.c.agent == self._agent, TRANSCRIPTS.c.session_id == session
        )
        with self._ledger.reading() as connection:
            written: str | None = connection.execute(asked).scalar()
        return list(dict.fromkeys(one.cause for one in _occasions(written or "[]")))

    def session_of_action(self, action: str) -> str | None:
        """The session in which this action was proposed; None if there is no such action."""
        asked = select(ACTIONS.c.session_id).where(ACTIONS.c.agent == self._agent, ACTIONS.c.id == action)
        with self._ledger.reading() as connection:
            found: str | None = connection.execute(asked).scalar()
        return found

    def put(self, transcript: Transcript) -> None:
        """Store one in place of what was stored of its session; the occasions that were known stay.

        Raises ValueError for a session whose id cannot be stored.
        """
        if not is_storable(transcript.session):
            raise ValueError("the session's id is not printable, or longer than 200 characters")
        with self._ledger.writing() as connection:
            before = connection.execute(self._of(transcript.session)).one_or_none()
            row = _row(self._agent, transcript)
            if before is not None:
                known = _occasions(before.occasions)
                row["occasions"] = _as_json([*known, *(one for one in transcript.occasions if one not in known)])
                row["messages"] = row["messages"] or before.messages
            inserting = self._ledger.upserting(TRANSCRIPTS).values(row)
            connection.execute(inserting.on_conflict_do_update(index_elements=["agent", "session_id"], set_=row))

    def delete(self, session: str) -> None:
        """Delete one; raises UnknownTranscriptError."""
        deleting = delete(TRANSCRIPTS).where(TRANSCRIPTS.c.agent == self._agent, TRANSCRIPTS.c.session_id == session)
        with self._ledger.writing() as connection:
            if not connection.execute(deleting).rowcount:
                raise _unknown(session)

    def bound(self, policy: TranscriptPolicy) -> None:
        """Delete what is too old or too many, and of what is left the texts that the policy does not keep."""
        oldest = (self._ledger.now() - timedelta(days=policy.days)).timestamp()
        with self._ledger.writing() as connection:
            if policy.text == "none":
                connection.execute(delete(TRANSCRIPTS).where(TRANSCRIPTS.c.agent == self._agent))
                return
            own = TRANSCRIPTS.c.agent == self._agent
            connection.execute(delete(TRANSCRIPTS).where(own, TRANSCRIPTS.c.at < oldest))
            surplus = self._surplus(connection, policy.most)
            if surplus:
                connection.execute(delete(TRANSCRIPTS).where(own, TRANSCRIPTS.c.session_id.in_(surplus)))
            more = TRANSCRIPT_TEXTS[TRANSCRIPT_TEXTS.index(policy.text) + 1 :]
            for row in connection.execute(select(TRANSCRIPTS).where(own, TRANSCRIPTS.c.policy.in_(more))).all():
                bare = {"policy": "ids", "messages": None, "occasions": _as_json(map(_bare, _occasions(row.occasions)))}
                one = (own, TRANSCRIPTS.c.session_id == row.session_id)
                connection.execute(update(TRANSCRIPTS).where(*one).values(bare))

    def _surplus(self, connection: Connection, most: int) -> list[str]:
        """Sessions that are not among the newest of any of their causes."""
        asked = select(TRANSCRIPTS.c.session_id, TRANSCRIPTS.c.occasions).where(TRANSCRIPTS.c.agent == self._agent)
        seen: Counter[str] = Counter()
        surplus = []
        for row in connection.execute(asked.order_by(TRANSCRIPTS.c.at.desc())):
            causes = {one.cause for one in _occasions(row.occasions)}
            seen.update(causes)
            if all(seen[cause] > most for cause in causes):
                surplus.append(row.session_id)
        return surplus

    def _of(self, session: str) -> Select[Any]:
        return select(TRANSCRIPTS).where(TRANSCRIPTS.c.agent == self._agent, TRANSCRIPTS.c.session_id == session)


def _unknown(session: str) -> UnknownTranscriptError:
    return UnknownTranscriptError(f"there is no transcript of {session!r}; `agentgauge transcripts list` shows all")


def _bare(occasion: Occasion) -> Occasion:
    """An occasion without what people wrote; the reasons of thumbs and the seconds of turns are ours."""
    detail = "" if occasion.cause == "rejected" else occasion.detail
    return Occasion(occasion.cause, occasion.at, detail, look_ups=occasion.look_ups)


def _row(agent: str, one: Transcript) -> dict[str, Any]:
    return {
        "agent": agent,
        "session_id": one.session,
        "user_pseudonym": one.user,
        "at": one.at.timestamp(),
        "version": one.version,
        "prompt_version": one.prompt_version,
        "tool_calls": one.tool_calls,
        "turns": one.turns,
        "cost_usd": one.cost_usd,
        "policy": one.text,
        "occasions": _as_json(one.occasions),
        "messages": None if one.messages is None else json.dumps(one.messages),
    }


def _as_json(occasions: Iterable[Occasion]) -> str:
    newest = sorted(occasions, key=lambda one: one.at)[-MOST_OCCASIONS:]
    return json.dumps([{**asdict(one), "at": one.at.timestamp()} for one in newest])


def _occasions(written: str) -> tuple[Occasion, ...]:
    return tuple(
        Occasion(
            **{
                **one,
                "at": datetime.fromtimestamp(one["at"], UTC),
                "look_ups": tuple(LookUp(**look_up) for look_up in one["look_ups"]),
            }
        )
        for one in json.loads(written)
    )


def _transcript(row: Row[Any]) -> Transcript:
    messages = getattr(row, "messages", None)
    return Transcript(
        row.session_id,
        row.user_pseudonym,
        datetime.fromtimestamp(row.at, UTC),
        row.version,
        row.prompt_version,
        row.tool_calls,
        row.turns,
        row.cost_usd,
        row.policy,
        _occasions(row.occasions),
        None if messages is None else json.loads(messages),
    )
