"""How cost grows with the work: a tool call with threads, a scrape with workers, the ledger with users."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import process_time

THREADS = (1, 2, 4, 8, 16, 32)
WORKERS = (1, 2, 4, 8)
USERS = (100, 1_000, 10_000, 100_000)
SCRAPES = 10


@dataclass(frozen=True)
class Growth:
    """Lines over a number of something: name of the line → number → cost in ``unit``."""

    title: str
    per: str
    unit: str
    lines: dict[str, dict[int, float]]


def by_threads(rounds: int) -> Growth:
    """A tool call from so many threads at once, each with a session."""
    from tests.bench import tool_cases
    from tests.bench.tool_calls import CACHED

    lines: dict[str, dict[int, float]] = {"AgentGauge": {}, CACHED: {}}
    for threads in THREADS:
        costs = tool_cases.overheads(rounds, multiprocess=False, threads=threads)
        lines["AgentGauge"][threads] = costs[f"AgentGauge, {threads} threads"] / 1000
        lines[CACHED][threads] = costs[f"{CACHED}, {threads} threads"] / 1000
    return Growth("One tool call", "threads", "µs of CPU", lines)


def by_workers(after_each: Callable[[], object] = lambda: None) -> Growth:
    """A scrape as it is served by one of so many workers that have all been at work."""
    line = {}
    for workers in WORKERS:
        with tempfile.TemporaryDirectory() as folder:
            environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": folder}
            command = [sys.executable, "-m", "tests.bench.growth", str(workers)]
            output = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
        line[workers] = float(json.loads(output))
        after_each()
    return Growth("One scrape", "workers", "ms of CPU", {"AgentGauge": line})


def by_users(rounds: int, after_each: Callable[[], object] = lambda: None) -> Growth:
    """What a replica spends on the ledger, with so many users in four weeks."""
    from tests.bench import ledger

    lines: dict[str, dict[int, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for users in USERS:
            for name, milliseconds in ledger.measured(Path(folder), users, rounds).items():
                lines.setdefault(name, {})[users] = milliseconds
            after_each()
    lines.pop(ledger.WORKS[-1])  # once an hour
    return Growth("The ledger", "users", "ms of CPU", lines)


def main() -> None:
    """Print the CPU milliseconds of a scrape beside so many workers, this one included; the folder is set already."""
    from prometheus_client import CollectorRegistry

    from agentgauge import AgentGauge
    from agentgauge.exposition import metrics_wsgi
    from tests.bench import scraping

    gauge = AgentGauge("bench", tools=scraping.TOOLS, models=scraping.MODELS, registry=CollectorRegistry())
    children = []
    for _ in range(int(sys.argv[1]) - 1):
        is_ready, ready = os.pipe()
        child = os.fork()
        if not child:
            scraping.work(gauge)
            os.write(ready, b"1")
            signal.pause()
        os.read(is_ready, 1)
        children.append(child)
    app = metrics_wsgi(gauge.registry)
    taken = []
    for _ in range(SCRAPES):
        scraping.work(gauge)
        began = process_time()
        scraping.answer(app)
        taken.append((process_time() - began) * 1000)
    for child in children:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    print(median(taken))  # noqa: T201 - its only output


if __name__ == "__main__":
    main()
