"""MCP servers: are they there, and do they do what the agent asks of them?"""

from __future__ import annotations

from alerts import links
from alerts.evidence import Judged, share_above
from alerts.model import Alert

SIGNS_OF_LIFE = "initialize|ping|server/discover"
"""What only a dead server does not answer: those are counted for AgentMCPServerDown."""

NO_FAILURE = "|tool_error|CancelledError"
"""A success; an error that a tool answers with, which AgentToolSuccessRateLow counts; a request that was given up."""

FAILED = Judged(
    alert="AgentMCPErrorsHigh",
    record="agent_server:agent_mcp_operations_failed",
    by="agent, server",
    part=f"""
sum by (agent, server) (
  increase(<mcp_duration.count>{{method!~"{SIGNS_OF_LIFE}", error_type!~"{NO_FAILURE}"}}[<window>])
)
""",
    whole=f"""
sum by (agent, server) (
  increase(<mcp_duration.count>{{method!~"{SIGNS_OF_LIFE}", error_type!="CancelledError"}}[<window>])
)
""",
)

RECORDS = FAILED.records("mcp")

ALERTS = (
    Alert(
        name="AgentMCPServerDown",
        area="mcp",
        summary="An MCP server does not answer the agent.",
        fires_when="the last connection to an MCP server, or its last ping, failed",
        # The replica that fares worst: each has its own connection. What is folded into other is several servers.
        expr="""
min by (agent, server) (<mcp_server_up>{server!="other"}) == 0
""",
        description=(
            "{{ $labels.agent }}: MCP server {{ $labels.server }} has not answered a connection or a ping for the last "
            "<for>."
        ),
        labels=("agent", "server"),
        panel=links.MCP_SERVERS,
        inhibits=("AgentMCPErrorsHigh",),
        inhibit_equal=("agent", "server"),
    ),
    Alert(
        name="AgentMCPErrorsHigh",
        area="mcp",
        summary="Too many requests to an MCP server fail.",
        fires_when="failed / all requests to an MCP server > <threshold>; errors that a tool answers with left out",
        expr=share_above(FAILED, "<threshold>", "(1 - <threshold>)"),
        description=(
            "{{ $labels.agent }}: "
            + FAILED.worst_first("of the requests to MCP server {{ $labels.server }} failed")
            + "; above <threshold> is too many."
        ),
        labels=("agent", "server"),
        panel=links.MCP_ERRORS,
    ),
)
