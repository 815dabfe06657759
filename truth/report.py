"""What was measured, as tables: each alert, each incident beside its limit, and what is not reached."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from statistics import median

from alerts import thresholds
from alerts.catalog import ALERTS
from truth import limits
from truth.incidents import ALL, Incident
from truth.measure import Outcome

VOLUMES = (0.1, 1.0, 10.0)
KNOWN = {alert.name for alert in ALERTS}
MINUTE_MORE = 1
"""A scrape of 60 s is allowed to find it so many minutes later."""
FEW = 4
"""Draws of which a median says little."""
SURPRISE = 0.05
"""So seldom would a median be above its limit by chance as often as it is: then the limit is not kept."""


@dataclass(frozen=True)
class Verdict:
    """One row of the table to reach. ``kept`` is None where nothing could be measured: the alert is not there yet.

    ``beyond`` says that the measured number is worse than the limit, though not more than chance explains if ``kept``.
    """

    what: str
    limit: str
    measured: str
    kept: bool | None
    why: str = ""
    beyond: bool = False

    @property
    def word(self) -> str:
        """In the words of the page."""
        if self.kept is None:
            return "no alert yet"
        if not self.kept:
            return "**not kept**"
        return "within chance" if self.beyond else "kept"


def known(row: Incident) -> bool:
    """Whether an alert that could find it exists."""
    return not row.expects or bool(KNOWN & set(row.expects))


def verdicts(outcomes: list[Outcome]) -> Iterator[Verdict]:
    """Everything that has a limit, measured."""
    yield from _false_pages(outcomes)
    yield from _loudest(outcomes)
    yield from _silent(outcomes)
    yield from _flaps(outcomes)
    for row in _rows(outcomes):
        for volume, asked in row.found_within.items():
            for scrape in (15, 60):
                here = [one for one in _of(row, outcomes, volume) if one.case.scrape == scrape]
                if here:
                    limit = limits.found(row.name, volume, asked)
                    minutes = limit.most + (MINUTE_MORE if scrape == 60 else 0)
                    times = [math.inf if one.found is None else one.found for one in here]
                    yield Verdict(
                        f"{row.name}, ×{volume:g}, scrapes of {scrape} s: found",
                        limit.of(" min", MINUTE_MORE if scrape == 60 else 0),
                        _minutes(median(times)),
                        None if not known(row) else not _late(times, minutes),
                        limit.why,
                        median(times) > minutes,
                    )
        if row.expects and known(row):
            yield from _mended(row, _of(row, outcomes))


def _mended(row: Incident, outcomes: list[Outcome]) -> Iterator[Verdict]:
    found = [one for one in outcomes if one.found is not None]
    if not found:
        return
    ended = [math.inf if one.ended is None else one.ended for one in found if one.case.scrape == 15] or [
        math.inf if one.ended is None else one.ended for one in found
    ]
    if row.minutes * 60 + row.span.before < row.span.seconds:
        limit = limits.ended(row.name, row.ends_within)
        minutes = limit.most + MINUTE_MORE
        yield Verdict(
            f"{row.name}: ended after the mending",
            limit.of(" min", MINUTE_MORE),
            _minutes(median(ended)),
            not _late(ended, minutes),
            limit.why,
            median(ended) > minutes,
        )


def _false_pages(outcomes: list[Outcome]) -> Iterator[Verdict]:
    for kind, severity, limit in (
        ("healthy", "critical", limits.HEALTHY_CRITICAL),
        ("healthy", "warning", limits.HEALTHY_WARNING),
        ("edge", "critical", limits.EDGE_CRITICAL),
    ):
        of_kind = [one for one in outcomes if one.case.incident.kind == kind]
        weeks = sum(one.watched for one in of_kind)
        if weeks:
            critical = sum(one.critical for one in of_kind)
            n = critical if severity == "critical" else sum(len(one.before) for one in of_kind) - critical
            yield Verdict(
                f"{kind}: false {severity} pages a week and agent",
                limit.of(),
                f"{n / weeks:.2f} in {weeks:.0f} weeks",
                _poisson_at_least(n, limit.most * weeks) > SURPRISE,
                limit.why,
                n / weeks > limit.most,
            )


def _loudest(outcomes: list[Outcome]) -> Iterator[Verdict]:
    """The critical alert that pages most at the edge: each by itself has to be quiet there."""
    numbers = thresholds.load().alerts
    edge = [one for one in outcomes if one.case.incident.kind == "edge"]
    weeks = sum(one.watched for one in edge)
    counts = Counter(name for one in edge for name in one.before if numbers[name].severity == "critical")
    if weeks:
        alert, n = max(counts.items(), key=lambda item: item[1], default=("none", 0))
        limit = limits.EDGE_OF_ONE
        yield Verdict(
            "edge: false pages a week and agent of the critical alert that pages most",
            limit.of(),
            f"{n / weeks:.2f} ({alert})",
            _poisson_at_least(n, limit.most * weeks) > SURPRISE,
            limit.why,
            n / weeks > limit.most,
        )


def _flaps(outcomes: list[Outcome]) -> Iterator[Verdict]:
    """Pages before their root, for what is mended, and ends of what is not, over all incidents that somebody finds."""
    ours = [one for one in outcomes if one.case.incident.kind == "incident" and known(one.case.incident)]
    found = [one for one in ours if one.found is not None]
    if not found:
        return
    for what, n, of, limit in (
        ("incidents of which another alert pages first", sum(one.first for one in found), len(found), limits.FIRST),
        (
            "incidents after whose mending somebody is paged again",
            sum(bool(one.after) for one in ours),
            len(ours),
            limits.PAGED_ANEW,
        ),
        (
            "incidents that are said to be over while they last",
            sum(bool(one.resolved) for one in found),
            len(found),
            limits.FALSE_ENDS,
        ),
    ):
        yield Verdict(what, limit.of(), f"{n / of:.0%} of {of}", n / of <= limit.most, limit.why)


def _silent(outcomes: list[Outcome]) -> Iterator[Verdict]:
    for row in _rows(outcomes):
        if row.kind == "silent":
            here = _of(row, outcomes)
            paged = [alert for one in here for alert in (*one.before, *one.others, *one.after)]
            yield Verdict(f"{row.name}: pages", "0", _counted(paged) or "0", not paged)


def alert_table(outcomes: list[Outcome]) -> Iterator[str]:
    """Per alert: the false pages, and how it does on the incidents that it is there for."""
    yield (
        "| alert | volume | false pages a week | at the edge | incidents | found | minutes to find | minutes to end "
        "| new pages after | false resolves |"
    )
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for alert in ALERTS:
        for volume in VOLUMES:
            at = [one for one in outcomes if one.case.volume == volume]
            false, edge = (_a_week(alert.name, at, kind) for kind in ("healthy", "edge"))
            mine = [one for one in at if one.case.incident.expects[:1] == (alert.name,)]
            if mine or (false + edge).strip("0."):
                yield "| " + " | ".join([
                    alert.name,
                    f"×{volume:g}",
                    false,
                    edge,
                    str(len(mine)),
                    *_how(mine),
                    str(sum(one.after.count(alert.name) for one in mine)),
                    str(sum(one.resolved for one in mine)),
                ]) + " |"  # fmt: skip  # one column a line


def _a_week(alert: str, outcomes: list[Outcome], kind: str) -> str:
    """Pages of an alert a week, where there is no incident; empty if no week was watched."""
    quiet = [one for one in outcomes if one.case.incident.kind == kind]
    weeks = sum(one.watched for one in quiet)
    return f"{sum(one.before.count(alert) for one in quiet) / weeks:.2f}" if weeks else ""


def incident_table(outcomes: list[Outcome]) -> Iterator[str]:
    """Per incident and volume: who finds it, and when."""
    yield "| incident | found by | volume | found | minutes to find | minutes to end | other pages meanwhile | after |"
    yield "|---|---|---|---|---|---|---|---|"
    for row in _rows(outcomes):
        if row.kind == "incident":
            by = " or ".join(name for name in row.expects if name in KNOWN) or "nobody yet"
            for volume in row.volumes:
                here = _of(row, outcomes, volume)
                others = _counted(alert for one in here for alert in one.others)
                after = _counted(alert for one in here for alert in one.after)
                cells = [row.name, by, f"×{volume:g}", *_how(here), others, after]
                yield "| " + " | ".join(cells) + " |"


def verdict_table(verdicts: Iterable[Verdict]) -> Iterator[str]:
    """The table to reach, measured."""
    yield "| what | at most | measured | |"
    yield "|---|---|---|---|"
    for one in verdicts:
        yield f"| {one.what} | {one.limit} | {one.measured} | {one.word}{f': {one.why}' if one.why else ''} |"


def unmeasured() -> Iterator[str]:
    """The alerts that no incident is there for, and why."""
    yield "| alert | why no history is drawn for it |"
    yield "|---|---|"
    for alert, why in limits.UNMEASURED.items():
        yield f"| {alert} | {why} |"


def _how(outcomes: list[Outcome]) -> list[str]:
    """Share found, median minutes to find, and to end."""
    if not outcomes:
        return ["", "", ""]
    found = [one for one in outcomes if one.found is not None]
    times = [math.inf if one.found is None else one.found for one in outcomes]
    ended = [math.inf if one.ended is None else one.ended for one in found]
    return [f"{len(found) / len(outcomes):.0%}", _minutes(median(times)), _minutes(median(ended)) if ended else ""]


def _minutes(value: float) -> str:
    return "–" if math.isinf(value) else f"{value:.1f}"


def _counted(names: Iterable[str]) -> str:
    counts: dict[str, int] = {}
    for name in names:
        counts[name] = counts.get(name, 0) + 1
    return ", ".join(f"{n} {name}" for name, n in sorted(counts.items()))


def _of(row: Incident, outcomes: Iterable[Outcome], volume: float = 0) -> list[Outcome]:
    """Those of a row, of one volume if it is given."""
    of_row = [one for one in outcomes if one.case.incident.name == row.name]
    return [one for one in of_row if not volume or one.case.volume == volume]


def _rows(outcomes: list[Outcome]) -> list[Incident]:
    """In the order of incidents.py: outcomes come as batches are done."""
    there = {one.case.incident.name for one in outcomes}
    return [row for row in ALL if row.name in there]


def _late(times: list[float], minutes: float) -> bool:
    """Whether so many are late that half of them, which the median allows, would be a surprise.

    Of a few, all have to be late, and by half as much again.
    """
    late, n = sum(time > minutes for time in times), len(times)
    if n <= FEW:
        return late == n and median(times) > minutes * 1.5
    return sum(math.comb(n, k) for k in range(late, n + 1)) * 0.5**n < SURPRISE


def _poisson_at_least(n: int, mean: float) -> float:
    return 1 - sum(math.exp(-mean) * mean**k / math.factorial(k) for k in range(n))
