"""An agent that is taken out of discovery leaves AgentGone and nothing else: its other alerts end with its series."""

from __future__ import annotations

import json
from dataclasses import replace
from math import ceil
from pathlib import Path

import pytest

from alerts.promql import Duration
from tests.alerts import notation, promtool
from tests.alerts.promtool import RENDERED, Scenario, scenarios

ENDS_WITHIN_SECONDS = 1800.0
OUTLIVES = {"AgentGone": "it is what says so"}
"""Alerts that fire for longer than that after the last scrape of their agent, and why."""

OF_AN_AGENT = [name for name, item in RENDERED.items() if "agent" in item.alert.labels and name not in OUTLIVES]


def fires_first(alert: str) -> tuple[Scenario, int]:
    """The shortest way to let it fire: a scenario, and which of its verdicts that is."""
    ways = [
        (notation.seconds(verdict["at"]) / Duration.parse(one.interval).seconds, one, number)
        for one in scenarios()
        if one.alert == alert
        for number, verdict in enumerate(one.verdicts)
        if verdict.get("firing")
    ]
    _, scenario, number = min(ways, key=lambda way: way[0])
    return scenario, number


def taken_away(scenario: Scenario, number: int) -> Scenario:
    """The scenario, ended at that verdict: no series goes on, and half an hour later nothing fires."""
    step = Duration.parse(scenario.interval).seconds
    verdict = {key: value for key, value in scenario.verdicts[number].items() if key != "says"}
    last = int(notation.seconds(verdict["at"]) // step)
    later = ceil((last * step + ENDS_WITHIN_SECONDS) / step) * step
    ended = {
        name: f"{notation.written(notation.series(name, values).values[: last + 1])} stale"
        for name, values in scenario.series.items()
    }
    return replace(scenario, series=ended, verdicts=[verdict, {"at": f"{later:.0f}s", "silent": True}])


@pytest.mark.scenarios
@pytest.mark.parametrize("alert", OF_AN_AGENT)
def test_an_alert_ends_with_its_agent(alert: str, programs: dict[str, Path], tmp_path: Path) -> None:
    """Half an hour after the last scrape it does not fire any more, however far back it looks."""
    rules = tmp_path / "rules.yml"
    rules.write_text(json.dumps({"groups": [promtool.rules_of(alert)]}), encoding="utf-8")
    scenario = taken_away(*fires_first(alert))
    result = promtool.run(programs["promtool"], [rules], [scenario], tmp_path, wording=False)
    assert result.returncode == 0, result.stdout + result.stderr
