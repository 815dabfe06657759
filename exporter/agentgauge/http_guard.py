"""What every HTTP server of the bundle refuses before its routes see it, and JSON read so that no body can hurt.

``RequestGuard`` is a plain ASGI middleware, which needs no framework; ``decoded_json`` reads what it lets through.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import Awaitable, Callable, Collection, Mapping, MutableMapping
from http import HTTPStatus
from typing import Any, NoReturn
from urllib.parse import urlsplit

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]
Answer = Callable[[Scope, HTTPStatus, str], AsgiApp]
"""Makes the answer to a refused request from its scope, the status and the reason."""

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"

LOOPBACK = ("127.0.0.1", "localhost", "::1")
LARGEST_HEADERS = 32 * 1024
"""Bytes of all headers of a request."""
LARGEST_BODY = 1_000_000
"""Bytes of a request's body."""
LARGEST_BODIES = 64 * LARGEST_BODY
"""Bytes of all bodies that one server holds in memory at a time."""
SECONDS_FOR_A_BODY = 10
"""In which the whole body has to arrive."""
SECONDS_TO_LINGER = 2
"""For which the rest of a refused body is read and thrown away, so that its sender comes to read the answer."""
DEEPEST_JSON = 50
"""Lists and objects within each other."""
LONGEST_INTEGER = 100
"""Digits; the time to read more grows with their square."""

_READING = ("GET", "HEAD", "OPTIONS")
_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?")
_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*+"|[\[{]|[\]}]', re.DOTALL)


class RefusedError(Exception):
    """The request is not answered as asked; the message says why, to whoever sent it."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class RequestGuard:
    """Lets a request through to ``app`` if it asks for one of ``hosts``, and what it sends is of one of ``types``.

    ``hosts`` are names without port, ``*.example.com`` for all below it; None answers to every name, which is only
    safe where a token is asked for, because a website can make a name of its own lead here. A request that changes
    something must not come from another website's page. A body is at most ``largest`` bytes and arrives within
    SECONDS_FOR_A_BODY: an app that reads on is interrupted. ``answer`` words the refusals, as plain text by default.
    """

    def __init__(
        self,
        app: AsgiApp,
        *,
        hosts: Collection[str] | None = LOOPBACK,
        types: Collection[str] = (),
        answer: Answer | None = None,
        largest: int = LARGEST_BODY,
    ) -> None:
        self._app = app
        self._hosts = None if hosts is None else {name.strip("[]").lower() for name in hosts}
        self._types = types
        self._answer = answer or _as_text
        self._largest = largest
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close"})
            return
        headers = _headers(scope)
        body = _Body(self, receive, awaits_continue=headers.get("expect", "").lower() == "100-continue")
        started = False

        async def send_once_started(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            if sum(len(name) + len(value) for name, value in scope["headers"]) > LARGEST_HEADERS:
                raise RefusedError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the headers are too long")
            self._check(scope["method"], headers)
            await self._app(scope, body.receive, send_once_started)
        except RefusedError as refused:
            if started:
                raise
            await self._answer(scope, refused.status, str(refused))(scope, receive, _closing(send, body))
        finally:
            self._held -= body.size

    def _check(self, method: str, headers: Mapping[str, str]) -> None:
        host = headers.get("host", "")
        if self._hosts is not None and not _is_one_of(host_name(host), self._hosts):
            raise RefusedError(HTTPStatus.BAD_REQUEST, "nothing is served here under that host name")
        if method in _READING:
            return
        if not _is_of_this_site(headers, host):
            raise RefusedError(HTTPStatus.FORBIDDEN, "this was sent by another site")
        if headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers:
            return
        if headers.get("content-type", "").partition(";")[0].strip().lower() not in self._types:
            raise RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"send {' or '.join(self._types) or 'no body'}")
        length = headers.get("content-length", "")
        if length.isdecimal() and (len(length) > 18 or int(length) > self._largest):
            self.too_large()

    def too_large(self) -> NoReturn:
        """Refuse a body for its size."""
        raise RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body has more than {self._largest} bytes")

    def take(self, piece: int, body: int) -> None:
        """Account for so many bytes more of a body that has ``body`` with them; RefusedError if that is too much."""
        self._held += piece
        if body > self._largest:
            self.too_large()
        if self._held > LARGEST_BODIES:
            raise RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, "too many large requests at once; try again in a second")

    def deadline(self) -> float:
        """When a body that begins now has to be here, by the loop's clock."""
        return asyncio.get_running_loop().time() + SECONDS_FOR_A_BODY


class _Body:
    """The body of one request on its way to the app."""

    def __init__(self, guard: RequestGuard, receive: Receive, *, awaits_continue: bool) -> None:
        self._guard = guard
        self._receive = receive
        self.awaits_continue = awaits_continue
        """The client sends nothing of the body before it is asked to, which the first ``receive`` does."""
        self._deadline: float | None = None
        self._is_whole = False
        self.size = 0

    async def receive(self) -> Message:
        """The next message; RefusedError instead of one that would make the body too large or come too late."""
        self.awaits_continue = False
        if self._is_whole:
            return await self._receive()  # which waits until the client is gone
        if self._deadline is None:
            self._deadline = self._guard.deadline()
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError:
            raise RefusedError(HTTPStatus.REQUEST_TIMEOUT, "the body did not arrive in time") from None
        piece = len(message.get("body", b""))
        self._is_whole = not message.get("more_body", False)
        self.size += piece
        self._guard.take(piece, self.size)
        return message

    async def discard(self) -> None:
        """Read what is still to come and keep none of it, for at most SECONDS_TO_LINGER."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SECONDS_TO_LINGER):
                while not self._is_whole:
                    self._is_whole = not (await self._receive()).get("more_body", False)


def decoded_json(body: bytes | bytearray) -> Any:
    """The value of a JSON text; ValueError says what keeps it from being one that can be worked with.

    Stricter than ``json.loads``: UTF-8, at most DEEPEST_JSON deep, numbers are finite. Half of a
    surrogate pair, which JSON can spell and nothing can encode, is U+FFFD.
    """
    try:
        text = body.decode("utf-8")
        if text.count("[") + text.count("{") > DEEPEST_JSON:
            _check_depth(text)
        value = json.loads(text, parse_constant=_not_finite, parse_float=_finite, parse_int=_integer)
        if "\\u" in text:
            value = _with_whole_characters(value)
    except UnicodeDecodeError:
        raise ValueError("the body is not UTF-8 text") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"the body is not JSON: {error}") from None
    return value


def host_name(header: str) -> str | None:
    """The name in a Host header, in lower case, without port and brackets; None if it is not such a header."""
    match = _HOST.fullmatch(header)
    return match["name"].strip("[]").lower() if match else None


def _check_depth(text: str) -> None:
    """Before it is parsed, because the parser and all that handles the value recurse."""
    depth = 0
    for match in _BRACKETS.finditer(text):
        if match[0] in "[{":
            depth += 1
            if depth > DEEPEST_JSON:
                raise ValueError(f"the JSON is nested more than {DEEPEST_JSON} deep")
        elif match[0] in "]}":
            depth -= 1


def _with_whole_characters(value: Any) -> Any:
    written = json.dumps(value, ensure_ascii=False)
    try:
        written.encode()
    except UnicodeEncodeError:
        return json.loads(written.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
    return value


def _not_finite(word: str) -> NoReturn:
    raise ValueError(f"the JSON holds {word}, which is not a finite number")


def _integer(digits: str) -> int:
    if len(digits) > LONGEST_INTEGER:
        raise ValueError(f"the JSON holds an integer of more than {LONGEST_INTEGER} digits")
    return int(digits)


def _finite(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        _not_finite(digits[:40])
    return number


def _headers(scope: Scope) -> dict[str, str]:
    """By name in lower case; of a header that is sent twice, the first."""
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in reversed(scope["headers"])}


def _is_one_of(name: str | None, hosts: Collection[str]) -> bool:
    if name is None:
        return False
    return name in hosts or "*" in hosts or any(host[:2] == "*." and name.endswith(host[1:]) for host in hosts)


def _is_of_this_site(headers: Mapping[str, str], host: str) -> bool:
    """Whether the request comes from a page that this server sent, or from a program, which says nothing of a page."""
    origin = headers.get("origin")
    if origin is None:
        return headers.get("sec-fetch-site") not in ("cross-site", "same-site")
    try:
        return urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:
        return False


def _closing(send: Send, body: _Body) -> Send:
    """Ends the connection after the answer and after what the client still sends of the body.

    Closed with a part of it unread, the connection would be reset, and the answer lost with it. A client that
    waits for "100 Continue" sends nothing more.
    """

    async def send_and_close(message: Message) -> None:
        if message["type"] == "http.response.start":
            await send({**message, "headers": [*message.get("headers", ()), (b"connection", b"close")]})
        elif message.get("more_body", False) or body.awaits_continue:
            await send(message)
        else:
            await send({**message, "more_body": True})
            await body.discard()
            await send({"type": "http.response.body"})

    return send_and_close


def _as_text(_scope: Scope, status: HTTPStatus, reason: str) -> AsgiApp:
    async def answer(_scope: Scope, _receive: Receive, send: Send) -> None:
        body = f"{reason}\n".encode()
        headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status.value, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return answer
