"""Compares a transcript with its scenario: each demand, and in one phrase what was wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from agentgauge.evals.scenario import Scenario
from agentgauge.evals.transcript import TrialTranscript


@dataclass(frozen=True)
class Check:
    """One demand; ``failure`` says why it was not met and is None if it was."""

    failure: str | None = None

    @property
    def met(self) -> bool:
        """Whether it was met."""
        return self.failure is None


def check(scenario: Scenario, transcript: TrialTranscript) -> list[Check]:
    """Every demand of the scenario, met or not."""
    called = [call.tool for call in transcript.calls]
    output = transcript.output.casefold()
    return [
        *_tools(scenario, called),
        *(_demand(tool not in called, f"forbidden tool {tool}") for tool in scenario.forbidden_tools),
        *_arguments(scenario, transcript),
        *(
            _demand(phrase.casefold() in output, f"phrase absent: “{phrase}”")
            for phrase in scenario.expected_output_contains
        ),
        *_limits(scenario, transcript),
    ]


Scorer = Callable[[Scenario, TrialTranscript], str | None]
"""A check of one's own: what is wrong with a trial, in a phrase, or None if nothing is."""


def scored(scorers: Mapping[str, Scorer], scenario: Scenario, transcript: TrialTranscript) -> list[Check]:
    """What the scorers say, each failure after the name of its scorer; raises what a scorer raises."""
    said = {name: scorer(scenario, transcript) for name, scorer in scorers.items()}
    return [Check(None if failure is None else f"{name}: {failure}") for name, failure in said.items()]


def score(checks: list[Check]) -> float:
    """The share of demands that were met, 0 to 1; 0 without a demand, because nothing was shown."""
    return sum(one.met for one in checks) / len(checks) if checks else 0.0


def usd(amount: float) -> str:
    """An amount as $0.10; a small one with more digits, so that it does not look like nothing."""
    if amount == 0 or amount >= 0.1:
        return f"${amount:.2f}"
    return f"${amount:.4f}" if amount >= 0.0001 else "< $0.0001"


def _demand(met: bool, failure: str) -> Check:
    return Check(None if met else failure)


def _tools(scenario: Scenario, called: list[str]) -> Iterator[Check]:
    expected = scenario.expected_tools
    missing, unexpected = Counter(expected) - Counter(called), Counter(called) - Counter(expected)
    if scenario.match != "subset":
        for tool in dict.fromkeys(expected):
            yield _demand(tool not in missing, f"missing tool {tool}")
    if scenario.match != "superset":
        yield _demand(not unexpected, f"unexpected tool {', '.join(unexpected)}")
    if scenario.match == "strict" and expected:
        # Missing tools were reported above; here the order of the others counts.
        wanted = [tool for tool in expected if tool in called]
        got = [tool for tool in called if tool in expected]
        yield _demand(got == wanted, _wrong_order(wanted, got))
    if sequence := scenario.expected_tool_sequence:
        got = [tool for tool in called if tool in sequence]
        yield _demand(_is_within(sequence, got), _wrong_order(sequence, got))


def _wrong_order(wanted: list[str], got: list[str]) -> str:
    return f"wrong order: expected {' → '.join(wanted)}, got {' → '.join(got) or 'none of them'}"


def _is_within(sequence: list[str], called: list[str]) -> bool:
    """Whether all of the tools were called, in this order, with any others in between."""
    rest = iter(called)
    return all(tool in rest for tool in sequence)


def _limits(scenario: Scenario, transcript: TrialTranscript) -> Iterator[Check]:
    turns, cost = scenario.max_turns, scenario.max_cost
    if turns is not None:
        yield _demand(transcript.turns <= turns, f"{transcript.turns} turns > {turns}")
    if cost is not None:
        yield _demand(transcript.cost_usd <= cost, f"{usd(transcript.cost_usd)} > {usd(cost)}")


def _arguments(scenario: Scenario, transcript: TrialTranscript) -> Iterator[Check]:
    for tool, expected in scenario.expected_arguments.items():
        calls = [call.arguments for call in transcript.calls if call.tool == tool]
        # The call with the fewest differences explains best what was wrong.
        differences = min(
            (_differences(tool, expected, call) for call in calls), key=len, default=[f"no call of {tool}"]
        )
        yield _demand(not differences, "; ".join(differences))


def _differences(tool: str, expected: Mapping[str, Any], got: Mapping[str, Any]) -> list[str]:
    return [
        f"{tool} got {name}={_short(got.get(name))}, expected {_short(value)}"
        for name, value in expected.items()
        if not _holds(got.get(name), value)
    ]


def _holds(got: Any, expected: Any) -> bool:
    """Whether an argument is as expected: a text holds the phrase, a list the entries, all else is equal."""
    if isinstance(expected, str) and isinstance(got, str):
        return expected.casefold() in got.casefold()
    if isinstance(expected, list) and isinstance(got, list):
        return all(any(_holds(one, entry) for one in got) for entry in expected)
    return bool(got == expected)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:59]}…"
