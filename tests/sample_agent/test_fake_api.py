"""The fake Messages API, driven by the real SDK over HTTP."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import pytest
import requests
from anthropic import Anthropic
from anthropic.types import Message
from prometheus_client import CollectorRegistry

from agentgauge import AgentGauge, metrics
from sample_agent.app import app
from sample_agent.fake_api.app import answer_seconds
from sample_agent.fake_api.usage import MAX_ENTRIES, TTL_SECONDS, PromptCache
from sample_agent.faults import Fault, ModelFault, clear, inject
from sample_agent.sales.tools import SALES_TOOLS

MODEL = "claude-opus-5-5"
SAYS_HELLO: list[Any] = [{"role": "user", "content": "Hello"}]
TOOLS: list[Any] = [tool.definition(app().prompt_library().load().tool_descriptions) for tool in SALES_TOOLS]
LONG_SYSTEM = "You sell workflow software. " * 200  # about 1,400 tokens


@pytest.fixture
def client(fake_api: str) -> Iterator[Anthropic]:
    """An SDK client that does not retry, so that an error is seen at once."""
    with Anthropic(api_key="fake-test", base_url=fake_api, max_retries=0) as client:
        yield client


def ask(client: Anthropic, text: str, **fields: Any) -> Message:
    """Send one user message and return the answer."""
    request = {"model": MODEL, "max_tokens": 1000, "messages": [{"role": "user", "content": text}], **fields}
    message: Message = client.messages.create(**request)
    return message


def cached(ttl: str) -> list[Any]:
    """Return a long system prompt that is to be cached."""
    return [{"type": "text", "text": LONG_SYSTEM, "cache_control": {"type": "ephemeral", "ttl": ttl}}]


def comparable(message: Message) -> dict[str, Any]:
    """Return a message without the ids that differ from call to call."""
    document = message.model_dump(exclude={"id"})
    for block in document["content"]:
        block.pop("id", None)
    return document


def test_a_plain_answer_has_text_and_usage(client: Anthropic) -> None:
    """The shortest call that there is works as with the real service."""
    message = ask(client, "Hello")
    assert message.content[0].type == "text"
    assert message.stop_reason == "end_turn"
    assert message.model == MODEL
    assert message.usage.input_tokens > 0
    assert message.usage.output_tokens > 0
    assert message._request_id is not None
    assert message._request_id.startswith("req_")


def test_tool_uses_arrive_with_ids_and_arguments(client: Anthropic) -> None:
    """Two tools are asked for in one message."""
    message = ask(client, "Tell me about the Globex account", tools=TOOLS)
    uses = [block for block in message.content if block.type == "tool_use"]
    assert message.stop_reason == "tool_use"
    assert [(use.name, use.input) for use in uses] == [
        ("search_crm_contacts", {"accounts": ["Globex"]}),
        ("get_deal_history", {"accounts": ["Globex"]}),
    ]
    assert len({use.id for use in uses}) == 2


@pytest.mark.parametrize(
    "text", ["Hello", "Write a poem, please", "What did Zoë at Größe 🎉 Café write?", "Note for Globex: “ü” 🎉"]
)
def test_a_stream_adds_up_to_the_message_that_is_not_streamed(client: Anthropic, text: str) -> None:
    """Text, tool arguments, stop reason and usage are the same either way."""
    plain = ask(client, text, tools=TOOLS)
    with client.messages.stream(
        model=MODEL, max_tokens=1000, messages=[{"role": "user", "content": text}], tools=TOOLS
    ) as stream:
        streamed = stream.get_final_message()
    assert comparable(streamed) == comparable(plain)


def test_a_stream_has_the_events_of_the_api_in_order(client: Anthropic) -> None:
    """Raw events, as a program sees them that does not use the SDK's accumulation."""
    stream = client.messages.create(
        model=MODEL, max_tokens=1000, messages=[{"role": "user", "content": "Hello"}], stream=True
    )
    kinds = [event.type for event in stream]
    assert kinds[:3] == ["message_start", "content_block_start", "content_block_delta"]  # the SDK hides the ping
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]


def test_an_answer_that_is_too_long_stops_at_max_tokens(client: Anthropic) -> None:
    """The limit of the request holds."""
    message = ask(client, "Write a poem", max_tokens=2)
    assert message.stop_reason == "max_tokens"
    assert message.usage.output_tokens <= 2


def test_the_second_call_reads_the_prompt_cache(client: Anthropic) -> None:
    """First sight writes, second reads; input_tokens holds neither."""
    first = ask(client, "Hello", system=cached("5m")).usage
    second = ask(client, "Thanks", system=cached("5m")).usage
    assert first.cache_creation is not None
    assert first.cache_creation.ephemeral_5m_input_tokens == first.cache_creation_input_tokens
    assert first.cache_creation_input_tokens is not None
    assert first.cache_creation_input_tokens > 1024
    assert first.cache_read_input_tokens == 0
    assert second.cache_creation_input_tokens == 0
    assert second.cache_read_input_tokens == first.cache_creation_input_tokens
    assert second.input_tokens < 50


def test_an_hour_of_cache_is_counted_apart(client: Anthropic) -> None:
    """The two kinds of cache writes have different prices, so they must not be mixed."""
    written = ask(client, "Hello", system=cached("1h")).usage.cache_creation
    assert written is not None
    assert written.ephemeral_1h_input_tokens > 1024
    assert written.ephemeral_5m_input_tokens == 0


def test_another_model_does_not_read_the_cache_of_the_first(client: Anthropic) -> None:
    """A cache belongs to a model."""
    ask(client, "Hello", system=cached("5m"))
    assert ask(client, "Hello", system=cached("5m"), model="claude-haiku-5-5").usage.cache_read_input_tokens == 0


def test_a_short_prompt_is_not_cached(client: Anthropic) -> None:
    """Below the minimum a breakpoint does nothing."""
    system = [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]
    usage = ask(client, "Hello", system=system).usage
    assert usage.cache_creation_input_tokens == usage.cache_read_input_tokens == 0


def request_with(ttl: str, turns: int = 0) -> dict[str, Any]:
    """Return a request as the cache sees it, whose last message is a breakpoint too."""
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": [{"type": "text", "text": f"Question {turn}"}]} for turn in range(turns + 1)
    ]
    messages[-1]["content"][0]["cache_control"] = {"type": "ephemeral"}
    return {"model": MODEL, "system": cached(ttl), "messages": messages}


def test_the_cache_is_kept_by_use_and_forgotten_after_its_time() -> None:
    """Reading restarts the time; after five idle minutes all is written again."""
    now = [0.0]
    cache = PromptCache(lambda: now[0])
    assert cache.account(request_with("5m")).cache_read == 0
    for _ in range(3):
        now[0] += TTL_SECONDS["5m"] - 1
        assert cache.account(request_with("5m")).cache_read > 1024
    now[0] += TTL_SECONDS["5m"] + 1
    assert cache.account(request_with("5m")).cache_read == 0


def test_a_growing_conversation_reads_what_it_wrote_and_writes_what_is_new() -> None:
    """Each turn pays for the new part only, though the breakpoint moved."""
    cache = PromptCache()
    cache.account(request_with("5m"))
    second = cache.account(request_with("5m", turns=1))
    assert second.cache_read > 1024
    assert 0 < second.written_5m < 50
    assert second.uncached == 0


def test_kinds_of_tokens_add_up_to_the_prompt_whatever_is_cached() -> None:
    """No token is billed twice or forgotten."""
    cache = PromptCache()
    totals = set()
    for ttl in ("1h", "1h", "5m"):
        usage = cache.account(request_with(ttl, turns=2))
        totals.add(usage.uncached + usage.cache_read + usage.written_5m + usage.written_1h)
    assert len(totals) == 1


def test_the_cache_does_not_grow_without_bound() -> None:
    """A server that runs for weeks remembers a fixed number of prompts."""
    cache = PromptCache()
    for number in range(MAX_ENTRIES + 50):
        request = request_with("5m")
        request["model"] = f"claude-{number}"
        cache.account(request)
    assert len(cache._entries) == MAX_ENTRIES


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"max_tokens": None}, "max_tokens: Field required"),
        ({"model": None}, "model: Field required"),
        ({"messages": None}, "messages: Field required"),
        ({"messages": []}, "messages: at least one message is required"),
        ({"max_tokens": "many"}, "max_tokens: Input should be a valid integer"),
        ({"max_tokens": 0}, "max_tokens: Input should be greater than or equal to 1"),
        ({"messages": [{"role": "assistant", "content": "Hi"}]}, 'first message must use the "user" role'),
        ({"messages": [{"role": "user", "content": ""}]}, "messages: text content blocks must be non-empty"),
        ({"messages": [{"role": "user", "content": []}]}, "messages.0: all messages must have non-empty content"),
        ({"messages": [{"role": "user", "content": [{"type": "song"}]}]}, "messages.0.content.0: Input tag 'song'"),
        ({"tools": TOOLS, "tool_choice": {"type": "perhaps"}}, "tool_choice: Input tag 'perhaps'"),
        ({"tools": TOOLS, "tool_choice": {"type": "tool", "name": "x"}}, "Tool 'x' not found in provided tools"),
        ({"tool_choice": {"type": "auto"}}, "tool_choice: may only be specified while providing tools"),
        ({"tools": TOOLS + TOOLS}, "tools: Tool names must be unique"),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "x"}]}
                ]
            },
            "messages.0.content.0: unexpected `tool_use_id` found in `tool_result` blocks: toolu_1",
        ),
        (
            {
                "messages": [
                    {"role": "user", "content": "Hi"},
                    {
                        "role": "assistant",
                        "content": [{"type": "tool_use", "id": "toolu_1", "name": "x", "input": {}}],
                    },
                    {"role": "user", "content": "And?"},
                ]
            },
            "messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: toolu_1",
        ),
        ({"system": cached("5m") * 5}, "A maximum of 4 blocks with cache_control may be provided. Found 5."),
        ({"system": cached("2h")}, "system.0.cache_control.ttl: Input should be '5m' or '1h'"),
    ],
)
def test_a_request_that_does_not_fit_is_refused_in_the_words_of_the_api(
    fake_api: str, change: dict[str, Any], message: str
) -> None:
    """The body, the header and the text are what a program or a person gets from the real service."""
    request = {"model": MODEL, "max_tokens": 10, "messages": [{"role": "user", "content": "Hi"}], **change}
    response = requests.post(
        f"{fake_api}/v1/messages",
        json={key: value for key, value in request.items() if value is not None},
        headers={"x-api-key": "fake-test", "anthropic-version": "2023-06-01"},
        timeout=10,
    )
    body = response.json()
    assert response.status_code == 400
    assert body["type"] == "error"
    assert body["error"]["type"] == "invalid_request_error"
    assert message in body["error"]["message"]
    assert body["request_id"] == response.headers["request-id"]


@pytest.mark.parametrize("body", [b"{", b"", b"\xff", b"[]"])
def test_a_body_that_is_no_request_is_refused(fake_api: str, body: bytes) -> None:
    """Malformed JSON is a 400, not a crash."""
    headers = {"x-api-key": "fake-test", "anthropic-version": "2023-06-01", "content-type": "application/json"}
    response = requests.post(f"{fake_api}/v1/messages", data=body, headers=headers, timeout=10)
    assert response.status_code == 400
    assert response.json()["error"]["type"] == "invalid_request_error"


def test_a_wrong_key_is_an_authentication_error(fake_api: str) -> None:
    """A real key that went to the wrong place is refused as well."""
    with (
        Anthropic(api_key="sk-ant-real", base_url=fake_api) as client,
        pytest.raises(anthropic.AuthenticationError, match="invalid x-api-key"),
    ):
        ask(client, "Hello")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"x-api-key": "fake-1"}, 200),
        ({"authorization": "Bearer fake-1"}, 200),
        ({"x-api-key": "sk-1"}, 401),
        ({"authorization": "Bearer sk-1"}, 401),
        ({}, 401),
    ],
)
def test_the_key_may_come_in_either_header(fake_api: str, headers: dict[str, str], status: int) -> None:
    """Old and new clients send it in different places."""
    request = {"model": MODEL, "max_tokens": 10, "messages": [{"role": "user", "content": "Hi"}]}
    headers = {"anthropic-version": "2023-06-01", **headers}
    assert requests.post(f"{fake_api}/v1/messages", json=request, headers=headers, timeout=10).status_code == status


def test_an_unknown_model_is_not_found(client: Anthropic) -> None:
    """The message names it."""
    with pytest.raises(anthropic.NotFoundError, match="model: claude-nonsense"):
        ask(client, "Hello", model="claude-nonsense")


def test_a_dated_variant_of_a_known_model_is_known(client: Anthropic) -> None:
    """Snapshots that the SDK does not list exist too."""
    assert ask(client, "Hello", model="claude-opus-5-5-20991231").model == "claude-opus-5-5-20991231"


@pytest.mark.parametrize(
    ("fault", "error", "error_type"),
    [
        ("rate-limited", anthropic.RateLimitError, "rate_limit_error"),
        ("provider-error", anthropic.InternalServerError, "api_error"),
    ],
)
def test_a_provider_fault_is_the_error_of_the_sdk(
    client: Anthropic, tmp_path: Path, fault: str, error: type[anthropic.APIStatusError], error_type: str
) -> None:
    """While the fault is in force calls fail, and after it they work."""
    inject(tmp_path, Fault(fault))
    with pytest.raises(error) as caught:
        ask(client, "Hello")
    assert caught.value.body == {
        "type": "error",
        "error": {"type": error_type, "message": caught.value.body["error"]["message"]},  # type: ignore[index] # untyped
        "request_id": caught.value.request_id,
    }
    assert (caught.value.response.headers.get("retry-after") is not None) is (fault == "rate-limited")
    clear(tmp_path)
    assert ask(client, "Hello")


def test_an_overloaded_provider_is_retried_until_it_answers(fake_api: str, tmp_path: Path) -> None:
    """The SDK comes back after a 529 and gets its answer once the fault is over."""
    inject(tmp_path, Fault("overloaded"))
    statuses = []

    def heal(request: Any, call_next: Any) -> Any:
        response = call_next(request)
        statuses.append(response.status_code)
        clear(tmp_path)
        return response

    with Anthropic(api_key="fake-test", base_url=fake_api, max_retries=2, middleware=[heal]) as client:
        assert ask(client, "Hello")
    assert statuses == [529, 200]


def test_a_cold_cache_writes_each_prompt_anew_and_reads_nothing(client: Anthropic, tmp_path: Path) -> None:
    """While the fault is in force; what was cached before is there again after it."""
    ask(client, "Hello", system=cached("5m"))
    inject(tmp_path, Fault("cold-cache"))
    usages = [ask(client, "Hello", system=cached("5m")).usage for _ in range(2)]
    assert [usage.cache_read_input_tokens for usage in usages] == [0, 0]
    assert all(usage.cache_creation_input_tokens for usage in usages)
    clear(tmp_path)
    assert ask(client, "Hello", system=cached("5m")).usage.cache_read_input_tokens


@pytest.mark.parametrize("streaming", [False, True])
def test_lost_usage_is_a_call_of_unknown_usage(fake_api: str, tmp_path: Path, streaming: bool) -> None:
    """The answer is there, streamed or not; its tokens are not, and the library says so."""
    inject(tmp_path, Fault("usage-lost"))
    registry = CollectorRegistry()
    middleware = AgentGauge("a", registry=registry).anthropic()
    with Anthropic(api_key="fake-test", base_url=fake_api, middleware=[middleware]) as client:
        if streaming:
            with client.messages.stream(model=MODEL, max_tokens=100, messages=SAYS_HELLO) as stream:
                content: list[Any] = stream.get_final_message().content
        else:
            content = list(ask(client, "Hello").content)
    assert content
    labels = {"agent": "a", "model": MODEL}
    assert registry.get_sample_value(str(metrics.LLM_USAGE_UNKNOWN), labels) == 1
    assert registry.get_sample_value(str(metrics.LLM_TOKENS), labels | {"kind": "input"}) == 0


def test_a_choosy_model_declines_every_fifth_request_and_no_part_of_another(client: Anthropic, tmp_path: Path) -> None:
    """Calls without tools, as for a classification, are left alone and not counted."""
    inject(tmp_path, Fault("choosy"))
    declined = []
    for _ in range(10):
        ask(client, "Hello")
        declined.append(ask(client, "Tell me about the Globex account", tools=TOOLS).stop_reason == "end_turn")
    assert declined == [True, False, False, False, False] * 2


def test_some_streams_of_an_overloaded_provider_break_off(client: Anthropic, tmp_path: Path) -> None:
    """Most are refused with 529, some begin and end in an error event; no stream gets through."""
    inject(tmp_path, Fault("overloaded"))
    statuses = []
    for _ in range(40):
        with (
            pytest.raises(anthropic.APIStatusError, match="overloaded_error") as caught,
            client.messages.stream(
                model=MODEL, max_tokens=100, messages=[{"role": "user", "content": "Hello"}]
            ) as stream,
        ):
            stream.until_done()
        statuses.append(caught.value.status_code)
    assert statuses.count(529) > statuses.count(200) > 0
    assert set(statuses) == {200, 529}


def test_an_answer_takes_its_usual_time_scaled_or_that_of_a_slow_model() -> None:
    """Scaled to nothing it comes at once; a slow model stays slow."""
    rng = random.Random(1)  # noqa: S311 - a seed makes it repeatable
    usual = [answer_seconds(ModelFault(), 1.0, rng) for _ in range(200)]
    assert min(usual) >= 0.15
    assert max(usual) <= 0.9
    assert answer_seconds(ModelFault(), 0.0, rng) == 0
    assert answer_seconds(ModelFault(slow_seconds=12.0), 0.0, rng) == 12.0


def test_paths_that_the_server_does_not_have_are_errors_of_the_api(fake_api: str) -> None:
    """Also what nobody planned has the API's shape."""
    missing = requests.get(f"{fake_api}/v2", timeout=10)
    method = requests.get(f"{fake_api}/v1/messages", timeout=10)
    assert (missing.status_code, missing.json()["error"]["type"]) == (404, "not_found_error")
    assert (method.status_code, method.json()["error"]["type"]) == (405, "invalid_request_error")
    assert requests.get(f"{fake_api}/health", timeout=10).json() == {"status": "ok"}
