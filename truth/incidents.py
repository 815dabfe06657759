"""What is measured: healthy agents, incidents by name, and changes that nobody should be woken for. A row each.

A row says what changes in the table ``usual`` of traffic.py, for how long, and which alert has to find it. A new alert
needs one row here; where it reads a metric that is not drawn yet, a line in traffic.py draws it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from truth.histories import DAY, HOUR, WEEK, Reals
from truth.traffic import TOOLS, Change, office, promised

MINUTE = 60


@dataclass(frozen=True)
class Span:
    """How long a history lasts, in seconds: ``coarse`` without a look at the alerts, ``before`` the incident, and all.

    ``start`` is its beginning in Unix seconds. The incident of a span that has none is empty.
    """

    name: str
    start: int
    coarse: int
    before: int
    seconds: int


TUESDAY = 1767679200
"""6:00 UTC on a Tuesday, where a block of the database begins."""
MONDAY = 1770595200
"""0:00 UTC on a Monday, where a block of the database begins."""

WITH_GAP = Span("hours with a gap", TUESDAY, 0, 5400, 5 * HOUR)
HOURS = Span("hours", TUESDAY, 0, 5400, 5 * HOUR)
OVER_MIDNIGHT = Span("hours over midnight", TUESDAY + 12 * HOUR, 0, 6 * HOUR, 9 * HOUR)
LONG_HOURS = Span("long hours", TUESDAY, 0, 5400, 9 * HOUR)
DAYS = Span("days", MONDAY, 2 * DAY, 2 * DAY + 2 * HOUR, 3 * DAY)
WEEKS = Span("weeks", MONDAY, 3 * WEEK, 3 * WEEK + 9 * HOUR, 3 * WEEK + 2 * DAY)
WEEK_WATCHED = Span("a week watched", MONDAY, 4 * DAY, 4 * DAY, 4 * DAY + WEEK)

Kind = Literal["incident", "healthy", "edge", "silent"]

ENDS, MONEY_ENDS = 10, 60
"""Minutes after the mending within which the last alert is asked to end."""


@dataclass(frozen=True)
class Incident:
    """One row: while it lasts, one of the alerts ``expects`` has to fire; ``brings`` others that may fire as well.

    ``found_within`` says how soon, in minutes by volume; ``ends_within`` is how long after the mending the last alert
    may fire. Both are what is asked; what is accepted instead is in limits.py. ``draws`` is how many histories are
    drawn of each volume, for scrapes of 15 and of 60 seconds: one of a volume without a limit, where another has one.
    """

    name: str
    expects: tuple[str, ...] = ()
    during: Mapping[str, Change] = field(default_factory=dict)
    minutes: int = 60
    brings: tuple[str, ...] = ()
    kind: Kind = "incident"
    always: Mapping[str, Change] = field(default_factory=dict)
    volumes: tuple[float, ...] = (0.1, 1, 10)
    found_within: Mapping[float, float] = field(default_factory=dict)
    ends_within: float = ENDS
    draws: tuple[int, int] = (1, 1)
    span: Span = HOURS
    level: float = 0.25
    routine: Callable[[Reals], Reals] | None = None
    replicas: int = 1
    restart_every: int = 0
    gone: bool = False
    gap: bool = False
    begins: int = 0


ALL_TOOLS_FAIL: Mapping[str, Change] = {f"{tool}_failed": 1.0 for tool in TOOLS} | {"uncompleted": 0.9}
TASKS = ("AgentTaskCompletionLow", "AgentFallbackRateHigh")
PROVIDER = ("AgentLLMErrorsHigh",)
MONEY = ("AgentCostSpike", "AgentSpendOverBudget")
SESSION_MONEY = ("AgentSessionCostOverLimit", "AgentSessionCostRunaway", "AgentSessionCostHigh")
OFTEN = (7, 5)
"""Draws of what has a limit: a median of three says little."""


def at(per_hour: float) -> Mapping[str, Change]:
    """One tool with so many calls an hour."""
    return {"crm_calls": per_hour}


def tasks_at(per_hour: float) -> Mapping[str, Change]:
    """So many tasks an hour."""
    return {"tasks": per_hour}


@dataclass(frozen=True)
class Between:
    """``per_hour`` from the ``first`` to the ``last`` second of the incident, none otherwise."""

    first: float
    last: float
    per_hour: float

    def __call__(self, since: Reals) -> Reals:
        """How many an hour at each of these seconds."""
        return np.where((since >= self.first) & (since < self.last), self.per_hour, 0.0)


@dataclass(frozen=True)
class Growing:
    """A number that grows by a ``factor`` every so many seconds, and by ``added`` every second."""

    start: float
    factor: float = 1
    every: float = 1
    added: float = 0

    def __call__(self, since: Reals) -> Reals:
        """What it is at each of these seconds."""
        return np.asarray(self.start * self.factor ** (since / self.every) + self.added * since)


def mondays(at_second: Reals) -> Reals:
    """Traffic on Mondays alone."""
    return np.where(at_second // DAY % 7 == 0, 1.0, 0.02)


def after_a_holiday(at_second: Reals) -> Reals:
    """Office hours, and a week without anybody before the last Monday."""
    return office(at_second) * np.where((at_second >= 2 * WEEK) & (at_second < 3 * WEEK), 0.02, 1.0)


def after_two_weeks_of_holidays(at_second: Reals) -> Reals:
    """Office hours, and two weeks with hardly anybody before the last Monday."""
    return office(at_second) * np.where((at_second >= WEEK) & (at_second < 3 * WEEK), 0.02, 1.0)


def a_holiday(at_second: Reals) -> Reals:
    """Office hours, and a holiday on the last Monday."""
    return office(at_second) * np.where((at_second >= 3 * WEEK) & (at_second < 3 * WEEK + DAY), 0.02, 1.0)


def a_nightly_batch(at_second: Reals) -> Reals:
    """Office hours, and every night at three a batch of twenty times the traffic for ten minutes."""
    second = at_second % DAY
    return office(at_second) + np.where((second >= 3 * HOUR) & (second < 3 * HOUR + 600), 20.0, 0.0)


def clocks_forward(at_second: Reals) -> Reals:
    """Office hours by a clock that was put forward by one hour before the last Monday."""
    return np.where(at_second < 3 * WEEK, office(at_second), office(at_second + HOUR))


def clocks_back(at_second: Reals) -> Reals:
    """Office hours by a clock that was put back by one hour before the last Monday."""
    return np.where(at_second < 3 * WEEK, office(at_second), office(np.maximum(at_second - HOUR, 0)))


def _tool(name: str, per_hour: float, failed: float, minutes: int, within: float, span: Span = HOURS) -> Incident:
    return Incident(
        f"{name} at {per_hour:g} calls an hour",
        ("AgentToolSuccessRateLow",),
        {"crm_failed": failed},
        minutes,
        always=at(per_hour),
        volumes=(1,),
        found_within={1: within},
        draws=OFTEN,
        span=span,
    )


def _tasks(name: str, per_hour: float, bad: float, minutes: int, within: float, span: Span = HOURS) -> Incident:
    return Incident(
        f"{name} at {per_hour:g} tasks an hour",
        ("AgentTaskCompletionLow",),
        {"uncompleted": bad},
        minutes,
        always=tasks_at(per_hour),
        volumes=(1,),
        found_within={1: within},
        draws=OFTEN,
        span=span,
    )


HEALTHY = (
    Incident("half of what is promised is bad, day and night",
             kind="healthy", level=0.5, draws=(1, 3), span=WEEK_WATCHED),
    Incident("half of what is promised is bad, in office hours with a peak of four times",
             kind="healthy", level=0.5, draws=(0, 1), span=WEEK_WATCHED, routine=office),
    Incident("half of the failures that are promised of the provider, day and night", kind="healthy", level=0.5,
             always={"llm_rate_limited": promised("AgentLLMErrorsHigh") / 2, "llm_overloaded": 0.0, "llm_timeout": 0.0},
             draws=(0, 1), span=WEEK_WATCHED),
    Incident("four fifths of it are bad, day and night", kind="edge", level=0.8, draws=(0, 2), span=WEEK_WATCHED),
)  # fmt: skip  # a row a history

SILENT = (
    Incident("Prometheus does not see two hours", kind="silent", minutes=120, gap=True, span=WITH_GAP),
    Incident("deploy with a reset", kind="silent", minutes=30, restart_every=30 * MINUTE - 1),
    Incident("replicas 2, 5, 2", kind="silent", replicas=5, volumes=(1, 10), draws=(1, 1)),
    Incident("peak of four times", kind="silent", during={"busy": 4.0}),
    Incident("people come and go, as many as ever", kind="silent", always={"users_scatter": 0.2}, span=WEEKS,
             draws=(0, 1), volumes=(1,)),
    Incident("a Monday after a week of holidays", kind="silent", span=WEEKS, routine=after_a_holiday, draws=(0, 1),
             volumes=(1,)),
    Incident("used on Mondays alone", kind="silent", span=WEEKS, routine=mondays, draws=(0, 1), volumes=(1,)),
    Incident("growth of 10 % a week", kind="silent", span=WEEKS, routine=office, draws=(0, 1), volumes=(1,),
             always={"busy": Growing(1, 1.1, WEEK)}),
    Incident("midnight in UTC: what counts by the day starts over", kind="silent", minutes=179, span=OVER_MIDNIGHT,
             always={"user_cost": 4.5}, during={"user_cost": Growing(0, added=1e-4)}),
    Incident("a Monday after two weeks of holidays", kind="silent", span=WEEKS, routine=after_two_weeks_of_holidays,
             draws=(0, 1), volumes=(0.1, 1, 10)),
    Incident("a Monday that is a holiday", kind="silent", span=WEEKS, routine=a_holiday, draws=(0, 1),
             volumes=(0.1, 1, 10)),
    Incident("a batch every night", kind="silent", span=WEEKS, routine=a_nightly_batch, draws=(0, 1),
             volumes=(0.1, 1, 10)),
    Incident("clocks put forward by an hour", kind="silent", span=WEEKS, routine=clocks_forward, draws=(0, 1),
             volumes=(1, 10)),
    Incident("clocks put back by an hour", kind="silent", span=WEEKS, routine=clocks_back, draws=(0, 1), volumes=(1,)),
)  # fmt: skip  # a row a history

INCIDENTS = (
    Incident("CRM outage: all tools fail, few calls", ("AgentAllToolCallsFailing", "AgentToolSuccessRateLow"),
             ALL_TOOLS_FAIL, volumes=(0.1,), brings=TASKS, draws=(3, 3)),
    Incident("CRM outage: all tools fail", ("AgentAllToolCallsFailing",), ALL_TOOLS_FAIL, volumes=(1, 10),
             found_within={1: 4, 10: 2}, draws=OFTEN),
    _tool("one tool dead", 10, 1, 90, 30),
    _tool("one tool dead", 45, 1, 60, 7),
    _tool("one tool dead", 240, 1, 60, 3),
    _tool("one tool succeeds in 80 %", 45, 0.2, 120, 45),
    _tool("one tool succeeds in 80 %", 240, 0.2, 60, 10),
    _tool("one tool succeeds in 90 %", 45, 0.1, 360, 180, LONG_HOURS),
    _tool("one tool succeeds in 90 %", 240, 0.1, 120, 60),
    Incident("one tool slow", ("AgentToolLatencyHigh",), {"crm_slow": 0.6, "turn_slow": 0.1},
             brings=("AgentLatencySpike",)),
    Incident("one tool fails in a new way", ("AgentToolNewErrorType",), {"crm_failed": 0.03, "crm_new_errors": 1.0},
             240, span=DAYS, draws=(0, 2), volumes=(1, 10)),
    Incident("one of five replicas bad", ("AgentToolSuccessRateLow",),
             {f"{tool}_failed": 0.21 for tool in TOOLS}, replicas=-5, volumes=(1, 10), minutes=90,
             brings=("AgentTaskCompletionLow",)),
    Incident("provider does not know the model", ("AgentModelGone", *PROVIDER),
             {"llm_not_found": 1.0, "uncompleted": 1.0}, brings=(*TASKS, *PROVIDER),
             found_within={1: 4}, draws=OFTEN),
    Incident("a model deprecated: a third of the calls not found", ("AgentModelGone",),
             {"llm_not_found": 0.3, "uncompleted": 0.3}, brings=(*TASKS, *PROVIDER)),
    Incident("provider fails every attempt", PROVIDER, {"llm_timeout": 1.0, "llm_overloaded": 0.0, "uncompleted": 1.0},
             brings=TASKS, found_within={1: 4}, draws=OFTEN),
    Incident("provider fails half of the attempts", PROVIDER, {"llm_overloaded": 0.5, "uncompleted": 0.12},
             found_within={1: 8}, draws=OFTEN),
    Incident("provider turns nine of ten away: 429", PROVIDER, {"llm_rate_limited": 0.9, "uncompleted": 0.6},
             brings=TASKS),
    Incident("streams cut: a quarter of the attempts fails", PROVIDER, {"llm_overloaded": 0.25, "uncompleted": 0.15}),
    Incident("retries double the cost", PROVIDER, {"llm_overloaded": 0.4, "llm_usd": 0.006}),
    Incident("provider slow", ("AgentLatencySpike",), {"turn_slow": 0.5}),
    Incident("provider hangs: turns do not end", ("AgentHung",), {"oldest_turn": Growing(0, added=1), "tasks": 0.0},
             minutes=60, found_within={1: 6}, draws=OFTEN),
    _tasks("all tasks fail", 15, 1, 90, 30),
    _tasks("all tasks fail", 75, 1, 60, 7),
    _tasks("half of the tasks fail", 75, 0.5, 120, 41),
    _tasks("70 % of the tasks completed", 75, 0.3, 300, 85, LONG_HOURS),
    _tasks("70 % of the tasks completed", 750, 0.3, 120, 40),
    Incident("everything a fallback", TASKS, {"fallback": 0.95, "uncompleted": 0.95}),
    Incident("one tenant suffers: a third of all tasks", ("AgentTaskCompletionLow",), {"uncompleted": 0.38}, 120),
    Incident("answers empty: one in twenty reported", ("AgentWrongAnswersReported",), {"wrong": 0.05}, 480,
             brings=("AgentNegativeFeedbackHigh",), span=DAYS, draws=(0, 2)),
    Incident("stale cache: one answer in thirty reported", ("AgentWrongAnswersReported",), {"wrong": 0.033}, 600,
             brings=("AgentNegativeFeedbackHigh",), span=DAYS, draws=(0, 1)),
    Incident("most ratings thumbs down", ("AgentNegativeFeedbackHigh",), {"down": 0.7}, 720, span=DAYS, draws=(0, 2)),
    Incident("feedback button broken", ("AgentFeedbackSilent",), {"ratings": 0.0, "wrong": 0.0}, 4 * 1440, span=WEEKS,
             begins=3 * WEEK - 2 * DAY, draws=(0, 1)),
    Incident("approval queue not worked", ("AgentApprovalQueueStalled",), {"approvals": 0.0, "waiting": 5.0}, 120),
    Incident("all proposals expire", ("AgentApprovalQueueStalled",), {"expired": 1.0, "waiting": 2.0}, 120),
    Incident("an agent is killed while it acts", ("AgentActionUnresolved",), {"unresolved": 1.0}, 60,
             found_within={1: 6}),
    Incident("people refuse nine proposals in ten", ("AgentApprovalRateLow",), {"refused": 0.9}, 600, span=DAYS,
             draws=(0, 2)),
    Incident("people approve everything", ("AgentApprovalRateHigh",), {"refused": 0.0, "expired": 0.0}, 4 * 1440,
             span=WEEKS, begins=3 * WEEK - DAY, volumes=(1, 10), draws=(0, 1)),
    Incident("audits find a third wrong", ("AgentAuditProblems",), {"audit_problems": 0.33}, 3 * 1440, span=WEEKS,
             begins=3 * WEEK - DAY, draws=(0, 1), volumes=(1, 10)),
    Incident("one session loops", ("AgentSessionLooping",), {"looping": Between(0, 60, 240)}, 10),
    Incident("many sessions loop", ("AgentSessionLooping",), {"looping": 40.0, "turn_slow": 0.5}),
    Incident("sessions take ten turns", ("AgentTurnsIncreasing",), {"task_turns": 10.0}, 120),
    Incident("sessions abandoned", ("AgentSessionsAbandoned",), {"session_turns": 0.2}, 120),
    Incident("prompts of 100 000 tokens", ("AgentInputTokensHigh",),
             {"prompt_tokens": 100_000.0, "session_cost": 0.8}, 120, brings=("AgentSessionCostOverLimit",)),
    Incident("sessions cost a dollar", SESSION_MONEY, {"session_cost": 1.0}, 120, brings=SESSION_MONEY,
             ends_within=MONEY_ENDS),
    Incident("a session burns $20 an hour", SESSION_MONEY,
             {"over_cost": Between(90, 105, 600), "runaway": Between(900, 915, 600)}, 36, brings=SESSION_MONEY,
             found_within={1: 15}, ends_within=MONEY_ENDS),
    Incident("one user spends $20", ("AgentUserDailyCostHigh",), {"user_cost": 20.0, "users_over": 1.0}),
    Incident("spend a hundred times as high on the third day", MONEY, {"llm_usd": 0.3}, 120, span=DAYS,
             brings=MONEY, draws=(0, 2), found_within={1: 15}, ends_within=MONEY_ENDS),
    Incident("spend ten times as high in office hours", MONEY, {"llm_usd": 0.03}, 240, span=WEEKS, routine=office,
             brings=MONEY, draws=(0, 1), found_within={1: 30}, ends_within=MONEY_ENDS),
    Incident("spend four times as high", MONEY, {"llm_usd": 0.012}, 720, span=WEEKS, brings=MONEY, draws=(0, 1),
             found_within={1: 360}, ends_within=MONEY_ENDS),
    Incident("spend creeps up by 12 % a day", MONEY, {"llm_usd": Growing(0.004, 1.12, DAY)}, 24 * 1440, span=WEEKS,
             begins=2 * DAY, draws=(0, 1), volumes=(1,), brings=MONEY, always={"llm_usd": 0.004}),
    Incident("tools cost ten times as much", ("AgentToolSpendAnomaly",), {"tool_usd": 0.005}, 720, span=WEEKS,
             brings=MONEY, draws=(0, 1), ends_within=MONEY_ENDS, volumes=(1, 10)),
    Incident("prompt cache lost", ("AgentPromptCacheRegression",), {"cached": 0.0, "llm_usd": 0.006}, 240, span=DAYS,
             brings=MONEY, draws=(0, 2), found_within={1: 30}, ends_within=MONEY_ENDS),
    Incident("MCP server dead", ("AgentMCPServerDown",), {"mcp_up": 0.0, "mcp_failed": 1.0},
             brings=("AgentMCPErrorsHigh",), found_within={1: 4}),
    Incident("MCP server fails a fifth of the requests", ("AgentMCPErrorsHigh",), {"mcp_failed": 0.2}),
    Incident("a proxy drops the usage of one answer in ten", ("AgentUsageUnknown",), {"usage_unknown": 0.1},
             ends_within=MONEY_ENDS),
    Incident("a model without a price", ("AgentUnpricedModel",), {"unpriced": 1.0}, ends_within=MONEY_ENDS),
    Incident("agent gone from discovery", ("AgentGone",), gone=True, found_within={1: 6}, draws=(3, 2)),
    Incident("agent frozen: it does not answer Prometheus", ("AgentExporterDown",), {"up": 0.0}, brings=("AgentGone",),
             found_within={1: 6}, draws=(3, 2)),
    Incident("agent crashes every three minutes", ("AgentCrashLooping",), restart_every=170, minutes=60,
             found_within={1: 10}, draws=(3, 2)),
    Incident("no traffic in office hours", ("AgentNoTraffic",), {"busy": 0.0}, 180, span=WEEKS, routine=office,
             found_within={1: 30}, draws=(0, 1), volumes=(1, 10)),
    Incident("instrumentation swallows faults", ("AgentTelemetryErrors",), {"telemetry_faults": 30.0}),
    Incident("label values folded", ("AgentLabelOverflow",), {"overflow": 30.0}),
    Incident("half of the users stay away", ("AgentActiveUsersDeclining",), {"users": 20.0}, 14 * 1440, span=WEEKS,
             begins=3 * WEEK - 2 * DAY, draws=(0, 1), volumes=(1,)),
    Incident("people do not come back", ("AgentRetentionLow",), {"retention": 0.1}, 720, span=DAYS, draws=(0, 1),
             volumes=(1,)),
    Incident("ledger wiped", ("AgentEvalStale",), {"ledger": 0.0}, 30 * 1440, span=WEEKS,
             begins=3 * WEEK - 7 * DAY + 6 * HOUR, draws=(0, 1), volumes=(1,)),
    Incident("evaluations do not run", ("AgentEvalStale",), {"eval_every": 0.0}, 30 * 1440, span=WEEKS,
             begins=3 * WEEK - 7 * DAY + 6 * HOUR, draws=(0, 1), volumes=(1,)),
    Incident("an evaluation passes less than before", ("AgentEvalRegression",), {"eval_passed": 0.8}, volumes=(1,)),
)  # fmt: skip  # a row an incident, as short as it can be read

ALL = (*HEALTHY, *SILENT, *INCIDENTS)
