"""Short jobs and a real Pushgateway: what it holds after some runs is what all of them counted."""

from __future__ import annotations

import logging
import re
import signal
import subprocess
import sys
from collections.abc import Iterator

import httpx2
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from agentgauge import AgentGauge, TokenUsage
from stack.layout import HOME
from tests import pushgateway
from tests.ports import free_port

JOB = """
import sys
from agentgauge import AgentGauge, TokenUsage

url, job, tool = sys.argv[1:]
gauge = AgentGauge("nightly_bot", tools=[tool])
with gauge.session() as session, session.task(), gauge.tool_call(tool):
    gauge.llm_call("claude-opus-5-5").finish(TokenUsage(input=1_000, output=100))
    print("counted", flush=True)
    sys.stdin.read()
gauge.close()
sys.exit(0 if gauge.push(url, job=job) else 1)
"""
ADDED = ("job", "instance", "agent")
USD = 0.004 + 0.002  # 1 000 tokens at $4 a million, 100 at $20


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A Pushgateway for all tests here: each has a job of its own."""
    with pushgateway.running(HOME) as address:
        yield address


def run(url: str, job: str, tool: str = "send_email") -> subprocess.Popen[str]:
    """A run of the job, which has counted something and waits to be let go on."""
    process = subprocess.Popen(
        [sys.executable, "-c", JOB, url, job, tool], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "counted\n"
    return process


def held(url: str, job: str) -> dict[tuple[str, ...], float]:
    """What the Pushgateway shows of the job: name and sorted labels, without those of all series, zeros left out."""
    return {
        (sample.name, *sorted(value for name, value in sample.labels.items() if name not in ADDED)): sample.value
        for family in text_string_to_metric_families(httpx2.get(f"{url}/metrics").text)
        for sample in family.samples
        if sample.labels.get("job") == job and sample.value
    }


def test_two_runs_add_up(url: str) -> None:
    """Counters and histograms, also of what only one of them did; gauges are those of the last."""
    for tool in ("send_email", "look_up"):
        process = run(url, "adds-up", tool)
        process.communicate()
        assert process.returncode == 0
    shown = held(url, "adds-up")
    assert shown["agent_llm_calls_total", "claude-opus-5-5", "success"] == 2
    assert shown["agent_llm_cost_usd_total", "claude-opus-5-5", "other"] == pytest.approx(2 * USD)
    assert shown["agent_tasks_total", "completed"] == 2
    assert shown["agent_session_cost_usd_count",] == 2
    assert shown["agent_session_cost_usd_bucket", "0.01"] == 2
    assert shown["agent_tool_calls_total", "send_email", "success"] == 1
    assert shown["agent_session_limit", "tool_calls"] == 15
    assert not [name for name, *_ in shown if name.startswith("agent_") and name.endswith("_created")]


def test_a_run_that_is_killed_pushes_nothing(url: str) -> None:
    """What the one before it left stays, as if nothing had happened."""
    run(url, "killed").communicate()
    before = held(url, "killed")
    assert before
    with run(url, "killed") as process:
        process.send_signal(signal.SIGKILL)
    assert held(url, "killed") == before


def test_a_further_push_of_a_run_replaces_its_first(url: str, registry: CollectorRegistry) -> None:
    """So that series can exist before they grow."""
    run(url, "twice").communicate()
    gauge = AgentGauge("nightly_bot", registry=registry)
    assert gauge.push(url, job="twice")
    assert held(url, "twice")["agent_llm_calls_total", "claude-opus-5-5", "success"] == 1
    for calls in (2, 3):
        gauge.llm_call("claude-opus-5-5").finish(TokenUsage(input=1_000))
        assert gauge.push(url, job="twice")
        assert held(url, "twice")["agent_llm_calls_total", "claude-opus-5-5", "success"] == calls


def test_a_pushgateway_that_cannot_be_had_is_logged(
    registry: CollectorRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    """The job ends as it would have."""
    gauge = AgentGauge("nightly_bot", registry=registry)
    with caplog.at_level(logging.WARNING, logger="agentgauge"):
        assert gauge.push(f"127.0.0.1:{free_port()}", job="nightly") is False
    assert re.search(r"job nightly: .*refused", caplog.text)
