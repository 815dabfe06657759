"""A provider on this machine that speaks the protocols of OpenAI and Anthropic, and reports the usage that it is told.

What it says is scripted, how it says it is not: JSON and server-sent events over HTTP, as the SDKs expect them.
"""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from sample_agent.fake_api.events import encode, events_of

Json = dict[str, Any]

TEXT = "Globex renews in March, for three years."


@dataclass
class Provider:
    """What is answered next, in each of the three protocols; ``asked`` are the bodies of the requests so far.

    ``model`` is the name that answers, or the one asked for if None. ``tools`` are calls that the answers ask for, one
    an answer, as (name, arguments). ``failures`` are statuses that the next requests are answered with instead.
    Requests that hold the text ``refused`` are answered with a 429. ``cut`` breaks a stream off after its first words.
    """

    usage: Json = field(default_factory=dict)
    model: str | None = None
    service_tier: str | None = None
    tools: list[tuple[str, Json]] = field(default_factory=list)
    failures: list[int] = field(default_factory=list)
    refused: str | None = None
    cut: bool = False
    zipped: bool = False
    thinks_seconds: float = 0
    asked: list[Json] = field(default_factory=list)

    def next_tool(self, ask: Json) -> tuple[str, Json] | None:
        """The call that the answer asks for; None if it is a text."""
        return self.tools.pop(0) if self.tools else None

    def usage_of(self, ask: Json) -> Json:
        """What the answer says it took."""
        return self.usage

    def app(self) -> Starlette:
        """The server."""
        routes: list[tuple[str, Callable[[Json], Json], Callable[[Json, Json], Iterator[bytes]]]] = [
            ("/v1/chat/completions", self._completion, self._completion_events),
            ("/openai/deployments/{deployment}/chat/completions", self._completion, self._completion_events),
            ("/v1/responses", self._response, _response_events),
            ("/v1/messages", self._message, lambda _ask, message: map(encode, events_of(message))),
        ]
        return Starlette(
            routes=[Route(path, self._endpoint(whole, events), methods=["POST"]) for path, whole, events in routes]
        )

    def _endpoint(self, whole: Callable[[Json], Json], events: Callable[[Json, Json], Iterator[bytes]]) -> Any:
        async def answer(request: Request) -> Response:
            ask = await request.json()
            self.asked.append(ask)
            await asyncio.sleep(self.thinks_seconds)
            if self.failures:
                return _failure(self.failures.pop(0))
            if self.refused is not None and self.refused in json.dumps(ask):
                return _failure(429)
            said = whole(ask)
            if ask.get("stream"):
                pieces = list(events(ask, said))
                return StreamingResponse(self._sent(pieces), media_type="text/event-stream")
            if self.zipped:
                body = gzip.compress(json.dumps(said).encode())
                return Response(body, media_type="application/json", headers={"content-encoding": "gzip"})
            return JSONResponse(said)

        return answer

    async def _sent(self, pieces: list[bytes]) -> Any:
        for number, piece in enumerate(pieces):
            if self.cut and number == 3:
                raise ConnectionResetError("the provider went away")
            yield piece

    def _completion(self, ask: Json) -> Json:
        message: Json = {"role": "assistant", "content": TEXT}
        if (tool := self.next_tool(ask)) is not None:
            message = {"role": "assistant", "content": None, "tool_calls": [_tool_call(len(self.asked), *tool)]}
        reason = "tool_calls" if "tool_calls" in message else "stop"
        return {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1_790_000_000,
            "model": self.model or ask["model"],
            "service_tier": self.service_tier,
            "choices": [{"index": 0, "message": message, "finish_reason": reason, "logprobs": None}],
            "usage": self.usage_of(ask),
        }

    def _completion_events(self, ask: Json, said: Json) -> Iterator[bytes]:
        """The usage comes last, and only if it was asked for."""
        chunk = said | {"object": "chat.completion.chunk", "usage": None}
        message = said["choices"][0]["message"]
        if "tool_calls" in message:
            calls = [call | {"index": 0} for call in message["tool_calls"]]
            deltas: list[Json] = [{"role": "assistant", "tool_calls": calls}]
        else:
            deltas = [{"role": "assistant", "content": ""}, *({"content": f"{word} "} for word in TEXT.split())]
        for delta in deltas:
            yield _data(chunk | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
        reason = said["choices"][0]["finish_reason"]
        yield _data(chunk | {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
        if (ask.get("stream_options") or {}).get("include_usage"):
            yield _data(chunk | {"choices": [], "usage": said["usage"]})
        yield b"data: [DONE]\n\n"

    def _response(self, ask: Json) -> Json:
        text = {"type": "output_text", "text": TEXT, "annotations": []}
        item: Json = {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [text],
        }
        if (tool := self.next_tool(ask)) is not None:
            name, arguments = tool
            item = {
                "id": "fc_1",
                "call_id": "call_1",
                "type": "function_call",
                "name": name,
                "arguments": json.dumps(arguments),
                "status": "completed",
            }
        return {
            "id": "resp_1",
            "object": "response",
            "created_at": 1_790_000_000,
            "status": "completed",
            "model": self.model or ask["model"],
            "service_tier": self.service_tier,
            "output": [item],
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
            "usage": self.usage_of(ask),
        }

    def _message(self, ask: Json) -> Json:
        content: list[Json] = [{"type": "text", "text": TEXT}]
        if (tool := self.next_tool(ask)) is not None:
            name, arguments = tool
            content = [{"type": "tool_use", "id": "toolu_1", "name": name, "input": arguments}]
        return {
            "id": f"msg_{len(self.asked)}",
            "type": "message",
            "role": "assistant",
            "model": self.model or ask["model"],
            "content": content,
            "stop_reason": "tool_use" if content[0]["type"] == "tool_use" else "end_turn",
            "stop_sequence": None,
            "usage": self.usage_of(ask),
        }


def _response_events(_ask: Json, said: Json) -> Iterator[bytes]:
    item = said["output"][0]
    started = said | {"status": "in_progress", "output": [], "usage": None}
    events: list[Json] = [
        {"type": "response.created", "response": started},
        {"type": "response.output_item.added", "output_index": 0, "item": item | {"content": []}},
    ]
    if item["type"] == "message":
        place = {"item_id": item["id"], "output_index": 0, "content_index": 0}
        events += [
            {"type": "response.content_part.added", **place, "part": item["content"][0] | {"text": ""}},
            *(
                {"type": "response.output_text.delta", **place, "delta": f"{word} ", "logprobs": []}
                for word in TEXT.split()
            ),
            {"type": "response.content_part.done", **place, "part": item["content"][0]},
        ]
    events += [
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": said},
    ]
    for number, event in enumerate(events):
        yield f"event: {event['type']}\n".encode() + _data(event | {"sequence_number": number})


def _tool_call(number: int, name: str, arguments: Mapping[str, Any]) -> Json:
    return {"id": f"call_{number}", "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}


def _data(value: Json) -> bytes:
    return f"data: {json.dumps(value)}\n\n".encode()


def _failure(status: int) -> Response:
    codes = {404: "model_not_found", 429: "rate_limit_exceeded"}
    error = {"message": "No.", "type": "invalid_request_error", "code": codes.get(status), "param": None}
    return JSONResponse({"error": error}, status, {"retry-after-ms": "1"})
