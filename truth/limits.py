"""What is accepted where the alerts do not reach what is asked of them, and why: every such limit is here.

What is asked stands beside each incident in incidents.py. A number here is the promise that a regression breaks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Limit:
    """At most so much: as ``asked`` or, with the reason, as it is ``accepted``. The unit is that of what is limited."""

    asked: float
    accepted: float | None = None
    why: str = ""
    share: bool = False

    @property
    def most(self) -> float:
        """What must not be exceeded."""
        return self.asked if self.accepted is None else self.accepted

    def of(self, unit: str = "", more: float = 0) -> str:
        """In the words of the page: with so many ``more``, and with what was asked where that is something else."""
        asked = "" if self.accepted is None else f" (asked: {self._shown(self.asked)})"
        return f"{self._shown(self.most + more)}{unit}{asked}"

    def _shown(self, number: float) -> str:
        return f"{number:.0%}" if self.share else f"{number:g}"


@dataclass(frozen=True)
class Accepted:
    """Minutes that are accepted instead of those that are asked, and why."""

    minutes: float
    why: str


HEALTHY_CRITICAL = Limit(0.25)
HEALTHY_WARNING = Limit(1)
"""Pages a week of an agent whose bad shares are half of what is promised."""
EDGE_CRITICAL = Limit(
    1,
    5,
    "an agent at the edge of all its promises at once, of which each may look broken now and then: most at ×1, where "
    "the windows hold enough events to be surprised and few enough to scatter",
)
"""Critical pages a week of an agent whose bad shares are four fifths of what is promised."""
EDGE_OF_ONE = Limit(1)
"""The same of a single alert."""
FIRST = Limit(0, 0.02, "a quiet agent can look bad in something else by chance before its cause shows", share=True)
"""Share of the incidents of which an alert that is neither expected nor brought pages first."""
PAGED_ANEW = Limit(0, 0.1, "with few events after a long outage two bad ones look like a relapse", share=True)
"""Share of the incidents after whose mending somebody is paged."""
FALSE_ENDS = Limit(
    0,
    0.3,
    "an alert that ends ten minutes after the mending has to take ten lucky minutes of a quiet agent for it; "
    "an agent that was taken away is forgotten after an hour",
    share=True,
)
"""Share of the incidents that are said to be over while they last."""

_FIVE_FAILURES = "five failures are the least that the test is good for, and they must have gone on for two minutes"
_WAITS_TWO = "it waits two minutes: one minute would do, and page half as often again at the edge"
_EDGE_IS_QUIET = "a lower z finds it sooner and pages at the edge of the promise more than once a week"
_WAITS_THREE = "it waits three minutes, so that a second outage within the hour pages as its root too"

FOUND: Mapping[tuple[str, float], Accepted] = {
    ("one tool dead at 10 calls an hour", 1): Accepted(40, _FIVE_FAILURES),
    ("one tool dead at 45 calls an hour", 1): Accepted(9, _FIVE_FAILURES),
    ("one tool dead at 240 calls an hour", 1): Accepted(4, _WAITS_TWO),
    ("one tool succeeds in 80 % at 45 calls an hour", 1): Accepted(50, _EDGE_IS_QUIET),
    ("one tool succeeds in 80 % at 240 calls an hour", 1): Accepted(13, _EDGE_IS_QUIET),
    ("one tool succeeds in 90 % at 45 calls an hour", 1): Accepted(300, _EDGE_IS_QUIET),
    ("one tool succeeds in 90 % at 240 calls an hour", 1): Accepted(65, _EDGE_IS_QUIET),
    ("all tasks fail at 75 tasks an hour", 1): Accepted(9, _WAITS_THREE),
}
"""Incident and volume → minutes until it is found."""

_FEW_RATE = "four people an hour rate: it takes six hours until their thumbs show that they are happy"

ENDED: Mapping[str, Accepted] = {
    "CRM outage: all tools fail, few calls": Accepted(
        30, "the tools are called four to ten times an hour: an alert ends with a call that succeeds"
    ),
    "one of five replicas bad": Accepted(11, "nine minutes are looked back over, and the failures go on until then"),
    "answers empty: one in twenty reported": Accepted(360, _FEW_RATE),
    "stale cache: one answer in thirty reported": Accepted(360, _FEW_RATE),
    "most ratings thumbs down": Accepted(360, _FEW_RATE),
    "feedback button broken": Accepted(1440, "it ends with the first rating, which may be given on the next day"),
    "people refuse nine proposals in ten": Accepted(60, "people decide eight times an hour: it ends with that hour"),
    "people approve everything": Accepted(1440, "it says what people have done for a day, and is not an outage"),
    "sessions take ten turns": Accepted(15, "ten minutes hold too few completed tasks for a mean"),
    "sessions abandoned": Accepted(30, "ten minutes hold four sessions, half an hour twelve"),
    "agent crashes every three minutes": Accepted(15, "the starts of the last quarter of an hour are counted"),
    "instrumentation swallows faults": Accepted(16, "it shows what was swallowed in the last quarter of an hour"),
    "a proxy drops the usage of one answer in ten": Accepted(70, "it shows the hour in which figures are incomplete"),
    "label values folded": Accepted(61, "it shows the hour in which labels are incomplete"),
}
"""Incident → minutes after the mending until the last alert of the agent ends."""


def found(incident: str, volume: float, asked: float) -> Limit:
    """Minutes until the incident is found at that volume."""
    return _limit(FOUND.get((incident, volume)), asked)


def ended(incident: str, asked: float) -> Limit:
    """Minutes from the mending of the incident until the last alert of the agent ends."""
    return _limit(ENDED.get(incident), asked)


def _limit(accepted: Accepted | None, asked: float) -> Limit:
    return Limit(asked, accepted.minutes, accepted.why) if accepted else Limit(asked)


_OF_MONITORING = "it is about Prometheus or Alertmanager, not about an agent: `make drill` breaks those"
UNMEASURED: Mapping[str, str] = {
    "AgentPricesStale": "it notifies nobody, and is true from a date on that no traffic moves",
    "AgentConfigError": "a file can be used or it cannot, whatever the traffic; `make drill` causes it",
    "AgentExporterAbsent": "it needs a job without any target, and the histories of a batch share their job; "
    "`make drill` causes it",
    "AgentGaugeWatchdog": "it always fires: its silence is what pages",
    "PrometheusRuleFailures": _OF_MONITORING,
    "PrometheusNotConnectedToAlertmanagers": _OF_MONITORING,
    "PrometheusBadConfig": _OF_MONITORING,
    "AlertmanagerFailedToSendAlerts": _OF_MONITORING,
    "AlertmanagerFailedReload": _OF_MONITORING,
}
"""Alerts that no incident is there for, and why."""
