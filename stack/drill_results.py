"""How the drills went: judged row by row, shown in a terminal, and kept in a file that the docs are written from."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from rich.table import Table

FILE = Path(__file__).with_name("drill_results.json")
"""The last result of each row: `make drill WRITE=1` renews those that it plays."""

NOWHERE = "nowhere"
"""The branch of a runbook that has none for what it found."""


@dataclass(frozen=True)
class DrillResult:
    """How a row went, in seconds since the cause began or was mended; None if it did not happen in time.

    ``noise`` are the other alerts that reached the pager before the mending, ``expected`` those of them that the row
    allows, ``late`` what paged after it; muted ones do not count. ``called_off`` is True if the page was resolved while
    the cause went on. ``resolves`` is False where the alert looks back over days: nobody waits for that to end.
    ``heartbeat`` is True if the dead-man switch went on hearing while the way of the pages was broken.
    ``seconds_to_mended`` is how long `agentgauge incident` took from the page until the alert was over, unless it is
    mended ``by_hand``; ``mitigation`` is the branch of the runbook that it took, ``commands`` what it ran, or what it
    leaves to people. ``first_try`` is what was wrong with it before it was played a second time, on a stack of its own.
    """

    alert: str
    what: str
    seconds_to_page: float | None
    noise: frozenset[str] = frozenset()
    runbook_answers: bool = False
    seconds_to_resolved: float | None = None
    resolves: bool = True
    called_off: bool = False
    late: frozenset[str] = frozenset()
    heartbeat: bool = False
    seconds_to_mended: float | None = None
    by_hand: str = ""
    expected: frozenset[str] = frozenset()
    mitigation: str = ""
    commands: tuple[str, ...] = ()
    first_try: str = ""

    @property
    def how(self) -> str:
        """Where the runbook led, as Markdown: the branch that was taken, and each command; empty if it led nowhere."""
        return ": ".join(filter(None, [self.mitigation, ", ".join(f"`{command}`" for command in self.commands)]))

    @property
    def wrong(self) -> str:
        """What keeps it from passing, in words; empty if it passed."""
        reasons = {
            "no page": self.seconds_to_page is None,
            "its runbook did not answer": self.seconds_to_page is not None and not self.runbook_answers,
            "not mended": self.seconds_to_mended is None and not self.by_hand,
            "its runbook led nowhere": self.mitigation == NOWHERE,
            "not resolved": self.seconds_to_resolved is None and self.resolves,
            "called off while the cause went on": self.called_off,
            "the heartbeat went on": self.heartbeat,
            f"{', '.join(sorted(self.noise))} paged as well": bool(self.noise),
            f"{', '.join(sorted(self.late))} paged after the mending": bool(self.late),
        }
        return "; ".join(reason for reason, holds in reasons.items() if holds)

    @property
    def passed(self) -> bool:
        """Paged, and nobody else; mended by its runbook if it can be; resolved then and not before; then silence."""
        return not self.wrong

    @property
    def is_mended_by_runbook(self) -> bool:
        """Whether following the runbook, with nobody thinking along, ended it."""
        return self.passed and self.seconds_to_mended is not None


def table(outcomes: Sequence[DrillResult]) -> Table:
    """The matrix as people read it in a terminal."""
    made = Table(
        "alert",
        "cause",
        "to page",
        "runbook",
        "mended by its runbook",
        "resolved after",
        "others that paged",
        "paged after the mending",
    )
    for one in outcomes:
        made.add_row(
            one.alert,
            one.what,
            _to_page(one),
            "answers" if one.runbook_answers else "[red]DEAD[/red]",
            _mended(one),
            _resolved(one),
            ", ".join(sorted(one.noise)) or "none",
            ", ".join(sorted(one.late)) or "none",
        )
    return made


def load(file: Path = FILE) -> dict[str, DrillResult]:
    """Alert → its last result."""
    rows: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))
    sets = {field.name for field in fields(DrillResult) if "frozenset" in str(field.type)}
    results = {}
    for row in rows:
        values: dict[str, Any] = {name: frozenset(value) if name in sets else value for name, value in row.items()}
        results[row["alert"]] = DrillResult(**{**values, "commands": tuple(row.get("commands", ()))})
    return results


def keep(outcomes: Iterable[DrillResult], order: Sequence[str], file: Path = FILE) -> None:
    """Renew the results of these rows, and drop those of alerts that are not in ``order`` any more."""
    kept = (load(file) if file.exists() else {}) | {one.alert: _rounded(one) for one in outcomes}
    rows = [asdict(kept[alert]) for alert in order if alert in kept]
    text = json.dumps(rows, indent=1, default=sorted)
    file.write_text(text + "\n", encoding="utf-8")


def _rounded(one: DrillResult) -> DrillResult:
    seconds = ("seconds_to_page", "seconds_to_resolved", "seconds_to_mended")
    whole = {name: round(getattr(one, name)) for name in seconds if getattr(one, name) is not None}
    return replace(one, **whole)


def page(rows: Sequence[tuple[str, str]], results: dict[str, DrillResult]) -> str:
    """The results as a page of the docs; ``rows`` are alert and cause of each drill there is, in their order."""
    there = [results[alert] for alert, _ in rows if alert in results]
    mended = sum(one.is_mended_by_runbook for one in there)
    return "\n".join([*_HEAD, _summary(len(rows), there, mended), "", *_COLUMNS, *_rows(rows, results)])


_HEAD = (
    "# The drill",
    "",
    "`make drill` starts the real programs, causes each alert there is, and follows the page to its end. Most stacks",
    "run on shortened clocks; what looks back over days is given a made-up past instead. So the seconds compare rows,",
    "and are no promise: [What the alerts can tell](../truth.md) has the minutes. `make drill WRITE=1` renews the rows",
    "it plays.",
    "",
    '"Mended by its runbook": `agentgauge incident` was given the link on the page, walked through the runbook and ran',
    "its command, unaided; the seconds are from the page until the alert was over, and what it ran is beside them.",
    "Where no command can mend it, the reason is given; the runbook is followed all the same, up to the branch that",
    "its queries lead to, and what is beside it is left to people. A row passes if the expected page came, no other",
    "did beyond those named here, it was not called off while the cause went on, its runbook led somewhere, it ended,",
    "and nothing paged after the mending. Where no more than a few rows went wrong, each is played once more on a",
    "fresh stack, and what was wrong in the first try is said.",
    "",
)
_COLUMNS = (
    "| alert | cause | page after | mended by its runbook after | it led to | all-clear after mending | also paged | |",
    "|---|---|---|---|---|---|---|---|",
)


def _summary(drills: int, there: Sequence[DrillResult], mended: int) -> str:
    passed = sum(one.passed for one in there)
    return f"{drills} drills: {passed} passed, {mended} of them mended by following the runbook unaided."


def _rows(rows: Sequence[tuple[str, str]], results: dict[str, DrillResult]) -> Iterator[str]:
    for alert, what in rows:
        one = results.get(alert)
        if one is None:
            yield f"| `{alert}` | {what} | | | | | | not played yet |"
            continue
        others = ", ".join(f"`{name}`" for name in sorted(one.noise | one.late | one.expected)) or "–"
        passed = "passed" if one.passed else "**failed**"
        if one.first_try:
            passed += f" in its second try; the first: {one.first_try}"
        cells = (
            _to_page(one),
            _mended(one),
            one.how or "–",
            _resolved(one),
            others,
            passed,
        )
        yield f"| `{alert}` | {one.what} | " + " | ".join(_without_colour(cell) for cell in cells) + " |"


def _to_page(one: DrillResult) -> str:
    return "[red]HEARTBEAT WENT ON[/red]" if one.heartbeat else _seconds(one.seconds_to_page, "MISSED")


def _mended(one: DrillResult) -> str:
    return f"by hand: {one.by_hand}" if one.by_hand else _seconds(one.seconds_to_mended, "NOT MENDED")


def _resolved(one: DrillResult) -> str:
    if one.called_off:
        return "[red]CALLED OFF[/red]"
    return _seconds(one.seconds_to_resolved, "NOT RESOLVED") if one.resolves else "not awaited"


def _seconds(value: float | None, otherwise: str) -> str:
    return f"[red]{otherwise}[/red]" if value is None else f"{value:.0f} s"


def _without_colour(cell: str) -> str:
    return cell.replace("[red]", "").replace("[/red]", "")
