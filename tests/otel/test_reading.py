"""What a span is read as: the same call in every spelling, and nothing that is not a count or a name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from agentgauge import TokenUsage
from agentgauge.otel import spellings
from agentgauge.otel.reading import AgentRun, ModelCall, Owner, ToolRun, owner_of, read
from tests.frameworks.bills import OPUS
from tests.otel import spans
from tests.otel.spans import OUTPUT, PROMPT, READ, WRITTEN, WRITTEN_1H, Attributes, span

UNCACHED = PROMPT - READ - WRITTEN
WHOLE = TokenUsage(input=UNCACHED, cache_read=READ, cache_write_5m=WRITTEN, output=OUTPUT)


def call(attributes: Mapping[str, Any], **more: Any) -> ModelCall:
    """The model call that a span stands for."""
    said = read(span(attributes, **more))
    assert isinstance(said, ModelCall)
    return said


@pytest.mark.parametrize(
    ("attributes", "usage"),
    [
        (spans.OLDEST, TokenUsage(input=PROMPT, output=OUTPUT)),
        (spans.SECOND, WHOLE),
        (
            spans.CURRENT,
            TokenUsage(UNCACHED, READ, cache_write_5m=WRITTEN - WRITTEN_1H, cache_write_1h=WRITTEN_1H, output=OUTPUT),
        ),
        (spans.OPENINFERENCE, WHOLE),
        (spans.TRACELOOP, WHOLE),
        (spans.AI_SDK, WHOLE),
        (spans.CLAUDE_CODE, WHOLE),
        (spans.OLDEST | {"span.type": "web"}, TokenUsage(input=PROMPT, output=OUTPUT)),
    ],
    ids=["oldest", "second", "current", "openinference", "traceloop", "ai-sdk", "claude-code", "another span.type"],
)
def test_every_spelling_of_a_call_is_read_in_disjoint_kinds(attributes: Attributes, usage: TokenUsage) -> None:
    """Every convention counts what is cached within the prompt; it is taken out of it."""
    said = call(attributes)
    assert (said.asked, said.usage, said.error_type) == (OPUS, usage, None)
    assert said.provider is not None
    assert said.provider.lower().startswith("anthropic")


@pytest.mark.parametrize(
    ("attributes", "more"),
    [
        # More was read than the prompt has: it cannot be part of it.
        (spans.SECOND | {"gen_ai.usage.input_tokens": UNCACHED}, {}),
        # Traceloop's instrumentation of Bedrock hands on what Bedrock reports.
        (
            spans.SECOND | {"gen_ai.usage.input_tokens": 9_000, "gen_ai.provider.name": "aws.bedrock"},
            {"scope": "opentelemetry.instrumentation.bedrock"},
        ),
        # The AI SDK before version 6, which says no more than this of Anthropic's cache.
        (
            {
                "ai.operationId": "ai.streamText.doStream",
                "ai.model.provider": "anthropic.messages",
                "ai.model.id": OPUS,
                "ai.usage.inputTokens": 9_000,
                "ai.usage.cachedInputTokens": READ,
                "ai.usage.outputTokens": OUTPUT,
            },
            {},
        ),
    ],
    ids=["more than the prompt", "bedrock", "ai-sdk 5"],
)
def test_where_the_prompt_leaves_the_cache_out_nothing_is_taken_from_it(
    attributes: Attributes, more: dict[str, str]
) -> None:
    """So that tokens are not lost."""
    usage = call(attributes, **more).usage
    assert usage is not None
    assert usage.input == (attributes.get("gen_ai.usage.input_tokens") or attributes.get("ai.usage.inputTokens"))
    assert usage.cache_read == READ


def test_the_ai_sdk_counts_the_cache_of_others_within_the_prompt() -> None:
    """OpenAI's own numbers do."""
    attributes = {
        "ai.operationId": "ai.generateText.doGenerate",
        "ai.model.provider": "openai.responses",
        "ai.model.id": "gpt-6-sol",
        "ai.usage.inputTokens": 10_000,
        "ai.usage.cachedInputTokens": 6_000,
    }
    assert call(attributes).usage == TokenUsage(input=4_000, cache_read=6_000)


@pytest.mark.parametrize(
    "attributes",
    [
        {"gen_ai.operation.name": "embeddings", "gen_ai.request.model": "m", "gen_ai.usage.input_tokens": 5},
        {"llm.request.type": "embedding", "gen_ai.system": "OpenAI", "gen_ai.request.model": "m"},
        {"openinference.span.kind": "CHAIN", "llm.token_count.prompt": 5},
        {"openinference.span.kind": "RETRIEVER"},
        {"ai.operationId": "ai.embed.doEmbed", "gen_ai.system": "openai", "gen_ai.request.model": "m"},
        {"traceloop.span.kind": "task", "traceloop.entity.name": "node"},
        {"http.request.method": "POST"},
        {},
    ],
    ids=str,
)
def test_what_is_nothing_that_is_counted_is_read_as_nothing(attributes: Attributes) -> None:
    """Embeddings are not, with the adapters either, nor are the steps of a run."""
    assert read(span(attributes, parent=2)) is None


@pytest.mark.parametrize(
    "attributes",
    [
        {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "find_order"},
        {"openinference.span.kind": "TOOL", "tool.name": "find_order"},
        {"traceloop.span.kind": "tool", "traceloop.entity.name": "find_order"},
        {"ai.operationId": "ai.toolCall", "ai.toolCall.name": "find_order"},
    ],
    ids=["opentelemetry", "openinference", "traceloop", "ai-sdk"],
)
def test_every_spelling_of_a_tool_is_read(attributes: Attributes) -> None:
    """With what made it fail."""
    assert read(span(attributes)) == ToolRun("find_order", None)
    failed = span(attributes, failed=True, exception="crm.errors.NotThere")
    assert read(failed) == ToolRun("find_order", "NotThere")


@pytest.mark.parametrize(
    "attributes",
    [
        {"gen_ai.operation.name": "invoke_agent", "gen_ai.usage.input_tokens": 5},
        {"openinference.span.kind": "AGENT"},
        {"traceloop.span.kind": "workflow"},
        spans.AI_SDK | {"ai.operationId": "ai.generateText"},
    ],
    ids=["opentelemetry", "openinference", "traceloop", "ai-sdk"],
)
def test_the_run_of_an_agent_repeats_the_numbers_of_its_calls_and_is_none(attributes: Attributes) -> None:
    """What it says of tokens is the sum of its calls."""
    assert read(span(attributes)) == AgentRun(failed=False)
    assert read(span(attributes, failed=True)) == AgentRun(failed=True)


@pytest.mark.parametrize("kind", ["AGENT", "CHAIN"])
def test_only_the_outermost_step_is_a_run(kind: str) -> None:
    """A framework writes a span for each step; where nobody knows what is around one, a chain has to be a root."""
    step = {"openinference.span.kind": kind}
    assert read(span(step, parent=2, enclosed=False)) == AgentRun(failed=False)
    assert read(span(step, parent=2, enclosed=True)) is None
    assert read(span(step)) == AgentRun(failed=False)
    assert read(span(step, parent=2)) == (AgentRun(failed=False) if kind == "AGENT" else None)


@pytest.mark.parametrize(
    ("attributes", "more", "error_type"),
    [
        ({"error.type": "rate_limit_error"}, {"failed": True}, "rate_limit_error"),
        ({"error.type": "openai.RateLimitError"}, {}, "RateLimitError"),
        ({"error.type": "529"}, {"failed": True}, "http_529"),
        ({}, {"failed": True, "exception": "anthropic.RateLimitError"}, "RateLimitError"),
        ({}, {"failed": True}, "error"),
        ({"error.type": "It went wrong, Ms Miller!"}, {"failed": True}, "error"),
        ({}, {"exception": "ValueError"}, None),  # an exception that was caught
    ],
)
def test_a_failure_has_a_type_that_is_no_text(
    attributes: Attributes, more: dict[str, Any], error_type: str | None
) -> None:
    """What could quote somebody becomes ``error``."""
    assert call(spans.CURRENT | attributes, **more).error_type == error_type


def test_a_call_that_tells_no_tokens_has_no_usage() -> None:
    """Which is not none."""
    told = {name: value for name, value in spans.CURRENT.items() if "usage" not in name}
    assert call(told).usage is None
    assert call(told | {"gen_ai.usage.output_tokens": 3}).usage == TokenUsage(output=3)


@pytest.mark.parametrize("value", ["400", -1, True, None, [400], float("inf"), float("nan")])
def test_a_count_that_is_none_is_not_taken(value: object) -> None:
    """Whatever somebody put there."""
    usage = call(spans.CURRENT | {"gen_ai.usage.output_tokens": value}).usage
    assert usage is not None
    assert usage.output == 0


@pytest.mark.parametrize(
    ("told", "provider"),
    [
        ("anthropic", "anthropic"),
        ("groq.chat", "groq"),
        ("az.ai.openai", "azure"),
        ("google.vertex.anthropic.messages", "vertex_ai"),
        ("gateway", None),
    ],
)
def test_a_provider_has_the_name_that_the_price_list_knows(told: str, provider: str | None) -> None:
    """Where it says who serves a model at all."""
    assert call(spans.CURRENT | {"gen_ai.provider.name": told}).provider == provider


@pytest.mark.parametrize(
    ("attributes", "events", "seconds"),
    [
        ({"gen_ai.response.time_to_first_chunk": 0.25}, {}, 0.25),
        (spans.AI_SDK | {"ai.response.msToFirstChunk": 250}, {}, 0.25),
        (spans.OPENINFERENCE, {"First Token Stream Event": 1_790_000_000_250_000_000}, 0.25),
        ({}, {}, None),
    ],
    ids=["opentelemetry", "ai-sdk", "openinference", "none"],
)
def test_the_time_to_the_first_token(attributes: Attributes, events: dict[str, int], seconds: float | None) -> None:
    """In seconds, in milliseconds, and as an event."""
    said = call(
        attributes if "llm.provider" in attributes or "ai.model.id" in attributes else spans.CURRENT | attributes,
        events=events,
    )
    assert said.first_token_seconds == seconds


@pytest.mark.parametrize(
    ("attributes", "owner"),
    [
        (spans.CURRENT | {"user.id": "u", "gen_ai.agent.name": "seller"}, Owner("c-1", "u", "seller")),
        (spans.OPENINFERENCE | {"session.id": "c-1", "user.id": "u"}, Owner("c-1", "u", None)),
        (spans.TRACELOOP | {"traceloop.association.properties.session_id": "c-1"}, Owner("c-1", None, None)),
        (spans.AI_SDK | {"ai.telemetry.functionId": "seller"}, Owner("c-1", None, "seller")),
        ({"session.id": "c-1"}, Owner("c-1", None, None)),
        ({"gen_ai.conversation.id": ""}, Owner(None, None, None)),
    ],
    ids=["opentelemetry", "openinference", "traceloop", "ai-sdk", "another span", "empty"],
)
def test_whose_a_span_is(attributes: Attributes, owner: Owner) -> None:
    """Conversation, user and agent, as far as it says so."""
    assert owner_of(attributes) == owner


class _OnlyNamed(Mapping[str, Any]):
    """Attributes that let nobody read another name than those of the tables."""

    def __init__(self, attributes: Mapping[str, Any]) -> None:
        self._attributes = attributes

    def __getitem__(self, name: str) -> Any:
        assert name in spellings.ATTRIBUTES, f"{name} was read"
        return self._attributes[name]

    def __iter__(self) -> Iterator[str]:
        raise AssertionError("the attributes were listed")

    def __len__(self) -> int:
        return len(self._attributes)


@pytest.mark.parametrize(
    "attributes", [spans.OLDEST, spans.CURRENT, spans.OPENINFERENCE, spans.TRACELOOP, spans.AI_SDK, spans.CLAUDE_CODE]
)
def test_no_text_is_read(attributes: Attributes) -> None:
    """Only the names of the tables are asked for, and none of those holds one."""
    said = span(_OnlyNamed(attributes | {"gen_ai.input.messages": "secret", "input.value": "secret"}))
    assert isinstance(read(said), ModelCall)
    owner_of(said.attributes)
    texts = ("messages", "instructions", "value", "prompt.", "completion.", "arguments", "result", "content")
    assert not [name for name in spellings.ATTRIBUTES if name.endswith(texts)]
