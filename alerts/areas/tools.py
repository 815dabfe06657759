"""Tools: do their calls succeed, and fast enough?"""

from __future__ import annotations

from textwrap import indent

from agentgauge import metrics
from alerts import links
from alerts.counting import HANGING_EXPLAINS_IT, OLD_STRANGER, counted, grown
from alerts.evidence import Judged, share_above
from alerts.model import SLOW_SHARE, Alert, Record

SEEN_ERROR_TYPES = "agent_tool_error_type:agent_tool_errors:seen10m"
SEEN_7D = "agent_tool_error_type:agent_tool_errors:last7d"
CALLS_1H = "agent_tool:agent_tool_calls:increase1h"
CALLS_7D = "agent_tool:agent_tool_calls:last7d"

FAILED = Judged(
    alert="AgentToolSuccessRateLow",
    record="agent_tool:agent_tool_calls_failed",
    by="agent, tool",
    # Calls of tools that do not exist always fail; AgentLabelOverflow counts them.
    part='sum by (agent, tool) (increase(<tool_calls>{tool!="other", outcome="error"}[<window>]))',
    whole='sum by (agent, tool) (increase(<tool_calls>{tool!="other"}[<window>]))',
)
SLOW = Judged(
    alert="AgentToolLatencyHigh",
    record="agent_tool:agent_tool_calls_slow",
    by="agent, tool",
    part="""
sum by (agent, tool) (increase(<tool_duration.count>[<window>]))
-
sum by (agent, tool) (increase(<tool_duration.bucket>{le="<le>"}[<window>]))
""",
    whole="sum by (agent, tool) (increase(<tool_duration.count>[<window>]))",
)


FAILED_LATELY = {
    "<window>": "agent_tool:agent_tool_calls_error:lately",
    "2m": "agent_tool:agent_tool_calls_error:last2m",
    "1m": "agent_tool:agent_tool_calls_error:last1m",
}
"""Window → the record of the calls that failed in it.

A busy agent has evidence enough within a minute, or two if it is scraped once a minute. To wait until the whole window
has run empty of successes would page for the symptoms first.
"""


def none_succeeds(window: str) -> str:
    """All calls failed, those of several tools twice: where one is dead, another may see a single call, and fail it."""
    failed = FAILED_LATELY[window]
    return f"""
(
  sum by (agent) ({failed}) >= <evidence>
  and
  sum by (agent) (increase(<tool_calls>{{outcome="success"}}[{window}])) == 0
  and (
    count by (agent) ({failed} >= 2) > 1
    or
    count by (agent) (sum by (agent, tool) (increase(<tool_calls>[1h])) > 0) == 1
  )
)
"""


RECORDS = (
    *(
        Record(
            record,
            f"""
sum by (agent, tool) (
{indent(counted('<tool_calls>{outcome="error"}').replace("<window>", window), "  ")}
)
""",
            area="tools",
            of="AgentAllToolCallsFailing",
        )
        for window, record in FAILED_LATELY.items()
    ),
    *FAILED.records("tools"),
    *SLOW.records("tools"),
    Record(
        SEEN_ERROR_TYPES,
        # An error type is born at 1, so its first error is not an increase: a series that was not there counts as well.
        # Not there for an hour: a few minutes without scrapes make nothing new.
        f"""
sum by (agent, tool, error_type) (
{indent(grown("<tool_errors>"), "  ")}
)
or
(
  sum by (agent, tool, error_type) (
    <tool_errors>
{indent(OLD_STRANGER.strip(), "    ")}
  ) > 0
  unless
  sum by (agent, tool, error_type) (last_over_time(<tool_errors>[1h] offset <window>))
)
""",
        area="tools",
        of="AgentToolNewErrorType",
    ),
    # Weeks that are over are looked up rather than counted again.
    Record(SEEN_7D, f"count_over_time({SEEN_ERROR_TYPES}[7d:10m])", area="tools"),
    Record(CALLS_1H, "sum by (agent, tool) (increase(<tool_calls>[1h]))", area="tools"),
    Record(CALLS_7D, f"sum_over_time({CALLS_1H}[7d:1h])", area="tools"),
)

ALERTS = (
    Alert(
        name="AgentAllToolCallsFailing",
        area="tools",
        summary="No tool call of the agent succeeds.",
        fires_when="no tool call of the agent succeeds, in the window or, on a busy agent, in one minute or two",
        expr="or".join(map(none_succeeds, FAILED_LATELY)),
        description='{{ $labels.agent }}: none of the last {{ $value | printf "%.0f" }} tool calls succeeded.',
        labels=("agent",),
        panel=links.ALL_TOOL_SUCCESS,
        inhibits=(
            "AgentToolSuccessRateLow",
            "AgentToolLatencyHigh",
            "AgentToolNewErrorType",
            "AgentSessionLooping",
            "AgentLatencySpike",
            "AgentTaskCompletionLow",
        ),
    ),
    Alert(
        name="AgentToolSuccessRateLow",
        area="tools",
        summary="A tool fails too often.",
        fires_when="a tool's success rate < <threshold>",
        expr=share_above(FAILED, "(1 - <threshold>)", "<threshold>", roots=("AgentAllToolCallsFailing",)),
        description=(
            "{{ $labels.agent }}: "
            + FAILED.worst_first("of the {{ $labels.tool }} calls failed")
            + "; <threshold> success is promised."
        ),
        labels=("agent", "tool"),
        panel=links.TOOL_SUCCESS,
        inhibits=("AgentToolNewErrorType",),
        inhibit_equal=("agent", "tool"),
    ),
    Alert(
        name="AgentToolLatencyHigh",
        area="tools",
        summary="A tool is slow: its p95 is above the limit.",
        fires_when="a tool's p95 > <threshold>",
        expr=share_above(
            SLOW,
            f"{SLOW_SHARE}",
            f"{1 - SLOW_SHARE}",
            explained_by=(HANGING_EXPLAINS_IT,),
        ),
        description=(
            "{{ $labels.agent }}: "
            + SLOW.worst_first("of the {{ $labels.tool }} calls took longer than <threshold>")
            + "; above 5 % the p95 is over <threshold>."
        ),
        labels=("agent", "tool"),
        panel=links.TOOL_LATENCY,
        boundary_of=metrics.TOOL_DURATION,
    ),
    Alert(
        name="AgentToolNewErrorType",
        area="tools",
        summary="A tool fails in a way not seen in the last 7 days.",
        fires_when=(
            "an error type not seen for that tool in the 7 days before, nor in four weeks where those 7 held less "
            "than half the calls of a usual one; silent in the agent's first 24 h"
        ),
        # After a week of holidays the usual errors have not been seen for a week: that makes none of them new.
        expr=f"""
(
  {SEEN_ERROR_TYPES}
  unless on (agent, tool, error_type)
  count_over_time({SEEN_ERROR_TYPES}[7d:10m] offset <window>)
  unless on (agent, tool, error_type)
  (
    max_over_time({SEEN_7D}[28d:7d] offset <window>)
    and on (agent, tool)
    {CALLS_7D} < max_over_time({CALLS_7D}[21d:7d] offset 7d) / 2
  )
)
and on (agent)
max by (agent) (count_over_time(<build_info>[7d:1h] offset 1d))
""",
        description=(
            "{{ $labels.agent }}: {{ $labels.tool }} failed with {{ $labels.error_type }}, not seen for this tool in "
            "the 7 days before the last <window>."
        ),
        labels=("agent", "tool", "error_type"),
        panel=links.TOOL_ERRORS,
    ),
)
