"""The pager's web application: Alertmanager writes to it, drills wait at it, and people take incidents in hand."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from agentgauge.agent_app import AgentApp
from agentgauge.autonomy.people import People
from agentgauge.http_guard import FORM, JSON, LOOPBACK, RequestGuard, decoded_json
from agentgauge.incident import words
from agentgauge.incident.impact import Impact
from agentgauge.incident.place import Place
from alerts.catalog import ALERTS
from alerts.pager import html, login, outward
from alerts.pager.escalation import Escalation, keep_escalating
from alerts.pager.follow import Incidents
from alerts.pager.forms import form_of
from alerts.pager.impacts import Impacts
from alerts.pager.incidents import Alarm, Incident, incidents
from alerts.pager.login import Login
from alerts.pager.notification import Page, in_iso, pages_in
from alerts.pager.store import Store

HOSTS = (*LOOPBACK, "pager")
"""The names that it is asked by: on loopback, and by Alertmanager in the Compose network."""
SESSION_SECONDS = 12 * 3600
INHIBITS = {alert.name: alert.inhibits for alert in ALERTS}


@dataclass(frozen=True)
class Following:
    """What the pages of incidents need: where to look, whose commands they run, and who may log in.

    ``secret`` signs the cookies. Without an ``app`` they show everything and run nothing.
    """

    place: Place
    people: People
    secret: str
    app: AgentApp | None = None


def create_app(
    show: Callable[[str], None] = print,
    hosts: Sequence[str] = HOSTS,
    *,
    state: Path | None = None,
    alertmanager: str = "",
    escalation: Escalation | None = None,
    following: Following | None = None,
) -> Starlette:
    """The pager as an ASGI app.

    ``show`` gets the text of each page, ``hosts`` are the names that it answers to: a website that its reader visits
    cannot write to it, nor read it by a name that it lets point here. ``state`` is the file in which it remembers;
    without one it forgets when it ends. ``alertmanager`` is the URL at which it silences, and asks before it escalates.
    With ``following``, each incident has a page of its own, and only who is logged in takes one in hand or silences it.
    Raises sqlite3.Error if the file is not the pager's, OSError if it cannot be opened.
    """
    store = Store(state)
    pager = _Pager(
        show,
        store,
        alertmanager,
        escalation,
        Impacts(following.place) if following else None,
        has_logins=following is not None,
    )
    middleware = [Middleware(RequestGuard, hosts=hosts, types=(JSON, FORM))]
    more: list[BaseRoute] = []
    if following:
        follow = Incidents(following.place, following.app, store, show)
        more = [*follow.routes, *Login(following.people).routes]
        middleware.append(
            Middleware(
                SessionMiddleware,
                secret_key=following.secret,
                session_cookie="pager",
                max_age=SESSION_SECONDS,
                same_site="strict",
            )
        )
    return Starlette(
        routes=[
            Route("/", pager.home),
            Route("/open", pager.listed),
            Route("/acknowledge", pager.acknowledge, methods=["POST"]),
            Route("/silence", pager.silence, methods=["POST"]),
            Route("/alerts", pager.receive, methods=["POST"]),
            Route("/heartbeat", pager.heartbeat, methods=["POST"]),
            Route("/incidents", pager.as_json),
            Route("/pages", pager.pages),
            Route("/pages/wait", pager.wait_for_page),
            Route("/health", pager.health),
            Mount("/static", StaticFiles(directory=html.STATIC)),
            *more,
        ],
        middleware=middleware,
        exception_handlers={sqlite3.Error: _cannot_remember},
        lifespan=pager.lifespan,
    )


class _Pager:
    """The handlers of the routes, and what they share."""

    def __init__(
        self,
        show: Callable[[str], None],
        store: Store,
        alertmanager: str,
        escalation: Escalation | None,
        impacts: Impacts | None,
        has_logins: bool,
    ) -> None:
        self._show = show
        self._store = store
        self._alertmanager = alertmanager
        self._escalation = escalation
        self._impacts = impacts
        self._has_logins = has_logins
        self._arrival = asyncio.Condition()
        self._heartbeat: str | None = None

    @asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[None]:
        """Escalate for as long as the app runs."""
        keep = self._escalation and keep_escalating(self._escalation, self._store, self._alertmanager, self._show)
        task = asyncio.create_task(keep) if keep else None
        try:
            yield
        finally:
            if task:
                task.cancel()
            self._store.close()

    async def receive(self, request: Request) -> Response:
        """What Alertmanager sends: printed first, because a full disk must not hide a page."""
        try:
            received = pages_in(decoded_json(await request.body()))
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            reason = f"not a webhook of Alertmanager: {type(error).__name__}: {error}\n"
            return PlainTextResponse(reason, status_code=400)
        for page in received:
            self._show(str(page))
        self._store.add(received)
        async with self._arrival:
            self._arrival.notify_all()
        return PlainTextResponse("ok\n")

    async def heartbeat(self, request: Request) -> Response:
        """Remember that the alerting chain is alive."""
        self._heartbeat = datetime.now(UTC).isoformat(timespec="seconds")
        return PlainTextResponse("ok\n")

    async def health(self, request: Request) -> Response:
        """How many pages are kept, and the last heartbeat."""
        return JSONResponse({"pages": self._store.count_pages(), "last_heartbeat": self._heartbeat})

    async def pages(self, request: Request) -> Response:
        """The latest pages as they came."""
        return JSONResponse([asdict(page) for page in self._store.pages()])

    async def wait_for_page(self, request: Request) -> Response:
        """Answer with the first page of this alert and status after ``since``, or 204 after ``timeout`` seconds."""
        query = request.query_params
        since, timeout = query.get("since", ""), min(float(query.get("timeout", "30")), 60.0)
        wanted = (query.get("alert"), query.get("status", "firing"))

        def first() -> Page | None:
            pages = self._store.pages()
            return next((p for p in pages if (p.alert, p.status) == wanted and p.received_at >= since), None)

        async with self._arrival:
            try:
                await asyncio.wait_for(self._arrival.wait_for(lambda: first() is not None), timeout)
            except TimeoutError:
                return Response(status_code=204)
        page = first()
        return JSONResponse(asdict(page)) if page else Response(status_code=204)

    async def as_json(self, request: Request) -> Response:
        """The open incidents, in the order in which they are to be worked on."""
        found = incidents(self._store.alarms(), INHIBITS)
        known = self._impacts_of(found)
        return JSONResponse(
            [
                {
                    "alarms": [asdict(alarm) for alarm in one.alarms],
                    "impact": words.of_impact(known[one.cause.page.whose]) if one.cause.page.whose in known else None,
                }
                for one in found
            ]
        )

    async def home(self, request: Request) -> Response:
        """The whole page."""
        return HTMLResponse(html.page(self._view(request)), headers=html.HEADERS)

    async def listed(self, request: Request) -> Response:
        """The list alone, for the script that renews it; 304 while it is what the reader has."""
        return html.renewed(request, html.fragment(self._view(request)))

    async def acknowledge(self, request: Request) -> Response:
        """Somebody takes alarms in hand."""
        form = await form_of(request)
        if isinstance(form, Response):
            return form
        if self._has_logins and (problem := _not_logged_in(request, form)):
            return html.message("Not acknowledged", problem, 403)
        alarms = self._named_in(form)
        if not (by := self._who(request, form)):
            return _bad("say who you are: the others want to know whom to ask")
        self._store.acknowledge([alarm.id for alarm in alarms], by, in_iso(datetime.now(UTC)))
        self._show(f"ACKNOWLEDGED by {by}: {_names(alarms)}")
        return RedirectResponse(_root(request), status_code=303)

    async def silence(self, request: Request) -> Response:
        """Alertmanager is told not to repeat alarms for some hours."""
        form = await form_of(request)
        if isinstance(form, Response):
            return form
        if self._has_logins and (problem := _not_logged_in(request, form)):
            return html.message("Not silenced", problem, 403)
        alarms, by, why = self._named_in(form), self._who(request, form), form.get("why", "").strip()
        hours = form.get("hours", "")
        if not by or not why:
            return _bad("say who you are and why: whoever finds the silence wants to know")
        if hours not in html.SILENCE_HOURS:
            return _bad(f"a silence lasts {', '.join(html.SILENCE_HOURS)} hours")
        now = datetime.now(UTC)
        until = now + timedelta(hours=int(hours))
        try:
            for alarm in alarms:
                await outward.silence(self._alertmanager, alarm.page, now, until, by, why)
        except outward.OutwardError as error:
            return PlainTextResponse(f"not silenced: {error}\n", status_code=502)
        self._store.silence([alarm.id for alarm in alarms], by, in_iso(until))
        self._show(f"SILENCED by {by} until {until:%Y-%m-%d %H:%M} UTC: {_names(alarms)}")
        return RedirectResponse(_root(request), status_code=303)

    def _who(self, request: Request, form: dict[str, str]) -> str:
        return login.by(request) if self._has_logins else form.get("by", "").strip()

    def _view(self, request: Request) -> html.View:
        who = login.by(request) if self._has_logins else ""
        alarms = self._store.alarms()
        found = incidents(alarms, INHIBITS)
        return html.View(
            now=datetime.now(UTC),
            incidents=found,
            impacts={whose: words.who(it) for whose, it in self._impacts_of(found).items()},
            can_follow=self._impacts is not None,
            ended=sorted((alarm for alarm in alarms if alarm.ended_at), key=lambda alarm: alarm.ended_at, reverse=True),
            heartbeat=self._heartbeat,
            can_silence=bool(self._alertmanager),
            has_logins=self._has_logins,
            who=who,
            csrf=login.csrf(request) if who else "",
        )

    def _impacts_of(self, found: Sequence[Incident]) -> dict[str, Impact]:
        """Agent → what its open incidents do, as far as that is known."""
        agents = {agent for one in found if (agent := one.cause.page.labels.get("agent"))}
        return self._impacts.of(agents) if self._impacts else {}

    def _named_in(self, form: dict[str, str]) -> list[Alarm]:
        named = set(form.get("alarms", "").split())
        return [alarm for alarm in self._store.alarms() if str(alarm.id) in named and not alarm.ended_at]


def _names(alarms: Sequence[Alarm]) -> str:
    lines = (f"{alarm.page.alert} of {alarm.page.whose or 'nobody'}" for alarm in alarms)
    return ", ".join(dict.fromkeys(lines)) or "nothing that is still open"


def _not_logged_in(request: Request, form: dict[str, str]) -> str:
    """Why nothing is changed for whoever sent the form; empty if they are logged in."""
    return login.refusal(request, form) if login.by(request) else "log in first: the others want to know whom to ask"


def _bad(text: str) -> Response:
    return PlainTextResponse(f"{text}\n", status_code=400)


def _root(request: Request) -> str:
    return f"{request.scope.get('root_path', '')}/"


async def _cannot_remember(request: Request, error: Exception) -> Response:
    """Alertmanager tries again; people read why."""
    return PlainTextResponse(f"the pager's file cannot be used: {error}\n", status_code=503)
