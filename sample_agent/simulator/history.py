"""Weeks of a sales floor that never were, as the samples that Prometheus would have of them.

Pure functions of story, days, moment and seed. Weekdays are busier than weekends, afternoons than nights: people work
as much at the busiest time as they do in the live demo. What a session brings is the average of ``rates``.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import groupby, pairwise
from math import cos, pi, sqrt

from agentgauge import SessionLimits, metrics
from agentgauge.ledger import Usage
from agentgauge.ledger.store import LONGEST_WINDOW_DAYS, TOP_SPENDERS, UserDay
from agentgauge.ledger.user_weeks import WEEK_DAYS
from agentgauge.metrics import MetricSpec
from sample_agent.settings import POLICY, PROMPTS
from sample_agent.simulator import rates
from sample_agent.simulator.attendance import Day, arrivals
from sample_agent.simulator.rates import Amount, SeriesId, series_id
from sample_agent.simulator.stories import Habits, Story
from sample_agent.simulator.workload import DEMO_SESSIONS_AN_HOUR

STEP_SECONDS = 120
"""Between two samples: a window of five minutes, the shortest of any alert or panel, holds two or three."""

VERSION = "generated-history"
"""``version`` and ``prompt_version`` of the agent in such a history, so that nobody takes it for measured."""

WEIGHTS = (0.7, 1.3)
"""How much less or more a person does than the average."""
SESSION_SECONDS = 25.0
PROPOSALS_WAITING = 0.15
"""That wait for a decision at a time, for each session opened in a step."""
STAGE = "semi_autonomous"
OLDEST_WAITS_SECONDS = 90
EVAL_HOUR = 2
EVAL_SUITE = "sales"
EVAL_SCENARIOS = ("basic_account_lookup", "email_draft_with_approval")
BASELINE_PASS_RATIO = 0.95
DAY_SECONDS = 86400

Values = list[float | None]
"""Of a series, one for each moment of a history; None where it has no sample."""


@dataclass
class History:
    """A made-up history: what the ledger and Prometheus would know of it, as of the last of ``times`` (Unix seconds).

    ``sessions`` are, at each moment, those so far: before the story took its turn, and since.
    """

    times: list[int]
    sessions: list[tuple[int, int]] = field(default_factory=list)
    gauges: dict[SeriesId, Values] = field(default_factory=dict)
    usage: dict[UserDay, Usage] = field(default_factory=dict)

    def show(self, spec: MetricSpec, *labels: str, value: float) -> None:
        """Give a gauge its value at the latest moment."""
        one = series_id(spec, *labels)
        if one not in self.gauges:
            self.gauges[one] = [None] * len(self.times)
        self.gauges[one][len(self.sessions) - 1] = value

    def draw(self, spec: MetricSpec, *labels: str, values: Sequence[float | None]) -> None:
        """Give a gauge its value at every moment."""
        self.gauges[series_id(spec, *labels)] = list(values)

    def parts(self, seconds: int) -> Iterator[History]:
        """The history, but for the usage, cut where ``seconds`` divides Unix time; counts go on from part to part."""
        for _, group in groupby(enumerate(self.times), key=lambda moment: moment[1] // seconds):
            places = [place for place, _ in group]
            cut = slice(places[0], places[-1] + 1)
            gauges = {one: values[cut] for one, values in self.gauges.items()}
            yield History(self.times[cut], self.sessions[cut], gauges)


def tell(story: Story, days: int, until: datetime, pseudonym: Callable[[str], str], seed: int = 1) -> History:
    """The history of so many whole UTC days and of the day of ``until`` as far as it has come."""
    today = until.astimezone(UTC).date()
    first = today - timedelta(days=days)
    start, end = _midnight(first), int(until.timestamp())
    history = History(list(range(start, end + 1, STEP_SECONDS)))
    turn = end - story.hours * 3600
    costs = [rates.cost_usd(rates.of_a_session(behaviour)) for behaviour in (Habits(), story.lately)]
    rng = random.Random(seed)  # noqa: S311 - a simulation, not a secret
    past: list[dict[str, int]] = []
    usual = lately = 0
    before, weights_before = Day([], []), dict[str, float]()
    for day in (first + timedelta(days=number) for number in range(days + 1)):
        coming = arrivals(story.crowd, day, today, rng)
        weights = {user: rng.uniform(*WEIGHTS) for _, user in coming}
        floor = Day(coming, past)
        for at in range(_midnight(day), min(_midnight(day) + DAY_SECONDS, end + 1), STEP_SECONDS):
            floor.let_in(at % DAY_SECONDS)
            working = floor.people + floor.not_relieved(at % DAY_SECONDS)
            expected = working * DEMO_SESSIONS_AN_HOUR * _busy(at) * STEP_SECONDS / 3600
            if at > turn:
                expected *= story.lately.sessions
            sessions = max(0, round(rng.gauss(expected, sqrt(expected))))
            if at <= turn:
                usual += sessions
            else:
                lately += sessions
            history.sessions.append((usual, lately))
            of_today = sessions * floor.people / working
            floor.work(of_today, costs[at > turn], weights)
            before.work(sessions - of_today, costs[at > turn], weights_before)
            _show_users(history, floor, at % DAY_SECONDS, pseudonym)
        history.usage.update(_usage(before, day - timedelta(days=1), end))
        past.append(floor.came)
        before, weights_before = floor, weights
    history.usage.update(_usage(before, today, end))
    _show_agent(history)
    _show_evals(history)
    return history


def series(history: History, story: Story) -> Iterator[tuple[SeriesId, Iterable[float | None]]]:
    """Every series of the history with its values, which are computed as they are read."""
    usual, lately = rates.of_a_session(Habits()), rates.of_a_session(story.lately)
    for one, amount in usual.items():
        yield one, _counted(history, amount, lately[one].of_a_session)
    yield from history.gauges.items()


def _usage(floor: Day, day: date, end: int) -> dict[UserDay, Usage]:
    """What the ledger knows of a day and of the work that its people finished in the night after it."""
    return {(day, user): usage for user, usage in floor.usage(_midnight(day), end).items()}


def _show_users(history: History, day: Day, second: int, pseudonym: Callable[[str], str]) -> None:
    week = day.since(WEEK_DAYS, second)
    month = day.since(LONGEST_WINDOW_DAYS, second)
    for days, users in ((1, day.since(1, second)), (WEEK_DAYS, week), (LONGEST_WINDOW_DAYS, month)):
        history.show(metrics.ACTIVE_USERS, f"{days}d", value=len(users))
    for window, count in day.user_days.items():
        history.show(metrics.USER_DAYS, window, value=count)
    cohort = day.between(WEEK_DAYS, 2 * WEEK_DAYS, second)
    history.show(metrics.USER_RETENTION_COHORT, value=len(cohort))
    if cohort:
        history.show(metrics.USER_RETENTION, value=len(cohort & week) / len(cohort))
    over = sum(cost > SessionLimits().of_a_user_day for cost in day.spent.values())
    history.show(metrics.USERS_OVER_DAILY_COST, value=over)
    for user, cost in heapq.nlargest(TOP_SPENDERS, day.spent.items(), key=lambda item: item[1]):
        if cost:
            history.show(metrics.USER_COST, pseudonym(user), value=cost)


def _show_agent(history: History) -> None:
    sessions = [now - before for before, now in pairwise([0, *map(sum, history.sessions)])]
    history.draw(metrics.SESSIONS_ACTIVE, values=[round(n * SESSION_SECONDS / STEP_SECONDS) for n in sessions])
    waiting = [round(n * PROPOSALS_WAITING) for n in sessions]
    history.draw(metrics.APPROVALS_PENDING, values=waiting)
    history.draw(metrics.OLDEST_APPROVAL, values=[OLDEST_WAITS_SECONDS * (n > 0) for n in waiting])
    always = [1] * len(history.times)
    history.draw(metrics.BUILD_INFO, VERSION, VERSION, values=always)
    for limit, most in SessionLimits().by_name.items():
        history.draw(metrics.SESSION_LIMIT, limit, values=[most] * len(always))
    history.draw(metrics.USER_DAILY_COST_LIMIT, values=[SessionLimits().of_a_user_day] * len(always))
    for file in (POLICY, PROMPTS):
        history.draw(metrics.CONFIG_ERRORS, file.name, values=[0] * len(always))
    for stage in metrics.AUTONOMY_STAGE.labels[0].values:
        history.draw(metrics.AUTONOMY_STAGE, stage, values=[int(stage == STAGE)] * len(always))
    for tool in rates.CALLS:
        history.draw(metrics.ACTIONS_UNRESOLVED, tool, values=[0] * len(always))
        allowed = "auto" if rates.runs_unasked(tool) else "approve"
        for mode in metrics.TOOL_AUTONOMY.labels[1].values:
            history.draw(metrics.TOOL_AUTONOMY, tool, mode, values=[int(mode == allowed)] * len(always))


def _show_evals(history: History) -> None:
    first = history.times[0] + EVAL_HOUR * 3600
    runs = [max(0, (at - first) // DAY_SECONDS + 1) for at in history.times]
    history.draw(metrics.EVAL_RUNS, EVAL_SUITE, "passed", values=[n or None for n in runs])
    last_runs: Values = [first + (n - 1) * DAY_SECONDS if n else None for n in runs]
    history.draw(metrics.EVAL_LAST_RUN, EVAL_SUITE, values=last_runs)
    for scenario in EVAL_SCENARIOS:
        history.draw(metrics.EVAL_SCORE, EVAL_SUITE, scenario, VERSION, values=[1 if n else None for n in runs])
    history.draw(metrics.EVAL_PASS_RATIO, EVAL_SUITE, VERSION, values=[1 if n else None for n in runs])
    baseline: Values = [BASELINE_PASS_RATIO if n else None for n in runs]
    history.draw(metrics.EVAL_BASELINE_PASS_RATIO, EVAL_SUITE, values=baseline)


def _counted(history: History, amount: Amount, of_a_session_lately: float) -> Iterator[float | None]:
    """A counter that each session moved by its amount."""
    for usual, lately in history.sessions:
        value = usual * amount.of_a_session + lately * of_a_session_lately
        if not amount.whole:
            yield value
        else:
            yield int(value) if amount.born_at_zero or value >= 1 else None


def _busy(at: int) -> float:
    """How busy the time of day is: 1 at 14:00 UTC, half as much in the night."""
    return 0.75 + 0.25 * cos(2 * pi * (at / 3600 - 14) / 24)


def _midnight(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
