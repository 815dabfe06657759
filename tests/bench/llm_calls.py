"""The CPU time that an LLM call takes in the agent's process, with and without the middleware."""

from __future__ import annotations

import contextlib
import operator
import os
import socket
import statistics
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from copy import copy
from time import sleep, thread_time
from typing import Any

import httpx2
from anthropic import Anthropic, Middleware
from prometheus_client import CollectorRegistry

from agentgauge import AgentGauge, SessionLimits

BARE = "the bare SDK"
NOTHING = "an empty middleware"
AGENTGAUGE = "AgentGauge"
WARM_CALLS = 200

START_SECONDS = 30.0
NOTE = (
    "Log a note for Globex: they liked the demo, and the security review is the last step before they decide. "
    "Jane wants the single sign-on offer in writing before the end of the month, with the price for three years and "
    "the one for one year side by side. Finance asks for quarterly invoices, legal for our standard data processing "
    "terms, and the support team for a named contact in their time zone. Call Jane again on Tuesday at ten, and bring "
    "the solution engineer, who knows their warehouse and the connector that they want to use with our product first."
)
ASK: dict[str, Any] = {
    "model": "claude-opus-5-5",
    "max_tokens": 1000,
    "messages": [{"role": "user", "content": NOTE}],
    "tools": [{"name": "update_crm", "description": "Add a note.", "input_schema": {"type": "object"}}],
}

Overheads = dict[str, float]
"""Microseconds of CPU a call by client: BARE is the whole call, the others are what they add to it."""


@contextlib.contextmanager
def fake_api() -> Iterator[str]:
    """Run the fake Messages API in a process of its own, so that its CPU time is not ours; yields its URL."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "sample_agent", "fake-api", "--latency", "0", "--port", str(port)]
    with tempfile.TemporaryDirectory() as state:
        server = subprocess.Popen(command, env={**os.environ, "AGENTGAUGE_STATE": state})
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_for(f"{url}/health", server)
            yield url
        finally:
            server.terminate()
            server.wait()


def events_of_a_stream(url: str) -> int:
    """How many events the answer to ASK streams in."""
    with _client(url) as client:
        return stream(client)


def plain_overheads(url: str, rounds: int, after_round: Callable[[], object] = lambda: None) -> Overheads:
    """Measure `messages.create`: the median of `rounds` rounds, in each of which every client calls once."""
    return _overheads(url, plain, rounds, after_round)


def stream_overheads(url: str, rounds: int, after_round: Callable[[], object] = lambda: None) -> Overheads:
    """The same for `messages.create(stream=True)`, read to its end."""
    return _overheads(url, stream, rounds, after_round)


class Nothing(Middleware):
    """What the SDK's own hook costs."""

    def handle(self, request: Any, call_next: Any) -> Any:
        """Pass on."""
        return call_next(request)


def plain(client: Anthropic) -> None:
    """One call."""
    client.messages.create(**ASK)


def stream(client: Anthropic) -> int:
    """One streamed call, read to its end; how many events it had."""
    return sum(1 for _ in client.messages.create(**ASK, stream=True))


def warm(url: str, rounds: int) -> tuple[float, float]:
    """Microseconds that the hook takes of one answer, plain and streamed, that it is given again and again.

    Nothing is sent: what a call adds beyond it is caches that the network has emptied.
    """
    hook, recorded = _gauge().anthropic(), _Recorded()
    with _client(url, recorded) as client:
        plain(client)
        message = _Answer(recorded.response, recorded.response.parse())
        stream = client.messages.create(**ASK, stream=True)
        events = list(stream)

    def read(handle: Callable[[_Answer], Any]) -> None:
        again = copy(stream)
        again.__dict__["_iterator"] = iter(events)
        deque(handle(_Answer(recorded.response, again)).parse(), maxlen=0)

    def hooked(answer: _Answer) -> Any:
        return hook.handle(recorded.request, lambda _request: answer)  # type: ignore[arg-type, return-value]  # a stand-in

    bare = _fastest(rounds, lambda: read(lambda answer: answer))
    return _fastest(rounds, lambda: hooked(message)), _fastest(rounds, lambda: read(hooked)) - bare


class _Recorded(Middleware):
    """Keeps the request and the response that passed last."""

    request: Any
    response: Any

    def handle(self, request: Any, call_next: Any) -> Any:
        """Pass on."""
        self.request, self.response = request, call_next(request)
        return self.response


class _Answer:
    """What the hook reads of a response, with something parsed already."""

    def __init__(self, response: Any, parsed: object) -> None:
        self.http_response = response.http_response
        self._client = response._client
        self._parsed = parsed

    def parse(self) -> Any:
        """The message, or the stream."""
        return self._parsed


def _fastest(rounds: int, call: Callable[[], object]) -> float:
    """Microseconds a call in the fastest round: the others were disturbed."""
    taken = []
    for _ in range(rounds):
        started = thread_time()
        for _ in range(WARM_CALLS):
            call()
        taken.append((thread_time() - started) / WARM_CALLS * 1e6)
    return min(taken)


def _gauge() -> AgentGauge:
    limits = SessionLimits(tool_calls=10**9, cost_usd=1e9)
    return AgentGauge("bench", models=[ASK["model"]], limits=limits, registry=CollectorRegistry())


def _client(url: str, *middleware: Middleware) -> Anthropic:
    return Anthropic(api_key="fake-bench", base_url=url, max_retries=0, middleware=middleware)


def _overheads(
    url: str, call: Callable[[Anthropic], object], rounds: int, after_round: Callable[[], object]
) -> Overheads:
    gauge = _gauge()
    with (
        _client(url) as bare,
        _client(url, Nothing()) as nothing,
        _client(url, gauge.anthropic()) as gauged,
        gauge.session(),
    ):
        clients = deque({BARE: bare, NOTHING: nothing, AGENTGAUGE: gauged}.items())
        times: dict[str, list[float]] = {name: [] for name, _ in clients}
        for _ in range(rounds):
            clients.rotate()  # whoever comes first after the progress bar finds cold caches
            for name, client in clients:
                started = thread_time()
                call(client)
                times[name].append((thread_time() - started) * 1e6)
            after_round()
    return {
        name: statistics.median(taken if name == BARE else map(operator.sub, taken, times[BARE]))
        for name, taken in times.items()
    }


def _wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    for _ in range(int(START_SECONDS / 0.05)):
        with contextlib.suppress(httpx2.TransportError):
            httpx2.get(url)
            return
        if server.poll() is not None:
            raise RuntimeError(f"the fake API ended with code {server.returncode} at its start; its output is above")
        sleep(0.05)
    raise RuntimeError(f"the fake API did not answer at {url} within {START_SECONDS:g} s")
