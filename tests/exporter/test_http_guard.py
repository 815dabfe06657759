"""What no HTTP server of the bundle lets in, tried on each as it is served."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import re
import socket
import threading
import tracemalloc
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from anthropic import AsyncAnthropic
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agentgauge import AgentGauge, http_guard, http_server
from agentgauge.evals import EvalHistory
from agentgauge.evals.view import view_app
from agentgauge.http_guard import (
    DEEPEST_JSON,
    FORM,
    JSON,
    LARGEST_BODY,
    LARGEST_HEADERS,
    RequestGuard,
    decoded_json,
    host_name,
)
from agentgauge.ops.prometheus import Prometheus
from agentgauge.otel.agents import Agents
from agentgauge.otel.gateway import Inbox, gateway
from alerts.pager import create_app as pager
from sample_agent import assembly
from sample_agent.fake_api.app import create_app as fake_api
from sample_agent.faults import FaultFile
from sample_agent.service import Service
from sample_agent.serving import serving
from sample_agent.settings import AGENT, ledger_url
from stack.preview.app import create_app as preview
from tests.imports import ROOT

AS_JSON = {"content-type": JSON, "anthropic-version": "2023-06-01", "x-api-key": "fake-key"}

POSTS = {
    "agent": ("/sessions", JSON),
    "approvals": ("/approvals/login", FORM),
    "pager": ("/alerts", JSON),
    "fake API": ("/v1/messages", JSON),
    "gateway": ("/v1/traces", JSON),
}
"""Server → where it takes a body, and what kind; the preview and the evaluations take none."""

READS = {"preview": "/health", "evaluations": "/?token=key", **dict.fromkeys(POSTS, "/health")}
"""Server → what it shows."""

SERVERS = {
    "alerts/pager/app.py",
    "exporter/agentgauge/autonomy/web.py",
    "exporter/agentgauge/evals/view.py",
    "exporter/agentgauge/otel/gateway.py",
    "sample_agent/fake_api/app.py",
    "sample_agent/service.py",
    "stack/preview/app.py",
}
"""Where they are made; ``/metrics`` and what is under ``/control/`` have tests of their own."""


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Server → its URL."""
    state: Path = tmp_path_factory.mktemp("servers")
    with ExitStack() as stack:
        gauge = stack.enter_context(closing(AgentGauge(AGENT, registry=CollectorRegistry(), ledger=ledger_url(state))))
        client = AsyncAnthropic(api_key="fake-key", base_url="http://127.0.0.1:1")
        companion = assembly.build_companion(gauge, client, state)
        door = assembly.build_door(state)
        page = assembly.build_approvals_page(companion.supervisor.autonomy, door)
        agent = stack.enter_context(serving(Service(gauge, companion, door, approvals_page=page).app()))
        assert gauge.ledger is not None
        registry = CollectorRegistry()
        agents = Agents(registry)
        apps = {
            "pager": pager(lambda _text: None),
            "fake API": fake_api(FaultFile(state), latency=0),
            "gateway": gateway(agents, Inbox(agents), registry),
            "evaluations": view_app(EvalHistory(gauge.ledger, AGENT), AGENT, "key", lambda _suite, _scenario: None),
            "preview": preview(ROOT / "dashboards" / "generated", Prometheus("http://127.0.0.1:1")),
        }
        yield {
            "agent": agent,
            "approvals": agent,
            **{name: stack.enter_context(serving(app)) for name, app in apps.items()},
        }


def exchange(url: str, *head: str, body: Iterable[bytes] = ()) -> str:
    """Send a request line and headers by hand, then the body for as long as it is read; the status of the answer."""
    at = urlsplit(url)
    with socket.create_connection((at.hostname, at.port), timeout=20) as client:

        def send() -> None:
            with contextlib.suppress(OSError):  # the server has had enough
                for piece in body:
                    client.sendall(piece)

        client.sendall("\r\n".join([*head, f"Host: {at.netloc}", "", ""]).encode())
        sending = threading.Thread(target=send)
        sending.start()
        try:
            return client.recv(4096).decode().split()[1]
        finally:
            with contextlib.suppress(OSError):  # it closed the connection
                client.shutdown(socket.SHUT_RDWR)
            sending.join()


def head_for(name: str, url: str) -> list[str]:
    """The start of a request that brings a body to where this server takes one."""
    path, kind = POSTS[name]
    needed = [f"{key}: {value}" for key, value in AS_JSON.items() if key != "content-type"]
    return [f"POST {path} HTTP/1.1", f"Content-Type: {kind}", f"Origin: {url}", *needed]


def chunks(megabytes: int) -> Iterator[bytes]:
    """A body whose length is not said before."""
    for _ in range(megabytes):
        yield b"f4240\r\n%b\r\n" % bytes(1_000_000)
    yield b"0\r\n\r\n"


@pytest.mark.parametrize("name", POSTS)
def test_300_mb_are_refused_before_they_fill_the_memory(servers: dict[str, str], name: str) -> None:
    """Whether their length is announced or not."""
    head = head_for(name, servers[name])
    tracemalloc.start()
    try:
        announced = exchange(servers[name], *head, "Content-Length: 300000000")
        streamed = exchange(servers[name], *head, "Transfer-Encoding: chunked", body=chunks(300))
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (announced, streamed) == ("413", "413")
    assert most < 30 * LARGEST_BODY


@pytest.mark.parametrize("name", POSTS)
def test_who_sends_all_before_reading_reads_the_whole_refusal(servers: dict[str, str], name: str) -> None:
    """As HTTP clients do: with a part of the body unread, the connection would be reset under the answer."""
    url = urlsplit(servers[name])
    head = [*head_for(name, servers[name]), f"Host: {url.netloc}", "Content-Length: 20000000", "", ""]
    with socket.create_connection((url.hostname, url.port), timeout=20) as client:
        client.sendall("\r\n".join(head).encode() + bytes(20_000_000))
        with client.makefile("rb") as answer:
            assert answer.readline() == b"HTTP/1.1 413 Request Entity Too Large\r\n"
            headers = http.client.parse_headers(answer)
            assert len(answer.read()) == int(headers["content-length"])


def test_who_asks_before_sending_is_answered_without_waiting() -> None:
    """``Expect: 100-continue``: nothing of the body is under way, and the connection ends with the answer."""
    with serving(fake_api(FaultFile(Path("/nowhere")))) as url:
        head = [*head_for("fake API", url), "Content-Length: 20000000", "Expect: 100-continue"]
        at = urlsplit(url)
        with socket.create_connection((at.hostname, at.port), timeout=http_guard.SECONDS_TO_LINGER / 2) as client:
            client.sendall("\r\n".join([*head, f"Host: {at.netloc}", "", ""]).encode())
            with client.makefile("rb") as answer:
                assert answer.read().startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("name", [name for name, (_path, kind) in POSTS.items() if kind == JSON])
@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"NaN",
        b"\xff",
        b"9" * 100_000,
        b'"' + b"[" * 900_000,
    ],
    ids=["lists", "objects", "NaN", "not UTF-8", "a long number", "an open text"],
)
def test_json_that_could_hurt_is_the_senders_mistake(servers: dict[str, str], name: str, body: bytes) -> None:
    """400 that says so, no traceback, and the server goes on."""
    answer = requests.post(servers[name] + POSTS[name][0], data=body, headers=AS_JSON, timeout=10)
    assert answer.status_code == 400
    assert "Traceback" not in answer.text


def test_half_a_character_is_replaced() -> None:
    """JSON can spell it, and no database, log or answer could take it; whole pairs stay."""
    assert decoded_json(b'{"\\ud800": ["\\udc00\\ud83d", "\\ud83d\\ude00"]}') == {
        "\ufffd": ["\ufffd\ufffd", "\U0001f600"]
    }


@pytest.mark.parametrize("name", POSTS)
def test_the_page_of_another_website_changes_nothing(servers: dict[str, str], name: str) -> None:
    """Nor does one whose name was made to lead here, nor a form where none is taken."""
    path, kind = POSTS[name]
    url = servers[name] + path
    sent = {**AS_JSON, "content-type": kind}
    for more, status in [
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"host": "evil.example"}, 400),
        ({"content-type": "text/plain"}, 415),
    ]:
        assert requests.post(url, data=b"{}", headers=sent | more, timeout=5).status_code == status, more


def test_every_server_is_tried_here() -> None:
    """A new one says so above."""
    made = {
        file.relative_to(ROOT).as_posix()
        for room in ("alerts", "dashboards", "exporter", "sample_agent", "stack")
        for file in (ROOT / room).rglob("*.py")
        if re.search(r"\b(Starlette|FastAPI)\(", file.read_text(encoding="utf-8"))
    }
    assert made == SERVERS


@pytest.mark.parametrize("name", READS)
def test_nothing_is_read_under_the_name_of_another_website(servers: dict[str, str], name: str) -> None:
    """A website can make its own name lead here, and its page could then read what we answer."""
    headers = {"host": "evil.example"}
    url = servers[name] + READS[name]
    assert requests.get(url, headers=headers, timeout=5).status_code == 400
    assert requests.get(url, timeout=5).ok


@pytest.mark.parametrize("name", POSTS)
def test_a_body_that_does_not_come_is_not_waited_for(
    servers: dict[str, str], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """408 after some seconds, here fewer."""
    monkeypatch.setattr(http_guard, "SECONDS_FOR_A_BODY", 0.05)
    head = head_for(name, servers[name])
    assert exchange(servers[name], *head, "Content-Length: 10") == "408"


@pytest.mark.parametrize(
    "said",
    [b"", b"GET / HTTP/1.1\r\nHost: loc", b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\nGET /"],
    ids=["nothing", "half a request", "one and a half"],
)
def test_a_connection_that_brings_no_request_is_closed(monkeypatch: pytest.MonkeyPatch, said: bytes) -> None:
    """One that says nothing, one that stops amid its headers, and one that does so after a first request."""
    monkeypatch.setattr(http_server, "SECONDS_FOR_HEADERS", 0.1)
    with serving(fake_api(FaultFile(Path("/nowhere")))) as url:
        at = urlsplit(url)
        with socket.create_connection((at.hostname, at.port), timeout=4) as client:
            client.sendall(said)
            while client.recv(4096):
                pass


def test_headers_have_an_end() -> None:
    """Whether they come at once or never end."""
    with serving(fake_api(FaultFile(Path("/nowhere")))) as url:
        assert exchange(url, "GET /health HTTP/1.1", f"x: {'x' * LARGEST_HEADERS}") in ("400", "431")
        assert exchange(url, "GET /health HTTP/1.1", f"x: {'x' * 1_000_000}") == "400"


def test_large_bodies_of_many_clients_share_one_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever comes when the memory for bodies is taken is asked to come back; it is free again when they are done."""
    monkeypatch.setattr(http_guard, "LARGEST_BODIES", 100)
    entered, leave = threading.Event(), threading.Event()

    def wait(body: bytes) -> None:
        entered.set()
        assert leave.wait(10)

    async def take(request: Request) -> Response:
        await asyncio.to_thread(wait, await request.body())
        return Response()

    app = Starlette(routes=[Route("/", take, methods=["POST"])], middleware=[Middleware(RequestGuard, types=(JSON,))])
    with serving(app) as url, ThreadPoolExecutor(1) as pool:

        def send() -> int:
            return requests.post(url, data=b"x" * 60, headers=AS_JSON, timeout=10).status_code

        first = pool.submit(send)
        assert entered.wait(10)
        assert send() == 503
        leave.set()
        assert first.result() == 200
        assert send() == 200


async def test_a_websocket_is_closed_and_startup_passes() -> None:
    """None of the servers speaks it."""
    passed: list[str] = []
    sent: list[Any] = []

    async def app(scope: Any, _receive: Any, _send: Any) -> None:
        passed.append(scope["type"])

    async def keep(message: Any) -> None:
        sent.append(message["type"])

    async def nothing() -> Any:
        return {}

    guard = RequestGuard(app)
    for kind in ("lifespan", "websocket"):
        await guard({"type": kind}, nothing, keep)
    assert (passed, sent) == (["lifespan"], ["websocket.close"])


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("LocalHost:80", "localhost"),
        ("[::1]:8010", "::1"),
        ("127.0.0.1", "127.0.0.1"),
        ("evil.example@localhost", None),
        ("localhost/evil", None),
        ("", None),
        ("localhost:port", None),
    ],
)
def test_a_host_header_is_a_name_and_a_port(header: str, name: str | None) -> None:
    """And nothing else that a URL may hold."""
    assert host_name(header) == name


_PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
_VALUES = st.recursive(_PLAIN, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))


@given(_VALUES)
def test_json_is_read_as_it_was_written(value: Any) -> None:
    """Whatever a client can say in JSON, in either spelling."""
    for ascii_only in (True, False):
        assert decoded_json(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@given(st.binary() | st.text(alphabet='[]{}",:\\ \\u0d8cNaIfty1e9-.').map(str.encode))
def test_other_bytes_are_a_value_error(body: bytes) -> None:
    """And no other error."""
    with contextlib.suppress(ValueError):
        decoded_json(body)


@pytest.mark.parametrize("text", ['"' + "[" * 200 + '"', '["\\"' + "{" * 200 + '"]', "[" + "[]," * 200 + "1]"])
def test_brackets_in_a_text_and_beside_each_other_are_no_depth(text: str) -> None:
    """Only what is within each other counts."""
    assert decoded_json(text.encode()) == json.loads(text)
    with pytest.raises(ValueError, match=f"nested more than {DEEPEST_JSON} deep"):
        decoded_json(b"[" * (DEEPEST_JSON + 1) + b"]" * (DEEPEST_JSON + 1))
