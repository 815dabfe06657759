"""Cost: what the agent spends, whether that is usual, and on what and whom."""

from __future__ import annotations

from agentgauge.session import SessionLimits
from alerts import links
from alerts.areas import prompt_cache
from alerts.areas.cost import SPEND, SPEND_24H, TOOL_SPEND
from alerts.usual import Spend
from dashboards import queries, savings, shared
from dashboards.annotations import EVERYWHERE
from dashboards.model import Dashboard, Limit, Panel, Query, Row
from dashboards.shapes import headline, heatmap, lines, stack, stat, table
from dashboards.style import COUNT, FACTOR, RATIO, SECONDS, TOKENS, USD

AT_A_GLANCE = Row(
    "At a glance",
    (
        shared.spend(100),
        shared.spend_against_usual(101),
        stat(
            102,
            "Tool spend ÷ usual",
            FACTOR,
            "The same for what the external APIs behind the tools charge.",
            shared.against_usual(TOOL_SPEND),
            limit=Limit("AgentToolSpendAnomaly", "above"),
            empty=shared.NO_USUAL,
        ),
        headline(
            103,
            "Cost of a session",
            USD,
            "Mean LLM and tool cost of a closed session; of the dearest agent.",
            lambda over: queries.highest(queries.mean("session_cost", "agent", over)),
            limit=Limit("AgentSessionCostHigh", "above"),
        ),
        headline(
            104,
            "Prompt of a call",
            TOKENS,
            "Mean tokens of a prompt, the cached part included; of the worst agent.",
            lambda over: queries.highest(queries.mean("llm_input_tokens", "agent", over)),
            limit=Limit("AgentInputTokensHigh", "above"),
        ),
        headline(
            105,
            "Prompt read from cache",
            RATIO,
            "Share of the prompt tokens that the provider read from its cache.",
            lambda over: queries.share("llm_tokens", 'kind="cache_read"', of='kind!="output"', over=over),
        ),
    ),
)


def _against_usual(id: int, title: str, spend: Spend, description: str) -> Panel:
    """The current spend beside what is usual at this hour; of all models, or of the tools alone."""
    return lines(
        id,
        title,
        USD,
        f"{description} Usual is what the same hour cost in past weeks; before there are three weeks, the dearest hour "
        "of the days before, once there are three days of history.",
        Query(f"{spend.now('fast')}{{<where>}}", "{{agent}}"),
        Query(f"{spend.usual('fast')}{{<where>}}", "{{agent}}, usual"),
        Query(f"<threshold> * {spend.usual('fast')}{{<where>}}", "{{agent}}, limit", is_limit=True),
        span=12,
    )


USUAL = Row(
    "Against the usual",
    (
        _against_usual(
            links.SPEND.panel_id,
            "Spend an hour",
            SPEND,
            "What LLM and tools of all models cost an hour, by the last half hour.",
        ),
        _against_usual(
            links.TOOL_SPEND.panel_id,
            "Tool spend an hour",
            TOOL_SPEND,
            "What the external APIs behind the tools charge an hour, by the last half hour.",
        ),
    ),
)

BUDGET = Row(
    "Against the budget",
    (
        lines(
            links.SPEND_BUDGET.panel_id,
            "Spend ÷ budget",
            RATIO,
            "LLM and tool spend of the last hour by the budget of an hour, and of the last 24 hours by that of a day.",
            Query(f"{SPEND.of_an_hour}{{<where>}} / <hour>", "{{agent}} hour"),
            Query(f"{SPEND_24H}{{<where>}} / <day>", "{{agent}} 24 h"),
            span=24,
            limits=(Limit(1, "above"),),
        ),
    ),
)

WHERE_IT_GOES = Row(
    "Where it goes",
    (
        stack(
            106,
            "Spend per model and hour",
            USD,
            "What the LLM calls cost at the current rate, by model.",
            Query(f"{queries.per_hour('llm_cost', 'model')} > 0", "{{model}}"),
        ),
        stack(
            107,
            "Spend per step and hour",
            USD,
            "What the LLM calls cost at the current rate, by the step of the task that they serve.",
            Query(f"{queries.per_hour('llm_cost', 'step')} > 0", "{{step}}"),
        ),
        table(
            108,
            "Spend per tool",
            "What the external API behind each tool charged in the range, and per call.",
            ("agent", "tool"),
            Query(f"{queries.increase('tool_cost', '$__range', 'agent, tool')} > 0", "spend", USD),
            Query(
                f"""
({queries.increase("tool_cost", "$__range", "agent, tool")} > 0)
/
({queries.increase("tool_calls", "$__range", "agent, tool")} > 0)
""",
                "per call",
                USD,
            ),
            most_first="spend",
        ),
    ),
)

SUBAGENTS = Row(
    "Subagents",
    (
        stack(
            113,
            "Spend per subagent and hour",
            USD,
            "What the LLM calls of each subagent cost at the current rate; what the agent itself spends is not in it.",
            Query(f"{queries.per_hour('subagent_cost', 'subagent')} > 0", "{{subagent}}"),
        ),
        stack(
            116,
            "Tokens per subagent and hour",
            TOKENS,
            "Tokens of each subagent's own calls at the current rate, those read from the prompt cache included.",
            Query(f"{queries.per_hour('subagent_tokens', 'subagent')} > 0", "{{subagent}}"),
        ),
        stack(
            117,
            "Calls per subagent and hour",
            COUNT,
            "Attempts to call a model, retries included, by the subagent that makes them.",
            Query(f"{queries.per_hour('subagent_calls', 'subagent')} > 0", "{{subagent}}"),
        ),
    ),
)

SESSIONS_AND_USERS = Row(
    "Sessions and users",
    (
        lines(
            links.SESSION_COST.panel_id,
            "Cost per session",
            USD,
            "Mean and p95 of the sessions closed in the alert's window.",
            Query(queries.mean("session_cost", "agent"), "{{agent}} mean"),
            Query(queries.quantile(0.95, "session_cost", "agent"), "{{agent}} p95"),
            span=12,
            limits=(Limit("AgentSessionCostHigh", "above"),),
        ),
        lines(
            links.SESSIONS_OVER_COST.panel_id,
            "Sessions past their cost",
            COUNT,
            "Live sessions that passed the limit of cost, or that of a runaway, in the alert's window up to each "
            "moment. Any at all fires the alert.",
            Query(
                queries.counted("sessions_over_limit", "<window>", "agent", having='limit="cost"'),
                "{{agent}} past the limit",
            ),
            Query(
                queries.counted("sessions_over_limit", "<window>", "agent", having='limit="cost_runaway"'),
                "{{agent}} runaway",
            ),
            span=12,
        ),
        heatmap(
            109,
            "Distribution of session cost",
            USD,
            "How many sessions cost how much, at their close; darker is more.",
            "session_cost",
            span=12,
        ),
        table(
            links.USER_COST.panel_id,
            "Top spenders today",
            "The costliest users since 00:00 UTC, at most ten, by pseudonym. Red is above the limit that agents have "
            "unless they set another.",
            ("agent", "user"),
            Query(
                f"{queries.ledger_gauge('user_cost', 'agent, user')} > 0",
                "spend",
                USD,
                limit=Limit(SessionLimits().of_a_user_day, "above"),
            ),
            most_first="spend",
            span=12,
        ),
        lines(
            114,
            "Users over their limit of a day",
            COUNT,
            "How many have spent more since 00:00 UTC than a user may on a day.",
            Query(queries.ledger_gauge("users_over_daily_cost", "agent"), "{{agent}}"),
            span=12,
        ),
        lines(
            115,
            "What a user may spend on a day",
            USD,
            "The limit that each agent has set for a user and a UTC day.",
            Query(queries.ledger_gauge("user_daily_cost_limit", "agent"), "{{agent}}"),
            span=12,
        ),
    ),
)

PROMPTS = Row(
    "Prompts and prices",
    (
        lines(
            links.INPUT_TOKENS.panel_id,
            "Prompt size",
            TOKENS,
            "Mean tokens of a prompt, the cached part included, over the alert's window.",
            Query(queries.mean("llm_input_tokens", "agent"), "{{agent}}"),
            span=12,
            limits=(Limit("AgentInputTokensHigh", "above"),),
        ),
        lines(
            links.PROMPT_CACHE.panel_id,
            "Prompt read from cache, against the day before",
            RATIO,
            "Share of the prompt tokens that the provider read from its cache, over the alert's window, beside what it "
            "would have been in the day before, model by model.",
            Query(f"{prompt_cache.SHARE}{{<where>}}", "{{agent}}"),
            Query(f"{prompt_cache.EXPECTED}{{<where>}}", "{{agent}}, day before"),
            Query(f"<threshold> * {prompt_cache.EXPECTED}{{<where>}}", "{{agent}}, limit", is_limit=True),
            span=12,
        ),
        lines(
            links.UNPRICED_TOKENS.panel_id,
            "Unpriced tokens",
            TOKENS,
            "Tokens of a model with no price, in the alert's window: their cost is missing from every figure. Any at "
            "all fires the alert.",
            Query(queries.increase("llm_unpriced_tokens", "<window>", "agent"), "{{agent}}, all"),
            Query(
                f"{queries.increase('llm_unpriced_tokens', '<window>', 'agent, model')} > 0",
                "{{agent}} {{model}}",
            ),
            span=8,
        ),
        lines(
            links.UNKNOWN_USAGE.panel_id,
            "Calls of unknown usage",
            COUNT,
            "Successful calls in the alert's window whose usage could not be read: their tokens and cost are missing "
            "from every figure. Any at all fires the alert.",
            Query(queries.increase("llm_usage_unknown", "<window>", "agent"), "{{agent}}, all"),
            Query(f"{queries.increase('llm_usage_unknown', '<window>', 'agent, model')} > 0", "{{agent}} {{model}}"),
            span=8,
        ),
        lines(
            links.AGE_OF_PRICES.panel_id,
            "Age of the prices",
            SECONDS,
            "Time since the newest change on the price list, or since the day of the agent's own price file if that is "
            "older; of the replica with the oldest prices.",
            Query("time() - min by (agent) (<llm_prices_timestamp>{<where>})", "{{agent}}"),
            span=8,
            limits=(Limit("AgentPricesStale", "above"),),
        ),
    ),
)

LEVERS = Row(
    "What the levers save",
    (
        lines(
            110,
            "Prompt read from cache",
            RATIO,
            "Share of the prompt tokens of the last hour that the provider read from its cache, by model.",
            Query(
                queries.share("llm_tokens", 'kind="cache_read"', "model", of='kind!="output"', over="1h"), "{{model}}"
            ),
        ),
        lines(
            111,
            "Saved by the tool cache, per hour",
            USD,
            "An estimate: the hits of the last hour at what the external API charged for an average look-up that "
            "missed.",
            Query(savings.tool_cache("1h"), "saved"),
        ),
        lines(
            112,
            "Saved by model tiers, per hour",
            USD,
            "An estimate: what the tokens of the last hour would have cost at the mean price of the dearest model, "
            "less what they did cost.",
            Query(savings.model_tiers("1h"), "saved"),
        ),
    ),
)

COST = Dashboard(
    uid=links.COST,
    title="AgentGauge Cost",
    description="What the agent spends, whether that is usual, and on what and whom.",
    source="dashboards/cost.py",
    variables=("job", "instance", "agent", "model"),
    annotations=EVERYWHERE,
    rows=(AT_A_GLANCE, BUDGET, USUAL, WHERE_IT_GOES, SUBAGENTS, SESSIONS_AND_USERS, PROMPTS, LEVERS),
    since="now-24h",
)
