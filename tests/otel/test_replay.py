"""Traces that others recorded of real agents, sent through the gateway: totals are those of who recorded them.

The tokens and the tools are what the corpus says, which was written by hand; the calls and the cost are worked out here
by a reader that knows nothing but the names of the convention.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.frameworks.figures import shown, total
from tests.otel.test_gateway import running

TRACES = sorted((Path(__file__).parent / "replay").glob("*.jsonl"))

USD: dict[str, dict[str, float]] = {
    "claude-haiku-4-5": {"input": 1, "cache_read": 0.1, "cache_write": 1.25, "output": 5},
    "gemini-2.5-flash": {"input": 0.3, "cache_read": 0.03, "cache_write": 0.3, "output": 2.5},
}
"""A million tokens."""


def recorded(path: Path) -> tuple[dict[str, Any] | None, list[dict[str, Any]]]:
    """What the corpus says is right, None if it says nothing, and the spans with their resources."""
    truth, *spans = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return truth["truth"], spans


def attributes(span: dict[str, Any]) -> dict[str, Any]:
    """Of one span, each as a plain value."""
    (scope,) = span["scopeSpans"]
    (only,) = scope["spans"]
    return {one["key"]: next(iter(one["value"].values())) for one in only["attributes"]}


def usage(said: dict[str, Any]) -> Counter[str] | None:
    """The tokens of a span by kind, if it is a model call; Claude Code has names of its own."""
    if said.get("gen_ai.operation.name") in ("chat", "generate_content"):
        name = "gen_ai.usage.{}_tokens"
        used = {kind: int(said.get(name.format(f"{kind}.input"), 0)) for kind in ("cache_read", "cache_write")}
        used["input"] = int(said[name.format("input")]) - sum(used.values())
        used["output"] = int(said[name.format("output")])
        return Counter(used)
    if said.get("span.type") == "llm_request":
        kinds = {"input": "input", "cache_read": "cache_read", "cache_write": "cache_creation", "output": "output"}
        return Counter({kind: int(said[f"{name}_tokens"]) for kind, name in kinds.items()})
    return None


@pytest.mark.parametrize("path", TRACES, ids=lambda path: path.stem)
@pytest.mark.parametrize("requests", [1, 5], ids=["one request", "five requests"])
def test_the_totals_are_those_of_the_recording(path: Path, requests: int) -> None:
    """However the spans are bundled."""
    truth, spans = recorded(path)
    with running() as door:
        for part in range(requests):
            size = -(-len(spans) // requests)
            body = {"resourceSpans": spans[part * size : (part + 1) * size]}
            assert door.client.post("/v1/traces", json=body).status_code == 200
        door.settle()
    said = [attributes(span) for span in spans]
    calls = [(one, used) for one in said if (used := usage(one)) is not None]
    usd = sum(
        USD[one["gen_ai.request.model"]][kind] * count / 1e6 for one, used in calls for kind, count in used.items()
    )
    if truth is None:
        used = sum((used for _, used in calls), Counter())
        tools = [one["tool_name"] for one in said if one.get("span.type") == "tool"]
        truth = {
            "tokens": {"input": used.total() - used["output"], "output": used["output"]},
            "tools": tools,
            "tool_errors": 0,
        }
    tokens: Counter[str] = Counter()
    for (_model, kind), count in shown(door.registry, "agent_llm_tokens_total").items():
        tokens["output" if kind == "output" else "input"] += int(count)
    tools_run = {tool: count for (tool, _), count in shown(door.registry, "agent_tool_calls_total").items()}
    assert tokens == truth["tokens"]
    assert tools_run == Counter(truth["tools"])
    assert total(door.registry, "agent_tool_errors_total") == truth["tool_errors"]
    assert total(door.registry, "agent_llm_calls_total") == len(calls)
    assert total(door.registry, "agent_llm_cost_usd_total") == pytest.approx(usd, abs=1e-12)
    assert total(door.registry, "agent_llm_usage_unknown_total") == 0
    assert total(door.registry, "agent_exporter_errors_total") == 0
