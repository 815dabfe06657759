"""A request to a model as its recording knows it: what it depends on, and how it differs from another one.

Nothing of what users wrote is kept unless asked: messages are hashes. Headers, and with them keys, are never read.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ABOUT_THE_CALLER = ("metadata", "user", "safety_identifier")
"""Fields of a body that say who asks, and change nothing in the answer."""
PROMPT_ROLES = ("system", "developer")


@dataclass(frozen=True)
class RecordedRequest:
    """What an answer depends on; two requests with the same ``key`` are the same.

    ``prompt`` is the system prompt, ``tools`` name → definition as JSON, ``messages`` role and hash of each or, where
    texts are kept, the message; ``settings`` all else, such as the temperature.
    """

    key: str
    path: str
    model: str
    prompt: str
    tools: Mapping[str, str]
    messages: tuple[str, ...]
    settings: Mapping[str, str]

    @classmethod
    def of(cls, path: str, body: Mapping[str, Any], *, keep_texts: bool = False) -> RecordedRequest:
        """Read a request of the Messages API, Chat Completions or Responses."""
        body = {name: value for name, value in body.items() if name not in ABOUT_THE_CALLER}
        said = body.get("messages", body.get("input", ()))
        messages = [{"role": "user", "content": said}] if isinstance(said, str) else list(said)
        prompts = [body.get("system", body.get("instructions"))]
        prompts += [one.get("content") for one in messages if one.get("role") in PROMPT_ROLES]
        rest = [one for one in messages if one.get("role") not in PROMPT_ROLES]
        apart = ("model", "system", "instructions", "messages", "input", "tools")
        return cls(
            key=_hash(f"{path} {_json(body)}"),
            path=path,
            model=str(body.get("model", "")),
            prompt="\n\n".join(one if isinstance(one, str) else _json(one) for one in prompts if one),
            tools={_name(tool): _json(tool) for tool in body.get("tools") or ()},
            messages=tuple(_json(one) if keep_texts else f"{one.get('role')} {_hash(_json(one))[:12]}" for one in rest),
            settings={name: _json(value) for name, value in body.items() if name not in apart},
        )

    def differences(self, other: RecordedRequest) -> list[str]:
        """In what ``other`` differs, most important first, a phrase each; empty if in nothing that is kept."""
        differences = []
        if self.model != other.model:
            differences.append(f"model {self.model} → {other.model}")
        if self.prompt != other.prompt:
            changes = difflib.unified_diff(self.prompt.splitlines(), other.prompt.splitlines(), lineterm="", n=0)
            lines = [line for line in changes if line[:3] not in ("---", "+++") and line[:2] != "@@"]
            differences.append(f"system prompt: {' / '.join(lines[:4])}{' …' if len(lines) > 4 else ''}")
        for name in sorted({*self.tools, *other.tools}):
            if self.tools.get(name) != other.tools.get(name):
                what = "new" if name not in self.tools else "gone" if name not in other.tools else "changed"
                differences.append(f"tool {name} {what}")
        if self.messages != other.messages:
            same = sum(1 for one, two in zip(self.messages, other.messages, strict=False) if one == two)
            differences.append(
                f"messages: {same} of {len(other.messages)} as recorded, where there were {len(self.messages)}"
            )
        for name in sorted({*self.settings, *other.settings}):
            if self.settings.get(name) != other.settings.get(name):
                differences.append(f"{name} {self.settings.get(name, 'absent')} → {other.settings.get(name, 'absent')}")
        return differences


def _name(tool: Mapping[str, Any]) -> str:
    function = tool.get("function")
    return str(tool.get("name") or (function.get("name") if isinstance(function, dict) else None) or tool.get("type"))


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
