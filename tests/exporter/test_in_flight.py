"""The oldest turn that users wait for, and when the process began: also of many processes, and of those that died."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
from prometheus_client import CollectorRegistry

from agentgauge import AgentGauge, metrics

WORKER = """
import sys, time
from agentgauge import AgentGauge
gauge = AgentGauge("a")
with gauge.session() as session, session.task() as task, task.turn():
    print("began", time.time(), flush=True)
    sys.stdin.readline()
print("ended", flush=True)
sys.stdin.readline()
"""

FORKED_WORKER = """
import os, sys, time
from agentgauge import AgentGauge
gauge = AgentGauge("a")
session = gauge.session()
with session.task() as task, task.turn():
    time.sleep(0.3)
    if os.fork() == 0:
        print("forked", time.time(), flush=True)
        sys.stdin.readline()
        gauge.session()
        print("serves", flush=True)
        time.sleep(60)
    os.wait()
"""

SCRAPER = """
import sys
from agentgauge import AgentGauge
print(AgentGauge("other").serve(port=0).url, flush=True)
sys.stdin.readline()
"""

Start = Callable[[str], subprocess.Popen[str]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a Python program that shares its metrics with others; it is killed at the end."""
    env = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    started: list[subprocess.Popen[str]] = []

    def start(program: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", program]
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, env=env, stdin=pipe, stdout=pipe, text=True, process_group=0)
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, 9)
        process.communicate()


def said(process: subprocess.Popen[str]) -> list[str]:
    """The words of its next line."""
    assert process.stdout is not None
    return process.stdout.readline().split()


def go_on(process: subprocess.Popen[str]) -> None:
    """Let it go on after it waits for a line."""
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def scraped(url: str, name: str) -> float:
    """The one sample of agent a."""
    samples = re.findall(rf'^{name}{{agent="a"}} (\S+)$', requests.get(url, timeout=5).text, re.M)
    assert len(samples) == 1, samples
    return float(samples[0])


def test_the_oldest_turn_counts_until_it_ends(registry: CollectorRegistry) -> None:
    """While one waits, others come and go."""
    gauge = AgentGauge("a", registry=registry)

    def age() -> float:
        value = registry.get_sample_value(metrics.OLDEST_TURN.name, {"agent": "a"})
        assert value is not None
        return value

    with gauge.session() as session, session.task() as task:
        assert age() == 0
        with task.turn():
            time.sleep(0.05)
            with session.task() as second, second.turn():
                pass
            assert 0.05 <= age() < 5
        assert age() == 0


def test_a_turn_that_fails_is_not_in_flight(registry: CollectorRegistry) -> None:
    """Only one that does not come back is."""
    gauge = AgentGauge("a", registry=registry)
    with gauge.session() as session, pytest.raises(RuntimeError), session.task() as task, task.turn():
        raise RuntimeError
    assert registry.get_sample_value(metrics.OLDEST_TURN.name, {"agent": "a"}) == 0


def test_of_many_processes_the_oldest_turn_counts_and_none_of_a_process_that_was_killed(start: Start) -> None:
    """A worker that is killed in the middle of a turn leaves its file behind."""
    url = said(start(SCRAPER))[0]
    older = start(WORKER)
    older_began = float(said(older)[1])
    assert 0 < scraped(url, metrics.OLDEST_TURN.name) <= time.time() - older_began + 0.2
    newer = start(WORKER)
    newer_began = float(said(newer)[1])
    assert scraped(url, metrics.OLDEST_TURN.name) >= newer_began - older_began
    older.kill()
    older.wait()
    assert scraped(url, metrics.OLDEST_TURN.name) < time.time() - older_began
    assert scraped(url, metrics.OLDEST_TURN.name) > 0
    go_on(newer)
    assert said(newer) == ["ended"]
    assert scraped(url, metrics.OLDEST_TURN.name) == 0


def test_of_many_processes_the_newest_start_counts(start: Start) -> None:
    """A worker that is started again and again moves it each time."""
    url = said(start(SCRAPER))[0]
    before = time.time()
    said(start(WORKER))
    first = scraped(url, metrics.PROCESS_START.name)
    assert before < first < time.time()
    said(start(WORKER))
    assert first < scraped(url, metrics.PROCESS_START.name) < time.time()


def test_a_forked_worker_began_when_it_was_forked(start: Start) -> None:
    """It says so as soon as it serves somebody: a child that computes something is not a start of the agent."""
    url = said(start(SCRAPER))[0]
    worker = start(FORKED_WORKER)
    forked = float(said(worker)[1])
    assert scraped(url, metrics.PROCESS_START.name) <= forked - 0.3
    go_on(worker)
    assert said(worker) == ["serves"]
    assert abs(scraped(url, metrics.PROCESS_START.name) - forked) < 0.25


def test_a_child_of_its_own_port_has_no_turn_of_its_parent(registry: CollectorRegistry) -> None:
    """The parent's turn is the parent's."""
    gauge = AgentGauge("a", registry=registry)
    with gauge.session() as session, session.task() as task, task.turn():
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            age = registry.get_sample_value(metrics.OLDEST_TURN.name, {"agent": "a"})
            os.write(write, str(age).encode())
            os._exit(0)
        os.waitpid(child, 0)
        assert os.read(read, 100) == b"0.0"
