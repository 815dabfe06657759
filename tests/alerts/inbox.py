"""What people would have got: servers for Slack, PagerDuty, Opsgenie and mail that keep what they are sent."""

from __future__ import annotations

import base64
import email
import email.policy
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from sample_agent.serving import serving


@dataclass(frozen=True)
class Message:
    """What arrived: ``way`` is the path that was posted to, or email; ``content`` the JSON, or the mail."""

    way: str
    content: Any
    secret: str


class Inbox:
    """Keeps messages, and lets a test wait for them."""

    def __init__(self) -> None:
        self._messages: list[Message] = []
        self._arrival = threading.Condition()

    def add(self, way: str, content: Any, secret: str) -> None:
        """Keep one message and the secret that came with it."""
        with self._arrival:
            self._messages.append(Message(way, content, secret))
            self._arrival.notify_all()

    def wait(self, enough: Callable[[list[Message]], bool], seconds: float = 30) -> list[Message]:
        """All messages once there are enough, or when the time is over."""
        with self._arrival:
            self._arrival.wait_for(lambda: enough(self._messages), seconds)
            return list(self._messages)


@contextmanager
def web_hooks(inbox: Inbox) -> Iterator[str]:
    """Keep every JSON that is posted to ``/slack/SECRET``, ``/pagerduty`` or any other path; yields the URL.

    Opsgenie's API tells by the rest of the path what to do: it is kept as ``path``.
    """

    async def keep(request: Request) -> Response:
        body = await request.json()
        way, _, rest = request.path_params["path"].partition("/")
        if way == "opsgenie":
            inbox.add(way, body | {"path": rest}, request.headers["Authorization"].removeprefix("GenieKey "))
        else:
            inbox.add(way, body, rest or body.get("routing_key", ""))
        return PlainTextResponse("ok")

    with serving(Starlette(routes=[Route("/{path:path}", keep, methods=["POST"])])) as url:
        yield url


@contextmanager
def mail_server(inbox: Inbox) -> Iterator[str]:
    """Keep every mail that is sent; yields host and port."""
    with _MailServer(inbox) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


class _MailServer(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 64  # all mails of a test come at once

    def __init__(self, inbox: Inbox) -> None:
        super().__init__(("127.0.0.1", 0), _MailClient)
        self.inbox = inbox


class _MailClient(socketserver.StreamRequestHandler):
    """As much of SMTP as one client needs that signs in with a password."""

    def handle(self) -> None:
        assert isinstance(self.server, _MailServer)
        password = ""
        self._say("220 ready")
        for line in self.rfile:
            verb, _, rest = line.decode().strip().partition(" ")
            if verb == "EHLO":
                self._say("250-hello", "250 AUTH PLAIN")
            elif verb == "AUTH":
                password = base64.b64decode(rest.removeprefix("PLAIN ")).decode().split("\0")[-1]
                self._say("235 welcome")
            elif verb == "DATA":
                self._say("354 go on")
                lines = [text.removeprefix(b".") for text in iter(self.rfile.readline, b".\r\n")]
                mail = email.message_from_bytes(b"".join(lines), policy=email.policy.default)
                self.server.inbox.add("email", mail, password)
                self._say("250 kept")
            elif verb == "QUIT":
                self._say("221 bye")
                return
            else:
                self._say("250 ok")

    def _say(self, *lines: str) -> None:
        self.wfile.write("".join(f"{line}\r\n" for line in lines).encode())
