"""The replay on a Prometheus that is asked for ranges says what promtool says, which evaluates one moment at a time."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.alerts.promtool import RULES
from truth.remote_write import Samples
from truth.replay import Clock, Firing, replay
from truth.traffic import Agent, series

pytestmark = pytest.mark.e2e

START = 1767679200
MINUTE, HOUR = 60, 3600
STEP = 15


def agent(name: str, **during: float) -> Agent:
    """Three hours with an hour of trouble in the middle."""
    return Agent(
        name, 1, START, 3 * HOUR, STEP, during=during, begins=80 * MINUTE, ends=140 * MINUTE, level=0.5
    )  # fmt: skip  # as one line it is read at once


AGENTS = (
    agent("healthy"),
    agent("outage", crm_failed=1.0, mail_failed=1.0, catalogue_failed=1.0, uncompleted=0.9),
    agent("half", crm_failed=0.3, mail_slow=0.4, turn_slow=0.3, uncompleted=0.6),
    agent("odd", looping=3.0, telemetry_faults=9.0, task_turns=12.0, fallback=0.5, llm_not_found=1.0),
)


def test_what_fires_and_when_is_what_promtool_says(programs: dict[str, Path], tmp_path: Path) -> None:
    """All alerts, to the second; those that read ALERTS of another, or of themselves, are among them."""
    lines = [line for one in AGENTS for line in series(one)]
    clock = Clock(START, START, START + 3 * HOUR, STEP)
    data = tmp_path / "data"
    data.mkdir()
    said = replay(lines, clock, programs["prometheus"], RULES, data)
    expected = of_promtool(programs["promtool"], lines, tmp_path)
    assert {alert for alert, *_ in expected} >= {
        "AgentAllToolCallsFailing", "AgentToolSuccessRateLow", "AgentToolLatencyHigh", "AgentLatencySpike",
        "AgentTaskCompletionLow", "AgentSessionLooping", "AgentModelGone",
    }  # fmt: skip  # a history in which nothing fires would prove nothing
    assert sorted(map(of_firing, said)) == sorted(expected)


def of_firing(firing: Firing) -> tuple[str, str, int, int | None]:
    """Alert, labels, and seconds from the start."""
    labels = " ".join(f"{name}={value}" for name, value in firing.labels)
    return firing.alert, labels, firing.begins - START, None if firing.ends is None else firing.ends - START


def of_promtool(promtool: Path, lines: list[Samples], folder: Path) -> list[tuple[str, str, int, int | None]]:
    """The same of promtool's unit tests: asked for ALERTS at each moment, it prints those that it did not expect."""
    content = {
        "rule_files": [str(path) for path in RULES],
        "evaluation_interval": f"{STEP}s",
        "tests": [
            {
                "interval": f"{STEP}s",
                "input_series": [{"series": named(line), "values": " ".join(values(line))} for line in lines],
                "promql_expr_test": [
                    {"expr": 'ALERTS{alertstate="firing"}', "eval_time": f"{at}s", "exp_samples": []}
                    for at in range(0, 3 * HOUR + 1, STEP)
                ],
            }
        ],
    }
    file = folder / "unit.yml"
    file.write_text(json.dumps(content), encoding="utf-8")
    result = subprocess.run([promtool, "test", "rules", file], capture_output=True, text=True, check=False)
    said = result.stdout + result.stderr
    moments: dict[tuple[str, str], list[int]] = {}
    for at, got in re.findall(r"time: ([\dhms]+),\s+exp:.*?\s+got:(.*?)(?=expr:|\Z)", said, re.DOTALL):
        for text in re.findall(r"\{([^}]*alertname=[^}]*)\}", got):
            labels = dict(re.findall(r'(\w+)="([^"]*)"', text))
            alert = labels.pop("alertname")
            own = " ".join(
                f"{name}={labels[name]}" for name in sorted(labels.keys() - {"__name__", "alertstate", "severity"})
            )
            moments.setdefault((alert, own), []).append(seconds(at))
    fired = []
    for (alert, own), at in moments.items():
        begins = [now for now in at if now - STEP not in at]
        ends = [now + STEP for now in at if now + STEP not in at]
        fired += [(alert, own, begin, None if end > 3 * HOUR else end) for begin, end in zip(begins, ends, strict=True)]
    return fired


def named(line: Samples) -> str:
    """A series in promtool's words."""
    return f"{line.name}{{{','.join(f'{name}={json.dumps(value)}' for name, value in line.labels.items())}}}"


def values(line: Samples) -> list[str]:
    """The values of a series, a hyphen where it was not scraped."""
    there = dict(zip(line.at.tolist(), line.values.tolist(), strict=True))
    return [str(there.get(START + at, "_")) for at in range(0, 3 * HOUR + 1, STEP)]


def seconds(duration: str) -> int:
    """Of a duration such as 1h20m15s."""
    return sum(
        int(number) * {"h": HOUR, "m": MINUTE, "s": 1}[unit] for number, unit in re.findall(r"(\d+)([hms])", duration)
    )
