"""What Prometheus would have recorded of a history by its rules, computed by a Prometheus that this starts for it.

Alerts over weeks read recorded series, and one with a long ``for`` goes on from its recorded state: both have to be in
the history, or nothing could fire for days.
"""

from __future__ import annotations

import json
import re
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentgauge.ops.prometheus import Prometheus, PrometheusError, Series
from sample_agent.simulator.blocks import Samples

STEP_SECONDS = 300
"""Between two recorded samples; the alerts' subqueries ask every five minutes, or less often."""
STATE_HOURS = 24
"""How far back alerts are followed; the longest ``for`` is six hours."""
RECENT_HOURS = 2 * STATE_HOURS
"""How far back their windows reach that do not look back for days."""
READY_SECONDS = 180.0
QUERY_SECONDS = 900
"""A query over weeks takes long where other programs keep the processors busy; what it is part of took an hour."""
END_SECONDS = 30.0
QUERIES = 2
"""So many at a time keep two cores busy."""

_DAYS_BACK = re.compile(r"(\[|offset )(\d+[dw]|\d{3,}h)")


@dataclass(frozen=True)
class LoadedRule:
    """A recording rule, or an alert with its ``for`` in seconds."""

    name: str
    query: str
    labels: dict[str, str]
    is_alert: bool
    hold_seconds: float


def loaded_rules(prometheus: Prometheus) -> list[LoadedRule]:
    """The rules that a Prometheus was started with, in their order."""
    return [
        LoadedRule(
            rule["name"], rule["query"], rule.get("labels", {}), rule["type"] == "alerting", rule.get("duration", 0)
        )
        for rule in prometheus.rules()
    ]


def over(prometheus: Prometheus, query: str, start: int, end: int) -> list[Series]:
    """The series of the query, a point every STEP_SECONDS."""
    return prometheus.range(query, -(-start // STEP_SECONDS) * STEP_SECONDS, end, STEP_SECONDS)


@contextmanager
def serving(
    program: Path, blocks: Path, rule_files: list[Path], lookback_seconds: int = 300, flags: Sequence[str] = ()
) -> Iterator[Prometheus]:
    """A Prometheus on this folder of blocks, for as long as the block runs; it scrapes and evaluates nothing.

    A series without a sample for ``lookback_seconds`` is gone. ``flags`` are further ones of its command line.
    """
    config, log = blocks / "prometheus.yml", blocks / "prometheus.log"
    rules = [str(file.absolute()) for file in rule_files]
    config.write_text(json.dumps({"global": {"evaluation_interval": "100y"}, "rule_files": rules}), encoding="utf-8")
    address = f"127.0.0.1:{_free_port()}"
    command = [
        str(program),
        f"--config.file={config}",
        f"--storage.tsdb.path={blocks}",
        f"--web.listen-address={address}",
    ]
    command += ["--storage.tsdb.retention.time=10y", "--log.level=warn"]
    command += [f"--query.lookback-delta={lookback_seconds}s", "--query.max-samples=500000000"]
    command += [f"--query.timeout={QUERY_SECONDS}s", *flags]
    with log.open("w", encoding="utf-8") as output:
        # Debian's build, unpacked, finds its files from its own folder.
        process = subprocess.Popen(command, cwd=program.resolve().parent, stdout=output, stderr=output)
    try:
        prometheus = Prometheus(f"http://{address}", timeout_seconds=QUERY_SECONDS)
        _wait_until_ready(prometheus, process, log)
        yield prometheus
    finally:
        end(process)


def end(process: subprocess.Popen[Any]) -> None:
    """Ask a process to end, and end it if it does not within some seconds."""
    process.terminate()
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def looked_back_on(rules: list[LoadedRule]) -> set[str]:
    """The names of the recording rules that a rule asks for days, which have to reach as far back."""
    patient = [rule.query for rule in rules if _DAYS_BACK.search(rule.query)]
    return {rule.name for rule in rules if any(rule.name in query for query in patient)}


def records(prometheus: Prometheus, rules: list[LoadedRule], start: int, end: int) -> Iterator[Samples]:
    """What these recording rules would have recorded."""
    for rule, recorded in _answers(prometheus, rules, start, end):
        for series in recorded:
            yield Samples(rule.name, _without_name(series.labels) | rule.labels, series.points)


def rounds(rules: list[LoadedRule]) -> Iterator[list[LoadedRule]]:
    """The recording rules in rounds: none reads what another of its round records, or one of a later round."""
    rest = [rule for rule in rules if not rule.is_alert]
    while rest:
        ready = [rule for rule in rest if not any(other.name in rule.query for other in rest)]
        if not ready:
            raise PrometheusError(f"recording rules that read each other: {', '.join(rule.name for rule in rest)}")
        yield ready
        rest = [rule for rule in rest if rule not in ready]


def alert_states(prometheus: Prometheus, rules: list[LoadedRule], end: int) -> Iterator[Samples]:
    """``ALERTS`` and ``ALERTS_FOR_STATE`` of the last day.

    From the latter a Prometheus that starts knows since when a condition holds, and goes on with its ``for``.
    """
    alerts = [rule for rule in rules if rule.is_alert]
    for rule, active in _answers(prometheus, alerts, end - STATE_HOURS * 3600, end):
        for series in active:
            own = {"alertname": rule.name} | _without_name(series.labels) | rule.labels
            since = active_since([at for at, _ in series.points])
            yield Samples("ALERTS_FOR_STATE", own, since)
            pending = [(at, 1) for at, begun in since if at - begun < rule.hold_seconds]
            firing = [(at, 1) for at, begun in since if at - begun >= rule.hold_seconds]
            yield Samples("ALERTS", own | {"alertstate": "pending"}, pending)
            yield Samples("ALERTS", own | {"alertstate": "firing"}, firing)


def _answers(
    prometheus: Prometheus, rules: list[LoadedRule], start: int, end: int
) -> Iterator[tuple[LoadedRule, list[Series]]]:
    with ThreadPoolExecutor(QUERIES) as pool:
        yield from zip(rules, pool.map(lambda rule: over(prometheus, rule.query, start, end), rules), strict=True)


def active_since(moments: list[float]) -> list[tuple[float, float]]:
    """Each moment with the first of its unbroken run."""
    since: list[tuple[float, float]] = []
    for at in moments:
        unbroken = since and at - since[-1][0] <= STEP_SECONDS
        since.append((at, since[-1][1] if unbroken else at))
    return since


def _without_name(labels: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in labels.items() if name != "__name__"}


def _wait_until_ready(prometheus: Prometheus, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        if prometheus.is_ready():
            return
        time.sleep(0.05)
    said = log.read_text(encoding="utf-8").strip().splitlines()
    raise PrometheusError(f"Prometheus did not start: {said[-1] if said else 'its log is empty'}")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
