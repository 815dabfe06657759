"""Messages of any API in one shape, that of Anthropic's Messages API: roles, texts, calls of tools and their results.

Read are the Messages API, OpenAI's chat completions, and the items of its Responses API.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

Block = dict[str, Any]
Message = dict[str, Any]

LONGEST_TEXT = 8_000
"""Characters of one text."""
DEEPEST = 12
"""Levels of the arguments of a call."""


def blocks(message: Mapping[str, Any]) -> Iterator[Block]:
    """The content of a message as blocks of the types text, tool_use, tool_result and others, which have no text."""
    kind = message.get("type")
    if kind in ("function_call", "custom_tool_call"):
        written = message.get("arguments", message.get("input"))
        yield {"type": "tool_use", "name": str(message.get("name")), "input": _arguments(written)}
        return
    if kind in ("function_call_output", "custom_tool_call_output") or message.get("role") == "tool":
        yield {"type": "tool_result", "content": _text_of(message.get("output", message.get("content")))}
        return
    content = message.get("content")
    if isinstance(content, str):
        if content:
            yield {"type": "text", "text": content}
    else:
        for block in content or ():
            yield _block(block)
    for call in message.get("tool_calls") or ():
        function = call.get("function") or call.get("custom") or {}
        written = function.get("arguments", function.get("input"))
        yield {"type": "tool_use", "name": str(function.get("name")), "input": _arguments(written)}


def in_one_shape(messages: Sequence[Any], redacted: Callable[[str], str], longest: int) -> list[Message]:
    """The messages with their texts redacted and cut, and those in the middle left out that are beyond ``longest``.

    Messages that nothing can be read of are left out as well. What ``redacted`` raises, it raises.
    """
    read = [one for message in messages if (one := _message(message, redacted)) is not None]
    return _within(read, longest)


def role_of(message: Mapping[str, Any]) -> str:
    """Who speaks: user, assistant or system; what comes of a tool comes from the user, as the Messages API has it."""
    role = message.get("role")
    if role in ("user", "assistant"):
        return str(role)
    if role in ("system", "developer"):
        return "system"
    return "assistant" if message.get("type") in ("function_call", "custom_tool_call", "reasoning") else "user"


def texts_of(message: Mapping[str, Any]) -> str:
    """What is said in a message, without calls and their results."""
    return "\n".join(block["text"] for block in blocks(message) if block["type"] == "text")


def _message(message: Any, redacted: Callable[[str], str]) -> Message | None:
    try:
        read = [_redacted(block, redacted) for block in blocks(message)] if isinstance(message, Mapping) else []
    except (AttributeError, TypeError):  # of a shape that no API has
        return None
    return {"role": role_of(message), "content": read} if read and role_of(message) != "system" else None


def _block(block: Any) -> Block:
    if isinstance(block, str):
        return {"type": "text", "text": block}
    if not isinstance(block, Mapping):  # an object of an SDK
        block = block.to_dict() if hasattr(block, "to_dict") else {"type": type(block).__name__}
    match block.get("type"):
        case "text" | "input_text" | "output_text":
            return {"type": "text", "text": str(block.get("text", ""))}
        case "tool_use":
            return {"type": "tool_use", "name": str(block.get("name")), "input": block.get("input")}
        case "tool_result":
            result = {"type": "tool_result", "content": _text_of(block.get("content"))}
            return {**result, "is_error": True} if block.get("is_error") else result
    return {"type": str(block.get("type"))}


def _text_of(content: Any) -> str:
    """What a tool returned, as text."""
    if isinstance(content, str):
        return content
    read = [_block(block) for block in content] if isinstance(content, list | tuple) else []
    return "\n".join(block.get("text", f"[{block['type']}]") for block in read)


def _arguments(written: Any) -> Any:
    if not isinstance(written, str):
        return written
    try:
        return json.loads(written)
    except (ValueError, RecursionError):
        return written


def _redacted(block: Block, redacted: Callable[[str], str]) -> Block:
    return {
        name: value if name in ("type", "name", "is_error") else _without(value, redacted)
        for name, value in block.items()
    }


def _without(value: Any, redacted: Callable[[str], str], depth: int = 0) -> Any:
    """A value of JSON with every text in it redacted; numbers are too, as texts, if that changes them."""
    if depth > DEEPEST:
        return "[…]"
    if isinstance(value, Mapping):
        return {
            redacted_and_cut(str(name), redacted): _without(one, redacted, depth + 1) for name, one in value.items()
        }
    if isinstance(value, list | tuple):
        return [_without(one, redacted, depth + 1) for one in value]
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        shown = redacted(str(value))
        return value if shown == str(value) else shown
    return redacted_and_cut(str(value), redacted)


def redacted_and_cut(text: str, redacted: Callable[[str], str], longest: int = LONGEST_TEXT) -> str:
    """The text redacted, then cut: what was cut before could end in half an address that no pattern finds."""
    beyond = text[2 * longest : 2 * longest + 1]
    if beyond:
        text = text[: 2 * longest].rpartition(" ")[0]
    text = redacted(text)
    return text if len(text) <= longest and not beyond else f"{text[:longest]}…"


def _within(messages: list[Message], longest: int) -> list[Message]:
    """All of them, or the first and as many of the last as fit."""
    sizes = [len(json.dumps(message)) for message in messages]
    if sum(sizes) <= longest:
        return messages
    room = longest - sizes[0]
    start = len(messages)
    while start > 1 and sizes[start - 1] <= room:
        start -= 1
        room -= sizes[start]
    left_out = {"role": "system", "content": [{"type": "text", "text": f"[{start - 1} messages left out]"}]}
    return [messages[0], left_out, *messages[start:]]
