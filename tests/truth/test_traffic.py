"""What an agent shows Prometheus."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import yaml

from agentgauge import metrics
from agentgauge.metrics import MetricSpec
from truth.measure import RULES
from truth.traffic import Agent, series

START, BEGINS, ENDS = 1767679200, 1200, 2400


def test_an_agent_that_does_not_answer_is_down_and_shows_nothing_else() -> None:
    """As a scrape that fails: ``up`` is 0, and every other series has a hole."""
    agent = Agent("a", 1, START, 3600, 60, during={"up": 0.0}, begins=BEGINS, ends=ENDS)
    shown = list(series(agent))
    (up,) = [one for one in shown if one.name == "up"]
    down = up.at[up.values == 0]
    assert len(down) == (ENDS - BEGINS) / 60
    assert not any(np.isin(one.at, down).any() for one in shown if one.name != "up")


def test_every_metric_that_a_rule_is_made_of_is_drawn() -> None:
    """What is not drawn cannot be found, and the alert would look blind.

    The date of the prices notifies nobody, and a file can be used or it cannot, whatever the traffic.
    """
    specs = [spec for spec in vars(metrics).values() if isinstance(spec, MetricSpec)]
    names = {name for spec in specs for name in named(spec)}
    read = {name for file in RULES for rule in rules(file) for name in names if re.search(rf"\b{name}\b", rule)}
    drawn = {one.name for one in series(Agent("a", 1, START, 3600, 60))}
    assert read - drawn == {metrics.LLM_PRICES_TIMESTAMP.name, metrics.CONFIG_ERRORS.name}


def test_user_days_are_those_of_whole_days() -> None:
    """Half of the users from the third day on: the days before are full until they have passed."""
    day = 86400
    agent = Agent("a", 1, START // day * day, 11 * day, 3600, during={"users": 20.0}, begins=3 * day, ends=30 * day)
    (last,) = [
        dict(zip(one.at.tolist(), one.values.tolist(), strict=True))
        for one in series(agent)
        if one.name == metrics.USER_DAYS.name and one.labels["window"] == "last_7d"
    ]
    noon = agent.start + day // 2
    assert [last[noon + n * day] for n in (0, 3, 4, 10)] == [280, 280, 260, 140]


def named(spec: MetricSpec) -> tuple[str, ...]:
    """The series of a metric."""
    return (spec.count, spec.sum, spec.bucket) if spec.kind == "histogram" else (spec.name,)


def rules(file: Path) -> list[str]:
    """The queries of a rules file."""
    groups = yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]
    return [rule["expr"] for group in groups for rule in group["rules"]]
