"""The real rules on made-up series: which alerts fire, and from when to when, as a real Prometheus evaluates them.

A Prometheus that evaluates once every 15 seconds would need weeks for weeks. This one is asked for ranges instead, in
rounds: first what the recording rules record, which is written back to it, then what the alerts say. What an alert
makes of that over time (``for``, ``keep_firing_for``) is followed here, because Prometheus keeps it in memory.

Some alerts read ``ALERTS``. Of another alert it is written back before they are asked. Of themselves it is assumed
first never to fire and then always: the one says when the alert may begin, the other for how long it may go on.
That this is what Prometheus does is what tests/truth/test_replay.py shows, with promtool on the same series.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from agentgauge.ops.prometheus import Prometheus, PrometheusError
from sample_agent.simulator import recording
from truth.remote_write import PROMETHEUS_FLAGS, Samples, write

COARSE_STEP = 300
"""Seconds between what is recorded of the weeks before an incident: as often as the longest windows ask."""
MOST_POINTS = 10_000
"""Prometheus answers a range query with 11 000 points of a series at most."""

ASSUMED = "ASSUMED_ALERTS"
"""Under a name of its own: what reads the ``ALERTS`` of another must not see what is only assumed."""

_ALERTS = re.compile(r"ALERTS\{([^}]*)\}")
_NAME = re.compile(r'alertname=~?"([^"]+)"')

Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Clock:
    """When rules are evaluated (Unix seconds): every ``step`` seconds from ``fine`` to ``end``, seldom before.

    In the ``gap`` (from, to) they are not: Prometheus does not run.
    """

    start: int
    fine: int
    end: int
    step: int
    gap: tuple[int, int] = (0, 0)

    @property
    def coarse(self) -> Iterator[tuple[int, int, int]]:
        """First and last moment, and seconds between the moments, of what one query can ask for: of the time before."""
        if self.start < self.fine:
            yield from _stretches(self.start, self.fine - 1, COARSE_STEP)

    @property
    def watched(self) -> Iterator[tuple[int, int, int]]:
        """The same of the time in which alerts are looked at."""
        if self.fine < self.gap[0] <= self.end:
            yield from _stretches(self.fine, self.gap[0] - 1, self.step)
            yield from _stretches(self.gap[1], self.end, self.step)
        else:
            yield from _stretches(self.fine, self.end, self.step)

    @property
    def moments(self) -> list[int]:
        """When alerts are evaluated."""
        return [moment for start, end, step in self.watched for moment in range(start, end + 1, step)]


@dataclass(frozen=True)
class Firing:
    """An alert that fired: its labels but severity; begin and end in Unix seconds, None if it went on."""

    alert: str
    severity: str
    labels: Labels
    begins: int
    ends: int | None

    def label(self, name: str) -> str:
        """The value of one label; empty if the alert does not carry it."""
        return dict(self.labels).get(name, "")


def replay(
    series: Iterable[Samples], clock: Clock, program: Path, rule_files: list[Path], folder: Path
) -> list[Firing]:
    """What fires on these series between ``fine`` and ``end``.

    ``program`` is Prometheus, ``folder`` is empty and becomes its database. Raises PrometheusError.
    """
    lookback = clock.step - 1  # a series that is not scraped any more is gone at once, as with a staleness marker
    with recording.serving(program, folder, rule_files, lookback, PROMETHEUS_FLAGS) as prometheus:
        described = prometheus.rules()
        rules = recording.loaded_rules(prometheus)
        write(prometheus, series)
        for readable in recording.rounds(rules):
            write(prometheus, _recorded(prometheus, readable, clock))
        kept = {rule["name"]: int(rule.get("keepFiringFor", 0)) for rule in described if rule["type"] == "alerting"}
        alerts = [_Alert(rule, kept[rule.name]) for rule in rules if rule.is_alert]
        read = {name for alert in alerts for name in alert.others}
        firings: list[Firing] = []
        for ready in _in_order(alerts):
            states = list(_states(prometheus, ready, clock))
            firings += [firing for state in states for firing in state.firings(clock)]
            write(prometheus, (one for state in states if state.alert.rule.name in read for one in state.samples()))
    return sorted(firings, key=lambda firing: (firing.begins, firing.alert, firing.labels))


@dataclass(frozen=True)
class _Alert:
    rule: recording.LoadedRule
    keep_firing_seconds: int

    @property
    def others(self) -> set[str]:
        """The alerts that its query asks ``ALERTS`` for, but for itself."""
        return {name for names in map(_names, _ALERTS.findall(self.rule.query)) for name in names} - {self.rule.name}

    @property
    def once_firing(self) -> str:
        """Its query on the assumption that it fires already; empty if it does not ask."""

        def assume(match: re.Match[str]) -> str:
            if _names(match[1]) != {self.rule.name}:
                return match[0]
            if 'alertstate="firing"' not in match[1]:
                raise PrometheusError(f"{self.rule.name} asks for its own ALERTS, and not for those that fire")
            return f"{ASSUMED}{{{match[1]}}}"

        query = _ALERTS.sub(assume, self.rule.query)
        return query if query != self.rule.query else ""


def _names(matchers: str) -> set[str]:
    match = _NAME.search(matchers)
    if not match:
        raise PrometheusError(
            f"a rule reads ALERTS{{{matchers}}}, whose alertname is not given: name the alerts it reads"
        )
    return set(match[1].split("|"))


@dataclass
class _State:
    """One alert with one set of labels: when its query is true, and what Prometheus makes of it."""

    alert: _Alert
    labels: Labels
    begins: set[int]
    goes_on: set[int]
    pending: list[int]
    firing: list[int]

    def follow(self, moments: Sequence[int]) -> None:
        """Go through the evaluations as Prometheus does."""
        hold, keep = self.alert.rule.hold_seconds, self.alert.keep_firing_seconds
        self.pending, self.firing = [], []
        since: int | None = None
        fires, last_true = False, 0
        for now in moments:
            true = now in self.begins or (fires and now in self.goes_on)
            if true:
                since = now if since is None else since
                last_true = now
                fires = fires or now - since >= hold
            elif not (fires and keep and self._kept(now, last_true, keep, moments)):
                since, fires = None, False
            if since is not None:
                (self.firing if fires else self.pending).append(now)

    @staticmethod
    def _kept(now: int, last_true: int, keep: int, moments: Sequence[int]) -> bool:
        """``keep_firing_for`` counts from the first evaluation that finds the query false."""
        step = moments[1] - moments[0]
        return now - (last_true + step) < keep

    def firings(self, clock: Clock) -> Iterator[Firing]:
        """The stretches for which it fired."""
        own = tuple((name, value) for name, value in self.labels if name != "severity")
        severity = dict(self.labels).get("severity", "none")
        for first, last in _runs(self.firing, clock.step):
            yield Firing(self.alert.rule.name, severity, own, first, last + clock.step if last < clock.end else None)

    def samples(self) -> Iterator[Samples]:
        """``ALERTS`` as Prometheus would have written it."""
        for state, moments in (("pending", self.pending), ("firing", self.firing)):
            labels = {"alertname": self.alert.rule.name, "alertstate": state, **dict(self.labels)}
            yield _ones("ALERTS", labels, moments)


def _states(prometheus: Prometheus, alerts: list[_Alert], clock: Clock) -> Iterator[_State]:
    moments = clock.moments
    begins = {alert.rule.name: _true(prometheus, alert, alert.rule.query, clock) for alert in alerts}
    again = [alert for alert in alerts if alert.once_firing and begins[alert.rule.name]]
    firing = {alert.rule.name: {"alertname": alert.rule.name, "alertstate": "firing"} for alert in again}
    write(
        prometheus,
        (_ones(ASSUMED, own | dict(labels), moments) for name, own in firing.items() for labels in begins[name]),
    )
    goes_on = {alert.rule.name: _true(prometheus, alert, alert.once_firing, clock) for alert in again}
    for alert in alerts:
        for labels, moments_true in begins[alert.rule.name].items():
            state = _State(alert, labels, moments_true, goes_on.get(alert.rule.name, {}).get(labels, set()), [], [])
            state.follow(moments)
            yield state


def _true(prometheus: Prometheus, alert: _Alert, query: str, clock: Clock) -> dict[Labels, set[int]]:
    """Labels → the moments at which the query says so."""
    true: dict[Labels, set[int]] = {}
    for start, end, step in clock.watched:
        for labels, points in _points(prometheus, query, start, end, step):
            own = tuple(sorted({**labels, **alert.rule.labels}.items()))
            true.setdefault(own, set()).update(int(at) for at, _ in points)
    return true


def _in_order(alerts: list[_Alert]) -> Iterator[list[_Alert]]:
    """The alerts in rounds: none reads another of its own round, or of a later one."""
    rest = list(alerts)
    while rest:
        waiting = {alert.rule.name for alert in rest}
        ready = [alert for alert in rest if not alert.others & waiting]
        if not ready:
            raise PrometheusError(f"alerts that read each other: {', '.join(sorted(waiting))}")
        yield ready
        rest = [alert for alert in rest if alert not in ready]


def _recorded(prometheus: Prometheus, rules: Iterable[recording.LoadedRule], clock: Clock) -> Iterator[Samples]:
    """What the rules record over the whole time; a series may come in several stretches."""
    for rule in rules:
        for start, end, step in (*clock.coarse, *clock.watched):
            for labels, points in _points(prometheus, rule.query, start, end, step):
                at, values = np.array(points, dtype=np.float64).T
                yield Samples(rule.name, {**labels, **rule.labels}, at.astype(np.int64), values)


def _points(
    prometheus: Prometheus, query: str, start: int, end: int, step: int
) -> Iterator[tuple[dict[str, str], list[Any]]]:
    """As the API gives them: seconds as numbers, values as text."""
    data = prometheus.get("query_range", {"query": query, "start": start, "end": end, "step": step})
    for one in data["result"]:
        yield {name: value for name, value in one["metric"].items() if name != "__name__"}, one["values"]


def _ones(name: str, labels: dict[str, str], moments: Sequence[int]) -> Samples:
    return Samples(name, labels, np.array(moments, dtype=np.int64), np.ones(len(moments)))


def _stretches(start: int, end: int, step: int) -> Iterator[tuple[int, int, int]]:
    longest = MOST_POINTS * step
    for first in range(start, end + 1, longest):
        yield first, min(end, first + longest - step), step


def _runs(moments: Sequence[int], step: int) -> Iterator[tuple[int, int]]:
    """First and last of each unbroken run."""
    first = last = None
    for now in moments:
        if last is None or now - last > step:
            if first is not None and last is not None:
                yield first, last
            first = now
        last = now
    if first is not None and last is not None:
        yield first, last
