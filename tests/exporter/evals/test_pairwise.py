"""Pairwise comparison: both orders, the bias of the place shown, and a sign test."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from agentgauge.evals.history import Trial
from agentgauge.evals.judge import JudgeError
from agentgauge.evals.pairwise import PairJudge, Preferences, compare_pairs, paired
from agentgauge.evals.transcript import Said, TrialTranscript


def said(text: str) -> TrialTranscript:
    """A conversation in which the agent says this."""
    return TrialTranscript((Said("user", "Who?"), Said("agent", text)), 1, 0.01)


def by(choose: Callable[[str, str], str], folder: Path) -> PairJudge:
    """A judge that chooses by what stands in the first and in the second transcript."""

    def ask(prompt: str) -> Awaitable[tuple[str, float]]:
        async def answer() -> tuple[str, float]:
            first, _, second = prompt.partition("First transcript:")[2].partition("Second transcript:")
            return f"{choose(first, second)}. That is why.", 0.01

        return answer()

    return PairJudge(ask, "judge", folder)


def polite(first: str, second: str) -> str:
    """The one that says please; neither if both do, or none."""
    if ("please" in first) == ("please" in second):
        return "TIE"
    return "FIRST" if "please" in first else "SECOND"


PAIRS = [(said(f"Wait {number}."), said(f"Please wait {number}, please.")) for number in range(8)]


async def test_the_better_one_is_found_in_either_place(tmp_path: Path) -> None:
    """The same pairs the other way round have the other verdict; a judge that reads shows no bias."""
    judge = by(polite, tmp_path)
    made = await compare_pairs(judge, "is polite", PAIRS)
    assert (made.after, made.before, made.verdict) == (8, 0, "better")
    assert made.chance == pytest.approx(2 / 2**8)
    assert made.position_bias is not None
    assert made.position_bias.estimate == 0.5
    turned = await compare_pairs(judge, "is polite", [(new, old) for old, new in PAIRS])
    assert (turned.before, turned.verdict) == (8, "worse")


async def test_a_judge_that_always_takes_the_first_decides_nothing_and_is_shown_up(tmp_path: Path) -> None:
    """However many pairs there are."""
    made = await compare_pairs(by(lambda _first, _second: "FIRST", tmp_path), "is polite", PAIRS)
    assert (made.turned, made.pairs, made.verdict, made.preferred) == (8, 8, "no evidence", None)
    assert made.position_bias is not None
    assert made.position_bias.low > 0.5


async def test_equal_ones_are_equal(tmp_path: Path) -> None:
    """No choice, no bias, no evidence."""
    made = await compare_pairs(by(polite, tmp_path), "is polite", [(said("please"), said("please do"))])
    assert (made.ties, made.chance, made.verdict, made.position_bias) == (1, 1.0, "no evidence", None)


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [(0, 5, "no evidence"), (0, 6, "better"), (1, 8, "better"), (2, 8, "no evidence"), (9, 1, "worse")],
)
def test_the_sign_test_asks_for_more_than_chance(before: int, after: int, verdict: str) -> None:
    """Five of five is what a coin does once in sixteen."""
    assert Preferences(before, after, 0, 0, 0, 0, 0.0).verdict == verdict


async def test_the_same_pair_is_judged_once(tmp_path: Path) -> None:
    """Its answer is stored, without what was said."""
    judge = by(polite, tmp_path)
    assert (await compare_pairs(judge, "is polite", PAIRS[:1])).cost_usd == pytest.approx(0.02)
    assert (await compare_pairs(judge, "is polite", PAIRS[:1])).cost_usd == 0.0
    assert stored(tmp_path) == {"FIRST", "SECOND"}


def stored(folder: Path) -> set[str]:
    """The answers in a folder."""
    return {json.loads(file.read_text(encoding="utf-8"))["better"] for file in folder.iterdir()}


async def test_a_judge_that_says_neither_is_an_error(tmp_path: Path) -> None:
    """And no tie."""
    with pytest.raises(JudgeError, match="began with none of FIRST, SECOND, TIE"):
        await compare_pairs(by(lambda _first, _second: "Both", tmp_path), "is polite", PAIRS[:1])


def test_trials_are_paired_by_scenario_and_number() -> None:
    """What only one of the runs has is left out."""

    def trial(scenario: str, number: int, text: str) -> Trial:
        return Trial(scenario, number, 1.0, True, 1, 0.01, 0.0, 0.1, (), said(text).as_json())

    before = [trial("a", 1, "old 1"), trial("a", 2, "old 2"), trial("b", 1, "gone")]
    after = [trial("a", 2, "new 2"), trial("a", 1, "new 1"), trial("c", 1, "new")]
    assert [(old.output, new.output) for old, new in paired(before, after)] == [("old 2", "new 2"), ("old 1", "new 1")]
