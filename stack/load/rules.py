"""``make bench-rules``: what one evaluation of all rules costs Prometheus, and what many replicas cost it in memory.

Two Prometheus scrape the same replicas, whose counters grow, and one of them judges by all rules as well: the CPU that
it takes more is that of the rules. The replicas are one text with growing numbers, so that they cost next to nothing.
"""

from __future__ import annotations

import json
import os
import platform
import re
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import requests
import typer
from prometheus_client import CollectorRegistry, generate_latest

from agentgauge import AgentGauge
from stack import binaries
from stack.errors import StackError
from stack.layout import HOME
from stack.load.run import AGENT, TOOLS, Say, play_session, prometheus, served

FILE = Path(__file__).with_name("rules.json")
GROWS = re.compile(rb"\w+_(?:total|count|sum|bucket)(?:\{.*\})? ")
ITERATIONS = "prometheus_rule_group_iterations_total"
SHOWN = 10
"""The dearest rules are printed, so many of them."""
SAMPLE = re.compile(r"^(\w+)(?:\{.*\})? (\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class RulesResult:
    """``seconds_each`` is the CPU of one evaluation of all rules; ``memory`` is that of Prometheus in bytes.

    ``window_seconds`` is how much the series went back at the end: the longer windows held no more.
    """

    replicas: int
    rules: int
    series: int
    window_seconds: float
    evaluations: float
    seconds_each: float
    memory: int
    machine: str
    load: float


def measure(replicas: int, seconds: float, folder: Path, programs: dict[str, Path], say: Say) -> RulesResult:
    """Scrape for as long, and measure over the second half; StackError if that does not start."""
    load = os.getloadavg()[0]
    with served([moving()] * replicas) as port:
        (folder / "with").mkdir()
        (folder / "without").mkdir()
        with (
            prometheus(replicas, port, folder / "with", programs) as judging,
            prometheus(replicas, port, folder / "without", programs, rules=False) as scraping,
        ):
            began = time.monotonic()
            say(f"{replicas} replicas are scraped for {seconds:.0f} s")
            time.sleep(seconds / 2)
            before = _figures(judging.url), _figures(scraping.url)
            time.sleep(seconds / 2)
            after = _figures(judging.url), _figures(scraping.url)
            groups = judging.get("rules")["groups"]
            window = time.monotonic() - began
    cpu, cpu_scraping = (
        now["process_cpu_seconds_total"] - then["process_cpu_seconds_total"]
        for then, now in zip(before, after, strict=True)
    )
    rounds = (after[0][ITERATIONS] - before[0][ITERATIONS]) / len(groups)
    if rounds < 1:
        raise StackError(f"not one evaluation of all rules ended in {seconds / 2:.0f} s; measure for longer")
    rules = [rule for group in groups for rule in group["rules"]]
    for rule in sorted(rules, key=lambda one: -float(one["evaluationTime"]))[:SHOWN]:
        say(f"{float(rule['evaluationTime']) * 1e3:8.1f} ms  {rule['name']}")
    return RulesResult(
        replicas=replicas,
        rules=len(rules),
        series=int(after[0]["prometheus_tsdb_head_series"]),
        window_seconds=round(window),
        evaluations=round(rounds, 1),
        seconds_each=round((cpu - cpu_scraping) / rounds, 3),
        memory=int(after[0]["process_resident_memory_bytes"]),
        machine=f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}",
        load=round(load, 1),
    )


def _figures(url: str) -> dict[str, float]:
    """What Prometheus says of itself; the series of one name are added up."""
    figures: dict[str, float] = {}
    for name, value in SAMPLE.findall(requests.get(f"{url}/metrics", timeout=60).text):
        figures[name] = figures.get(name, 0.0) + float(value)
    return figures


def moving() -> Any:
    """A replica, as an app of WSGI: what it counts in one session it counts again every ten seconds."""
    gauge = AgentGauge(AGENT, registry=CollectorRegistry(), tools=TOOLS)
    play_session(gauge)
    one, began, lock = generate_latest(gauge.registry), time.monotonic(), threading.Lock()
    made = {0: one}

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        now = round(time.monotonic() - began)
        with lock:
            if now not in made:
                made.clear()
                made[now] = grown(one, 1 + now / 10)
            text = made[now]
        start_response("200 OK", [("Content-Type", "text/plain; version=0.0.4; charset=utf-8")])
        return [text]

    return app


def grown(text: bytes, times: float) -> bytes:
    """An exposition after so many times the work: counters and histograms have grown, gauges are as they were."""
    lines = []
    for line in text.splitlines():
        if GROWS.match(line):
            start, _, value = line.rpartition(b" ")
            line = start + f" {float(value) * times!r}".encode()
        lines.append(line + b"\n")
    return b"".join(lines)


def load(file: Path = FILE) -> RulesResult | None:
    """What was measured last; None where nothing was."""
    return RulesResult(**json.loads(file.read_text(encoding="utf-8"))) if file.exists() else None


def keep(result: RulesResult, file: Path = FILE) -> None:
    """Put a result in the place of the earlier one."""
    file.write_text(json.dumps(asdict(result), indent=2) + "\n", encoding="utf-8")


def section(result: RulesResult | None) -> str:
    """The part of docs/scaling.md on rules; empty where nothing was measured."""
    if result is None:
        return ""
    return f"""

## What the rules cost

| replicas | rules | series | CPU of one evaluation of all rules | memory of Prometheus | for 100 replicas |
|---|---|---|---|---|---|
| {result.replicas} | {result.rules} | {result.series:,} | {result.seconds_each:.2f} s | {result.memory / 1e6:.0f} MB \
| {result.memory / result.replicas / 1e4:.0f} MB |

Measured by `make bench-rules WRITE=1`: two Prometheus scrape the same replicas, all of whose counters grow, and one of
them judges by all rules as well. What it takes more in CPU is that of the rules, here on average of
{result.evaluations:.0f} evaluations. The series went back {result.window_seconds:.0f} s: longer windows held no
more than that. On {result.machine}; load {result.load:.0f} at the beginning.
"""


def main(
    replicas: Annotated[int, typer.Option(min=1, help="How many are scraped.")] = 200,
    seconds: Annotated[float, typer.Option(min=60, help="How long.")] = 600,
    write: Annotated[bool, typer.Option("--write", help="Keep the result: the docs show it.")] = False,
) -> None:
    """Measure what all rules cost, and print what the docs would say."""

    def say(text: str) -> None:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    try:
        programs = binaries.ensure(HOME, say)
        with tempfile.TemporaryDirectory(prefix="agentgauge-rules-") as folder:
            result = measure(replicas, seconds, Path(folder), programs, say)
    except StackError as error:
        sys.exit(f"error: {error}")
    if write:
        keep(result)
    say(section(result))


if __name__ == "__main__":
    typer.run(main)
