"""The Sales Companion: an agent loop on the Anthropic SDK, instrumented with AgentGauge as a customer would."""

from __future__ import annotations

import logging
from collections.abc import Awaitable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from anthropic import APIError, AuthenticationError
from anthropic.types import MessageParam

from agentgauge import Session, Task
from agentgauge.autonomy.supervisor import Supervisor, describe_interruption
from agentgauge.autonomy.suspensions import Suspension
from agentgauge.autonomy.tool_requests import Resumed, ToolRequests, Waiting
from agentgauge.cost.budgets import BudgetReachedError, Budgets
from agentgauge.cost.cache import ToolCache
from agentgauge.prompts.library import Prompts, PromptSource
from agentgauge.vocabulary import Step
from sample_agent.sales.model_calls import ModelCalls, text_of
from sample_agent.sales.requests import Answer, Request, answer_of
from sample_agent.sales.toolbox import Toolbox

log = logging.getLogger(__name__)

MAX_MODEL_TURNS = 24

CANNOT_HELP = "I can't help with that"
PROVIDER_DOWN = "I can't reach my language model right now. Please try again in a minute."
KEY_REFUSED = (
    "I am not set up correctly: my access to the language model was refused. Please tell the team that runs me."
)
IN_CIRCLES = "I went in circles on this one and stopped. Could you ask it in another way?"


@dataclass
class Conversation:
    """One user's conversation: its AgentGauge session and the messages so far, in the Messages API's shape.

    ``suspension`` is the id of the request that waits for people; until it ends, the next message has to wait.
    """

    session: Session
    messages: list[MessageParam] = field(default_factory=list)
    suspension: str | None = None

    def catch_up(self, newest: Suspension | None) -> None:
        """Take note of its newest request, which may have gone on or ended, here or in another process."""
        if newest is not None and not newest.ended:
            self.suspension = newest.id
        elif self.suspension is not None:
            if newest is not None:
                self.messages = list(newest.answer["messages"])
            self.suspension = None


class WaitsForDecisionError(Exception):
    """The conversation cannot go on before people have decided what it waits for."""


class SalesCompanion:
    """Answers sales reps from the CRM. One instance serves all conversations.

    A request keeps the version of the ``prompts`` that was in force when it began, however long it waits for people.
    """

    def __init__(
        self,
        model: ModelCalls,
        toolbox: Toolbox,
        prompts: PromptSource,
        requests: ToolRequests,
        budgets: Budgets,
    ) -> None:
        self._model = model
        self._toolbox = toolbox
        self.prompts = prompts
        self._budgets = budgets
        self.requests = requests

    @property
    def supervisor(self) -> Supervisor:
        """What runs its tools under the policy."""
        return self.requests.supervisor

    @property
    def cache(self) -> ToolCache | None:
        """The cache of tool results, if there is one."""
        return self._toolbox.cache

    async def answer(self, conversation: Conversation, text: str) -> Answer:
        """Answer one message; the conversation keeps it only if an answer came of it.

        An answer that waits for people is not the last: once they have decided, ``go_on`` gives the next. Until then a
        further message raises WaitsForDecisionError.
        """
        if conversation.suspension is not None:
            raise WaitsForDecisionError("this conversation waits for a decision")
        session = conversation.session
        request = Request([*conversation.messages, {"role": "user", "content": text}])
        with session.attach(), session.task() as task, task.turn():
            result = await self._safely(task, self._begin(task, request, text))
            if isinstance(result, Waiting):
                conversation.suspension = result.suspension_id
                return request.waiting_answer(result.actions)
            if request.is_answered:
                conversation.messages = request.messages
            session.record_messages(request.messages)
            return self._with_warning(request.answer(result))

    async def go_on(self, resumed: Resumed) -> dict[str, Any] | None:
        """Go on with what waited, now that people have decided all of it; returns the answer and the conversation.

        None if it waits again. Where a process died while it did what was approved, the answer says what is known.
        """
        request = Request.from_json(resumed.state)
        request.add_outcomes(resumed.outcomes)
        if resumed.interrupted:
            result: str | Waiting = describe_interruption(resumed.outcomes)
        else:
            prompts = self.prompts(request.prompt_version)
            result = await self._safely(resumed.task, self._work(resumed.task, request, prompts))
        if isinstance(result, Waiting):
            return None
        if not request.is_answered:
            # What was done is part of the conversation from here on, whatever came of the answer.
            request.add_answer(result)
        resumed.task.session.record_messages(request.messages)
        return asdict(self._with_warning(request.answer(result))) | {"messages": request.messages}

    async def resume(self, conversation: Conversation) -> Answer | None:
        """Go on with a conversation that waits, without anything that looks for decisions; returns its answer.

        None if it waits still, or another process has it.
        """
        if conversation.suspension is None or not await self.requests.resume(conversation.suspension, self.go_on):
            return None
        newest = await self.requests.newest(conversation.session.id)
        conversation.catch_up(newest)
        return None if newest is None else answer_of(newest)

    async def close(self) -> None:
        """Close the connections to the model provider and to the cache."""
        await self._model.close()
        await self._toolbox.close()

    async def _begin(self, task: Task, request: Request, text: str) -> str | Waiting:
        self._budgets.admit()
        prompts = self.prompts()
        request.prompt_version = prompts.version
        if await self._model.classification(prompts, text) == "out_of_scope":
            task.fallback()
            declined = f"{CANNOT_HELP}. I know your accounts, deals, products and e-mails."
            request.add_answer(declined)
            return declined
        return await self._work(task, request, prompts)

    async def _safely(self, task: Task, working: Awaitable[str | Waiting]) -> str | Waiting:
        """What came of it, or a sentence for the user if the model provider failed or a budget is spent."""
        try:
            return await working
        except BudgetReachedError as reached:
            task.failed()  # no fallback: that says what the agent is for, and sends the on-call to its prompts
            return str(reached)
        except AuthenticationError:
            log.error("the model provider refused the API key (401): check ANTHROPIC_API_KEY")
            task.failed()
            return KEY_REFUSED
        except APIError as error:
            log.warning("the model provider failed after the SDK's retries: %s", type(error).__name__)
            task.failed()
            return PROVIDER_DOWN

    async def _work(self, task: Task, request: Request, prompts: Prompts) -> str | Waiting:
        """Plan and call tools until there is an answer, or until calls wait for people."""
        while request.model_turns < MAX_MODEL_TURNS:
            step: Step = "synthesis" if request.model_turns else "planning"
            offered, off = self._toolbox.offered(), self._toolbox.switched_off()
            message = await self._model.next_message(step, prompts, offered, off, request.messages)
            calls = request.add_message(message)
            if not calls:
                if text_of(message).startswith(CANNOT_HELP):
                    task.fallback()
                elif request.failed:
                    task.failed()
                return text_of(message)
            calls = await self._model.with_arguments(prompts, request.messages, calls)
            settled = await self.requests.call(
                task,
                calls,
                request.as_json(),
                messages=request.messages,
                prompt_version=prompts.version,
                model=message.model,
            )
            if isinstance(settled, Waiting):
                return settled
            request.add_outcomes(settled.outcomes)
            # At each step: the on-call is paged while it still goes on.
            task.session.record_messages(request.messages)
        task.failed()
        return IN_CIRCLES

    def _with_warning(self, answer: Answer) -> Answer:
        """The answer, with a note if the conversation or its user has become expensive."""
        note = self._budgets.warning()
        return answer if note is None else replace(answer, text=f"{answer.text}\n\n{note}")
