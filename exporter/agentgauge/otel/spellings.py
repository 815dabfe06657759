"""What conventions call the same thing on a span: a table each, read by ``reading``.

Where several names stand for one thing, the newest comes first, and the first that a span has counts. No attribute that
is not named here is ever read, and none that is named holds a text of a user or of a model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from agentgauge.pricing import Terms

Names = tuple[str, ...]


@dataclass(frozen=True)
class Spelling:
    """The names of one convention.

    ``kind`` is the attribute that says what a span is; ``model_calls``, ``tools`` and ``agents`` are its values for
    those, and ``chains`` for steps that are the run of an agent where nothing is around them. ``prompt`` counts the
    tokens of the whole prompt, cached ones included, and ``uncached`` those that were not. ``written`` are all tokens
    that were written to the cache, ``written_1h`` those of them that last an hour. ``also_prompt`` and ``also_output``
    are the tokens of what was inferred besides, as to compact the context. ``response`` is the provider's id of its
    answer. The times to the first token are in seconds, in milliseconds, and the name of an event.
    """

    kind: str
    model_calls: Names
    tools: Names
    agents: Names
    asked: Names
    answered: Names
    provider: Names
    prompt: Names
    output: Names
    tool: Names
    conversation: Names
    chains: Names = ()
    response: Names = ()
    uncached: Names = ()
    read: Names = ()
    written: Names = ()
    written_1h: Names = ()
    audio_prompt: Names = ()
    audio_output: Names = ()
    also_prompt: Names = ()
    also_output: Names = ()
    tier: Names = ()
    user: Names = ()
    agent: Names = ()
    first_token_seconds: Names = ()
    first_token_milliseconds: Names = ()
    first_token_event: Names = ()


OPENTELEMETRY = Spelling(
    kind="gen_ai.operation.name",
    model_calls=("chat", "text_completion", "generate_content"),
    tools=("execute_tool",),
    agents=("invoke_agent",),
    asked=("gen_ai.request.model",),
    answered=("gen_ai.response.model",),
    provider=("gen_ai.provider.name", "gen_ai.system"),
    prompt=("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens"),
    read=("gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_read_input_tokens"),
    written=(
        "gen_ai.usage.cache_write.input_tokens",
        "gen_ai.usage.cache_creation.input_tokens",
        "gen_ai.usage.cache_creation_input_tokens",
    ),
    written_1h=("anthropic.usage.cache_creation.ephemeral_1h_input_tokens",),
    output=("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens"),
    audio_prompt=("gen_ai.usage.audio.input_tokens", "gen_ai.usage.details.input_audio_tokens"),
    audio_output=("gen_ai.usage.audio.output_tokens", "gen_ai.usage.details.output_audio_tokens"),
    also_prompt=("anthropic.usage.compaction.input_tokens",),
    also_output=("anthropic.usage.compaction.output_tokens",),
    tier=("openai.response.service_tier", "gen_ai.openai.response.service_tier"),
    tool=("gen_ai.tool.name",),
    response=("gen_ai.response.id",),
    conversation=("gen_ai.conversation.id", "session.id"),
    user=("user.id", "enduser.id"),
    agent=("gen_ai.agent.name",),
    first_token_seconds=("gen_ai.response.time_to_first_chunk", "gen_ai.server.time_to_first_token"),
)
"""OpenTelemetry's own, in three generations."""

AI_SDK = Spelling(
    kind="ai.operationId",
    # The span around each of these repeats its numbers, added up: it is the run of the agent.
    model_calls=(
        "ai.generateText.doGenerate",
        "ai.streamText.doStream",
        "ai.generateObject.doGenerate",
        "ai.streamObject.doStream",
    ),
    tools=("ai.toolCall",),
    agents=("ai.generateText", "ai.streamText", "ai.generateObject", "ai.streamObject"),
    asked=("gen_ai.request.model", "ai.model.id"),
    answered=("gen_ai.response.model", "ai.response.model"),
    provider=("ai.model.provider", "gen_ai.system"),
    prompt=("ai.usage.inputTokens", "ai.usage.promptTokens", "gen_ai.usage.input_tokens"),
    uncached=("ai.usage.inputTokenDetails.noCacheTokens",),
    read=("ai.usage.inputTokenDetails.cacheReadTokens", "ai.usage.cachedInputTokens"),
    written=("ai.usage.inputTokenDetails.cacheWriteTokens",),
    output=("ai.usage.outputTokens", "ai.usage.completionTokens", "gen_ai.usage.output_tokens"),
    tool=("ai.toolCall.name",),
    response=("gen_ai.response.id", "ai.response.id"),
    conversation=(
        "gen_ai.conversation.id",
        "ai.telemetry.metadata.conversationId",
        "ai.telemetry.metadata.sessionId",
        "ai.telemetry.metadata.threadId",
        "ai.telemetry.metadata.chatId",
    ),
    user=("ai.telemetry.metadata.userId",),
    agent=("ai.telemetry.functionId",),
    first_token_milliseconds=("ai.response.msToFirstChunk", "ai.stream.msToFirstChunk"),
)
"""The AI SDK of Vercel."""

OPENINFERENCE = Spelling(
    kind="openinference.span.kind",
    model_calls=("LLM",),
    tools=("TOOL",),
    agents=("AGENT",),
    chains=("CHAIN",),
    asked=("llm.request.model_name", "llm.model_name"),
    answered=("llm.response.model_name", "llm.model_name"),
    provider=("llm.provider", "llm.system"),
    prompt=("llm.token_count.prompt",),
    read=("llm.token_count.prompt_details.cache_read",),
    written=("llm.token_count.prompt_details.cache_write",),
    output=("llm.token_count.completion",),
    audio_prompt=("llm.token_count.prompt_details.audio",),
    audio_output=("llm.token_count.completion_details.audio",),
    tool=("tool.name",),
    conversation=("session.id",),
    user=("user.id",),
    agent=("agent.name",),
    first_token_event=("First Token Stream Event",),
)
"""OpenInference, of Arize Phoenix."""

TRACELOOP_CALLS = Spelling(
    kind="llm.request.type",
    model_calls=("chat", "completion"),
    tools=(),
    agents=(),
    asked=("gen_ai.request.model", "llm.request.model"),
    answered=("gen_ai.response.model", "llm.response.model"),
    provider=("gen_ai.provider.name", "gen_ai.system", "llm.vendor"),
    prompt=("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.usage.prompt_tokens"),
    read=OPENTELEMETRY.read,
    written=OPENTELEMETRY.written,
    output=("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "llm.usage.completion_tokens"),
    tool=(),
    conversation=("gen_ai.conversation.id", "traceloop.association.properties.session_id"),
    user=("traceloop.association.properties.user_id",),
)
"""Traceloop's OpenLLMetry: its model calls, before it took over OpenTelemetry's names."""

TRACELOOP_STEPS = Spelling(
    kind="traceloop.span.kind",
    model_calls=(),
    tools=("tool",),
    agents=("workflow",),  # its agents are steps of one
    asked=(),
    answered=(),
    provider=(),
    prompt=(),
    output=(),
    tool=("gen_ai.tool.name", "traceloop.entity.name"),
    conversation=("gen_ai.conversation.id", "traceloop.association.properties.session_id"),
    user=("traceloop.association.properties.user_id",),
    agent=("gen_ai.agent.name", "traceloop.entity.name"),
)
"""The steps around them, which it has its own names for to this day."""

CLAUDE_CODE = Spelling(
    kind="span.type",
    model_calls=("llm_request",),
    tools=("tool",),
    agents=("interaction",),
    asked=("gen_ai.request.model", "model"),
    answered=(),
    provider=("gen_ai.system",),
    prompt=(),
    uncached=("input_tokens",),
    read=("cache_read_tokens",),
    written=("cache_creation_tokens",),
    output=("output_tokens",),
    tool=("tool_name", "tool_name_safe"),
    conversation=("session.id",),
    response=("gen_ai.response.id",),
    first_token_milliseconds=("ttft_ms",),
)
"""Claude Code's own, of its tracing that is still in beta; a call of it has the names of the first generation, too."""

SPELLINGS = (AI_SDK, OPENTELEMETRY, OPENINFERENCE, TRACELOOP_CALLS, TRACELOOP_STEPS, CLAUDE_CODE)
"""In this order: a span is read by the first whose ``kind`` says that it is something."""

OLDEST = ("gen_ai.system", "gen_ai.request.model")
"""A span that has these and no kind is a model call of OpenTelemetry's first generation, which named none."""

NO_TOOLS = ("(merged tools)",)
"""What Google's ADK writes in place of a tool's name on a span around several, each of which has a span of its own."""

FAILURE = "error.type"
EXCEPTION = "exception.type"
"""What a failure was: an attribute of the span, or of the event that stands for an exception."""

SERVICE = "service.name"
"""The attribute of a resource that says whose spans they are."""

ATTRIBUTES: frozenset[str] = frozenset(
    {
        FAILURE,
        *OLDEST,
        *(spelling.kind for spelling in SPELLINGS),
        *(
            name
            for spelling in SPELLINGS
            for field in fields(Spelling)
            if field.name not in ("kind", "model_calls", "tools", "agents", "chains", "first_token_event")
            for name in getattr(spelling, field.name)
        ),
    }
)
"""Every attribute of a span that is read."""

EVENTS: frozenset[str] = frozenset(name for spelling in SPELLINGS for name in spelling.first_token_event)

UNCACHED_SCOPES = ("opentelemetry.instrumentation.bedrock",)
"""Instrumentations that do not count cached tokens in the prompt, against the convention."""

TERMS: Mapping[str, Terms] = {"batch": "batch", "flex": "flex", "priority": "priority"}

PROVIDERS: Mapping[str, str | None] = {
    "az.ai.openai": "azure",
    "az.ai.inference": "azure",
    "gcp.gen_ai": "google",
    "google.vertex.anthropic": "vertex_ai",
    "vertex.anthropic": "vertex_ai",
    "gateway": None,
    "langchain": None,
}
"""How a provider's name begins where the price list does not know it by that → its name there.

None says nothing of who serves the model, so that its name has to.
"""
