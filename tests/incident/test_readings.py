"""Every branch of some runbooks on the real Prometheus: made-up series, the page's own query, the reading taken."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentgauge import metrics
from agentgauge.incident.conditions import Row
from agentgauge.incident.diagnosis import Diagnosis, taken, walk
from agentgauge.incident.impact import Impact, firing, impact
from agentgauge.incident.runbook import Runbook, read
from agentgauge.incident.words import conversations, who
from agentgauge.ops.prometheus import Prometheus
from alerts import thresholds
from alerts.deployment import DEMO
from alerts.rules import render
from bundle.pages import render_page
from sample_agent.simulator import backfill, recording
from sample_agent.simulator.backfill import Programs
from tests.incident.made_up import Line, alert, failing, mean, model, refused, slow, tasks, tool, versions

NOW = int(time.time()) // 60 * 60
RENDERED = render(thresholds.load())
OVER = metrics.SESSIONS_OVER_LIMIT.name
LIMIT = {"limit": "tool_calls"}

BRANCHES: dict[tuple[str, int], list[list[Line]]] = {
    ("AgentToolSuccessRateLow", 1): [
        tool("search", success=3, error=1) + tool("fetch", success=4),
        tool("search", success=3, error=1) + tool("fetch", success=3, error=1),
        tool("search"),
        tool("search", success=4),
    ],
    ("AgentToolSuccessRateLow", 2): [
        failing("CrmUnavailable"),
        failing("TimeoutError"),
        failing("SchemaMismatch"),
        failing("ToolInputError"),
        failing("KeyError"),
    ],
    ("AgentToolSuccessRateLow", 3): [tool("search", success=9, yesterday=3), tool("search", success=3, yesterday=3)],
    ("AgentToolSuccessRateLow", 4): [versions("1", "2"), versions("1")],
    ("AgentToolSuccessRateLow", 5): [
        model("small", success=5) + model("large", yesterday=5),
        model("large", success=5, yesterday=5),
    ],
    ("AgentAllToolCallsFailing", 1): [
        tool("search", error=1) + tool("fetch", error=1),
        tool("search", error=1) + tool("fetch"),
        tool("search", error=1) + tool("fetch", success=1),
        tool("search"),
    ],
    ("AgentAllToolCallsFailing", 2): [
        failing("ConnectionError"),
        failing("Http403Error"),
        failing("SchemaMismatch"),
        failing("ToolInputError"),
        [],
    ],
    ("AgentAllToolCallsFailing", 3): [versions("1", "2"), versions("1")],
    ("AgentAllToolCallsFailing", 4): [
        versions("a", "b") + tool("search", error=2, instance="a"),
        versions("a", "b") + tool("search", error=2, instance="a") + tool("search", error=2, instance="b"),
    ],
    ("AgentAllToolCallsFailing", 5): [tasks(failed=4, completed=2), tasks(failed=1, completed=4)],
    ("AgentToolLatencyHigh", 1): [
        slow(metrics.TOOL_DURATION, 8, tool="search") + slow(metrics.TOOL_DURATION, 0.1, tool="fetch"),
        slow(metrics.TOOL_DURATION, 8, tool="search") + slow(metrics.TOOL_DURATION, 8, tool="fetch"),
        [Line(f"{metrics.TOOL_DURATION.name}_bucket", {"tool": "search", "le": "+Inf"})],
        slow(metrics.TOOL_DURATION, 0.1, tool="fetch"),
    ],
    ("AgentToolLatencyHigh", 2): [
        slow(metrics.TOOL_DURATION, 8, tool="search"),
        slow(metrics.TOOL_DURATION, 0.1, tool="search"),
    ],
    ("AgentToolLatencyHigh", 3): [
        mean(metrics.TOOL_BATCH_SIZE, 9, 3, tool="search"),
        mean(metrics.TOOL_BATCH_SIZE, 3, 3, tool="search"),
    ],
    ("AgentToolLatencyHigh", 4): [tool("search", success=9, yesterday=3), tool("search", success=3)],
    ("AgentToolLatencyHigh", 5): [tool("search", success=3, error=1), tool("search", success=3)],
    ("AgentLLMErrorsHigh", 1): [
        model("large", success=1, error=1) + model("small", success=5),
        model("large", error=3),
        model("large", success=3),
    ],
    ("AgentLLMErrorsHigh", 2): [
        refused("rate_limit_error"),
        refused("http_503"),
        refused("APITimeoutError"),
        refused("authentication_error"),
    ],
    ("AgentLLMErrorsHigh", 3): [model("large", success=9, yesterday=3), model("large", success=3, yesterday=3)],
    ("AgentLLMErrorsHigh", 4): [
        slow(metrics.LLM_DURATION, 0.1, model="large"),
        slow(metrics.LLM_DURATION, 50, model="large"),
    ],
    ("AgentLLMErrorsHigh", 5): [versions("1", "2"), versions("1")],
    ("AgentModelGone", 1): [model("large", error=2) + model("small", success=2), model("large", error=2)],
    ("AgentModelGone", 2): [versions("1", "2"), versions("1")],
    ("AgentModelGone", 3): [tasks(failed=1, completed=1), tasks(failed=0, completed=5)],
    ("AgentSessionLooping", 1): [[Line(OVER, LIMIT, 0.1)], [Line(OVER, LIMIT, 2)]],
    ("AgentSessionLooping", 2): [
        tool("search", error=9) + tool("fetch", success=1),
        tool("search", success=9) + tool("fetch", success=1),
        tool("search", success=5) + tool("fetch", success=5),
    ],
    ("AgentSessionLooping", 3): [versions("1", "2"), versions("1")],
    ("AgentSessionLooping", 4): [
        mean(metrics.LLM_INPUT_TOKENS, 9000, 3000, model="large"),
        mean(metrics.LLM_INPUT_TOKENS, 3000, 3000, model="large"),
    ],
    ("AgentSessionLooping", 5): [
        [Line(metrics.LLM_COST.name, {"model": "large"}, 9, 1)],
        [Line(metrics.LLM_COST.name, {"model": "large"}, 1, 1)],
    ],
}
"""Alert and step → for each of its readings, in the page's order, the series in which it is taken."""

WALKS: dict[str, tuple[str, list[Line], list[str]]] = {
    "one-tool": (
        "AgentToolSuccessRateLow",
        tool("search", success=3, error=1) + tool("fetch", success=4) + failing("ConnectionError"),
        ["AgentToolSuccessRateLow 1", "AgentToolSuccessRateLow 2", "mitigation 1"],
    ),
    "outage": (
        "AgentAllToolCallsFailing",
        tool("search", error=2) + tool("fetch", error=2) + failing("CrmUnavailable"),
        ["AgentAllToolCallsFailing 1", "AgentAllToolCallsFailing 2", "mitigation 1"],
    ),
    "one-tool-used": (
        "AgentAllToolCallsFailing",
        tool("search", error=2) + failing("ToolInputError") + versions("1", "2"),
        [
            "AgentAllToolCallsFailing 1", "AgentToolSuccessRateLow 1", "AgentToolSuccessRateLow 2",
            "AgentToolSuccessRateLow 4", "mitigation 4",
        ],
    ),
    "idle": ("AgentAllToolCallsFailing", tool("search"), ["AgentAllToolCallsFailing 1", "over"]),
    "overloaded": (
        "AgentLLMErrorsHigh",
        model("large", error=3) + refused("overloaded_error"),
        ["AgentLLMErrorsHigh 1", "AgentLLMErrorsHigh 2", "mitigation 1"],
    ),
    "key-refused": (
        "AgentLLMErrorsHigh",
        model("large", error=3) + refused("authentication_error") + versions("1"),
        ["AgentLLMErrorsHigh 1", "AgentLLMErrorsHigh 2", "AgentLLMErrorsHigh 5", "mitigation 4"],
    ),
    "slow-api": (
        "AgentToolLatencyHigh",
        slow(metrics.TOOL_DURATION, 8, tool="search"),
        ["AgentToolLatencyHigh 1", "AgentToolLatencyHigh 2", "mitigation 1"],
    ),
    "no-model": (
        "AgentModelGone",
        model("large", error=3) + versions("1"),
        ["AgentModelGone 1", "AgentModelGone 2", "mitigation 1"],
    ),
}  # fmt: skip  # a walk reads better in two lines than in five

FIRES = tasks(failed=3, completed=9) + versions("1.4.0") + [
    *alert("AgentLLMErrorsHigh", 400, NOW, model="large"),
    *alert("AgentLLMErrorsHigh", 100, NOW, model="small"),
    *refused("overloaded_error"),
    Line(metrics.LLM_COST.name, {"model": "large"}, 0.25),
    Line(metrics.USERS_LAST_HOUR.name, {"failed": "yes"}, value=10),
    Line(metrics.USERS_LAST_HOUR.name, {"failed": "no"}, value=30),
    Line(metrics.SESSIONS_OPENED.name, {}, 1),
    Line(metrics.SESSIONS_FAILING.name, {}, 0.5),
    Line(metrics.SESSIONS_ACTIVE.name, {}, value=4),
]  # fmt: skip  # as above


def _agent(name: str, step: int, reading: int) -> str:
    return f"{name}-{step}-{reading}"


@pytest.fixture(scope="module")
def prometheus(programs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """The real one, on the series of all cases, each of an agent of its own."""
    lines = {_agent(*key, number): one for key, cases in BRANCHES.items() for number, one in enumerate(cases)}
    lines |= {name: one for name, (_, one, _) in WALKS.items()} | {"hit": FIRES}
    data = tmp_path_factory.mktemp("readings")
    tools = Programs(programs["prometheus"], programs["promtool"])
    samples = (sample for agent, of_agent in lines.items() for line in of_agent for sample in line.samples(agent, NOW))
    backfill.write_blocks(tools, [samples], data)
    with recording.serving(programs["prometheus"], data, []) as running:
        yield running


def _page(alert_name: str, agent: str) -> Runbook:
    from dataclasses import replace

    deployment = replace(DEMO, agents=(agent,), demo=False)
    return read(render_page(alert_name, deployment, RENDERED), alert_name)


def _rows(prometheus: Prometheus, query: str) -> tuple[Row, ...]:
    return tuple(Row(one.labels, one.points[0][1]) for one in prometheus.instant(query, NOW))


@pytest.mark.parametrize(
    ("alert_name", "step", "reading"),
    [(*key, number) for key, cases in BRANCHES.items() for number in range(len(cases))],
)
def test_a_reading_is_taken_where_its_words_say(
    alert_name: str, step: int, reading: int, prometheus: Prometheus
) -> None:
    """The page's query on series that are as the bullet describes them."""
    asked = _page(alert_name, _agent(alert_name, step, reading)).step(step)
    assert asked is not None
    assert taken(asked, _rows(prometheus, asked.queries[0])) == asked.readings[reading]


def test_every_branch_of_these_pages_is_among_them() -> None:
    """A new reading, or a new step, has to be shown as well."""
    for name in {name for name, _ in BRANCHES}:
        shown = {step: len(cases) for (alert_name, step), cases in BRANCHES.items() if alert_name == name}
        assert shown == {step.number: len(step.readings) for step in _page(name, "a").steps}, name


@pytest.mark.parametrize("name", WALKS)
def test_a_walk_ends_where_the_page_leads(name: str, prometheus: Prometheus) -> None:
    """From step to step, to other pages as well."""
    alert_name, _, expected = WALKS[name]
    found = walk(alert_name, lambda page: _page(page, name), {}, lambda query: _rows(prometheus, query))
    assert _path(found) == expected


def _path(found: Diagnosis) -> list[str]:
    end = f"mitigation {found.mitigation.number}" if found.mitigation else found.ended
    return [*(f"{one.alert} {one.step.number}" for one in found.steps), end]


def test_what_fires_and_since_when(prometheus: Prometheus) -> None:
    """The one that has fired for longest comes first; labels narrow it; quotes in them are no way into the query."""
    found = firing("AgentLLMErrorsHigh", {"agent": "hit"}, lambda query: _rows(prometheus, query))
    assert [one.labels["model"] for one in found] == ["large", "small"]
    assert found[0].since is not None
    assert found[0].since.timestamp() == NOW - 400
    assert found[0].labels == {"agent": "hit", "model": "large", "severity": "critical"}
    labels = {"agent": "hit", "model": '"} or vector(1) or ALERTS{agent="'}
    assert firing("AgentLLMErrorsHigh", labels, lambda query: _rows(prometheus, query)) == []


def test_the_impact_is_what_the_series_say(prometheus: Prometheus) -> None:
    """Requests and dollars a minute, users, conversations, versions and the error that leads."""
    it = impact("hit", lambda query: _rows(prometheus, query))
    assert it.failed_per_minute == pytest.approx(3)
    assert it.failed_share == pytest.approx(0.25)
    assert it.usd_per_minute == pytest.approx(0.25)
    assert (it.users_failed, it.users, it.users_share) == (10, 40, 0.25)
    assert it.sessions_failed == pytest.approx(30)
    assert it.sessions == pytest.approx(64)
    assert (it.sessions_open, it.sessions_over_limit) == (4, None)
    assert who(it) == "3 of 12 requests a minute fail (25%); 10 of 40 users of the last hour saw one fail (25%)"
    assert conversations(it) == (
        "in 30 of 64 conversations of the last hour (47%); 0 passed a limit; 4 open; $0.25 a minute"
    )
    assert it.versions == ("1.4.0 with prompts v1",)
    assert [(where, error) for where, error, _ in it.errors] == [("large", "overloaded_error")]


def test_of_an_agent_that_nobody_sees_nothing_is_known(prometheus: Prometheus) -> None:
    """Unknown is not nought."""
    nobody = impact("nobody", lambda query: _rows(prometheus, query))
    assert nobody == Impact(None, None, None, None, None, None, None, None, None, (), ())
    assert nobody.failed_share is None
