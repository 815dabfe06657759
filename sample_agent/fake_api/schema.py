"""What a Messages API request must look like, and the API's errors.

The real service validates with pydantic too, so the messages ("max_tokens: Field required") come out the same.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Annotated, Any, Literal, get_args

from anthropic.types.model import Model
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from sample_agent.fake_api.conversation import Request, blocks

MAX_CACHE_BREAKPOINTS = 4
KNOWN_MODELS = frozenset(name for part in get_args(Model) for name in get_args(part) if name.startswith("claude-"))


class ApiError(Exception):
    """An error answer of the API: HTTP status, error type and message."""

    def __init__(self, status: int, error_type: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.error_type = error_type
        self.message = message


def invalid(message: str) -> ApiError:
    """Return the error for a request that does not fit the API."""
    return ApiError(400, "invalid_request_error", message)


class _Part(BaseModel):
    """Base of all parts; fields that this server does not use are let through."""

    model_config = ConfigDict(extra="allow", strict=True)


class _CacheControl(_Part):
    type: Literal["ephemeral"]
    ttl: Literal["5m", "1h"] = "5m"


class _Cacheable(_Part):
    cache_control: _CacheControl | None = None


class _Text(_Cacheable):
    type: Literal["text"]
    text: str


class _ToolUse(_Cacheable):
    type: Literal["tool_use"]
    id: str
    name: str
    input: dict[str, Any]


class _Other(_Cacheable):
    """Blocks that the played model has no eyes for."""

    type: Literal["image", "document", "thinking", "redacted_thinking"]


def _as_blocks(content: Any) -> Any:
    return list(blocks(content)) if isinstance(content, str) else content


_TextBlocks = Annotated[list[_Text], BeforeValidator(_as_blocks)]


class _ToolResult(_Cacheable):
    type: Literal["tool_result"]
    tool_use_id: str
    content: Annotated[list[Annotated[_Text | _Other, Field(discriminator="type")]], BeforeValidator(_as_blocks)] = []
    is_error: bool = False


_Block = Annotated[_Text | _ToolUse | _ToolResult | _Other, Field(discriminator="type")]


class _Message(_Part):
    role: Literal["user", "assistant", "system"]
    content: Annotated[list[_Block], BeforeValidator(_as_blocks)]


class _Tool(_Cacheable):
    name: str = Field(pattern=r"^[a-zA-Z0-9_-]{1,128}$")
    input_schema: dict[str, Any]


class _Choice(_Part):
    type: Literal["auto", "any", "none"]


class _ToolChoice(_Part):
    type: Literal["tool"]
    name: str


class _Request(_Cacheable):
    model: str
    max_tokens: int = Field(ge=1)
    messages: list[_Message]
    system: _TextBlocks = []
    tools: list[_Tool] = []
    tool_choice: Annotated[_Choice | _ToolChoice, Field(discriminator="type")] | None = None
    stream: bool = False


def check(request: Any) -> Request:
    """Return the request if the API would accept it; raises ApiError otherwise."""
    if not isinstance(request, dict):
        raise invalid("Input should be a valid dictionary")
    try:
        _Request.model_validate(request)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise invalid(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    _check_model(request["model"])
    _check_messages(request["messages"])
    _check_tools(request)
    _check_tool_results(request["messages"])
    if (found := sum(bool(part.get("cache_control")) for part in prompt_parts(request))) > MAX_CACHE_BREAKPOINTS:
        raise invalid(f"A maximum of {MAX_CACHE_BREAKPOINTS} blocks with cache_control may be provided. Found {found}.")
    return request


def _check_model(model: str) -> None:
    if model not in KNOWN_MODELS and re.sub(r"-\d{8}$", "", model) not in KNOWN_MODELS:
        raise ApiError(404, "not_found_error", f"model: {model}")


def _check_messages(messages: list[dict[str, Any]]) -> None:
    if not messages:
        raise invalid("messages: at least one message is required")
    if messages[0]["role"] != "user":
        raise invalid('messages: first message must use the "user" role')
    for index, message in enumerate(messages):
        content = list(blocks(message["content"]))
        if not content:
            raise invalid(f"messages.{index}: all messages must have non-empty content")
        if any(block["type"] == "text" and not block["text"] for block in content):
            raise invalid("messages: text content blocks must be non-empty")


def _check_tools(request: Request) -> None:
    names = [tool["name"] for tool in request.get("tools") or ()]
    if any(count > 1 for count in Counter(names).values()):
        raise invalid("tools: Tool names must be unique.")
    choice = request.get("tool_choice")
    if choice and not names:
        raise invalid("tool_choice: may only be specified while providing tools.")
    if choice and choice["type"] == "tool" and choice["name"] not in names:
        raise invalid(f"Tool '{choice['name']}' not found in provided tools")


def _check_tool_results(messages: list[dict[str, Any]]) -> None:
    """Hold that each tool use is answered in the next message, and each result answers one in the message before."""
    waiting: list[str] = []
    for index, message in enumerate(messages):
        content = list(blocks(message["content"]))
        for position, block in enumerate(content):
            if block["type"] == "tool_result" and block["tool_use_id"] not in waiting:
                raise invalid(
                    f"messages.{index}.content.{position}: unexpected `tool_use_id` found in `tool_result` blocks: "
                    f"{block['tool_use_id']}. Each `tool_result` block must have a corresponding `tool_use` block "
                    "in the previous message."
                )
        answered = {block["tool_use_id"] for block in content if block["type"] == "tool_result"}
        if open_ids := [tool_use_id for tool_use_id in waiting if tool_use_id not in answered]:
            raise invalid(
                f"messages.{index - 1}: `tool_use` ids were found without `tool_result` blocks immediately after: "
                f"{', '.join(open_ids)}. Each `tool_use` block must have a corresponding `tool_result` block in the "
                "next message."
            )
        waiting = [block["id"] for block in content if block["type"] == "tool_use"]
    if waiting:
        raise invalid(
            f"messages.{len(messages) - 1}: `tool_use` ids were found without `tool_result` blocks immediately "
            f"after: {', '.join(waiting)}."
        )


def prompt_parts(request: Request) -> list[dict[str, Any]]:
    """Return what makes up the prompt, in the order in which it is cached: tools, system, messages.

    A `cache_control` of the request itself is one of its last part.
    """
    parts = [*(request.get("tools") or ()), *blocks(request.get("system"))]
    for message in request["messages"]:
        parts += [{"role": message["role"], **block} for block in blocks(message["content"])]
    if request.get("cache_control"):
        parts[-1] = {"cache_control": request["cache_control"], **parts[-1]}
    return parts
