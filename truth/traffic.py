"""An agent's traffic as Prometheus would have scraped it: what happens is drawn, and counted as the library counts.

What an agent is like is a table of numbers, ``usual``: events an hour, shares between 0 and 1, means. An incident
changes some of them for a while. Events arrive as Poisson processes, outcomes are binomial, costs log-normal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from agentgauge import SessionLimits, metrics
from agentgauge.metrics import MetricSpec
from alerts import thresholds
from alerts.model import SLOW_SHARE
from truth.histories import DAY, HOUR, Counts, Reals, office_hours
from truth.remote_write import Samples

TOOLS = {"crm": 95.0, "mail": 57.0, "catalogue": 38.0}
"""Tool → its calls an hour: half, three tenths and a fifth of 190."""
PLANNER, CLASSIFIER = "claude-opus-5-5", "claude-haiku-5-5"
MCP_SERVER = "calendar"
COARSE_SCRAPE = 100
"""Seconds between scrapes of the weeks before an incident: a window of five minutes holds three."""

ARRIVALS = (
    *(f"{tool}_calls" for tool in TOOLS), "tasks", "sessions", "approvals", "ratings", "audits", "llm_calls",
    "mcp_calls",
)  # fmt: skip  # the tools, and then the rest
"""Events an hour that grow with the volume, and follow the hours of the day."""
LLM_ERRORS = {
    "llm_rate_limited": "rate_limit_error",
    "llm_overloaded": "overloaded_error",
    "llm_timeout": "APITimeoutError",
    "llm_not_found": "not_found_error",
}
"""Share of the attempts that fail in this way → the error type."""

OF_THE_LEDGER = frozenset({
    metrics.ACTIVE_USERS.name, metrics.USER_DAYS.name, metrics.USER_RETENTION.name,
    metrics.USER_RETENTION_COHORT.name, metrics.EVAL_LAST_RUN.name, metrics.EVAL_PASS_RATIO.name,
    metrics.EVAL_BASELINE_PASS_RATIO.name,
})  # fmt: skip  # one topic a line
"""Gauges that an agent with an empty ledger does not show."""

Change = float | Callable[[Reals], Reals]
"""A number, or what it is at each of these seconds since the change began."""
Increments = Counts | NDArray[np.floating[Any]]


def promised(alert: str) -> float:
    """The bad share that a promise of ``thresholds.yml`` allows."""
    threshold = thresholds.load().alerts[alert].threshold
    if threshold is None:
        raise ValueError(f"{alert} promises nothing: it has no threshold")
    return round(1 - threshold.value if threshold.value >= 0.5 else threshold.value, 6)


@cache
def usual(level: float) -> Mapping[str, float]:
    """What an agent is like: bad shares and means are at ``level`` (0 to 1) of what is promised."""
    return {
        "up": 1.0,
        "busy": 1.0,
        **{f"{tool}_calls": calls for tool, calls in TOOLS.items()},
        **{f"{tool}_failed": level * promised("AgentToolSuccessRateLow") for tool in TOOLS},
        **{f"{tool}_slow": level * SLOW_SHARE for tool in TOOLS},
        **{f"{tool}_new_errors": 0.0 for tool in TOOLS},
        "tasks": 75.0,
        "uncompleted": level * promised("AgentTaskCompletionLow"),
        "fallback": level * promised("AgentFallbackRateHigh"),
        "task_turns": max(3.0, level * 6),
        "turn_slow": level * SLOW_SHARE,
        "oldest_turn": 20.0,
        "sessions": 25.0,
        "session_cost": level * 0.1,
        "session_turns": 3.0 if level <= 0.5 else 1.25,
        "looping": 0.0,
        "over_cost": 0.0,
        "runaway": 0.0,
        "llm_calls": 300.0,
        "llm_rate_limited": level * 0.02,
        "llm_overloaded": level * 0.02,
        "llm_timeout": level * 0.01,
        "llm_not_found": 0.0,
        "llm_usd": 0.003,
        "tool_usd": 0.0005,
        "unpriced": 0.0,
        "usage_unknown": 0.0,
        "mcp_calls": 240.0,
        "mcp_failed": level * promised("AgentMCPErrorsHigh"),
        "mcp_up": 1.0,
        "prompt_tokens": level * 50_000,
        "cached": 0.8,
        "approvals": 8.0,
        "refused": level * promised("AgentApprovalRateLow"),
        "expired": 0.02,
        "waiting": 0.0,
        "unresolved": 0.0,
        "audits": 2.0,
        "audit_problems": level * promised("AgentAuditProblems"),
        "ratings": 4.0,
        "down": level * promised("AgentNegativeFeedbackHigh"),
        "wrong": level * promised("AgentWrongAnswersReported"),
        "ledger": 1.0,
        "users": 40.0,
        "users_scatter": 0.0,
        "retention": 0.7,
        "user_cost": 1.0,
        "users_over": 0.0,
        "telemetry_faults": 0.0,
        "overflow": 0.0,
        "eval_every": float(DAY),
        "eval_passed": 1.0,
    }


@dataclass(frozen=True)
class Replica:
    """A process of the agent: it runs from ``since`` to ``until`` (seconds), and counts from 0 after each restart."""

    since: float = 0
    until: float = float("inf")
    restarts: tuple[int, ...] = ()


@dataclass(frozen=True)
class Agent:
    """One history: ``always`` and, from ``begins`` to ``ends``, ``during`` change what is usual at its ``level``.

    ``volume`` multiplies all arrivals, ``routine`` is a factor on them over the seconds since ``start`` (Unix seconds).
    Prometheus scrapes every ``scrape`` seconds, but for the first ``coarse`` seconds; what it would have scraped in a
    ``gap`` (from, to) is missing.
    """

    name: str
    seed: int
    start: int
    seconds: int
    scrape: int
    volume: float = 1
    level: float = 0.25
    always: Mapping[str, Change] = field(default_factory=dict)
    during: Mapping[str, Change] = field(default_factory=dict)
    begins: int = 0
    ends: int = 0
    routine: Callable[[Reals], Reals] | None = None
    coarse: int = 0
    gap: tuple[int, int] = (0, 0)
    replicas: tuple[Replica, ...] = (Replica(),)
    job: str = "agents"

    @property
    def grid(self) -> int:
        """Seconds of the finest moment that is drawn."""
        return 20 if self.seconds > 2 * DAY else 5

    @property
    def scrapes(self) -> Counts:
        """When Prometheus looks, in seconds since the start."""
        coarse = np.arange(0, self.coarse, COARSE_SCRAPE)
        return np.concatenate([coarse, np.arange(self.coarse, self.seconds + 1, self.scrape)]).astype(np.int64)


@dataclass(frozen=True)
class _Counter:
    """What a counter gained at each moment of the grid; ``born`` at zero, or with its first count."""

    name: str
    labels: tuple[tuple[str, str], ...]
    gained: Increments
    born: bool = True


def series(agent: Agent, wanted: str = "") -> Iterator[Samples]:
    """All series of the agent, as scraped; only those that the text ``wanted`` (of rules, say) names, if given."""
    history = _History(agent)
    ledger = history.value("ledger")
    for number, replica in enumerate(agent.replicas):
        target = {"job": agent.job, "instance": f"{agent.name}-{number}:9100"}
        seen = history.seen(replica)
        answers = history.value("up")[seen.moments]
        yield Samples("up", target, agent.start + seen.at, answers)
        seen = seen.only(answers > 0)
        for one in history.counters:
            if not wanted or one.name in wanted:
                values = history.counted(one.gained, number)[seen.moments]
                values = values - history.counted(one.gained, number)[history.born(replica)[seen.moments]]
                keep = seen.only(values > 0) if not one.born else seen
                kept = values if one.born else values[values > 0]
                own = {"agent": agent.name, **target, **dict(one.labels)}
                yield Samples(one.name, own, agent.start + keep.at, kept.astype(np.float64))
        for spec, labels, gauge in history.gauges(replica):
            if not wanted or spec.name in wanted:
                own = {"agent": agent.name, **target, **_labels(spec, labels)}
                there = seen.only(ledger[seen.moments] > 0) if spec.name in OF_THE_LEDGER else seen
                yield Samples(spec.name, own, agent.start + there.at, gauge[there.moments])


@dataclass(frozen=True)
class _Seen:
    """The scrapes of a replica: seconds since the start, and the moment of the grid that each of them shows."""

    at: Counts
    moments: Counts

    def __len__(self) -> int:
        return len(self.at)

    def only(self, which: NDArray[np.bool_]) -> _Seen:
        return _Seen(self.at[which], self.moments[which])


class _History:
    """What was drawn for an agent, on its grid."""

    def __init__(self, agent: Agent) -> None:
        self.agent = agent
        # A name of its own for each agent: the same seed draws different histories for different volumes.
        self.rng = np.random.default_rng([agent.seed, crc32(agent.name.encode())])
        self.at: Reals = np.arange(0, agent.seconds + agent.grid, agent.grid, dtype=np.float64)
        self.phase = int(self.rng.integers(0, agent.scrape)) // agent.grid * agent.grid
        self._shares = np.ones((len(agent.replicas), len(self.at)))
        for number, replica in enumerate(agent.replicas):
            self._shares[number] = (self.at >= replica.since) & (self.at < replica.until)
        self._split: dict[int, list[Increments]] = {}
        self._of_day = self.rng.normal(size=agent.seconds // DAY + 2)
        self.counters = list(self._draw())

    def seen(self, replica: Replica) -> _Seen:
        """What Prometheus sees of a replica."""
        agent, at = self.agent, self.agent.scrapes
        shown = np.maximum(at - self.phase, 0)
        in_gap = (at >= agent.gap[0]) & (at < agent.gap[1])
        there = (shown >= replica.since) & (shown < replica.until) & ~in_gap
        return _Seen(at[there], (shown[there] // agent.grid).astype(np.int64))

    def born(self, replica: Replica) -> Counts:
        """For each moment that at which the running process began to count."""
        starts = np.array([0, *(restart // self.agent.grid for restart in replica.restarts)], dtype=np.int64)
        return starts[np.searchsorted(starts, np.arange(len(self.at)), side="right") - 1]

    def counted(self, gained: Increments, number: int) -> Increments:
        """The counter of one replica, at each moment, had it never restarted."""
        if id(gained) not in self._split:
            self._split[id(gained)] = [_summed(part) for part in self._parts(gained)]
        return self._split[id(gained)][number]

    def _parts(self, gained: Increments) -> list[Increments]:
        """The events of each replica: those that run share them alike."""
        if len(self.agent.replicas) == 1:
            return [gained]
        running = self._shares.sum(axis=0)
        if gained.dtype != np.int64:
            return [gained * share / np.maximum(running, 1) for share in self._shares]
        parts: list[Increments] = []
        left, others = gained.astype(np.int64), running
        for share in self._shares:
            odds = np.divide(share, others, out=np.zeros_like(share), where=others > 0)
            part = self.rng.binomial(left, np.clip(odds, 0, 1))
            parts.append(part)
            left, others = left - part, others - share
        return parts

    def value(self, name: str) -> Reals:
        """One number of the table over time."""
        agent = self.agent
        value: Change = agent.always.get(name, usual(agent.level)[name])
        over_time: Reals = value(self.at) if callable(value) else np.full_like(self.at, value)
        if name in agent.during:
            change = agent.during[name]
            now = (self.at >= agent.begins) & (self.at < agent.ends)
            since = np.maximum(self.at - agent.begins, 0)
            over_time = np.where(now, change(since) if callable(change) else change, over_time)
        return over_time

    def _arrive(self, name: str) -> Counts:
        per_hour = self.value(name)
        if name in ARRIVALS:
            per_hour = per_hour * self.agent.volume * self.value("busy")
            if self.agent.routine:
                per_hour = per_hour * self.agent.routine(self.at)
        return self.rng.poisson(per_hour * self.agent.grid / HOUR)

    def _usd(self, name: str) -> Reals:
        """What a call costs: the budget is the operator's own, so ours has to fit ten times the calls."""
        return self.value(name) / max(1.0, self.agent.volume)

    def _of(self, events: Counts, name: str) -> Counts:
        return self.rng.binomial(events, np.clip(self.value(name), 0, 1))

    def _sums(self, events: Counts, mean: str, sigma: float, *limits: float) -> tuple[Reals, list[Counts]]:
        """The sum of a log-normal amount for each event, and how many of the amounts are above each of the limits."""
        moment = np.repeat(np.arange(len(events)), events)
        amounts = self.rng.lognormal(np.log(self.value(mean))[moment] - sigma**2 / 2, sigma)
        length = len(events)
        above = [np.bincount(moment[amounts > limit], minlength=length).astype(np.int64) for limit in limits]
        return np.bincount(moment, weights=amounts, minlength=length).astype(np.float64), above

    def _draw(self) -> Iterator[_Counter]:
        yield from self._tools()
        yield from self._tasks()
        yield from self._sessions()
        yield from self._llm()
        yield from self._people()
        yield from self._mcp()
        for site in ("ledger",):
            yield _count(metrics.EXPORTER_ERRORS, site, n=self._arrive("telemetry_faults"))
        yield _count(metrics.LABEL_OVERFLOW, metrics.TOOL_ERRORS.name, "error_type", n=self._arrive("overflow"))

    def _tools(self) -> Iterator[_Counter]:
        for tool in TOOLS:
            calls = self._arrive(f"{tool}_calls")
            failed = self._of(calls, f"{tool}_failed")
            new = self._of(failed, f"{tool}_new_errors")
            yield _count(metrics.TOOL_CALLS, tool, "error", n=failed)
            yield _count(metrics.TOOL_CALLS, tool, "success", n=calls - failed)
            yield _count(metrics.TOOL_ERRORS, tool, "TimeoutError", n=failed - new, born=False)
            yield _count(metrics.TOOL_ERRORS, tool, "SchemaError", n=new, born=False)
            slow = self._of(calls, f"{tool}_slow")
            yield from _histogram(metrics.TOOL_DURATION, tool, n=calls, total=calls * 0.3, below={5.0: calls - slow})
            yield _count(metrics.TOOL_COST, tool, n=calls * self._usd("tool_usd"))

    def _tasks(self) -> Iterator[_Counter]:
        tasks = self._arrive("tasks")
        uncompleted = np.maximum(self.value("uncompleted"), self.value("fallback"))
        bad = self.rng.binomial(tasks, np.clip(uncompleted, 0, 1))
        odds = np.divide(self.value("fallback"), uncompleted, out=np.zeros_like(uncompleted), where=uncompleted > 0)
        fallback = self.rng.binomial(bad, np.clip(odds, 0, 1))
        self.tasks = tasks
        ended = {"completed": tasks - bad, "fallback": fallback, "failed": bad - fallback, "abandoned": 0 * tasks}
        for outcome, n in ended.items():
            yield _count(metrics.TASKS, outcome, n=n)
        turns, _ = self._sums(tasks - bad, "task_turns", 0.4)
        yield from _histogram(metrics.TASK_TURNS, n=tasks - bad, total=turns)
        slow = self._of(tasks, "turn_slow")
        yield from _histogram(metrics.TURN_DURATION, n=tasks, total=tasks * 3.0, below={10.0: tasks - slow})

    def _sessions(self) -> Iterator[_Counter]:
        limits = SessionLimits()
        sessions = self._arrive("sessions")
        cost, (over, runaway) = self._sums(sessions, "session_cost", 0.5, limits.cost_usd, limits.runaway_cost_usd)
        yield _count(metrics.SESSIONS_OPENED, n=sessions)
        yield from _histogram(metrics.SESSION_COST, n=sessions, total=cost)
        turns = self.rng.poisson(self.value("session_turns") * sessions)
        yield from _histogram(metrics.SESSION_TURNS, n=sessions, total=turns)
        crossing = {
            "tool_calls": self._arrive("looping"),
            "cost": over + self._arrive("over_cost"),
            "cost_runaway": runaway + self._arrive("runaway"),
        }
        for limit, n in crossing.items():
            yield _count(metrics.SESSIONS_OVER_LIMIT, limit, n=n)

    def _llm(self) -> Iterator[_Counter]:
        attempts = self._arrive("llm_calls")
        left, share_left = attempts, np.ones_like(self.at)
        for name, error in LLM_ERRORS.items():
            odds = np.divide(self.value(name), share_left, out=np.zeros_like(share_left), where=share_left > 0)
            failed = self.rng.binomial(left, np.clip(odds, 0, 1))
            yield _count(metrics.LLM_ERRORS, PLANNER, error, n=failed, born=False)
            left, share_left = left - failed, share_left - self.value(name)
        answered = left
        yield _count(metrics.LLM_CALLS, PLANNER, "success", n=answered)
        yield _count(metrics.LLM_CALLS, PLANNER, "error", n=attempts - answered)
        tokens, _ = self._sums(answered, "prompt_tokens", 0.8)
        yield from _histogram(metrics.LLM_INPUT_TOKENS, PLANNER, n=answered, total=tokens)
        cached = self.value("cached")
        for kind, part in (("cache_read", cached), ("cache_write_5m", 0.01), ("input", 0.99 - cached)):
            yield _count(metrics.LLM_TOKENS, PLANNER, kind, n=tokens * part)
        yield _count(metrics.LLM_TOKENS, PLANNER, "output", n=answered * 200.0)
        yield _count(metrics.LLM_COST, PLANNER, "planning", n=answered * self._usd("llm_usd"))
        yield _count(metrics.LLM_USAGE_UNKNOWN, PLANNER, n=self._of(answered, "usage_unknown"))
        yield _count(metrics.LLM_UNPRICED_TOKENS, CLASSIFIER, n=self._of(answered, "unpriced") * 500)

    def _people(self) -> Iterator[_Counter]:
        decided = self._arrive("approvals")
        expired = self._of(decided, "expired")
        refused = self._of(decided - expired, "refused")
        of_each = {
            "approved": decided - expired - refused,
            "rejected": refused,
            "edited": 0 * refused,
            "expired": expired,
        }
        for decision, n in of_each.items():
            yield _count(metrics.APPROVALS, "mail", "high", decision, n=n)
        audits = self._arrive("audits")
        problems = self._of(audits, "audit_problems")
        yield _count(metrics.AUDITS, "crm", "problem", n=problems)
        yield _count(metrics.AUDITS, "crm", "ok", n=audits - problems)
        ratings = self._arrive("ratings")
        down = self._of(ratings, "down")
        # Wrong answers are reported by those who rate: they are among the thumbs down, and more only if there are more.
        wrong = self._of(self.tasks, "wrong")
        yield _count(metrics.FEEDBACK, "up", "none", n=ratings - down)
        yield _count(metrics.FEEDBACK, "down", "wrong_answer", n=wrong)
        yield _count(metrics.FEEDBACK, "down", "tone", n=np.maximum(down - wrong, 0))

    def _mcp(self) -> Iterator[_Counter]:
        requests = self._arrive("mcp_calls")
        failed = self._of(requests, "mcp_failed")
        yield from _histogram(metrics.MCP_DURATION, MCP_SERVER, "tools/call", "", n=requests - failed, total=requests)
        yield from _histogram(metrics.MCP_DURATION, MCP_SERVER, "tools/call", "TimeoutError", n=failed, total=failed)

    def gauges(self, replica: Replica) -> Iterator[tuple[MetricSpec, tuple[str, ...], Reals]]:
        """Metric, labels and values at each moment of the grid."""
        agent, ones = self.agent, np.ones_like(self.at)
        yield metrics.BUILD_INFO, ("1", "1"), ones
        started = self.at[self.born(replica)] if replica.restarts else np.full_like(self.at, replica.since)
        yield metrics.PROCESS_START, (), agent.start + np.where(started > 0, started, -DAY)
        yield metrics.OLDEST_TURN, (), self.value("oldest_turn")
        waiting = self.value("waiting")
        yield metrics.APPROVALS_PENDING, (), waiting
        yield metrics.ACTIONS_UNRESOLVED, ("crm",), self.value("unresolved")
        yield metrics.MCP_SERVER_UP, (MCP_SERVER,), self.value("mcp_up")
        last_empty = np.maximum.accumulate(np.where(waiting > 0, self.at[0], self.at))
        yield metrics.OLDEST_APPROVAL, (), np.where(waiting > 0, self.at - last_empty, 0.0)
        scatter = self._of_day[(self.at // DAY).astype(np.int64)] * self.value("users_scatter")
        users = np.round(np.maximum(self.value("users") * (1 + scatter), 0))
        for window, factor in (("1d", 1.0), ("7d", 1.5), ("28d", 2.0)):
            yield metrics.ACTIVE_USERS, (window,), np.round(users * factor)
        for window, last in (("last_7d", 0), ("previous_7d", 7)):
            yield metrics.USER_DAYS, (window,), self._user_days(users, last)
        yield metrics.USER_RETENTION, (), self.value("retention")
        yield metrics.USER_RETENTION_COHORT, (), ones * 40
        yield metrics.USER_COST, ("0123456789ab",), self.value("user_cost")
        yield metrics.USERS_OVER_DAILY_COST, (), self.value("users_over")
        every = self.value("eval_every")
        ran = np.where(every > 0, self.at // np.maximum(every, 1) * every, 0)
        yield metrics.EVAL_LAST_RUN, ("sales",), agent.start + np.maximum.accumulate(ran)
        yield metrics.EVAL_PASS_RATIO, ("sales", "1"), self.value("eval_passed")
        yield metrics.EVAL_BASELINE_PASS_RATIO, ("sales",), ones * 0.95

    def _user_days(self, users: Increments, last: int) -> Reals:
        """The users of seven whole days (UTC), ``last`` days ago; before the history all was usual."""
        day = ((self.agent.start + self.at) // DAY).astype(np.int64)
        day -= day[0]
        of_day = np.round(np.bincount(day, weights=users) / np.bincount(day))
        before = np.full(14, usual(self.agent.level)["users"])
        total = np.cumsum(np.concatenate([[0.0], before, of_day]))
        ends = day + len(before) - last
        return np.asarray(total[ends] - total[ends - 7])


def _summed(gained: Increments) -> Increments:
    return np.add.accumulate(gained)


def _labels(spec: MetricSpec, values: tuple[str, ...]) -> dict[str, str]:
    named = zip((label.name for label in spec.labels), values, strict=True)
    return {name: value for name, value in named if value}  # Prometheus keeps no label that is empty


def _count(spec: MetricSpec, *values: str, n: Increments, born: bool = True) -> _Counter:
    return _Counter(spec.name, tuple(_labels(spec, values).items()), n, born)


def _histogram(
    spec: MetricSpec, *values: str, n: Counts, total: Increments, below: Mapping[float, Counts] | None = None
) -> Iterator[_Counter]:
    """Count, sum, and those buckets of which it is known how many observations are not above them."""
    labels = tuple(_labels(spec, values).items())
    yield _Counter(spec.count, labels, n)
    yield _Counter(spec.sum, labels, total)
    for boundary, inside in (below or {}).items():
        yield _Counter(spec.bucket, (*labels, ("le", spec.le(boundary))), inside)


def office(at: Reals) -> Reals:
    """Office hours of a week that begins on Monday at 0:00 UTC, with a peak of four times the traffic at noon."""
    hour = at % DAY / HOUR
    return office_hours(at) * np.where((hour >= 12) & (hour < 13), 4, 1)
