"""What holds of the checks whatever the scenario and the agent: each demand can be met, and is missed if it is not."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import combinations
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from agentgauge.evals.checks import check, score
from agentgauge.evals.scenario import Scenario
from agentgauge.evals.transcript import Called, Said, TrialTranscript

TOOLS = ("a", "b", "c")
tools = st.lists(st.sampled_from(TOOLS), max_size=4)
some_tools = st.lists(st.sampled_from(TOOLS), min_size=1, max_size=4)
phrases = st.lists(st.sampled_from(["Globex", "ARR", "renewal"]), min_size=1, unique=True)
DEMANDS: dict[str, st.SearchStrategy[Any]] = {
    "expected_tools": some_tools,
    "expected_tool_sequence": some_tools,
    "expected_output_contains": phrases,
    "max_turns": st.integers(1, 9),
    "max_cost": st.floats(0.01, 1),
}
"""The fields of a scenario that demand something."""
demands = st.sets(st.sampled_from(sorted(DEMANDS)), min_size=1).flatmap(
    lambda names: st.fixed_dictionaries({name: DEMANDS[name] for name in sorted(names)})
)


def scenario(**fields: Any) -> Scenario:
    """A scenario with these demands."""
    return Scenario.model_validate({"name": "n", "input": "i", **fields})


def transcript(called: list[str], output: str = "", turns: int = 1, cost: float = 0.001) -> TrialTranscript:
    """A trial in which the agent called these tools, then said this."""
    return TrialTranscript((*(Called(tool, {}, "") for tool in called), Said("agent", output)), turns, cost)


def met(wanted: Scenario, done: TrialTranscript) -> bool:
    """Whether the trial passes."""
    return all(one.met for one in check(wanted, done))


def dutiful(fields: dict[str, Any]) -> TrialTranscript:
    """A trial that meets all of the demands."""
    called = [*fields.get("expected_tool_sequence", ()), *fields.get("expected_tools", ())]
    return transcript(called, " ".join(fields.get("expected_output_contains", ())))


@given(demands)
def test_an_agent_that_does_all_that_is_demanded_passes(fields: dict[str, Any]) -> None:
    """Whichever fields stand together, or alone."""
    assert met(scenario(**fields), dutiful(fields))


@given(demands, st.data())
def test_one_demand_missed_fails_whatever_stands_beside_it(fields: dict[str, Any], data: st.DataObject) -> None:
    """No field hides behind another."""
    done = dutiful(fields)
    match data.draw(st.sampled_from(sorted(fields))):
        case "max_turns":
            done = replace(done, turns=fields["max_turns"] + 1)
        case "max_cost":
            done = replace(done, cost_usd=fields["max_cost"] * 1.01)
        case "expected_output_contains":
            done = replace(done, steps=tuple(step for step in done.steps if isinstance(step, Called)))
        case name:
            gone = data.draw(st.sampled_from(fields[name]))
            done = replace(done, steps=tuple(step for step in done.steps if getattr(step, "tool", None) != gone))
    assert not met(scenario(**fields), done)


@given(some_tools, tools)
def test_a_sequence_is_met_exactly_if_it_can_be_picked_out_of_the_calls(sequence: list[str], called: list[str]) -> None:
    """Held against the plainest way to say so: some choice of the calls, in their order, is the sequence."""
    picked = any(list(choice) == sequence for choice in combinations(called, len(sequence)))
    assert met(scenario(expected_tool_sequence=sequence), transcript(called)) == picked


@given(tools, tools)
def test_each_way_to_match_is_a_comparison_of_bags(expected: list[str], called: list[str]) -> None:
    """At least these, at most these, exactly these in any order, exactly these in this order."""
    want, got = Counter(expected), Counter(called)
    right = {"subset": got <= want, "unordered": got == want, "superset": got >= want}
    for match, is_right in right.items():
        assume(expected or match != "superset")
        assert met(scenario(expected_tools=expected, match=match), transcript(called)) == is_right
    if met(scenario(expected_tools=expected, match="strict"), transcript(called)):
        assert called == expected


@given(demands, tools)
def test_the_score_is_one_exactly_if_the_trial_passes(fields: dict[str, Any], called: list[str]) -> None:
    """And never outside of 0 to 1."""
    checked = check(scenario(**fields), transcript(called, "Globex", turns=3, cost=0.2))
    assert 0 <= score(checked) <= 1
    assert (score(checked) == 1) == all(one.met for one in checked)
