"""pydantic-ai: model requests and tools of an agent, through a capability.

::

    agent = Agent("openai:gpt-6-sol", capabilities=[capability(gauge)])
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from contextvars import ContextVar
from time import perf_counter
from typing import Any

from pydantic_ai import ModelResponse
from pydantic_ai.capabilities import AbstractCapability
from pydantic_ai.exceptions import ApprovalRequired, CallDeferred

from agentgauge.adapters._shared import SeenTools, error_type_of
from agentgauge.calls import LLMCall, record_tool_call
from agentgauge.gauge import AgentGauge
from agentgauge.pricing import Terms, TokenUsage

__all__ = ["capability", "usage_of"]

_outermost: ContextVar[tuple[AgentGauge, object] | None] = ContextVar("agentgauge_pydantic_ai_outermost", default=None)
"""The agent that others run for here, of pydantic-ai's, and whose figures it belongs to."""

_TERMS: dict[str, Terms] = {"flex": "flex", "priority": "priority"}


def capability(gauge: AgentGauge) -> AbstractCapability[Any]:
    """The capability for ``Agent(capabilities=[…])``; one serves any number of agents and runs."""
    return _Capability(gauge)


def usage_of(response: ModelResponse) -> TokenUsage | None:
    """The token kinds of a response, made disjoint; None if its provider did not report them.

    pydantic-ai counts what is cached within the input, whoever the provider is.
    """
    usage = response.usage
    if usage.unmeasured_requests:
        return None
    tier = (response.provider_details or {}).get("service_tier")
    return TokenUsage(
        input=max(0, usage.input_tokens - usage.cache_read_tokens - usage.cache_write_tokens),
        cache_read=usage.cache_read_tokens,
        cache_write_5m=usage.cache_write_tokens - usage.cache_write_1h_tokens,
        cache_write_1h=usage.cache_write_1h_tokens,
        output=usage.output_tokens,
        web_searches=usage.details.get("web_search_requests", 0),
        audio_input=usage.input_audio_tokens,
        audio_output=usage.output_audio_tokens,
        # Anthropic's priority tier is paid for by commitment.
        terms="standard" if response.provider_name == "anthropic" else _TERMS.get(str(tier), "standard"),
    )


class _Capability(AbstractCapability[Any]):
    def __init__(self, gauge: AgentGauge) -> None:
        self._gauge = gauge
        self._tools = SeenTools(gauge)

    async def wrap_run(self, ctx: Any, *, handler: Callable[[], Awaitable[Any]]) -> Any:
        """An agent that runs while another one does is a subagent of that; what is set here holds for its run."""
        outermost = _outermost.get()
        if outermost is None or outermost[0] is not self._gauge:
            token = _outermost.set((self._gauge, ctx.agent))
            try:
                return await handler()
            finally:
                _outermost.reset(token)
        with nullcontext() if outermost[1] is ctx.agent else self._gauge.subagent(ctx.agent.name or "agent"):
            return await handler()

    async def wrap_model_request(
        self, ctx: Any, *, request_context: Any, handler: Callable[[Any], Awaitable[ModelResponse]]
    ) -> ModelResponse:
        model = request_context.model
        call = LLMCall(self._gauge, model.model_name, model.system)
        try:
            response = await handler(request_context)
        except BaseException as error:
            call.fail(error_type_of(error))
            raise
        with self._gauge.swallowing("llm"):
            call.finish(usage_of(response), response.model_name)
        return response

    async def wrap_tool_execute(
        self, ctx: Any, *, call: Any, tool_def: Any, args: Any, handler: Callable[[Any], Awaitable[Any]]
    ) -> Any:
        started = perf_counter()
        try:
            result = await handler(args)
        except (ApprovalRequired, CallDeferred):  # it waits for a person, and is run when there is an answer
            raise
        except BaseException as error:
            self._record(call.tool_name, started, type(error).__name__)
            raise
        self._record(call.tool_name, started, None)
        return result

    def _record(self, tool: str, started: float, error_type: str | None) -> None:
        with self._gauge.swallowing("tool"):
            record_tool_call(self._gauge, self._tools.add(tool), perf_counter() - started, error_type, 0.0)
