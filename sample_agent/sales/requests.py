"""One request of a user: what was said and called so far, as JSON while people decide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from anthropic.types import Message, MessageParam, ToolResultBlockParam, ToolUseBlock

from agentgauge.autonomy.action import Action
from agentgauge.autonomy.supervisor import Call, CallOutcome
from agentgauge.autonomy.suspensions import Suspension

ONLY_WATCHES = "I only watch at present, and have done nothing. Please do it yourself; I learn from how you do it."


@dataclass(frozen=True)
class Answer:
    """What the user sees, and the tools that were called for it.

    ``waiting`` are the ids of the actions that people have to decide on before it goes on, ``suggested`` of those that
    were not done because the agent only watches at present.
    """

    text: str
    tools: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()
    suggested: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Answer:
        """The answer whose fields are in the document."""
        fields = {name: tuple(document[name]) for name in ("tools", "waiting", "suggested")}
        return cls(document["text"], **fields)


@dataclass
class Request:
    """A request: the conversation up to here, in the Messages API's shape, and what became of each tool call."""

    messages: list[MessageParam]
    outcomes: list[CallOutcome] = field(default_factory=list)
    model_turns: int = 0
    prompt_version: str | None = None

    def add_message(self, message: Message) -> list[Call]:
        """Add what the model said; returns the calls it wants to make."""
        self.model_turns += 1
        content: Any = [block.to_dict() for block in message.content]
        self.messages.append({"role": "assistant", "content": content})
        return [
            Call(block.id, block.name, block.input if isinstance(block.input, dict) else {})
            for block in message.content
            if isinstance(block, ToolUseBlock)
        ]

    def add_outcomes(self, outcomes: Sequence[CallOutcome]) -> None:
        """Add what became of the last message's calls; then the model can go on."""
        self.outcomes += outcomes
        self.messages.append({"role": "user", "content": [_tool_result(outcome) for outcome in outcomes]})

    def add_answer(self, text: str) -> None:
        """Add an answer that the model did not give itself."""
        self.messages.append({"role": "assistant", "content": text})

    def answer(self, text: str) -> Answer:
        """The answer to it; the user hears nothing of what was only suggested, whatever the model says."""
        suggested = tuple(one.suggestion for one in self.outcomes if one.suggestion is not None)
        return Answer(ONLY_WATCHES if suggested else text, self._tools(), suggested=suggested)

    def waiting_answer(self, actions: Sequence[Action]) -> Answer:
        """The answer as long as these actions wait for people."""
        text = f"I need approval before I go on: {', '.join(action.proposal.tool for action in actions)}."
        return Answer(text, (*self._tools(), *self._calls()), tuple(action.id for action in actions))

    @property
    def is_answered(self) -> bool:
        """Whether its last message is an answer, and not a call or what came of one."""
        return self.messages[-1]["role"] == "assistant" and not self._calls()

    @property
    def failed(self) -> bool:
        """Whether it called tools, some call failed and none was done; one that a person stopped did not fail."""
        statuses = {outcome.status for outcome in self.outcomes}
        return "failed" in statuses and "done" not in statuses

    def as_json(self) -> dict[str, Any]:
        """The request as a JSON document."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Request:
        """The request that ``as_json`` made the document of."""
        outcomes = [CallOutcome(**one) for one in document["outcomes"]]
        return cls(document["messages"], outcomes, document["model_turns"], document["prompt_version"])

    def _tools(self) -> tuple[str, ...]:
        return tuple(outcome.tool for outcome in self.outcomes)

    def _calls(self) -> list[str]:
        """The tools that the last message calls."""
        content: Any = self.messages[-1]["content"]
        blocks = content if isinstance(content, list) else []
        return [block["name"] for block in blocks if block["type"] == "tool_use"]


def answer_of(suspension: Suspension) -> Answer:
    """What the user is to hear of a request that was suspended: its answer, or what it waits for."""
    if suspension.ended:
        return Answer.from_json(suspension.answer)
    return Request.from_json(suspension.state).waiting_answer(suspension.actions)


def _tool_result(outcome: CallOutcome) -> ToolResultBlockParam:
    return ToolResultBlockParam(
        type="tool_result",
        tool_use_id=outcome.call_id,
        content=outcome.content,
        is_error=outcome.status != "done",
    )
