"""The pager's web application: Alertmanager writes to it, drills wait at it, and people take incidents in hand."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from agentgauge.http_guard import FORM, JSON, LOOPBACK, RequestGuard, decoded_json
from agentgauge.incident.terminal import printable
from alerts.catalog import ALERTS
from alerts.pager import html, outward
from alerts.pager.incidents import Alarm, Incident, incidents, to_escalate
from alerts.pager.notification import Page, in_iso, pages_in
from alerts.pager.store import Store

LONGEST_TEXT = 200
"""Characters of a name or reason that somebody writes into a form."""
HOSTS = (*LOOPBACK, "pager")
"""The names that it is asked by: on loopback, and by Alertmanager in the Compose network."""
ESCALATION_CHECK_SECONDS = 5.0
INHIBITS = {alert.name: alert.inhibits for alert in ALERTS}


@dataclass(frozen=True)
class Escalation:
    """What happens to a critical alarm that nobody has acknowledged ``after`` it began: it is printed again.

    It is posted to ``url`` as well, if there is one, as JSON, until that answers with success.
    """

    after: timedelta
    url: str = ""


def create_app(
    show: Callable[[str], None] = print,
    hosts: Sequence[str] = HOSTS,
    *,
    state: Path | None = None,
    alertmanager: str = "",
    escalation: Escalation | None = None,
) -> Starlette:
    """The pager as an ASGI app.

    ``show`` gets the text of each page, ``hosts`` are the names that it answers to: a website that its reader visits
    cannot write to it, nor read it by a name that it lets point here. ``state`` is the file in which it remembers;
    without one it forgets when it ends. ``alertmanager`` is the URL at which it silences. Raises sqlite3.Error if the
    file is not the pager's, OSError if it cannot be opened.
    """
    pager = _Pager(show, Store(state), alertmanager, escalation)
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
        ],
        middleware=[Middleware(RequestGuard, hosts=hosts, types=(JSON, FORM))],
        exception_handlers={sqlite3.Error: _cannot_remember},
        lifespan=pager.lifespan,
    )


class _Pager:
    """The handlers of the routes, and what they share."""

    def __init__(
        self, show: Callable[[str], None], store: Store, alertmanager: str, escalation: Escalation | None
    ) -> None:
        self._show = show
        self._store = store
        self._alertmanager = alertmanager
        self._escalation = escalation
        self._arrival = asyncio.Condition()
        self._heartbeat: str | None = None

    @asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[None]:
        """Escalate for as long as the app runs."""
        task = asyncio.create_task(self._escalate(self._escalation)) if self._escalation else None
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
        return JSONResponse([{"alarms": [asdict(alarm) for alarm in one.alarms]} for one in self._open()])

    async def home(self, request: Request) -> Response:
        """The whole page."""
        return HTMLResponse(html.page(self._view()), headers=html.HEADERS)

    async def listed(self, request: Request) -> Response:
        """The list alone, for the script that renews it; 304 while it is what the reader has."""
        fragment, tag = html.fragment(self._view())
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304)
        return HTMLResponse(fragment, headers=html.HEADERS | {"etag": tag})

    async def acknowledge(self, request: Request) -> Response:
        """Somebody takes alarms in hand."""
        form = await _form(request)
        if isinstance(form, Response):
            return form
        alarms = self._named_in(form)
        if not (by := form.get("by", "").strip()):
            return _bad("say who you are: the others want to know whom to ask")
        self._store.acknowledge([alarm.id for alarm in alarms], by, in_iso(datetime.now(UTC)))
        self._show(f"ACKNOWLEDGED by {by}: {_names(alarms)}")
        return RedirectResponse(_root(request), status_code=303)

    async def silence(self, request: Request) -> Response:
        """Alertmanager is told not to repeat alarms for some hours."""
        form = await _form(request)
        if isinstance(form, Response):
            return form
        alarms, by, why = self._named_in(form), form.get("by", "").strip(), form.get("why", "").strip()
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

    def _view(self) -> html.View:
        alarms = self._store.alarms()
        return html.View(
            now=datetime.now(UTC),
            incidents=incidents(alarms, INHIBITS),
            ended=sorted((alarm for alarm in alarms if alarm.ended_at), key=lambda alarm: alarm.ended_at, reverse=True),
            heartbeat=self._heartbeat,
            can_silence=bool(self._alertmanager),
        )

    def _open(self) -> list[Incident]:
        return incidents(self._store.alarms(), INHIBITS)

    def _named_in(self, form: dict[str, str]) -> list[Alarm]:
        named = set(form.get("alarms", "").split())
        return [alarm for alarm in self._store.alarms() if str(alarm.id) in named and not alarm.ended_at]

    async def _escalate(self, escalation: Escalation) -> None:
        while True:
            now = datetime.now(UTC)
            try:
                for alarm in to_escalate(self._store.alarms(), now, escalation.after):
                    line = f"{alarm.page.first_line}: nobody has acknowledged it for {html.age(alarm.began_at, now)}"
                    if escalation.url:
                        await outward.escalate(escalation.url, line, alarm)
                    self._store.escalate([alarm.id], in_iso(now))
                    self._show(f"ESCALATED {line}")
            except (outward.OutwardError, sqlite3.Error) as error:
                self._show(f"NOT ESCALATED: {error}; trying again")
            await asyncio.sleep(ESCALATION_CHECK_SECONDS)


def _names(alarms: Sequence[Alarm]) -> str:
    lines = (f"{alarm.page.alert} of {alarm.page.whose or 'nobody'}" for alarm in alarms)
    return ", ".join(dict.fromkeys(lines)) or "nothing that is still open"


async def _form(request: Request) -> dict[str, str] | Response:
    """The fields of our own page's form; otherwise the answer to whoever sent more than it has."""
    try:
        fields = parse_qs((await request.body()).decode(errors="replace"), max_num_fields=20)
    except ValueError:
        return PlainTextResponse("the form is too large\n", status_code=413)
    return {name: printable(values[0])[:LONGEST_TEXT] for name, values in fields.items()}


def _bad(text: str) -> Response:
    return PlainTextResponse(f"{text}\n", status_code=400)


def _root(request: Request) -> str:
    return f"{request.scope.get('root_path', '')}/"


async def _cannot_remember(request: Request, error: Exception) -> Response:
    """Alertmanager tries again; people read why."""
    return PlainTextResponse(f"the pager's file cannot be used: {error}\n", status_code=503)
