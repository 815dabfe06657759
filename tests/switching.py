"""What the on-call does with `ops`, for tests that need no command line."""

from __future__ import annotations

from collections.abc import Callable

from agentgauge import AgentGauge
from agentgauge.ops import switches
from agentgauge.ops.switches import Switches


def switch(gauge: AgentGauge, changed: Callable[[Switches], Switches]) -> None:
    """Switch something; a running agent with a ledger has taken it when this returns."""
    assert gauge.ledger is not None
    switches.change(gauge.ledger, gauge.agent, changed, "ann", "to see")
    gauge.refresh_from_ledger()
