"""The approvals page: what waits, what one action would do, and the decision of the person who looks at it.

All but the login asks for a login, and whatever changes something must come from a form of this page.
"""

from __future__ import annotations

import asyncio
import functools
import hmac
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

from sqlalchemy.exc import SQLAlchemyError
from starlette.applications import Starlette
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.templating import Jinja2Templates

from agentgauge.autonomy.access import Guard, SecureHeaders, from_our_page
from agentgauge.autonomy.actions import Action, AlreadyDecidedError, UnknownActionError
from agentgauge.autonomy.approvals import InvalidEditError, NotPermittedError, RiskRaisedError
from agentgauge.autonomy.edits import FieldError, edited, fields_of
from agentgauge.autonomy.parts import Autonomy
from agentgauge.autonomy.showing import ago, changes, decided_by, gist, too_late, until, visible
from agentgauge.http_guard import FORM, LOOPBACK, RequestGuard
from agentgauge.vocabulary import AuditVerdict

SESSION_SECONDS = 12 * 3600
LONGEST_NAME = 60
LONGEST_REASON = 500
DECIDED_SHOWN = 20

Show = Callable[[Request], Awaitable[Response]]
Do = Callable[[Request, FormData], Awaitable[Response]]
Schemas = Mapping[str, Mapping[str, Any]]

_HERE = Path(__file__).parent
_templates = Jinja2Templates(directory=_HERE / "templates")
_templates.env.globals.update(
    ago=ago,
    decided_by=decided_by,
    gist=gist,
    longest_name=LONGEST_NAME,
    longest_reason=LONGEST_REASON,
    until=until,
    visible=visible,
)


def approvals_app(
    autonomy: Autonomy,
    schemas: Schemas,
    token: str,
    agent: str,
    *,
    hosts: Sequence[str] = LOOPBACK,
    path: str = "/approvals",
) -> Starlette:
    """The page as an ASGI app, to be mounted at ``path``.

    ``schemas`` are the JSON schemas of the tools' arguments, by tool; ``hosts`` the names, without port, under which
    browsers may reach it.
    """
    page = _Page(autonomy, schemas, Guard(token), agent)
    one = "/actions/{id}"
    return Starlette(
        routes=[
            Route("/", _for_reviewers(page.queue)),
            Route("/login", _from_anywhere(page.login)),
            Route("/login", _from_our_form(page.log_in), methods=["POST"]),
            Route("/logout", _for_reviewers(_from_our_form(page.log_out)), methods=["POST"]),
            Route(one, _for_reviewers(page.action)),
            Route(f"{one}/preview", _for_reviewers(_from_our_form(page.preview)), methods=["POST"]),
            Route(f"{one}/approve", _for_reviewers(_from_our_form(page.approve)), methods=["POST"]),
            Route(f"{one}/edit", _for_reviewers(_from_our_form(page.edit)), methods=["POST"]),
            Route(f"{one}/reject", _for_reviewers(_from_our_form(page.reject)), methods=["POST"]),
            Route(f"{one}/audit", _for_reviewers(_from_our_form(page.audit)), methods=["POST"]),
            Mount("/static", StaticFiles(directory=_HERE / "static")),
        ],
        middleware=[
            Middleware(SecureHeaders),
            Middleware(RequestGuard, hosts=hosts, types=(FORM,)),
            Middleware(
                SessionMiddleware,
                secret_key=token,
                session_cookie="approvals",
                max_age=SESSION_SECONDS,
                path=path,
                same_site="strict",
            ),
        ],
        exception_handlers={
            HTTPException: page.refused,
            UnknownActionError: page.unknown,
            SQLAlchemyError: page.without_ledger,
        },
    )


def _from_anywhere(show: Show) -> Show:
    """For pages that links of other sites may lead to: they bring no strict cookie, so the browser asks again."""

    async def answer(request: Request) -> Response:
        if request.method == "GET" and request.headers.get("sec-fetch-site") == "cross-site":
            return _templates.TemplateResponse(request, "arrival.html", {"root": _root(request)})
        return await show(request)

    return answer


def _for_reviewers(show: Show) -> Show:
    """For those who are logged in; the others are led to the login, and from there back."""

    async def answer(request: Request) -> Response:
        if "reviewer" in request.session:
            return await show(request)
        if request.method == "GET":
            request.session["onward"] = request.url.path
        return _redirect(request, "/login")

    return _from_anywhere(answer)


def _from_our_form(do: Do) -> Show:
    """For a form that this page sent in this session, and no other."""

    async def answer(request: Request) -> Response:
        if not from_our_page(request.headers):
            raise HTTPException(403, "This form was sent by another site. Nothing was done.")
        form = await request.form()
        expected = request.session.get("csrf", "")
        if not expected or not hmac.compare_digest(_text(form, "csrf").encode(), expected.encode()):
            raise HTTPException(403, "This form is out of date. Nothing was done; open the page again.")
        return await do(request, form)

    return answer


class _Page:
    """The endpoints and what they work on."""

    def __init__(self, autonomy: Autonomy, schemas: Schemas, guard: Guard, agent: str) -> None:
        self._autonomy = autonomy
        self._approvals = autonomy.approvals
        self._schemas = schemas
        self._guard = guard
        self._agent = agent

    async def queue(self, request: Request) -> Response:
        """What waits, what is to be audited, and what was decided last."""
        day_ago = datetime.now(UTC) - timedelta(days=1)

        def look_up() -> dict[str, Any]:
            policy = self._autonomy.policy()
            return {
                "waiting": self._approvals.waiting(),
                "audits": self._autonomy.actions.to_audit(),
                "decided": self._autonomy.actions.last_decided(policy.tools, day_ago, DECIDED_SHOWN),
                "stage": self._autonomy.standings.now(policy).stage,
            }

        return self._render(request, "queue.html", **await asyncio.to_thread(look_up))

    async def login(self, request: Request) -> Response:
        """The login form; a token in the URL is first exchanged for a cookie, so that it is in no page's address."""
        if "reviewer" in request.session:
            return _redirect(request, "/")
        token = request.query_params.get("token")
        if token is None:
            return self._login(request)
        if not self._guard.admits(token):
            return self._wrong_token(request)
        request.session["admitted"] = True
        return _redirect(request, "/login")

    async def log_in(self, request: Request, form: FormData) -> Response:
        """A session for whoever has the token and gives a name."""
        if not request.session.get("admitted") and not self._guard.admits(_text(form, "token")):
            return self._wrong_token(request)
        request.session["admitted"] = True
        name = " ".join(_text(form, "name").split())
        if not 0 < len(name) <= LONGEST_NAME or visible(name) != name:
            return self._login(request, 422, f"Your name: expected 1 to {LONGEST_NAME} characters that can be seen.")
        onward = request.session.get("onward", f"{_root(request)}/")
        request.session.clear()
        request.session.update(reviewer=name, csrf=secrets.token_urlsafe())
        return RedirectResponse(onward, 303)

    async def log_out(self, request: Request, form: FormData) -> Response:
        """End the session."""
        request.session.clear()
        return _redirect(request, "/login")

    async def action(self, request: Request) -> Response:
        """One action."""
        return self._action(request, await self._asked_for(request))

    async def preview(self, request: Request, form: FormData) -> Response:
        """The action, with what the edit form as filled in would change."""
        return self._action(request, await self._asked_for(request), edit=form)

    async def approve(self, request: Request, form: FormData) -> Response:
        """Let it happen as proposed."""
        return await self._decide(request, self._approvals.approve)

    async def edit(self, request: Request, form: FormData) -> Response:
        """Let it happen with other arguments."""
        action = await self._asked_for(request)
        try:
            arguments = self._edited(action, form)
            editing = functools.partial(self._approvals.edit, arguments=arguments, reason=_reason(form))
            return await self._decide(request, editing)
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

    async def _asked_for(self, request: Request) -> Action:
        return await asyncio.to_thread(self._approvals.get, request.path_params["id"])

    async def _decide(self, request: Request, decide: Callable[..., Action]) -> Response:
        """Back to the list with what was decided or, if somebody was faster, to the action with who that was."""
        try:
            action = await asyncio.to_thread(decide, request.path_params["id"], by=request.session["reviewer"])
        except AlreadyDecidedError as late:
            return self._action(request, late.action, 409, too_late(late.action))
        except NotPermittedError as error:
            return self._action(request, await self._asked_for(request), 403, f"Not decided: {error}.")
        request.session["said"] = f"{action.proposal.tool}: {action.decision or action.verdict}."
        return _redirect(request, "/")

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
        fields = fields_of(proposed, self._schema(action))
        preview, reason = [], ""
        if edit is not None:
            texts, reason = _texts(edit), _text(edit, "reason")
            fields = [replace(field, text=texts.get(field.name, field.text)) for field in fields]
            try:
                preview = changes(proposed, self._edited(action, edit))
            except FieldError as error:
                edit_problem = edit_problem or str(error)
        return self._render(
            request,
            "action.html",
            status,
            problem=problem,
            action=action,
            state=_state(action),
            proposed=fields_of(proposed, {}),
            made=changes(proposed, action.final_arguments),
            fields=fields,
            editing=edit is not None,
            edit_problem=edit_problem,
            preview=preview,
            reason=reason,
            rejecting=rejecting,
        )

    def _wrong_token(self, request: Request) -> Response:
        if self._guard.closed():
            return self._login(request, 429, "Too many wrong tokens: try again in a minute.")
        return self._login(request, 403, "That is not the login token.")

    def _login(self, request: Request, status: int = 200, problem: str = "") -> Response:
        request.session.setdefault("csrf", secrets.token_urlsafe())
        admitted = request.session.get("admitted", False)
        return self._render(request, "login.html", status, problem=problem, admitted=admitted)

    def _render(self, request: Request, template: str, status: int = 200, **context: Any) -> Response:
        session = request.session
        common = {
            "root": _root(request),
            "agent": self._agent,
            "reviewer": session.get("reviewer"),
            "csrf": session.get("csrf"),
            "said": session.pop("said", None),
        }
        return _templates.TemplateResponse(request, template, common | context, status)


def _state(action: Action) -> str:
    if action.proposal.disposition == "approval" and action.decision is None:
        return "waiting"
    if action.proposal.sampled and action.verdict is None:
        return "to audit"
    return "past"


def _root(request: Request) -> str:
    root: str = request.scope["root_path"]
    return root


def _redirect(request: Request, path: str) -> Response:
    return RedirectResponse(_root(request) + path, 303)


def _text(form: FormData, name: str) -> str:
    value = form.get(name, "")
    return value if isinstance(value, str) else ""


def _texts(form: FormData) -> dict[str, str]:
    """The texts of the arguments' fields."""
    return {name.removeprefix("field."): _text(form, name) for name in form if name.startswith("field.")}


def _reason(form: FormData) -> str | None:
    return _text(form, "reason").strip()[:LONGEST_REASON] or None
