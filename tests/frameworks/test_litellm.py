"""LiteLLM: calls of several providers, each figure against one worked out by hand."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from typing import Any

import litellm
import pytest
from litellm.exceptions import InternalServerError, NotFoundError, RateLimitError
from litellm.integrations.custom_logger import CustomLogger

from agentgauge import AgentGauge
from agentgauge.adapters.litellm import callback
from tests.frameworks.bills import (
    CHAT_USAGE,
    OPUS,
    OPUS_KINDS,
    OPUS_USAGE,
    OPUS_USD,
    RESPONSE_USAGE,
    SOL,
    SOL_KINDS,
    SOL_USD,
    check,
)
from tests.frameworks.figures import shown, total
from tests.frameworks.provider import Provider

# LiteLLM's own types and clients warn when they are first used.
pytestmark = [pytest.mark.filterwarnings(f"ignore::{kind}") for kind in ("UserWarning", "DeprecationWarning")]

SAYS: dict[str, Any] = {"messages": [{"role": "user", "content": "When does Globex renew?"}], "api_key": "k"}
WITH_USAGE: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}


class Told(CustomLogger):
    """LiteLLM tells of calls on threads and tasks of its own; this hears of each after the adapter did."""

    def __init__(self) -> None:
        super().__init__()
        self._calls = threading.Semaphore(0)

    def log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        """Of a sync call."""
        self._calls.release()

    async def async_log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        """Of an async call."""
        self._calls.release()

    def of(self, calls: int) -> None:
        """Wait for so many successful calls."""
        for _ in range(calls):
            assert self._calls.acquire(timeout=20), "LiteLLM did not tell within 20 s"


@pytest.fixture(autouse=True)
def told(gauge: AgentGauge, monkeypatch: pytest.MonkeyPatch) -> Iterator[Told]:
    """The callbacks are the process's."""
    last = Told()
    monkeypatch.setattr(litellm, "callbacks", [callback(gauge), last])
    yield last
    for kept in (
        litellm.success_callback,
        litellm.failure_callback,
        litellm.input_callback,
        litellm._async_success_callback,
        litellm._async_failure_callback,
    ):
        kept.clear()


@pytest.mark.parametrize("stream", [{}, WITH_USAGE], ids=["plain", "stream"])
def test_openai(gauge: AgentGauge, told: Told, url: str, provider: Provider, stream: dict[str, Any]) -> None:
    """Chat completions."""
    provider.usage = CHAT_USAGE
    answer = litellm.completion(f"openai/{SOL}", api_base=f"{url}/v1", **SAYS, **stream)
    if stream:
        list(answer)
    told.of(1)
    check(gauge.registry, SOL_KINDS, SOL_USD)
    assert total(gauge.registry, "agent_llm_time_to_first_token_seconds_count") == bool(stream)


def test_the_responses_of_openai(gauge: AgentGauge, told: Told, url: str, provider: Provider) -> None:
    """The other API."""
    provider.usage = RESPONSE_USAGE
    litellm.responses("When?", f"openai/{SOL}", api_base=f"{url}/v1", api_key="k")
    told.of(1)
    check(gauge.registry, SOL_KINDS, SOL_USD)


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_anthropic(gauge: AgentGauge, told: Told, url: str, provider: Provider, stream: bool) -> None:
    """What is written to the cache is written once, for each of its two lifetimes."""
    provider.usage = OPUS_USAGE
    answer = litellm.completion(f"anthropic/{OPUS}", api_base=url, stream=stream, **SAYS)
    if stream:
        list(answer)
    told.of(1)
    check(gauge.registry, OPUS_KINDS, OPUS_USD)


async def test_the_async_functions_count_the_same(gauge: AgentGauge, told: Told, url: str, provider: Provider) -> None:
    """LiteLLM tells of them on a task."""
    provider.usage = CHAT_USAGE
    await litellm.acompletion(f"openai/{SOL}", api_base=f"{url}/v1", **SAYS)
    async for _ in await litellm.acompletion(f"openai/{SOL}", api_base=f"{url}/v1", **SAYS, **WITH_USAGE):
        pass
    await asyncio.to_thread(told.of, 2)
    check(gauge.registry, SOL_KINDS, SOL_USD, calls=2)


@pytest.mark.parametrize(
    ("model", "answered", "label"),
    [
        ("groq/llama-3.3-70b-versatile", "llama-3.3-70b-versatile", "llama-3.3-70b-versatile"),
        ("openrouter/anthropic/claude-sonnet-4.5", "anthropic/claude-sonnet-4.5", "anthropic/claude-sonnet-4.5"),
        ("azure/chat-prod", "gpt-4o-2024-08-06", "gpt-4o"),
    ],
)
def test_a_model_is_priced_at_its_provider(
    gauge: AgentGauge, told: Told, url: str, provider: Provider, model: str, answered: str, label: str
) -> None:
    """LiteLLM's names begin with it."""
    provider.usage, provider.model = CHAT_USAGE, answered
    options = {"api_version": "2025-01-01"} if model.startswith("azure") else {}
    litellm.completion(model, api_base=url if options else f"{url}/v1", **SAYS, **options)
    told.of(1)
    assert set(shown(gauge.registry, "agent_llm_cost_usd_total")) == {(label, "other")}


def test_an_error_is_named_as_providers_name_it(gauge: AgentGauge, told: Told, url: str, provider: Provider) -> None:
    """AgentModelGone watches not_found_error."""
    provider.failures = [404, 429, 500]
    for kind in (NotFoundError, RateLimitError, InternalServerError):
        with pytest.raises(kind):
            litellm.completion(f"anthropic/{OPUS}", api_base=url, **SAYS)
    assert shown(gauge.registry, "agent_llm_errors_total") == {
        (OPUS, "not_found_error"): 1,
        (OPUS, "rate_limit_error"): 1,
        (OPUS, "InternalServerError"): 1,
    }


def test_a_call_belongs_to_the_session_in_which_it_was_made(
    gauge: AgentGauge, told: Told, url: str, provider: Provider
) -> None:
    """Though LiteLLM tells of it on another thread."""
    provider.usage = CHAT_USAGE
    with gauge.session() as session, session.task() as task:
        litellm.completion(f"openai/{SOL}", api_base=f"{url}/v1", **SAYS)
        told.of(1)
        assert session.cost_usd == pytest.approx(SOL_USD)
        assert task.model_turns == 1


def test_the_time_is_that_of_the_call(gauge: AgentGauge, told: Told, url: str, provider: Provider) -> None:
    """Not the time until LiteLLM tells of it."""
    provider.usage, provider.thinks_seconds = CHAT_USAGE, 0.3
    began = time.monotonic()
    litellm.completion(f"openai/{SOL}", api_base=f"{url}/v1", **SAYS)
    took = time.monotonic() - began
    told.of(1)
    assert 0.3 <= total(gauge.registry, "agent_llm_duration_seconds_sum") <= took
