"""Who may decide on the page: checks the token, limits guesses, and refuses what another site made a browser send."""

from __future__ import annotations

import hmac
import os
import secrets
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

FILE_NAME = "approvals-token"
VARIABLE = "AGENTGAUGE_APPROVALS_TOKEN"
SHORTEST_TOKEN = 20

MOST_GUESSES = 5
GUESSING_SECONDS = 60.0

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


class TokenError(Exception):
    """The token cannot be used; the message says why and what to do, and never holds it."""


def token_in(folder: Path) -> str:
    """The login token: AGENTGAUGE_APPROVALS_TOKEN, or that of the state folder, made at first use.

    Raises TokenError when it is short enough to guess, or when other users of the machine can read it.
    """
    given = os.environ.get(VARIABLE)
    token = given or _kept_token(folder / FILE_NAME)
    if len(token) < SHORTEST_TOKEN:
        where = f"{VARIABLE} is" if given else f"the token in {folder / FILE_NAME} is"
        raise TokenError(
            f"{where} shorter than {SHORTEST_TOKEN} characters; use a random one, or unset it to have one made"
        )
    return token


class Guard:
    """Compares tokens, and stops looking at them after too many wrong ones; ``now`` is a clock in seconds."""

    def __init__(self, token: str, now: Callable[[], float] = time.monotonic) -> None:
        self._token = token.encode()
        self._now = now
        self._wrong: deque[float] = deque(maxlen=MOST_GUESSES)

    def closed(self) -> bool:
        """Whether there were too many wrong tokens within a minute: until it is over, no token is looked at."""
        return len(self._wrong) == MOST_GUESSES and self._now() - self._wrong[0] < GUESSING_SECONDS

    def admits(self, token: str) -> bool:
        """Whether this is the token."""
        if self.closed():
            return False
        right = hmac.compare_digest(token.encode(), self._token)
        if not right:
            self._wrong.append(self._now())
        return right


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


def _kept_token(path: Path) -> str:
    if not path.exists():
        _make(path)
    if path.stat().st_mode & 0o077:
        raise TokenError(f"{path} can be read by other users; delete it (a new one is made) or run: chmod 600 {path}")
    return path.read_text(encoding="utf-8").strip()


def _make(path: Path) -> None:
    """Write it aside and link it into place: of two processes that start at once, both read the same whole file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    written = path.with_name(f"{path.name}.{secrets.token_hex(4)}.tmp")
    written.touch(mode=0o600)
    try:
        written.write_text(f"{secrets.token_urlsafe(32)}\n", encoding="utf-8")
        path.hardlink_to(written)
    except FileExistsError:
        pass  # the other process was faster
    finally:
        written.unlink()
