"""Tools: which tool fails, is slow, loops or costs too much."""

from __future__ import annotations

from alerts import links
from alerts.areas import mcp
from dashboards import queries
from dashboards.annotations import EVERYWHERE
from dashboards.model import Dashboard, Limit, Panel, Query, Row
from dashboards.shapes import heatmap, lines, percentiles, stack, table
from dashboards.style import COUNT, PER_MINUTE, RATIO, SECONDS, USD

AT_A_GLANCE = Row(
    "At a glance",
    (
        table(
            100,
            "Tools now",
            "Each tool that was called in the last 5 minutes.",
            ("agent", "tool"),
            Query(f"{queries.counted('tool_calls', '5m', 'agent, tool')} > 0", "calls in 5 min", COUNT),
            Query(
                queries.share("tool_calls", 'outcome="success"', "agent, tool", over="5m"),
                "success",
                RATIO,
                limit=Limit("AgentToolSuccessRateLow", "below"),
            ),
            Query(queries.quantile(0.5, "tool_duration", "agent, tool", over="5m"), "p50", SECONDS),
            Query(
                queries.quantile(0.95, "tool_duration", "agent, tool", over="5m"),
                "p95",
                SECONDS,
                limit=Limit("AgentToolLatencyHigh", "above"),
            ),
            Query(f"{queries.increase('tool_cost', '24h', 'agent, tool')} > 0", "spend in 24 h", USD),
            span=24,
            height=7,
        ),
    ),
)

RELIABILITY = Row(
    "Reliability",
    (
        lines(
            links.TOOL_SUCCESS.panel_id,
            "Success rate per tool",
            RATIO,
            "Successful share of each tool's calls, over the alert's window.",
            Query(queries.share("tool_calls", 'outcome="success"', "agent, tool"), "{{tool}}"),
            span=12,
            limits=(Limit("AgentToolSuccessRateLow", "below"),),
        ),
        stack(
            links.TOOL_ERRORS.panel_id,
            "Errors by type",
            COUNT,
            "Failed calls in the alert's window by cause. A new cause counts from its first error.",
            Query(
                queries.newly_counted("tool_errors", "agent, tool, error_type", "<window>"), "{{tool}} {{error_type}}"
            ),
            span=12,
            drawn="bars",
        ),
    ),
)


def _latency(id: int, q: float, window: str = queries.RATE, limits: tuple[Limit, ...] = ()) -> Panel:
    """One of the three latency panels; they differ in nothing but the quantile, and the alert's line on p95."""
    return lines(
        id,
        f"Latency p{100 * q:.0f}",
        SECONDS,
        f"{100 * q:.0f} % of a tool's calls were faster than this.",
        Query(queries.quantile(q, "tool_duration", "agent, tool", over=window), "{{tool}}"),
        limits=limits,
    )


SPEED = Row(
    "Speed",
    (
        _latency(101, 0.5),
        _latency(links.TOOL_LATENCY.panel_id, 0.95, "<window>", (Limit("AgentToolLatencyHigh", "above"),)),
        _latency(102, 0.99),
    ),
)

LOAD = Row(
    "Load",
    (
        stack(
            103,
            "Calls per tool",
            PER_MINUTE,
            "Finished calls per minute.",
            Query(f"{queries.per_minute('tool_calls', 'tool')} > 0", "{{tool}}"),
        ),
        lines(
            links.SESSION_TOOL_CALLS.panel_id,
            "Tool calls per session",
            COUNT,
            "Lines: tool calls of the sessions closed in the alert's window. Bars, right axis: live sessions that "
            "passed the limit in it, counted the moment they do. Dashed line: the limit in force.",
            *percentiles("session_tool_calls", ""),
            Query('max by (agent) (<session_limit>{<where>, limit="tool_calls"})', "{{agent}}, limit", is_limit=True),
            Query(
                queries.counted("sessions_over_limit", "<window>", having='limit="tool_calls"') + " > 0",
                "past the limit",
                bars=True,
            ),
        ),
        heatmap(
            104,
            "Duration of calls",
            SECONDS,
            "How many calls took how long; darker is more. A second band at the top is a slow minority.",
            "tool_duration",
        ),
    ),
)

CACHE = Row(
    "Cache",
    (
        lines(
            107,
            "Served from the cache",
            RATIO,
            "Hits among the look-ups of 15 minutes; a bypass counts as none.",
            Query(queries.share("cache_requests", 'result="hit"', "tool", over="15m"), "{{tool}}"),
        ),
        stack(
            108,
            "Cache look-ups",
            PER_MINUTE,
            "Look-ups per minute by how they ended; expired means that it was there but too old.",
            Query(queries.per_minute("cache_requests", "result"), "{{result}}"),
        ),
        lines(
            109,
            "Age of cached results, p95",
            SECONDS,
            "How old a result was when it was served from the cache: 95 % were younger. The TTL is its limit.",
            Query(queries.quantile(0.95, "cache_age", "tool", over="15m"), "{{tool}}"),
        ),
    ),
)

SPEND = Row(
    "Spend and batches",
    (
        stack(
            105,
            "Spend per tool and hour",
            USD,
            "What the external APIs behind the tools charge at the current rate.",
            Query(f"{queries.per_hour('tool_cost', 'tool')} > 0", "{{tool}}"),
            span=12,
        ),
        lines(
            106,
            "Batch size",
            COUNT,
            "Mean number of items per batched call; 1 means that nothing was batched.",
            Query(queries.mean("tool_batch_size", "tool", over=queries.RATE), "{{tool}}"),
            span=12,
        ),
    ),
)

ASKED = 'method!~"ping|server/discover"'

MCP = Row(
    "MCP servers",
    (
        lines(
            links.MCP_SERVERS.panel_id,
            "Servers that answer",
            COUNT,
            "1 while the last connection or ping of an MCP server succeeded, 0 after one that failed; of the replica "
            "that fares worst.",
            Query("min by (agent, server) (<mcp_server_up>{<where>})", "{{agent}} {{server}}"),
            span=12,
        ),
        lines(
            links.MCP_ERRORS.panel_id,
            "Operations that fail",
            RATIO,
            "Share of the requests to each MCP server that fail, over the alert's slow window; connections, pings and "
            "errors that a tool answers with are left out.",
            Query(queries.share_judged(mcp.FAILED), "{{agent}} {{server}}"),
            limits=(Limit("AgentMCPErrorsHigh", "above"),),
            span=12,
        ),
        lines(
            110,
            "Duration of operations, p95",
            SECONDS,
            "95 % of what was asked of each server took less.",
            Query(queries.quantile(0.95, "mcp_duration", "server", over=queries.RATE), "{{server}}"),
        ),
        stack(
            111,
            "Operations per minute",
            PER_MINUTE,
            "What is asked of each server, pings left out.",
            Query(f"{queries.per_minute('mcp_duration.count', 'server', ASKED)} > 0", "{{server}}"),
        ),
        stack(
            112,
            "Connections that failed",
            COUNT,
            "Of the last hour, by server.",
            Query(f"{queries.increase('mcp_init_failures', '1h', 'server')} > 0", "{{server}}"),
        ),
        lines(
            113,
            "Length of connections, median",
            SECONDS,
            "Half of the connections to each server that ended in the last hour were shorter.",
            Query(queries.quantile(0.5, "mcp_session", "server", over="1h"), "{{server}}"),
            span=12,
        ),
        lines(
            114,
            "Duration of what a server of your own was asked, p95",
            SECONDS,
            "95 % of what its clients asked took less, by what was asked.",
            Query(queries.quantile(0.95, "mcp_served", "method", over=queries.RATE), "{{method}}"),
            span=12,
        ),
    ),
)

TOOLS = Dashboard(
    uid=links.TOOLS,
    title="AgentGauge Tools",
    description="Which tool fails, is slow, loops or costs too much. Pick one agent if several share tool names.",
    source="dashboards/tools.py",
    variables=("job", "instance", "agent", "tool"),
    annotations=EVERYWHERE,
    rows=(AT_A_GLANCE, RELIABILITY, SPEED, LOAD, MCP, CACHE, SPEND),
)
