"""Made-up series for the walks: counters that grow evenly, now and at the same time yesterday, and gauges."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from agentgauge import metrics
from sample_agent.simulator.blocks import Samples

STEP_SECONDS = 30
MINUTES = 130
DAY = 86400
SEEN = "agent_tool_error_type:agent_tool_errors:seen10m"


@dataclass(frozen=True)
class Line:
    """A series of an agent: how much it grows a minute now, and did a day ago; a gauge has its ``value`` instead."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    a_minute: float = 0.0
    a_minute_yesterday: float = 0.0
    value: float | None = None

    def samples(self, agent: str, now: int, step: int = STEP_SECONDS, minutes: int = MINUTES) -> Iterator[Samples]:
        """What Prometheus would have scraped until ``now`` (Unix seconds), every ``step`` seconds."""
        times = range(now - minutes * 60, now + 1, step)
        labels = {"agent": agent, **self.labels}
        if self.value is not None:
            yield Samples(self.name, labels, [(at, self.value) for at in times])
            return
        grown = self.a_minute_yesterday / 60
        then = [(at - DAY, 1000 + grown * (at - times[0])) for at in times]
        later = 1000 + grown * (times[-1] - times[0])
        yield Samples(self.name, labels, then + [(at, later + self.a_minute / 60 * (at - times[0])) for at in times])


def tool(name: str, *, success: float = 0, error: float = 0, yesterday: float = 0, instance: str = "a") -> list[Line]:
    """Calls of a tool a minute."""
    return [
        Line(metrics.TOOL_CALLS.name, {"tool": name, "outcome": "success", "instance": instance}, success, yesterday),
        Line(metrics.TOOL_CALLS.name, {"tool": name, "outcome": "error", "instance": instance}, error),
    ]


def failing(error_type: str, tool_name: str = "search") -> list[Line]:
    """What the rules recorded of a tool's errors."""
    return [Line(SEEN, {"tool": tool_name, "error_type": error_type}, value=5)]


def versions(*written: str) -> list[Line]:
    """Versions of the agent that were seen lately, each by one process."""
    return [
        Line(metrics.BUILD_INFO.name, {"version": one, "prompt_version": "v1", "instance": one}, value=1)
        for one in written
    ]


def model(name: str, *, success: float = 0, error: float = 0, yesterday: float = 0) -> list[Line]:
    """Calls of a model a minute."""
    return [
        Line(metrics.LLM_CALLS.name, {"model": name, "outcome": "success"}, success, yesterday),
        Line(metrics.LLM_CALLS.name, {"model": name, "outcome": "error"}, error),
    ]


def refused(error_type: str) -> list[Line]:
    """Errors of a model, two a minute."""
    return [Line(metrics.LLM_ERRORS.name, {"model": "large", "error_type": error_type}, 2)]


def tasks(**outcomes: float) -> list[Line]:
    """Requests a minute by how they ended."""
    return [Line(metrics.TASKS.name, {"outcome": outcome}, a_minute) for outcome, a_minute in outcomes.items()]


def slow(spec: metrics.MetricSpec, seconds: float, **labels: str) -> list[Line]:
    """A histogram of durations, all of them as long as this, six a minute."""
    boundaries = [*((spec.le(one), one) for one in spec.buckets), ("+Inf", float("inf"))]
    return [
        Line(f"{spec.name}_bucket", {**labels, "le": le}, 6 if seconds <= boundary else 0)
        for le, boundary in boundaries
    ]


def mean(spec: metrics.MetricSpec, now: float, yesterday: float, **labels: str) -> list[Line]:
    """A histogram's sum and count with these means, six observations a minute."""
    return [
        Line(f"{spec.name}_sum", labels, 6 * now, 6 * yesterday),
        Line(f"{spec.name}_count", labels, 6, 6),
    ]


def alert(name: str, fires_for_seconds: float, now: int, **labels: str) -> list[Line]:
    """An alert that fires."""
    said = {"alertname": name, "severity": "critical", **labels}
    return [
        Line("ALERTS", said | {"alertstate": "firing"}, value=1),
        Line("ALERTS_FOR_STATE", said, value=now - fires_for_seconds),
    ]
