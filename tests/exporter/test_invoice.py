"""What AgentGauge counted against what the provider bills: 1000 calls of all kinds, priced by hand beside it."""

from __future__ import annotations

import asyncio
import csv
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import anthropic
import pytest
from anthropic import AsyncAnthropic, DefaultAsyncHttpxClient
from anthropic.types.messages import MessageBatchIndividualResponse
from httpx2 import ASGITransport
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from agentgauge import AgentGauge
from sample_agent.fake_api.events import encode, events_of

OVERLOADED = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
CENT = Decimal("0.01")
MILLION = Decimal(1_000_000)
PER_SEARCH = Decimal("0.01")  # $10 per 1000


@dataclass(frozen=True)
class Price:
    """USD per million tokens."""

    input: Decimal
    cache_write_5m: Decimal
    cache_write_1h: Decimal
    cache_read: Decimal
    output: Decimal


def price(*columns: str) -> Price:
    """A row of the price list, its columns in the list's order."""
    return Price(*map(Decimal, columns))


# Typed from https://platform.claude.com/docs/en/about-claude/pricing as of November 2026.
PRICES = {
    "claude-opus-5-5": price("4", "5", "8", "0.20", "20"),
    "claude-sonnet-5-5": price("2", "2.50", "4", "0.10", "10"),
    "claude-haiku-5-5": price("0.10", "0.125", "0.20", "0.01", "0.50"),
}
LONG_PROMPTS = {"claude-haiku-5-5": (100_000, price("0.50", "0.625", "1", "0.05", "2.50"))}
FAST = {"claude-opus-5-5": price("8", "10", "16", "0.40", "40")}
BATCH = Decimal("0.5")  # of every token; searches cost the same


@dataclass(frozen=True)
class Call:
    """A row of invoice.csv: which model was asked for, how the call went, and the tokens that are billed for it.

    ``thinking`` is part of ``output``; ``how`` is plain, stream, retried (succeeds at the third attempt), errored, cut
    (the stream breaks; its output is what had been reported by then), batch or fast.
    """

    model: str
    how: str
    input: int
    cache_read: int
    cache_write_5m: int
    cache_write_1h: int
    output: int
    thinking: int
    web_searches: int

    @property
    def listed_as(self) -> str | None:
        """The model's name on the price list, without the date of an alias."""
        return next((name for name in PRICES if self.model.startswith(name)), None)

    def bill(self, name: str) -> Decimal:
        """What the provider asks for it, in USD, by the price list of the model called so."""
        prompt = self.input + self.cache_read + self.cache_write_5m + self.cache_write_1h
        rates = FAST[name] if self.how == "fast" else PRICES[name]
        if name in LONG_PROMPTS and prompt > LONG_PROMPTS[name][0]:
            rates = LONG_PROMPTS[name][1]
        tokens = (
            self.input * rates.input
            + self.cache_write_5m * rates.cache_write_5m
            + self.cache_write_1h * rates.cache_write_1h
            + self.cache_read * rates.cache_read
            + self.output * rates.output
        ) / MILLION
        return tokens * (BATCH if self.how == "batch" else 1) + self.web_searches * PER_SEARCH

    def message(self) -> dict[str, Any]:
        """The answer of the Messages API."""
        return {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": self.model,
            "content": [{"type": "text", "text": "Globex renews in March."}],
            "stop_reason": "end_turn",
            "stop_sequence": None,
            "usage": {
                "input_tokens": self.input,
                "cache_read_input_tokens": self.cache_read,
                "cache_creation_input_tokens": self.cache_write_5m + self.cache_write_1h,
                "cache_creation": {
                    "ephemeral_5m_input_tokens": self.cache_write_5m,
                    "ephemeral_1h_input_tokens": self.cache_write_1h,
                },
                "output_tokens": self.output,
                "output_tokens_details": {"thinking_tokens": self.thinking},
                "server_tool_use": {"web_search_requests": self.web_searches, "web_fetch_requests": 1},
                "service_tier": "batch" if self.how == "batch" else "standard",
                "speed": "fast" if self.how == "fast" else "standard",
            },
        }


def calls() -> list[Call]:
    """The 1000 calls."""
    with Path(__file__).with_name("invoice.csv").open(encoding="utf-8", newline="") as file:
        return [
            Call(row.pop("model"), row.pop("how"), **{field: int(number) for field, number in row.items()})
            for row in csv.DictReader(file)
        ]


CALLS = calls()


def provider() -> Starlette:
    """A Messages API that answers the call whose number in the list is the request's ``metadata.user_id``."""
    attempts: dict[int, int] = defaultdict(int)

    async def messages(request: Request) -> Response:
        number = int((await request.json())["metadata"]["user_id"])
        call = CALLS[number]
        attempts[number] += 1
        if call.how == "errored" or (call.how == "retried" and attempts[number] < 3):
            return JSONResponse(OVERLOADED, 529, {"retry-after-ms": "1"})
        if call.how in ("stream", "cut"):
            return StreamingResponse(stream(call), media_type="text/event-stream")
        return JSONResponse(call.message())

    return Starlette(routes=[Route("/v1/messages", messages, methods=["POST"])])


async def stream(call: Call) -> AsyncIterator[bytes]:
    """The answer as events: searches are reported at the end only, as the API does; a cut one ends with an error."""
    for event in events_of(call.message()):
        if event["type"] == "message_start":
            del event["message"]["usage"]["server_tool_use"]
            if call.how == "cut":
                event["message"]["usage"]["output_tokens"] = call.output
        if event["type"] == "message_delta":
            if call.how == "cut":
                yield encode(OVERLOADED)
                return
            event["usage"]["server_tool_use"] = call.message()["usage"]["server_tool_use"]
        yield encode(event)


async def make(client: AsyncAnthropic, gauge: AgentGauge, number: int) -> None:
    """Make one of the calls as an agent would."""
    call = CALLS[number]
    if call.how == "batch":  # the caller fetches the results of a batch, and tells the gauge
        result = {"type": "succeeded", "message": call.message()}
        gauge.count_batch_result(MessageBatchIndividualResponse.model_validate({"custom_id": "1", "result": result}))
        return
    ask: dict[str, Any] = {
        "model": call.model,
        "max_tokens": 4000,
        "messages": [{"role": "user", "content": "When does Globex renew?"}],
        "metadata": {"user_id": str(number)},
    }
    if call.how == "stream":
        async with client.messages.stream(**ask) as answer:
            await answer.until_done()
    elif call.how == "cut":
        with pytest.raises(anthropic.APIStatusError):
            async for _ in await client.messages.create(**ask, stream=True):
                pass
    elif call.how == "errored":
        with pytest.raises(anthropic.APIStatusError):
            await client.messages.create(**ask)
    else:
        await client.messages.create(**ask)


@pytest.fixture(scope="module")
def gauge() -> AgentGauge:
    """An agent that has made the 1000 calls in one session."""
    made = AgentGauge("a", models=["our-own-model"], registry=CollectorRegistry())

    async def make_all() -> None:
        http = DefaultAsyncHttpxClient(transport=ASGITransport(provider()))
        client = AsyncAnthropic(api_key="k", base_url="http://api", http_client=http, middleware=[made.anthropic()])
        async with client:
            for first in range(0, len(CALLS), 50):
                await asyncio.gather(*(make(client, made, number) for number in range(first, first + 50)))

    asyncio.run(make_all())
    return made


def by_model(gauge: AgentGauge, name: str, **labels: str) -> dict[str, Decimal]:
    """The values of a series by model, zeros left out."""
    return {
        sample.labels["model"]: Decimal(sample.value)
        for metric in gauge.registry.collect()
        for sample in metric.samples
        if sample.name == name and sample.value and labels.items() <= sample.labels.items()
    }


def added_up(amount: Callable[[Call], Decimal | int]) -> dict[str, Decimal]:
    """An amount of each call, added up by the model that it is billed as."""
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for call in CALLS:
        sums[call.listed_as or call.model] += amount(call)
    return {model: total for model, total in sums.items() if total}


def test_the_figures_agree_with_the_invoice_to_the_cent(gauge: AgentGauge) -> None:
    """Model by model: aliases, cache kinds, long prompts, searches, batches, fast mode; failed attempts are free."""
    counted = by_model(gauge, "agent_llm_cost_usd_total")
    billed = added_up(lambda call: call.bill(call.listed_as) if call.listed_as else 0)
    assert {model: usd.quantize(CENT) for model, usd in counted.items()} == {
        model: usd.quantize(CENT) for model, usd in billed.items()
    }


@pytest.mark.parametrize("kind", ["input", "cache_read", "cache_write_5m", "cache_write_1h", "output"])
def test_every_token_of_the_invoice_is_counted_once_and_as_its_kind(gauge: AgentGauge, kind: str) -> None:
    """Thinking is within the output; the tokens of broken streams are billed, too."""
    assert by_model(gauge, "agent_llm_tokens_total", kind=kind) == added_up(lambda call: getattr(call, kind))


def test_a_model_on_no_price_list_is_unpriced_to_the_token(gauge: AgentGauge) -> None:
    """None of its calls is $0 by mistake: each token is counted where an alert watches."""
    tokens = added_up(
        lambda call: (
            0
            if call.listed_as
            else call.input + call.cache_read + call.cache_write_5m + call.cache_write_1h + call.output
        )
    )
    assert by_model(gauge, "agent_llm_unpriced_tokens_total") == tokens
    assert set(tokens) == {"our-own-model"}


def test_each_attempt_is_one_call_that_succeeded_or_failed(gauge: AgentGauge) -> None:
    """Two failures before a retried call, three attempts of one that fails for good, one broken stream."""
    failures = {"retried": 2, "errored": 3, "cut": 1}
    assert by_model(gauge, "agent_llm_calls_total", outcome="error") == added_up(lambda call: failures.get(call.how, 0))
    assert by_model(gauge, "agent_llm_calls_total", outcome="success") == added_up(
        lambda call: call.how not in ("errored", "cut")
    )


def test_a_batch_has_no_latency(gauge: AgentGauge) -> None:
    """Nobody waited for it, so it must not pull the latency of the model down."""
    attempts = {"retried": 3, "errored": 3, "batch": 0}
    assert by_model(gauge, "agent_llm_duration_seconds_count") == added_up(lambda call: attempts.get(call.how, 1))
