"""The OpenAI SDK: both its APIs, plain and streamed, sync and async, each figure against one worked out by hand."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, AzureOpenAI, OpenAI
from prometheus_client import CollectorRegistry

from agentgauge import AgentGauge
from agentgauge.adapters.openai import async_http_client, http_client, usage_of
from agentgauge.ledger import Ledger
from agentgauge.transcripts import Transcripts
from tests.frameworks.bills import CHAT_USAGE, RESPONSE_USAGE, SOL, SOL_KINDS, SOL_USD, check
from tests.frameworks.figures import shown, total
from tests.frameworks.provider import TEXT, Provider

CHAT: dict[str, Any] = {"model": SOL, "messages": [{"role": "user", "content": "When does Globex renew?"}]}
ASK: dict[str, Any] = {"model": SOL, "input": "When does Globex renew?"}
WITH_USAGE: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}


@pytest.fixture
def client(gauge: AgentGauge, url: str) -> Iterator[OpenAI]:
    """The real SDK, without retries."""
    with OpenAI(api_key="k", base_url=f"{url}/v1", max_retries=0, http_client=http_client(gauge)) as made:
        yield made


def chat(client: OpenAI) -> object:
    """A chat completion."""
    return client.chat.completions.create(**CHAT).choices[0].message.content


def chat_stream(client: OpenAI) -> object:
    """The same, streamed."""
    chunks = client.chat.completions.create(**CHAT, **WITH_USAGE)
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices).strip()


def chat_helper(client: OpenAI) -> object:
    """The SDK's own helper for streams."""
    with client.chat.completions.stream(**CHAT, stream_options={"include_usage": True}) as stream:
        return (stream.get_final_completion().choices[0].message.content or "").strip()


def chat_raw(client: OpenAI) -> object:
    """A proxy that hands the lines on as they are."""
    with client.chat.completions.with_streaming_response.create(**CHAT, **WITH_USAGE) as response:
        assert list(response.iter_lines())[-2] == "data: [DONE]"
    return TEXT


def chat_bytes(client: OpenAI) -> object:
    """One that hands on the bytes."""
    with client.chat.completions.with_streaming_response.create(**CHAT, **WITH_USAGE) as response:
        assert b"".join(response.iter_bytes()).endswith(b"[DONE]\n\n")
    return TEXT


def chat_raw_answer(client: OpenAI) -> object:
    """With the headers."""
    return client.chat.completions.with_raw_response.create(**CHAT).parse().choices[0].message.content


def responses(client: OpenAI) -> object:
    """The other API."""
    return client.responses.create(**ASK).output_text


def responses_stream(client: OpenAI) -> object:
    """The same, streamed."""
    events = client.responses.create(**ASK, stream=True)
    return "".join(event.delta for event in events if event.type == "response.output_text.delta").strip()


def responses_helper(client: OpenAI) -> object:
    """The SDK's own helper."""
    with client.responses.stream(**ASK) as stream:
        return stream.get_final_response().output_text


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize(
    ("make", "usage"),
    [
        *((make, CHAT_USAGE) for make in (chat, chat_stream, chat_helper, chat_raw, chat_bytes, chat_raw_answer)),
        *((make, RESPONSE_USAGE) for make in (responses, responses_stream, responses_helper)),
    ],
)
def test_each_way_to_call_is_counted_once(
    gauge: AgentGauge,
    client: OpenAI,
    provider: Provider,
    make: Callable[[OpenAI], object],
    usage: dict[str, Any],
    zipped: bool,
) -> None:
    """The caller has the answer as without the adapter."""
    provider.usage, provider.zipped = usage, zipped
    assert make(client) == TEXT
    check(gauge.registry, SOL_KINDS, SOL_USD)
    streamed = "stream" in provider.asked[0]
    assert total(gauge.registry, "agent_llm_time_to_first_token_seconds_count") == streamed


@pytest.mark.parametrize("make", [chat, chat_stream, chat_raw, responses, responses_stream])
def test_what_was_asked_and_answered_is_the_transcript(
    url: str, make: Callable[[OpenAI], object], tmp_path: Path, registry: CollectorRegistry
) -> None:
    """Of an agent that says nothing of its conversation, whichever API it calls."""
    ledger = Ledger.open(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    with closing(AgentGauge("a", registry=registry, ledger=ledger)) as gauge:
        client = OpenAI(api_key="k", base_url=f"{url}/v1", max_retries=0, http_client=http_client(gauge))
        with client, gauge.session(session_id="s-1") as session:
            make(client)
            session.feedback("down", "wrong_answer")
    (occasion,) = Transcripts(ledger, "a").get("s-1").occasions
    assert (occasion.question, occasion.answer.strip()) == ("When does Globex renew?", TEXT)


async def test_the_async_client_counts_the_same(gauge: AgentGauge, url: str, provider: Provider) -> None:
    """Both APIs, plain, streamed and raw."""
    client = AsyncOpenAI(api_key="k", base_url=f"{url}/v1", max_retries=0, http_client=async_http_client(gauge))
    async with client:
        provider.usage = CHAT_USAGE
        await client.chat.completions.create(**CHAT)
        async for _ in await client.chat.completions.create(**CHAT, **WITH_USAGE):
            pass
        async with client.chat.completions.with_streaming_response.create(**CHAT, **WITH_USAGE) as response:
            async for _ in response.iter_lines():
                pass
        provider.usage = RESPONSE_USAGE
        await client.responses.create(**ASK)
        async for _ in await client.responses.create(**ASK, stream=True):
            pass
    check(gauge.registry, SOL_KINDS, SOL_USD, calls=5)


def test_azure_is_billed_by_the_model_that_answers(gauge: AgentGauge, url: str, provider: Provider) -> None:
    """What is asked for is a deployment."""
    provider.usage, provider.model = CHAT_USAGE, "gpt-4o-2024-08-06"
    client = AzureOpenAI(
        api_key="k",
        azure_endpoint=url,
        api_version="2025-01-01",
        http_client=http_client(gauge, provider="azure"),
    )
    with client:
        client.chat.completions.create(**CHAT | {"model": "chat-prod"})
    assert set(shown(gauge.registry, "agent_llm_cost_usd_total")) == {("gpt-4o", "other")}


@pytest.mark.parametrize(
    ("base_url", "provider"),
    [
        ("https://api.openai.com/v1/chat/completions", "openai"),
        ("https://ours.openai.azure.com/openai/deployments/chat/chat/completions", "azure"),
        ("https://api.groq.com/openai/v1/chat/completions", "groq"),
        ("https://bedrock-runtime.eu-west-1.amazonaws.com/openai/v1/chat/completions", "aws"),
        ("http://127.0.0.1:8000/v1/chat/completions", None),
    ],
)
def test_the_address_says_who_serves_the_call(gauge: AgentGauge, base_url: str, provider: str | None) -> None:
    """Many providers speak this protocol."""
    assert gauge.prices.provider_at(base_url) == provider


@pytest.mark.parametrize(
    ("tier", "times"),
    [("default", 1), ("flex", 0.5), ("priority", 2), ("scale", 1), (None, 1)],
)
def test_a_tier_has_its_price(
    gauge: AgentGauge, client: OpenAI, provider: Provider, tier: str | None, times: float
) -> None:
    """Flex is half the price, priority twice it; a scale tier is paid for by commitment."""
    provider.usage, provider.service_tier = RESPONSE_USAGE, tier
    client.responses.create(**ASK)
    assert total(gauge.registry, "agent_llm_cost_usd_total") == pytest.approx(SOL_USD * times)


def test_sound_has_its_price(gauge: AgentGauge, client: OpenAI, provider: Provider) -> None:
    """Of 1 000 in at $2.50, 800 are sound at $32 a million; of 500 out at $10, 400 are sound at $64."""
    provider.usage = {
        "prompt_tokens": 1_000,
        "completion_tokens": 500,
        "total_tokens": 1_500,
        "prompt_tokens_details": {"audio_tokens": 800, "cached_tokens": 0},
        "completion_tokens_details": {"audio_tokens": 400},
    }
    client.chat.completions.create(**CHAT | {"model": "gpt-audio"})
    assert total(gauge.registry, "agent_llm_cost_usd_total") == pytest.approx(0.0005 + 0.0256 + 0.001 + 0.0256)


def test_searches_have_their_price() -> None:
    """$10 a thousand; the page that is opened then is free."""
    output = [
        {"type": "web_search_call", "action": {"type": "search"}},
        {"type": "web_search_call", "action": {"type": "open_page"}},
        {"type": "message"},
    ]
    used = usage_of({"model": SOL, "usage": RESPONSE_USAGE, "output": output})
    assert used is not None
    assert used.web_searches == 1


def test_a_line_of_a_batchs_results_is_half_the_price(gauge: AgentGauge) -> None:
    """``usage_of`` takes the JSON of the file."""
    body = {"model": SOL, "usage": CHAT_USAGE}
    gauge.llm_call(SOL).finish(usage_of(body, batch=True))
    assert total(gauge.registry, "agent_llm_cost_usd_total") == pytest.approx(SOL_USD / 2)
    assert total(gauge.registry, "agent_llm_duration_seconds_count") == 0


def test_each_retry_is_a_call_and_an_error_has_the_providers_code(
    gauge: AgentGauge, url: str, provider: Provider
) -> None:
    """What fails and is retried is seen here alone."""
    provider.usage, provider.failures = CHAT_USAGE, [429, 500]
    with OpenAI(api_key="k", base_url=f"{url}/v1", max_retries=2, http_client=http_client(gauge)) as client:
        client.chat.completions.create(**CHAT)
    assert shown(gauge.registry, "agent_llm_calls_total") == {(SOL, "success"): 1, (SOL, "error"): 2}
    assert shown(gauge.registry, "agent_llm_errors_total") == {
        (SOL, "rate_limit_exceeded"): 1,
        (SOL, "invalid_request_error"): 1,
    }


@pytest.mark.parametrize("stream", [False, True])
def test_a_model_that_is_gone_is_named_so(gauge: AgentGauge, client: OpenAI, provider: Provider, stream: bool) -> None:
    """AgentModelGone watches this code."""
    provider.failures = [404]
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(**CHAT, stream=stream)
    assert shown(gauge.registry, "agent_llm_errors_total") == {(SOL, "model_not_found"): 1}


def test_a_stream_that_breaks_is_an_error(gauge: AgentGauge, client: OpenAI, provider: Provider) -> None:
    """The SDK's own exception reaches the caller."""
    provider.usage, provider.cut = CHAT_USAGE, True
    with pytest.raises(openai.APIConnectionError):
        chat_stream(client)
    assert shown(gauge.registry, "agent_llm_errors_total") == {(SOL, "RemoteProtocolError"): 1}


def test_no_connection_is_an_error(gauge: AgentGauge) -> None:
    """The provider is down."""
    client = OpenAI(api_key="k", base_url="http://127.0.0.1:1/v1", max_retries=0, http_client=http_client(gauge))
    with client, pytest.raises(openai.APIConnectionError):
        chat(client)
    assert shown(gauge.registry, "agent_llm_errors_total") == {(SOL, "ConnectError"): 1}


def test_a_stream_without_usage_is_marked(gauge: AgentGauge, client: OpenAI, provider: Provider) -> None:
    """Chat completions report a stream's usage only if they are asked to: never silently $0."""
    provider.usage = CHAT_USAGE
    list(client.chat.completions.create(**CHAT, stream=True))
    assert shown(gauge.registry, "agent_llm_usage_unknown_total") == {(SOL,): 1}
    assert shown(gauge.registry, "agent_llm_calls_total") == {(SOL, "success"): 1}


@pytest.mark.parametrize("leave", ["close", "drop"])
def test_a_stream_left_early_is_marked(gauge: AgentGauge, client: OpenAI, provider: Provider, leave: str) -> None:
    """Its usage would have come last; it is finished once, however it is left."""
    provider.usage = RESPONSE_USAGE
    stream = client.responses.create(**ASK, stream=True)
    next(iter(stream))
    if leave == "close":
        stream.close()
    del stream
    gc.collect()
    assert shown(gauge.registry, "agent_llm_usage_unknown_total") == {(SOL,): 1}
    assert shown(gauge.registry, "agent_llm_calls_total") == {(SOL, "success"): 1}


async def test_a_cancelled_call_is_counted_and_stays_cancelled(gauge: AgentGauge, url: str, provider: Provider) -> None:
    """The user went away while the model was thinking."""
    provider.thinks_seconds = 5
    async with AsyncOpenAI(api_key="k", base_url=f"{url}/v1", http_client=async_http_client(gauge)) as client:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.chat.completions.create(**CHAT), timeout=0.3)
    assert shown(gauge.registry, "agent_llm_errors_total") == {(SOL, "CancelledError"): 1}


def test_a_call_belongs_to_its_session(gauge: AgentGauge, client: OpenAI, provider: Provider) -> None:
    """The session costs what the counters say."""
    provider.usage = CHAT_USAGE
    with gauge.session() as session:
        chat(client)
    assert session.cost_usd == pytest.approx(SOL_USD)


def test_other_endpoints_pass_through(gauge: AgentGauge, client: OpenAI) -> None:
    """A list of models is not a call of one."""
    with pytest.raises(openai.NotFoundError):
        client.models.list()
    assert total(gauge.registry, "agent_llm_calls_total") == 0


def test_a_fault_in_telemetry_leaves_the_answer_alone(gauge: AgentGauge, client: OpenAI, provider: Provider) -> None:
    """A usage that nobody can read."""
    provider.usage = CHAT_USAGE
    del gauge.prices
    assert chat(client) == TEXT
    assert total(gauge.registry, "agent_exporter_errors_total") > 0
