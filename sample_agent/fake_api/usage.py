"""What a call is billed: an estimate of its tokens, and which of them come from the prompt cache."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

from sample_agent.fake_api.conversation import Request
from sample_agent.fake_api.schema import prompt_parts

CHARACTERS_PER_TOKEN = 4
MIN_CACHED_TOKENS = {
    "claude-opus-4-5": 4096,
    "claude-opus-4-6": 4096,
    "claude-opus-4-7": 4096,
    "claude-haiku-4-5": 4096,
}
MIN_CACHED_TOKENS_OF_OTHERS = 1024
LOOK_BACK_PARTS = 20
MAX_ENTRIES = 10_000

Ttl = Literal["5m", "1h"]
TTL_SECONDS: dict[Ttl, float] = {"5m": 300.0, "1h": 3600.0}


@dataclass(frozen=True)
class InputUsage:
    """Tokens of a prompt, in disjoint kinds: uncached, read from the cache, and written to it by time to live."""

    uncached: int
    cache_read: int = 0
    written_5m: int = 0
    written_1h: int = 0

    def as_api(self, output_tokens: int) -> dict[str, Any]:
        """Return the `usage` object of an answer."""
        return {
            "input_tokens": self.uncached,
            "cache_creation_input_tokens": self.written_5m + self.written_1h,
            "cache_read_input_tokens": self.cache_read,
            "cache_creation": {
                "ephemeral_5m_input_tokens": self.written_5m,
                "ephemeral_1h_input_tokens": self.written_1h,
            },
            "output_tokens": output_tokens,
            "service_tier": "standard",
        }


@dataclass(frozen=True)
class _Prefix:
    """A beginning of the prompt: its digest, its length, and how long it shall be kept if it ends a cached part."""

    digest: bytes
    tokens: int
    ttl: Ttl | None


@dataclass(frozen=True)
class _Entry:
    ttl: Ttl
    expires_at: float


class PromptCache:
    """The prompt prefixes seen lately, the least recently used dropped beyond a fixed number."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()

    def account(self, request: Request) -> InputUsage:
        """Return what the prompt of a valid request is billed, and remember its cached parts."""
        prefixes = _prefixes(request)
        least = min_cached_tokens(request["model"])
        ends = [index for index, prefix in enumerate(prefixes) if prefix.ttl and prefix.tokens >= least]
        total = prefixes[-1].tokens
        read = self._longest_known(prefixes, ends)
        usage = InputUsage(uncached=total - max([read, *(prefixes[end].tokens for end in ends)]), cache_read=read)
        written_up_to = read
        for end in ends:
            prefix = prefixes[end]
            fresh = max(0, prefix.tokens - written_up_to)
            written_up_to += fresh
            if prefix.ttl == "1h":
                usage = replace(usage, written_1h=usage.written_1h + fresh)
            else:
                usage = replace(usage, written_5m=usage.written_5m + fresh)
            self._remember(prefix.digest, prefix.ttl or "5m")
        return usage

    def _longest_known(self, prefixes: list[_Prefix], ends: list[int]) -> int:
        """Return the tokens of the longest prefix that is cached, and keep it for another while.

        As in the real service, a prefix counts that ends at a breakpoint of this request or few parts before one.
        """
        candidates = {index for end in ends for index in range(max(0, end - LOOK_BACK_PARTS), end + 1)}
        for index in sorted(candidates, reverse=True):
            entry = self._entries.get(prefixes[index].digest)
            if entry and entry.expires_at > self._clock():
                self._remember(prefixes[index].digest, entry.ttl)
                return prefixes[index].tokens
        return 0

    def _remember(self, digest: bytes, ttl: Ttl) -> None:
        self._entries[digest] = _Entry(ttl, self._clock() + TTL_SECONDS[ttl])
        self._entries.move_to_end(digest)
        while len(self._entries) > MAX_ENTRIES:
            self._entries.popitem(last=False)


def min_cached_tokens(model: str) -> int:
    """Return how long a prompt has to be for this model to cache it."""
    return MIN_CACHED_TOKENS.get(re.sub(r"-\d{8}$", "", model), MIN_CACHED_TOKENS_OF_OTHERS)


def output_tokens(text: str, tool_inputs: list[str]) -> int:
    """Return about how many tokens an answer has."""
    return max(1, (len(text) + sum(map(len, tool_inputs))) // CHARACTERS_PER_TOKEN)


def _prefixes(request: Request) -> list[_Prefix]:
    """Return the prompt's prefixes, one per part; the model is part of what they are known by.

    Another `tool_choice` makes the messages another prompt, not the tools and the system prompt.
    """
    digest = hashlib.sha256(request["model"].encode())
    characters = 0
    prefixes = []
    choice = json.dumps(request.get("tool_choice"), sort_keys=True)
    for part in prompt_parts(request):
        if "role" in part:
            digest.update(choice.encode())
        text = json.dumps({key: value for key, value in part.items() if key != "cache_control"}, sort_keys=True)
        digest.update(text.encode())
        characters += len(text)
        control = part.get("cache_control")
        ttl: Ttl | None = control.get("ttl", "5m") if control else None
        prefixes.append(_Prefix(digest.digest(), max(1, characters // CHARACTERS_PER_TOKEN), ttl))
    return prefixes
