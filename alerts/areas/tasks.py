"""Tasks: do users get what they asked for?"""

from __future__ import annotations

from agentgauge import metrics
from alerts import links
from alerts.model import Alert, Record

TURNS_SUM = "agent:agent_task_turns_sum:increase5m"
TURNS_COUNT = "agent:agent_task_turns_count:increase5m"

RECORDS = (
    Record(TURNS_SUM, "sum by (agent) (increase(<task_turns.sum>[5m]))", area="tasks"),
    Record(TURNS_COUNT, "sum by (agent) (increase(<task_turns.count>[5m]))", area="tasks"),
)

ALERTS = (
    Alert(
        name="AgentTaskCompletionLow",
        area="tasks",
        summary="Too few user requests are completed.",
        fires_when="completed / all tasks < <threshold>",
        expr="""
(
  sum by (agent) (increase(<tasks>{outcome="completed"}[<window>]))
  /
  sum by (agent) (increase(<tasks>[<window>]))
) < <threshold>
and
sum by (agent) (increase(<tasks>[<window>])) >= <evidence>
""",
        description=(
            "{{ $labels.agent }}: {{ $value | humanizePercentage }} of the tasks of the last <window> were completed; "
            "below <threshold> pages."
        ),
        labels=("agent",),
        panel=links.TASK_COMPLETION,
    ),
    Alert(
        name="AgentTurnsIncreasing",
        area="tasks",
        summary="Tasks take more model turns than they should, and more than yesterday.",
        fires_when="mean turns to completion > <threshold> and above the mean of the 24 h before",
        expr=f"""
(
  sum by (agent) (increase(<task_turns.sum>[<window>]))
  /
  sum by (agent) (increase(<task_turns.count>[<window>]))
) > <threshold> > (
  sum_over_time({TURNS_SUM}[1d:5m] offset <window>)
  /
  sum_over_time({TURNS_COUNT}[1d:5m] offset <window>)
)
and
sum by (agent) (increase(<task_turns.count>[<window>])) >= <evidence>
""",
        description=(
            '{{ $labels.agent }}: a task took {{ $value | printf "%.1f" }} model turns on average over the '
            "last <window>; above <threshold>, and more than in the 24 h before."
        ),
        labels=("agent",),
        panel=links.TASK_TURNS,
        boundary_of=metrics.TASK_TURNS,
    ),
    Alert(
        name="AgentFallbackRateHigh",
        area="tasks",
        summary='The agent says "I can\'t help with that" too often.',
        fires_when="fallback / all tasks > <threshold>",
        expr="""
(
  sum by (agent) (increase(<tasks>{outcome="fallback"}[<window>]))
  /
  sum by (agent) (increase(<tasks>[<window>]))
) > <threshold>
and
sum by (agent) (increase(<tasks>[<window>])) >= <evidence>
""",
        description=(
            "{{ $labels.agent }}: {{ $value | humanizePercentage }} of the tasks of the last <window> ended in "
            "a fallback; above <threshold> is too many."
        ),
        labels=("agent",),
        panel=links.FALLBACK_RATE,
    ),
)
