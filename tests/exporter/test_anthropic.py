"""The middleware on the real SDK, against a server that speaks the Messages API."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic, AsyncAnthropic
from prometheus_client import CollectorRegistry

from agentgauge import AgentGauge, TokenUsage, llm_step
from sample_agent.faults import Fault, clear, inject

MODEL = "claude-opus-5-5"
ASK: dict[str, Any] = {"model": MODEL, "max_tokens": 500, "messages": [{"role": "user", "content": "hello there"}]}
CACHED_ASK: dict[str, Any] = ASK | {
    "system": [{"type": "text", "text": "You sell software. " * 400, "cache_control": {"type": "ephemeral"}}]
}


@pytest.fixture
def gauge(registry: CollectorRegistry) -> AgentGauge:
    """An agent whose model is configured."""
    return AgentGauge("a", models=[MODEL], registry=registry)


@pytest.fixture
def client(gauge: AgentGauge, fake_api: str) -> Iterator[Anthropic]:
    """The real SDK with the middleware, without retries."""
    with Anthropic(api_key="fake-key", base_url=fake_api, max_retries=0, middleware=[gauge.anthropic()]) as made:
        yield made


def calls(gauge: AgentGauge, outcome: str) -> float | None:
    """How many attempts ended so."""
    labels = {"agent": "a", "model": MODEL, "outcome": outcome}
    return gauge.registry.get_sample_value("agent_llm_calls_total", labels)


def errors(gauge: AgentGauge, error_type: str) -> float | None:
    """How many attempts failed with this type."""
    labels = {"agent": "a", "model": MODEL, "error_type": error_type}
    return gauge.registry.get_sample_value("agent_llm_errors_total", labels)


def tokens(gauge: AgentGauge) -> dict[str, float]:
    """Tokens by kind, zeros left out."""
    return {
        sample.labels["kind"]: sample.value
        for metric in gauge.registry.collect()
        for sample in metric.samples
        if sample.name == "agent_llm_tokens_total" and sample.value
    }


def cost(gauge: AgentGauge, step: str = "other") -> float:
    """Spend in USD on this step."""
    labels = {"agent": "a", "model": MODEL, "step": step}
    return gauge.registry.get_sample_value("agent_llm_cost_usd_total", labels) or 0


def without_cache(gauge: AgentGauge) -> float:
    """What the calls would have cost in USD without the prompt cache."""
    labels = {"agent": "a", "model": MODEL}
    return gauge.registry.get_sample_value("agent_llm_cost_without_cache_usd_total", labels) or 0


def test_a_plain_call_counts_tokens_cost_and_time(client: Anthropic, gauge: AgentGauge) -> None:
    """Tokens are those of `usage`; the cost is theirs at $4 in and $20 out per million."""
    message = client.messages.create(**ASK)
    assert calls(gauge, "success") == 1
    assert tokens(gauge) == {"input": message.usage.input_tokens, "output": message.usage.output_tokens}
    assert cost(gauge) == pytest.approx((message.usage.input_tokens * 4 + message.usage.output_tokens * 20) / 1e6)
    assert without_cache(gauge) == cost(gauge)
    labels = {"agent": "a", "model": MODEL}
    assert gauge.registry.get_sample_value("agent_llm_duration_seconds_count", labels) == 1
    assert gauge.registry.get_sample_value("agent_llm_time_to_first_token_seconds_count", labels) is None


def test_cache_writes_and_reads_are_disjoint_and_priced_apart(client: Anthropic, gauge: AgentGauge) -> None:
    """`input_tokens` excludes the cache: a write costs $5, a read $0.20, the rest $4 per million."""
    written = client.messages.create(**CACHED_ASK).usage
    read = client.messages.create(**CACHED_ASK).usage
    assert written.cache_creation_input_tokens
    assert read.cache_read_input_tokens == written.cache_creation_input_tokens
    expected = {
        "input": written.input_tokens + read.input_tokens,
        "cache_write_5m": written.cache_creation_input_tokens,
        "cache_read": read.cache_read_input_tokens,
        "output": written.output_tokens + read.output_tokens,
    }
    assert tokens(gauge) == expected
    dollars = expected["input"] * 4 + expected["cache_write_5m"] * 5 + expected["cache_read"] * 0.2
    assert cost(gauge) == pytest.approx((dollars + expected["output"] * 20) / 1e6)
    uncached = expected["input"] + expected["cache_write_5m"] + expected["cache_read"]
    assert without_cache(gauge) == pytest.approx((uncached * 4 + expected["output"] * 20) / 1e6)
    prompt = written.input_tokens + written.cache_creation_input_tokens
    labels = {"agent": "a", "model": MODEL}
    assert gauge.registry.get_sample_value("agent_llm_input_tokens_sum", labels) == prompt * 2


def test_an_hour_of_cache_is_counted_and_priced_as_such(client: Anthropic, gauge: AgentGauge) -> None:
    """The one-hour write costs $8 per million where the five-minute one costs $5."""
    system = [CACHED_ASK["system"][0] | {"cache_control": {"type": "ephemeral", "ttl": "1h"}}]
    usage = client.messages.create(**CACHED_ASK | {"system": system}).usage
    assert usage.cache_creation_input_tokens
    assert tokens(gauge)["cache_write_1h"] == usage.cache_creation_input_tokens
    assert "cache_write_5m" not in tokens(gauge)
    dollars = usage.input_tokens * 4 + usage.cache_creation_input_tokens * 8 + usage.output_tokens * 20
    assert cost(gauge) == pytest.approx(dollars / 1e6)


@pytest.mark.parametrize("request_kind", [ASK, CACHED_ASK], ids=["uncached", "cached"])
def test_a_stream_counts_what_the_plain_call_counts(
    client: Anthropic, gauge: AgentGauge, request_kind: dict[str, Any], registry: CollectorRegistry
) -> None:
    """Same request, same tokens, same cost; and the first token is timed."""
    with client.messages.stream(**request_kind) as stream:
        usage = stream.get_final_message().usage
    assert calls(gauge, "success") == 1
    assert tokens(gauge)["output"] == usage.output_tokens
    assert sum(tokens(gauge).values()) == (
        usage.input_tokens
        + usage.output_tokens
        + (usage.cache_creation_input_tokens or 0)
        + (usage.cache_read_input_tokens or 0)
    )
    labels = {"agent": "a", "model": MODEL}
    assert registry.get_sample_value("agent_llm_time_to_first_token_seconds_count", labels) == 1


def test_the_raw_event_stream_is_counted_too(client: Anthropic, gauge: AgentGauge) -> None:
    """`create(stream=True)` is the other way to stream."""
    kinds = [event.type for event in client.messages.create(**ASK, stream=True)]
    assert kinds[0] == "message_start"
    assert kinds[-1] == "message_stop"
    assert calls(gauge, "success") == 1


def test_a_stream_left_early_is_finished_once_with_what_was_seen(client: Anthropic, gauge: AgentGauge) -> None:
    """The prompt was billed even if nobody reads the answer."""
    with client.messages.stream(**ASK) as stream:
        next(iter(stream))
    assert (calls(gauge, "success"), calls(gauge, "error")) == (1, 0)
    assert tokens(gauge)["input"] > 0


def test_a_stream_closed_by_hand_is_finished_once(client: Anthropic, gauge: AgentGauge) -> None:
    """close() after exhaustion does not count a second call."""
    stream = client.messages.create(**ASK, stream=True)
    list(stream)
    stream.close()
    assert calls(gauge, "success") == 1


def test_a_stream_that_is_dropped_unread_is_finished(client: Anthropic, gauge: AgentGauge) -> None:
    """Nobody calls close() on a forgotten stream."""
    stream = client.messages.create(**ASK, stream=True)
    next(stream)
    del stream
    gc.collect()
    assert calls(gauge, "success") == 1


def test_a_stream_that_breaks_counts_the_error_and_its_tokens(
    client: Anthropic, gauge: AgentGauge, tmp_path: Path
) -> None:
    """An error event in mid-stream raises in the reader; its prompt is billed all the same."""
    inject(tmp_path, Fault("overloaded"))
    broken = 0
    for _ in range(60):
        try:
            with client.messages.stream(**ASK) as stream:
                stream.get_final_message()
        except anthropic.APIStatusError as error:
            broken += error.status_code == 200
    assert broken
    assert errors(gauge, "overloaded_error") == 60
    assert tokens(gauge)["input"] > 0


@pytest.mark.parametrize(
    ("fault", "raised", "error_type"),
    [
        ("overloaded", anthropic.APIStatusError, "overloaded_error"),
        ("rate-limited", anthropic.RateLimitError, "rate_limit_error"),
        ("provider-error", anthropic.InternalServerError, "api_error"),
    ],
)
def test_provider_errors_keep_their_exception_and_their_code(
    client: Anthropic, gauge: AgentGauge, tmp_path: Path, fault: str, raised: type[Exception], error_type: str
) -> None:
    """The caller gets the SDK's own exception; the label is the provider's code; nothing is billed."""
    inject(tmp_path, Fault(fault))
    with pytest.raises(raised):
        client.messages.create(**ASK)
    assert (calls(gauge, "error"), errors(gauge, error_type), cost(gauge)) == (1, 1, 0)


def test_a_wrong_key_is_counted_by_its_code(gauge: AgentGauge, fake_api: str) -> None:
    """A broken API key is one clear error type, and no key reaches the metrics."""
    with (
        Anthropic(api_key="broken", base_url=fake_api, middleware=[gauge.anthropic()]) as client,
        pytest.raises(anthropic.AuthenticationError),
    ):
        client.messages.create(**ASK)
    assert errors(gauge, "authentication_error") == 1


def test_each_retry_is_an_attempt_of_its_own(gauge: AgentGauge, fake_api: str, tmp_path: Path) -> None:
    """Two failed attempts and a good one are three calls, one of them billed."""
    inject(tmp_path, Fault("provider-error"))
    attempts = 0

    class MendAfterTwo(anthropic.Middleware):
        """Ends the fault before the third attempt."""

        def handle(self, request: Any, call_next: Any) -> Any:
            nonlocal attempts
            attempts += 1
            if attempts == 3:
                clear(tmp_path)
            return call_next(request)

    middleware = [gauge.anthropic(), MendAfterTwo()]
    with Anthropic(api_key="fake-key", base_url=fake_api, max_retries=2, middleware=middleware) as client:
        client.messages.create(**ASK)
    assert (calls(gauge, "error"), calls(gauge, "success")) == (2, 1)


def test_a_refused_connection_is_counted_by_its_class(gauge: AgentGauge) -> None:
    """There is no response to take a code from."""
    with (
        Anthropic(api_key="k", base_url="http://127.0.0.1:9", max_retries=0, middleware=[gauge.anthropic()]) as client,
        pytest.raises(anthropic.APIConnectionError),
    ):
        client.messages.create(**ASK)
    assert errors(gauge, "APIConnectionError") == 1


def test_a_time_out_is_told_from_a_refused_connection(gauge: AgentGauge, fake_api: str, tmp_path: Path) -> None:
    """A provider that hangs is another fault than one that cannot be reached."""
    inject(tmp_path, Fault("slow-model"))
    middleware = [gauge.anthropic()]
    with (
        Anthropic(api_key="fake-key", base_url=fake_api, max_retries=0, timeout=0.2, middleware=middleware) as client,
        pytest.raises(anthropic.APITimeoutError),
    ):
        client.messages.create(**ASK)
    assert errors(gauge, "APITimeoutError") == 1


def test_an_unknown_model_is_unpriced_and_never_free(gauge: AgentGauge, registry: CollectorRegistry) -> None:
    """Its tokens are counted where an alert watches; the model's name does not become a series."""
    gauge.llm_call("gibberish-model").finish(TokenUsage(input=100, output=20))
    labels = {"agent": "a", "model": "other"}
    assert registry.get_sample_value("agent_llm_unpriced_tokens_total", labels) == 120
    assert registry.get_sample_value("agent_llm_cost_usd_total", labels | {"step": "other"}) == 0


def test_the_step_in_force_labels_the_cost(client: Anthropic, gauge: AgentGauge) -> None:
    """Cost by step tells planning from classification."""
    with llm_step("planning"):
        client.messages.create(**ASK)
    assert cost(gauge, "planning") > 0
    assert cost(gauge, "other") == 0


def test_the_cost_of_a_call_belongs_to_its_session(client: Anthropic, gauge: AgentGauge) -> None:
    """What the counters say was spent is what the session says it cost."""
    with gauge.session() as session:
        client.messages.create(**ASK)
        with client.messages.stream(**ASK) as stream:
            stream.until_done()
    assert session.cost_usd == pytest.approx(cost(gauge))


def test_other_endpoints_pass_through_uncounted(client: Anthropic, gauge: AgentGauge) -> None:
    """Counting tokens is no LLM call."""
    with pytest.raises(anthropic.NotFoundError):
        client.messages.count_tokens(model=MODEL, messages=ASK["messages"])
    assert (calls(gauge, "success"), calls(gauge, "error")) == (0, 0)


async def test_the_async_client_counts_plain_calls_and_streams(gauge: AgentGauge, fake_api: str) -> None:
    """The same numbers through the other half of the SDK."""
    async with AsyncAnthropic(api_key="fake-key", base_url=fake_api, middleware=[gauge.anthropic()]) as client:
        plain = await client.messages.create(**ASK)
        async with client.messages.stream(**ASK) as stream:
            streamed = await stream.get_final_message()
        async for _ in await client.messages.create(**ASK, stream=True):
            pass
    assert calls(gauge, "success") == 3
    assert tokens(gauge)["output"] == plain.usage.output_tokens + 2 * streamed.usage.output_tokens


async def test_an_async_stream_left_early_is_finished_once(gauge: AgentGauge, fake_api: str) -> None:
    """Leaving the `async with` closes it."""
    client = AsyncAnthropic(api_key="fake-key", base_url=fake_api, middleware=[gauge.anthropic()])
    async with client, client.messages.stream(**ASK) as stream:
        await anext(aiter(stream))
    assert calls(gauge, "success") == 1


async def test_a_cancelled_async_call_is_counted_and_stays_cancelled(
    gauge: AgentGauge, fake_api: str, tmp_path: Path
) -> None:
    """The user went away while the model was thinking."""
    inject(tmp_path, Fault("slow-model"))
    async with AsyncAnthropic(api_key="fake-key", base_url=fake_api, middleware=[gauge.anthropic()]) as client:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.messages.create(**ASK), timeout=0.3)
    assert errors(gauge, "CancelledError") == 1


def test_a_fault_in_telemetry_leaves_the_answer_alone(client: Anthropic, gauge: AgentGauge) -> None:
    """The call succeeds, the fault is counted."""
    del gauge.prices
    message = client.messages.create(**ASK)
    assert message.content
    labels = {"agent": "a", "site": "llm"}
    assert gauge.registry.get_sample_value("agent_exporter_errors_total", labels) == 1


@pytest.mark.parametrize("take", ["iter_lines", "iter_text", "iter_bytes"])
@pytest.mark.parametrize("stream", [True, False])
def test_a_proxy_that_hands_the_bytes_on_is_counted(
    client: Anthropic, gauge: AgentGauge, take: str, stream: bool
) -> None:
    """It has every byte that it would have without the middleware, and the tokens are those of the plain call."""
    with client.messages.with_streaming_response.create(**CACHED_ASK, stream=stream) as response:
        parts = list(getattr(response, take)())
    assert len(parts) > (5 if stream and take == "iter_lines" else 0)
    assert (calls(gauge, "success"), calls(gauge, "error")) == (1, 0)
    counted = tokens(gauge)
    plain = client.messages.create(**CACHED_ASK).usage
    assert counted["output"] == plain.output_tokens
    assert counted["input"] == plain.input_tokens
    assert counted["cache_write_5m"] == plain.cache_read_input_tokens
    labels = {"agent": "a", "model": MODEL}
    timed = gauge.registry.get_sample_value("agent_llm_time_to_first_token_seconds_count", labels)
    assert timed == (1 if stream else None)


def test_raw_bytes_can_still_be_taken(client: Anthropic, gauge: AgentGauge) -> None:
    """Parsing the answer first would leave none."""
    with client.messages.with_streaming_response.create(**ASK) as response:
        assert b"".join(response.http_response.iter_raw()).startswith(b"{")
    assert calls(gauge, "success") == 1


async def test_an_async_proxy_is_counted_too(gauge: AgentGauge, fake_api: str) -> None:
    """Line by line."""
    async with (
        AsyncAnthropic(api_key="fake-key", base_url=fake_api, middleware=[gauge.anthropic()]) as client,
        client.messages.with_streaming_response.create(**ASK, stream=True) as response,
    ):
        lines = [line async for line in response.iter_lines()]
    assert lines[0] == "event: message_start"
    assert calls(gauge, "success") == 1
    assert tokens(gauge)["output"] > 1


def test_an_error_in_a_stream_that_is_handed_on_is_an_error(
    client: Anthropic, gauge: AgentGauge, tmp_path: Path
) -> None:
    """The SDK does not parse it, so nothing raises."""
    inject(tmp_path, Fault("overloaded"))
    broken = 0
    for _ in range(60):
        with (
            contextlib.suppress(anthropic.APIStatusError),
            client.messages.with_streaming_response.create(**ASK, stream=True) as response,
        ):
            broken += "event: error" in response.iter_lines()
    assert broken
    assert errors(gauge, "overloaded_error") == 60
    assert tokens(gauge)["input"] > 0


def test_what_was_read_of_an_answer_is_estimated(client: Anthropic, gauge: AgentGauge) -> None:
    """Its tokens are reported at the end alone; about four characters are one."""
    read = 0
    with client.messages.stream(**ASK) as stream:
        for event in stream:
            if event.type == "content_block_delta" and event.delta.type == "text_delta":
                read += len(event.delta.text)
                break
    assert read > 20
    assert tokens(gauge)["output"] == read // 4
