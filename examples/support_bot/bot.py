"""The support bot: reads a ticket, calls one tool, answers. The model loop is its own; AgentGauge watches it."""

from __future__ import annotations

import json
import re
from itertools import cycle
from typing import Any

from openai import AsyncOpenAI

from agentgauge import AgentApp, AgentGauge, Session, Task, TokenUsage, llm_step
from agentgauge.autonomy import Call, CallOutcome, Resumed, ToolRequests, Waiting, describe_interruption
from agentgauge.cost import BudgetReachedError
from agentgauge.ops import FollowedSwitches
from agentgauge.prompts import Prompts, PromptSource

UNAVAILABLE = "I cannot look into this right now; a colleague will answer you."
A_COLLEAGUE_ANSWERS = "Thank you; a colleague will answer you."
MAX_TOKENS = 48
CHOICE: Any = {
    "type": "json_schema",
    "json_schema": {
        "name": "choice",
        "schema": {
            "type": "object",
            "properties": {"tool": {"enum": ["search_help", "refund_order"]}},
            "required": ["tool"],
            "additionalProperties": False,
        },
    },
}


class SupportBot:
    """Answers tickets. One instance serves all customers."""

    def __init__(
        self,
        app: AgentApp,
        gauge: AgentGauge,
        client: AsyncOpenAI,
        model: str,
        requests: ToolRequests,
        prompts: PromptSource,
    ) -> None:
        self._gauge = gauge
        self._client = client
        self._model = model
        self._requests = requests
        self._prompts = prompts
        self._budgets = app.budgets_in_force(gauge)
        self._switches = FollowedSwitches(gauge)

    async def answer(self, session: Session, ticket: str) -> str:
        """Answer a ticket; a refund waits for approval, and ``go_on`` answers once people have decided."""
        with session.attach(), session.task() as task, task.turn():
            try:
                self._budgets.admit()
                prompts = self._prompts()
                call = await self._choose_call(prompts, ticket, f"{session.id}-{session.turns}")
                if call.tool in self._switches().disabled_tools:
                    task.fallback()
                    return UNAVAILABLE
                state = {"prompts": prompts.version}
                messages = [{"role": "user", "content": ticket}]
                settled = await self._requests.call(
                    task, [call], state, messages=messages, prompt_version=prompts.version, model=self._model
                )
                if isinstance(settled, Waiting):
                    return f"One of us has to approve this first ({settled.actions[0].id}); you will hear from us."
                said = await self._write_answer(task, prompts, settled.outcomes[0])
                if settled.outcomes[0].suggestion is not None:
                    return A_COLLEAGUE_ANSWERS  # nothing was refunded: in the stage shadow, people do it
                return " ".join(filter(None, [said, self._budgets.warning()]))
            except BudgetReachedError as reached:
                task.fallback()
                return str(reached)

    async def go_on(self, resumed: Resumed) -> str:
        """Answer a ticket whose refund was decided, in whatever process this is."""
        if resumed.interrupted:
            return describe_interruption(resumed.outcomes)
        prompts = self._prompts(resumed.state["prompts"])
        return await self._write_answer(resumed.task, prompts, resumed.outcomes[0])

    async def _choose_call(self, prompts: Prompts, ticket: str, call_id: str) -> Call:
        """The call for a ticket. The model says what is wanted; the arguments are those that the ticket holds."""
        with llm_step("planning"):
            said = await self._ask(prompts.texts["triage"], ticket, response_format=CHOICE)
        order, amount = re.search(r"\bA-\d{4}\b", ticket), re.search(r"\$(\d+)", ticket)
        if json.loads(said)["tool"] == "refund_order" and order and amount:
            return Call(call_id, "refund_order", {"order": order[0], "usd": int(amount[1])})
        if order:
            return Call(call_id, "look_up_order", {"order": order[0]})
        return Call(call_id, "search_help", {"question": ticket})

    async def _write_answer(self, task: Task, prompts: Prompts, outcome: CallOutcome) -> str:
        """The tool's result as a friendly sentence; as it is, if the model's sentence lost a word of it."""
        if outcome.status == "failed":
            task.failed()
            return UNAVAILABLE
        if outcome.status == "refused":
            return f"We could not do this: {outcome.content}"
        result = str(json.loads(outcome.content))
        with llm_step("synthesis"):
            sentence = await self._ask(prompts.texts["answer"], result)
        return sentence if _words(result) <= _words(sentence) else result

    async def _ask(self, prompt: str, text: str, **options: Any) -> str:
        """Ask the model, and count what that took."""
        model = self._switches().model or self._model
        instructions, *examples = prompt.strip().split("\n\n")
        messages: Any = [{"role": "system", "content": instructions}]
        messages += [{"role": role, "content": one} for role, one in zip(cycle(["user", "assistant"]), examples)]
        messages += [{"role": "user", "content": text}]
        async with self._budgets.reserve(model, max_tokens=MAX_TOKENS, sent=messages):
            call = self._gauge.llm_call(model)
            try:
                reply = await self._client.chat.completions.create(
                    model=model, messages=messages, temperature=0, max_tokens=MAX_TOKENS, **options
                )
            except BaseException as error:  # BaseException: a call that is cancelled counts as well
                call.fail(type(error).__name__)
                raise
            call.finish(_usage(reply.usage))
        return reply.choices[0].message.content or ""


def _usage(usage: Any) -> TokenUsage:
    """OpenAI counts the cached part of the prompt in ``prompt_tokens``; AgentGauge counts each kind apart."""
    cached = (usage.prompt_tokens_details and usage.prompt_tokens_details.cached_tokens) or 0
    return TokenUsage(input=usage.prompt_tokens - cached, cache_read=cached, output=usage.completion_tokens)


def _words(text: str) -> set[str]:
    return set(re.findall(r"[\w$-]+", text.lower()))
