"""The way past one machine: Prometheus writes to VictoriaMetrics, and vmalert judges there. All of it is real."""

from __future__ import annotations

import contextlib
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import requests
from prometheus_client import CollectorRegistry

from agentgauge import AgentGauge
from alerts import thresholds
from alerts.deployment import Deployment
from alerts.rules import render, rule_files
from bundle.configuration import prometheus_yml
from sample_agent.simulator import recording
from stack import binaries
from stack.errors import StackError
from stack.layout import HOME
from tests.ports import free_port
from tests.runbooks.pages import STRANGERS

AGENT = STRANGERS.agents[0]
SPEED = 10.0
AREAS = ("stack.yml", "tools.yml")
"""Enough for the heartbeat, an agent that is gone and tools that fail."""
PATIENCE_SECONDS = 300
"""A busy machine starts four programs, and evaluates late."""


@dataclass
class Pipeline:
    """An agent that Prometheus scrapes, and the address of what judges."""

    gauge: AgentGauge
    vmalert: str
    stop_serving: Callable[[], None]

    def firing(self) -> dict[str, dict[str, Any]]:
        """The alerts that fire, by name."""
        with contextlib.suppress(requests.RequestException):
            alerts = requests.get(f"{self.vmalert}/api/v1/alerts", timeout=30).json()["data"]["alerts"]
            return {alert["labels"]["alertname"]: alert for alert in alerts if alert["state"] == "firing"}
        return {}

    def wait_for(self, alert: str) -> dict[str, Any]:
        """The alert, once it fires."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while alert not in (firing := self.firing()):
            assert time.monotonic() < deadline, f"{alert} does not fire; {sorted(firing)} do"
            threading.Event().wait(0.5)
        return firing[alert]


@pytest.fixture(scope="module")
def pipeline(programs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """Agent → Prometheus → VictoriaMetrics ← vmalert, with clocks ten times as fast."""
    try:
        storage, judge = (binaries.newer(name, HOME, print) for name in ("victoria-metrics", "vmalert"))
    except StackError as error:
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("remote")
    gauge = AgentGauge(AGENT, registry=CollectorRegistry(), tools=["search"])
    server = gauge.serve(0)
    victoria, vmalert, prometheus = (f"127.0.0.1:{free_port()}" for _ in range(3))
    here = replace(
        STRANGERS, targets=(f"127.0.0.1:{server.port}",), remote_write=f"http://{victoria}/api/v1/write", speed=SPEED
    )
    write_configuration(here, folder)
    commands = [
        [storage, f"-storageDataPath={folder / 'storage'}", f"-httpListenAddr={victoria}", "-search.latencyOffset=0s"],
        [
            judge,
            f"-rule={folder / 'rules'}/*.yml",
            f"-datasource.url=http://{victoria}",
            f"-remoteWrite.url=http://{victoria}",
            f"-remoteRead.url=http://{victoria}",
            f"-httpListenAddr={vmalert}",
            "-notifier.blackhole",
            "-evaluationInterval=1s",
            "-rule.evalDelay=0",
        ],
        [
            programs["prometheus"],
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address={prometheus}",
        ],
    ]
    with contextlib.ExitStack() as stack:
        for number, command in enumerate(commands):
            output = stack.enter_context((folder / f"{number}.log").open("w", encoding="utf-8"))
            process = subprocess.Popen(
                list(map(str, command)),
                cwd=binaries.working_folder(Path(str(command[0]))),
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            stack.callback(recording.end, process)
            if number == 0:
                wait_until_it_answers(f"http://{victoria}/health", process)
        yield Pipeline(gauge, f"http://{vmalert}", server.close)


def write_configuration(deployment: Deployment, folder: Path) -> None:
    """What ``agentgauge bundle --remote-write-url`` writes of it."""
    (folder / "rules").mkdir()
    (folder / "prometheus.yml").write_text(prometheus_yml(deployment), encoding="utf-8")
    for name, text in rule_files(render(thresholds.load(), deployment), deployment).items():
        if name in AREAS:
            (folder / "rules" / name).write_text(text, encoding="utf-8")


def wait_until_it_answers(url: str, process: subprocess.Popen[bytes]) -> None:
    """Raises AssertionError if it does not."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        with contextlib.suppress(requests.RequestException):
            if requests.get(url, timeout=30).ok:
                return
        assert process.poll() is None, f"{url}: the program ended"
        assert time.monotonic() < deadline, f"{url} does not answer"
        threading.Event().wait(0.2)


@pytest.mark.e2e
def test_the_key_alerts_fire_there(pipeline: Pipeline) -> None:
    """The heartbeat at once, an outage of the tools with the links of its page, and an agent that is gone.

    It takes half a minute, because that is what four programs and the windows of the rules need.
    """
    pipeline.wait_for("AgentGaugeWatchdog")
    working = threading.Event()

    def fail() -> None:
        while not working.wait(0.1):
            with contextlib.suppress(OSError), pipeline.gauge.session(), pipeline.gauge.tool_call("search"):
                raise OSError

    failing = threading.Thread(target=fail)
    failing.start()
    try:
        outage = pipeline.wait_for("AgentAllToolCallsFailing")
    finally:
        working.set()
        failing.join()
    assert outage["labels"]["agent"] == AGENT
    assert outage["annotations"]["runbook_url"].endswith(f"/AgentAllToolCallsFailing/?agent={AGENT}")
    assert "var-agent=" in outage["annotations"]["dashboard_url"]
    pipeline.stop_serving()
    assert pipeline.wait_for("AgentExporterDown")["labels"]["job"] == STRANGERS.job
