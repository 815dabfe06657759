"""What the Sales Companion asks the language model, each step on its own tier, the prompt marked for the cache."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import httpx2
from anthropic import APIConnectionError, AsyncAnthropic
from anthropic.types import (
    CacheControlEphemeralParam,
    Message,
    MessageParam,
    TextBlockParam,
    ToolParam,
    ToolResultBlockParam,
    ToolUseBlock,
)

from agentgauge.autonomy.supervisor import Call
from agentgauge.cost.budgets import Budgets
from agentgauge.cost.tiers import Models
from agentgauge.prompts.library import Prompts
from agentgauge.vocabulary import Step
from sample_agent.sales.tools import TOOLS_BY_NAME, SalesTool

MAX_OUTPUT_TOKENS = 2048
LABEL_TOKENS = 8
WRITE_ARGUMENTS = "Call {tool} again now, with all of its arguments, to do what this call says."
CALLED_APART = "This call is made apart from that."


async def check_access(client: AsyncAnthropic, model: str) -> None:
    """Make one tiny call; raises the SDK's AuthenticationError if the API key is refused."""
    async with client:
        await client.messages.create(model=model, max_tokens=1, messages=[{"role": "user", "content": "hello"}])


class ModelCalls:
    """The calls to the language model, each within the budgets.

    Every method raises the SDK's APIError when the provider fails, and BudgetReachedError when a budget is spent.

    With ``prompt_caching``, three of the four breakpoints that the API allows are set: after the tools, after the
    system prompt (both are shared by all users, so they stay in the cache on a busy day), and after the last message,
    so that a conversation reads at each call what it wrote at the one before. The API ignores one whose prompt is
    still too short.
    """

    def __init__(
        self, client: AsyncAnthropic, models: Models, budgets: Budgets, *, prompt_caching: bool = True
    ) -> None:
        self._client = client
        self._models = models
        self._budgets = budgets
        self._breakpoint = CacheControlEphemeralParam(type="ephemeral") if prompt_caching else None

    async def classification(self, prompts: Prompts, text: str) -> str:
        """The label of a request; the prompt says which there are."""

        system = prompts.texts["classify"]

        async def send(model: str) -> Message:
            async with self._budgets.reserve(model, max_tokens=LABEL_TOKENS, sent=[system, text]):
                return await self._client.messages.create(
                    model=model,
                    max_tokens=LABEL_TOKENS,
                    system=system,
                    messages=[{"role": "user", "content": text}],
                )

        return text_of(await self._models.call("classification", send)).strip()

    async def next_message(
        self,
        step: Step,
        prompts: Prompts,
        tools: Sequence[SalesTool],
        switched_off: Sequence[str],
        messages: Sequence[MessageParam],
    ) -> Message:
        """What the model says next in a conversation: tool calls, or the answer."""
        apart = self._models.policy.arguments_apart
        offered = [tool.definition(prompts.tool_descriptions, in_brief=tool.name in apart) for tool in tools]
        system = self._system(prompts)
        if switched_off:  # after the breakpoint: it changes
            note = f"Switched off at the moment, say so if asked: {', '.join(switched_off)}."
            system.append({"type": "text", "text": note})

        async def send(model: str) -> Message:
            try:
                async with (
                    self._budgets.reserve(model, max_tokens=MAX_OUTPUT_TOKENS, sent=[system, offered, messages]),
                    self._client.messages.stream(
                        model=model,
                        max_tokens=MAX_OUTPUT_TOKENS,
                        system=system,
                        tools=self._tools(offered),
                        messages=messages,
                        cache_control=self._breakpoint,
                    ) as stream,
                ):
                    return await stream.get_final_message()
            except httpx2.TransportError as error:  # once a stream has begun, the SDK lets these through
                raise APIConnectionError(message="the stream ended half-way", request=error.request) from error

        return await self._models.call(step, send)

    async def with_arguments(
        self, prompts: Prompts, messages: Sequence[MessageParam], calls: Sequence[Call]
    ) -> list[Call]:
        """The calls of the last message, with arguments where the planning model only said in brief what to do."""
        complete = []
        for call in calls:
            if call.tool in self._models.policy.arguments_apart:
                call = replace(call, arguments=await self._arguments(prompts, messages, calls, call))
            complete.append(call)
        return complete

    async def close(self) -> None:
        """Close the connections to the provider."""
        await self._client.close()

    async def _arguments(
        self, prompts: Prompts, messages: Sequence[MessageParam], calls: Sequence[Call], call: Call
    ) -> Mapping[str, Any]:
        # The API wants a result for each call before anything else is said. The conversation is not marked for the
        # cache: this model reads it once, and a write costs more than an ordinary token.
        results = [
            ToolResultBlockParam(
                type="tool_result",
                tool_use_id=other.id,
                content=WRITE_ARGUMENTS.format(tool=call.tool) if other is call else CALLED_APART,
            )
            for other in calls
        ]

        system = self._system(prompts)
        tools = self._tools([TOOLS_BY_NAME[call.tool].definition(prompts.tool_descriptions)])
        asked: list[MessageParam] = [*messages, {"role": "user", "content": results}]

        async def send(model: str) -> Message:
            async with self._budgets.reserve(model, max_tokens=MAX_OUTPUT_TOKENS, sent=[system, tools, asked]):
                return await self._client.messages.create(
                    model=model,
                    max_tokens=MAX_OUTPUT_TOKENS,
                    system=system,
                    tools=tools,
                    tool_choice={"type": "tool", "name": call.tool},
                    messages=asked,
                )

        message = await self._models.call("tool_arguments", send)
        written = next((block.input for block in message.content if isinstance(block, ToolUseBlock)), None)
        return written if isinstance(written, dict) else {}  # which the tool refuses, naming what is missing

    def _system(self, prompts: Prompts) -> list[TextBlockParam]:
        return [{"type": "text", "text": prompts.texts["system"], "cache_control": self._breakpoint}]

    def _tools(self, definitions: Sequence[Any]) -> list[ToolParam]:
        *others, last = definitions
        return [*others, {**last, "cache_control": self._breakpoint}]


def text_of(message: Message) -> str:
    """The text of a message, without its tool calls."""
    return "".join(block.text for block in message.content if block.type == "text")
