"""Who talks to the agent from a command of the demo."""

from __future__ import annotations

from agentgauge.autonomy.people import People, TokenError
from agentgauge.cli.common import stop
from sample_agent.settings import state_directory


def my_token() -> str:
    """AGENTGAUGE_TOKEN, or that of the owner of the state folder; ends the command if neither can be used."""
    try:
        return People.of(state_directory()).me()[1]
    except TokenError as error:
        stop(str(error))
