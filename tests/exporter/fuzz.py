"""``make test-fuzz``: the property of test_boundary for as many examples as are wanted, in slices that can be repeated.

A slice is a new agent and one seed: what Hypothesis remembers of its examples does not grow for hours, and a failure is
found again by its seed alone.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from tests.exporter.test_boundary import an_agent, use_and_scrape

SLICE = 500
SAY_SECONDS = 10.0


def run(examples: int, seconds: float, first_seed: int, say: Callable[[str], None]) -> int:
    """Run slices until so many examples have been run, or so long; returns how many were. Raises what an example did.

    A slice that was begun is ended.
    """
    began = said = time.monotonic()
    done, number = 0, first_seed
    while done < examples and time.monotonic() - began < seconds:
        with tempfile.TemporaryDirectory(prefix="agentgauge-fuzz-") as folder:
            registry = CollectorRegistry()
            with an_agent(registry, Path(folder)) as gauge:

                @seed(number)
                @settings(
                    max_examples=min(SLICE, examples - done),
                    deadline=None,
                    database=None,
                    suppress_health_check=list(HealthCheck),
                )
                @given(st.data())
                def one_slice(data: st.DataObject) -> None:
                    nonlocal done, said
                    use_and_scrape(gauge, registry, data)  # noqa: B023 - called within the loop
                    done += 1
                    if time.monotonic() - said >= SAY_SECONDS:
                        said = time.monotonic()
                        say(f"{done:>7} examples of {examples}, {said - began:.0f} s, seed {number}")  # noqa: B023 - likewise

                try:
                    one_slice()
                except Exception:
                    say(f"failed after {done} examples: SEED={number} EXAMPLES={SLICE} repeats it")
                    raise
        number += 1
    return done


def main() -> None:
    """Read what is wanted from the environment, as make hands it over."""

    def say(text: str) -> None:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    logging.getLogger("agentgauge").setLevel(logging.CRITICAL)  # it says what it counts, for each agent
    began = time.monotonic()
    examples = int(os.environ.get("EXAMPLES") or "100000")
    seconds = float(os.environ.get("SECONDS") or "inf")
    done = run(examples, seconds, int(os.environ.get("SEED") or "0"), say)
    say(f"{done} examples in {time.monotonic() - began:.0f} s: nothing raised, and every scrape could be read")


if __name__ == "__main__":
    main()
