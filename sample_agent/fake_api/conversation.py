"""Reads a Messages API request the way the played model needs it: who asked what, and which tools answered."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Request = dict[str, Any]


@dataclass(frozen=True)
class ToolStep:
    """A tool call of the conversation and what came back.

    `result` is the decoded JSON object, or empty if the tool returned something else; `text` is the raw content.
    """

    name: str
    arguments: dict[str, Any]
    result: dict[str, Any]
    text: str
    is_error: bool

    def records(self, key: str) -> list[dict[str, Any]]:
        """Return the list of objects that the result holds under `key`; empty if it holds none."""
        values = self.result.get(key)
        return [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []


@dataclass(frozen=True)
class Conversation:
    """The conversation so far.

    `question` is the latest text that the user typed, `earlier` the ones before it (oldest first), `steps` all tool
    calls with an answer, and `new_steps` those since the question. `instructions` is the system prompt.
    """

    question: str
    earlier: tuple[str, ...] = ()
    steps: tuple[ToolStep, ...] = ()
    new_steps: tuple[ToolStep, ...] = ()
    instructions: str = ""


def read(request: Request) -> Conversation:
    """Return the conversation of a valid request; text inside tool results is never taken for the user's."""
    texts: list[str] = []
    steps: list[ToolStep] = []
    steps_before_question = 0
    calls: dict[str, dict[str, Any]] = {}
    for message in request["messages"]:
        for block in blocks(message["content"]):
            if block["type"] == "tool_use":
                calls[block["id"]] = block
            elif block["type"] == "tool_result" and block["tool_use_id"] in calls:
                steps.append(_step(calls[block["tool_use_id"]], block))
            elif block["type"] == "text" and message["role"] == "user":
                texts.append(block["text"])
                steps_before_question = len(steps)
    *earlier, question = texts or [""]
    instructions = "\n".join(block["text"] for block in blocks(request.get("system")))
    return Conversation(question, tuple(earlier), tuple(steps), tuple(steps[steps_before_question:]), instructions)


def blocks(content: Any) -> Iterator[dict[str, Any]]:
    """Yield the blocks of a `content` or `system` field, whichever of its two forms it has."""
    if isinstance(content, str):
        yield {"type": "text", "text": content}
    else:
        yield from content or ()


def _step(call: dict[str, Any], block: dict[str, Any]) -> ToolStep:
    text = "".join(part.get("text", "") for part in blocks(block.get("content")))
    try:
        decoded = json.loads(text)
    except ValueError:
        decoded = None
    return ToolStep(
        name=call["name"],
        arguments=call["input"],
        result=decoded if isinstance(decoded, dict) else {},
        text=text,
        is_error=bool(block.get("is_error")),
    )
