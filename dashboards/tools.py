"""Tools: which tool fails, is slow, loops or costs too much."""

from __future__ import annotations

from alerts import links
from dashboards.model import (
    COUNT,
    PER_MINUTE,
    RATIO,
    SECONDS,
    USD,
    Dashboard,
    Limit,
    Panel,
    Query,
    Row,
)

# `> 0` below a fraction and `>= 0` around a quantile drop NaN: where nothing happened there is no value.

AT_A_GLANCE = Row(
    "At a glance",
    (
        Panel(
            id=100,
            title="Tools now",
            description="Each tool that was called in the last 5 minutes.",
            kind="table",
            unit=COUNT,
            span=24,
            height=7,
            columns=("agent", "tool"),
            queries=(
                Query(
                    "sum by (agent, tool) (increase(<tool_calls>{<where>}[5m])) > 0",
                    legend="calls in 5 min",
                    unit=COUNT,
                ),
                Query(
                    """
sum by (agent, tool) (increase(<tool_calls>{<where>, outcome="success"}[5m]))
/
(sum by (agent, tool) (increase(<tool_calls>{<where>}[5m])) > 0)
""",
                    legend="success",
                    unit=RATIO,
                    limit=Limit("AgentToolSuccessRateLow", "below"),
                ),
                Query(
                    """
histogram_quantile(0.5, sum by (agent, tool, le) (rate(<tool_duration.bucket>{<where>}[5m]))) >= 0
""",
                    legend="p50",
                    unit=SECONDS,
                ),
                Query(
                    """
histogram_quantile(0.95, sum by (agent, tool, le) (rate(<tool_duration.bucket>{<where>}[5m]))) >= 0
""",
                    legend="p95",
                    unit=SECONDS,
                    limit=Limit("AgentToolLatencyHigh", "above"),
                ),
                Query(
                    "sum by (agent, tool) (increase(<tool_cost>{<where>}[24h])) > 0", legend="spend in 24 h", unit=USD
                ),
            ),
        ),
    ),
)

RELIABILITY = Row(
    "Reliability",
    (
        Panel(
            id=links.TOOL_SUCCESS.panel_id,
            title="Success rate per tool",
            description="Successful share of each tool's calls, over the alert's window.",
            kind="timeseries",
            unit=RATIO,
            span=12,
            height=9,
            limits=(Limit("AgentToolSuccessRateLow", "below"),),
            queries=(
                Query(
                    """
sum by (agent, tool) (increase(<tool_calls>{<where>, outcome="success"}[<window>]))
/
(sum by (agent, tool) (increase(<tool_calls>{<where>}[<window>])) > 0)
""",
                    legend="{{tool}}",
                ),
            ),
        ),
        Panel(
            id=links.TOOL_ERRORS.panel_id,
            title="Errors by type",
            description="Failed calls in the alert's window by cause. A new cause counts from its first error.",
            kind="timeseries",
            unit=COUNT,
            span=12,
            height=9,
            # A cause is born at its first error, which is no increase: where the series is new, its value counts.
            queries=(
                Query(
                    """
(
  sum by (agent, tool, error_type) (<tool_errors>{<where>})
  unless
  sum by (agent, tool, error_type) (<tool_errors>{<where>} offset <window>)
)
or
sum by (agent, tool, error_type) (increase(<tool_errors>{<where>}[<window>])) > 0
""",
                    legend="{{tool}} {{error_type}}",
                ),
            ),
        ),
    ),
)


def _quantile(id: int, quantile: str, window: str = "5m", limits: tuple[Limit, ...] = ()) -> Panel:
    """One of the three latency panels; they differ in nothing but the quantile, and the alert's line on p95."""
    percent = f"{float(quantile):.0%}".replace("%", " %")
    return Panel(
        id=id,
        title=f"Latency p{quantile.removeprefix('0.')}",
        description=f"{percent} of a tool's calls were faster than this, over 5 minutes or the alert's window.",
        kind="timeseries",
        unit=SECONDS,
        span=8,
        height=9,
        limits=limits,
        queries=(
            Query(
                f"""
histogram_quantile({quantile}, sum by (agent, tool, le) (rate(<tool_duration.bucket>{{<where>}}[{window}]))) >= 0
""",
                legend="{{tool}}",
            ),
        ),
    )


SPEED = Row(
    "Speed",
    (
        _quantile(101, "0.50"),
        _quantile(links.TOOL_LATENCY.panel_id, "0.95", "<window>", (Limit("AgentToolLatencyHigh", "above"),)),
        _quantile(102, "0.99"),
    ),
)

LOAD = Row(
    "Load",
    (
        Panel(
            id=103,
            title="Calls per tool",
            description="Finished calls per minute.",
            kind="timeseries",
            unit=PER_MINUTE,
            span=8,
            height=9,
            stacked=True,
            queries=(
                Query("60 * sum by (tool) (rate(<tool_calls>{<where>}[$__rate_interval])) > 0", legend="{{tool}}"),
            ),
        ),
        Panel(
            id=links.SESSION_TOOL_CALLS.panel_id,
            title="Tool calls per session",
            description=(
                "Lines: tool calls of the sessions closed in the alert's window. Bars, right axis: live sessions that "
                "passed the limit in it, counted the moment they do."
            ),
            kind="timeseries",
            unit=COUNT,
            span=8,
            height=9,
            limits=(Limit("AgentSessionLooping", "above"),),
            queries=(
                Query(
                    """
histogram_quantile(0.95, sum by (le) (rate(<session_tool_calls.bucket>{<where>}[<window>]))) >= 0
""",
                    legend="p95",
                ),
                Query(
                    """
histogram_quantile(0.5, sum by (le) (rate(<session_tool_calls.bucket>{<where>}[<window>]))) >= 0
""",
                    legend="p50",
                ),
                Query(
                    'round(sum(increase(<sessions_over_limit>{<where>, limit="tool_calls"}[<window>]))) > 0',
                    legend="past the limit",
                    bars=True,
                ),
            ),
        ),
        Panel(
            id=104,
            title="Duration of calls",
            description="How many calls took how long; darker is more. A second band at the top is a slow minority.",
            kind="heatmap",
            unit=SECONDS,
            span=8,
            height=9,
            queries=(Query("sum by (le) (increase(<tool_duration.bucket>{<where>}[$__rate_interval]))"),),
        ),
    ),
)

SPEND = Row(
    "Spend and batches",
    (
        Panel(
            id=105,
            title="Spend per tool and hour",
            description="What the external APIs behind the tools charge at the current rate.",
            kind="timeseries",
            unit=USD,
            span=12,
            stacked=True,
            queries=(
                Query("3600 * sum by (tool) (rate(<tool_cost>{<where>}[$__rate_interval])) > 0", legend="{{tool}}"),
            ),
        ),
        Panel(
            id=106,
            title="Batch size",
            description="Mean number of items per batched call; 1 means that nothing was batched.",
            kind="timeseries",
            unit=COUNT,
            span=12,
            queries=(
                Query(
                    """
sum by (tool) (rate(<tool_batch_size.sum>{<where>}[5m]))
/
(sum by (tool) (rate(<tool_batch_size.count>{<where>}[5m])) > 0)
""",
                    legend="{{tool}}",
                ),
            ),
        ),
    ),
)

TOOLS = Dashboard(
    uid=links.TOOLS,
    title="AgentGauge Tools",
    description="Which tool fails, is slow, loops or costs too much. Pick one agent if several share tool names.",
    source="dashboards/tools.py",
    variables=("job", "instance", "agent", "tool"),
    rows=(AT_A_GLANCE, RELIABILITY, SPEED, LOAD, SPEND),
)
