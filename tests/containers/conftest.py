"""The engine that the tests of containers share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from stack import compose
from tests.containers import engine


@pytest.fixture(scope="session")
def docker() -> Iterator[None]:
    """An engine: the one that answers, or the unpacked one in this network namespace of its own."""
    brought = os.environ.get("AGENTGAUGE_ENGINE")
    if brought:
        engine.raise_loopback()
    with engine.Engine(Path(brought)).running() if brought else nullcontext():
        if brought and compose.statuses():  # of a run that was killed: nobody else uses this engine
            compose.down()
        yield
