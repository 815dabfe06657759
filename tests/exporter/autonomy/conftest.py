"""An agent with a policy of its own, on a ledger that lives by the test's clock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from agentgauge.autonomy.parts import Autonomy
from agentgauge.autonomy.policy import policy_source
from agentgauge.ledger import Ledger
from tests.clock import Clock
from tests.exporter.autonomy.policies import TOOLS, written


@pytest.fixture
def clock() -> Clock:
    """It stands still until it is told to move."""
    return Clock()


@pytest.fixture
def ledger(tmp_path: Path, clock: Clock) -> Iterator[Ledger]:
    """A new one."""
    with closing(Ledger.open(f"sqlite:///{tmp_path / 'ledger.sqlite'}", now=clock)) as opened:
        yield opened


def check(tool: str, arguments: Mapping[str, Any]) -> None:
    """Only arguments that the tool has."""
    next(one for one in TOOLS if one.name == tool).check(arguments)


@pytest.fixture
def autonomy(ledger: Ledger, tmp_path: Path) -> Autonomy:
    """The autonomy of agent ``a``; ``policies.written(tmp_path, …)`` puts another policy in force."""
    return Autonomy.on(ledger, "a", policy_source(written(tmp_path), TOOLS), check)
