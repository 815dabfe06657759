"""Writes decisions as files: examples and preference pairs to learn from, and a scenario for each rejection.

The files contain what users wrote, so only their owner can read them.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from agentgauge.autonomy.action import Action
from agentgauge.feedback.conversation import messages_before, tools_called, user_texts
from agentgauge.feedback.themes import theme_of
from agentgauge.files.private_file import write_private

EXAMPLES = "positive_examples.jsonl"
PREFERENCES = "preference_pairs.jsonl"
SHADOW = "shadow_pairs.jsonl"
SCENARIOS = "scenarios.yml"

MAX_TURNS, MAX_COST_USD = 6, 0.15
"""Of a scenario, for each message of its user."""


def export(
    folder: Path, decided: Iterable[Action], compared: Iterable[Action], tools: Collection[str]
) -> dict[str, int]:
    """Write the files, in place of those that are there; returns how many entries each has, by file name.

    ``tools`` are those that a scenario may expect. Raises OSError when a file cannot be written.
    """
    decided = list(decided)
    lines = {
        EXAMPLES: [positive_example(action) for action in decided if action.decision == "approved"],
        PREFERENCES: [preference_pair(action) for action in decided if action.decision == "edited"],
        SHADOW: [shadow_pair(action) for action in compared],
    }
    scenarios = scenarios_of((action for action in decided if action.decision == "rejected"), tools)
    folder.mkdir(parents=True, exist_ok=True)
    for name, entries in lines.items():
        write_private(folder / name, "".join(f"{json.dumps(entry, ensure_ascii=False)}\n" for entry in entries))
    write_private(folder / SCENARIOS, yaml.safe_dump(scenarios, sort_keys=False, allow_unicode=True, width=120))
    return {**{name: len(entries) for name, entries in lines.items()}, SCENARIOS: len(scenarios)}


def positive_example(action: Action) -> dict[str, Any]:
    """A conversation and the call that people approved in it."""
    return {**_origin(action), "arguments": action.proposal.arguments}


def preference_pair(action: Action) -> dict[str, Any]:
    """A conversation, the arguments that a person chose in it, and those that they replaced."""
    return {
        **_origin(action),
        "chosen": action.final_arguments,
        "rejected": action.proposal.arguments,
        "reason": action.reason,
    }


def shadow_pair(action: Action) -> dict[str, Any]:
    """A conversation, what the agent suggested in it, and what a person did; null if they did something unrelated."""
    return {
        **_origin(action),
        "suggested": action.proposal.arguments if action.real is None else action.shown,
        "done": action.decided_arguments if action.real is None else action.real.effect,
        "match": action.shadow_match,
        "difference": action.difference,
    }


def scenarios_of(rejected: Iterable[Action], tools: Collection[str]) -> list[dict[str, Any]]:
    """A scenario for each rejected request; the same request rejected again for the same reason is left out."""
    scenarios: dict[tuple[str, ...], dict[str, Any]] = {}
    for action in rejected:
        scenario = scenario_of(action, tools)
        lesson = (action.proposal.tool, theme_of(action.reason).name, *user_texts(action))
        if scenario is not None and lesson not in scenarios:
            scenarios[lesson] = scenario
    return list(scenarios.values())


def scenario_name(action: Action) -> str:
    """What the scenario of a rejection or an edit is called."""
    return f"{action.decision}_{action.proposal.tool}_{action.id}"


def scenario_of(action: Action, tools: Collection[str]) -> dict[str, Any] | None:
    """The scenario of a rejected or edited action, whose demand is that nobody objects again.

    None if no conversation was stored. ``tools`` are those that a scenario may expect.
    """
    texts = user_texts(action)
    if not texts:
        return None
    tool, reason = action.proposal.tool, action.reason
    unwanted = [tool] if action.decision == "rejected" and theme_of(reason).name == "not wanted" else []
    called = [name for name in tools_called(action) if name in tools and name not in unwanted]
    scenario: dict[str, Any] = {
        "name": scenario_name(action),
        "input": texts[0],
        "turns": texts[1:],
        "expected_tools": called,
        "forbidden_tools": unwanted,
        "expected_output_contains": [],
        "max_turns": MAX_TURNS * len(texts),
        "max_cost": MAX_COST_USD * len(texts),
        # Whichever of them wait are approved, so that the conversation comes to its end.
        "approvals": ["approve"] * len(called),
        "tags": [action.decision],
    }
    if reason:
        scenario["judge"] = f"Never give a reviewer of {tool} cause to say again: “{reason}”."
    needed = ("expected_tools", "expected_output_contains")
    return {field: value for field, value in scenario.items() if value or field in needed}


def demands(tool: str, expected: Mapping[str, Any], rule: str) -> dict[str, Any]:
    """What the scenario of an edit demands: arguments, where the edits agree on them, or else what a judge reads."""
    if expected:
        return {"expected_arguments": {tool: dict(expected)}}
    return {"judge": f"Every call of {tool} keeps to this rule: {rule}"}


def _origin(action: Action) -> dict[str, Any]:
    proposal = action.proposal
    return {
        "action": action.id,
        "tool": proposal.tool,
        "version": proposal.version,
        "prompt_version": proposal.prompt_version,
        "model": proposal.model,
        "messages": messages_before(action),
    }
