"""What the SDK's calls cost beyond tokens times the list: other providers, compaction, advisors, data residency."""

from __future__ import annotations

from typing import Any

import pytest
from anthropic import (
    AsyncAnthropic,
    AsyncAnthropicBedrock,
    AsyncAnthropicFoundry,
    AsyncAnthropicVertex,
    DefaultAsyncHttpxClient,
)
from httpx2 import ASGITransport
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from agentgauge import AgentGauge
from sample_agent.fake_api.events import encode, events_of

OPUS = "claude-opus-5-5"  # $4 in, $20 out, cache read $0.20
HAIKU = "claude-haiku-5-5"  # $0.10 in, $0.50 out; beyond 100 000 tokens of prompt $0.50 and $2.50
ASK: dict[str, Any] = {"max_tokens": 500, "messages": [{"role": "user", "content": "Who is at Globex?"}]}
PLAIN = {"input_tokens": 450_000, "output_tokens": 9_000}


def http(usage: dict[str, Any], model: str = OPUS) -> DefaultAsyncHttpxClient:
    """A connection to a server that speaks the three clouds' protocols and reports this usage."""

    async def answer(request: Request) -> Response:
        asked = await request.json()
        message: dict[str, Any] = {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": model,
            "content": [{"type": "text", "text": "Jane."}],
            "stop_reason": "end_turn",
            "stop_sequence": None,
            "usage": usage,
        }
        if not asked.get("stream"):
            return JSONResponse(message)
        events = list(events_of(message))
        for event in events:
            if event["type"] == "message_start":
                event["message"]["usage"].pop("iterations", None)
            if event["type"] == "message_delta":
                event["usage"]["iterations"] = usage.get("iterations")
        return Response(b"".join(map(encode, events)), media_type="text/event-stream")

    paths = (
        "/v1/messages",  # Anthropic's own and Foundry's
        "/model/{model}/invoke",  # Bedrock's
        "/projects/{project}/locations/{region}/publishers/anthropic/models/{model}",  # Vertex's
    )
    app = Starlette(routes=[Route(path, answer, methods=["POST"]) for path in paths])
    return DefaultAsyncHttpxClient(transport=ASGITransport(app))


@pytest.fixture
def gauge(registry: CollectorRegistry) -> AgentGauge:
    """An agent of which nothing is known before."""
    return AgentGauge("a", registry=registry)


def spent(gauge: AgentGauge) -> dict[str, float]:
    """USD by model."""
    return by_model(gauge, "agent_llm_cost_usd_total")


def by_model(gauge: AgentGauge, name: str) -> dict[str, float]:
    """A series added up by model, zeros left out."""
    sums: dict[str, float] = {}
    for metric in gauge.registry.collect():
        for sample in metric.samples:
            if sample.name == name and sample.value:
                sums[sample.labels["model"]] = sums.get(sample.labels["model"], 0) + sample.value
    return sums


@pytest.mark.parametrize(
    ("asked", "label", "usd"),
    [
        # 450 000 at $4.40 and 9 000 at $22 a million: $1.98 + $0.198; elsewhere $1.80 + $0.18.
        (f"us.anthropic.{OPUS}", f"regional.anthropic.{OPUS}", 2.178),
        (f"global.anthropic.{OPUS}", f"global.anthropic.{OPUS}", 1.98),
    ],
)
async def test_bedrock_is_billed_by_the_region_that_was_asked_for(
    gauge: AgentGauge, asked: str, label: str, usd: float
) -> None:
    """Its answer names the model alone."""
    client = AsyncAnthropicBedrock(
        aws_region="us-east-1",
        api_key="k",
        base_url="http://bedrock",
        http_client=http(PLAIN),
        middleware=[gauge.anthropic()],
    )
    async with client:
        await client.messages.create(model=asked, **ASK)
    assert spent(gauge) == {label: pytest.approx(usd)}


async def test_vertex_is_billed_at_its_own_price(gauge: AgentGauge) -> None:
    """The same as the vendor's; its names have the date behind an @."""
    client = AsyncAnthropicVertex(
        region="global",
        project_id="p",
        access_token="t",
        base_url="http://vertex",
        http_client=http(PLAIN),
        middleware=[gauge.anthropic()],
    )
    async with client:
        await client.messages.create(model=f"{OPUS}@20260901", **ASK)
    assert spent(gauge) == {OPUS: pytest.approx(1.98)}


async def test_foundry_is_billed_by_the_model_that_answers(gauge: AgentGauge) -> None:
    """What is asked for there is a deployment with a name of its own."""
    client = AsyncAnthropicFoundry(
        api_key="k", base_url="http://foundry", http_client=http(PLAIN), middleware=[gauge.anthropic()]
    )
    async with client:
        await client.messages.create(model="chat-prod", **ASK)
    assert spent(gauge) == {OPUS: pytest.approx(1.98)}


def anthropic(gauge: AgentGauge, usage: dict[str, Any], model: str = OPUS) -> AsyncAnthropic:
    """The vendor's own API."""
    return AsyncAnthropic(
        api_key="k", base_url="http://api", http_client=http(usage, model), middleware=[gauge.anthropic()]
    )


def iteration(kind: str, input: int, output: int, **more: object) -> dict[str, object]:
    """An entry of ``usage.iterations``."""
    cache = {"cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}
    return {"type": kind, "input_tokens": input, "output_tokens": output, **cache, **more}


@pytest.mark.parametrize("stream", [False, True])
async def test_compacting_the_context_is_billed_by_itself(gauge: AgentGauge, stream: bool) -> None:
    """The usage's own sums leave it out; each inference has the price of its own size.

    90 000 + 80 000 of prompt, each below the tier of 100 000: 170 000 at $0.10, 2 500 out at $0.50 a million.
    """
    usage = {
        "input_tokens": 80_000,
        "output_tokens": 500,
        "iterations": [iteration("compaction", 90_000, 2_000), iteration("message", 80_000, 500)],
    }
    async with anthropic(gauge, usage, HAIKU) as client:
        if stream:
            async with client.beta.messages.stream(model=HAIKU, **ASK) as answer:
                await answer.until_done()
        else:
            await client.beta.messages.create(model=HAIKU, **ASK)
    assert by_model(gauge, "agent_llm_tokens_total") == {HAIKU: 172_500}
    assert spent(gauge) == {HAIKU: pytest.approx(0.017 + 0.00125)}
    assert by_model(gauge, "agent_llm_calls_total") == {HAIKU: 1}


async def test_an_advisor_is_billed_at_its_own_price(gauge: AgentGauge) -> None:
    """Haiku asks Opus: 1 000 at $0.10 and 100 at $0.50; 5 000 at $4 and 300 at $20 a million."""
    usage = {
        "input_tokens": 1_000,
        "output_tokens": 100,
        "iterations": [iteration("message", 1_000, 100), iteration("advisor_message", 5_000, 300, model=OPUS)],
    }
    async with anthropic(gauge, usage, HAIKU) as client:
        await client.beta.messages.create(model=HAIKU, **ASK)
    assert spent(gauge) == {HAIKU: pytest.approx(0.00015), OPUS: pytest.approx(0.026)}
    assert by_model(gauge, "agent_llm_calls_total") == {HAIKU: 1}


@pytest.mark.parametrize(("geo", "usd"), [("us", 1.98 * 1.1), ("global", 1.98), (None, 1.98)])
@pytest.mark.parametrize("stream", [False, True])
async def test_computing_in_one_country_costs_a_tenth_more(
    gauge: AgentGauge, geo: str | None, usd: float, stream: bool
) -> None:
    """As ``inference_geo`` asks for."""
    async with anthropic(gauge, PLAIN | {"inference_geo": geo}) as client:
        if stream:
            async with client.messages.stream(model=OPUS, **ASK) as answer:
                await answer.until_done()
        else:
            await client.messages.create(model=OPUS, **ASK)
    assert spent(gauge) == {OPUS: pytest.approx(usd)}
