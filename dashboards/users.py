"""Users: do people come, come back, and like what they get."""

from __future__ import annotations

from agentgauge import metrics
from alerts import links
from alerts.areas.users import DAILY_USERS, RATINGS
from dashboards.model import (
    COUNT,
    OF_AGENT,
    PER_MINUTE,
    RATIO,
    Dashboard,
    Limit,
    Panel,
    Query,
    Row,
)

# Every replica shows the same ledger: its gauges are queried with max, never sum.
# `> 0` below a fraction drops NaN: where nothing happened there is no value.

NO_TURN = metrics.SESSION_TURNS.le(0.0)
"""The bucket of sessions that were closed without a turn."""


def _active(id: int, title: str, window: str, days: str) -> Panel:
    """One of the three counts of active users; they differ in nothing but the window."""
    return Panel(
        id=id,
        title=title,
        description=f"Distinct users of the last {days}; of the agent that has most.",
        kind="stat",
        unit=COUNT,
        span=4,
        height=4,
        queries=(Query(f'max(<active_users>{{<where>, window="{window}"}})'),),
    )


AT_A_GLANCE = Row(
    "At a glance",
    (
        _active(100, "Active today", "1d", "24 hours"),
        _active(101, "Active this week", "7d", "7 days"),
        _active(102, "Active this month", "28d", "28 days"),
        Panel(
            id=103,
            title="Came back",
            description="Of the users active 14 to 7 days ago, the share active in the last 7; of the worst agent.",
            kind="stat",
            unit=RATIO,
            span=4,
            height=4,
            limits=(Limit("AgentRetentionLow", "below"),),
            queries=(Query("min(max by (agent) (<user_retention>{<where>}))"),),
        ),
        Panel(
            id=104,
            title="Thumbs down",
            description="Share of thumbs down among all ratings in the alert's window; of the worst agent.",
            kind="stat",
            unit=RATIO,
            span=4,
            height=4,
            limits=(Limit("AgentNegativeFeedbackHigh", "above"),),
            queries=(
                Query(f"""
max(
  sum by (agent) (sum_over_time({RATINGS}{{{OF_AGENT}, rating="down"}}[<window>:5m]))
  /
  (sum by (agent) (sum_over_time({RATINGS}{{{OF_AGENT}}}[<window>:5m])) > 0)
)
"""),
            ),
        ),
        Panel(
            id=105,
            title="Left without a word",
            description="Share of the sessions closed in the last hour that had no turn.",
            kind="stat",
            unit=RATIO,
            span=4,
            height=4,
            queries=(
                Query(f"""
sum(increase(<session_turns.bucket>{{<where>, le="{NO_TURN}"}}[1h]))
/
(sum(increase(<session_turns.count>{{<where>}}[1h])) > 0)
"""),
            ),
        ),
    ),
)

COMING = Row(
    "Coming, and coming back",
    (
        Panel(
            id=links.ACTIVE_USERS.panel_id,
            title="Daily active users",
            description=(
                "Distinct users of the 24 hours up to each moment, and their mean over the alert's window. Dashed "
                "line: that mean one window earlier, the baseline of AgentActiveUsersDeclining."
            ),
            kind="timeseries",
            unit=COUNT,
            span=12,
            queries=(
                Query(f"{DAILY_USERS}{{{OF_AGENT}}}", legend="{{agent}} daily"),
                Query(f"avg_over_time({DAILY_USERS}{{{OF_AGENT}}}[<window>:1h])", legend="{{agent}}, mean of a week"),
                Query(
                    f"avg_over_time({DAILY_USERS}{{{OF_AGENT}}}[<window>:1h] offset <window>)",
                    legend="{{agent}}, the week before",
                    is_limit=True,
                ),
            ),
        ),
        Panel(
            id=106,
            title="Weekly and monthly active users",
            description="Distinct users of the 7 and of the 28 days up to each moment.",
            kind="timeseries",
            unit=COUNT,
            span=12,
            queries=(
                Query('max by (agent) (<active_users>{<where>, window="7d"})', legend="{{agent}} weekly"),
                Query('max by (agent) (<active_users>{<where>, window="28d"})', legend="{{agent}} monthly"),
            ),
        ),
        Panel(
            id=links.RETENTION.panel_id,
            title="Weekly retention",
            description="Of the users active 14 to 7 days ago, the share active in the last 7 days.",
            kind="timeseries",
            unit=RATIO,
            span=12,
            limits=(Limit("AgentRetentionLow", "below"),),
            queries=(Query("max by (agent) (<user_retention>{<where>})", legend="{{agent}}"),),
        ),
        Panel(
            id=107,
            title="Cohort of the retention",
            description="Users active 14 to 7 days ago: how many people the retention is a share of.",
            kind="timeseries",
            unit=COUNT,
            span=12,
            queries=(Query("max by (agent) (<user_retention_cohort>{<where>})", legend="{{agent}}"),),
        ),
    ),
)

SESSIONS = Row(
    "Sessions",
    (
        Panel(
            id=links.SESSION_LENGTH.panel_id,
            title="Session length",
            description="Mean user turns of the sessions closed in the alert's window; one without a turn counts 0.",
            kind="timeseries",
            unit=COUNT,
            span=8,
            limits=(Limit("AgentSessionsAbandoned", "below"),),
            queries=(
                Query(
                    """
sum by (agent) (increase(<session_turns.sum>{<where>}[<window>]))
/
(sum by (agent) (increase(<session_turns.count>{<where>}[<window>])) > 0)
""",
                    legend="{{agent}}",
                ),
            ),
        ),
        Panel(
            id=108,
            title="Sessions without a turn",
            description="Share of the sessions closed in the last hour in which nobody said a word.",
            kind="timeseries",
            unit=RATIO,
            span=8,
            queries=(
                Query(
                    f"""
sum by (agent) (increase(<session_turns.bucket>{{<where>, le="{NO_TURN}"}}[1h]))
/
(sum by (agent) (increase(<session_turns.count>{{<where>}}[1h])) > 0)
""",
                    legend="{{agent}}",
                ),
            ),
        ),
        Panel(
            id=109,
            title="Turns per session",
            description="How many sessions had how many user turns, at their close; darker is more.",
            kind="heatmap",
            unit=COUNT,
            span=8,
            queries=(Query("sum by (le) (increase(<session_turns.bucket>{<where>}[$__rate_interval]))"),),
        ),
    ),
)

THUMBS = Row(
    "Thumbs",
    (
        Panel(
            id=links.NEGATIVE_FEEDBACK.panel_id,
            title="Thumbs down",
            description="Share of thumbs down among all ratings, over the alert's window.",
            kind="timeseries",
            unit=RATIO,
            span=8,
            limits=(Limit("AgentNegativeFeedbackHigh", "above"),),
            queries=(
                Query(
                    f"""
sum by (agent) (sum_over_time({RATINGS}{{{OF_AGENT}, rating="down"}}[<window>:5m]))
/
(sum by (agent) (sum_over_time({RATINGS}{{{OF_AGENT}}}[<window>:5m])) > 0)
""",
                    legend="{{agent}}",
                ),
            ),
        ),
        Panel(
            id=links.WRONG_ANSWERS.panel_id,
            title="Why thumbs go down",
            description="Thumbs down in the alert's window by the reason given; the alert counts wrong answers alone.",
            kind="timeseries",
            unit=COUNT,
            span=8,
            queries=(
                Query(
                    'sum by (reason) (increase(<feedback>{<where>, rating="down"}[<window>]))',
                    legend="{{reason}}",
                ),
            ),
        ),
        Panel(
            id=110,
            title="Ratings",
            description="Thumbs per minute.",
            kind="timeseries",
            unit=PER_MINUTE,
            span=8,
            stacked=True,
            queries=(Query("60 * sum by (rating) (rate(<feedback>{<where>}[$__rate_interval]))", legend="{{rating}}"),),
        ),
    ),
)

USERS = Dashboard(
    uid=links.USERS,
    title="AgentGauge Users",
    description="Do people come, come back, and like what they get.",
    source="dashboards/users.py",
    variables=("job", "instance", "agent"),
    rows=(AT_A_GLANCE, COMING, SESSIONS, THUMBS),
    since="now-7d",
)
