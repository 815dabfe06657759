"""When a reading of a runbook holds: a small language over the rows that the step's query returned.

A condition is one test, or several joined by ``and`` and ``or``; ``and`` binds tighter::

    no rows                             nothing was returned
    only NaN                            there are rows, none of them with a number; nor is an infinity one
    any Inf                             something was divided by nought
    rows >= 2                           how many rows there are
    max > 0.5                           also min and sum, over the rows with a number
    one row < 0.9                       exactly one such row; also ``several rows`` and ``every row``
    any error_type in (a, http_5*)      a row above 0 has such a label; also ``top`` (the largest row) and ``every``
    several tool                        rows above 0 with different labels; also ``one tool``
    share of outcome in (failed) > 0.5  what these rows are of the sum
    otherwise
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

_NUMBER = r"(?P<number>-?\d+(?:\.\d+)?)"
_COMPARED = rf"(?P<sign>>=|<=|==|>|<) {_NUMBER}"
_LISTED = r"(?P<label>[a-z_]+) in \((?P<words>[^()]+)\)"

COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
}


class ConditionError(ValueError):
    """A condition that is not of this language; the message says which and what is possible."""


@dataclass(frozen=True)
class Row:
    """One row of a query's answer."""

    labels: Mapping[str, str]
    value: float


Rows = Sequence[Row]


@dataclass(frozen=True)
class Test:
    """One test: how it is written, the labels that it looks at, and whether it holds for some rows."""

    written: str
    labels: tuple[str, ...]
    holds: Callable[[Rows], bool]


@dataclass(frozen=True)
class Condition:
    """One of its alternatives holds, which are tests that hold together."""

    alternatives: tuple[tuple[Test, ...], ...]

    def holds(self, rows: Rows) -> bool:
        """Whether it holds for the rows that a query returned."""
        return any(all(test.holds(rows) for test in tests) for tests in self.alternatives)

    @property
    def labels(self) -> frozenset[str]:
        """The labels that the query has to return."""
        return frozenset(label for tests in self.alternatives for test in tests for label in test.labels)

    def __str__(self) -> str:
        return " or ".join(" and ".join(test.written for test in tests) for tests in self.alternatives)


def parse(text: str) -> Condition:
    """Read a condition; raises ConditionError."""
    alternatives = (alternative.split(" and ") for alternative in text.split(" or "))
    return Condition(tuple(tuple(_test(part.strip()) for part in parts) for parts in alternatives))


def _test(text: str) -> Test:
    for pattern, make in _FORMS:
        if (match := pattern.fullmatch(text)) is not None:
            labels = (match["label"],) if "label" in pattern.groupindex else ()
            return Test(text, labels, make(match))
    raise ConditionError(f"{text!r} is not a condition; agentgauge/incident/conditions.py lists what is")


def _compared(match: re.Match[str]) -> Callable[[float], bool]:
    compare, number = COMPARISONS[match["sign"]], float(match["number"])
    return lambda value: compare(value, number)


def _numbers(rows: Rows) -> list[float]:
    return [row.value for row in rows if math.isfinite(row.value)]


def _of_figure(match: re.Match[str]) -> Callable[[Rows], bool]:
    figures: dict[str, Callable[[list[float]], float]] = {"max": max, "min": min, "sum": math.fsum}
    figure, fits = figures[match["figure"]], _compared(match)
    return lambda rows: bool(numbers := _numbers(rows)) and fits(figure(numbers))


def _of_rows(match: re.Match[str]) -> Callable[[Rows], bool]:
    fits, how_many = _compared(match), match["how_many"]

    def holds(rows: Rows) -> bool:
        numbers = _numbers(rows)
        return _is_enough(how_many, sum(map(fits, numbers)), len(numbers))

    return holds


def _of_labels(match: re.Match[str]) -> Callable[[Rows], bool]:
    which, label, listed = match["which"], match["label"], _listed(match["words"])

    def holds(rows: Rows) -> bool:
        above = sorted((row for row in rows if row.value > 0), key=lambda row: -row.value)
        if which == "top":
            above = above[:1]
        fitting = [listed(row.labels.get(label, "")) for row in above]
        return all(fitting) and bool(fitting) if which == "every" else any(fitting)

    return holds


def _of_different(match: re.Match[str]) -> Callable[[Rows], bool]:
    label, how_many = match["label"], match["how_many"]

    def holds(rows: Rows) -> bool:
        different = {row.labels[label] for row in rows if row.value > 0 and label in row.labels}
        return _is_enough(how_many, len(different), len(different))

    return holds


def _of_share(match: re.Match[str]) -> Callable[[Rows], bool]:
    label, listed, fits = match["label"], _listed(match["words"]), _compared(match)

    def holds(rows: Rows) -> bool:
        whole = math.fsum(_numbers(rows))
        part = math.fsum(_numbers([row for row in rows if listed(row.labels.get(label, ""))]))
        return whole > 0 and fits(part / whole)

    return holds


def _listed(words: str) -> Callable[[str], bool]:
    patterns = [word.strip() for word in words.split(",")]
    return lambda value: any(fnmatchcase(value, pattern) for pattern in patterns)


def _is_enough(how_many: str, fitting: int, of: int) -> bool:
    match how_many:
        case "one":
            return fitting == 1
        case "several":
            return fitting >= 2
        case _:
            return 0 < fitting == of


_FORMS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], Callable[[Rows], bool]]], ...] = (
    (re.compile(r"otherwise"), lambda _match: lambda _rows: True),
    (re.compile(r"no rows"), lambda _match: lambda rows: not rows),
    (re.compile(r"only NaN"), lambda _match: lambda rows: bool(rows) and not _numbers(rows)),
    (re.compile(r"any Inf"), lambda _match: lambda rows: any(math.isinf(row.value) for row in rows)),
    (re.compile(rf"rows {_COMPARED}"), lambda match: lambda rows: _compared(match)(len(rows))),
    (re.compile(rf"(?P<figure>max|min|sum) {_COMPARED}"), _of_figure),
    (re.compile(rf"(?P<how_many>one|several|every) rows? {_COMPARED}"), _of_rows),
    (re.compile(rf"(?P<which>any|top|every) {_LISTED}"), _of_labels),
    (re.compile(r"(?P<how_many>one|several) (?P<label>[a-z_]+)"), _of_different),
    (re.compile(rf"share of {_LISTED} {_COMPARED}"), _of_share),
)
