"""One Prometheus above two others, as docs/operate.md writes it: all of them are real, and its sums are right."""

from __future__ import annotations

import contextlib
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from agentgauge import AgentGauge, metrics
from agentgauge.ledger import Ledger
from agentgauge.ops.prometheus import Prometheus, PrometheusError
from sample_agent.simulator import recording
from stack import binaries
from stack.layout import ROOT
from tests.ports import free_port

CALLS = {"emea": 2, "apac": 5}
"""Prometheus → tool calls of the replica that it scrapes."""
PATIENCE_SECONDS = 300


def wait_for(above: Prometheus, query: str, value: float) -> None:
    """Until it answers this value."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (answer := _value(above, query)) != value:
        assert time.monotonic() < deadline, f"{query} is {answer}, not {value}"
        threading.Event().wait(0.2)


def _value(prometheus: Prometheus, query: str) -> float | None:
    with contextlib.suppress(PrometheusError):
        for sample in prometheus.instant(query):
            return sample.points[-1][1]
    return None


@pytest.fixture(scope="module")
def above(programs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Two replicas of one agent, on one ledger, each scraped by a Prometheus of its own."""
    folder = tmp_path_factory.mktemp("federation")
    ports = {name: free_port() for name in (*CALLS, "above")}
    with contextlib.ExitStack() as stack:
        for name, calls in CALLS.items():
            ledger = Ledger.open(f"sqlite:///{folder / 'ledger.sqlite'}")
            gauge = AgentGauge("a", registry=CollectorRegistry(), tools=["search"], ledger=ledger)
            stack.callback(gauge.close)
            server = gauge.serve(0)
            stack.callback(server.close)
            with gauge.session(user_id=f"rep of {name}") as session, session.task() as task, task.turn():
                for _ in range(calls):
                    with gauge.tool_call("search"):
                        pass
            targets = [{"targets": [f"127.0.0.1:{server.port}"]}]
            scrape = {"job_name": "agents", "static_configs": targets}
            stack.enter_context(
                _running(programs, folder / name, ports[name], [scrape], external_labels={"prometheus": name})
            )
        documented = _documented()
        documented["static_configs"] = [{"targets": [f"127.0.0.1:{ports[name]}" for name in CALLS]}]
        stack.enter_context(_running(programs, folder / "above", ports["above"], [documented]))
        yield Prometheus(f"http://127.0.0.1:{ports['above']}")


def _documented() -> dict[str, Any]:
    """The scrape that docs/operate.md shows."""
    text = (ROOT / "docs" / "operate.md").read_text(encoding="utf-8")
    (shown,) = (block for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL) if "/federate" in block)
    (scrape,) = yaml.safe_load(shown)["scrape_configs"]
    return dict(scrape)


@contextlib.contextmanager
def _running(
    programs: dict[str, Path], folder: Path, port: int, scrapes: list[dict[str, Any]], **settings: Any
) -> Iterator[None]:
    folder.mkdir()
    config = {"global": {"scrape_interval": "1s", **settings}, "scrape_configs": scrapes}
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    command = [str(programs["prometheus"]), f"--config.file={folder / 'prometheus.yml'}"]
    command += [f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address=127.0.0.1:{port}"]
    with (folder / "log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(
            command, cwd=binaries.working_folder(programs["prometheus"]), stdout=log, stderr=subprocess.STDOUT
        )
        try:
            yield
        finally:
            recording.end(process)


@pytest.mark.e2e
def test_counters_of_all_replicas_sum_up(above: Prometheus) -> None:
    """No series hides another's, and none is counted twice."""
    wait_for(above, f"sum({metrics.TOOL_CALLS.name})", sum(CALLS.values()))
    wait_for(above, 'count(up{job="agents"})', len(CALLS))


@pytest.mark.e2e
def test_what_replicas_share_is_the_same_in_each(above: Prometheus) -> None:
    """Two users are two, and not two for each replica: one reads max."""
    wait_for(above, f'max({metrics.ACTIVE_USERS.name}{{window="1d"}})', len(CALLS))
