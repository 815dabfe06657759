"""A transcript held against its scenario: what counts, and the phrase that says what was wrong."""

from __future__ import annotations

from typing import Any

import pytest

from agentgauge.evals.checks import check, score
from agentgauge.evals.scenario import Scenario, ToolMatch
from agentgauge.evals.transcript import Called, Said, TrialTranscript


def failures(
    called: list[str] | list[Called], output: str = "Globex", turns: int = 3, cost: float = 0.02, **fields: Any
) -> list[str]:
    """What is wrong with a trial that called these tools and said this."""
    scenario = Scenario.model_validate(
        {
            "name": "n",
            "input": "i",
            "expected_tools": [],
            "expected_output_contains": [],
            "max_turns": 4,
            "max_cost": 0.1,
            **fields,
        }
    )
    calls = [Called(one, {}, "") if isinstance(one, str) else one for one in called]
    transcript = TrialTranscript(
        (Said("user", "the user says nothing that counts"), *calls, Said("agent", output)), turns, cost
    )
    return [one.failure for one in check(scenario, transcript) if one.failure is not None]


@pytest.mark.parametrize(
    ("match", "called", "wrong"),
    [
        ("superset", ["a", "b"], []),
        ("superset", ["b", "x", "a", "a"], []),
        ("superset", ["a"], ["missing tool b"]),
        ("subset", ["b"], []),
        ("subset", [], []),
        ("subset", ["a", "a"], ["unexpected tool a"]),
        ("unordered", ["b", "a"], []),
        ("unordered", ["b", "a", "x"], ["unexpected tool x"]),
        ("unordered", ["b"], ["missing tool a"]),
        ("strict", ["a", "b"], []),
        ("strict", ["b", "a"], ["wrong order: expected a → b, got b → a"]),
        ("strict", ["a"], ["missing tool b"]),
    ],
)
def test_tools_match_as_the_mode_says(match: ToolMatch, called: list[str], wrong: list[str]) -> None:
    """Of the expected a and b."""
    assert failures(called, expected_tools=["a", "b"], match=match) == wrong


@pytest.mark.parametrize(
    ("called", "wrong"),
    [
        (["a", "x", "b"], []),
        (["b", "a", "b"], []),
        (["b", "x", "a"], ["wrong order: expected a → b, got b → a"]),
        (["a"], ["wrong order: expected a → b, got a"]),
        ([], ["wrong order: expected a → b, got none of them"]),
    ],
)
def test_a_sequence_is_all_of_its_tools_in_this_order_with_others_in_between(
    called: list[str], wrong: list[str]
) -> None:
    """It stands alone: nothing else has to demand the same tools."""
    assert failures(called, expected_tool_sequence=["a", "b"]) == wrong


def test_a_tool_that_the_sequence_holds_twice_must_be_called_twice() -> None:
    """As with the expected tools."""
    assert failures(["a", "b", "a"], expected_tool_sequence=["a", "a"]) == []
    assert failures(["a", "b"], expected_tool_sequence=["a", "a"]) == ["wrong order: expected a → a, got a"]


def test_a_tool_expected_twice_must_be_called_twice() -> None:
    """A rejected draft that is never tried again is not done."""
    assert failures(["a"], expected_tools=["a", "a"]) == ["missing tool a"]
    assert failures(["a", "a"], expected_tools=["a", "a"]) == []


def test_a_forbidden_tool_must_not_be_called() -> None:
    """Not even among the right ones."""
    assert failures(["a", "b"], expected_tools=["a"], forbidden_tools=["b"]) == ["forbidden tool b"]


def test_phrases_are_looked_for_in_what_the_agent_said_in_any_case() -> None:
    """What the user said does not count."""
    assert failures([], output="The ARR of globex", expected_output_contains=["Globex", "arr"]) == []
    wrong = failures([], output="Nothing", expected_output_contains=["user", "renewal"])
    assert wrong == ["phrase absent: “user”", "phrase absent: “renewal”"]


def test_turns_and_cost_have_a_bound_that_is_itself_allowed() -> None:
    """Said with both numbers."""
    assert failures([], turns=4, cost=0.1) == []
    assert failures([], turns=5, cost=0.12) == ["5 turns > 4", "$0.12 > $0.10"]


@pytest.mark.parametrize(
    ("arguments", "wrong"),
    [
        ({"to": "jane@globex", "body": "Your RENEWAL in March"}, []),
        ({"to": "jane@globex", "body": "Hello", "cc": "bob"}, ["a got body='Hello', expected 'renewal'"]),
        ({"body": "renewal"}, ["a got to=None, expected 'jane@globex'"]),
    ],
)
def test_arguments_hold_what_is_expected_of_them(arguments: dict[str, str], wrong: list[str]) -> None:
    """A text holds the phrase; what is not named may be anything; the closest of several calls counts."""
    calls = [Called("a", {}, ""), Called("a", arguments, "")]
    expected = {"a": {"to": "jane@globex", "body": "renewal"}}
    assert failures(calls, expected_tools=["a"], expected_arguments=expected) == wrong


def test_a_list_holds_the_expected_entries_in_any_order() -> None:
    """Five accounts are one call."""
    expected = {"a": {"accounts": ["Globex", "Hooli"]}}
    assert failures([Called("a", {"accounts": ["hooli", "acme", "globex"]}, "")], expected_arguments=expected) == []
    both = [Called("a", {"accounts": ["Globex"]}, ""), Called("a", {"accounts": ["Hooli"]}, "")]
    assert len(failures(both, expected_arguments=expected)) == 1
    assert failures([], expected_arguments=expected) == ["no call of a"]


def test_the_score_is_the_share_of_demands_met() -> None:
    """So that worse and better can be told apart among failures."""
    scenario = Scenario(
        name="n", input="i", expected_tools=["a"], expected_output_contains=["x"], max_turns=1, max_cost=1
    )
    assert score(check(scenario, TrialTranscript((Called("a", {}, ""),), 2, 0.5))) == 0.5


def test_a_transcript_survives_its_way_through_json() -> None:
    """As it is kept in the ledger."""
    transcript = TrialTranscript(
        (Said("user", "hi"), Called("a", {"x": 1}, "r", False), Said("approver", "no")), 2, 0.5
    )
    assert TrialTranscript.from_json(transcript.as_json()) == transcript
