"""Tasks: do users get what they asked for?"""

from __future__ import annotations

from alerts import links
from alerts.model import Alert

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
)
