"""Where a page sends its reader: the runbook, and the panel that shows the breach. Derived, never typed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

OVERVIEW = "agentgauge-overview"
TOOLS = "agentgauge-tools"
AGENT = "agentgauge-agent"
COST = "agentgauge-cost"
USERS = "agentgauge-users"
AUTONOMY = "agentgauge-autonomy"
EVALUATIONS = "agentgauge-evaluations"
STACK = "agentgauge-stack"
VALUE = "agentgauge-value"


@dataclass(frozen=True)
class PanelRef:
    """A panel by dashboard uid and panel id. Both are public: people bookmark them and pages link to them."""

    dashboard: str
    panel_id: int


AGENTS_UP = PanelRef(OVERVIEW, 1)
FIRING_ALERTS = PanelRef(OVERVIEW, 2)
TASK_COMPLETION = PanelRef(OVERVIEW, 3)
TURN_LATENCY = PanelRef(OVERVIEW, 4)
ALL_TOOL_SUCCESS = PanelRef(OVERVIEW, 5)
TOOL_SUCCESS = PanelRef(TOOLS, 1)
TOOL_LATENCY = PanelRef(TOOLS, 2)
TOOL_ERRORS = PanelRef(TOOLS, 3)
SESSION_TOOL_CALLS = PanelRef(TOOLS, 4)
MCP_SERVERS = PanelRef(TOOLS, 5)
MCP_ERRORS = PanelRef(TOOLS, 6)
TASK_TURNS = PanelRef(AGENT, 1)
FALLBACK_RATE = PanelRef(AGENT, 2)
LLM_ERRORS = PanelRef(AGENT, 3)
LLM_FAILED = PanelRef(AGENT, 5)
OLDEST_TURN = PanelRef(AGENT, 4)
SPEND = PanelRef(COST, 1)
SESSION_COST = PanelRef(COST, 2)
TOOL_SPEND = PanelRef(COST, 3)
USER_COST = PanelRef(COST, 4)
INPUT_TOKENS = PanelRef(COST, 5)
UNPRICED_TOKENS = PanelRef(COST, 6)
SESSIONS_OVER_COST = PanelRef(COST, 7)
SPEND_BUDGET = PanelRef(COST, 8)
PROMPT_CACHE = PanelRef(COST, 9)
UNKNOWN_USAGE = PanelRef(COST, 10)
AGE_OF_PRICES = PanelRef(COST, 11)
ACTIVE_USERS = PanelRef(USERS, 1)
RETENTION = PanelRef(USERS, 2)
SESSION_LENGTH = PanelRef(USERS, 3)
NEGATIVE_FEEDBACK = PanelRef(USERS, 4)
WRONG_ANSWERS = PanelRef(USERS, 5)
SESSIONS_OPENED = PanelRef(USERS, 6)
RATINGS = PanelRef(USERS, 7)
APPROVAL_RATE = PanelRef(AUTONOMY, 1)
APPROVAL_QUEUE = PanelRef(AUTONOMY, 2)
AUDIT_PROBLEMS = PanelRef(AUTONOMY, 3)
ACTIONS_UNRESOLVED = PanelRef(AUTONOMY, 4)
EVAL_PASS_RATIO = PanelRef(EVALUATIONS, 1)
EVAL_AGE = PanelRef(EVALUATIONS, 2)
LABEL_OVERFLOW = PanelRef(STACK, 1)
TELEMETRY_ERRORS = PanelRef(STACK, 2)
STARTS = PanelRef(STACK, 3)
REPLICAS = PanelRef(STACK, 4)
ALERTMANAGERS = PanelRef(STACK, 5)
CONFIG_RELOADS = PanelRef(STACK, 6)
NOTIFICATIONS_FAILED = PanelRef(STACK, 7)
RULE_FAILURES = PanelRef(STACK, 8)
CONFIG_ERRORS = PanelRef(STACK, 9)


def runbook_url(base: str, alert_name: str, labels: tuple[str, ...] = ()) -> str:
    """The page of an alert on the runbook site at ``base``; with the alert's labels, the page for its agent."""
    agent = "?agent={{ $labels.agent | urlquery }}" if "agent" in labels else ""
    return f"{base}/{alert_name}/{agent}"


def incident_url(base: str, alert_name: str, values: Mapping[str, str]) -> str:
    """The page of an alert at the pager at ``base``, where its runbook is followed; ``values`` are labels, quoted."""
    query = "&".join(f"{name}={value}" for name, value in values.items())
    return f"{base}/incident/{alert_name}/" + (f"?{query}" if query else "")


def dashboard_url(base: str, panel: PanelRef, labels: tuple[str, ...]) -> str:
    """The panel alone, its variables filled in from the alert's labels (as Prometheus template actions)."""
    variables = "".join(f"&var-{label}={{{{ $labels.{label} | urlquery }}}}" for label in labels if label in VARIABLES)
    return f"{base}/d/{panel.dashboard}?viewPanel=panel-{panel.panel_id}{variables}"


CONVERSATIONS = "#conversations"
"""The part of an incident's page that names the command which prints the conversations behind it."""

VARIABLES = ("job", "instance", "agent", "tool", "model")
"""Dashboard variables that an alert's labels can fill in."""
