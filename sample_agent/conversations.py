"""The conversations of this process: open ones, and those that come back once people have decided what they wait for.

A conversation that waits is in the ledger. So it outlives this process, and any replica can go on with it: the one that
has it open at once, another one when nobody has after a few seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

from agentgauge import AgentGauge
from agentgauge.autonomy.suspensions import Suspension
from sample_agent.sales.companion import Conversation, SalesCompanion
from sample_agent.sales.requests import Answer

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.5
"""How often to look for decisions that were made in another process."""

LEFT_TO_OTHERS_SECONDS = 5.0
"""So long after its decision, a request whose conversation is not open here is left to the replica where it is."""

CLOSING_SECONDS = 10.0


@dataclass
class LiveConversation:
    """A conversation that is open: one message at a time, closed when idle for too long.

    ``told`` are the actions that its user has been told to decide on; ``changed`` is set when it went on by itself.
    """

    conversation: Conversation
    opened: float = field(default_factory=time.monotonic)
    last_used: float = field(default_factory=time.monotonic)
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    answering: asyncio.Future[Answer] | None = None
    told: tuple[str, ...] = ()
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def id(self) -> str:
        """The id of the session."""
        return self.conversation.session.id


class Conversations:
    """The open conversations with one agent; closed when idle for so many seconds."""

    def __init__(self, gauge: AgentGauge, companion: SalesCompanion, idle_seconds: float) -> None:
        self._gauge = gauge
        self._companion = companion
        self._autonomy = companion.supervisor.autonomy
        self._idle_seconds = idle_seconds
        self._live: dict[str, LiveConversation] = {}
        self._resuming: dict[str, asyncio.Task[None]] = {}
        self._decided = asyncio.Event()

    def __iter__(self) -> Iterator[LiveConversation]:
        return iter(list(self._live.values()))

    def __len__(self) -> int:
        return len(self._live)

    def open(self, user_id: str) -> LiveConversation:
        """A new one."""
        return self._keep(LiveConversation(Conversation(self._gauge.session(user_id))))

    def get(self, session_id: str) -> LiveConversation | None:
        """An open one."""
        return self._live.get(session_id)

    async def find(self, session_id: str) -> LiveConversation | None:
        """An open one, or one that waits or has just been answered, perhaps by a process that is gone; None if unknown.

        Raises SQLAlchemyError if it is not open here and the ledger cannot say.
        """
        if session_id not in self._live:
            suspension = await asyncio.to_thread(self._autonomy.suspensions.of_session, session_id)
            if suspension is not None and session_id not in self._live:
                self._restore(suspension)
        return self._live.get(session_id)

    async def newest_suspension(self, live: LiveConversation) -> Suspension | None:
        """What the conversation waits for, or waited for last; it goes on from where that ended, here or elsewhere."""
        suspension = await asyncio.to_thread(self._autonomy.suspensions.of_session, live.id)
        conversation = live.conversation
        if suspension is not None and suspension.answer is None:
            conversation.suspension = suspension.id
        elif conversation.suspension is not None:
            if suspension is not None:
                conversation.messages = list(suspension.state["messages"])
            conversation.suspension = None
        return suspension

    def look_for_decisions(self) -> None:
        """Go on with what was decided, without waiting for the next look."""
        self._decided.set()

    def close(self, live: LiveConversation) -> None:
        """Close a conversation; what it waits for can still be decided, and is then done."""
        self._live.pop(live.id, None)
        if live.answering is not None:
            live.answering.cancel()
        live.conversation.session.close()

    @contextlib.asynccontextmanager
    async def keeping(self) -> AsyncIterator[None]:
        """Close idle conversations and go on with decided ones, as long as the block runs; close all at its end."""
        keepers = [asyncio.create_task(self._close_idle()), asyncio.create_task(self._resume_decided())]
        try:
            yield
        finally:
            for keeper in keepers:
                keeper.cancel()
            if self._resuming:
                # What people approved is under way: if it is cut off, nobody knows whether it was done.
                await asyncio.wait(self._resuming.values(), timeout=CLOSING_SECONDS)
            for live in self:
                self.close(live)

    async def _close_idle(self) -> None:
        while True:
            await asyncio.sleep(min(self._idle_seconds, 5.0))
            oldest = time.monotonic() - self._idle_seconds
            for live in self:
                if live.last_used < oldest and not live.turn.locked():
                    self.close(live)

    async def _resume_decided(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._decided.wait(), LOOK_SECONDS)
            self._decided.clear()
            try:
                due = await asyncio.to_thread(self._due)
            except Exception as error:  # whatever it is, people go on deciding
                log.warning("nobody can say what was decided: %s", type(error).__name__)
                continue
            for suspension in due:
                if suspension.id not in self._resuming:
                    self._resuming[suspension.id] = asyncio.create_task(self._resume(suspension))

    def _due(self) -> list[Suspension]:
        """The decided requests that this process should go on with."""
        self._autonomy.approvals.expire_due()
        decided = self._autonomy.suspensions.resumable()
        if all(one.session_id in self._live for one in decided):
            return decided
        left_alone = {one.id for one in self._autonomy.suspensions.resumable(LEFT_TO_OTHERS_SECONDS)}
        return [one for one in decided if one.session_id in self._live or one.id in left_alone]

    async def _resume(self, suspension: Suspension) -> None:
        try:
            live = self._live.get(suspension.session_id) or self._restore(suspension)
            async with live.turn:
                await self.newest_suspension(live)
                await self._companion.resume(live.conversation)
            live.last_used = time.monotonic()
            live.changed.set()
        except Exception as error:
            # Its claim runs out; the next one who goes on with it says what is known.
            log.warning("a decided request could not be gone on with: %s", type(error).__name__)
        finally:
            del self._resuming[suspension.id]

    def _restore(self, suspension: Suspension) -> LiveConversation:
        session = self._gauge.session(suspension.user_id, session_id=suspension.session_id)
        if suspension.answer is None:
            return self._keep(LiveConversation(Conversation(session, suspension=suspension.id)))
        return self._keep(LiveConversation(Conversation(session, list(suspension.state["messages"]))))

    def _keep(self, live: LiveConversation) -> LiveConversation:
        self._live[live.id] = live
        return live
