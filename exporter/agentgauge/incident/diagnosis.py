"""Walks through the Diagnosis of a runbook: asks each step's query, takes a reading, and goes where it leads."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from agentgauge.incident.conditions import Row
from agentgauge.incident.runbook import Mitigation, Reading, Runbook, Step

MOST_STEPS = 20
"""Pages that lead to each other end somewhere; a walk this long goes round in circles."""

Ask = Callable[[str], tuple[Row, ...]]
"""A query → the rows that Prometheus returns."""

_LABEL_IN_QUERY = re.compile(r'"([A-Z][A-Z_]+)"')


@dataclass(frozen=True)
class Walked:
    """A step that was asked: of whose page, the query as it was sent, its rows, and the reading that was taken."""

    alert: str
    step: Step
    query: str
    rows: tuple[Row, ...]
    reading: Reading | None


@dataclass(frozen=True)
class Diagnosis:
    """Where the walk ended: at a ``mitigation`` of the page of ``alert``, or at a reading that asks for nothing.

    ``no branch``: no reading fits, or it went in a circle; the reader has to go on by hand.
    """

    steps: tuple[Walked, ...]
    ended: Literal["mitigation", "over", "no branch"]
    alert: str
    mitigation: Mitigation | None = None


def walk(alert: str, page: Callable[[str], Runbook], labels: Mapping[str, str], ask: Ask) -> Diagnosis:
    """Begin at the first step of the alert's page; ``page`` gives an alert's runbook, ``labels`` are the alert's.

    Raises what ``page`` and ``ask`` raise.
    """
    walked: list[Walked] = []
    book = page(alert)
    step = book.steps[0] if book.steps else None
    while step is not None and len(walked) < MOST_STEPS:
        if any(one.alert == book.alert and one.step == step for one in walked):
            break
        query = with_labels(step.queries[0], labels)
        rows = ask(query)
        reading = taken(step, rows)
        walked.append(Walked(book.alert, step, query, rows, reading))
        if reading is None:
            break
        to = reading.target
        if to is None:
            return Diagnosis(tuple(walked), "over", book.alert)
        if to.mitigation is not None:
            return Diagnosis(tuple(walked), "mitigation", book.alert, book.mitigation(to.mitigation))
        if to.page is not None:
            book = page(to.page)
        step = book.step(to.step or 1)
    return Diagnosis(tuple(walked), "no branch", book.alert)


def taken(step: Step, rows: tuple[Row, ...]) -> Reading | None:
    """The first reading of a step whose condition holds for these rows."""
    return next((one for one in step.readings if one.condition is not None and one.condition.holds(rows)), None)


def with_labels(query: str, labels: Mapping[str, str]) -> str:
    """The query with a quoted word in capitals, such as "USER", replaced by the value of that label."""

    def value(word: re.Match[str]) -> str:
        known = labels.get(word[1].lower())
        return word[0] if known is None else quoted(known)

    return _LABEL_IN_QUERY.sub(value, query)


def quoted(value: str) -> str:
    """A label value as PromQL writes it."""
    return '"' + value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n") + '"'
