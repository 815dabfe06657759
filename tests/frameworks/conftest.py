"""The adapters on the real packages of their frameworks, which talk HTTP to a provider on this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from agentgauge import AgentGauge
from sample_agent.serving import serving
from tests.frameworks.provider import Provider

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # it would fetch its prices from the net when it is imported

# `make test-frameworks` has an environment with all of them; anywhere else these modules cannot even be imported.
collect_ignore_glob = [] if find_spec("openai") else ["test_*.py"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what stands in this folder."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("frameworks")


@pytest.fixture
def gauge(registry: CollectorRegistry) -> AgentGauge:
    """An agent of which nothing is known before."""
    return AgentGauge("a", registry=registry)


@pytest.fixture
def provider() -> Provider:
    """What the provider answers; a test may change it."""
    return Provider()


@pytest.fixture
def url(provider: Provider) -> Iterator[str]:
    """Where it answers."""
    with serving(provider.app()) as address:
        yield address
