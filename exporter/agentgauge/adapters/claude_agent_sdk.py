"""The Claude Agent SDK: model calls and tools of an agent that runs in a process of its own, from what it tells.

::

    async for message in watched(gauge, query(prompt=question, options=options)):
    async for message in watched(gauge, client.receive_response()):

The messages come where the session is known; the SDK's hooks run on a task of the connection, and know no tokens.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from claude_agent_sdk import AssistantMessage, ResultMessage, ToolResultBlock, ToolUseBlock, UserMessage

from agentgauge.adapters._shared import Delegate, SeenTools, UnderWay, at_work, delegate
from agentgauge.anthropic_middleware import usage_of
from agentgauge.calls import LLMCall, record_tool_call
from agentgauge.gauge import AgentGauge
from agentgauge.pricing import TokenUsage

__all__ = ["watched"]

M = TypeVar("M")

_KINDS = {
    "input": "inputTokens",
    "cache_read": "cacheReadInputTokens",
    "cache_write_5m": "cacheCreationEphemeral5mInputTokens",
    "cache_write_1h": "cacheCreationEphemeral1hInputTokens",
    "output": "outputTokens",
    "web_searches": "webSearchRequests",
}
_PROVIDERS = {"bedrock": "bedrock", "vertex": "vertex_ai", "foundry": "azure"}


async def watched(gauge: AgentGauge, messages: AsyncIterator[M]) -> AsyncIterator[M]:
    """The same messages, of ``query(…)`` or of a client's ``receive_response()``, counted as they pass."""
    run = _Run(gauge)
    try:
        async for message in messages:
            with gauge.swallowing("llm"):
                run.observe(message)
            yield message
    finally:
        run.end()


@dataclass
class _Call:
    """A call under way: what it had used when its answer began."""

    model: str
    call: LLMCall
    usage: TokenUsage


_totals: WeakKeyDictionary[AgentGauge, UnderWay[Mapping[str, TokenUsage]]] = WeakKeyDictionary()
"""What each agent's conversations have used so far, by model: the SDK reports the sums of a conversation."""


class _Run:
    def __init__(self, gauge: AgentGauge) -> None:
        self._gauge = gauge
        self._tools = SeenTools(gauge)
        self._calls: dict[str | None, _Call] = {}
        self._tool_calls: UnderWay[tuple[str, float]] = UnderWay()
        self._subagents: UnderWay[Delegate] = UnderWay()

    def observe(self, message: object) -> None:
        if isinstance(message, AssistantMessage):
            self._answered(message)
        elif isinstance(message, UserMessage):
            for block in message.content if isinstance(message.content, list) else ():
                if isinstance(block, ToolResultBlock):
                    self._tool_ended(block)
        elif isinstance(message, ResultMessage):
            self._finished(message)

    def end(self) -> None:
        """Finish what no result came for, by what was known of it."""
        for one in self._calls.values():
            one.call.finish(one.usage)
        self._calls.clear()

    def _answered(self, message: AssistantMessage) -> None:
        """One of the messages of an answer: it comes in one for each block of its content."""
        if message.error is not None:
            LLMCall(self._gauge, message.model).fail(message.error)
            return
        if message.message_id not in self._calls:
            used = usage_of(_Attributes(message.usage or {}))
            subagent = self._subagents.get(message.parent_tool_use_id)
            with at_work(self._gauge, subagent):
                self._calls[message.message_id] = _Call(message.model, LLMCall(self._gauge, message.model), used)
        for block in message.content:
            if isinstance(block, ToolUseBlock):
                self._tool_calls.begin(block.id, (self._tools.add(block.name), perf_counter()))
                if isinstance(subagent := block.input.get("subagent_type"), str):
                    self._subagents.begin(block.id, delegate(subagent))

    def _tool_ended(self, block: ToolResultBlock) -> None:
        begun = self._tool_calls.end(block.tool_use_id)
        if begun is not None:
            name, started = begun
            record_tool_call(self._gauge, name, perf_counter() - started, "ToolError" if block.is_error else None, 0.0)

    def _finished(self, result: ResultMessage) -> None:
        """The turn is over: give its calls what they used beyond what was known when their answers began."""
        seconds = result.duration_api_ms / 1000 / max(1, len(self._calls))
        for model, (used, provider) in self._used_since(result).items():
            calls = [one for one in self._calls.values() if one.model == model]
            if not calls:  # one that the agent makes beside the conversation, to name it, say
                calls = [_Call(model, LLMCall(self._gauge, model), TokenUsage())]
            known = calls[0].usage
            for one in calls[1:]:
                known = _combined(known, one.usage, 1)
            calls[-1].usage = _combined(calls[-1].usage, _combined(used, known, -1), 1)
            for one in calls:
                if provider is not None:
                    one.call.served_by(provider)
                one.call.took(seconds)
                one.call.finish(one.usage)
        self.end()

    def _used_since(self, result: ResultMessage) -> dict[str, tuple[TokenUsage, str | None]]:
        """What each model used since the last result of the conversation, and who serves it."""
        kept = _totals.setdefault(self._gauge, UnderWay())
        before = kept.end(result.session_id) or {}
        now: dict[str, TokenUsage] = {}
        since: dict[str, tuple[TokenUsage, str | None]] = {}
        for model, usage in (result.model_usage or {}).items():
            counts: Mapping[str, Any] = usage  # type: ignore[assignment]  # a TypedDict is a mapping of anything
            tokens: dict[str, Any] = {kind: counts.get(name) or 0 for kind, name in _KINDS.items()}
            now[model] = TokenUsage(**tokens)
            earlier = before.get(model, TokenUsage())
            if earlier.total > now[model].total:  # it was resumed by a process that begins to count from zero
                earlier = TokenUsage()
            since[model] = _combined(now[model], earlier, -1), _PROVIDERS.get(str(counts.get("provider")))
        kept.begin(result.session_id, now)
        return {model: used for model, used in since.items() if used[0].total}


def _combined(one: TokenUsage, other: TokenUsage, times: int) -> TokenUsage:
    """Of each kind, one plus so many times the other, at least none."""
    return replace(one, **{kind: max(0, getattr(one, kind) + times * getattr(other, kind)) for kind in _KINDS})


class _Attributes:
    """JSON as the SDK of Anthropic shows it; what is missing is None."""

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self._fields = fields

    def __getattr__(self, name: str) -> Any:
        value = self._fields.get(name)
        return _Attributes(value) if isinstance(value, Mapping) else value
