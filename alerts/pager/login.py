"""Who may run what a runbook says: whoever has the pager's token, and gives a name under which it is recorded."""

from __future__ import annotations

import hmac
import secrets
from pathlib import Path

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from agentgauge.autonomy.access import Door, TooManyGuessesError, from_our_page
from agentgauge.autonomy.people import People, TokenError
from agentgauge.incident.terminal import printable
from alerts.pager import html
from alerts.pager.forms import form_of

FILE_NAME = "pager-token"
PEOPLE_NAME = "pager-people.yml"
LONGEST_NAME = 60


def people_beside(state: Path) -> People:
    """Who may log in to the pager that remembers in this file: whoever has the token beside it."""
    return People(state.parent / PEOPLE_NAME, state.parent / FILE_NAME)


def token_beside(state: Path) -> str:
    """The token of that pager, made at first use; raises TokenError if it cannot be used."""
    return people_beside(state).owner()[1]


def by(request: Request) -> str:
    """Who is logged in; empty if nobody is."""
    return str(request.session.get("by", ""))


def csrf(request: Request) -> str:
    """What a form has to send back to prove that it is of this session."""
    return str(request.session.setdefault("csrf", secrets.token_urlsafe()))


def refusal(request: Request, form: dict[str, str]) -> str:
    """Why a form is not taken; empty if it is one of our pages' forms, sent in this session."""
    if not from_our_page(request.headers):
        return "this form was sent by another site; nothing was done"
    expected = request.session.get("csrf", "")
    if not expected or not hmac.compare_digest(form.get("csrf", "").encode(), expected.encode()):
        return "this form is out of date; nothing was done, open the page again"
    return ""


class Login:
    """The login form and what it leads to."""

    def __init__(self, people: People) -> None:
        self._door = Door(people)

    @property
    def routes(self) -> list[BaseRoute]:
        """Where it is reached."""
        return [
            Route("/login", self.show),
            Route("/login", self.log_in, methods=["POST"]),
            Route("/logout", self.log_out, methods=["POST"]),
        ]

    async def show(self, request: Request) -> Response:
        """The form; a token in the URL is first exchanged for a cookie, so that it is in no page's address."""
        if (onward := request.query_params.get("onward")) is not None:
            request.session["onward"] = onward
        token = request.query_params.get("token")
        if token is None:
            return self._form(request)
        if (refused := self._refused(request, token)) is not None:
            return refused
        request.session["admitted"] = True
        return RedirectResponse(request.url.path, 303)

    async def log_in(self, request: Request) -> Response:
        """A session for whoever has the token and gives a name."""
        form = await form_of(request)
        if isinstance(form, Response):
            return form
        if problem := refusal(request, form):
            return html.message("That did not work", problem, 403)
        if not request.session.get("admitted"):
            refused = self._refused(request, form.get("token", ""))
            if refused is not None:
                return refused
        request.session["admitted"] = True
        name = printable(form.get("by", ""))[:LONGEST_NAME].strip()
        if not name:
            return self._form(request, 422, "Say who you are: what you run is recorded with your name.")
        onward = str(request.session.get("onward", ""))
        request.session.clear()
        request.session.update(by=name, csrf=secrets.token_urlsafe())
        # Only to a page of ours: two slashes, which browsers read out of backslashes as well, begin with a host.
        within = onward.replace("\\", "").lstrip("/")
        return RedirectResponse(f"{request.scope.get('root_path', '')}/{within}", 303)

    async def log_out(self, request: Request) -> Response:
        """End the session."""
        form = await form_of(request)
        if isinstance(form, Response):
            return form
        if problem := refusal(request, form):
            return html.message("That did not work", problem, 403)
        request.session.clear()
        return RedirectResponse(f"{request.scope.get('root_path', '')}/", 303)

    def _refused(self, request: Request, token: str) -> Response | None:
        try:
            admitted = self._door.admit(request, token)
        except TooManyGuessesError:
            return self._form(request, 429, "Too many wrong tokens: try again in a minute.")
        except TokenError as error:
            return self._form(request, 503, str(error))
        return None if admitted else self._form(request, 403, "That is not the pager's token.")

    def _form(self, request: Request, status: int = 200, problem: str = "") -> Response:
        admitted = bool(request.session.get("admitted"))
        text = html.render("login.html", csrf=csrf(request), admitted=admitted, problem=problem, longest=LONGEST_NAME)
        return HTMLResponse(text, status, headers=html.HEADERS)
