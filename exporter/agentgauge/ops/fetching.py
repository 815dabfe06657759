"""Reading a URL with nothing but the standard library; user and password may stand in it and are never shown."""

from __future__ import annotations

import base64
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.parse import unquote, urlsplit
from urllib.request import Request, urlopen


class NoAnswerError(Exception):
    """The server did not answer; the message is one line for people, and begins with the address."""


def fetch(url: str, path: str = "", timeout_seconds: float = 20.0) -> tuple[int, bytes]:
    """GET that path below the URL: status and body; raises NoAnswerError if there is no answer in that time."""
    split = urlsplit(url)
    headers = {}
    if split.username is not None:
        user = f"{unquote(split.username)}:{unquote(split.password or '')}"
        headers["Authorization"] = f"Basic {base64.b64encode(user.encode()).decode()}"
    if split.scheme not in ("http", "https"):
        raise NoAnswerError(f"{shown(url)} is not a valid address; write it as http://host:9090")
    try:
        request = Request(shown(url).rstrip("/") + path if path else shown(url), headers=headers)  # noqa: S310  # the scheme is checked above
        with urlopen(request, timeout=timeout_seconds) as response:  # noqa: S310  # as above
            return response.status, response.read()
    except HTTPError as error:
        with error:
            return error.code, error.read()
    except (OSError, HTTPException, ValueError) as error:
        if isinstance(error, TimeoutError) or isinstance(getattr(error, "reason", None), TimeoutError):
            raise NoAnswerError(f"{shown(url)} took more than {timeout_seconds:g} s") from None
        raise NoAnswerError(f"{shown(url)} does not answer") from None


def shown(url: str) -> str:
    """The URL without user and password."""
    split = urlsplit(url)
    return split._replace(netloc=split.netloc.rpartition("@")[2]).geturl()
