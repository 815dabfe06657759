"""One request of a user on its way: what was said and called so far, kept as JSON while people decide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from anthropic.types import Message, MessageParam, ToolResultBlockParam, ToolUseBlock

from agentgauge.autonomy.supervisor import INTERRUPTED, Call, CallOutcome


@dataclass(frozen=True)
class Answer:
    """What the user sees, and the tools that were called for it.

    ``waiting`` are the ids of the actions that people have to decide on before it goes on, ``suggested`` of those that
    were not done because the agent only suggests at present.
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
    """A request: the conversation up to here, in the Messages API's shape, and what became of each tool call.

    ``done`` are the outcomes of the last message's calls as far as they are known: the others wait for people.
    """

    messages: list[MessageParam]
    outcomes: list[CallOutcome] = field(default_factory=list)
    done: list[CallOutcome] = field(default_factory=list)
    suggested: list[str] = field(default_factory=list)
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
        """Add what became of the last message's calls that were open; then the model can go on."""
        by_call = {outcome.call_id: outcome for outcome in (*self.done, *outcomes)}
        last: Any = self.messages[-1]["content"]
        # In the order of the calls: the API wants a result for each.
        settled = [by_call[block["id"]] for block in last if block["type"] == "tool_use"]
        self.outcomes += settled
        self.done = []
        self.messages.append({"role": "user", "content": [_tool_result(outcome) for outcome in settled]})

    def add_answer(self, text: str) -> None:
        """Add an answer that the model did not give itself."""
        self.messages.append({"role": "assistant", "content": text})

    def answer(self, text: str) -> Answer:
        """The answer to it."""
        return Answer(text, self._tools(), suggested=tuple(self.suggested))

    def waiting_answer(self, waiting: Sequence[str]) -> Answer:
        """The answer as long as these actions wait for people."""
        open_calls = [name for call_id, name in self._calls() if call_id not in {one.call_id for one in self.done}]
        text = f"I need approval before I go on: {', '.join(open_calls)}."
        return Answer(text, (*self._tools(), *(name for _, name in self._calls())), tuple(waiting))

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
        outcomes, done = ([CallOutcome(**one) for one in document[name]] for name in ("outcomes", "done"))
        kept = (document[name] for name in ("suggested", "model_turns", "prompt_version"))
        return cls(document["messages"], outcomes, done, *kept)

    def _tools(self) -> tuple[str, ...]:
        return tuple(outcome.tool for outcome in self.outcomes)

    def _calls(self) -> list[tuple[str, str]]:
        """Id and tool of the calls in the last message."""
        content: Any = self.messages[-1]["content"]
        blocks = content if isinstance(content, list) else []
        return [(block["id"], block["name"]) for block in blocks if block["type"] == "tool_use"]


def interrupted(outcomes: Sequence[CallOutcome]) -> str:
    """What the user is told when a process ended while it did what people had approved."""
    unknown = [outcome.tool for outcome in outcomes if outcome.content == INTERRUPTED]
    done = [outcome.tool for outcome in outcomes if outcome.status == "done"]
    others = [outcome.tool for outcome in outcomes if outcome.tool not in (*unknown, *done)]
    said = {"I do not know whether this happened": unknown, "Done": done, "Not done": others}
    return "\n".join(
        [
            "I was interrupted while I did what was approved, and have stopped.",
            *(f"{what}: {', '.join(tools)}." for what, tools in said.items() if tools),
            "Please check before you ask me to do it again.",
        ]
    )


def _tool_result(outcome: CallOutcome) -> ToolResultBlockParam:
    return ToolResultBlockParam(
        type="tool_result",
        tool_use_id=outcome.call_id,
        content=outcome.content,
        is_error=outcome.status != "done",
    )
