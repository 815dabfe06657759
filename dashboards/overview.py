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
            queries=(
                Query(
                    "sum(increase(<llm_cost>{<where>}[24h])) + sum(increase(<tool_cost>{<where>}[24h]))", instant=True
                ),
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
            columns=("severity", "alertname", "agent", "tool", "error_type", "instance"),
            queries=(
                Query(
                    f"""
1000 * max by (severity, alertname, agent, tool, error_type, instance) (
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
            title="LLM spend per hour",
            description="What the LLM calls cost at the current rate, by model.",
            kind="timeseries",
            unit=USD,
            span=12,
            stacked=True,
            queries=(
                Query("3600 * sum by (model) (rate(<llm_cost>{<where>}[$__rate_interval])) > 0", legend="{{model}}"),
            ),
        ),
        Panel(
            id=111,
            title="Tokens",
            description="Tokens per minute. The kinds do not overlap: input is the uncached part of the prompt.",
            kind="timeseries",
            unit=COUNT,
            span=12,
            stacked=True,
            queries=(
                Query("60 * sum by (kind) (rate(<llm_tokens>{<where>}[$__rate_interval])) > 0", legend="{{kind}}"),
            ),
        ),
        Panel(
            id=112,
            title="LLM calls",
            description="HTTP attempts per minute by model, retries included.",
            kind="timeseries",
            unit=PER_MINUTE,
            span=8,
            queries=(
                Query("60 * sum by (model) (rate(<llm_calls>{<where>}[$__rate_interval])) > 0", legend="{{model}}"),
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
            title="LLM errors",
            description="Failed HTTP attempts of the last 5 minutes by model and cause, also those a retry made good.",
            kind="timeseries",
            unit=COUNT,
            span=8,
            # A cause is born at its first error, which is no increase: where the series is new, its value counts.
            queries=(
                Query(
                    """
(
  sum by (model, error_type) (<llm_errors>{<where>})
  unless
  sum by (model, error_type) (<llm_errors>{<where>} offset 5m)
)
or
sum by (model, error_type) (increase(<llm_errors>{<where>}[5m])) > 0
""",
                    legend="{{model}} {{error_type}}",
                ),
            ),
        ),
    ),
)

INSTRUMENTATION = Row(
    "AgentGauge itself",
    (
        Panel(
            id=115,
            title="Telemetry errors",
            description="Faults that the exporter swallowed in the last 15 minutes; the agent never saw them.",
            kind="timeseries",
            unit=COUNT,
            span=6,
            height=6,
            queries=(
                Query("sum by (site) (increase(<exporter_errors>{<where>}[15m])) > 0", legend="{{site}}"),
                Query("sum(increase(<exporter_errors>{<where>}[15m]))", legend="all"),
            ),
        ),
        Panel(
            id=116,
            title="Label overflow",
            description="Label values folded into `other` in the last hour: something is not bounded as it should be.",
            kind="timeseries",
            unit=COUNT,
            span=6,
            height=6,
            queries=(
                Query(
                    "sum by (metric, label) (increase(<label_overflow>{<where>}[1h])) > 0",
                    legend="{{metric}} {{label}}",
                ),
                Query("sum(increase(<label_overflow>{<where>}[1h]))", legend="all"),
            ),
        ),
        Panel(
            id=117,
            title="Unpriced tokens",
            description="Tokens of the last hour whose model has no price: their cost is missing from every figure.",
            kind="timeseries",
            unit=COUNT,
            span=6,
            height=6,
            queries=(Query("sum by (model) (increase(<llm_unpriced_tokens>{<where>}[1h]))", legend="{{model}}"),),
        ),
        Panel(
            id=118,
            title="Running versions",
            description="Version of the agent and of its prompts on each instance.",
            kind="table",
            unit=COUNT,
            span=6,
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
    rows=(HEALTH, ALERTS_AND_TASKS, ANSWERS, USE, MODELS, INSTRUMENTATION),
)
