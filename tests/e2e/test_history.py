"""The real Prometheus on made-up weeks: alerts that look back for days fire, and stay silent, as the story demands."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import requests

from agentgauge import metrics
from agentgauge.ops.prometheus import Prometheus
from sample_agent.simulator import backfill, history, recording
from sample_agent.simulator.backfill import Agent, Programs
from sample_agent.simulator.blocks import Samples
from sample_agent.simulator.stories import STORIES
from stack import binaries
from stack.layout import ROOT, Ports

RULES = sorted((ROOT / "alerts" / "rules").glob("*.yml"))
NAMED_BY_RULES = "".join(file.read_text(encoding="utf-8") for file in RULES)

FIRE = {
    "healthy": set(),
    "adoption-declines": {"AgentActiveUsersDeclining"},
    "retention-low": {"AgentRetentionLow"},
    "cost-spike": {"AgentCostSpike"},
    "over-budget": {"AgentSpendOverBudget"},
    "cache-lost": {"AgentPromptCacheRegression"},
    "tool-prices": {"AgentToolSpendAnomaly"},
    "thumbs-down": {"AgentNegativeFeedbackHigh"},
    "ratings-stop": {"AgentFeedbackSilent"},
    "rubber-stamping": {"AgentApprovalRateHigh"},
    "audits-fail": {"AgentAuditProblems"},
    "traffic-stops": {"AgentNoTraffic"},
    "more-turns": {"AgentTurnsIncreasing"},
}
"""Story → the alerts that fire at its end, and no others do."""

MAY_FIRE = {
    "cost-spike": {"AgentUserDailyCostHigh"},
    "cache-lost": {"AgentCostSpike"},
    "more-turns": {"AgentCostSpike", "AgentSpendOverBudget", "AgentLatencySpike"},
}
"""Late in the UTC day, those who are there have spent too much, too. In the busiest hours, what makes every task dearer
or longer costs more than any hour before, and leaves enough slow turns to be judged."""

DAYS = {"healthy": 22, "adoption-declines": 21, "retention-low": 21, "cost-spike": 22, "tool-prices": 22}
"""Those of the other stories are enough for what their alerts remember."""

EVALUATIONS = 4
"""After two, a Prometheus that starts takes up the states of the alerts that it finds; the next ones fire."""


class Running:
    """A Prometheus with the generated rules that has started on the histories, which end at ``history_ends``."""

    def __init__(self, url: str, history_ends: float) -> None:
        self._url = url
        self.history_ends = history_ends

    def ask(self, path: str, **parameters: Any) -> Any:
        """The data of an answer of its API."""
        return Prometheus(self._url, timeout_seconds=60).get(path, parameters)

    def firing(self, agent: str) -> list[dict[str, str]]:
        """The labels of each alert that fires for an agent."""
        firing = [one["labels"] for one in self.ask("alerts")["alerts"] if one["state"] == "firing"]
        return [labels for labels in firing if labels.get("agent") == agent]

    def true_at_the_end(self, alert: str, agent: str) -> list[dict[str, str]]:
        """The labels of what the rule of an alert says of an agent at the end of its history."""
        rules = [rule for group in self.ask("rules")["groups"] for rule in group["rules"]]
        (query,) = (rule["query"] for rule in rules if rule["name"] == alert)
        rows = self.ask("query", query=query, time=self.history_ends)["result"]
        return [row["metric"] for row in rows if row["metric"].get("agent") == agent]

    def evaluations(self) -> int:
        """How often every rule has been evaluated, at least: a busy machine misses some that were scheduled."""
        said = requests.get(f"{self._url}/metrics", timeout=10).text if self._is_ready() else ""
        scheduled, missed = (
            dict(re.findall(rf"^prometheus_rule_group_{name}_total{{(.*)}} (\d+)$", said, re.MULTILINE))
            for name in ("iterations", "iterations_missed")
        )
        return min((int(count) - int(missed.get(group, 0)) for group, count in scheduled.items()), default=0)

    def _is_ready(self) -> bool:
        try:
            return requests.get(f"{self._url}/-/ready", timeout=5).ok
        except requests.ConnectionError:
            return False


@pytest.fixture(scope="module")
def prometheus(programs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Running on all stories at once: each of an agent that carries its name."""
    data = tmp_path_factory.mktemp("history")
    tools = Programs(programs["prometheus"], programs["promtool"])
    now = datetime.now(UTC)
    made = {name: history.tell(story, DAYS.get(name, 9), now, lambda user: user) for name, story in STORIES.items()}
    parts = (
        part for name, story in STORIES.items() for part in backfill.parts_of(made[name], story, Agent(name, name))
    )
    backfill.write_blocks(tools, chain(named(parts), [new_error(int(now.timestamp()))]), data)
    first = min(one.times[0] for one in made.values())
    backfill.record(tools, RULES, data, first, int(now.timestamp()), for_panels=False)
    with started(programs["prometheus"], data, now.timestamp()) as running:
        yield running


def named(parts: Iterable[Iterable[Samples]]) -> Iterator[list[Samples]]:
    """The series that a rule names; the others would only take time."""
    for part in parts:
        yield [line for line in part if line.name in NAMED_BY_RULES]


def new_error(now: int) -> list[Samples]:
    """An agent of three days, one of whose tools has always failed in one way, and since five minutes in another."""
    times = range(now - 3 * 86400, now, history.STEP_SECONDS)
    agent = Agent("surprised", "surprised").labels
    failing = agent | {"tool": "get_deal_history"}
    return [
        Samples(metrics.BUILD_INFO.name, agent, [(at, 1) for at in times]),
        Samples(metrics.TOOL_ERRORS.name, failing | {"error_type": "known"}, [(at, n) for n, at in enumerate(times)]),
        Samples(metrics.TOOL_ERRORS.name, failing | {"error_type": "new"}, [(at, 1) for at in times[-3:]]),
    ]


@contextmanager
def started(program: Path, data: Path, history_ends: float) -> Iterator[Running]:
    """Prometheus with the generated rules on this folder, once it has evaluated them."""
    config = data / "prometheus.yml"
    rules = [data / file.name for file in RULES]
    for file, copy in zip(RULES, rules, strict=True):
        # As with the last samples below: an agent whose history has just ended counts as there for longer.
        text = file.read_text(encoding="utf-8")
        copy.write_text(text.replace(f"{metrics.BUILD_INFO.name}[10m]", f"{metrics.BUILD_INFO.name}[30m]"), "utf-8")
    content = {"global": {"evaluation_interval": "1s"}, "rule_files": [str(copy) for copy in rules]}
    config.write_text(json.dumps(content), encoding="utf-8")
    address = f"127.0.0.1:{Ports.free().prometheus}"
    command = [
        str(program),
        f"--config.file={config}",
        f"--storage.tsdb.path={data}",
        f"--web.listen-address={address}",
    ]
    command += ["--storage.tsdb.retention.time=30d", "--log.level=error"]
    # By default a start takes up the state of alerts only if they have to hold for longer than ten minutes.
    command += ["--rules.alert.for-grace-period=1s"]
    # On a busy machine the histories take longer to make up than the five minutes for which their last samples count.
    command += ["--query.lookback-delta=30m"]
    with subprocess.Popen(command, cwd=binaries.working_folder(program)) as process:
        try:
            running = Running(f"http://{address}", history_ends)
            deadline = time.monotonic() + 180
            while running.evaluations() < EVALUATIONS:
                assert time.monotonic() < deadline, "Prometheus did not evaluate its rules"
                time.sleep(0.2)
            yield running
        finally:
            recording.end(process)


@pytest.mark.parametrize("story", FIRE)
def test_the_alerts_of_a_story_fire_and_no_others(story: str, prometheus: Running) -> None:
    """At once, although some look back for weeks and have to hold for hours."""
    firing = {labels["alertname"] for labels in prometheus.firing(story)}
    assert firing >= FIRE[story]
    assert firing <= FIRE[story] | MAY_FIRE.get(story, set())


def test_an_error_type_that_the_days_before_have_not_seen_fires(prometheus: Running) -> None:
    """The one that they have seen goes on silently. Judged where the history ends: minutes later it is not new."""
    (alert,) = prometheus.true_at_the_end("AgentToolNewErrorType", "surprised")
    assert alert["error_type"] == "new"


def test_every_story_is_judged() -> None:
    """A story without a verdict would be a demonstration that nobody has seen."""
    assert set(FIRE) == set(STORIES)


def test_no_alert_would_have_fired_at_any_hour_of_the_healthy_weeks(prometheus: Running) -> None:
    """Not in the first week, which has no history, not at night and not at weekends."""
    end = time.time()
    noisy = []
    for group in prometheus.ask("rules")["groups"]:
        for rule in group["rules"]:
            if rule["type"] == "alerting":
                past = {"start": end - 21 * 86400, "end": end, "step": 3600}
                found = prometheus.ask("query_range", query=rule["query"], **past)["result"]
                noisy += [(rule["name"], one) for one in found if one["metric"].get("agent") == "healthy"]
    assert not noisy
