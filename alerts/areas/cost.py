"""Money: is the spend what it usually is?"""

from __future__ import annotations

from textwrap import indent

from agentgauge import metrics
from agentgauge.metrics import MetricSpec
from agentgauge.session import SessionLimits
from agentgauge.vocabulary import SessionLimit
from alerts import links, usual
from alerts.counting import newly_counted, newly_over_limit, while_scraped
from alerts.evidence import Judged, mean_above
from alerts.model import Alert, Record
from alerts.usual import Spend, spike

SPEND_10M = "agent:agent_spend_usd:increase10m"
SPEND_24H = "agent:agent_spend_usd:last24h"
STILL_RUNNING, STILL_SPENT = 0.8, 0.95
"""Shares of the budgets: below the one the money no longer runs, below the other the day is within budget. An alert
that ended at the budgets themselves would come and go with each dear session, where spend creeps up to them."""
SESSION_MEAN = "agent:agent_session_cost_usd:mean2w"
"""What a session costs on average, of those closed in the two weeks before the last day."""

SPEND = Spend(
    alert="AgentCostSpike",
    record="agent:agent_spend_usd",
    # Union, not sum: an agent without paid tools, or before its first LLM call, still has the other half.
    spent="sum by (agent) (increase(<llm_cost>[<window>]) or increase(<tool_cost>[<window>]))",
    session_cost=SESSION_MEAN,
)
TOOL_SPEND = Spend(
    alert="AgentToolSpendAnomaly",
    record="agent:agent_tool_cost_usd",
    spent="sum by (agent) (increase(<tool_cost>[<window>]))",
    session_cost=SESSION_MEAN,
)


def _usd_of(metric: MetricSpec | str, *matchers: str, otherwise: str) -> str:
    """The highest value of a gauge of the agent, in the words of a page: read when the alert fires."""
    selector = ",".join(["agent=%q", *matchers]).replace('"', '\\"')
    return (
        f'{{{{ with printf "max({metric}{{{selector}}})" $labels.agent | query }}}}'
        f'${{{{ . | first | value | printf "%.2f" }}}}{{{{ else }}}}{otherwise}{{{{ end }}}}'
    )


def _now_and_usual(spend: Spend) -> str:
    """What is spent now, in the last hour, and usually, in the words of a page."""
    return (
        f"{_usd_of(spend.now('fast'), otherwise='an unknown sum')} an hour now, "
        '${{ $value | printf "%.2f" }} in the last one; at this hour '
        f"{_usd_of(spend.usual('fast'), otherwise='an unknown sum')} is usual, and above <threshold> is too much."
    )


def _in_force(limit: SessionLimit) -> str:
    """The limit of a session that the agent counts against, in the words of a page."""
    return _usd_of(metrics.SESSION_LIMIT, f'limit="{limit}"', otherwise="the limit")


SESSION_COST = Judged(
    alert="AgentSessionCostHigh",
    record="agent:agent_session_cost_usd",
    by="agent",
    part="sum by (agent) (increase(<session_cost.sum>[<window>]))",
    whole="sum by (agent) (increase(<session_cost.count>[<window>]))",
    looks=("slow",),
    ratio="mean",
)
INPUT_TOKENS = Judged(
    alert="AgentInputTokensHigh",
    record="agent:agent_llm_input_tokens",
    by="agent",
    part="sum by (agent) (increase(<llm_input_tokens.sum>[<window>]))",
    whole="sum by (agent) (increase(<llm_input_tokens.count>[<window>]))",
    looks=("slow",),
    ratio="mean",
)


def _of_each_model(counter: str) -> str:
    """What it counted. The series of a model that was not configured is born with its first call: no increase."""
    return while_scraped(f"""
sum by (agent, model) (
{indent(newly_counted(counter).strip(), "  ")}
)
""")


def _over_budget(running: str = "", spent: str = "") -> str:
    """The last hour's spend where it is over budget, or over these shares of it: factors in PromQL."""
    return f"""
{SPEND.of_an_hour} > {running}<hour>
or
{SPEND.of_an_hour} > {running}<day> / 24 and {SPEND_24H} > {spent}<day>
""".strip()


RECORDS = (
    *SESSION_COST.records("cost"),
    *INPUT_TOKENS.records("cost"),
    Record(
        SESSION_MEAN,
        f"""
avg_over_time({SESSION_COST.part_in("slow")}[2w:3h] offset 1d)
/
(avg_over_time({SESSION_COST.whole_in("slow")}[2w:3h] offset 1d) > 0)
""",
        area="cost",
    ),
    *usual.BUSY_DAYS,
    *SPEND.records("cost"),
    *TOOL_SPEND.records("cost"),
    # Ten minutes hold two samples or more of whatever is scraped every five minutes or more often.
    Record(SPEND_10M, SPEND.spent.replace("<window>", "10m"), area="cost"),
    Record(SPEND_24H, f"sum_over_time({SPEND_10M}[1d:10m])", area="cost"),
)

ALERTS = (
    Alert(
        name="AgentSpendOverBudget",
        area="cost",
        summary="The agent has spent more than its budget.",
        fires_when="LLM + tool spend of the last hour > <hour>, or of the last 24 h > <day>",
        # The day is over budget until most of it has passed; the alert ends when the money no longer runs.
        expr=while_scraped(f"""
{_over_budget()}
or
(
{indent(_over_budget(f"{STILL_RUNNING} * ", f"{STILL_SPENT} * "), "  ")}
)
and on (agent) ALERTS{{alertname="AgentSpendOverBudget", alertstate="firing"}}
"""),
        description=(
            '{{ $labels.agent }}: ${{ $value | printf "%.2f" }} spent in the last hour, '
            f"{_usd_of(SPEND_24H, otherwise='an unknown sum')} in the last 24 h; the budget is <hour> an hour "
            "and <day> a day."
        ),
        labels=("agent",),
        panel=links.SPEND_BUDGET,
        inhibits=("AgentCostSpike", "AgentToolSpendAnomaly", "AgentUserDailyCostHigh"),
    ),
    Alert(
        name="AgentCostSpike",
        area="cost",
        summary="The agent spends several times what it usually spends at this hour.",
        fires_when="LLM + tool spend > <threshold> what is usual at this hour",
        expr=spike(SPEND),
        description=f"{{{{ $labels.agent }}}} spends {_now_and_usual(SPEND)}",
        labels=("agent",),
        panel=links.SPEND,
        baseline=usual.IN_WORDS,
        inhibits=("AgentToolSpendAnomaly", "AgentUserDailyCostHigh"),
    ),
    Alert(
        name="AgentSessionCostRunaway",
        area="cost",
        summary="A live session has cost many times what a conversation may: it runs away.",
        fires_when=(
            f"a live session passes the agent's limit of a runaway, ${SessionLimits().runaway_cost_usd:g} by default"
        ),
        expr=newly_over_limit("cost_runaway"),
        description=(
            '{{ $labels.agent }}: {{ $value | printf "%.0f" }} live session(s) passed '
            f"{_in_force('cost_runaway')} in the last <window>; it goes on until somebody ends it, or a budget does."
        ),
        labels=("agent",),
        panel=links.SESSIONS_OVER_COST,
        inhibits=("AgentSessionCostOverLimit",),
    ),
    Alert(
        name="AgentSessionCostHigh",
        area="cost",
        summary="Conversations cost too much.",
        fires_when="mean cost of closed sessions > <threshold>",
        expr=mean_above(SESSION_COST, "<threshold>", roots=("AgentInputTokensHigh",)),
        description=(
            '{{ $labels.agent }}: a session of the last <slow.window> cost ${{ $value | printf "%.2f" }} on '
            "average; above <threshold> is too much."
        ),
        labels=("agent",),
        panel=links.SESSION_COST,
        boundary_of=metrics.SESSION_COST,
        inhibits=("AgentSessionCostOverLimit",),
    ),
    Alert(
        name="AgentSessionCostOverLimit",
        area="cost",
        summary="A live session costs more than a conversation may.",
        fires_when=f"a live session passes the agent's limit of cost, ${SessionLimits().cost_usd:.2f} by default",
        expr=newly_over_limit("cost"),
        description=(
            '{{ $labels.agent }}: {{ $value | printf "%.0f" }} live session(s) passed '
            f"{_in_force('cost')} in the last <window>."
        ),
        labels=("agent",),
        panel=links.SESSIONS_OVER_COST,
    ),
    Alert(
        name="AgentUserDailyCostHigh",
        area="cost",
        summary="Users have spent too much today.",
        fires_when=f"users whose spend today passes the agent's limit, ${SessionLimits().of_a_user_day:g} by default",
        expr="""
max by (agent) (<users_over_daily_cost>) > 0
""",
        description=(
            '{{ $labels.agent }}: {{ $value | printf "%.0f" }} user(s) have spent more than '
            f"{_usd_of(metrics.USER_DAILY_COST_LIMIT, otherwise='the limit')} since 00:00 UTC, the costliest "
            f"{_usd_of(metrics.USER_COST, otherwise='an unknown sum')}; the panel names them by pseudonym."
        ),
        labels=("agent",),
        panel=links.USER_COST,
    ),
    Alert(
        name="AgentInputTokensHigh",
        area="cost",
        summary="Prompts have grown too long.",
        fires_when="mean prompt of an LLM call > <threshold>",
        expr=mean_above(INPUT_TOKENS, "<threshold>"),
        description=(
            '{{ $labels.agent }}: a prompt of the last <slow.window> had {{ $value | printf "%.0f" }} tokens on '
            "average; above <threshold> is too long."
        ),
        labels=("agent",),
        panel=links.INPUT_TOKENS,
        inhibits=("AgentSessionCostHigh", "AgentSessionCostOverLimit"),
        boundary_of=metrics.LLM_INPUT_TOKENS,
    ),
    Alert(
        name="AgentToolSpendAnomaly",
        area="cost",
        summary="The external APIs behind the tools cost far more than they usually do at this hour.",
        fires_when="tool spend > <threshold> what is usual at this hour",
        expr=spike(TOOL_SPEND),
        description=f"{{{{ $labels.agent }}}}: tools cost {_now_and_usual(TOOL_SPEND)}",
        labels=("agent",),
        panel=links.TOOL_SPEND,
        baseline=usual.IN_WORDS,
    ),
    Alert(
        name="AgentUnpricedModel",
        area="cost",
        summary="Tokens of a model without a price: the cost figures are too low.",
        fires_when="tokens of a model with no price",
        expr=_of_each_model("<llm_unpriced_tokens>"),
        description=(
            '{{ $labels.agent }}: {{ $value | printf "%.0f" }} tokens of model {{ $labels.model }} have no '
            "price in the last <window>."
        ),
        labels=("agent", "model"),
        panel=links.UNPRICED_TOKENS,
    ),
    Alert(
        name="AgentUsageUnknown",
        area="cost",
        summary="Calls of a model succeed without saying what they used: the cost figures are too low.",
        fires_when="LLM calls that succeed and whose usage cannot be read",
        expr=_of_each_model("<llm_usage_unknown>"),
        description=(
            '{{ $labels.agent }}: {{ $value | printf "%.0f" }} successful call(s) of model {{ $labels.model }} in the '
            "last <window> did not say what they used; their tokens and cost are missing."
        ),
        labels=("agent", "model"),
        panel=links.UNKNOWN_USAGE,
    ),
    Alert(
        name="AgentPricesStale",
        area="cost",
        summary="The prices that calls are billed at have not been renewed for long.",
        fires_when="the newest price of the list, or the price file of one's own, is older than <threshold>",
        # The replica with the oldest prices: what it counts is part of every sum.
        expr="""
(time() - min by (agent) (<llm_prices_timestamp>)) / 86400 > <threshold>
""",
        description=(
            '{{ $labels.agent }}: its prices are {{ $value | printf "%.0f" }} days old; after <threshold> they should '
            "be renewed."
        ),
        labels=("agent",),
        panel=links.AGE_OF_PRICES,
    ),
)
