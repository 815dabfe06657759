"""The Sales Companion as an HTTP service: conversations in, answers out, ``/metrics`` beside it."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import time
from collections.abc import AsyncIterator, Sequence
from http import HTTPStatus
from typing import Any

from sqlalchemy.exc import SQLAlchemyError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from agentgauge import AgentGauge
from agentgauge.autonomy.access import Door, TooManyGuessesError
from agentgauge.autonomy.action import Action, AlreadyDecidedError, UnknownActionError
from agentgauge.autonomy.approvals import InvalidEditError, NotPermittedError, NotShownError, Person, RiskRaisedError
from agentgauge.autonomy.people import FRONT_END, TokenError
from agentgauge.http_guard import FORM, JSON, AsgiApp, RequestGuard, Scope, decoded_json
from agentgauge.vocabulary import RATINGS, REASONS
from sample_agent.assembly import allowed_hosts
from sample_agent.conversations import Conversations, LiveConversation
from sample_agent.sales.companion import SalesCompanion, WaitsForDecisionError
from sample_agent.sales.requests import Answer, answer_of
from sample_agent.settings import AGENT

log = logging.getLogger(__name__)

LONGEST_MESSAGE = 20_000
LONGEST_WAIT = 60.0
NO_SESSION = "no such session; it may have been closed or idle for too long: please start a new one"
WHO = "say who you are, with a header Authorization: Bearer TOKEN; `agentgauge approvals people add` makes a token"
NO_LEDGER = "the ledger cannot be reached; please try again in a minute"
WAITS = "this conversation waits for a decision: approve, edit or reject what it asked for, then go on"


class Service:
    """The routes and the conversations they work on."""

    def __init__(
        self,
        gauge: AgentGauge,
        companion: SalesCompanion,
        door: Door,
        idle_seconds: float = 300.0,
        approvals_page: Starlette | None = None,
    ) -> None:
        self._gauge = gauge
        self._door = door
        self._companion = companion
        self._autonomy = companion.supervisor.autonomy
        self._approvals_page = approvals_page
        self._requests = companion.requests
        self._conversations = Conversations(gauge, companion, idle_seconds)

    def app(self) -> Starlette:
        """The ASGI app."""
        return Starlette(
            lifespan=self._lifespan,
            # The approvals page has forms.
            middleware=[Middleware(RequestGuard, hosts=allowed_hosts(), types=(JSON, FORM), answer=_refused_as_json)],
            exception_handlers={HTTPException: _error_as_json, SQLAlchemyError: _ledger_error_as_json},
            routes=[
                Route("/health", self._health),
                Route("/sessions", self._open, methods=["POST"]),
                Route("/sessions/{id}", self._close, methods=["DELETE"]),
                Route("/sessions/{id}/messages", self._message, methods=["POST"]),
                Route("/sessions/{id}/answer", self._next_answer, methods=["GET"]),
                Route("/sessions/{id}/approvals", self._approvals, methods=["GET"]),
                Route("/sessions/{id}/approvals/{action}", self._decide, methods=["POST"]),
                Route("/sessions/{id}/feedback", self._feedback, methods=["POST"]),
                *([] if self._approvals_page is None else [Mount("/approvals", self._approvals_page)]),
            ],
        )

    async def _health(self, request: Request) -> Response:
        return JSONResponse({"agent": AGENT, "sessions": len(self._conversations)})

    async def _open(self, request: Request) -> Response:
        body, person = await _json_object(request), await self._sender(request)
        user_id = body.get("user_id", person.name)
        if not isinstance(user_id, str) or not user_id:
            raise HTTPException(400, "user_id: expected who is asking, as a text")
        if user_id != person.name and FRONT_END not in person.roles:
            raise HTTPException(403, f"user_id: {person.name} asks in their own name; a {FRONT_END} names its users")
        return JSONResponse({"session_id": self._conversations.open(user_id).id}, status_code=201)

    async def _message(self, request: Request) -> Response:
        live = await self._find(request)
        text = (await _json_object(request)).get("text")
        if not isinstance(text, str) or not text.strip() or len(text) > LONGEST_MESSAGE:
            raise HTTPException(400, f"text: expected a message of 1 to {LONGEST_MESSAGE} characters")
        async with live.turn:
            with contextlib.suppress(SQLAlchemyError):  # then it is as this process knows it
                newest = await self._conversations.catch_up(live)
                if newest is not None and newest.ended:
                    await self._requests.forget(newest.id)
            try:
                answer = await self._answer(request, live, text)
            except WaitsForDecisionError:
                raise HTTPException(409, WAITS) from None
        live.last_used = time.monotonic()
        live.known = answer.waiting
        return await self._shown_answer(answer)

    async def _answer(self, request: Request, live: LiveConversation, text: str) -> Answer:
        """The answer; cancelled when the user goes away or the session is closed: nobody would read it."""
        answer = live.answering = asyncio.ensure_future(self._companion.answer(live.conversation, text))
        gone = asyncio.ensure_future(_disconnected(request))
        try:
            await asyncio.wait({answer, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():
                answer.cancel()
                await asyncio.wait({answer})
            if answer.cancelled():
                raise HTTPException(409, "the session was closed before the answer; please start a new one")
            return answer.result()
        finally:
            live.answering = None
            gone.cancel()

    async def _feedback(self, request: Request) -> Response:
        live = await self._find(request)
        body = await _json_object(request)
        rating, reason = body.get("rating"), body.get("reason", "none")
        if rating not in RATINGS:
            raise HTTPException(400, f"rating: expected one of {', '.join(RATINGS)}")
        if reason not in REASONS:
            raise HTTPException(400, f"reason: expected one of {', '.join(REASONS)}")
        if not await asyncio.to_thread(live.conversation.session.feedback, rating, reason):
            raise HTTPException(503, "your rating could not be stored; please try again in a minute")
        return JSONResponse({"ok": True})

    async def _next_answer(self, request: Request) -> Response:
        """What the conversation came to since people decided: now, or in the seconds that the caller waits."""
        live = await self._find(request)
        newest = await self._requests.news(live.id, _seconds(request), known=live.known)
        if newest is None:
            return Response(status_code=204)
        live.conversation.catch_up(newest)
        live.last_used = time.monotonic()
        live.known = newest.action_ids
        return await self._shown_answer(answer_of(newest))

    async def _approvals(self, request: Request) -> Response:
        live = await self._find(request)
        newest = await self._conversations.catch_up(live)
        return JSONResponse([] if newest is None else [_shown(action) for action in newest.undecided])

    async def _decide(self, request: Request) -> Response:
        """A decision of somebody who has logged in, on an action of this conversation."""
        person = await self._sender(request)
        live = await self._find(request)
        body = await _json_object(request)
        decision, arguments, reason = body.get("decision"), body.get("arguments"), body.get("reason")
        seen = body.get("seen")
        for name, value in {"reason": reason, "seen": seen}.items():
            if not isinstance(value, str | None):
                raise HTTPException(400, f"{name}: expected a text")
        approvals, by = self._autonomy.approvals, person
        if FRONT_END in person.roles:  # its users decide, and it has logged them in
            by = Person(live.conversation.session.user_id or person.name)
        action = await self._action_of(live, request)
        match decision:
            case "approve":
                if action.proposal.effect is not None and seen is None:
                    raise HTTPException(400, "seen: expected the seal of what was shown, as the approval has it")
                deciding = functools.partial(approvals.approve, action.id, by, seen)
            case "edit" if isinstance(arguments, dict):
                deciding = functools.partial(approvals.edit, action.id, arguments, by, reason, seen)
            case "edit":
                raise HTTPException(400, "arguments: expected the edited ones, all of them, as an object")
            case "reject":
                deciding = functools.partial(approvals.reject, action.id, by, reason or "")
            case _:
                raise HTTPException(400, "decision: expected approve, edit or reject")
        try:
            decided = await asyncio.to_thread(deciding)
        except AlreadyDecidedError as error:
            raise HTTPException(409, str(error)) from None
        except NotPermittedError as error:
            raise HTTPException(403, str(error)) from None
        except NotShownError as error:
            unseen = {"error": str(error), "effect": error.effect, "seal": error.seal}
            return JSONResponse(unseen, status_code=412)
        except (InvalidEditError, RiskRaisedError) as error:
            raise HTTPException(400, f"arguments: {error}") from None
        live.last_used = time.monotonic()
        self._requests.look_now()
        return JSONResponse({"decision": decided.decision})

    async def _close(self, request: Request) -> Response:
        live = self._conversations.get(request.path_params["id"])
        if live is None:
            raise HTTPException(404, NO_SESSION)
        self._conversations.close(live)
        return Response(status_code=204)

    async def _sender(self, request: Request) -> Person:
        try:
            person = await asyncio.to_thread(self._door.sender, request)
        except TooManyGuessesError as error:
            raise HTTPException(429, str(error)) from None
        except TokenError as error:
            log.error("nobody can log in: %s", error)
            raise HTTPException(503, "it cannot be read who may log in; the agent's log says why") from None
        if person is None:
            raise HTTPException(401, WHO)
        return person

    async def _find(self, request: Request) -> LiveConversation:
        live = await self._conversations.find(request.path_params["id"])
        if live is None:
            raise HTTPException(404, NO_SESSION)
        return live

    async def _action_of(self, live: LiveConversation, request: Request) -> Action:
        """The action that the request names, if it is of this conversation."""
        with contextlib.suppress(UnknownActionError):
            action = await asyncio.to_thread(self._autonomy.approvals.get, request.path_params["action"])
            if action.proposal.session_id == live.id:
                return action
        raise HTTPException(404, "this conversation has no such action")

    async def _actions(self, action_ids: Sequence[str]) -> list[Action]:
        return [await asyncio.to_thread(self._autonomy.actions.get, action_id) for action_id in action_ids]

    async def _shown_answer(self, answer: Answer) -> Response:
        asked = await self._actions(answer.waiting)
        waiting = [action for action in asked if action.decision is None]
        return JSONResponse(
            {
                "text": answer.text,
                "tools": answer.tools,
                "approvals": [_shown(action) for action in waiting],
                "suggestions": len(answer.suggested),  # what they are, the user is not to know before they have acted
            }
        )

    @contextlib.asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        if self._companion.cache is not None:
            self._companion.cache.operated_through(self._gauge)
        try:
            async with self._conversations.keeping():
                yield
        finally:
            await self._companion.close()
            await asyncio.to_thread(self._gauge.close)


def _shown(action: Action) -> dict[str, Any]:
    """An action as its user sees it."""
    proposal = action.proposal
    return {
        "id": action.id,
        "tool": proposal.tool,
        "risk": proposal.risk,
        "why": proposal.context.get("why"),
        "arguments": proposal.arguments,
        "effect": proposal.effect,
        "seal": action.seal,
        "expires_at": None if action.expires_at is None else action.expires_at.isoformat(),
    }


def _seconds(request: Request) -> float:
    try:
        seconds = float(request.query_params.get("wait", 0))
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= LONGEST_WAIT:
        raise HTTPException(400, f"wait: expected seconds from 0 to {LONGEST_WAIT:g}")
    return seconds


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _json_object(request: Request) -> dict[str, Any]:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != JSON:
        raise HTTPException(415, f"expected content-type: {JSON}")
    try:
        body = decoded_json(await request.body())
    except ValueError as error:
        raise HTTPException(400, str(error)) from None
    if not isinstance(body, dict):
        raise HTTPException(400, "the body is not a JSON object")
    return body


def _refused_as_json(_scope: Scope, status: HTTPStatus, reason: str) -> AsgiApp:
    return JSONResponse({"error": reason}, status)


async def _error_as_json(request: Request, error: Exception) -> Response:
    status, detail = (error.status_code, error.detail) if isinstance(error, HTTPException) else (500, "internal error")
    return JSONResponse({"error": detail}, status_code=status)


async def _ledger_error_as_json(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": NO_LEDGER}, status_code=503)
