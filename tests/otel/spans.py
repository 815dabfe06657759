"""Spans as each convention writes them, for one call of claude-opus-5-5 whose bill is that of ``OPUS_KINDS``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentgauge.otel.reading import FinishedSpan
from tests.frameworks.bills import OPUS

Attributes = dict[str, Any]

PROMPT, READ, WRITTEN, WRITTEN_1H, OUTPUT = 10_500, 6_000, 1_500, 500, 400
"""Of these, 3 000 tokens of the prompt were neither read from the cache nor written to it."""

OLDEST: Attributes = {
    "gen_ai.system": "anthropic",
    "gen_ai.request.model": OPUS,
    "gen_ai.usage.prompt_tokens": PROMPT,
    "gen_ai.usage.completion_tokens": OUTPUT,
}
"""OpenTelemetry's first generation: it knew no cache."""

SECOND: Attributes = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "anthropic",
    "gen_ai.request.model": OPUS,
    "gen_ai.response.model": OPUS,
    "gen_ai.usage.input_tokens": PROMPT,
    "gen_ai.usage.cache_read.input_tokens": READ,
    "gen_ai.usage.cache_creation.input_tokens": WRITTEN,
    "gen_ai.usage.output_tokens": OUTPUT,
}

CURRENT: Attributes = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "anthropic",
    "gen_ai.request.model": OPUS,
    "gen_ai.response.model": OPUS,
    "gen_ai.conversation.id": "c-1",
    "gen_ai.usage.input_tokens": PROMPT,
    "gen_ai.usage.cache_read.input_tokens": READ,
    "gen_ai.usage.cache_write.input_tokens": WRITTEN,
    "anthropic.usage.cache_creation.ephemeral_1h_input_tokens": WRITTEN_1H,
    "gen_ai.usage.output_tokens": OUTPUT,
}
"""As the SDK of Anthropic writes it, which says how long what is written to the cache lasts."""

OPENINFERENCE: Attributes = {
    "openinference.span.kind": "LLM",
    "llm.provider": "anthropic",
    "llm.model_name": OPUS,
    "llm.token_count.prompt": PROMPT,
    "llm.token_count.prompt_details.cache_read": READ,
    "llm.token_count.prompt_details.cache_write": WRITTEN,
    "llm.token_count.completion": OUTPUT,
}

TRACELOOP: Attributes = {
    "llm.request.type": "chat",
    "gen_ai.system": "Anthropic",
    "gen_ai.request.model": OPUS,
    "gen_ai.response.model": OPUS,
    "gen_ai.usage.prompt_tokens": PROMPT,
    "gen_ai.usage.completion_tokens": OUTPUT,
    "llm.usage.total_tokens": PROMPT + OUTPUT,
    "gen_ai.usage.cache_read_input_tokens": READ,
    "gen_ai.usage.cache_creation_input_tokens": WRITTEN,
}

AI_SDK: Attributes = {
    "ai.operationId": "ai.generateText.doGenerate",
    "ai.model.provider": "anthropic.messages",
    "ai.model.id": OPUS,
    "gen_ai.system": "anthropic.messages",
    "gen_ai.request.model": OPUS,
    "ai.response.model": OPUS,
    "ai.usage.inputTokens": PROMPT,
    "ai.usage.inputTokenDetails.noCacheTokens": PROMPT - READ - WRITTEN,
    "ai.usage.inputTokenDetails.cacheReadTokens": READ,
    "ai.usage.inputTokenDetails.cacheWriteTokens": WRITTEN,
    "ai.usage.outputTokens": OUTPUT,
    "gen_ai.usage.input_tokens": PROMPT,
    "gen_ai.usage.output_tokens": OUTPUT,
    "ai.telemetry.metadata.sessionId": "c-1",
}

CLAUDE_CODE: Attributes = {
    "span.type": "llm_request",
    "gen_ai.system": "anthropic",
    "gen_ai.request.model": OPUS,
    "input_tokens": PROMPT - READ - WRITTEN,
    "cache_read_tokens": READ,
    "cache_creation_tokens": WRITTEN,
    "output_tokens": OUTPUT,
    "session.id": "c-1",
}
"""Its input leaves the cache out."""

MILLISECOND = 1_000_000


def span(
    attributes: Mapping[str, Any],
    *,
    id: int = 1,
    parent: int | None = None,
    milliseconds: int = 1500,
    later: int = 0,
    **more: Any,
) -> FinishedSpan:
    """A span of trace 7 that took so long, and began so many milliseconds later than others."""
    began = 1_790_000_000_000_000_000 + later * MILLISECOND
    return FinishedSpan(attributes, began, began + milliseconds * MILLISECOND, trace=7, id=id, parent=parent, **more)
