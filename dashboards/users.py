"""Users: do people come, come back, and like what they get."""

from __future__ import annotations

from agentgauge import metrics
from alerts import links
from alerts.areas.presence import LATELY, USUAL
from alerts.areas.users import DOWN, LAST_WEEK, RATINGS_1H, TASKS_1H, WEEK_BEFORE, WRONG
from dashboards import queries, shared
from dashboards.annotations import EVERYWHERE
from dashboards.model import Dashboard, Limit, Query, Row
from dashboards.shapes import headline, heatmap, lines, stack, stat
from dashboards.style import COUNT, PER_MINUTE, RATIO


def _without_turn(by: str = "", over: str = "1h") -> str:
    """Share of the closed sessions in the histogram's bucket of no turn at all."""
    none = queries.increase("session_turns.bucket", over, by, f'le="{metrics.SESSION_TURNS.le(0.0)}"')
    return f"{none}\n/\n({queries.increase('session_turns.count', over, by)} > 0)"


AT_A_GLANCE = Row(
    "At a glance",
    (
        shared.active_users(100, "Active today", "1d", "24 hours"),
        shared.active_users(101, "Active this week", "7d", "7 days"),
        shared.active_users(102, "Active this month", "28d", "28 days"),
        stat(
            103,
            "Came back",
            RATIO,
            "Of the users active 14 to 7 days ago, the share active in the last 7; of the worst agent.",
            queries.lowest(queries.ledger_gauge("user_retention", "agent")),
            limit=Limit("AgentRetentionLow", "below"),
        ),
        shared.thumbs_down(104),
        headline(
            105,
            "Left without a word",
            RATIO,
            "Share of the closed sessions that had no turn.",
            lambda over: _without_turn(over=over),
        ),
    ),
)

COMING = Row(
    "Coming, and coming back",
    (
        lines(
            links.ACTIVE_USERS.panel_id,
            "Daily active users",
            COUNT,
            "Distinct users of the 24 hours up to each moment, and the mean of the last 7 whole local days. The "
            "baseline is the mean of the 7 days before.",
            Query(queries.ledger_gauge("active_users", "agent", 'window="1d"'), "{{agent}} daily"),
            Query(f"{LAST_WEEK}{{<where>}} / 7", "{{agent}}, mean of a week"),
            Query(f"<threshold> * {WEEK_BEFORE}{{<where>}} / 7", "{{agent}}, limit", is_limit=True),
            span=12,
        ),
        lines(
            106,
            "Weekly and monthly active users",
            COUNT,
            "Distinct users of the 7 and of the 28 days up to each moment.",
            Query(queries.ledger_gauge("active_users", "agent", 'window="7d"'), "{{agent}} weekly"),
            Query(queries.ledger_gauge("active_users", "agent", 'window="28d"'), "{{agent}} monthly"),
            span=12,
        ),
        lines(
            links.RETENTION.panel_id,
            "Weekly retention",
            RATIO,
            "Of the users active 14 to 7 days ago, the share active in the last 7 days.",
            Query(queries.ledger_gauge("user_retention", "agent"), "{{agent}}"),
            span=12,
            limits=(Limit("AgentRetentionLow", "below"),),
        ),
        lines(
            107,
            "Cohort of the retention",
            COUNT,
            "Users active 14 to 7 days ago: how many people the retention is a share of.",
            Query(queries.ledger_gauge("user_retention_cohort", "agent"), "{{agent}}"),
            span=12,
        ),
    ),
)

SESSIONS = Row(
    "Sessions",
    (
        lines(
            links.SESSION_LENGTH.panel_id,
            "Session length",
            COUNT,
            "Mean user turns of the sessions closed in the alert's window; one without a turn counts 0.",
            Query(queries.mean("session_turns", "agent"), "{{agent}}"),
            limits=(Limit("AgentSessionsAbandoned", "below"),),
        ),
        lines(
            108,
            "Sessions without a turn",
            RATIO,
            "Share of the sessions closed in the last hour in which nobody said a word.",
            Query(_without_turn("agent"), "{{agent}}"),
            near_zero=True,
        ),
        heatmap(
            109,
            "Turns per session",
            COUNT,
            "How many sessions had how many user turns, at their close; darker is more.",
            "session_turns",
        ),
        lines(
            links.SESSIONS_OPENED.panel_id,
            "Sessions opened",
            COUNT,
            "Sessions opened in the alert's window, and how many are usual at that time: the median of the last four "
            "weeks, or yesterday's.",
            Query(f"{LATELY}{{<where>}}", "{{agent}}"),
            Query(f"{USUAL}{{<where>}}", "{{agent}}, usual"),
            Query(f"<threshold> * {USUAL}{{<where>}}", "{{agent}}, limit", is_limit=True),
            span=24,
        ),
    ),
)

FAILURES = Row(
    "Whom failures hit",
    (
        lines(
            114,
            "Users and conversations with a failed request",
            RATIO,
            "Of the users of the last hour, the share of whom a request failed; of the sessions opened in the last "
            "hour, the share in which one did.",
            Query(
                f"""
{queries.ledger_gauge("users_last_hour", "agent", 'failed="yes"')}
/
(sum by (agent) ({queries.ledger_gauge("users_last_hour", "agent, failed")}) > 0)
""",
                "{{agent}}, users",
            ),
            Query(
                f"{queries.increase('sessions_failing', '1h', 'agent')}\n/\n"
                f"({queries.increase('sessions_opened', '1h', 'agent')} > 0)",
                "{{agent}}, conversations",
            ),
            span=24,
            near_zero=True,
        ),
    ),
)

THUMBS = Row(
    "Thumbs",
    (
        lines(
            links.NEGATIVE_FEEDBACK.panel_id,
            "Thumbs down",
            RATIO,
            "Share of thumbs down among all ratings, over the alert's window.",
            Query(queries.share_judged(DOWN), "{{agent}}"),
            span=12,
            limits=(Limit("AgentNegativeFeedbackHigh", "above"),),
        ),
        lines(
            links.WRONG_ANSWERS.panel_id,
            "Answers reported as wrong",
            RATIO,
            "Share of the answers that somebody reported as wrong, over the alert's slow window.",
            Query(queries.share_judged(WRONG), "{{agent}}"),
            span=12,
            limits=(Limit("AgentWrongAnswersReported", "above"),),
        ),
        stack(
            113,
            "Why thumbs go down",
            COUNT,
            "Thumbs down of the last hour by the reason given. `agentgauge transcripts answers` shows the answers.",
            Query(queries.increase("feedback", "1h", "reason", 'rating="down"'), "{{reason}}"),
            span=12,
            drawn="bars",
        ),
        stack(
            110,
            "Ratings",
            PER_MINUTE,
            "Thumbs per minute.",
            Query(queries.per_minute("feedback", "rating"), "{{rating}}"),
            span=12,
        ),
        lines(
            links.RATINGS.panel_id,
            "Ratings and answers",
            COUNT,
            "Ratings within the alert's window, and how many the answers of that window should have brought, going by "
            "the week before.",
            Query(f"sum_over_time({RATINGS_1H}{{<where>}}[<window>:1h])", "{{agent}}"),
            Query(
                f"""
sum_over_time({RATINGS_1H}{{<where>}}[7d:1h] offset <window>)
/
(sum_over_time({TASKS_1H}{{<where>}}[7d:1h] offset <window>) > 0)
* sum_over_time({TASKS_1H}{{<where>}}[<window>:1h])
""",
                "{{agent}}, expected",
            ),
            span=24,
        ),
    ),
)

USERS = Dashboard(
    uid=links.USERS,
    title="AgentGauge Users",
    description="Do people come, come back, and like what they get.",
    source="dashboards/users.py",
    variables=("job", "instance", "agent"),
    annotations=EVERYWHERE,
    rows=(AT_A_GLANCE, COMING, SESSIONS, FAILURES, THUMBS),
    since="now-7d",
)
