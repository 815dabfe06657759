"""Sessions: do conversations end, in time and within their limits?"""

from __future__ import annotations

from agentgauge import metrics
from agentgauge.session import SessionLimits
from alerts import links
from alerts.counting import HANGING_EXPLAINS_IT, LOOPS_EXPLAIN_IT, newly_over_limit
from alerts.evidence import Judged, mean_below, share_above
from alerts.model import SLOW_SHARE, Alert

# Read when the alert fires, so that the page says what the agent counted against, whatever was configured here.
_LIMIT_IN_FORCE = (
    f'{{{{ with printf "max({metrics.SESSION_LIMIT}{{agent=%q,limit=\\"tool_calls\\"}})" $labels.agent | query }}}}'
    '{{ . | first | value | printf "%.0f" }}{{ else }}the limit of{{ end }}'
)

SLOW = Judged(
    alert="AgentLatencySpike",
    record="agent:agent_turns_slow",
    by="agent",
    part="""
sum by (agent) (increase(<turn_duration.count>[<window>]))
-
sum by (agent) (increase(<turn_duration.bucket>{le="<le>"}[<window>]))
""",
    whole="sum by (agent) (increase(<turn_duration.count>[<window>]))",
)
TURNS = Judged(
    alert="AgentSessionsAbandoned",
    record="agent:agent_session_turns",
    by="agent",
    part="sum by (agent) (increase(<session_turns.sum>[<window>]))",
    whole="sum by (agent) (increase(<session_turns.count>[<window>]))",
    looks=("slow",),
    ratio="mean",
)

RECORDS = (*SLOW.records("sessions"), *TURNS.records("sessions"))

ALERTS = (
    Alert(
        name="AgentSessionLooping",
        area="sessions",
        summary="A session makes too many tool calls: the agent is looping.",
        fires_when=f"a session passes the agent's limit of tool calls, {SessionLimits().tool_calls} by default",
        expr=newly_over_limit("tool_calls"),
        description=(
            f'{{{{ $labels.agent }}}}: {{{{ $value | printf "%.0f" }}}} session(s) passed {_LIMIT_IN_FORCE} tool calls '
            "in the last <window>."
        ),
        labels=("agent",),
        panel=links.SESSION_TOOL_CALLS,
        inhibits=("AgentSessionCostOverLimit",),
    ),
    Alert(
        name="AgentLatencySpike",
        area="sessions",
        summary="Answers are slow: the p95 of turns is above the limit.",
        fires_when="p95 of turns > <threshold>",
        expr=share_above(
            SLOW,
            f"{SLOW_SHARE}",
            f"{1 - SLOW_SHARE}",
            roots=("AgentLLMErrorsHigh",),
            explained_by=(LOOPS_EXPLAIN_IT, HANGING_EXPLAINS_IT),
        ),
        description=(
            f"{{{{ $labels.agent }}}}: {SLOW.worst_first('of the answers took longer than <threshold>')}; above 5 % "
            "the p95 is over <threshold>."
        ),
        labels=("agent",),
        panel=links.TURN_LATENCY,
        boundary_of=metrics.TURN_DURATION,
    ),
    Alert(
        name="AgentSessionsAbandoned",
        area="sessions",
        summary="People open a conversation and leave without a word.",
        fires_when="mean turns of closed sessions < <threshold>",
        expr=mean_below(TURNS, "<threshold>"),
        description=(
            '{{ $labels.agent }}: a session of the last <slow.window> had {{ $value | printf "%.2f" }} turns on '
            "average; below <threshold> most people leave without asking."
        ),
        labels=("agent",),
        panel=links.SESSION_LENGTH,
        boundary_of=metrics.SESSION_TURNS,
    ),
)
