"""The approvals page: what waits, what one action would do, and the decision of the person who looks at it.

All but the login asks for a login, and whatever changes something must come from a form of this page.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

from sqlalchemy.exc import SQLAlchemyError
from starlette.applications import Starlette
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from agentgauge.autonomy.access import Door, SecureHeaders
from agentgauge.autonomy.action import Action, AlreadyDecidedError, NotUnresolvedError, UnknownActionError
from agentgauge.autonomy.approvals import InvalidEditError, NotPermittedError, NotShownError, RiskRaisedError
from agentgauge.autonomy.edits import FieldError, edited, fields_of
from agentgauge.autonomy.effects import seal
from agentgauge.autonomy.parts import Autonomy
from agentgauge.autonomy.people import TokenError
from agentgauge.autonomy.showing import NO_PREVIEW, changes, too_late, visible
from agentgauge.autonomy.web_forms import (
    HERE,
    LONGEST_REASON,
    Cookies,
    from_anywhere,
    from_our_form,
    redirect,
    render,
    text_in,
)
from agentgauge.autonomy.web_login import LoginPages
from agentgauge.http_guard import FORM, LOOPBACK, RequestGuard
from agentgauge.vocabulary import AuditVerdict

log = logging.getLogger(__name__)

DECIDED_SHOWN = 20

Schemas = Mapping[str, Mapping[str, Any]]


def approvals_app(
    autonomy: Autonomy,
    schemas: Schemas,
    door: Door,
    agent: str,
    *,
    hosts: Sequence[str] = LOOPBACK,
    path: str = "/approvals",
) -> Starlette:
    """The page as an ASGI app, to be mounted at ``path``.

    ``schemas`` are the JSON schemas of the tools' arguments, by tool; ``door`` says who people are; ``hosts`` are the
    names, without port, under which browsers may reach it.
    """
    page, logins = _Page(autonomy, schemas, agent), LoginPages(door, autonomy.logins, agent)
    people = logins.for_people
    one = "/actions/{id}"
    return Starlette(
        routes=[
            Route("/", people(page.queue)),
            Route("/login", from_anywhere(logins.login)),
            Route("/login", from_our_form(logins.log_in), methods=["POST"]),
            Route("/logout", people(from_our_form(logins.log_out)), methods=["POST"]),
            Route(one, people(page.action)),
            Route(f"{one}/preview", people(from_our_form(page.preview)), methods=["POST"]),
            Route(f"{one}/approve", people(from_our_form(page.approve)), methods=["POST"]),
            Route(f"{one}/edit", people(from_our_form(page.edit)), methods=["POST"]),
            Route(f"{one}/reject", people(from_our_form(page.reject)), methods=["POST"]),
            Route(f"{one}/audit", people(from_our_form(page.audit)), methods=["POST"]),
            Route(f"{one}/settle", people(from_our_form(page.settle)), methods=["POST"]),
            Mount("/static", StaticFiles(directory=HERE / "static")),
        ],
        middleware=[
            Middleware(SecureHeaders),
            Middleware(RequestGuard, hosts=hosts, types=(FORM,)),
            Middleware(Cookies, logins=autonomy.logins, door=door, path=path),
        ],
        exception_handlers={
            HTTPException: page.refused,
            UnknownActionError: page.unknown,
            SQLAlchemyError: page.without_ledger,
            TokenError: page.without_people,
        },
    )


class _Page:
    """The endpoints and what they work on."""

    def __init__(self, autonomy: Autonomy, schemas: Schemas, agent: str) -> None:
        self._autonomy = autonomy
        self._approvals = autonomy.approvals
        self._schemas = schemas
        self._agent = agent

    async def queue(self, request: Request) -> Response:
        """What waits, what has no known end, what is to be audited, and what was decided last."""
        day_ago = datetime.now(UTC) - timedelta(days=1)

        def look_up() -> dict[str, Any]:
            policy = self._autonomy.policy()
            return {
                "waiting": self._approvals.waiting(),
                "unresolved": self._autonomy.actions.unresolved(),
                "audits": self._autonomy.actions.to_audit(),
                "decided": self._autonomy.actions.last_decided(policy.tools, day_ago, DECIDED_SHOWN),
                "stage": self._autonomy.standings.now(policy).stage,
            }

        return self._render(request, "queue.html", **await asyncio.to_thread(look_up))

    async def action(self, request: Request) -> Response:
        """One action."""
        return self._action(request, await self._asked_for(request))

    async def preview(self, request: Request, form: FormData) -> Response:
        """The action, with what the edit form as filled in would change."""
        return self._action(request, await self._asked_for(request), edit=form)

    async def approve(self, request: Request, form: FormData) -> Response:
        """Let it happen as proposed."""
        return await self._decide(request, functools.partial(self._approvals.approve, seen=text_in(form, "seen")))

    async def edit(self, request: Request, form: FormData) -> Response:
        """Let it happen with other arguments."""
        action = await self._asked_for(request)
        try:
            arguments = self._edited(action, form)
            seen = text_in(form, "seen")
            editing = functools.partial(self._approvals.edit, arguments=arguments, reason=_reason(form), seen=seen)
            return await self._decide(request, editing, edit=form)
        except (FieldError, InvalidEditError, RiskRaisedError) as error:
            return self._action(request, action, 422, edit=form, edit_problem=str(error))

    async def reject(self, request: Request, form: FormData) -> Response:
        """Keep it from happening."""
        reason = _reason(form)
        if reason is None:
            return self._action(request, await self._asked_for(request), 422, "Say why you reject it.", rejecting=True)
        return await self._decide(request, functools.partial(self._approvals.reject, reason=reason))

    async def audit(self, request: Request, form: FormData) -> Response:
        """Judge what ran unasked."""
        verdict = next((known for known in get_args(AuditVerdict) if known == form.get("verdict")), None)
        if verdict is None:
            raise HTTPException(400, "An audit says ok or problem.")
        return await self._decide(request, functools.partial(self._approvals.audit, verdict=verdict))

    async def settle(self, request: Request, form: FormData) -> Response:
        """Say whether what was begun, and has no known end, happened."""
        found, why = text_in(form, "happened"), _reason(form)
        if found not in ("yes", "no"):
            raise HTTPException(400, "Say whether it happened: yes or no.")
        action = await self._asked_for(request)
        if why is None:
            return self._action(request, action, 422, "Say how you know it.")
        by, actions = request.state.person.name, self._autonomy.actions
        try:
            await asyncio.to_thread(actions.settle, action.id, found == "yes", by, why)
        except NotUnresolvedError as late:
            return self._action(request, late.action, 409, f"Nothing was changed: {late}.")
        request.session["said"] = f"{action.proposal.tool}: it {'happened' if found == 'yes' else 'did not happen'}."
        return redirect(request, "/")

    async def refused(self, request: Request, error: Exception) -> Response:
        """What an HTTPException says."""
        status, detail = (error.status_code, error.detail) if isinstance(error, HTTPException) else (500, "")
        return self._render(request, "message.html", status, title="That did not work", text=detail)

    async def unknown(self, request: Request, error: Exception) -> Response:
        """There is no such action."""
        return self._render(request, "message.html", 404, title="There is no such action", text=str(error))

    async def without_ledger(self, request: Request, error: Exception) -> Response:
        """The database does not answer."""
        text = "The ledger cannot be reached, so nothing was decided. Try again in a minute."
        return self._render(request, "message.html", 503, title="That did not work", text=text)

    async def without_people(self, request: Request, error: Exception) -> Response:
        """The file of people cannot be used."""
        log.error("nobody can log in to the approvals: %s", error)
        text = "It cannot be read who may log in, so nothing was decided. The agent's log says why."
        return self._render(request, "message.html", 503, title="That did not work", text=text)

    async def _asked_for(self, request: Request) -> Action:
        return await asyncio.to_thread(self._approvals.get, request.path_params["id"])

    async def _decide(
        self, request: Request, decide: Callable[..., Action], *, edit: FormData | None = None
    ) -> Response:
        """Back to the list with what was decided or, if somebody was faster, to the action with who that was."""
        try:
            action = await asyncio.to_thread(decide, request.path_params["id"], by=request.state.person)
        except AlreadyDecidedError as late:
            return self._action(request, late.action, 409, too_late(late.action))
        except NotShownError as error:
            action = await self._asked_for(request)
            return self._action(request, action, 409, f"Not decided: {error}.", edit=edit)
        except NotPermittedError as error:
            return self._action(request, await self._asked_for(request), 403, f"Not decided: {error}.")
        done = action.decision or action.verdict or "your approval is kept, and one more person has to give theirs"
        request.session["said"] = f"{action.proposal.tool}: {done}."
        return redirect(request, "/")

    def _edited(self, action: Action, form: FormData) -> dict[str, Any]:
        return edited(action.proposal.arguments, _texts(form), self._schema(action))

    def _schema(self, action: Action) -> Mapping[str, Any]:
        return self._schemas.get(action.proposal.tool, {})

    def _action(
        self,
        request: Request,
        action: Action,
        status: int = 200,
        problem: str = "",
        *,
        edit: FormData | None = None,
        edit_problem: str = "",
        rejecting: bool = False,
    ) -> Response:
        """The page of one action; with ``edit``, the edit form is as it was filled in."""
        proposed = action.proposal.arguments
        state = "unresolved" if self._autonomy.actions.is_unresolved(action) else _state(action)
        session = action.proposal.session_id
        fields = fields_of(proposed, self._schema(action))
        preview, effect_preview, seen, reason = [], [], "", ""
        if edit is not None:
            texts, reason = _texts(edit), text_in(edit, "reason")
            fields = [replace(field, text=texts.get(field.name, field.text)) for field in fields]
            try:
                arguments = self._edited(action, edit)
                preview = changes(proposed, arguments)
                effect = self._approvals.effect_of(action.proposal.tool, arguments) if preview else None
                if effect is not None:
                    effect_preview = changes(action.proposal.effect or {}, effect)
                    seen = seal(action.proposal.tool, arguments, effect)
            except (FieldError, InvalidEditError) as error:
                edit_problem = edit_problem or str(error)
        return self._render(
            request,
            "action.html",
            status,
            problem=problem,
            action=action,
            state=state,
            went_wrong=[cause.replace("_", " ") for cause in self._autonomy.transcripts.causes(session or "")],
            agreed=[visible(name) for name in self._approvals.agreed(action)] if state == "waiting" else [],
            shown=fields_of(action.shown, {}),
            no_preview=NO_PREVIEW,
            proposed=fields_of(proposed, {}),
            made=changes(proposed, action.final_arguments),
            effect_made=changes(action.proposal.effect or {}, action.decided_effect or action.proposal.effect or {}),
            fields=fields,
            editing=edit is not None,
            edit_problem=edit_problem,
            preview=preview,
            effect_preview=effect_preview,
            seen=seen,
            reason=reason,
            rejecting=rejecting,
        )

    def _render(self, request: Request, template: str, status: int = 200, **context: Any) -> Response:
        return render(request, self._agent, template, status, **context)


def _state(action: Action) -> str:
    if action.proposal.disposition == "approval" and action.decision is None:
        return "waiting"
    if action.proposal.sampled and action.verdict is None:
        return "to audit"
    return "past"


def _texts(form: FormData) -> dict[str, str]:
    """The texts of the arguments' fields."""
    return {name.removeprefix("field."): text_in(form, name) for name in form if name.startswith("field.")}


def _reason(form: FormData) -> str | None:
    return text_in(form, "reason").strip()[:LONGEST_REASON] or None
