"""Users: do they come, come back, and like what they get?"""

from __future__ import annotations

from agentgauge import metrics
from alerts import links
from alerts.counting import while_scraped
from alerts.evidence import Judged, share_above
from alerts.model import Alert, Record

LAST_WEEK = "agent:agent_user_days_last_7d:max"
WEEK_BEFORE = "agent:agent_user_days_previous_7d:max"
RATINGS_1H = "agent:agent_feedback:increase1h"
TASKS_1H = "agent:agent_tasks:increase1h"

RATINGS_BEFORE = f"sum_over_time({RATINGS_1H}[7d:1h] offset <window>)"
RATINGS_EXPECTED = (
    f"{RATINGS_BEFORE} / sum_over_time({TASKS_1H}[7d:1h] offset <window>) * sum_over_time({TASKS_1H}[<window>:1h])"
)
"""As many ratings an answer as in the week before, for the answers of the window: a holiday has none to rate."""

RETENTION, COHORT = "max by (agent) (<user_retention>)", "max by (agent) (<user_retention_cohort>)"
"""The share that came back, and of how many: each replica shows both."""

WRONG = Judged(
    alert="AgentWrongAnswersReported",
    record="agent:agent_feedback_wrong",
    by="agent",
    part='sum by (agent) (increase(<feedback>{rating="down", reason="wrong_answer"}[<window>]))',
    whole="sum by (agent) (increase(<tasks>[<window>]))",
    looks=("fast", "slow"),
)
DOWN = Judged(
    alert="AgentNegativeFeedbackHigh",
    record="agent:agent_feedback_down",
    by="agent",
    part='sum by (agent) (increase(<feedback>{rating="down"}[<window>]))',
    whole="sum by (agent) (increase(<feedback>[<window>]))",
    looks=("fast", "slow"),
)

RECORDS = (
    *WRONG.records("users"),
    *DOWN.records("users"),
    Record(LAST_WEEK, 'max by (agent) (<user_days>{window="last_7d"})', area="users"),
    Record(WEEK_BEFORE, 'max by (agent) (<user_days>{window="previous_7d"})', area="users"),
    Record(RATINGS_1H, "sum by (agent) (increase(<feedback>[1h]))", area="users"),
    Record(TASKS_1H, "sum by (agent) (increase(<tasks>[1h]))", area="users"),
)

ALERTS = (
    Alert(
        name="AgentWrongAnswersReported",
        area="users",
        summary="Users report wrong answers.",
        fires_when="thumbs-down for `wrong_answer` > <threshold> of the answers",
        expr=share_above(WRONG, "<threshold>", "(1 - <threshold>)"),
        description=(
            f"{{{{ $labels.agent }}}}: {WRONG.worst_first('of the answers were reported as wrong')}; above <threshold> "
            "pages."
        ),
        labels=("agent",),
        panel=links.WRONG_ANSWERS,
    ),
    Alert(
        name="AgentNegativeFeedbackHigh",
        area="users",
        summary="Too many thumbs down.",
        fires_when="down / all ratings > <threshold>",
        expr=share_above(DOWN, "<threshold>", "(1 - <threshold>)", of_all=True),
        description=(
            f"{{{{ $labels.agent }}}}: {DOWN.worst_first('of the ratings were thumbs down')}; above <threshold> is too "
            "many."
        ),
        labels=("agent",),
        panel=links.NEGATIVE_FEEDBACK,
    ),
    Alert(
        name="AgentFeedbackSilent",
        area="users",
        summary="Nobody rates the answers any more: the buttons may be broken.",
        fires_when="no rating, where there were <evidence> in the week before",
        # Where five are expected, none is chance once in 150 times.
        expr=while_scraped(f"""
{RATINGS_BEFORE} >= <evidence>
and
{RATINGS_EXPECTED} >= 5
and
sum_over_time({RATINGS_1H}[<window>:1h]) == 0
"""),
        description=(
            "{{ $labels.agent }}: nobody rated an answer in the last <window>; in the week before there were "
            "<evidence> ratings or more."
        ),
        labels=("agent",),
        panel=links.RATINGS,
    ),
    Alert(
        name="AgentActiveUsersDeclining",
        area="users",
        summary="Fewer people use the agent than the week before.",
        fires_when="user-days of the last 7 whole days < <threshold> those of the 7 before",
        # How many come on a day varies by the root of their number; the difference of two weeks by that of both.
        expr=f"""
{LAST_WEEK} < <threshold> * {WEEK_BEFORE}
and
{WEEK_BEFORE} - {LAST_WEEK} > <z> * sqrt({WEEK_BEFORE} + {LAST_WEEK})
and
{WEEK_BEFORE} >= <evidence>
""",
        description=(
            '{{ $labels.agent }}: {{ $value | printf "%.0f" }} user-days in the last 7 whole days, '
            f"{{{{ with printf `{WEEK_BEFORE}{{agent=%q}}` $labels.agent | query }}}}"
            '{{ . | first | value | printf "%.0f" }}{{ end }} in the 7 before; below <threshold> as many is a decline.'
        ),
        labels=("agent",),
        baseline="the 7 whole days before the last 7",
        panel=links.ACTIVE_USERS,
    ),
    Alert(
        name="AgentRetentionLow",
        area="users",
        summary="People try the agent and do not come back.",
        fires_when="weekly retention < <threshold>",
        # As many come back as the promise says, give or take the root of their number.
        expr=f"""
{RETENTION} < <threshold> - <z> * sqrt(<threshold> * (1 - <threshold>) / {COHORT})
and
{COHORT} >= <evidence>
""",
        description=(
            "{{ $labels.agent }}: {{ $value | humanizePercentage }} of the "
            f"{{{{ with printf `max({metrics.USER_RETENTION_COHORT}{{agent=%q}})` $labels.agent | query }}}}"
            '{{ . | first | value | printf "%.0f" }}{{ end }} people who used it last week came back this week; '
            "below <threshold> is too few."
        ),
        labels=("agent",),
        panel=links.RETENTION,
    ),
)
