"""Agents that delegate to agents, five deep, and what each of them used as the provider knows it.

Each names itself in what it asks. The provider answers with a usage that nobody can guess, and notes whose it was.
"""

from __future__ import annotations

import json
import random
import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from prometheus_client import CollectorRegistry

from sample_agent.serving import serving
from tests.frameworks.figures import shown, total
from tests.frameworks.provider import Json, Provider

DEPTH = 5
AT_ONCE = 8

ROOT = "desk"
"""The agent itself; each of ``level-1`` … ``level-5`` has a helper beside it, ``side-1`` …"""

USD = {"input": 2e-6, "cache_read": 0.2e-6, "cache_write_5m": 2.5e-6, "output": 10e-6}
"""The prices of gpt-6-sol, a token."""


def helpers(name: str) -> tuple[str, ...]:
    """To whom an agent delegates."""
    if name.startswith("side-"):
        return ()
    level = 0 if name == ROOT else int(name.rpartition("-")[2])
    return (f"side-{level + 1}", f"level-{level + 1}") if level < DEPTH else ()


def introduction(name: str) -> str:
    """What an agent says of itself whenever it asks."""
    return f"I am {name}."


@dataclass
class Delegating(Provider):
    """Lets an agent call each of the tools that it has, one after another, before it has an answer."""

    noting: threading.Lock = field(default_factory=threading.Lock)
    seed: int = field(default_factory=lambda: random.SystemRandom().randrange(2**32))
    calls: Counter[str] = field(default_factory=Counter)
    tokens: Counter[str] = field(default_factory=Counter)
    usd: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        print(f"the usage is made with {self.seed=}")  # noqa: T201 - pytest shows it for a test that fails
        self._rng = random.Random(self.seed)  # noqa: S311 - a seed makes the usage repeatable

    def next_tool(self, ask: Json) -> tuple[str, Json] | None:
        """The first that has not answered yet."""
        done = sum(message["role"] == "tool" for message in ask["messages"])
        tools = ask.get("tools") or []
        return (tools[done]["function"]["name"], {"input": "When?"}) if done < len(tools) else None

    def usage_of(self, ask: Json) -> Json:
        """Noted for the agent that asks."""
        (name,) = set(re.findall(r"I am ([\w-]+)\.", json.dumps(ask)))
        made = self._rng
        used = {
            "input": made.randint(1, 9_999),
            "cache_read": made.randint(0, 50_000),
            "cache_write_5m": made.randint(0, 999),
            "output": made.randint(1, 999),
        }
        usd = sum(count * USD[kind] for kind, count in used.items())
        with self.noting:
            self.calls[name] += 1
            self.tokens[name] += sum(used.values())
            self.usd[name] = self.usd.get(name, 0) + usd
        prompt = used["input"] + used["cache_read"] + used["cache_write_5m"]
        details = {"cached_tokens": used["cache_read"], "cache_write_tokens": used["cache_write_5m"]}
        return {
            "prompt_tokens": prompt,
            "completion_tokens": used["output"],
            "total_tokens": prompt + used["output"],
            "prompt_tokens_details": details,
        }

    def check(self, registry: CollectorRegistry) -> None:
        """Each subagent has what it used itself, and all of them and the agent together what the totals say."""
        subagents = {f"{kind}-{level}" for kind in ("level", "side") for level in range(1, DEPTH + 1)}
        assert set(self.calls) == {ROOT, *subagents}
        for metric, noted in (("calls", self.calls), ("tokens", self.tokens), ("cost_usd", self.usd)):
            series = shown(registry, f"agent_subagent_{metric}_total")
            assert series == pytest.approx({(name,): noted[name] for name in subagents}, abs=1e-6), metric
            whole = total(registry, f"agent_llm_{metric}_total")
            assert sum(series.values()) + noted[ROOT] == pytest.approx(whole, abs=1e-6), metric
        assert total(registry, "agent_exporter_errors_total") == 0


@contextmanager
def delegating() -> Iterator[tuple[Delegating, str]]:
    """The provider, and where it answers."""
    provider = Delegating()
    with serving(provider.app()) as url:
        yield provider, f"{url}/v1"
