"""What one average session adds to each counter and histogram; measured on the simulated floor, then rounded."""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from statistics import NormalDist

from agentgauge import metrics
from agentgauge.metrics import MetricSpec
from agentgauge.pricing import PriceTable, TokenUsage
from sample_agent.sales.tools import TOOLS_BY_NAME
from sample_agent.simulator.floor import COMPLAINTS, RATES_THE_ANSWER
from sample_agent.simulator.stories import Habits
from sample_agent.simulator.workload import TASKS_A_SESSION

PLANNING_MODEL, CLASSIFYING_MODEL = "claude-opus-5-5", "claude-haiku-5-5"

TURNS = float(TASKS_A_SESSION)
"""User turns of a session; each is a task."""

CALLS = {
    "search_crm_contacts": 1.05,
    "get_deal_history": 1.05,
    "get_product_catalog": 0.49,
    "search_emails": 0.21,
    "draft_email": 0.47,
    "update_crm": 0.41,
    "send_email": 0.1,
}
"""Tool → its calls in a session."""

TASKS_ENDED = {"completed": 0.95, "fallback": 0.04, "failed": 0.002, "abandoned": 0.008}
CACHE_RESULTS = {"hit": 0.5, "miss": 0.45, "expired": 0.05}
CACHE_SECONDS = {"search_crm_contacts": 120.0, "get_deal_history": 350.0, "get_product_catalog": 1500.0}
"""Cached tool → mean age of what is served from the cache."""
TAKES_LISTS = ("search_crm_contacts", "get_deal_history", "search_emails")
BAD_ARGUMENTS = 0.01
"""Share of the calls that fail because the model got an argument wrong."""
PROMOTED = ("update_crm",)
"""What runs unasked although its risk is not low; a sample of it is audited."""
AUDITED = 0.1
OF_THE_REST = {"edited": 0.6, "rejected": 0.35, "expired": 0.05}
"""What becomes of proposals that are not approved."""
OVERLOADED = 0.003
CACHEABLE_TOKENS = 2448
"""Of a prompt of a planning call: what begins as the one before it did."""


@dataclass(frozen=True)
class SeriesId:
    """A series without the labels that all have in common: agent, job and instance."""

    name: str
    labels: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Amount:
    """What a session adds to a series; ``whole`` if the series counts in whole numbers.

    A series that is not ``born_at_zero`` exists from its first count.
    """

    of_a_session: float
    whole: bool
    born_at_zero: bool


@dataclass(frozen=True)
class Spread:
    """A log-normal distribution; a share of ``zeros`` of the observations is 0."""

    mean: float
    sigma: float
    zeros: float = 0

    def share_up_to(self, value: float) -> float:
        """The share of the observations that are not above ``value``."""
        if value == 0:
            return self.zeros
        typical = log(self.mean / (1 - self.zeros)) - self.sigma**2 / 2
        return self.zeros + (1 - self.zeros) * NormalDist().cdf((log(value) - typical) / self.sigma)


Amounts = dict[SeriesId, Amount]


def of_a_session(behaviour: Habits) -> Amounts:
    """Series → what an average session adds to it."""
    amounts: Amounts = {}
    _add_tools(amounts, behaviour)
    _add_llm_calls(amounts, behaviour)
    _add_tasks(amounts, behaviour)
    _add_people(amounts, behaviour)
    _add_session(amounts, cost_usd(amounts))
    return amounts


def cost_usd(amounts: Amounts) -> float:
    """LLM and tool cost of a session."""
    paid = (metrics.LLM_COST.name, metrics.TOOL_COST.name)
    return sum(amount.of_a_session for series, amount in amounts.items() if series.name in paid)


def runs_unasked(tool: str) -> bool:
    """Whether a tool acts without a person's approval."""
    return TOOLS_BY_NAME[tool].risk == "low" or tool in PROMOTED


def series_id(spec: MetricSpec, *values: str, name: str = "", le: str = "") -> SeriesId:
    """A series of the metric: label values in the order of the spec, ``agent`` left out."""
    labels = tuple(zip((label.name for label in spec.labels), values, strict=True))
    return SeriesId(name or spec.name, (*labels, ("le", le)) if le else labels)


def _add_session(amounts: Amounts, cost: float) -> None:
    _count(amounts, metrics.SESSIONS_OPENED, n=1)
    _observe(amounts, metrics.SESSION_TURNS, n=1, spread=Spread(TURNS, 0.5, zeros=0.03))
    _observe(amounts, metrics.SESSION_TOOL_CALLS, n=1, spread=Spread(sum(CALLS.values()), 0.5, zeros=0.05))
    _observe(amounts, metrics.SESSION_COST, n=1, spread=Spread(cost, 0.6))


def _add_tasks(amounts: Amounts, behaviour: Habits) -> None:
    for outcome, share in TASKS_ENDED.items():
        _count(amounts, metrics.TASKS, outcome, n=TURNS * share)
    completed = TURNS * TASKS_ENDED["completed"]
    _observe(amounts, metrics.TASK_TURNS, n=completed, spread=Spread(behaviour.turns_to_completion, 0.3))
    _observe(amounts, metrics.TURN_DURATION, n=TURNS, spread=Spread(0.8 * behaviour.turns_to_completion, 0.25))


def _add_tools(amounts: Amounts, behaviour: Habits) -> None:
    for tool, calls in CALLS.items():
        failed = calls * BAD_ARGUMENTS
        _count(amounts, metrics.TOOL_ERRORS, tool, "ToolInputError", n=failed)
        _count(amounts, metrics.TOOL_CALLS, tool, "error", n=failed)
        _count(amounts, metrics.TOOL_CALLS, tool, "success", n=calls - failed)
        _observe(amounts, metrics.TOOL_DURATION, tool, n=calls, spread=Spread(0.05, 0.9))
        if price := TOOLS_BY_NAME[tool].external_cost_usd:
            _count(amounts, metrics.TOOL_COST, tool, n=calls * price * behaviour.tool_prices)
        if tool in TAKES_LISTS:
            _observe(amounts, metrics.TOOL_BATCH_SIZE, tool, n=calls, spread=Spread(1.3, 0.4))
    for tool, age in CACHE_SECONDS.items():
        for result, share in CACHE_RESULTS.items():
            _count(amounts, metrics.CACHE_REQUESTS, tool, result, n=CALLS[tool] * share)
        _observe(amounts, metrics.CACHE_AGE, tool, n=CALLS[tool] * CACHE_RESULTS["hit"], spread=Spread(age, 0.6))


def _add_llm_calls(amounts: Amounts, behaviour: Habits) -> None:
    answered = TURNS * (1 - TASKS_ENDED["fallback"])
    read = round(CACHEABLE_TOKENS * behaviour.cached)
    planning = TokenUsage(
        input=610,
        cache_read=read,
        cache_write_5m=CACHEABLE_TOKENS - read,
        output=round(behaviour.output_tokens),
    )
    synthesis_calls = answered * (behaviour.turns_to_completion - 1)
    planner = {"planning": answered, "synthesis": synthesis_calls}
    _add_model(amounts, PLANNING_MODEL, planner, planning, seconds=0.56)
    _observe(
        amounts,
        metrics.LLM_TIME_TO_FIRST_TOKEN,
        PLANNING_MODEL,
        n=sum(planner.values()),
        spread=Spread(0.25, 0.5),
    )
    _add_model(amounts, CLASSIFYING_MODEL, {"classification": TURNS}, TokenUsage(input=218, output=2), seconds=0.54)


def _add_model(amounts: Amounts, model: str, steps: dict[str, float], usage: TokenUsage, seconds: float) -> None:
    """The calls of a model, all with the same usage, by step."""
    calls = sum(steps.values())
    _count(amounts, metrics.LLM_CALLS, model, "success", n=calls)
    _count(amounts, metrics.LLM_CALLS, model, "error", n=calls * OVERLOADED)
    _count(amounts, metrics.LLM_ERRORS, model, "overloaded_error", n=calls * OVERLOADED)
    for kind in ("input", "cache_read", "cache_write_5m", "output"):
        _count(amounts, metrics.LLM_TOKENS, model, kind, n=calls * getattr(usage, kind))
    _observe(amounts, metrics.LLM_DURATION, model, n=calls, spread=Spread(seconds, 0.4))
    _observe(amounts, metrics.LLM_INPUT_TOKENS, model, n=calls, spread=Spread(usage.prompt, 0.3))
    _observe(amounts, metrics.LLM_OUTPUT_TOKENS, model, n=calls, spread=Spread(usage.output, 0.8))
    prices = PriceTable()
    price, uncached = prices.cost_usd(model, usage), prices.cost_usd(model, usage.uncached)
    if price is None or uncached is None:
        raise ValueError(f"{model} has no price; name another in rates.py")
    for step, of_step in steps.items():
        _count(amounts, metrics.LLM_COST, model, step, n=of_step * price)
    _count(amounts, metrics.LLM_COST_WITHOUT_CACHE, model, n=calls * uncached)


def _add_people(amounts: Amounts, behaviour: Habits) -> None:
    ratings = TURNS * RATES_THE_ANSWER * behaviour.rated
    _count(amounts, metrics.FEEDBACK, "up", "none", n=ratings * behaviour.happy)
    for reason, weight in COMPLAINTS.items():
        unhappy = ratings * (1 - behaviour.happy) * weight / sum(COMPLAINTS.values())
        _count(amounts, metrics.FEEDBACK, "down", reason, n=unhappy)
    for tool, calls in CALLS.items():
        risk = TOOLS_BY_NAME[tool].risk
        if runs_unasked(tool):
            _count(amounts, metrics.ACTIONS, tool, risk, "auto", n=calls)
        else:
            _count(amounts, metrics.ACTIONS, tool, risk, "approval", n=calls)
            _count(amounts, metrics.APPROVALS, tool, risk, "approved", n=calls * behaviour.approved)
            for decision, share in OF_THE_REST.items():
                _count(amounts, metrics.APPROVALS, tool, risk, decision, n=calls * (1 - behaviour.approved) * share)
            _observe(amounts, metrics.APPROVAL_WAIT, tool, n=calls, spread=Spread(60.0, 1.2))
    for tool in PROMOTED:
        audits = CALLS[tool] * AUDITED
        _count(amounts, metrics.AUDITS, tool, "ok", n=audits * behaviour.audits_ok)
        _count(amounts, metrics.AUDITS, tool, "problem", n=audits * (1 - behaviour.audits_ok))


def _count(amounts: Amounts, spec: MetricSpec, *values: str, n: float) -> None:
    whole = spec not in (metrics.LLM_COST, metrics.LLM_COST_WITHOUT_CACHE, metrics.TOOL_COST)
    learnt = any(label.bound == "first" for label in spec.labels)
    amounts[series_id(spec, *values)] = Amount(n, whole, born_at_zero=not learnt)


def _observe(amounts: Amounts, spec: MetricSpec, *values: str, n: float, spread: Spread) -> None:
    for boundary in spec.buckets:
        bucket = series_id(spec, *values, name=spec.bucket, le=spec.le(boundary))
        amounts[bucket] = Amount(n * spread.share_up_to(boundary), whole=True, born_at_zero=True)
    amounts[series_id(spec, *values, name=spec.bucket, le="+Inf")] = Amount(n, whole=True, born_at_zero=True)
    amounts[series_id(spec, *values, name=spec.count)] = Amount(n, whole=True, born_at_zero=True)
    amounts[series_id(spec, *values, name=spec.sum)] = Amount(n * spread.mean, whole=False, born_at_zero=True)
