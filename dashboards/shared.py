"""Panels that stand on more than one dashboard: here once, with an id and a width of their own on each."""

from __future__ import annotations

from alerts.areas.approvals import DECIDED, WAVED_THROUGH
from alerts.areas.cost import SPEND
from alerts.usual import Spend
from dashboards import queries
from dashboards.model import Limit, Panel, Query, State
from dashboards.shapes import headline, lines, percentiles, stack, stat, table
from dashboards.style import (
    AMBER,
    BLUE,
    COUNT,
    FACTOR,
    GREEN,
    GREY,
    PER_MINUTE,
    PURPLE,
    RATIO,
    SECONDS,
    USD,
    YELLOW,
)

STAGES = (
    State("shadow", GREY),
    State("approval required", YELLOW),
    State("semi-autonomous", BLUE),
    State("autonomous", GREEN),
)
"""The values of the stage's label, in their order."""

MODES = (State("suggests", GREY), State("asks first", PURPLE), State("acts by itself", GREEN))
"""What a tool may do: the values of the mode's label, in their order."""


def tasks_completed(id: int, span: int = 4, opens: str = "") -> Panel:
    """Completed share of the tasks."""
    return headline(
        id,
        "Tasks completed",
        RATIO,
        "Completed share of the user requests; of the worst agent.",
        lambda over: queries.lowest(queries.share("tasks", 'outcome="completed"', "agent", over=over)),
        span=span,
        limit=Limit("AgentTaskCompletionLow", "below"),
        opens=opens,
    )


def answer_p95(id: int, span: int = 4, opens: str = "") -> Panel:
    """Time to answer."""
    return headline(
        id,
        "Answer p95",
        SECONDS,
        "95 % of the answers came faster than this; of the slowest agent.",
        lambda over: queries.highest(queries.quantile(0.95, "turn_duration", "agent", over)),
        span=span,
        limit=Limit("AgentLatencySpike", "above"),
        opens=opens,
    )


def time_to_answer(id: int, span: int) -> Panel:
    """Time to answer, over time."""
    return lines(
        id,
        "Time to answer",
        SECONDS,
        "From the user's message to the answer, over the alert's window.",
        *percentiles("turn_duration", "agent"),
        span=span,
        limits=(Limit("AgentLatencySpike", "above"),),
    )


def tasks_by_outcome(id: int, span: int) -> Panel:
    """How tasks end, over time."""
    return stack(
        id,
        "Tasks by outcome",
        PER_MINUTE,
        "User requests per minute by how they ended; fallback means the agent said that it cannot help, abandoned "
        "that the user left.",
        Query(queries.per_minute("tasks", "outcome"), "{{outcome}}"),
        span=span,
    )


def spend(id: int, span: int = 4, opens: str = "") -> Panel:
    """What it cost."""
    return headline(id, "Spend", USD, "LLM and tool spend, of all agents.", queries.spend, span=span, opens=opens)


NO_USUAL = "Needs three days of history"


def against_usual(spend: Spend) -> str:
    """The current spend by what is usual at this hour, of the agent furthest from it."""
    return queries.highest(f"{spend.now('fast')}{{<where>}} / ({spend.usual('fast')}{{<where>}} > 0)")


def spend_against_usual(id: int, span: int = 4, opens: str = "") -> Panel:
    """What the agent spends now, beside what is usual at this hour."""
    return stat(
        id,
        "Spend ÷ usual",
        FACTOR,
        "Spend of the last half hour by what is usual at this hour, of the agent furthest from it; needs three days of "
        "history.",
        against_usual(SPEND),
        span=span,
        limit=Limit("AgentCostSpike", "above"),
        opens=opens,
        empty=NO_USUAL,
    )


def thumbs_down(id: int, span: int = 4, opens: str = "") -> Panel:
    """The unhappy share of the ratings."""
    return headline(
        id,
        "Thumbs down",
        RATIO,
        "Share of thumbs down among all ratings; of the worst agent.",
        lambda over: queries.highest(queries.share("feedback", 'rating="down"', "agent", over=over)),
        span=span,
        limit=Limit("AgentNegativeFeedbackHigh", "above"),
        opens=opens,
    )


def active_users(id: int, title: str, window: str, days: str, span: int = 4, opens: str = "") -> Panel:
    """Distinct users of one of the ledger's windows."""
    return stat(
        id,
        title,
        COUNT,
        f"Distinct users of the last {days}; of the agent that has most.",
        queries.ledger_gauge("active_users", having=f'window="{window}"'),
        span=span,
        opens=opens,
    )


def scenarios_passed(id: int, span: int = 4, opens: str = "") -> Panel:
    """How the evaluation went."""
    return stat(
        id,
        "Scenarios passed",
        RATIO,
        "Share of the evaluation's scenarios that the live version passed in its last run; of the worst suite.",
        queries.lowest(queries.ledger_gauge("eval_pass_ratio", "agent, suite")),
        span=span,
        opens=opens,
    )


def stage(id: int, span: int = 4, opens: str = "") -> Panel:
    """How far the agent is trusted."""
    return stat(
        id,
        "Autonomy",
        COUNT,
        "The stage of the agent; of the least trusted one.",
        queries.lowest(queries.position("autonomy_stage", "agent")),
        span=span,
        opens=opens,
        states=STAGES,
    )


def approved(id: int, span: int = 4, opens: str = "") -> Panel:
    """Approval rate."""
    return headline(
        id,
        "Approved",
        RATIO,
        "Share of the decisions that approved what the agent proposed, unchanged; of the worst agent.",
        lambda over: queries.lowest(queries.share("approvals", 'decision="approved"', "agent", of=DECIDED, over=over)),
        span=span,
        limit=Limit("AgentApprovalRateLow", "below"),
        opens=opens,
    )


def approvals_waiting(id: int, span: int = 4, opens: str = "") -> Panel:
    """Approvals that wait, now."""
    return stat(
        id,
        "Approvals open",
        COUNT,
        "Actions that wait for a human decision now; of the agent that has most.",
        queries.ledger_gauge("approvals_pending"),
        span=span,
        opens=opens,
    )


def approval_rate(id: int, span: int) -> Panel:
    """Approval rate, over time."""
    return lines(
        id,
        "Approval rate",
        RATIO,
        "Approved share of what people decided, over the window of each alert: too low and the agent proposes "
        "rubbish, too high and nobody reads, or nobody needs to be asked.",
        Query(
            queries.share("approvals", 'decision="approved"', "agent", of=DECIDED),
            "{{agent}}, last hour",
            judged_by="AgentApprovalRateLow",
        ),
        Query(
            queries.share_judged(WAVED_THROUGH),
            "{{agent}}, last day",
            judged_by="AgentApprovalRateHigh",
        ),
        span=span,
        limits=(Limit("AgentApprovalRateLow", "below"), Limit("AgentApprovalRateHigh", "above", AMBER)),
    )


def waiting_time(id: int, span: int) -> Panel:
    """How long approvals took."""
    return lines(
        id,
        "Waiting time",
        SECONDS,
        "From the request for approval to the decision, over the last hour.",
        *percentiles("approval_wait", "agent", over="1h"),
        span=span,
    )


def running_versions(id: int, span: int, height: int) -> Panel:
    """What runs where."""
    return table(
        id,
        "Running versions",
        "Version of the agent and of its prompts on each instance.",
        ("agent", "version", "prompt_version", "instance"),
        Query("max by (agent, version, prompt_version, instance) (<build_info>{<where>})"),
        span=span,
        height=height,
    )
