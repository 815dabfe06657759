"""What the agent of these tests says of itself, for `agentgauge --app operated_app:app` in this folder."""

from __future__ import annotations

import os
from pathlib import Path

from agentgauge.agent_app import AgentApp, Tool


def app() -> AgentApp:
    """The agent of ``agent.py``, on the ledger and in the state folder that the test names."""
    state = Path(os.environ["OPERATED_STATE"])
    return AgentApp("a", os.environ["OPERATED_LEDGER"], tools=[Tool("get_deals", risk="low")], state=state)
