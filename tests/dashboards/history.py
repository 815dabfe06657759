"""A small made-up history of everything that dashboards ask for, served by the real Prometheus.

Every metric of the contract is there, with every label; values follow smooth curves, so that two runs draw the same.
"""

from __future__ import annotations

import itertools
import json
import math
import re
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

from agentgauge import metrics
from agentgauge.metrics import Label, MetricSpec
from alerts.catalog import RECORDS
from alerts.deployment import DEMO
from dashboards.catalog import GENERATED
from stack.binaries import working_folder
from stack.layout import Ports

HOUR, DAY = 3600.0, 86400.0
FINE_SECONDS, FINE_SPAN = 30, 6.5 * HOUR
COARSE_SECONDS, COARSE_SPAN = 3600, 16 * DAY
"""The last hours are dense enough for rates; what is before serves ranges and offsets of days."""

READY_SECONDS = 120

AGENT = {"job": DEMO.job, "instance": "127.0.0.1:9464", "agent": "sales_companion"}
OTHERS = [
    {"job": name, "instance": f"127.0.0.1:{port}"} for name, port in (("prometheus", 9090), ("alertmanager", 9093))
]

VALUES: dict[str, tuple[str, ...]] = {
    "tool": ("search_crm_contacts", "get_deal_history", "search_emails", "draft_email"),
    "model": ("claude-opus-5-5", "claude-sonnet-5", "claude-haiku-4-5"),
    "error_type": ("TimeoutError",),
    "suite": ("sales",),
    "server": ("orders", "calendar"),
    "subagent": ("researcher", "writer"),
    "scenario": ("account_lookup", "email_draft", "renewal_risk", "pipeline_summary"),
    "version": ("1.5.0",),
    "prompt_version": ("12",),
    "user": tuple(f"{0x9E3779B97F4A * (n + 1) % 16**12:012x}" for n in range(8)),
    "metric": (metrics.TOOL_CALLS.name,),
    "label": ("tool",),
    "file": ("policy.yml", "prompts"),
}
"""Values of labels that are not closed, and of closed ones that have too many."""

PER_SECOND = 0.01
"""How often something that is counted happens; for a metric where that would look wrong, its own number."""
RATES = {
    metrics.LLM_TOKENS: 40.0,
    metrics.LLM_COST: 3e-5,
    metrics.LLM_COST_WITHOUT_CACHE: 3e-4,
    metrics.SUBAGENT_TOKENS: 10.0,
    metrics.SUBAGENT_COST: 1e-5,
    metrics.TOOL_COST: 5e-5,
    metrics.APPROVALS: 0.0004,
    metrics.ACTIONS: 0.0006,
    metrics.AUDITS: 0.0005,
    metrics.FEEDBACK: 0.0002,
    metrics.EVAL_RUNS: 1 / DAY,
    metrics.LLM_UNPRICED_TOKENS: 0.0,
    metrics.LLM_USAGE_UNKNOWN: 0.0,
    metrics.EXPORTER_ERRORS: 0.0,
    metrics.LABEL_OVERFLOW: 0.0,
    metrics.SESSIONS_OVER_LIMIT: 0.0004,
    metrics.SESSIONS_FAILING: 0.0004,
}
PROMOTED_HOURS = 2.2
"""When the tools were promoted, in hours before the end."""

RARE = ("error", "failed", "abandoned", "down", "rejected", "expired", "denied", "misaligned", "problem", "demoted")
WEIGHTS = {"fallback": 0.1, "edited": 0.15} | dict.fromkeys(RARE, 0.03)
"""How often a label's value occurs, beside one that is usual."""

ALERTS: tuple[tuple[str, str, dict[str, str], float, float], ...] = (
    # name, severity, further labels, from and to in hours before now
    ("AgentGaugeWatchdog", "none", {}, 16 * 24, 0.0),
    ("AgentLatencySpike", "critical", {"agent": "sales_companion"}, 3.0, 2.4),
    ("AgentToolLatencyHigh", "warning", {"agent": "sales_companion", "tool": "search_emails"}, 0.5, 0.0),
)
VERSIONS = (
    # version, prompt version, from and to in hours before now
    ("generated-history", "0", 16 * 24, 5.0),
    ("1.4.0", "11", 5.0, 1.5),
    ("1.5.0", "12", 1.5, 0.0),
)

Curve = Callable[[float], float]


@dataclass(frozen=True)
class SeriesOverTime:
    """One series: its name and labels, and its value so many seconds before the end; NaN where it does not exist."""

    name: str
    labels: dict[str, str]
    at: Curve


def lines(end: float) -> Iterator[SeriesOverTime]:
    """Every series of a history up to ``end`` (Unix seconds)."""
    for spec in metrics.ALL:
        if spec in (metrics.BUILD_INFO, metrics.EVAL_LAST_RUN):
            continue
        for labels in _combinations(spec.labels):
            yield from _of_metric(spec, AGENT | labels)
    for version, prompt_version, first, last in VERSIONS:
        labels = AGENT | {"version": version, "prompt_version": prompt_version}
        yield SeriesOverTime(metrics.BUILD_INFO.name, labels, _while(first, last))
    yield SeriesOverTime(metrics.EVAL_LAST_RUN.name, AGENT | {"suite": VALUES["suite"][0]}, _daily(end))
    for name, severity, labels, first, last in ALERTS:
        named = {"alertname": name, "severity": severity} | labels
        yield SeriesOverTime("ALERTS", named | {"alertstate": "firing"}, _while(first, last))
        yield SeriesOverTime("ALERTS_FOR_STATE", named, _while(first, last, end - first * HOUR))
    for record in RECORDS:
        for labels in _combinations(_labels_of_record(record.name)):
            yield SeriesOverTime(record.name, {"agent": AGENT["agent"]} | labels, _wave(10 * _weight(labels), labels))
    yield from _of_targets()


def write(path: Path, end: float, series: Iterable[SeriesOverTime]) -> None:
    """Write what happened up to ``end`` (Unix seconds) as OpenMetrics, for ``promtool tsdb create-blocks-from``."""
    coarse = range(int(COARSE_SPAN), int(FINE_SPAN), -COARSE_SECONDS)
    fine = range(int(FINE_SPAN), -1, -FINE_SECONDS)
    moments = [float(before) for before in (*coarse, *fine)]
    with path.open("w", encoding="utf-8") as file:
        for line in series:
            labels = ",".join(f'{name}="{value}"' for name, value in line.labels.items())
            head = f"{line.name}{{{labels}}}"
            values = ((before, line.at(before)) for before in moments)
            file.writelines(f"{head} {value:.12g} {end - before:.0f}\n" for before, value in values if value == value)
        file.write("# EOF\n")


@contextmanager
def served(
    programs: dict[str, Path], folder: Path, end: float, series: Iterable[SeriesOverTime] | None = None
) -> Iterator[str]:
    """The URL of a Prometheus that scrapes nothing and holds these series up to ``end``: all ``lines`` if not given."""
    write(folder / "history.txt", end, lines(end) if series is None else series)
    data = folder / "data"
    # One block for all: promtool reads the whole file again for each.
    backfill = ["tsdb", "create-blocks-from", "openmetrics", "--max-block-duration=1440h", "--quiet"]
    subprocess.run([programs["promtool"], *backfill, folder / "history.txt", data], check=True, capture_output=True)
    (folder / "prometheus.yml").write_text("{}\n", encoding="utf-8")
    url = f"http://127.0.0.1:{Ports.free().prometheus}"
    command = [
        str(programs["prometheus"]),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={data}",
        "--storage.tsdb.retention.time=1440h",
        "--query.lookback-delta=30m",  # it scrapes nothing, and on a busy machine its end is minutes ago
        f"--web.listen-address={url.removeprefix('http://')}",
        "--log.level=error",
    ]
    process = subprocess.Popen(command, cwd=working_folder(programs["prometheus"]))
    try:
        _wait_until_ready(url, process)
        yield url
    finally:
        process.terminate()
        process.wait(10)


def _of_metric(spec: MetricSpec, labels: dict[str, str]) -> Iterator[SeriesOverTime]:
    if spec.kind == "gauge":
        yield SeriesOverTime(spec.name, labels, _gauge(spec, labels))
    elif spec.kind == "counter":
        yield SeriesOverTime(spec.name, labels, _count(spec, labels))
    else:
        count, median = _count(spec, labels), spec.buckets[len(spec.buckets) // 3]
        for bound in (*spec.buckets, math.inf):
            le = "+Inf" if bound == math.inf else spec.le(bound)
            yield SeriesOverTime(spec.bucket, labels | {"le": le}, _scaled(count, _share_below(bound, median)))
        yield SeriesOverTime(spec.sum, labels, _scaled(count, 1.2 * median))
        yield SeriesOverTime(spec.count, labels, count)


def _count(spec: MetricSpec, labels: dict[str, str]) -> Curve:
    if spec is metrics.AUTONOMY_CHANGES:
        promoted = labels["direction"] == "promoted"
        return lambda before: float(promoted and before < PROMOTED_HOURS * HOUR)
    return _counter(RATES.get(spec, PER_SECOND) * _weight(labels), labels)


def _gauge(spec: MetricSpec, labels: dict[str, str]) -> Curve:
    if spec in (metrics.AUTONOMY_STAGE, metrics.TOOL_AUTONOMY):
        (closed,) = (label for label in spec.labels if label.bound == "closed")
        return _one_of(len(closed.values), closed.values.index(labels[closed.name]), labels.get("tool", ""))
    if spec is metrics.CONFIG_ERRORS:
        return lambda _before: 0.0
    if spec.name.endswith("_ratio") or spec is metrics.EVAL_SCORE:
        return lambda before: min(1.0, 0.9 + _wave(0.1, labels)(before))
    if spec is metrics.USER_COHORT:
        came, later = int(labels["weeks_ago"]), int(labels["week"])
        return lambda _before: float(round(40 * 0.8**later)) if later <= came else math.nan
    many = _wave(40 * _weight(labels), labels)
    return many if spec is metrics.USER_COST else lambda before: float(round(many(before)))


def _of_targets() -> Iterator[SeriesOverTime]:
    """What Prometheus knows of its targets, and what it and Alertmanager say about themselves."""
    for target in ({name: AGENT[name] for name in ("job", "instance")}, *OTHERS):
        yield SeriesOverTime("up", target, lambda _before: 1.0)
        for name, size in (("scrape_duration_seconds", 0.01), ("scrape_samples_scraped", 1600.0)):
            yield SeriesOverTime(name, target, _wave(size, target))
        yield SeriesOverTime("process_resident_memory_bytes", target, _wave(9e7, target))
        yield SeriesOverTime("process_cpu_seconds_total", target, _counter(0.02, target))
    prometheus, alertmanager = OTHERS
    for name in sorted(set(re.findall(r"\b(?:prometheus|alertmanager)_\w+", _all_expressions()))):
        target = prometheus if name.startswith("prometheus_") else alertmanager
        labels = {"rule_group": "/etc/tasks.yml;tasks"} if "_rule_" in name else {"integration": "webhook"}
        counts = name.endswith(("_total", "_sum", "_count"))
        wrong = re.search("fail|missed|dropped|error", name)
        yield SeriesOverTime(name, target | labels, _counter(0.0 if wrong else 0.05, {}) if counts else _wave(0.01, {}))


def _all_expressions() -> str:
    boards = [json.loads(path.read_text(encoding="utf-8")) for path in GENERATED.glob("*.json")]
    return "\n".join(
        target["expr"] for board in boards for panel in board["panels"] for target in panel.get("targets", [])
    )


def _combinations(labels: tuple[Label, ...]) -> Iterator[dict[str, str]]:
    values = [VALUES.get(label.name, label.values) for label in labels]
    for chosen in itertools.product(*values):
        yield {label.name: value for label, value in zip(labels, chosen, strict=True)}


def _labels_of_record(name: str) -> tuple[Label, ...]:
    """A recording rule is named after the labels it keeps, then after the metric they are labels of."""
    level, metric, _ = name.split(":")
    known = {
        label.name: label
        for spec in metrics.ALL
        if metric.startswith(spec.name.removesuffix("_total"))
        for label in spec.labels
    }
    return tuple(label for word, label in known.items() if word in level)


def _weight(labels: dict[str, str]) -> float:
    return math.prod(WEIGHTS.get(value, 1.0) for value in labels.values())


def _phase(labels: dict[str, str]) -> float:
    return sum(map(ord, "".join(labels.values()))) % 63 / 10


def _counter(per_second: float, labels: dict[str, str]) -> Curve:
    """A counter whose rate rises and falls by half, in two hours."""
    phase, turn = _phase(labels), 2 * HOUR / (2 * math.pi)

    def value(before: float) -> float:
        elapsed = COARSE_SPAN - before
        return per_second * (elapsed - 0.5 * turn * math.cos(elapsed / turn + phase) + turn)

    return value


def _wave(middle: float, labels: dict[str, str]) -> Curve:
    phase, turn = _phase(labels), 3 * HOUR / (2 * math.pi)
    return lambda before: middle * (1 + 0.25 * math.sin(before / turn + phase))


def _while(first: float, last: float, value: float = 1.0) -> Curve:
    return lambda before: value if last * HOUR <= before <= first * HOUR else math.nan


def _one_of(states: int, state: int, name: str) -> Curve:
    """1 while the state is the one: they take turns, the last one comes last."""
    late = len(name) % 3 * HOUR

    def value(before: float) -> float:
        return float(state == max(0, states - 1 - int((before + late) / (2 * HOUR))))

    return value


def _daily(end: float) -> Curve:
    """The Unix time of something that happened last at a full day before the end and a bit."""
    return lambda before: end - 0.1 * DAY - math.ceil(before / DAY) * DAY


def _scaled(curve: Curve, factor: float) -> Curve:
    return lambda before: factor * curve(before)


def _share_below(bound: float, median: float) -> float:
    """Of values around a median, the share up to a bound."""
    if bound == math.inf:
        return 1.0
    return 0.02 if bound == 0 else 1 / (1 + (median / bound) ** 3)


def _wait_until_ready(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while not _is_ready(url):
        assert process.poll() is None, "Prometheus ended at once"
        assert time.monotonic() < deadline, f"Prometheus was not ready within {READY_SECONDS} s"
        time.sleep(0.05)


def _is_ready(url: str) -> bool:
    try:
        return requests.get(f"{url}/-/ready", timeout=5).ok
    except requests.ConnectionError:
        return False
