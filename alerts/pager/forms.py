"""Forms of the pager's own pages, as small and as plain as they are meant to be."""

from __future__ import annotations

from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from agentgauge.incident.terminal import printable

LONGEST_TEXT = 200
"""Characters of a name or reason that somebody writes into a form."""


async def form_of(request: Request) -> dict[str, str] | Response:
    """The fields of our own page's form; otherwise the answer to whoever sent more than it has."""
    try:
        fields = parse_qs((await request.body()).decode(errors="replace"), max_num_fields=20)
    except ValueError:
        return PlainTextResponse("the form is too large\n", status_code=413)
    return {name: printable(values[0])[:LONGEST_TEXT] for name, values in fields.items()}
