"""Is the spend what it usually is? Compared with the same hours of past weeks, in plain PromQL.

All figures are USD an hour. What is usual at this hour is the median of the same hour in up to four past weeks, each
give or take an hour, since clocks are put forward and back. Holidays are left out: days with far fewer sessions than
the busiest of those that are compared. While there are less than three such weeks, it is the dearest hour of the four
weeks before. It is never less than the mean hour of the last two weeks: a session in a quiet night is not a spike. The
last day is not part of either: it would hide what has just begun.

Money comes in lumps, one a session. The sum over ``T`` hours of sessions that cost ``c`` on average scatters around
``usual·T`` with a variance of ``scatter·c·usual·T``; a spike has to be ``z`` standard deviations above what is allowed.
An agent without sessions is judged without that.
"""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import indent

from alerts.counting import while_scraped
from alerts.model import Record

WEEKS = 4
WEEKS_ENOUGH = 3
DAYS_OF_HISTORY = 3
"""Less than three whole days say nothing about what is usual."""
TIMES_AS_BUSY = 4
"""A day with so many times fewer sessions than the busiest of those that are compared was a holiday."""

IN_WORDS = (
    f"the median of the same hour in the {WEEKS} weeks before, give or take an hour, without holidays (days with less "
    f"than 1/{TIMES_AS_BUSY} of the sessions of the busiest); while there are less than {WEEKS_ENOUGH} such weeks, the "
    f"dearest hour of the {WEEKS} weeks before (at least {DAYS_OF_HISTORY} days); never less than the mean hour of the "
    "last two weeks"
)

_SESSIONS = "agent:agent_sessions_opened:increase1h"
_SESSIONS_OF_THE_DAY = "agent:agent_sessions_opened:in_past_weeks"
"""How busy the day around the same time was, in each of the past weeks."""


def of_each_week(query: str, hours_later: int) -> str:
    """A query with ``<offset>``, for the same time in each of the past weeks or so many hours later, by ``week``."""
    return "\nor\n".join(
        f"label_replace({query.replace('<offset>', f'{week * 7 * 24 - hours_later}h')}, "
        f'"week", "{week}", "agent", ".+")'
        for week in range(1, WEEKS + 1)
    )


BUSY_DAYS = (
    Record(_SESSIONS, "sum by (agent) (increase(<sessions_opened>[1h]))", "cost"),
    Record(_SESSIONS_OF_THE_DAY, of_each_week(f"avg_over_time({_SESSIONS}[1d:1h] offset <offset>)", 12), "cost"),
)
"""How busy the days were that the spend is compared with."""


@dataclass(frozen=True)
class Spend:
    """What an alert compares with the usual: ``spent`` is a template with ``<window>``, kept by agent.

    ``record`` names the recording rules. ``session_cost`` is the record of what a session costs on average.
    """

    alert: str
    record: str
    spent: str
    session_cost: str

    @property
    def of_an_hour(self) -> str:
        """The record of the last hour's spend."""
        return f"{self.record}:increase1h"

    @property
    def mean_hour(self) -> str:
        """The record of the mean hour of the two weeks before the last day."""
        return f"{self.record}:mean_hour"

    @property
    def dearest_hour(self) -> str:
        """The record of the dearest hour of the four weeks before the last day."""
        return f"{self.record}:dearest_hour"

    def now(self, look: str) -> str:
        """The record of the spend in that window, USD an hour: ``fast`` or ``slow``."""
        return f"{self.record}:{look}"

    def usual(self, look: str) -> str:
        """The record of what is usual at this time in that window, USD an hour."""
        return f"{self.record}_usual:{look}"

    def records(self, area: str) -> tuple[Record, ...]:
        """The spend and what is usual, for rules, panels and pages."""
        return (
            Record(self.of_an_hour, self.spent.replace("<window>", "1h"), area),
            Record(self.mean_hour, f"avg_over_time({self.of_an_hour}[2w:3h] offset 1d)", area),
            Record(self.dearest_hour, f"max_over_time({self.of_an_hour}[{WEEKS}w:1h] offset 1d)", area),
            Record(
                self.now("fast"), f"{self.spent.replace('<window>', '<fast.window>')} / <fast.hours>", area, self.alert
            ),
            Record(self.now("slow"), f"avg_over_time({self.of_an_hour}[<slow.window>:10m])", area, self.alert),
            *self._usual("fast", self.of_an_hour, area),
            *self._usual("slow", self.now("slow"), area),
        )

    def _usual(self, look: str, spend: str, area: str) -> tuple[Record, ...]:
        # The maximum is of one value each; it takes off the names, so that both halves are one series over time.
        weeks, expected = f"{self.record}_in_past_weeks:{look}", f"{self.record}_expected:{look}"
        same_hours = of_each_week(f"max_over_time({spend}[2h:30m] offset <offset>)", 1)
        return (
            Record(
                weeks,
                f"""
(
{indent(same_hours, "  ")}
)
unless on (agent, week)
{TIMES_AS_BUSY} * {_SESSIONS_OF_THE_DAY} < on (agent) group_left () max by (agent) ({_SESSIONS_OF_THE_DAY})
""",
                area,
            ),
            Record(
                expected,
                f"""
max by (agent) (
  quantile by (agent) (0.5, {weeks}) and count by (agent) ({weeks}) >= {WEEKS_ENOUGH}
  or
  {self.dearest_hour} and {self.mean_hour} offset {DAYS_OF_HISTORY - 1}d > 0
)
""",
                area,
            ),
            Record(
                self.usual(look),
                f"""
max by (agent) (
  {expected} >= {self.mean_hour}
  or
  {self.mean_hour} and {expected}
)
""",
                area,
            ),
        )


def spike(spend: Spend) -> str:
    """True while the agent spends more than ``<threshold>`` times the usual (PromQL); its value is the last hour's.

    It begins when a window is surprised and the fast one is above the limit as well; it goes on while the fast one is
    nearer to the limit than to the usual.
    """
    fast, usual = spend.now("fast"), spend.usual("fast")
    looks = "\n    or\n".join(_surprised(spend, look) for look in ("fast", "slow"))
    return while_scraped(f"""
{spend.of_an_hour}
and
(
  (
{looks}
  )
  and {fast} > <threshold> * {usual}
  or
  {fast} > (1 + <threshold>) / 2 * {usual}
  and on (agent) ALERTS{{alertname="{spend.alert}", alertstate="firing"}}
)
""")


def _surprised(spend: Spend, look: str) -> str:
    now, usual = spend.now(look), spend.usual(look)
    return f"""
    {now}
      > <threshold> * {usual}
        + (
          <{look}.z> * sqrt(<scatter> * {spend.session_cost} * <threshold> * {usual} / <{look}.hours>)
          or 0 * {usual}
        )
    and {now} * <{look}.hours> > <evidence>
""".strip("\n")
