"""Cost: what the agent spends, whether that is usual, and on what and whom."""

from __future__ import annotations

from alerts import links
from alerts.areas.cost import SPEND_DAY, SPEND_USUAL, TOOL_SPEND_DAY, TOOL_SPEND_USUAL
from dashboards.model import (
    COUNT,
    FACTOR,
    OF_AGENT,
    RATIO,
    TOKENS,
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
            title="Spend, last 24 h",
            description="LLM and tool spend of the last 24 hours.",
            kind="stat",
            unit=USD,
            span=4,
            height=4,
            queries=(
                Query("sum(increase(<llm_cost>{<where>}[24h]) or increase(<tool_cost>{<where>}[24h]))", instant=True),
            ),
        ),
        Panel(
            id=101,
            title="Against a usual day",
            description=(
                "Spend of the last 24 hours by the daily mean of the 7 days before, of the agent furthest from it; "
                "needs three days of history."
            ),
            kind="stat",
            unit=FACTOR,
            span=4,
            height=4,
            limits=(Limit("AgentCostSpike", "above"),),
            queries=(Query(f"max({SPEND_DAY}{{{OF_AGENT}}} / ({SPEND_USUAL}{{{OF_AGENT}}} > 0))"),),
        ),
        Panel(
            id=102,
            title="Tools against a usual day",
            description="The same for what the external APIs behind the tools charge.",
            kind="stat",
            unit=FACTOR,
            span=4,
            height=4,
            limits=(Limit("AgentToolSpendAnomaly", "above"),),
            queries=(Query(f"max({TOOL_SPEND_DAY}{{{OF_AGENT}}} / ({TOOL_SPEND_USUAL}{{{OF_AGENT}}} > 0))"),),
        ),
        Panel(
            id=103,
            title="Cost of a session",
            description="Mean LLM and tool cost of the sessions closed in the alert's window; of the dearest agent.",
            kind="stat",
            unit=USD,
            span=4,
            height=4,
            limits=(Limit("AgentSessionCostHigh", "above"),),
            queries=(
                Query("""
max(
  sum by (agent) (increase(<session_cost.sum>{<where>}[<window>]))
  /
  (sum by (agent) (increase(<session_cost.count>{<where>}[<window>])) > 0)
)
"""),
            ),
        ),
        Panel(
            id=104,
            title="Prompt of a call",
            description="Mean tokens of a prompt in the alert's window, the cached part included; of the worst agent.",
            kind="stat",
            unit=TOKENS,
            span=4,
            height=4,
            limits=(Limit("AgentInputTokensHigh", "above"),),
            queries=(
                Query("""
max(
  sum by (agent) (increase(<llm_input_tokens.sum>{<where>}[<window>]))
  /
  (sum by (agent) (increase(<llm_input_tokens.count>{<where>}[<window>])) > 0)
)
"""),
            ),
        ),
        Panel(
            id=105,
            title="Prompt read from cache",
            description="Share of the prompt tokens of the last hour that the provider read from its cache.",
            kind="stat",
            unit=RATIO,
            span=4,
            height=4,
            queries=(
                Query("""
sum(increase(<llm_tokens>{<where>, kind="cache_read"}[1h]))
/
(sum(increase(<llm_tokens>{<where>, kind!="output"}[1h])) > 0)
"""),
            ),
        ),
    ),
)

USUAL = Row(
    "Against a usual day",
    (
        Panel(
            id=links.SPEND.panel_id,
            title="Spend of 24 hours",
            description=(
                "LLM and tool spend of the 24 hours up to each moment, of all models. The baseline is the daily mean "
                "of the 7 days before, once there are three days of history."
            ),
            kind="timeseries",
            unit=USD,
            span=12,
            queries=(
                Query(f"{SPEND_DAY}{{{OF_AGENT}}}", legend="{{agent}}"),
                Query(f"{SPEND_USUAL}{{{OF_AGENT}}}", legend="{{agent}}, usual day"),
                Query(f"<threshold> * {SPEND_USUAL}{{{OF_AGENT}}}", legend="{{agent}}, limit", is_limit=True),
            ),
        ),
        Panel(
            id=links.TOOL_SPEND.panel_id,
            title="Tool spend of 24 hours",
            description=(
                "What the external APIs behind the tools charged in the 24 hours up to each moment. The baseline is "
                "the daily mean of the 7 days before, once there are three days of history."
            ),
            kind="timeseries",
            unit=USD,
            span=12,
            queries=(
                Query(f"{TOOL_SPEND_DAY}{{{OF_AGENT}}}", legend="{{agent}}"),
                Query(f"{TOOL_SPEND_USUAL}{{{OF_AGENT}}}", legend="{{agent}}, usual day"),
                Query(f"<threshold> * {TOOL_SPEND_USUAL}{{{OF_AGENT}}}", legend="{{agent}}, limit", is_limit=True),
            ),
        ),
    ),
)

WHERE_IT_GOES = Row(
    "Where it goes",
    (
        Panel(
            id=106,
            title="Spend per model and hour",
            description="What the LLM calls cost at the current rate, by model.",
            kind="timeseries",
            unit=USD,
            span=8,
            stacked=True,
            queries=(
                Query("3600 * sum by (model) (rate(<llm_cost>{<where>}[$__rate_interval])) > 0", legend="{{model}}"),
            ),
        ),
        Panel(
            id=107,
            title="Spend per step and hour",
            description="What the LLM calls cost at the current rate, by the step of the task that they serve.",
            kind="timeseries",
            unit=USD,
            span=8,
            stacked=True,
            queries=(
                Query("3600 * sum by (step) (rate(<llm_cost>{<where>}[$__rate_interval])) > 0", legend="{{step}}"),
            ),
        ),
        Panel(
            id=108,
            title="Spend per tool, last 24 h",
            description="What the external API behind each tool charged in the last 24 hours, and per call.",
            kind="table",
            unit=USD,
            span=8,
            columns=("agent", "tool"),
            most_first="spend",
            queries=(
                Query("sum by (agent, tool) (increase(<tool_cost>{<where>}[24h])) > 0", legend="spend", unit=USD),
                Query(
                    """
sum by (agent, tool) (increase(<tool_cost>{<where>}[24h]) > 0)
/
(sum by (agent, tool) (increase(<tool_calls>{<where>}[24h])) > 0)
""",
                    legend="per call",
                    unit=USD,
                ),
            ),
        ),
    ),
)

SESSIONS_AND_USERS = Row(
    "Sessions and users",
    (
        Panel(
            id=links.SESSION_COST.panel_id,
            title="Cost per session",
            description=(
                "Lines: mean and p95 of the sessions closed in the alert's window. Bars, right axis: live sessions "
                "that passed the limit, the moment they did."
            ),
            kind="timeseries",
            unit=USD,
            span=8,
            limits=(Limit("AgentSessionCostHigh", "above"),),
            queries=(
                Query(
                    """
sum by (agent) (increase(<session_cost.sum>{<where>}[<window>]))
/
(sum by (agent) (increase(<session_cost.count>{<where>}[<window>])) > 0)
""",
                    legend="{{agent}} mean",
                ),
                Query(
                    """
histogram_quantile(0.95, sum by (agent, le) (rate(<session_cost.bucket>{<where>}[<window>]))) >= 0
""",
                    legend="{{agent}} p95",
                ),
                Query(
                    'round(sum(increase(<sessions_over_limit>{<where>, limit="cost"}[$__rate_interval]))) > 0',
                    legend="past the limit",
                    unit=COUNT,
                    bars=True,
                ),
            ),
        ),
        Panel(
            id=109,
            title="Distribution of session cost",
            description="How many sessions cost how much, at their close; darker is more.",
            kind="heatmap",
            unit=USD,
            span=8,
            queries=(Query("sum by (le) (increase(<session_cost.bucket>{<where>}[$__rate_interval]))"),),
        ),
        Panel(
            id=links.USER_COST.panel_id,
            title="Top spenders today",
            description="The costliest users since 00:00 UTC, at most ten, by pseudonym.",
            kind="table",
            unit=USD,
            span=8,
            columns=("agent", "user"),
            most_first="spend",
            queries=(
                Query(
                    "max by (agent, user) (<user_cost>{<where>}) > 0",
                    legend="spend",
                    unit=USD,
                    limit=Limit("AgentUserDailyCostHigh", "above"),
                ),
            ),
        ),
    ),
)

PROMPTS = Row(
    "Prompts and prices",
    (
        Panel(
            id=links.INPUT_TOKENS.panel_id,
            title="Prompt size",
            description="Mean tokens of a prompt, the cached part included, over the alert's window.",
            kind="timeseries",
            unit=TOKENS,
            span=8,
            limits=(Limit("AgentInputTokensHigh", "above"),),
            queries=(
                Query(
                    """
sum by (agent) (increase(<llm_input_tokens.sum>{<where>}[<window>]))
/
(sum by (agent) (increase(<llm_input_tokens.count>{<where>}[<window>])) > 0)
""",
                    legend="{{agent}}",
                ),
            ),
        ),
        Panel(
            id=110,
            title="Prompt read from cache",
            description="Share of the prompt tokens of the last hour that the provider read from its cache, by model.",
            kind="timeseries",
            unit=RATIO,
            span=8,
            queries=(
                Query(
                    """
sum by (model) (increase(<llm_tokens>{<where>, kind="cache_read"}[1h]))
/
(sum by (model) (increase(<llm_tokens>{<where>, kind!="output"}[1h])) > 0)
""",
                    legend="{{model}}",
                ),
            ),
        ),
        Panel(
            id=links.UNPRICED_TOKENS.panel_id,
            title="Unpriced tokens",
            description=(
                "Tokens of a model with no price, in the alert's window: their cost is missing from every figure. Any "
                "at all fires the alert."
            ),
            kind="timeseries",
            unit=TOKENS,
            span=8,
            queries=(
                Query("sum by (agent) (increase(<llm_unpriced_tokens>{<where>}[<window>]))", legend="{{agent}}, all"),
                Query(
                    "sum by (agent, model) (increase(<llm_unpriced_tokens>{<where>}[<window>])) > 0",
                    legend="{{agent}} {{model}}",
                ),
            ),
        ),
    ),
)

COST = Dashboard(
    uid=links.COST,
    title="AgentGauge Cost",
    description="What the agent spends, whether that is usual, and on what and whom.",
    source="dashboards/cost.py",
    variables=("job", "instance", "agent", "model"),
    rows=(AT_A_GLANCE, USUAL, WHERE_IT_GOES, SESSIONS_AND_USERS, PROMPTS),
    since="now-24h",
)
