"""The Sales Companion: an agent loop on the Anthropic SDK, instrumented with AgentGauge as a customer would."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass, field
from pathlib import Path

from anthropic import APIError, AsyncAnthropic, AuthenticationError
from anthropic.types import (
    CacheControlEphemeralParam,
    Message,
    MessageParam,
    TextBlockParam,
    ToolResultBlockParam,
    ToolUseBlock,
)

from agentgauge import Session, Task, llm_step
from sample_agent.sales.toolbox import Toolbox
from sample_agent.state_file import WatchedFile
from sample_agent.switches import Switches

log = logging.getLogger(__name__)

PLANNING_MODEL = "claude-opus-5-5"
CLASSIFYING_MODEL = "claude-haiku-5-5"
MAX_MODEL_TURNS = 24
MAX_OUTPUT_TOKENS = 2048
PROMPT_VERSION = "v1"

CANNOT_HELP = "I can't help with that"
PROVIDER_DOWN = "I can't reach my language model right now. Please try again in a minute."
KEY_REFUSED = (
    "I am not set up correctly: my access to the language model was refused. Please tell the team that runs me."
)
IN_CIRCLES = "I went in circles on this one and stopped. Could you ask it in another way?"

_PROMPTS = Path(__file__).parent / "prompts"
_CACHED = CacheControlEphemeralParam(type="ephemeral")


@dataclass
class Conversation:
    """One user's conversation: its AgentGauge session and the messages so far, in the Messages API's shape."""

    session: Session
    messages: list[MessageParam] = field(default_factory=list)


@dataclass(frozen=True)
class Answer:
    """What the user sees, and the tools that were called for it."""

    text: str
    tools: tuple[str, ...] = ()


@dataclass(frozen=True)
class _ToolOutcome:
    name: str
    ok: bool
    block: ToolResultBlockParam


async def check_access(client: AsyncAnthropic) -> None:
    """Make one tiny call; raises the SDK's AuthenticationError if the API key is refused."""
    async with client:
        await client.messages.create(
            model=CLASSIFYING_MODEL, max_tokens=1, messages=[{"role": "user", "content": "hello"}]
        )


class SalesCompanion:
    """Answers sales reps from the CRM. One instance serves all conversations."""

    def __init__(self, client: AsyncAnthropic, toolbox: Toolbox, switches: WatchedFile[Switches]) -> None:
        self._client = client
        self._toolbox = toolbox
        self._switches = switches
        self._system = (_PROMPTS / "system.md").read_text(encoding="utf-8")
        self._classify = (_PROMPTS / "classify.md").read_text(encoding="utf-8")

    async def answer(self, conversation: Conversation, text: str) -> Answer:
        """Answer one message; the conversation keeps it only if an answer came of it."""
        session = conversation.session
        with session.attach(), session.task() as task, task.turn():
            try:
                return await self._answer(conversation, task, text)
            except AuthenticationError:
                log.error("the model provider refused the API key (401): check ANTHROPIC_API_KEY")
                task.failed()
                return Answer(KEY_REFUSED)
            except APIError as error:
                log.warning("the model provider failed after the SDK's retries: %s", type(error).__name__)
                task.failed()
                return Answer(PROVIDER_DOWN)

    async def close(self) -> None:
        """Close the connections to the model provider."""
        await self._client.close()

    async def _answer(self, conversation: Conversation, task: Task, text: str) -> Answer:
        messages: list[MessageParam] = [*conversation.messages, {"role": "user", "content": text}]
        if await self._classification(text) == "out_of_scope":
            task.fallback()
            return self._keep(
                conversation, messages, f"{CANNOT_HELP}. I know your accounts, deals, products and e-mails."
            )
        outcomes: list[_ToolOutcome] = []
        for turn in range(MAX_MODEL_TURNS):
            with llm_step("synthesis" if turn else "planning"):
                message = await self._plan(messages)
            messages.append({"role": "assistant", "content": message.content})
            calls = [block for block in message.content if isinstance(block, ToolUseBlock)]
            if not calls:
                self._judge(task, message, outcomes)
                conversation.messages = messages
                return Answer(_text_of(message), tuple(outcome.name for outcome in outcomes))
            results = await asyncio.gather(*(self._call_tool(call) for call in calls))
            outcomes.extend(results)
            messages.append({"role": "user", "content": [result.block for result in results]})
        task.failed()
        return Answer(IN_CIRCLES, tuple(outcome.name for outcome in outcomes))

    def _keep(self, conversation: Conversation, messages: list[MessageParam], text: str) -> Answer:
        conversation.messages = [*messages, {"role": "assistant", "content": text}]
        return Answer(text)

    def _judge(self, task: Task, message: Message, outcomes: list[_ToolOutcome]) -> None:
        if _text_of(message).startswith(CANNOT_HELP):
            task.fallback()
        elif outcomes and not any(outcome.ok for outcome in outcomes):
            task.failed()

    async def _classification(self, text: str) -> str:
        with llm_step("classification"):
            message = await self._client.messages.create(
                model=CLASSIFYING_MODEL,
                max_tokens=8,
                system=self._classify,
                messages=[{"role": "user", "content": text}],
            )
        return _text_of(message).strip()

    async def _plan(self, messages: list[MessageParam]) -> Message:
        switches = self._switches.value()
        system: list[TextBlockParam] = [{"type": "text", "text": self._system, "cache_control": _CACHED}]
        off = self._toolbox.switched_off()
        if off:
            system.append({"type": "text", "text": f"Switched off at the moment, say so if asked: {', '.join(off)}."})
        async with self._client.messages.stream(
            model=switches.model or PLANNING_MODEL,
            max_tokens=MAX_OUTPUT_TOKENS,
            system=system,
            tools=[tool.definition() for tool in self._toolbox.offered()],  # type: ignore[misc]  # JSON
            messages=messages,
        ) as stream:
            return await stream.get_final_message()

    async def _call_tool(self, call: ToolUseBlock) -> _ToolOutcome:
        arguments = call.input if isinstance(call.input, dict) else {}
        try:
            content, ok = json.dumps(await self._toolbox.call(call.name, arguments)), True
        except Exception as error:
            content, ok = f"{type(error).__name__}: {error}", False
        block = ToolResultBlockParam(type="tool_result", tool_use_id=call.id, content=content, is_error=not ok)
        return _ToolOutcome(call.name, ok, block)


def _text_of(message: Message) -> str:
    return "".join(block.text for block in message.content if block.type == "text")
