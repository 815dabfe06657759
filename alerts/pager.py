"""The bundle's pager: an Alertmanager webhook that prints each page with its links and keeps it at ``/pages``."""

from __future__ import annotations

import asyncio
import html
import json
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

KEPT_PAGES = 1000
LARGEST_BODY = 1_000_000
"""Bytes of a notification; Alertmanager's are some thousand."""
HOSTS = ("127.0.0.1", "localhost", "[::1]", "pager")
"""The names that it is asked by: on loopback, and by Alertmanager in the Compose network."""


@dataclass(frozen=True)
class Page:
    """One alert as it reached the pager. ``status`` is firing or resolved; times are ISO 8601 in UTC."""

    status: str
    alert: str
    severity: str
    labels: dict[str, str]
    summary: str
    description: str
    runbook_url: str
    dashboard_url: str
    starts_at: str
    received_at: str

    def __str__(self) -> str:
        what = "RESOLVED" if self.status == "resolved" else "PAGE" if self.severity == "critical" else "TICKET"
        lines = [f"{what} {self.alert} ({self.severity}) {self.summary}"]
        if self.status != "resolved":
            lines += [f"  {self.description}", f"  runbook  {self.runbook_url}", f"  panel    {self.dashboard_url}"]
        return "\n".join(lines)


def pages_in(notification: dict[str, Any]) -> list[Page]:
    """The pages in an Alertmanager webhook body (version 4); ValueError or KeyError if it is something else."""
    alerts = notification.get("alerts")
    if not isinstance(alerts, list):
        raise ValueError("expected Alertmanager's webhook body: an object with a list of alerts")
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    return [_page(alert, now) for alert in alerts]


def _page(alert: dict[str, Any], received_at: str) -> Page:
    labels, annotations = _texts(alert["labels"]), _texts(alert.get("annotations", {}))
    return Page(
        status=_printable(alert["status"]),
        alert=labels["alertname"],
        severity=labels.get("severity", "none"),
        labels={name: value for name, value in labels.items() if name not in ("alertname", "severity")},
        summary=annotations.get("summary", ""),
        description=annotations.get("description", ""),
        runbook_url=annotations.get("runbook_url", ""),
        dashboard_url=annotations.get("dashboard_url", ""),
        starts_at=_printable(alert["startsAt"]),
        received_at=received_at,
    )


def _texts(values: dict[str, Any]) -> dict[str, str]:
    return {_printable(name): _printable(value) for name, value in values.items()}


def _printable(value: Any) -> str:
    """The text without what would move a terminal's cursor, colour it, or be no Unicode."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in str(value))


def create_app(show: Callable[[str], None] = print, hosts: Sequence[str] = HOSTS) -> Starlette:
    """The pager as an ASGI app; ``show`` gets the text of each page, ``hosts`` are the names that it answers to.

    A website that its reader visits cannot write to it, nor read it by a name that it lets point here.
    """
    pages: deque[Page] = deque(maxlen=KEPT_PAGES)
    heartbeats: deque[str] = deque(maxlen=1)
    arrival = asyncio.Condition()

    async def receive(request: Request) -> Response:
        refused = _refused(request)
        if refused is not None:
            return refused
        try:
            body = await _body(request)
        except OverflowError:
            return PlainTextResponse(f"more than {LARGEST_BODY} bytes\n", status_code=413)
        try:
            received = pages_in(json.loads(body))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            said = f"not a webhook of Alertmanager: {type(error).__name__}: {error}\n"
            return PlainTextResponse(said, status_code=400)
        for page in received:
            show(str(page))
        async with arrival:
            pages.extend(received)
            arrival.notify_all()
        return PlainTextResponse("ok\n")

    async def list_pages(request: Request) -> Response:
        return JSONResponse([asdict(page) for page in pages])

    async def wait_for_page(request: Request) -> Response:
        """Answer with the first page of this alert and status after ``since``, or 204 after ``timeout`` seconds."""
        query = request.query_params
        since, timeout = query.get("since", ""), min(float(query.get("timeout", "30")), 60.0)

        def found() -> Page | None:
            wanted = (query.get("alert"), query.get("status", "firing"))
            return next((p for p in pages if (p.alert, p.status) == wanted and p.received_at >= since), None)

        async with arrival:
            try:
                await asyncio.wait_for(arrival.wait_for(lambda: found() is not None), timeout)
            except TimeoutError:
                return Response(status_code=204)
        page = found()
        return JSONResponse(asdict(page)) if page else Response(status_code=204)

    async def heartbeat(request: Request) -> Response:
        refused = _refused(request)
        if refused is not None:
            return refused
        heartbeats.append(datetime.now(UTC).isoformat(timespec="seconds"))
        return PlainTextResponse("ok\n")

    async def health(request: Request) -> Response:
        return JSONResponse({"pages": len(pages), "last_heartbeat": heartbeats[0] if heartbeats else None})

    async def home(request: Request) -> Response:
        return HTMLResponse(_html(list(pages), heartbeats[0] if heartbeats else None))

    return Starlette(
        routes=[
            Route("/", home),
            Route("/alerts", receive, methods=["POST"]),
            Route("/heartbeat", heartbeat, methods=["POST"]),
            Route("/pages", list_pages),
            Route("/pages/wait", wait_for_page),
            Route("/health", health),
        ],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts))],
    )


def _refused(request: Request) -> Response | None:
    """The answer to whoever is not Alertmanager: a browser says where a form or script comes from."""
    if "origin" in request.headers:
        return PlainTextResponse("pages come from Alertmanager, not from a website\n", status_code=403)
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        return PlainTextResponse("send application/json\n", status_code=415)
    return None


async def _body(request: Request) -> bytes:
    """The whole body; OverflowError if it is larger than LARGEST_BODY."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > LARGEST_BODY:
            raise OverflowError
    return bytes(body)


def _html(pages: list[Page], heartbeat: str | None) -> str:
    rows = "".join(
        f"<article class='{page.status} {page.severity}'><h2>{_text(page.alert)} <small>{_text(page.status)} · "
        f"{_text(page.severity)} · {_text(page.received_at[:19])}Z</small></h2><p>{_text(page.description)}</p>"
        f"<p>{_link(page.runbook_url, 'runbook')} · {_link(page.dashboard_url, 'panel')}</p>"
        "</article>"
        for page in reversed(pages)
    )
    alive = f"Alerting chain alive: last heartbeat {heartbeat}." if heartbeat else "No heartbeat yet."
    return f"""<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Pager</title>
<meta http-equiv="refresh" content="5"><style>
:root {{ color-scheme: light dark; font-family: system-ui, sans-serif }}
body {{ max-width: 60rem; margin: 2rem auto; padding: 0 1rem; line-height: 1.4 }}
article {{ border-left: 6px solid #e8a317; padding: .2rem 1rem; margin: 1rem 0; background: #8881 }}
article.critical {{ border-color: #d62728 }} article.resolved {{ border-color: #2ca02c }}
h2 {{ font-size: 1.1rem; margin: .4rem 0 }} small {{ font-weight: normal; opacity: .7 }} p {{ margin: .3rem 0 }}
</style></head><body><h1>Pages</h1><p>{_text(alive)}</p>{rows or "<p>Nobody was paged.</p>"}</body></html>"""


def _link(url: str, words: str) -> str:
    """A link, or the words alone if the address is something to execute."""
    return f"<a href='{_text(url)}'>{words}</a>" if url.startswith(("http://", "https://")) else words


def _text(value: str) -> str:
    return html.escape(value, quote=True)
