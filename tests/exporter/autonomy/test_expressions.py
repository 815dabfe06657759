"""Regular expressions in a policy: which are taken, and that none of those takes for ever."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from agentgauge.autonomy.expressions import LONGEST_EXPRESSION, check_expression
from agentgauge.autonomy.policy import LONGEST_SEARCHED, Condition

EXPLODING = [r"(a+)+$", r"(a|a)*$", r"(a?a?)*$", r"(?P<n>(\w+\s?)*)$", r"(?=(a+)+$)a", r"(a{1,9}){30}$", r"(?:a*?b?)*$"]


@pytest.mark.parametrize("expression", EXPLODING)
def test_what_can_take_for_ever_is_refused_with_what_to_write(expression: str) -> None:
    """The agent would wait for it, with everybody who talks to it."""
    with pytest.raises(ValueError, match="possessive or atomic"):
        check_expression(expression)


def test_one_of_those_does_take_for_ever() -> None:
    """Or there would be nothing to refuse."""
    search = f"import re; re.search({EXPLODING[0]!r}, 'a' * 60 + 'b')"
    with pytest.raises(subprocess.TimeoutExpired):
        subprocess.run([sys.executable, "-c", search], timeout=1, check=True)


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        (r"(\d+(?:[.,]\d+)?)\s*(?:%|per ?cent)", "25 per cent"),
        (r"(?:\w++\s?+)*!", "take it or leave it!"),
        (r"(?>half|third)+", "half"),
        (r"(?:[a-z]{3}){2,4}", "discount"),
        (r"free|gratis", "for free"),
    ],
)
def test_what_policies_need_is_taken(expression: str, text: str) -> None:
    """Numbers with a unit, words, choices; what repeats is possessive or atomic inside."""
    check_expression(expression)
    assert re.search(expression, text)


@pytest.mark.parametrize("expression", ["[", "(" * 400, r"\\UFFFFFFFF"[1:], "x" * (LONGEST_EXPRESSION + 1)])
def test_what_is_no_expression_is_a_mistake_of_its_writer(expression: str) -> None:
    """And no other error."""
    with pytest.raises(ValueError, match=r"is not a valid regular expression|is longer than"):
        check_expression(expression)


def test_a_text_that_is_too_long_to_search_meets_the_rule() -> None:
    """Nobody gets around a rule by writing more."""
    condition = Condition(arguments=["body"], matches="refund")
    assert not condition.holds({"body": "x" * LONGEST_SEARCHED})
    assert condition.holds({"body": "x" * (LONGEST_SEARCHED + 1)})
