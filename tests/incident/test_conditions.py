"""The conditions of a runbook's readings: each form, on rows that it holds for and on rows that it does not."""

from __future__ import annotations

import math

import pytest

from agentgauge.incident.conditions import ConditionError, Row, Rows, parse


def _rows(*values: float, label: str = "tool", **named: float) -> Rows:
    unnamed = [Row({}, value) for value in values]
    return [*unnamed, *(Row({label: name}, value) for name, value in named.items())]


@pytest.mark.parametrize(
    ("condition", "holds_for", "not_for"),
    [
        ("otherwise", _rows(), None),
        ("no rows", _rows(), _rows(0.0)),
        ("only NaN", _rows(math.nan), _rows(math.nan, 0.0)),
        ("only NaN", _rows(math.nan), _rows()),
        ("any Inf", _rows(1.0, math.inf), _rows(1.0, math.nan)),
        ("max > 2", _rows(3.0, math.inf), _rows(1.0, math.inf)),
        ("rows >= 2", _rows(0.0, 0.0), _rows(5.0)),
        ("rows == 1", _rows(math.nan), _rows(1.0, 1.0)),
        ("max > 2", _rows(1.0, 2.1, math.nan), _rows(2.0, math.nan)),
        ("max < 2", _rows(1.0), _rows()),
        ("min <= 0.5", _rows(0.5, 9.0), _rows(0.6)),
        ("sum >= 3", _rows(1.0, 2.0), _rows(1.0, 1.0)),
        ("one row < 0.9", _rows(0.8, 0.9, math.nan), _rows(0.8, 0.8)),
        ("several rows < 0.9", _rows(0.8, 0.8, 1.0), _rows(0.8, 1.0)),
        ("every row == 1", _rows(1.0, 1.0, math.nan), _rows(1.0, 0.0)),
        ("every row == 1", _rows(1.0), _rows()),
        ("any tool in (search, http_5*)", _rows(other=9.0, http_503=1.0), _rows(other=9.0, http_503=0.0)),
        ("top tool in (search)", _rows(search=3.0, other=2.0), _rows(search=2.0, other=3.0)),
        ("top tool in (search)", _rows(search=3.0), _rows()),
        ("every tool in (search, fetch)", _rows(search=1.0, fetch=1.0, other=0.0), _rows(search=1.0, other=1.0)),
        ("every tool in (search)", _rows(search=1.0), _rows(other=0.0)),
        ("one tool", _rows(search=1.0, other=0.0), _rows(search=1.0, other=1.0)),
        ("several tool", _rows(search=1.0, other=1.0), _rows(search=1.0, other=0.0)),
        ("share of tool in (search) > 0.5", _rows(search=3.0, other=2.0), _rows(search=1.0, other=1.0)),
        ("share of tool in (search) < 0.5", _rows(other=2.0), _rows(search=0.0)),
        ("max > 2 and rows == 1", _rows(3.0), _rows(3.0, 3.0)),
        ("max > 2 or no rows", _rows(), _rows(1.0)),
        ("max > 2 and rows == 1 or no rows", _rows(), _rows(3.0, 3.0)),
    ],
)
def test_a_condition_holds_or_does_not(condition: str, holds_for: Rows, not_for: Rows | None) -> None:
    """NaN and infinities are no numbers: they are counted as rows and compared with nothing."""
    assert parse(condition).holds(holds_for)
    assert not_for is None or not parse(condition).holds(not_for)


@pytest.mark.parametrize(
    "text",
    ["", "max", "max => 2", "max > a", "rows in (a)", "any tool in ()", "no  rows", "otherwise or", "max > 2, min < 1"],
)
def test_anything_else_is_refused(text: str) -> None:
    """A slip is not taken for a condition that never holds."""
    with pytest.raises(ConditionError, match="is not a condition"):
        parse(text)


def test_a_condition_knows_the_labels_that_it_looks_at_and_how_it_is_written() -> None:
    """So that a test can hold them against the query."""
    condition = parse("several tool and every outcome in (error) or no rows")
    assert condition.labels == {"tool", "outcome"}
    assert str(condition) == "several tool and every outcome in (error) or no rows"
