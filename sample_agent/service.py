"""The Sales Companion as an HTTP service: conversations in, answers out, ``/metrics`` beside it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from agentgauge import AgentGauge
from sample_agent.assembly import AGENT
from sample_agent.sales.companion import Answer, Conversation, SalesCompanion

LONGEST_MESSAGE = 20_000
RATINGS = ("up", "down")
REASONS = ("wrong_answer", "too_slow", "tone", "incomplete", "none", "other")


@dataclass
class LiveConversation:
    """A conversation that is open: one message at a time, closed when idle for too long."""

    conversation: Conversation
    opened: float
    last_used: float
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    answering: asyncio.Future[Answer] | None = None


class Service:
    """The routes and the conversations they work on."""

    def __init__(self, gauge: AgentGauge, companion: SalesCompanion, idle_seconds: float = 300.0) -> None:
        self._gauge = gauge
        self._companion = companion
        self._idle_seconds = idle_seconds
        self._live: dict[str, LiveConversation] = {}

    def app(self) -> Starlette:
        """The ASGI app."""
        return Starlette(
            lifespan=self._lifespan,
            exception_handlers={HTTPException: _error_as_json},
            routes=[
                Route("/health", self._health),
                Route("/sessions", self._list, methods=["GET"]),
                Route("/sessions", self._open, methods=["POST"]),
                Route("/sessions/{id}", self._close, methods=["DELETE"]),
                Route("/sessions/{id}/messages", self._message, methods=["POST"]),
                Route("/sessions/{id}/feedback", self._feedback, methods=["POST"]),
            ],
        )

    async def _health(self, request: Request) -> Response:
        return JSONResponse({"agent": AGENT, "sessions": len(self._live)})

    async def _list(self, request: Request) -> Response:
        now = time.monotonic()
        rows = [
            {
                "id": session_id,
                "age_seconds": round(now - live.opened, 1),
                "turns": live.conversation.session.turns,
                "tool_calls": live.conversation.session.tool_calls,
                "cost_usd": round(live.conversation.session.cost_usd, 4),
            }
            for session_id, live in self._live.items()
        ]
        return JSONResponse(sorted(rows, key=lambda row: -row["tool_calls"]))

    async def _open(self, request: Request) -> Response:
        body = await _json_object(request)
        user_id = body.get("user_id")
        if not isinstance(user_id, str) or not user_id:
            raise HTTPException(400, "user_id: expected who is asking, as a text")
        session = self._gauge.session(user_id)
        now = time.monotonic()
        self._live[session.id] = LiveConversation(Conversation(session), now, now)
        return JSONResponse({"session_id": session.id}, status_code=201)

    async def _message(self, request: Request) -> Response:
        live = self._find(request)
        text = (await _json_object(request)).get("text")
        if not isinstance(text, str) or not text.strip() or len(text) > LONGEST_MESSAGE:
            raise HTTPException(400, f"text: expected a message of 1 to {LONGEST_MESSAGE} characters")
        async with live.turn:
            answer = await self._answer(request, live, text)
        live.last_used = time.monotonic()
        return JSONResponse({"text": answer.text, "tools": answer.tools})

    async def _answer(self, request: Request, live: LiveConversation, text: str) -> Answer:
        """The answer; given up when the user goes away or the session is closed: it would cost and nobody read it."""
        answer = live.answering = asyncio.ensure_future(self._companion.answer(live.conversation, text))
        gone = asyncio.ensure_future(_disconnected(request))
        try:
            await asyncio.wait({answer, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():
                answer.cancel()
                await asyncio.wait({answer})
            if answer.cancelled():
                raise HTTPException(409, "the session was closed before the answer")
            return answer.result()
        finally:
            live.answering = None
            gone.cancel()

    async def _feedback(self, request: Request) -> Response:
        live = self._find(request)
        body = await _json_object(request)
        rating, reason = body.get("rating"), body.get("reason", "none")
        if rating not in RATINGS:
            raise HTTPException(400, f"rating: expected one of {', '.join(RATINGS)}")
        if reason not in REASONS:
            raise HTTPException(400, f"reason: expected one of {', '.join(REASONS)}")
        if not await asyncio.to_thread(live.conversation.session.feedback, rating, reason):
            raise HTTPException(503, "your rating could not be stored; please try again in a minute")
        return JSONResponse({"ok": True})

    async def _close(self, request: Request) -> Response:
        live = self._find(request)
        self._live.pop(live.conversation.session.id, None)
        if live.answering is not None:
            live.answering.cancel()
        live.conversation.session.close()
        return Response(status_code=204)

    def _find(self, request: Request) -> LiveConversation:
        live = self._live.get(request.path_params["id"])
        if live is None:
            raise HTTPException(404, "no such session; it may have been closed or idle for too long")
        return live

    @contextlib.asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        sweeper = asyncio.create_task(self._close_idle())
        try:
            yield
        finally:
            sweeper.cancel()
            for live in self._live.values():
                live.conversation.session.close()
            await self._companion.close()
            await asyncio.to_thread(self._gauge.close)

    async def _close_idle(self) -> None:
        while True:
            await asyncio.sleep(min(self._idle_seconds, 5.0))
            oldest = time.monotonic() - self._idle_seconds
            for session_id, live in list(self._live.items()):
                if live.last_used < oldest and not live.turn.locked():
                    del self._live[session_id]
                    live.conversation.session.close()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _json_object(request: Request) -> dict[str, Any]:
    # Browsers cannot send this type across sites without asking first, which nothing here answers.
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        raise HTTPException(415, "expected content-type: application/json")
    try:
        body = await request.json()
    except ValueError:
        raise HTTPException(400, "the body is not JSON") from None
    if not isinstance(body, dict):
        raise HTTPException(400, "the body is not a JSON object")
    return body


async def _error_as_json(request: Request, error: Exception) -> Response:
    status, detail = (error.status_code, error.detail) if isinstance(error, HTTPException) else (500, "internal error")
    return JSONResponse({"error": detail}, status_code=status)
