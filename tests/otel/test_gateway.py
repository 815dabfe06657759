"""The gateway over HTTP: what OpenTelemetry's own exporter and anybody else send it, and what it refuses."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import socket
import threading
from collections.abc import Iterator
from itertools import count
from typing import Any

import httpx2
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from prometheus_client import CollectorRegistry

from agentgauge import http_guard
from agentgauge.otel.agents import Agents
from agentgauge.otel.gateway import GatewayError, Inbox, check_exposure, gateway
from agentgauge.otel.payload import LONGEST_VALUE, MOST_BYTES, MOST_SPANS, Received, spans_of
from sample_agent.serving import serving
from tests.frameworks.bills import OPUS, OPUS_KINDS, OPUS_USD
from tests.frameworks.figures import shown, total
from tests.otel import spans

PROTOBUF = {"Content-Type": "application/x-protobuf"}
TOKEN = "a secret of the test"
EVERYWHERE = "0.0.0.0"  # noqa: S104 - nothing is bound to it
BEGAN = 1_790_000_000_000_000_000
_traces = count(1)


class Running:
    """A gateway that runs: where, and what it has counted."""

    def __init__(self, client: httpx2.Client, registry: CollectorRegistry, inbox: Inbox) -> None:
        self.client = client
        self.registry = registry
        self.inbox = inbox

    def post(self, body: bytes, headers: dict[str, str]) -> httpx2.Response:
        """Send a body as it is."""
        return self.client.post("/v1/traces", content=body, headers=headers)

    def send(self, *said: spans.Attributes, service: str | None = "seller") -> None:
        """Send spans of a service, as an exporter would."""
        answer = self.post(request_of(*said, service=service).SerializeToString(), PROTOBUF)
        assert (answer.status_code, answer.content) == (200, b"")

    def settle(self) -> None:
        """Wait until all is counted that was sent."""
        assert self.inbox.flush()


@contextlib.contextmanager
def running(token: str | None = None, most_waiting: int = 1000, **options: Any) -> Iterator[Running]:
    """A gateway on a free port."""
    registry = CollectorRegistry()
    agents = Agents(registry, **options)
    inbox = Inbox(agents, most_waiting)
    with serving(gateway(agents, inbox, registry, token)) as url, httpx2.Client(base_url=url) as client:
        yield Running(client, registry, inbox)


@pytest.fixture
def door() -> Iterator[Running]:
    """One without a token."""
    with running() as made:
        yield made


def request_of(*said: spans.Attributes, service: str | None = "seller") -> ExportTraceServiceRequest:
    """A request with a span for each of these, in a trace of its own."""
    request = ExportTraceServiceRequest()
    trace = next(_traces).to_bytes(16)
    resource = request.resource_spans.add()
    if service is not None:
        attribute = resource.resource.attributes.add(key="service.name")
        attribute.value.string_value = service
    for number, attributes in enumerate(said, start=1):
        span = resource.scope_spans.add().spans.add(
            trace_id=trace, span_id=number.to_bytes(8), start_time_unix_nano=BEGAN
        )
        span.end_time_unix_nano = BEGAN + 1500 * spans.MILLISECOND
        for key, value in attributes.items():
            told = span.attributes.add(key=key).value
            if isinstance(value, int):
                told.int_value = value
            else:
                told.string_value = value
    return request


JSON_SPAN: dict[str, Any] = {
    "traceId": "5b8efff798038103d269b633813fc60c",
    "spanId": "eee19b7ec3c1b174",
    "parentSpanId": "",
    "name": "chat",
    "kind": 3,
    "startTimeUnixNano": str(BEGAN),
    "endTimeUnixNano": str(BEGAN + 1500 * spans.MILLISECOND),
    "attributes": [
        {"key": key, "value": {"intValue": str(value)} if isinstance(value, int) else {"stringValue": value}}
        for key, value in spans.CURRENT.items()
    ],
    "droppedAttributesCount": 0,
    "somethingNew": True,
}
JSON_BODY = json.dumps(
    {
        "resourceSpans": [
            {
                "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "seller"}}]},
                "scopeSpans": [{"scope": {"name": "x"}, "spans": [JSON_SPAN]}],
            }
        ]
    }
).encode()


@pytest.mark.parametrize("zipped", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("form", ["protobuf", "json"])
def test_spans_become_the_metrics_of_their_service(door: Running, form: str, zipped: bool) -> None:
    """In both encodings, zipped or not, with an answer in the same."""
    as_json = form == "json"
    body = JSON_BODY if as_json else request_of(spans.CURRENT).SerializeToString()
    headers = {"Content-Type": "application/json; charset=utf-8"} if as_json else dict(PROTOBUF)
    if zipped:
        body, headers["Content-Encoding"] = gzip.compress(body), "gzip"
    answer = door.post(body, headers)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == ("application/json" if as_json else "application/x-protobuf")
    if as_json:
        assert answer.json() == {}
    else:
        ExportTraceServiceResponse.FromString(answer.content)
    door.settle()
    assert shown(door.registry, "agent_llm_tokens_total") == OPUS_KINDS
    assert door.registry.get_sample_value(
        "agent_llm_cost_usd_total", {"agent": "seller", "model": OPUS, "step": "other"}
    ) == pytest.approx(OPUS_USD)
    assert shown(door.registry, "agent_llm_duration_seconds_sum") == {(OPUS,): 1.5}
    page = door.client.get("/metrics").text
    assert f'agent_llm_calls_total{{agent="seller",model="{OPUS}",outcome="success"}} 1.0' in page


@pytest.mark.parametrize("form", ["protobuf", "json"])
def test_a_dot_on_a_panel_leads_to_the_trace(door: Running, form: str) -> None:
    """By the ids that the agent gave its span, as they are written everywhere else."""
    request = request_of(spans.CURRENT)
    said = request.resource_spans[0].scope_spans[0].spans[0]
    said.trace_id, said.span_id = bytes.fromhex(JSON_SPAN["traceId"]), bytes.fromhex(JSON_SPAN["spanId"])
    body = JSON_BODY if form == "json" else request.SerializeToString()
    assert door.post(body, {"Content-Type": "application/json"} if form == "json" else PROTOBUF).status_code == 200
    door.settle()
    page = door.client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"}).text
    (line,) = (
        line for line in page.splitlines() if line.startswith("agent_llm_duration_seconds_bucket") and "#" in line
    )
    assert f'trace_id="{JSON_SPAN["traceId"]}"' in line
    assert f'span_id="{JSON_SPAN["spanId"]}"' in line


def test_a_body_may_come_in_pieces(door: Running) -> None:
    """The exporter of Node says no length."""

    def pieces() -> Iterator[bytes]:
        yield JSON_BODY[:100]
        yield JSON_BODY[100:]

    answer = door.client.post("/v1/traces", content=pieces(), headers={"Content-Type": "application/json"})
    assert answer.status_code == 200
    door.settle()
    assert shown(door.registry, "agent_llm_tokens_total") == OPUS_KINDS


@pytest.mark.parametrize(
    ("body", "headers", "status", "reason"),
    [
        (b"\xff\xff", PROTOBUF, 400, "malformed"),
        (b"{", {"Content-Type": "application/json"}, 400, "malformed"),
        (b"[" * 100_000, {"Content-Type": "application/json"}, 400, "malformed"),
        (b'{"resourceSpans": 5}', {"Content-Type": "application/json"}, 400, "malformed"),
        (b"\xff", {"Content-Type": "application/json"}, 400, "malformed"),
        (b"not gzip", PROTOBUF | {"Content-Encoding": "gzip"}, 400, "malformed"),
        (gzip.compress(b"x" * 1000)[:-9], PROTOBUF | {"Content-Encoding": "gzip"}, 400, "malformed"),
        (gzip.compress(b"") * 2, PROTOBUF | {"Content-Encoding": "gzip"}, 400, "malformed"),
        (b"", {"Content-Type": "text/plain"}, 415, "unsupported"),
        (b"", {}, 415, "unsupported"),
        (b"", PROTOBUF | {"Content-Encoding": "br"}, 415, "unsupported"),
        (bytes(MOST_BYTES + 1), PROTOBUF, 413, "too_large"),
        (gzip.compress(bytes(MOST_BYTES + 1)), PROTOBUF | {"Content-Encoding": "gzip"}, 413, "too_large"),
    ],
    ids=[
        "no protobuf", "no json", "deep json", "another json", "no utf-8", "no gzip", "half a gzip", "two gzips",
        "text", "no type", "brotli", "large", "large inside",
    ],
)  # fmt: skip  # one list reads better than one name a line
def test_what_it_cannot_take_is_refused_and_counted(
    door: Running, body: bytes, headers: dict[str, str], status: int, reason: str
) -> None:
    """With the error that OTLP asks for: the code of gRPC, and what was wrong."""
    answer = door.post(body, headers)
    assert answer.status_code == status
    if "json" in headers.get("Content-Type", ""):
        error = answer.json()
    else:  # google.rpc.Status begins as this message does: a number and a text
        said = ExportTracePartialSuccess.FromString(answer.content)
        error = {"code": said.rejected_spans, "message": said.error_message}
    assert error["code"] == {400: 3, 413: 8, 415: 3}[status]
    assert error["message"]
    assert shown(door.registry, "agent_gateway_refused_total") == {(reason,): 1}


def test_a_gzip_never_takes_more_memory_than_a_body_may_have(door: Running) -> None:
    """A bomb of 100 MB stops at the first 4."""
    bomb = gzip.compress(bytes(100 * 1024 * 1024))
    assert door.post(bomb, PROTOBUF | {"Content-Encoding": "gzip"}).status_code == 413


def test_more_spans_than_can_say_anything_are_too_many(door: Running) -> None:
    """Two bytes each here, they would take a thousand times that in memory."""
    request = request_of()
    scope = request.resource_spans[0].scope_spans.add()
    for _ in range(MOST_SPANS + 1):
        scope.spans.add()
    body = request.SerializeToString()
    assert len(body) < MOST_BYTES / 50
    assert door.post(body, PROTOBUF).status_code == 413
    del scope.spans[-1]
    assert door.post(request.SerializeToString(), PROTOBUF).status_code == 200
    empty = (ExportTraceServiceRequest(), ExportTraceServiceRequest())
    empty[1].resource_spans.add()
    for _ in range(MOST_SPANS + 1):
        empty[0].resource_spans.add()
        empty[1].resource_spans[0].scope_spans.add()
    assert [door.post(one.SerializeToString(), PROTOBUF).status_code for one in empty] == [413, 413]


def test_values_that_are_too_long_for_a_name_are_not_kept(door: Running) -> None:
    """Neither while they wait nor as the id of a conversation."""
    long = "x" * (LONGEST_VALUE + 1)
    received = spans_of(request_of(spans.CURRENT | {"gen_ai.conversation.id": long}).SerializeToString(), as_json=False)
    assert "gen_ai.conversation.id" not in received[0].span.attributes
    door.send(spans.CURRENT | {"gen_ai.conversation.id": long, "gen_ai.request.model": long}, service=long)
    request = request_of(spans.CURRENT)
    request.resource_spans[0].scope_spans[0].spans[0].trace_id = bytes(1000)
    assert door.post(request.SerializeToString(), PROTOBUF).status_code == 200
    door.settle()
    assert agents_of(door.registry) == {"other": 1, "seller": 1}
    assert total(door.registry, "agent_sessions_opened_total") == 1


def test_what_an_exporter_sends_again_counts_once(door: Running) -> None:
    """It had no answer, though the spans arrived; in another request there may be others beside them."""
    request = request_of(spans.CURRENT, spans.CURRENT)
    assert door.post(request.SerializeToString(), PROTOBUF).status_code == 200
    request.MergeFrom(request_of(spans.CURRENT))
    assert door.post(request.SerializeToString(), PROTOBUF).status_code == 200
    door.settle()
    assert total(door.registry, "agent_llm_calls_total") == 3


def test_with_a_token_only_those_who_know_it_come_in() -> None:
    """To send and to read; whether it is alive is not a secret."""
    with running(TOKEN) as door:
        for wrong in ({}, {"Authorization": "Bearer no"}, {"Authorization": f"Basic {TOKEN}"}):
            assert door.post(b"", PROTOBUF | wrong).status_code == 401
            assert door.client.get("/metrics", headers=wrong).status_code == 401
        known = {"Authorization": f"Bearer {TOKEN}"}
        assert door.post(b"", PROTOBUF | known).status_code == 200
        assert 'agent_gateway_refused_total{agent="other",reason="unauthorized"} 3.0' in (
            door.client.get("/metrics", headers=known).text
        )
        assert door.client.get("/health").text == "ok\n"


@pytest.mark.parametrize(
    ("host", "token", "message"),
    [
        (EVERYWHERE, None, "AGENTGAUGE_GATEWAY_TOKEN"),
        ("10.0.0.5", None, "AGENTGAUGE_GATEWAY_TOKEN"),
        ("gateway.example.com", None, "AGENTGAUGE_GATEWAY_TOKEN"),
        ("127.0.0.1", "short", "fewer than 16 characters"),
        (EVERYWHERE, "", "fewer than 16 characters"),
    ],
)
def test_beyond_loopback_it_does_not_start_without_a_token(host: str, token: str | None, message: str) -> None:
    """Nor with one that can be guessed."""
    with pytest.raises(GatewayError, match=message):
        check_exposure(host, token)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.9", "::1", "localhost"])
def test_on_loopback_it_needs_none(host: str) -> None:
    """What runs on the machine may send."""
    check_exposure(host, None)
    check_exposure(EVERYWHERE, TOKEN)


def test_when_too_many_wait_the_exporter_is_told_to_come_again() -> None:
    """One request that is larger than all the room is taken where nothing waits."""
    registry = CollectorRegistry()
    agents = _Held(registry)
    inbox = Inbox(agents, most=2)
    first, second = (request_of(spans.CURRENT, spans.CURRENT, spans.CURRENT).SerializeToString() for _ in range(2))
    with serving(gateway(agents, inbox, registry)) as url, httpx2.Client(base_url=url) as client:
        door = Running(client, registry, inbox)
        assert door.post(first, PROTOBUF).status_code == 200
        assert agents.entered.wait(10)
        answer = door.post(second, PROTOBUF)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        agents.leave.set()
        door.settle()
        assert door.post(second, PROTOBUF).status_code == 200
        door.settle()
    assert total(registry, "agent_llm_calls_total") == 6
    assert shown(registry, "agent_gateway_refused_total") == {("busy",): 1}


class _Held(Agents):
    """Agents whose first span takes as long as the test wants."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry)
        self.entered, self.leave = threading.Event(), threading.Event()

    def record(self, received: Received) -> None:
        self.entered.set()
        assert self.leave.wait(10)
        super().record(received)


def test_who_does_not_send_its_body_is_let_go(door: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a few clients cannot hold every place."""
    monkeypatch.setattr(http_guard, "SECONDS_FOR_A_BODY", 0.05)
    at = door.client.base_url
    with socket.create_connection((at.host, at.port or 0), timeout=10) as client:
        client.sendall(
            b"POST /v1/traces HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Type: application/x-protobuf\r\nContent-Length: 9\r\n\r\n."
        )
        assert client.recv(100).startswith(b"HTTP/1.1 408")
    assert shown(door.registry, "agent_gateway_refused_total") == {("too_slow",): 1}


def agents_of(registry: CollectorRegistry) -> dict[str, float]:
    """Who has made how many calls."""
    return {
        sample.labels["agent"]: sample.value
        for metric in registry.collect()
        for sample in metric.samples
        if sample.name == "agent_llm_calls_total" and sample.value
    }


def test_a_service_is_an_agent_and_may_have_another_name() -> None:
    """One that says no name is called by the name of its agent, and a text is not a name."""
    with running(names={"checkout-bot": "sales_companion"}) as door:
        door.send(spans.CURRENT, service="checkout-bot")
        door.send(spans.CURRENT | {"gen_ai.agent.name": "ignored"}, service="support")
        door.send(spans.CURRENT | {"gen_ai.agent.name": "planner"}, service="unknown_service:node")
        door.send(spans.CURRENT, service=None)
        door.send(spans.CURRENT, service="Dear Ms Miller, thank you")
        door.settle()
        assert agents_of(door.registry) == {"sales_companion": 1, "support": 1, "planner": 1, "other": 2}


def test_there_are_never_more_agents_than_allowed() -> None:
    """Whoever comes too late is `other`, and nothing is lost."""
    with running(most=2) as door:
        for service in ("one", "two", "three", "four", "one"):
            door.send(spans.CURRENT, service=service)
        door.settle()
        assert agents_of(door.registry) == {"one": 2, "two": 1, "other": 2}


def test_replicas_need_not_see_the_same_trace(door: Running) -> None:
    """Every span counts by itself: what two of them show adds up to what one would."""
    run = {"gen_ai.operation.name": "invoke_agent", "gen_ai.conversation.id": "c-1"}
    tool = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "find", "gen_ai.conversation.id": "c-1"}
    door.send(spans.CURRENT, tool, spans.CURRENT, run)
    door.settle()
    with running() as one, running() as two:
        one.send(spans.CURRENT, run)
        two.send(tool, spans.CURRENT)
        one.settle()
        two.settle()
        for name in ("agent_llm_calls_total", "agent_llm_tokens_total", "agent_tool_calls_total", "agent_tasks_total"):
            assert total(one.registry, name) + total(two.registry, name) == total(door.registry, name) > 0
        # A conversation is one on each replica that hears of it, with the part that it heard.
        assert (
            total(one.registry, "agent_sessions_opened_total")
            == total(two.registry, "agent_sessions_opened_total")
            == 1
        )


def test_what_waits_is_counted_before_it_ends() -> None:
    """And the conversations are closed."""
    with running() as door:
        door.send(*[spans.CURRENT] * 50)
        registry = door.registry
    assert total(registry, "agent_llm_calls_total") == 50
    assert total(registry, "agent_session_cost_usd_sum") == pytest.approx(50 * OPUS_USD)


async def test_many_exporters_at_once_lose_nothing(door: Running) -> None:
    """Sixteen that send ten requests each."""

    async def export(client: httpx2.AsyncClient) -> None:
        for _ in range(10):
            body = request_of(spans.CURRENT, spans.CURRENT).SerializeToString()
            assert (await client.post("/v1/traces", content=body, headers=PROTOBUF)).status_code == 200

    async with httpx2.AsyncClient(base_url=door.client.base_url) as client:
        await asyncio.gather(*(export(client) for _ in range(16)))
    door.settle()
    assert total(door.registry, "agent_llm_calls_total") == 16 * 10 * 2
