"""Users: do they come, come back, and like what they get?"""

from __future__ import annotations

from alerts import links
from alerts.evidence import Judged, share_above
from alerts.model import Alert, Record

DAILY_USERS = "agent:agent_active_users_1d:max"

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
    Record(DAILY_USERS, 'max by (agent) (<active_users>{window="1d"})', area="users"),
)

ALERTS = (
    Alert(
        name="AgentWrongAnswersReported",
        area="users",
        summary="Users report wrong answers.",
        fires_when="thumbs-down for `wrong_answer` > <threshold> of the answers",
        expr=share_above(WRONG, "<threshold>", "(1 - <threshold>)"),
        description=(
            "{{ $labels.agent }}: {{ $value | humanizePercentage }} of the answers were reported as wrong: "
            f"{WRONG.counts('slow')} in the last <slow.window>, {WRONG.counts('fast')} in the last <fast.window>; "
            "above <threshold> pages."
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
            "{{ $labels.agent }}: {{ $value | humanizePercentage }} of the ratings were thumbs down: "
            f"{DOWN.counts('slow')} in the last <slow.window>, {DOWN.counts('fast')} in the last <fast.window>; above "
            "<threshold> is too many."
        ),
        labels=("agent",),
        panel=links.NEGATIVE_FEEDBACK,
    ),
    Alert(
        name="AgentActiveUsersDeclining",
        area="users",
        summary="Fewer people use the agent than the week before.",
        fires_when="7-day mean of daily active users below that of the week before",
        # The last line: what is older than the week before makes it a whole week, not a launch day.
        expr=f"""
avg_over_time({DAILY_USERS}[<window>:1h])
<
avg_over_time({DAILY_USERS}[<window>:1h] offset <window>)
and
(avg_over_time({DAILY_USERS}[<window>:1h] offset <window>) >= <evidence>)
and
count_over_time(({DAILY_USERS} offset <window>)[<window>:1h] offset <window>)
""",
        description=(
            '{{ $labels.agent }}: {{ $value | printf "%.1f" }} people a day over the last <window>, fewer than '
            "in the week before."
        ),
        labels=("agent",),
        panel=links.ACTIVE_USERS,
    ),
    Alert(
        name="AgentRetentionLow",
        area="users",
        summary="People try the agent and do not come back.",
        fires_when="weekly retention < <threshold>",
        expr="""
max by (agent) (<user_retention>) < <threshold>
and
max by (agent) (<user_retention_cohort>) >= <evidence>
""",
        description=(
            "{{ $labels.agent }}: {{ $value | humanizePercentage }} of those who used it last week came back "
            "this week; below <threshold> is too few."
        ),
        labels=("agent",),
        panel=links.RETENTION,
    ),
)
