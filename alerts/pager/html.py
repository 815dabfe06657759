"""The list of incidents as a page: rendered here, renewed by a small script, usable without it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import jinja2
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from agentgauge.incident.terminal import printable
from alerts.pager.incidents import Alarm, Incident
from alerts.pager.notification import is_web_link, moment

FOLDER = Path(__file__).parent
STATIC = FOLDER / "static"
SILENCE_HOURS = ("1", "4", "24")
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "cache-control": "no-store",
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
}
"""Nothing that somebody smuggled into a label runs, and the page is in nobody's frame."""
KEPT_ON_PAGE = 100
"""Ended alarms that the page shows."""


@dataclass(frozen=True)
class View:
    """What the page shows; ``ended`` has the latest first, ``heartbeat`` is None before the first one.

    ``impacts`` are agent → a line that says whom it hits; ``can_follow`` says whether incidents have their own pages.
    Where the pager ``has_logins``, ``who`` is logged in (empty: nobody), and ``csrf`` proves that a form is theirs.
    """

    now: datetime
    incidents: list[Incident]
    ended: list[Alarm]
    heartbeat: str | None
    can_silence: bool
    impacts: Mapping[str, str]
    can_follow: bool
    has_logins: bool
    who: str
    csrf: str


def page(view: View) -> str:
    """The whole page."""
    text = fragment(view)
    return render("page.html", list=text, tag=tag_of(text), view=view)


def fragment(view: View) -> str:
    """The part that changes."""
    return render("list.html", view=view, hours=SILENCE_HOURS, kept=KEPT_ON_PAGE)


def renewed(request: Request, part: str) -> Response:
    """A part of a page, for the script that renews it; 304 while it is what the reader has."""
    tag = tag_of(part)
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304)
    return HTMLResponse(part, headers=HEADERS | {"etag": tag})


def render(template: str, **values: Any) -> str:
    """A page of ours; whatever it shows is escaped."""
    return TEMPLATES.get_template(template).render(values)


def message(title: str, text: str, status: int) -> HTMLResponse:
    """A page that says one thing, such as why something was not done."""
    return HTMLResponse(render("message.html", title=title, text=text), status, headers=HEADERS)


def tag_of(text: str) -> str:
    """What changes with a text, as an ETag."""
    return f'"{hashlib.sha256(text.encode()).hexdigest()[:16]}"'


def age(since: str, until: datetime | str) -> str:
    """How long ago, in the two largest units: 40 s, 5 min, 3 h 20 min, 2 d 4 h."""
    end = moment(until) if isinstance(until, str) else until
    seconds = max(0, int((end - moment(since)).total_seconds()))
    days, hours, minutes = seconds // 86400, seconds // 3600 % 24, seconds // 60 % 60
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min" if minutes else f"{seconds} s"


def clock(at: str) -> str:
    """A moment as people write it."""
    return f"{moment(at):%Y-%m-%d %H:%M} UTC"


TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(FOLDER / "templates"),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
    undefined=jinja2.StrictUndefined,
)
TEMPLATES.globals |= {"age": age, "clock": clock, "is_web_link": is_web_link}
TEMPLATES.filters["printable"] = printable
