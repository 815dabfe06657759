"""Datasets of Inspect AI and promptfoo as scenarios, and runs as files that both can read.

`make test-formats` has the packages themselves read the files.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from agentgauge.agent_app import AgentApp
from agentgauge.evals.exporting import as_inspect, as_promptfoo
from agentgauge.evals.history import Run, Trial, Version, played
from agentgauge.evals.scenario import Scenario, ScenarioError
from agentgauge.evals.transcript import Called, Said, TrialTranscript

APP = AgentApp("bot", "sqlite://")
START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
RUN = Run("abc123abc123", "smoke", Version("1", "v2", played("large")), "abc", False, START, START, "failed")
TRANSCRIPT = TrialTranscript(
    (
        Said("user", "Who is at Globex?"),
        Called("look_up", {"account": "Globex"}, "no such account", ok=False),
        Said("approver", "look_up: approved"),
        Said("agent", "Nobody."),
    ),
    2,
    0.01,
)
TRIALS = [
    Trial(name, number, float(good), good, 2, 0.01, 0.0, 0.5, () if good else ("phrase absent",), TRANSCRIPT.as_json())
    for name in ("greeting", "look-up")
    for number, good in ((1, True), (2, name == "greeting"))
]


def loaded(path: Path, text: str) -> list[Scenario]:
    """The scenarios of a file with this text."""
    path.write_text(text, encoding="utf-8")
    return APP.load_scenarios(path)


SAMPLE = {"id": "capital", "input": "Capital of France?", "target": "Paris"}
TALK = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hi"},
    {"role": "user", "content": "Why?"},
]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("s.jsonl", json.dumps(SAMPLE)),
        ("s.json", json.dumps([SAMPLE])),
        ("s.csv", "id,input,target\ncapital,Capital of France?,Paris\n"),
    ],
)
def test_a_sample_of_inspect_is_a_scenario_whose_target_must_be_said(tmp_path: Path, name: str, text: str) -> None:
    """From any of its three formats."""
    (made,) = loaded(tmp_path / name, text)
    assert made == Scenario(name="capital", input="Capital of France?", expected_output_contains=["Paris"])


def test_the_users_messages_of_a_sample_are_the_turns(tmp_path: Path) -> None:
    """The agent has a system prompt of its own; a sample without an id is called by its place."""
    (made,) = loaded(tmp_path / "talk.json", json.dumps([{"input": TALK, "target": ["because"]}]))
    assert (made.name, made.input, made.turns) == ("talk_1", "Hi", ["Why?"])


def test_a_target_or_an_id_that_is_a_number_is_that_text(tmp_path: Path) -> None:
    """Also 0, which is a target like any other."""
    (made,) = loaded(tmp_path / "sum.json", json.dumps([{"id": 0, "input": "1 - 1?", "target": 0}]))
    assert (made.name, made.expected_output_contains) == ("0", ["0"])


@pytest.mark.parametrize(
    ("sample", "why"),
    [
        ({"input": "?", "target": ["Paris", "paris"]}, "sample 1: target: any of 2 phrases would do"),
        (
            {"input": "?", "target": "A", "choices": ["Paris", "Rome"]},
            "sample 1: choices: an agent is not asked to tick",
        ),
        ({"input": [{"role": "assistant", "content": "Hi"}], "target": "A"}, "the agent gives its own answers"),
        ({"input": ["Hi"], "target": "A"}, "input: expected a text, or messages with role and content"),
        (
            {"input": [{"role": "user", "content": [{"type": "image", "image": "a.png"}]}], "target": "A"},
            "a scenario can only say text",
        ),
        ({"input": "?", "target": "A", "files": {"a.txt": "x"}}, "files: they would be copied into a sandbox"),
        ({"input": "?", "target": "A", "setup": "ls"}, "setup: it would run in a sandbox"),
        ({"input": "?", "target": "A", "sandbox": "docker"}, "sandbox: an agent runs where its own tools run"),
        ({"input": "?"}, "sample 1: demands nothing, so every answer would pass"),
        ({"target": "Paris"}, "sample 1: input: Field required"),
    ],
)
def test_what_a_scenario_cannot_demand_of_a_sample_is_refused(tmp_path: Path, sample: dict[str, Any], why: str) -> None:
    """With its place: left out in silence, the suite would pass what the dataset fails."""
    with pytest.raises(ScenarioError, match=why):
        loaded(tmp_path / "s.json", json.dumps([sample]))


def promptfoo(*asserts: dict[str, Any], **variables: str) -> str:
    """A configuration with one test."""
    test = {"description": "capital", "vars": variables or {"question": "Capital of France?"}, "assert": list(asserts)}
    return yaml.safe_dump({"prompts": ["{{question}}"], "providers": ["echo"], "tests": [test]})


def test_a_test_of_promptfoo_is_a_scenario_with_its_assertions(tmp_path: Path) -> None:
    """Phrases, a rubric for the judge, and the cost."""
    asserts: list[dict[str, Any]] = [
        {"type": "icontains", "value": "Paris"},
        {"type": "contains-all", "value": ["France", "Seine"]},
        {"type": "llm-rubric", "value": "is polite"},
        {"type": "cost", "threshold": 0.01},
    ]
    (made,) = loaded(tmp_path / "promptfooconfig.yaml", promptfoo(*asserts))
    assert (made.name, made.input, made.max_cost, made.judge) == ("capital", "Capital of France?", 0.01, "is polite")
    assert made.expected_output_contains == ["Paris", "France", "Seine"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (promptfoo({"type": "javascript", "value": "1"}), "test 1: assert: a scenario cannot demand 'javascript'"),
        (promptfoo({"type": "contains", "value": "a"}, x="1", y="2"), "test 1: vars: expected one text"),
        ("tests: file://tests.csv\n", "tests: expected a list of tests"),
        (
            f"defaultTest:\n  assert: [{{type: contains, value: a}}]\n{promptfoo({'type': 'contains', 'value': 'a'})}",
            "defaultTest: it is not read; write what it says into each test",
        ),
        (promptfoo({"type": "contains", "value": "a", "weight": 0}), "test 1: assert: weight: not read"),
        (promptfoo({"type": "contains", "value": "{{city}}"}), "'{{city}}' stands for another text; write that"),
        (promptfoo({"type": "contains", "value": "a"}, q="file://q.txt"), "'file://q.txt' stands for another text"),
        ("tests: [{vars: {q: x}, threshold: 0.5, assert: [{type: contains, value: a}]}]\n", "test 1: threshold: not"),
        ("tests: [{vars: {q: x}, assert: [contains]}]\n", "test 1: assert: expected fields, such as metric"),
    ],
)
def test_what_a_scenario_cannot_demand_of_a_test_is_refused(tmp_path: Path, text: str, why: str) -> None:
    """With its place and what there is instead."""
    with pytest.raises(ScenarioError, match=why):
        loaded(tmp_path / "p.yaml", text)


def test_two_samples_of_one_id_are_refused(tmp_path: Path) -> None:
    """As two scenarios of one name are."""
    with pytest.raises(ScenarioError, match="another scenario is called 'capital'"):
        loaded(tmp_path / "s.json", json.dumps([SAMPLE, SAMPLE]))


def test_a_run_for_inspect_has_a_sample_a_trial(tmp_path: Path) -> None:
    """The trials of a scenario are its epochs, calls stand beside their results, and played answers are called that."""
    log = as_inspect(RUN, TRIALS)
    assert [(one["id"], one["epoch"], one["scores"]["agentgauge"]["value"]) for one in log["samples"]] == [
        ("greeting", 1, "C"),
        ("greeting", 2, "C"),
        ("look-up", 1, "C"),
        ("look-up", 2, "I"),
    ]
    assert log["results"]["scores"][0]["metrics"]["accuracy"]["value"] == 0.75
    assert log["eval"]["metadata"]["answers"] == "played"
    user, call, result, approver, agent = log["samples"][0]["messages"]
    assert (user["role"], approver["role"], agent["content"]) == ("user", "user", "Nobody.")
    assert call["tool_calls"][0]["id"] == result["tool_call_id"]
    assert result["error"]["message"] == "no such account"


def test_a_run_for_promptfoo_has_a_result_a_trial() -> None:
    """One prompt, which is the version; a row a trial, because of rows with one number promptfoo shows the last."""
    results = as_promptfoo(RUN, TRIALS)["results"]
    assert [(one["testIdx"], one["repeatIndex"], one["success"]) for one in results["results"]] == [
        (0, 0, True),
        (1, 1, True),
        (2, 0, True),
        (3, 1, False),
    ]
    assert results["stats"]["successes"] == 3
    assert results["prompts"][0]["label"] == str(RUN.version)
