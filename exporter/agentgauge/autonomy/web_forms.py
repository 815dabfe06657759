"""What the pages of approvals share: templates, forms that only our own page can send, and the cookie."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import RedirectResponse, Response
from starlette.templating import Jinja2Templates
from starlette.types import ASGIApp, Receive, Scope, Send

from agentgauge.autonomy.access import Door, from_our_page
from agentgauge.autonomy.logins import SESSION_SECONDS, Logins
from agentgauge.autonomy.showing import ago, decided_by, gist, until, visible

HERE = Path(__file__).parent
LONGEST_REASON = 500

Show = Callable[[Request], Awaitable[Response]]
Do = Callable[[Request, FormData], Awaitable[Response]]

templates = Jinja2Templates(directory=HERE / "templates")
templates.env.globals.update(
    ago=ago,
    decided_by=decided_by,
    gist=gist,
    longest_reason=LONGEST_REASON,
    until=until,
    visible=visible,
)


class Cookies:
    """An ASGI middleware that keeps a little in a signed cookie; behind TLS, browsers send it over TLS alone."""

    def __init__(self, app: ASGIApp, logins: Logins, door: Door, path: str) -> None:
        self._door = door
        self._plain, self._encrypted = (
            SessionMiddleware(
                app,
                logins.cookie_key,
                session_cookie="approvals",
                max_age=SESSION_SECONDS,
                path=path,
                same_site="strict",
                https_only=encrypted,
            )
            for encrypted in (False, True)
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        encrypted = scope["type"] == "http" and self._door.is_encrypted(HTTPConnection(scope))
        await (self._encrypted if encrypted else self._plain)(scope, receive, send)


def from_anywhere(show: Show) -> Show:
    """For pages that links of other sites may lead to: they bring no strict cookie, so the browser asks again."""

    async def answer(request: Request) -> Response:
        if request.method == "GET" and request.headers.get("sec-fetch-site") == "cross-site":
            return templates.TemplateResponse(request, "arrival.html", {"root": root_of(request)})
        return await show(request)

    return answer


def from_our_form(do: Do) -> Show:
    """For a form that this page sent in this session, and no other."""

    async def answer(request: Request) -> Response:
        if not from_our_page(request.headers):
            raise HTTPException(403, "This form was sent by another site. Nothing was done.")
        form = await request.form()
        expected = request.session.get("csrf", "")
        if not expected or not hmac.compare_digest(text_in(form, "csrf").encode(), expected.encode()):
            raise HTTPException(403, "This form is out of date. Nothing was done; open the page again.")
        return await do(request, form)

    return answer


def render(request: Request, agent: str, template: str, status: int = 200, **context: Any) -> Response:
    """A page, with what stands on every one."""
    session, person = request.session, getattr(request.state, "person", None)
    common = {
        "root": root_of(request),
        "agent": agent,
        "reviewer": None if person is None else visible(person.name),
        "csrf": session.get("csrf"),
        "said": session.pop("said", None),
    }
    return templates.TemplateResponse(request, template, common | context, status)


def root_of(request: Request) -> str:
    """Where the page is mounted."""
    root: str = request.scope["root_path"]
    return root


def redirect(request: Request, path: str) -> Response:
    """To another page of ours."""
    return RedirectResponse(root_of(request) + path, 303)


def text_in(form: FormData, name: str) -> str:
    """A field of a form; empty if it is missing, or is a file."""
    value = form.get(name, "")
    return value if isinstance(value, str) else ""
