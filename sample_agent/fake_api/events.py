"""A finished message as the server-sent events that would have led to it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

Message = dict[str, Any]
Event = dict[str, Any]

WORDS_PER_CHUNK = 12
JSON_CHARACTERS_PER_CHUNK = 40


def encode(event: Event) -> bytes:
    """Return an event as it goes over the wire."""
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()


def events_of(message: Message) -> Iterator[Event]:
    """Yield the events of a streamed `message`, in the order in which the API sends them."""
    begun = {**message["usage"], "output_tokens": min(1, message["usage"]["output_tokens"])}
    empty: dict[str, Any] = {"content": [], "stop_reason": None, "usage": begun}
    yield {"type": "message_start", "message": {**message, **empty}}
    for index, block in enumerate(message["content"]):
        yield {"type": "content_block_start", "index": index, "content_block": _opened(block)}
        if index == 0:
            yield {"type": "ping"}
        for delta in _deltas(block):
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    yield {
        "type": "message_delta",
        "delta": {"stop_reason": message["stop_reason"], "stop_sequence": message["stop_sequence"]},
        "usage": {key: count for key, count in message["usage"].items() if key.endswith("_tokens")},
    }
    yield {"type": "message_stop"}


def _opened(block: dict[str, Any]) -> dict[str, Any]:
    """Return a block as it looks before its first delta."""
    return {**block, "text": ""} if block["type"] == "text" else {**block, "input": {}}


def _deltas(block: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if block["type"] == "text":
        words = re.findall(r"\S+\s*|\s+", block["text"])
        for start in range(0, len(words), WORDS_PER_CHUNK):
            yield {"type": "text_delta", "text": "".join(words[start : start + WORDS_PER_CHUNK])}
        return
    yield {"type": "input_json_delta", "partial_json": ""}
    text = json.dumps(block["input"])
    for start in range(0, len(text), JSON_CHARACTERS_PER_CHUNK):
        yield {"type": "input_json_delta", "partial_json": text[start : start + JSON_CHARACTERS_PER_CHUNK]}
