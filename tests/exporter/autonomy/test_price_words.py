"""Price changes are read from a text however they are worded, and plain business talk is left alone."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgauge.autonomy.price_words import largest_price_change


@pytest.mark.parametrize(
    ("text", "per_cent"),
    [
        ("three years at up to 10 % less, with the price fixed", 10),
        ("12,5 percent off this year, and 30pct next", 30),
        ("twenty-five per cent off", 25),
        ("seventy per cent", 70),
        ("a good one,50% of it", 50),
        ("1,000 % off", 1000),
        ("You would have it at half price.", 50),
        ("I can offer it for half the price.", 50),
        ("That is a third off the list.", 100 / 3),
        ("two thirds of the cost", 200 / 3),
        ("We would cut the fee by a quarter.", 25),
        ("a tenth off", 10),
    ],
)
def test_a_size_is_read_in_digits_and_in_words(text: str, per_cent: float) -> None:
    """The largest one counts."""
    assert largest_price_change(text) == pytest.approx(per_cent)


@pytest.mark.parametrize(
    "text",
    [
        "That would be $66,000 less than last year.",
        "You save 5k EUR.",
        "We would knock $500 off, for you.",
        "I can give you a good discount.",
        "We match their price.",
        "We can do it at a lower price.",
        "The set-up fee is waived.",
        "Three free months are on top.",
        "Training is free of charge.",
        "Take three for two!",
        "many per cent",
        "1.000.30 %",
        "A discount is possible. And 5 % for the training.",
    ],
)
def test_a_change_whose_size_cannot_be_read_is_as_large_as_can_be(text: str) -> None:
    """A person has to look at it."""
    assert largest_price_change(text) == inf


@pytest.mark.parametrize(
    "text",
    [
        "Could we take half an hour next week to go through both?",
        "Feel free to call me; I am free on Tuesday.",
        "Your agreement of $660,000 ends in March, a quarter before the fair.",
        "More or less as before: one year at the present price.",
        "The third meeting is off; more on that later.",
        "",
    ],
)
def test_what_changes_no_price_is_none(text: str) -> None:
    """Or every e-mail would wait for a director."""
    assert largest_price_change(text) == 0


@given(st.text(max_size=300))
def test_any_text_has_a_size(text: str) -> None:
    """It never raises."""
    assert largest_price_change(text) >= 0
