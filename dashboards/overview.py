"""Overview: is the agent well? Ten seconds for the first row, the reason in the rows below."""

from __future__ import annotations

from alerts import links
from dashboards.model import (
    AGO,
    ALERT_SELECTOR,
    AMBER,
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

HEALTH = Row(
    "Health now",
    (
        Panel(
            id=links.AGENTS_UP.panel_id,
            title="Agents up",
            description="Share of the agents' metrics endpoints that answer Prometheus; 0 % also when there is none.",
            kind="stat",
            unit=RATIO,
            span=3,
            height=4,
            opens=links.STACK,
            limits=(Limit(1, "below"),),
            queries=(Query('avg(up{job="<job>", job=~"$job", instance=~"$instance"}) or vector(0)'),),
        ),
        Panel(
            id=100,
            title="Critical alerts",
            description="Critical alerts firing now: each has paged somebody.",
            kind="stat",
            unit=COUNT,
            span=3,
            height=4,
            limits=(Limit(1, "above"),),
            queries=(Query(f'count(ALERTS{{{ALERT_SELECTOR}, severity="critical"}}) or vector(0)'),),
        ),
        Panel(
            id=101,
            title="Warnings",
            description="Warnings firing now: work for today, nobody was paged.",
            kind="stat",
            unit=COUNT,
            span=3,
            height=4,
            limits=(Limit(1, "above", AMBER),),
            queries=(Query(f'count(ALERTS{{{ALERT_SELECTOR}, severity="warning"}}) or vector(0)'),),
        ),
        Panel(
            id=102,
            title="Tasks completed",
            description="Completed share of the user requests in the alert's window; of the worst agent.",
            kind="stat",
            unit=RATIO,
            span=3,
            height=4,
            opens=links.AGENT,
            limits=(Limit("AgentTaskCompletionLow", "below"),),
            queries=(
                Query("""
min(
  sum by (agent) (increase(<tasks>{<where>, outcome="completed"}[<window>]))
  /
  (sum by (agent) (increase(<tasks>{<where>}[<window>])) > 0)
)
"""),
            ),
        ),
        Panel(
            id=103,
            title="Answer p95",
            description="95 % of the answers came faster than this in the alert's window; of the slowest agent.",
            kind="stat",
            unit=SECONDS,
            span=3,
            height=4,
            opens=links.AGENT,
            limits=(Limit("AgentLatencySpike", "above"),),
            queries=(
                Query("""
max(histogram_quantile(0.95, sum by (agent, le) (rate(<turn_duration.bucket>{<where>}[<window>])))) >= 0
"""),
            ),
        ),
        Panel(
            id=104,
            title="Tool success",
            description="Successful share of the tool calls in the alert's window, all tools together.",
            kind="stat",
            unit=RATIO,
            span=3,
            height=4,
            opens=links.TOOLS,
            limits=(Limit("AgentToolSuccessRateLow", "below"),),
            queries=(
                Query("""
sum(increase(<tool_calls>{<where>, outcome="success"}[<window>]))
/
(sum(increase(<tool_calls>{<where>}[<window>])) > 0)
"""),
            ),
        ),
        Panel(
            id=105,
            title="Sessions open",
            description="Conversations open now.",
            kind="stat",
            unit=COUNT,
            span=3,
            height=4,
            opens=links.USERS,
            queries=(Query("sum(<sessions_active>{<where>})"),),
        ),
        Panel(
            id=106,
            title="Spend, last 24 h",
            description="LLM and tool spend of the last 24 hours.",
            kind="stat",
            unit=USD,
            span=3,
            height=4,
            opens=links.COST,
            queries=(
                Query("sum(increase(<llm_cost>{<where>}[24h]) or increase(<tool_cost>{<where>}[24h]))", instant=True),
            ),
        ),
    ),
)

ALERTS_AND_TASKS = Row(
    "Alerts and tasks",
    (
        Panel(
            id=links.FIRING_ALERTS.panel_id,
            title="Firing alerts",
            description=(
                "Alerts firing now; the name opens the runbook. The Watchdog always fires: if it is missing, "
                "Prometheus evaluates no rules."
            ),
            kind="table",
            unit=AGO,
            span=12,
            columns=("severity", "alertname", "agent", "tool", "error_type", "model", "user", "instance"),
            queries=(
                Query(
                    f"""
1000 * max by (severity, alertname, agent, tool, error_type, model, user, instance) (
  ALERTS_FOR_STATE{{agent=~"$agent|"}} and ignoring (alertstate) ALERTS{{{ALERT_SELECTOR}}}
)
""",
                    legend="since",
                    unit=AGO,
                ),
            ),
        ),
        Panel(
            id=links.TASK_COMPLETION.panel_id,
            title="Task completion",
            description="Completed share of all user requests, over the alert's window.",
            kind="timeseries",
            unit=RATIO,
            span=12,
            limits=(Limit("AgentTaskCompletionLow", "below"),),
            queries=(
                Query(
                    """
sum by (agent) (increase(<tasks>{<where>, outcome="completed"}[<window>]))
/
(sum by (agent) (increase(<tasks>{<where>}[<window>])) > 0)
""",
                    legend="{{agent}}",
                ),
            ),
        ),
    ),
)

ANSWERS = Row(
    "Answers",
    (
        Panel(
            id=links.TURN_LATENCY.panel_id,
            title="Time to answer",
            description="From the user's message to the answer, over the alert's window.",
            kind="timeseries",
            unit=SECONDS,
            span=12,
            limits=(Limit("AgentLatencySpike", "above"),),
            queries=(
                Query(
                    """
histogram_quantile(0.95, sum by (agent, le) (rate(<turn_duration.bucket>{<where>}[<window>]))) >= 0
""",
                    legend="{{agent}} p95",
                ),
                Query(
                    """
histogram_quantile(0.5, sum by (agent, le) (rate(<turn_duration.bucket>{<where>}[<window>]))) >= 0
""",
                    legend="{{agent}} p50",
                ),
            ),
        ),
        Panel(
            id=links.ALL_TOOL_SUCCESS.panel_id,
            title="Tool success, all tools",
            description=(
                "Successful share of all tool calls, over the alert's window. At 0 % with five failures or more "
                "AgentAllToolCallsFailing fires."
            ),
            kind="timeseries",
            unit=RATIO,
            span=12,
            queries=(
                Query(
                    """
sum by (agent) (increase(<tool_calls>{<where>, outcome="success"}[<window>]))
/
(sum by (agent) (increase(<tool_calls>{<where>}[<window>])) > 0)
""",
                    legend="{{agent}}",
                ),
            ),
        ),
    ),
)

USE = Row(
    "Use",
    (
        Panel(
            id=107,
            title="Sessions",
            description="Conversations open now, and conversations opened per minute.",
            kind="timeseries",
            unit=COUNT,
            span=8,
            queries=(
                Query("sum(<sessions_active>{<where>})", legend="open"),
                Query("60 * sum(rate(<sessions_opened>{<where>}[$__rate_interval]))", legend="opened per minute"),
            ),
        ),
        Panel(
            id=108,
            title="Tasks by outcome",
            description=(
                "User requests per minute by how they ended; fallback means the agent said that it cannot help, "
                "abandoned that the user left."
            ),
            kind="timeseries",
            unit=PER_MINUTE,
            span=8,
            stacked=True,
            queries=(Query("60 * sum by (outcome) (rate(<tasks>{<where>}[$__rate_interval]))", legend="{{outcome}}"),),
        ),
        Panel(
            id=109,
            title="Thumbs down",
            description="Share of thumbs down among all ratings of the last hour.",
            kind="timeseries",
            unit=RATIO,
            span=8,
            queries=(
                Query(
                    """
sum by (agent) (increase(<feedback>{<where>, rating="down"}[1h]))
/
(sum by (agent) (increase(<feedback>{<where>}[1h])) > 0)
""",
                    legend="{{agent}}",
                ),
            ),
        ),
    ),
)

MODELS = Row(
    "Models and money",
    (
        Panel(
            id=110,
            title="Spend per hour",
            description="What LLM calls and the external APIs behind the tools cost at the current rate.",
            kind="timeseries",
            unit=USD,
            span=8,
            stacked=True,
            queries=(
                Query("3600 * sum(rate(<llm_cost>{<where>}[$__rate_interval]))", legend="LLM"),
                Query("3600 * sum(rate(<tool_cost>{<where>}[$__rate_interval]))", legend="tools"),
            ),
        ),
        Panel(
            id=113,
            title="LLM p95",
            description="95 % of the LLM calls were faster than this, to their last byte, by model.",
            kind="timeseries",
            unit=SECONDS,
            span=8,
            queries=(
                Query(
                    """
histogram_quantile(0.95, sum by (model, le) (rate(<llm_duration.bucket>{<where>}[5m]))) >= 0
""",
                    legend="{{model}}",
                ),
            ),
        ),
        Panel(
            id=114,
            title="LLM attempts failed",
            description="Failed share of the HTTP attempts of 5 minutes by model, also those that a retry made good.",
            kind="timeseries",
            unit=RATIO,
            span=8,
            queries=(
                Query(
                    """
sum by (model) (increase(<llm_calls>{<where>, outcome="error"}[5m]))
/
(sum by (model) (increase(<llm_calls>{<where>}[5m])) > 0)
""",
                    legend="{{model}}",
                ),
            ),
        ),
    ),
)

WHO_AND_WHAT = Row(
    "Who uses it, and what runs",
    (
        Panel(
            id=119,
            title="Active users",
            description="Distinct users of the day, of the 7 and of the 28 days up to each moment.",
            kind="timeseries",
            unit=COUNT,
            span=12,
            height=6,
            queries=(Query("max by (agent, window) (<active_users>{<where>})", legend="{{agent}} {{window}}"),),
        ),
        Panel(
            id=118,
            title="Running versions",
            description="Version of the agent and of its prompts on each instance.",
            kind="table",
            unit=COUNT,
            span=12,
            height=6,
            columns=("agent", "version", "prompt_version", "instance"),
            queries=(Query("max by (agent, version, prompt_version, instance) (<build_info>{<where>})"),),
        ),
    ),
)

OVERVIEW = Dashboard(
    uid=links.OVERVIEW,
    title="AgentGauge Overview",
    description="Is the agent well? The first row answers in ten seconds, the rows below say why.",
    source="dashboards/overview.py",
    variables=("job", "instance", "agent"),
    rows=(HEALTH, ALERTS_AND_TASKS, ANSWERS, USE, MODELS, WHO_AND_WHAT),
)
