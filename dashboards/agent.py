"""Agent: do people get what they asked for, how fast, and what does the model have to do with it."""

from __future__ import annotations

from alerts import links
from alerts.areas.tasks import TURNS_COUNT, TURNS_SUM
from dashboards.model import (
    COUNT,
    OF_AGENT,
    PER_MINUTE,
    RATIO,
    SECONDS,
    TOKENS,
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
            title="Tasks completed",
            description="Completed share of the user requests in the alert's window; of the worst agent.",
            kind="stat",
            unit=RATIO,
            span=4,
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
            id=101,
            title="Fallbacks",
            description="Share of the user requests that the agent said it cannot help with; of the worst agent.",
            kind="stat",
            unit=RATIO,
            span=4,
            height=4,
            limits=(Limit("AgentFallbackRateHigh", "above"),),
            queries=(
                Query("""
max(
  sum by (agent) (increase(<tasks>{<where>, outcome="fallback"}[<window>]))
  /
  (sum by (agent) (increase(<tasks>{<where>}[<window>])) > 0)
)
"""),
            ),
        ),
        Panel(
            id=102,
            title="Model turns a task",
            description="Mean LLM calls that plan or answer, to a completed task; of the worst agent.",
            kind="stat",
            unit=COUNT,
            span=4,
            height=4,
            limits=(Limit("AgentTurnsIncreasing", "above"),),
            queries=(
                Query("""
max(
  sum by (agent) (increase(<task_turns.sum>{<where>}[<window>]))
  /
  (sum by (agent) (increase(<task_turns.count>{<where>}[<window>])) > 0)
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
            span=4,
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
            title="LLM p95",
            description="95 % of the LLM calls of the last 5 minutes were faster than this; of the slowest model.",
            kind="stat",
            unit=SECONDS,
            span=4,
            height=4,
            queries=(
                Query("""
max(histogram_quantile(0.95, sum by (model, le) (rate(<llm_duration.bucket>{<where>}[5m]))) >= 0)
"""),
            ),
        ),
        Panel(
            id=105,
            title="LLM attempts failed",
            description="Failed share of the HTTP attempts of the last 5 minutes, also those a retry made good.",
            kind="stat",
            unit=RATIO,
            span=4,
            height=4,
            queries=(
                Query("""
sum(increase(<llm_calls>{<where>, outcome="error"}[5m]))
/
(sum(increase(<llm_calls>{<where>}[5m])) > 0)
"""),
            ),
        ),
    ),
)

TASKS = Row(
    "Tasks",
    (
        Panel(
            id=106,
            title="How tasks end",
            description=(
                "Share of each outcome over the last hour; fallback means the agent said that it cannot help, "
                "abandoned that the user left."
            ),
            kind="timeseries",
            unit=RATIO,
            span=8,
            stacked=True,
            queries=(
                Query(
                    """
sum by (outcome) (increase(<tasks>{<where>}[1h]))
/ ignoring (outcome) group_left ()
(sum(increase(<tasks>{<where>}[1h])) > 0)
""",
                    legend="{{outcome}}",
                ),
            ),
        ),
        Panel(
            id=links.FALLBACK_RATE.panel_id,
            title="Fallback rate",
            description="Share of the user requests that ended in \"I can't help with that\", over the alert's window.",
            kind="timeseries",
            unit=RATIO,
            span=8,
            limits=(Limit("AgentFallbackRateHigh", "above"),),
            queries=(
                Query(
                    """
sum by (agent) (increase(<tasks>{<where>, outcome="fallback"}[<window>]))
/
(sum by (agent) (increase(<tasks>{<where>}[<window>])) > 0)
""",
                    legend="{{agent}}",
                ),
            ),
        ),
        Panel(
            id=links.TASK_TURNS.panel_id,
            title="Model turns to completion",
            description=(
                "Mean LLM calls that plan or answer, to a completed task, over the alert's window. The alert also asks "
                "for more than in the 24 h before."
            ),
            kind="timeseries",
            unit=COUNT,
            span=8,
            limits=(Limit("AgentTurnsIncreasing", "above"),),
            queries=(
                Query(
                    """
sum by (agent) (increase(<task_turns.sum>{<where>}[<window>]))
/
(sum by (agent) (increase(<task_turns.count>{<where>}[<window>])) > 0)
""",
                    legend="{{agent}}",
                ),
                Query(
                    f"""
sum_over_time({TURNS_SUM}{{{OF_AGENT}}}[1d:5m] offset <window>)
/
(sum_over_time({TURNS_COUNT}{{{OF_AGENT}}}[1d:5m] offset <window>) > 0)
""",
                    legend="{{agent}}, 24 h before",
                ),
            ),
        ),
    ),
)

TURNS = Row(
    "Turns",
    (
        Panel(
            id=107,
            title="Time to answer",
            description="From the user's message to the answer, over the alert's window.",
            kind="timeseries",
            unit=SECONDS,
            span=8,
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
            id=108,
            title="Duration of turns",
            description="How many answers took how long; darker is more. A second band at the top is a slow minority.",
            kind="heatmap",
            unit=SECONDS,
            span=8,
            queries=(Query("sum by (le) (increase(<turn_duration.bucket>{<where>}[$__rate_interval]))"),),
        ),
        Panel(
            id=109,
            title="Turns of completed tasks",
            description="How many tasks took how many model turns; a band that climbs is an agent going in circles.",
            kind="heatmap",
            unit=COUNT,
            span=8,
            queries=(Query("sum by (le) (increase(<task_turns.bucket>{<where>}[$__rate_interval]))"),),
        ),
    ),
)

LLM_CALLS = Row(
    "LLM calls",
    (
        Panel(
            id=110,
            title="LLM latency",
            description="From the call to its last byte, over 5 minutes, by model.",
            kind="timeseries",
            unit=SECONDS,
            span=12,
            queries=(
                Query(
                    """
histogram_quantile(0.95, sum by (model, le) (rate(<llm_duration.bucket>{<where>}[5m]))) >= 0
""",
                    legend="{{model}} p95",
                ),
                Query(
                    """
histogram_quantile(0.5, sum by (model, le) (rate(<llm_duration.bucket>{<where>}[5m]))) >= 0
""",
                    legend="{{model}} p50",
                ),
            ),
        ),
        Panel(
            id=111,
            title="First token",
            description="From the call to its first token, over 5 minutes, by model; of streamed calls only.",
            kind="timeseries",
            unit=SECONDS,
            span=12,
            queries=(
                Query(
                    """
histogram_quantile(0.95, sum by (model, le) (rate(<llm_time_to_first_token.bucket>{<where>}[5m]))) >= 0
""",
                    legend="{{model}} p95",
                ),
                Query(
                    """
histogram_quantile(0.5, sum by (model, le) (rate(<llm_time_to_first_token.bucket>{<where>}[5m]))) >= 0
""",
                    legend="{{model}} p50",
                ),
            ),
        ),
        Panel(
            id=112,
            title="LLM calls",
            description="HTTP attempts per minute by model, retries included.",
            kind="timeseries",
            unit=PER_MINUTE,
            span=6,
            stacked=True,
            queries=(
                Query("60 * sum by (model) (rate(<llm_calls>{<where>}[$__rate_interval])) > 0", legend="{{model}}"),
            ),
        ),
        Panel(
            id=113,
            title="Attempts and retries",
            description=(
                "HTTP attempts per minute by how they ended. An error is followed by a retry, unless it was the last."
            ),
            kind="timeseries",
            unit=PER_MINUTE,
            span=6,
            stacked=True,
            queries=(
                Query("60 * sum by (outcome) (rate(<llm_calls>{<where>}[$__rate_interval]))", legend="{{outcome}}"),
            ),
        ),
        Panel(
            id=114,
            title="LLM errors",
            description="Failed HTTP attempts of the last 5 minutes by model and cause, also those a retry made good.",
            kind="timeseries",
            unit=COUNT,
            span=12,
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

TOKENS_OF_CALLS = Row(
    "Tokens",
    (
        Panel(
            id=115,
            title="Tokens",
            description="Tokens per minute. The kinds do not overlap: input is the uncached part of the prompt.",
            kind="timeseries",
            unit=TOKENS,
            span=8,
            stacked=True,
            queries=(
                Query("60 * sum by (kind) (rate(<llm_tokens>{<where>}[$__rate_interval])) > 0", legend="{{kind}}"),
            ),
        ),
        Panel(
            id=116,
            title="Prompt size",
            description="How many LLM calls had a prompt of how many tokens, the cached part included; darker is more.",
            kind="heatmap",
            unit=TOKENS,
            span=8,
            queries=(Query("sum by (le) (increase(<llm_input_tokens.bucket>{<where>}[$__rate_interval]))"),),
        ),
        Panel(
            id=117,
            title="Output size",
            description="Tokens that an LLM call wrote, over 5 minutes, by model.",
            kind="timeseries",
            unit=TOKENS,
            span=8,
            queries=(
                Query(
                    """
histogram_quantile(0.95, sum by (model, le) (rate(<llm_output_tokens.bucket>{<where>}[5m]))) >= 0
""",
                    legend="{{model}} p95",
                ),
                Query(
                    """
histogram_quantile(0.5, sum by (model, le) (rate(<llm_output_tokens.bucket>{<where>}[5m]))) >= 0
""",
                    legend="{{model}} p50",
                ),
            ),
        ),
    ),
)

AGENT = Dashboard(
    uid=links.AGENT,
    title="AgentGauge Agent",
    description="Do people get what they asked for, how fast, and what the model has to do with it.",
    source="dashboards/agent.py",
    variables=("job", "instance", "agent", "model"),
    rows=(AT_A_GLANCE, TASKS, TURNS, LLM_CALLS, TOKENS_OF_CALLS),
)
