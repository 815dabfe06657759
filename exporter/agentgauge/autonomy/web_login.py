"""Getting into the page of approvals and out of it: by one's token, by a link that works once, or through a proxy."""

from __future__ import annotations

import asyncio
import secrets

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from agentgauge.autonomy.access import Door, TooManyGuessesError
from agentgauge.autonomy.logins import Logins
from agentgauge.autonomy.permission import Person
from agentgauge.autonomy.web_forms import Show, from_anywhere, redirect, render, root_of, text_in

WRONG_TOKEN = "That is nobody's token."  # noqa: S105 - what is said about a wrong one
WRONG_LINK = "This link was used before, or is too old. Ask for a new one, or log in with your token."


class LoginPages:
    """The endpoints; who is logged in is in the ledger, and the cookie holds only which login that is."""

    def __init__(self, door: Door, logins: Logins, agent: str) -> None:
        self._door = door
        self._logins = logins
        self._agent = agent

    def for_people(self, show: Show) -> Show:
        """For those who are logged in, as ``request.state.person``; the others are led to the login, and back."""

        async def answer(request: Request) -> Response:
            person = await asyncio.to_thread(self._person, request)
            if person is not None:
                request.state.person = person
                request.session.setdefault("csrf", secrets.token_urlsafe())
                return await show(request)
            if request.method == "GET":
                request.session["onward"] = request.url.path
            return redirect(request, "/login")

        return from_anywhere(answer)

    async def login(self, request: Request) -> Response:
        """The login form. The code of a link is moved into the cookie, and used only once somebody says so.

        What previews links, as chats and mail scanners do, follows them without a click, and would use it up.
        """
        if await asyncio.to_thread(self._person, request) is not None:
            return redirect(request, "/")
        code = request.query_params.get("code")
        if code is None:
            return self._form(request)
        request.session["code"] = code
        return redirect(request, "/login")

    async def log_in(self, request: Request, form: FormData) -> Response:
        """A login for whoever has a token, or came by a link."""
        if "code" in request.session:
            person = await asyncio.to_thread(self._behind_link, request.session.pop("code"))
            if person is None:
                return self._form(request, 403, WRONG_LINK)
        else:
            try:
                person = await asyncio.to_thread(self._door.admit, request, text_in(form, "token"))
            except TooManyGuessesError as error:
                return self._form(request, 429, f"Not looked at: {error}.")
            if person is None:
                return self._form(request, 403, WRONG_TOKEN)
        onward = request.session.get("onward", f"{root_of(request)}/")
        request.session.clear()
        login = await asyncio.to_thread(self._logins.open, person.name)
        request.session.update(login=login, csrf=secrets.token_urlsafe())
        return RedirectResponse(onward, 303)

    async def log_out(self, request: Request, form: FormData) -> Response:
        """End the login, for every copy of the cookie."""
        await asyncio.to_thread(self._logins.close, request.session.get("login", ""))
        request.session.clear()
        return redirect(request, "/login")

    def _person(self, request: Request) -> Person | None:
        """Who sent this: as the proxy says, or by their login, with the roles that they have now."""
        proxied = self._door.proxied(request)
        if proxied is not None or "login" not in request.session:
            return proxied
        name = self._logins.person(request.session["login"])
        return None if name is None else self._door.people.all().get(name)

    def _behind_link(self, code: str) -> Person | None:
        name = self._logins.redeem(code)
        return None if name is None else self._door.people.all().get(name)

    def _form(self, request: Request, status: int = 200, problem: str = "") -> Response:
        request.session.setdefault("csrf", secrets.token_urlsafe())
        by_link = "code" in request.session
        return render(request, self._agent, "login.html", status, problem=problem, by_link=by_link)
