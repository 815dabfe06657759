"""Commands that must succeed, and what takes its time in containers."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable

import requests

from agentgauge.ops.prometheus import PrometheusError
from stack import compose
from stack.layout import ROOT

PATIENCE_SECONDS = 600.0


def said(*command: str) -> str:
    """The output of a command, which must succeed."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.stdout.strip()


def wait_until(condition: Callable[[], object], what: str) -> None:
    """Poll a condition that no server offers to wait for; what cannot be reached just now is not yet there."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            if condition():
                return
        except (requests.RequestException, PrometheusError):
            pass
        assert time.monotonic() < deadline, f"no {what} within {PATIENCE_SECONDS:g} s: {compose.statuses()}"
        time.sleep(0.5)
