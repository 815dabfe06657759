"""An agent to talk to: the one that runs, or one started in this process for as long as it is needed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import httpx2

from sample_agent import assembly, faults, service
from sample_agent.fake_api.app import create_app
from sample_agent.serving import serving
from sample_agent.settings import state_directory


@contextlib.contextmanager
def agent_url(preferred: str) -> Iterator[str]:
    """The URL of a running agent: ``preferred`` if it answers, else that of one started here and stopped at the end."""
    try:
        httpx2.get(f"{preferred}/health", timeout=2)
    except httpx2.HTTPError:
        with _own_agent() as url:
            yield url
    else:
        yield preferred


@contextlib.contextmanager
def _own_agent() -> Iterator[str]:
    state = state_directory()
    with contextlib.ExitStack() as stack:
        if not os.environ.get("ANTHROPIC_API_KEY"):
            fake = stack.enter_context(serving(create_app(faults.FaultFile(state))))
            os.environ["AGENTGAUGE_FAKE_API"] = fake
        gauge = assembly.build_gauge(state)
        companion = assembly.build_companion(gauge, assembly.build_client(gauge), state)
        yield stack.enter_context(serving(service.Service(gauge, companion, assembly.build_door(state)).app()))
