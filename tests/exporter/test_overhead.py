"""Instrumentation stays cheap, and the short cuts that make it so change no number."""

from __future__ import annotations

import contextlib
import functools
import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import genai_prices
import httpx2
import pytest
from anthropic import Anthropic
from prometheus_client import CollectorRegistry

from agentgauge import AgentGauge, SessionLimits, TokenUsage
from agentgauge.pricing import PriceTable
from tests.bench import llm_calls, tool_calls
from tests.bench.bytecodes import bytecodes

MODEL = llm_calls.ASK["model"]
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": MODEL,
    "content": [{"type": "text", "text": "Noted."}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 10, "output_tokens": 5},
}
EVENTS: list[dict[str, Any]] = [
    {"type": "message_start", "message": {**MESSAGE, "content": [], "stop_reason": None}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    *[{"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "x"}}] * 19,
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 5}},
    {"type": "message_stop"},
]


def gauge() -> AgentGauge:
    """An agent whose session stays below its limits."""
    limits = SessionLimits(tool_calls=10**9, cost_usd=1e9)
    return AgentGauge("bench", models=[MODEL], limits=limits, registry=CollectorRegistry())


def warm(work: Callable[[], object]) -> int:
    """The bytecodes of what has run, and has been watched, before: Python 3.13 sees the first time a few too late."""
    for _ in range(2):
        bytecodes(work)
    return bytecodes(work)


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_a_tool_call_runs_hardly_more_than_the_bare_increments(is_async: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """It counts for its session, too, for at most 1.3 times what cached children of prometheus_client run."""
    monkeypatch.delitem(sys.modules, "opentelemetry.trace", raising=False)  # else it is asked for the span as well

    def ran(tool: Any) -> int:
        if not is_async:
            return warm(lambda: tool("Globex"))

        def run() -> None:
            with contextlib.suppress(StopIteration):
                tool("Globex").send(None)

        return warm(run)

    agent = gauge()
    variants: dict[str, Any] = dict(tool_calls.async_variants(agent) if is_async else tool_calls.sync_variants(agent))
    with agent.session():
        bare, cached, gauged = (
            ran(variants[name]) for name in (tool_calls.BARE, tool_calls.CACHED, tool_calls.AGENTGAUGE)
        )
    assert bare < cached
    assert gauged - bare <= 1.3 * (cached - bare)


@pytest.mark.parametrize(
    ("call", "times"), [(llm_calls.plain, 3), (llm_calls.stream, 4.7)], ids=["plain", "stream of 24 events"]
)
def test_an_llm_call_runs_a_few_times_what_the_empty_hook_of_the_sdk_does(
    call: Callable[[Anthropic], object], times: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tokens, cost, seconds and the first token are recorded for so many times the cost of a hook that does nothing."""
    monkeypatch.delitem(sys.modules, "opentelemetry.trace", raising=False)

    def answer(request: httpx2.Request) -> httpx2.Response:
        if not json.loads(request.content).get("stream"):
            return httpx2.Response(200, json=MESSAGE)
        text = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in EVENTS)
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, text=text)

    agent = gauge()
    ran = []
    for middleware in ((), (llm_calls.Nothing(),), (agent.anthropic(),)):
        with (
            httpx2.Client(transport=httpx2.MockTransport(answer)) as http,
            Anthropic(api_key="k", max_retries=0, middleware=middleware, http_client=http) as client,
            agent.session(),
        ):
            ran.append(warm(functools.partial(call, client)))
    bare, empty, gauged = ran
    assert bare < empty
    assert gauged - bare <= times * (empty - bare)


@pytest.mark.parametrize(
    "model", ["claude-opus-5-5", "claude-haiku-5-5", "claude-sonnet-4-6", "gpt-5.5", "gemini-2.5-pro"]
)
@pytest.mark.parametrize(
    "usage",
    [
        TokenUsage(input=1000, output=200),
        TokenUsage(input=3, cache_read=50_000, cache_write_5m=700, output=1),
        TokenUsage(input=10, cache_write_5m=2000, cache_write_1h=9000, output=60, web_searches=4),
        TokenUsage(input=100_000, cache_read=100_000, output=8000),
        TokenUsage(input=100_000, cache_read=100_001, output=8000),
        TokenUsage(output=12),
    ],
    ids=["plain", "cache", "searches", "at a tier", "beyond a tier", "no prompt"],
)
def test_a_cost_is_what_the_price_table_says(model: str, usage: TokenUsage) -> None:
    """Flat and tiered prices, changed and unchanged ones: multiplying kept rates gives the table's own answer."""
    asked = genai_prices.Usage(
        input_tokens=usage.prompt,
        cache_read_tokens=usage.cache_read,
        cache_write_tokens=usage.cache_write_5m + usage.cache_write_1h,
        cache_write_1h_tokens=usage.cache_write_1h,
        output_tokens=usage.output,
        web_searches=usage.web_searches,
    )
    expected = genai_prices.calc_price(asked, model, genai_request_timestamp=datetime.now(UTC)).total_price
    assert PriceTable().cost_usd(model, usage) == pytest.approx(float(expected))
