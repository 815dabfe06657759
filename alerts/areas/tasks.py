"""Tasks: do users get what they asked for?"""

from __future__ import annotations

from agentgauge import metrics
from alerts import links
from alerts.counting import LOOPS_EXPLAIN_IT
from alerts.evidence import Judged, mean_above, share_above
from alerts.model import Alert, Record

TURNS_SUM = "agent:agent_task_turns_sum:increase5m"
TURNS_COUNT = "agent:agent_task_turns_count:increase5m"

USUAL_TURNS = "agent:agent_task_turns:usual"

ROOTS = ("AgentModelGone", "AgentLLMErrorsHigh", "AgentAllToolCallsFailing")
"""Without a model or tools no task is completed: while one of these fires, that is the page."""

UNCOMPLETED = Judged(
    alert="AgentTaskCompletionLow",
    record="agent:agent_tasks_uncompleted",
    by="agent",
    part='sum by (agent) (increase(<tasks>{outcome!="completed"}[<window>]))',
    whole="sum by (agent) (increase(<tasks>[<window>]))",
)
FALLBACK = Judged(
    alert="AgentFallbackRateHigh",
    record="agent:agent_tasks_fallback",
    by="agent",
    part='sum by (agent) (increase(<tasks>{outcome="fallback"}[<window>]))',
    whole="sum by (agent) (increase(<tasks>[<window>]))",
    looks=("fast", "slow"),
)
TURNS = Judged(
    alert="AgentTurnsIncreasing",
    record="agent:agent_task_turns",
    by="agent",
    part="sum by (agent) (increase(<task_turns.sum>[<window>]))",
    whole="sum by (agent) (increase(<task_turns.count>[<window>]))",
    looks=("slow",),
    ratio="mean",
)

RECORDS = (
    *UNCOMPLETED.records("tasks"),
    *FALLBACK.records("tasks"),
    *TURNS.records("tasks"),
    Record(TURNS_SUM, "sum by (agent) (increase(<task_turns.sum>[5m]))", area="tasks"),
    Record(TURNS_COUNT, "sum by (agent) (increase(<task_turns.count>[5m]))", area="tasks"),
    # What a task may take: as the promise says, or as many as in the day before, so that what is known for a day ends.
    Record(
        USUAL_TURNS,
        f"""
clamp_min(
  sum_over_time({TURNS_SUM}[1d:5m] offset <slow.window>) / sum_over_time({TURNS_COUNT}[1d:5m] offset <slow.window>),
  <threshold>
)
""",
        area="tasks",
        of="AgentTurnsIncreasing",
    ),
)

ALERTS = (
    Alert(
        name="AgentTaskCompletionLow",
        area="tasks",
        summary="Too few user requests are completed.",
        fires_when="completed / all tasks < <threshold>",
        expr=share_above(
            UNCOMPLETED, "(1 - <threshold>)", "<threshold>", roots=ROOTS, explained_by=(LOOPS_EXPLAIN_IT,)
        ),
        description=(
            f"{{{{ $labels.agent }}}}: {UNCOMPLETED.worst_first('of the tasks were not completed')}; <threshold> "
            "completion is promised."
        ),
        labels=("agent",),
        panel=links.TASK_COMPLETION,
        inhibits=("AgentFallbackRateHigh",),
    ),
    Alert(
        name="AgentTurnsIncreasing",
        area="tasks",
        summary="Tasks take more model turns than they should, and more than yesterday.",
        fires_when="mean turns to completion > <threshold> and above the mean of the 24 h before",
        expr=mean_above(TURNS, USUAL_TURNS),
        description=(
            '{{ $labels.agent }}: a task took {{ $value | printf "%.1f" }} model turns on average over the '
            "last <slow.window>; above <threshold>, and more than in the 24 h before."
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
        expr=share_above(FALLBACK, "<threshold>", "(1 - <threshold>)", of_all=True, roots=ROOTS),
        description=(
            f"{{{{ $labels.agent }}}}: {FALLBACK.worst_first('of the tasks ended in a fallback')}; above <threshold> "
            "is too many."
        ),
        labels=("agent",),
        panel=links.FALLBACK_RATE,
    ),
)
