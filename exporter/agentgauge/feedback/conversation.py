"""Reads the conversation that led to an action, as the ledger keeps it.

Messages may have the shape of Anthropic's Messages API, or of OpenAI's chat completions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from agentgauge.autonomy.action import Action


def messages_before(action: Action) -> list[Mapping[str, Any]]:
    """The messages to which the agent answered with this action, oldest first; empty if none were stored."""
    messages = _messages(action)
    by_agent = bool(messages) and messages[-1]["role"] == "assistant"
    return messages[:-1] if by_agent else messages


def user_texts(action: Action) -> list[str]:
    """What the user typed before an action, oldest first, without the texts in tool results."""
    return texts_of_user(_messages(action))


def texts_of_user(messages: Iterable[Mapping[str, Any]]) -> list[str]:
    """What the user typed, oldest first, without the texts in tool results."""
    return [
        block["text"]
        for message in messages
        if message["role"] == "user"
        for block in _blocks(message)
        if block["type"] == "text" and block["text"].strip()
    ]


def tools_called(action: Action) -> list[str]:
    """The tools that the agent called before this action or with it, then its own; each once, in order."""
    called = [
        block["name"]
        for message in _messages(action)
        if message["role"] == "assistant"
        for block in _blocks(message)
        if block["type"] == "tool_use"
    ]
    return list(dict.fromkeys([*called, action.proposal.tool]))


def _messages(action: Action) -> list[Mapping[str, Any]]:
    """The conversation as it was stored; the message that proposed the action may be its last."""
    return list(action.proposal.context.get("messages", ()))


def _blocks(message: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The content as blocks of the Messages API, whichever shape it has."""
    content = message.get("content")
    if isinstance(content, str):
        yield {"type": "text", "text": content}
    else:
        yield from content or ()
    for call in message.get("tool_calls") or ():
        yield {"type": "tool_use", "name": call["function"]["name"]}
