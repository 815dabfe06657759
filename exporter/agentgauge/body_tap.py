"""Reads what an HTTP response says while somebody else takes its bytes, as they come, and changes none of them."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Iterator
from typing import Any, Protocol

import httpx2

from agentgauge.telemetry import Telemetry

LARGEST_BODY = 16 * 1024 * 1024
"""Bytes of an answer that is not a stream; a larger one is not read."""


class Reader(Protocol):
    """What is told of a response. Of ``event`` and ``whole``, faults are swallowed."""

    def event(self, data: bytes) -> None:
        """The data of one server-sent event."""

    def whole(self, body: bytes) -> None:
        """All of a response that is not a stream of events."""

    def finish(self) -> None:
        """The response ended, by itself or because whoever read it had enough; may be told more than once."""

    def fail(self, error: BaseException) -> None:
        """The response broke off, or whoever read it was cancelled."""


def tap(telemetry: Telemetry, response: httpx2.Response, reader: Reader) -> None:
    """Tell the reader of this response, whose body nobody has read yet, or all of it if it was read before."""
    body = _Body(telemetry, response, reader)
    if response.is_closed:
        body.read(response.content)
    elif isinstance(response.stream, httpx2.AsyncByteStream):
        response.stream = _AsyncTapped(response.stream, body)
    else:
        response.stream = _Tapped(response.stream, body)


class _Body:
    """The bytes of a response, decoded and taken apart; never raises."""

    def __init__(self, telemetry: Telemetry, response: httpx2.Response, reader: Reader) -> None:
        self._telemetry = telemetry
        self._reader = reader
        self._is_stream = response.headers.get("content-type", "").startswith("text/event-stream")
        self._decoded = _decoder(response.headers.get("content-encoding", "identity"))
        self._unread = b""

    def __del__(self) -> None:
        # A response that was dropped unread or half-read has nobody else to finish it.
        self.finish()

    def read(self, body: bytes) -> None:
        self._is_stream = False
        self._unread = body
        self.finish()

    def feed(self, data: bytes) -> None:
        try:
            self._unread += self._decoded(data)
            if self._is_stream:
                *lines, self._unread = self._unread.split(b"\n")
                for line in lines:
                    if line.startswith(b"data:") and line.strip() != b"data: [DONE]":
                        self._reader.event(line[5:])
            elif len(self._unread) > LARGEST_BODY:
                self._unread = b""
        except Exception as fault:
            self._telemetry.swallow("llm", fault)

    def finish(self) -> None:
        body, self._unread = self._unread, b""
        try:
            if body and not self._is_stream:
                self._reader.whole(body)
        except Exception as fault:
            self._telemetry.swallow("llm", fault)
        self._reader.finish()

    def fail(self, error: BaseException) -> None:
        self._reader.fail(error)


def _decoder(encoding: str) -> Any:
    """Returns what decodes the pieces of a body; of an encoding that is not known here, nothing can be read."""
    if encoding == "identity":
        return bytes
    if encoding in ("gzip", "deflate"):
        return zlib.decompressobj(zlib.MAX_WBITS | 32).decompress
    return lambda _data: b""


class _Tapped(httpx2.SyncByteStream):
    def __init__(self, stream: Any, body: _Body) -> None:
        self._stream = stream
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        try:
            for data in self._stream:
                self._body.feed(data)
                yield data
        except GeneratorExit:  # the reader had enough, and closes
            raise
        except BaseException as error:
            self._body.fail(error)
            raise

    def close(self) -> None:
        self._body.finish()
        self._stream.close()


class _AsyncTapped(httpx2.AsyncByteStream):
    def __init__(self, stream: Any, body: _Body) -> None:
        self._stream = stream
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for data in self._stream:
                self._body.feed(data)
                yield data
        except GeneratorExit:
            raise
        except BaseException as error:
            self._body.fail(error)
            raise

    async def aclose(self) -> None:
        self._body.finish()
        await self._stream.aclose()
