"""Who sent a request: by the token of a person, or as a proxy says that logs people in; and where it came from."""

from __future__ import annotations

import hmac
import os
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agentgauge.autonomy.people import SHORTEST_TOKEN, People, TokenError
from agentgauge.autonomy.permission import Person

PROXY_VARIABLE = "AGENTGAUGE_PROXY_SECRET"
PROXY_SECRET, PROXY_USER, PROXY_ROLES = "x-agentgauge-proxy", "x-forwarded-user", "x-forwarded-groups"
"""Headers of a proxy that logs people in; the latter two count only beside the right secret."""

MOST_GUESSES = 5
GUESSING_SECONDS = 60.0
MOST_CLIENTS = 1000

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Not no-referrer: with that, browsers hide the origin of our own forms as well.
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class TooManyGuessesError(Exception):
    """This client sent too many wrong tokens within a minute: until it is over, none of its tokens is looked at."""


class Throttle:
    """Counts the wrong tokens of each client; others are not slowed down. ``now`` is a clock in seconds."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._wrong: OrderedDict[str, deque[float]] = OrderedDict()

    @property
    def clients(self) -> int:
        """How many are remembered."""
        return len(self._wrong)

    def check(self, client: str) -> None:
        """Raise TooManyGuessesError if this client has to wait."""
        wrong = self._wrong.get(client)
        if wrong and len(wrong) == MOST_GUESSES and self._now() - wrong[0] < GUESSING_SECONDS:
            raise TooManyGuessesError("too many wrong tokens: try again in a minute")

    def wrong(self, client: str) -> None:
        """Count a wrong token; of many clients, those that have been quiet for longest are forgotten."""
        self._wrong.setdefault(client, deque(maxlen=MOST_GUESSES)).append(self._now())
        self._wrong.move_to_end(client)
        while len(self._wrong) > MOST_CLIENTS:
            self._wrong.popitem(last=False)


class Door:
    """Says who sent a request. ``people`` have tokens; ``proxy_secret`` is known to the proxy alone, None without one.

    Methods raise TokenError when the file of people cannot be used.
    """

    def __init__(self, people: People, proxy_secret: str | None = None, throttle: Throttle | None = None) -> None:
        if proxy_secret is not None and len(proxy_secret) < SHORTEST_TOKEN:
            raise TokenError(f"{PROXY_VARIABLE} is shorter than {SHORTEST_TOKEN} characters; use a random one")
        self.people = people
        self._proxy_secret = proxy_secret
        self._throttle = throttle or Throttle()

    @classmethod
    def of(cls, people: People) -> Door:
        """A door for these people, and for a proxy if AGENTGAUGE_PROXY_SECRET is set."""
        return cls(people, os.environ.get(PROXY_VARIABLE) or None)

    def admit(self, request: HTTPConnection, token: str) -> Person | None:
        """Whose token that is; None if it is nobody's. Raises TooManyGuessesError."""
        client = self._client(request)
        self._throttle.check(client)
        person = self.people.with_token(token)
        if person is None:
            self._throttle.wrong(client)
        return person

    def sender(self, request: HTTPConnection) -> Person | None:
        """Who sent a request of a program: as the proxy says, or by its bearer token. Raises TooManyGuessesError."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        proxied = self.proxied(request)
        if proxied is not None or scheme.lower() != "bearer":
            return proxied
        return self.admit(request, token.strip())

    def proxied(self, request: HTTPConnection) -> Person | None:
        """Who a request is from, as the proxy says; None if it did not come through the proxy."""
        name = request.headers.get(PROXY_USER, "")
        if not name or not self._is_from_proxy(request):
            return None
        roles = request.headers.get(PROXY_ROLES, "").split(",")
        return Person(name, tuple(role.strip() for role in roles if role.strip()))

    def is_encrypted(self, request: HTTPConnection) -> bool:
        """Whether the browser speaks TLS, with us or with the proxy."""
        through_proxy = self._is_from_proxy(request) and request.headers.get("x-forwarded-proto") == "https"
        return request.url.scheme == "https" or through_proxy

    def _is_from_proxy(self, request: HTTPConnection) -> bool:
        sent = request.headers.get(PROXY_SECRET)
        if sent is None or self._proxy_secret is None:
            return False
        return hmac.compare_digest(sent.encode(), self._proxy_secret.encode())

    def _client(self, request: HTTPConnection) -> str:
        if self._is_from_proxy(request):
            # The last is the one that the proxy has added itself.
            return request.headers.get("x-forwarded-for", "").rpartition(",")[2].strip()
        return "" if request.client is None else request.client.host


def from_our_page(headers: Headers) -> bool:
    """Whether a browser says that a page of this very host and port sent the request."""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site not in (None, "same-origin"):
        return False
    return origin is not None and urlsplit(origin).netloc == headers.get("host")


class SecureHeaders:
    """An ASGI middleware that adds security headers to every response."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await self._app(scope, receive, send_with_headers)
