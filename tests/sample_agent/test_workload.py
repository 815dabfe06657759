"""One floor: the live demo, its made-up past, the simulated day and the reasons of the thresholds speak of the same."""

from __future__ import annotations

import asyncio
import random
import re
from datetime import UTC, datetime
from inspect import signature
from selectors import DefaultSelector
from statistics import mean
from typing import Any

import httpx2
import pytest
import yaml

from agentgauge import metrics
from alerts import thresholds
from sample_agent.faults import FaultFile
from sample_agent.simulator import history, rates
from sample_agent.simulator.day import visits
from sample_agent.simulator.floor import Floor, Tally, questions
from sample_agent.simulator.stories import STORIES, Habits
from sample_agent.simulator.workload import (
    DEMO_SESSIONS_AN_HOUR,
    PEOPLE,
    SECONDS_OF_WORK,
    SESSIONS_A_DAY,
    TASKS_A_SESSION,
)
from stack import native, services
from stack.layout import ROOT
from truth.traffic import usual

SESSIONS_AN_HOUR = PEOPLE * SESSIONS_A_DAY / (SECONDS_OF_WORK / 3600)
CONVERSATION_SECONDS = 30.0
"""About as long as one takes in the demo."""


def test_the_reasons_of_the_thresholds_speak_of_this_floor() -> None:
    """So do the histories on which `make truth` judges the rules."""
    reasons = thresholds.FILE.read_text(encoding="utf-8")
    numbers = {"four": 4, "fifty": 50}

    def said(what: str) -> set[float]:
        return {float(numbers.get(word, word)) for word in re.findall(rf"(\w+) {what}", reasons)}

    assert said("sessions a day") == {SESSIONS_A_DAY}
    assert said("people with four") == said("users and four") == {PEOPLE}
    assert said("sessions an hour") == {SESSIONS_AN_HOUR} == {usual(0.25)["sessions"]}
    assert said("tasks an hour") == {SESSIONS_AN_HOUR * TASKS_A_SESSION} == {usual(0.25)["tasks"]}


def test_people_ask_as_many_questions_as_a_session_has_tasks() -> None:
    """On the live floor and on the simulated day, which ask alike, and in the past that is made up."""
    rng = random.Random(1)  # noqa: S311 - a seed makes it repeatable
    assert mean(len(questions(rng)) for _ in range(4000)) == pytest.approx(TASKS_A_SESSION, abs=0.05)
    assert mean(len(visit.questions) for visit in visits(4000, seed=1)) == pytest.approx(TASKS_A_SESSION, abs=0.05)
    tasks = [amount for one, amount in rates.of_a_session(Habits()).items() if one.name == metrics.TASKS.name]
    assert sum(amount.of_a_session for amount in tasks) == pytest.approx(TASKS_A_SESSION)


def test_the_made_up_past_is_as_busy_as_the_live_floor() -> None:
    """At the busiest time of the day, by person; where one ends and the other begins, no graph jumps."""
    until = datetime(2026, 11, 25, 14, 30, tzinfo=UTC)  # a Wednesday
    told = history.tell(STORIES["healthy"], 1, until, pseudonym=lambda user: user)
    so_far = {at: sum(counts) for at, counts in zip(told.times, told.sessions, strict=True)}
    end = told.times[-1]
    people = len({user for (day, user), _ in told.usage.items() if day == until.date()})
    assert (so_far[end] - so_far[end - 3600]) / people == pytest.approx(DEMO_SESSIONS_AN_HOUR, rel=0.15)


class Skipping(DefaultSelector):
    """Waits for nothing: the time of its loop moves on instead."""

    now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        """What is ready, at once."""
        self.now += timeout or 0.0
        return super().select(0)


class Skippingly(asyncio.SelectorEventLoop):
    """A loop on which hours take as long as what happens in them."""

    def __init__(self) -> None:
        self._skipping = Skipping()
        super().__init__(self._skipping)

    def time(self) -> float:
        """Seconds since it began."""
        return self._skipping.now


class Counted(Floor):
    """A floor that only counts its conversations."""

    async def _conversation(self, client: httpx2.AsyncClient, user_id: str) -> None:
        self.tally.counts["sessions"] += 1
        await asyncio.sleep(CONVERSATION_SECONDS)


def test_reps_begin_as_many_conversations_an_hour_as_the_workload_says(faults: FaultFile) -> None:
    """However long each of them takes: the next one is counted from the beginning of the last."""
    floor = Counted("http://127.0.0.1:9", PEOPLE, 1.0, random.Random(1), Tally(), faults)  # noqa: S311 - as above
    hours = 20
    with asyncio.Runner(loop_factory=Skippingly) as runner:
        runner.run(floor.run(hours * 3600.0))
    an_hour = floor.tally.counts["sessions"] / (hours * PEOPLE)
    assert an_hour == pytest.approx(DEMO_SESSIONS_AN_HOUR, rel=0.05)


def test_the_stack_starts_that_many_people() -> None:
    """Natively and in containers."""
    for start in (native.temporary, services.services):
        assert signature(start).parameters["reps"].default == PEOPLE
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    commands = [" ".join(map(str, one.get("command", ()))) for one in compose["services"].values()]
    assert [re.findall(r"AGENTGAUGE_REPS:-(\d+)", one) for one in commands if "simulate" in one] == [[str(PEOPLE)]]
