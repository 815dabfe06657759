"""The open conversations of this process, and those that come back once people have decided what they wait for."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

from agentgauge import AgentGauge
from agentgauge.autonomy.suspensions import Suspension
from agentgauge.autonomy.tool_requests import Resumed
from sample_agent.sales.companion import Conversation, SalesCompanion
from sample_agent.sales.requests import Answer


@dataclass
class LiveConversation:
    """A conversation that is open: one message at a time, closed when idle for too long.

    ``known`` are the actions that its user knows to be waiting.
    """

    conversation: Conversation
    opened: float = field(default_factory=time.monotonic)
    last_used: float = field(default_factory=time.monotonic)
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    answering: asyncio.Future[Answer] | None = None
    known: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """The id of the session."""
        return self.conversation.session.id


class Conversations:
    """The open conversations with one agent; each is closed after ``idle_seconds`` without a message."""

    def __init__(self, gauge: AgentGauge, companion: SalesCompanion, idle_seconds: float) -> None:
        self._gauge = gauge
        self._companion = companion
        self._requests = companion.requests
        self._idle_seconds = idle_seconds
        self._live: dict[str, LiveConversation] = {}

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
            newest = await self._requests.newest(session_id)
            if newest is not None and session_id not in self._live:
                self._restore(newest)
        return self._live.get(session_id)

    async def catch_up(self, live: LiveConversation) -> Suspension | None:
        """Go on from where the newest request ended, here or elsewhere; returns that request, or None."""
        newest = await self._requests.newest(live.id)
        live.conversation.catch_up(newest)
        return newest

    def close(self, live: LiveConversation) -> None:
        """Close a conversation; what it waits for can still be decided, and is then done."""
        self._live.pop(live.id, None)
        if live.answering is not None:
            live.answering.cancel()
        live.conversation.session.close()

    def _end(self, session_id: str) -> None:
        """Let go of a conversation whose session people ended, and of the answer that it may be in the middle of."""
        live = self._live.get(session_id)
        if live is not None and live.conversation.session.ended_by_operator:
            self.close(live)

    @contextlib.asynccontextmanager
    async def keeping(self) -> AsyncIterator[None]:
        """Close idle conversations and go on with decided ones, as long as the block runs; close all at its end."""
        loop = asyncio.get_running_loop()
        self._gauge.on_session_ended(lambda session: loop.call_soon_threadsafe(self._end, session.id))
        closing_idle = asyncio.create_task(self._close_idle())
        try:
            async with self._requests.resuming(self._go_on):
                yield
        finally:
            closing_idle.cancel()
            for live in self:
                self.close(live)

    async def _close_idle(self) -> None:
        while True:
            await asyncio.sleep(min(self._idle_seconds, 5.0))
            oldest = time.monotonic() - self._idle_seconds
            for live in self:
                if live.last_used < oldest and not live.turn.locked():
                    self.close(live)

    async def _go_on(self, resumed: Resumed) -> dict[str, Any] | None:
        live = self._live.get(resumed.task.session.id)
        if live is None:
            return await self._companion.go_on(resumed)
        async with live.turn:
            answer = await self._companion.go_on(resumed)
            live.last_used = time.monotonic()
        return answer

    def _restore(self, newest: Suspension) -> LiveConversation:
        session = self._gauge.session(newest.user_id, session_id=newest.session_id)
        conversation = Conversation(session, suspension=newest.id)
        conversation.catch_up(newest)
        return self._keep(LiveConversation(conversation))

    def _keep(self, live: LiveConversation) -> LiveConversation:
        self._live[live.id] = live
        return live
