"""Alarms and incidents: what is wrong now, each symptom below its cause. Pure functions of what was kept."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import quote_plus, urlencode, urlsplit, urlunsplit

from alerts import links
from alerts.catalog import ALERTS
from alerts.pager.notification import Page, moment

LABELS = {alert.name: frozenset(alert.labels) for alert in ALERTS}
"""Alert → the labels that tell one from another."""
BEFORE, AFTER = timedelta(minutes=30), timedelta(minutes=10)
"""What a panel shows of the time around an alarm."""
UNHEARD = timedelta(hours=5)
"""Alertmanager repeats itself every four hours at the least: of what it has not repeated, nobody knows."""


@dataclass(frozen=True)
class Alarm:
    """One alert from its first page to its end; ``page`` is the latest of it. Times are ISO 8601 in UTC, or empty."""

    id: int
    page: Page
    began_at: str
    heard_at: str
    ended_at: str = ""
    acknowledged_by: str = ""
    acknowledged_at: str = ""
    silenced_by: str = ""
    silenced_until: str = ""
    escalated_at: str = ""

    def is_silenced(self, now: datetime) -> bool:
        """Whether somebody silenced it, for longer than until now."""
        return bool(self.silenced_until) and moment(self.silenced_until) > now

    def is_unheard(self, now: datetime) -> bool:
        """Whether it should have been repeated or ended since: Alertmanager is away, or forgot it."""
        return not self.ended_at and now - moment(self.heard_at) > UNHEARD

    @property
    def path(self) -> str:
        """Where its own page is, below the pager's; empty for an alert that has no runbook of ours."""
        if self.page.alert not in LABELS:
            return ""
        known = {name: value for name, value in self.page.labels.items() if name in LABELS[self.page.alert]}
        values = {name: quote_plus(value) for name, value in sorted(known.items())}
        return links.incident_url("", self.page.alert, values).removeprefix("/")

    def panel_url(self, now: datetime) -> str:
        """The link to the panel, at the time of the alarm. An alarm that goes on is shown until now."""
        if not self.page.dashboard_url:
            return ""
        begin, end = moment(self.began_at) - BEFORE, self.ended_at and moment(self.ended_at) + AFTER
        times = {"from": _milliseconds(begin), "to": _milliseconds(end) if end and end < now else "now"}
        parts = urlsplit(self.page.dashboard_url)
        return urlunsplit(parts._replace(query="&".join(filter(None, [parts.query, urlencode(times)]))))


@dataclass(frozen=True)
class Mending:
    """What somebody had the pager run against an alert; times are ISO 8601 in UTC, or empty.

    ``labels`` are those by which the alert was looked at. ``commands`` are the lines of the runbook that were begun,
    with when; ``problem`` says why they did not do it.
    """

    id: int
    alert: str
    labels: dict[str, str]
    who: str
    began_at: str
    commands: list[tuple[str, str]]
    problem: str = ""
    done_at: str = ""
    mended_at: str = ""


@dataclass(frozen=True)
class Incident:
    """The open alarms of one agent that have one cause: the first of ``alarms`` is the cause, as far as is known."""

    alarms: tuple[Alarm, ...]

    @property
    def cause(self) -> Alarm:
        """The alarm to begin with."""
        return self.alarms[0]

    @property
    def is_critical(self) -> bool:
        """Whether somebody has to act within minutes."""
        return any(alarm.page.severity == "critical" for alarm in self.alarms)

    @property
    def began_at(self) -> str:
        """When the first of its alarms began."""
        return min(alarm.began_at for alarm in self.alarms)

    @property
    def acknowledged_by(self) -> str:
        """Who has it in hand; empty while one of its alarms is in nobody's."""
        names = dict.fromkeys(alarm.acknowledged_by for alarm in self.alarms)
        return "" if "" in names else ", ".join(names)


def incidents(alarms: Iterable[Alarm], inhibits: Mapping[str, Collection[str]]) -> list[Incident]:
    """What is open: critical first, then what nobody has in hand, then the oldest.

    ``inhibits`` is what each alert causes, by name, as Alertmanager's configuration has it. A symptom that paged before
    its cause, or that Alertmanager does not mute, stands below the cause.
    """
    by_whom: dict[str, list[Alarm]] = {}
    for alarm in alarms:
        if not alarm.ended_at:
            by_whom.setdefault(alarm.page.whose, []).append(alarm)
    grouped: dict[tuple[str, str], list[Alarm]] = {}
    for whose, open_alarms in by_whom.items():
        names = sorted({alarm.page.alert for alarm in open_alarms})
        for alarm in open_alarms:
            grouped.setdefault((whose, cause_of(alarm.page.alert, names, inhibits)), []).append(alarm)
    listed = [
        Incident(tuple(sorted(members, key=lambda alarm: (alarm.page.alert != cause, alarm.began_at))))
        for (_, cause), members in grouped.items()
    ]
    return sorted(listed, key=lambda one: (not one.is_critical, bool(one.acknowledged_by), one.began_at))


def cause_of(name: str, open_names: Collection[str], inhibits: Mapping[str, Collection[str]]) -> str:
    """The open alert at the end of the chain of causes of this one; itself if nothing that is open causes it."""
    seen = {name}
    while causes := [other for other in open_names if name in inhibits.get(other, ()) and other not in seen]:
        name = causes[0]
        seen.add(name)
    return name


def to_escalate(alarms: Iterable[Alarm], now: datetime, after: timedelta) -> list[Alarm]:
    """The critical alarms that nobody has taken in hand for so long."""
    return [
        alarm
        for alarm in alarms
        if alarm.page.severity == "critical"
        and not (alarm.ended_at or alarm.acknowledged_by or alarm.escalated_at)
        and not alarm.is_silenced(now)
        and now - moment(alarm.began_at) >= after
    ]


def _milliseconds(at: datetime) -> str:
    return str(round(at.timestamp() * 1000))
