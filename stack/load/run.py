"""One run: the replicas, what they do, and Prometheus beside them."""

from __future__ import annotations

import contextlib
import os
import platform
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import requests
import yaml
from prometheus_client import CollectorRegistry

from agentgauge import AgentGauge, TokenUsage
from agentgauge.exposition import metrics_wsgi
from agentgauge.ops.prometheus import Prometheus
from alerts import thresholds
from alerts.deployment import DEMO
from alerts.rules import render
from bundle.files import config_files
from stack import binaries
from stack.errors import StackError
from stack.layout import Ports
from stack.load.results import LoadResult

AGENT, MODEL = "load", "claude-sonnet-4-5"
TOOLS = ("search", "read", "write")
START_SECONDS = 180

Say = Callable[[str], None]


def run(
    replicas: int, sessions_per_second: float, seconds: float, folder: Path, programs: dict[str, Path], say: Say
) -> LoadResult:
    """Let so many replicas work for so long, beside a real Prometheus with all rules.

    StackError if that does not start.
    """
    load = os.getloadavg()[0]
    gauges = [AgentGauge(AGENT, registry=CollectorRegistry(), tools=TOOLS) for _ in range(replicas)]
    with (
        served([metrics_wsgi(gauge.registry) for gauge in gauges]) as port,
        prometheus(replicas, port, folder, programs) as asked,
    ):
        say(f"{replicas} replicas work for {seconds:.0f} s, {sessions_per_second:.0f} sessions a second together")
        added, elapsed = _work(gauges, sessions_per_second, seconds)
        added.sort()
        return LoadResult(
            replicas=replicas,
            seconds=round(elapsed, 1),
            asked_sessions_per_second=sessions_per_second,
            sessions_per_second=round(len(added) / elapsed, 1),
            added_p50=added[len(added) // 2],
            added_p99=added[len(added) * 99 // 100],
            up=int(_value(asked, f'sum(up{{job="{DEMO.job}"}})')),
            slowest_scrape=_value(asked, f'max(scrape_duration_seconds{{job="{DEMO.job}"}})'),
            rules=_value(asked, "sum(prometheus_rule_group_last_duration_seconds)"),
            missed=int(_value(asked, "sum(prometheus_rule_group_iterations_missed_total)")),
            series=int(_value(asked, "prometheus_tsdb_head_series")),
            memory=int(_value(asked, 'process_resident_memory_bytes{job="prometheus"}')),
            machine=f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, "
            f"Python {platform.python_version()}",
            load=round(load, 1),
        )


def _work(gauges: list[AgentGauge], sessions_per_second: float, seconds: float) -> tuple[list[float], float]:
    """What each session took, which does nothing but be counted, and how long all of it was."""
    added: list[float] = []
    begun = time.monotonic()
    while (elapsed := time.monotonic() - begun) < seconds or len(added) < len(gauges):
        if len(added) < elapsed * sessions_per_second:
            started = time.perf_counter()
            play_session(gauges[len(added) % len(gauges)])
            added.append(time.perf_counter() - started)
        else:
            time.sleep(0.001)
    return added, time.monotonic() - begun


def play_session(gauge: AgentGauge) -> None:
    """One task with one turn, a call of each tool and an answer of the model."""
    with gauge.session() as session, session.task() as task, task.turn():
        for tool in TOOLS:
            with gauge.tool_call(tool):
                pass
        gauge.llm_call(MODEL).finish(TokenUsage(input=1000, output=100))


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 1024


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing of each scrape."""


@contextlib.contextmanager
def served(apps: Sequence[Any]) -> Iterator[int]:
    """The port at which the app of replica number n, one of WSGI, answers under ``/n``."""

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        return apps[int(environ["PATH_INFO"].strip("/"))](environ, start_response)

    with make_server("127.0.0.1", 0, app, server_class=_Server, handler_class=_Quiet) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_port
        finally:
            server.shutdown()


@contextlib.contextmanager
def prometheus(
    replicas: int, port: int, folder: Path, programs: dict[str, Path], *, rules: bool = True
) -> Iterator[Prometheus]:
    """Prometheus on the committed configuration, once it answers; without the rules where they are not wanted."""
    own = Ports.free().prometheus
    here = replace(DEMO, prometheus=f"http://127.0.0.1:{own}")
    files = config_files(here, render(thresholds.load(), here))
    if not rules:
        files = {name: text for name, text in files.items() if not name.startswith("rules/")}
    files["targets/agents.yml"] = yaml.safe_dump(
        [
            {"targets": [f"127.0.0.1:{port}"], "labels": {"__metrics_path__": f"/{number}", "instance": f"{number}"}}
            for number in range(replicas)
        ]
    )
    files["targets/prometheus.yml"] = yaml.safe_dump([{"targets": [f"127.0.0.1:{own}"]}])
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    program = programs["prometheus"]
    command = [str(program), f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}"]
    command += [f"--web.listen-address=127.0.0.1:{own}", "--log.level=error"]
    with subprocess.Popen(command, cwd=binaries.working_folder(program)) as process:
        try:
            _wait_until_ready(here.prometheus, process)
            yield Prometheus(here.prometheus, timeout_seconds=60)
        finally:
            process.terminate()


def _wait_until_ready(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        with contextlib.suppress(requests.RequestException):
            if requests.get(f"{url}/-/ready", timeout=10).ok:
                return
        if process.poll() is not None or time.monotonic() > deadline:
            raise StackError("Prometheus did not start")
        time.sleep(0.2)


def _value(asked: Prometheus, query: str) -> float:
    result = asked.get("query", {"query": query})["result"]
    if not result:
        raise StackError(f"Prometheus knows nothing of {query} yet; let the replicas work for longer")
    return float(result[0]["value"][1])
