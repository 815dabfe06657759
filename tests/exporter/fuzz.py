"""``make test-fuzz``: the property of test_boundary for as many examples as are wanted, in slices that can be repeated.

A slice is a new agent and one seed: what Hypothesis remembers of its examples does not grow for hours, and a failure is
found again by its seed alone. Each processor works at a slice of its own.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing import get_context
from pathlib import Path

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from tests.exporter.test_boundary import Scrapes, an_agent, use_and_scrape

SLICE = 500


class FuzzError(Exception):
    """An example raised, or its scrape could not be read; the message says which slice repeats it, and what it was."""


def run(examples: int, seconds: float, first_seed: int, say: Callable[[str], None]) -> int:
    """Run slices until so many examples have been run, or so long; returns how many were. Raises FuzzError.

    A slice that was begun is ended.
    """
    began = time.monotonic()
    sizes = [min(SLICE, examples - start) for start in range(0, examples, SLICE)]
    waiting = list(enumerate(sizes, first_seed))
    processes = os.cpu_count() or 1
    running: dict[Future[str | None], tuple[int, int]] = {}
    done = 0
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        while running or waiting:
            while waiting and len(running) < processes:
                number, size = waiting.pop(0)
                running[pool.submit(failure, number, size)] = number, size
            for ended in wait(running, return_when=FIRST_COMPLETED).done:
                number, size = running.pop(ended)
                if said := ended.result():
                    raise FuzzError(f"SEED={number} EXAMPLES={size} repeats this:\n{said}")
                done += size
                say(f"{done:>7} examples of {examples}, {time.monotonic() - began:.0f} s, seed {number}")
            if time.monotonic() - began >= seconds:
                waiting = []
    return done


def failure(number: int, examples: int) -> str | None:
    """What one slice raised, in words; None if all is well."""
    logging.getLogger("agentgauge").setLevel(logging.CRITICAL)  # it says what it counts, for each agent
    registry = CollectorRegistry()
    with tempfile.TemporaryDirectory(prefix="agentgauge-fuzz-") as folder, an_agent(registry, Path(folder)) as gauge:
        scrapes = Scrapes(registry)

        @seed(number)
        @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(st.data())
        def one_slice(data: st.DataObject) -> None:
            use_and_scrape(gauge, scrapes, data)

        try:
            one_slice()
            scrapes.read_whole()
        except Exception:
            return traceback.format_exc()
    return None


def main() -> None:
    """Read what is wanted from the environment, as make hands it over."""

    def say(text: str) -> None:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    began = time.monotonic()
    examples = int(os.environ.get("EXAMPLES") or "100000")
    seconds = float(os.environ.get("SECONDS") or "inf")
    try:
        done = run(examples, seconds, int(os.environ.get("SEED") or "0"), say)
    except FuzzError as error:
        sys.exit(str(error))
    say(f"{done} examples in {time.monotonic() - began:.0f} s: nothing raised, and every scrape could be read")


if __name__ == "__main__":
    main()
