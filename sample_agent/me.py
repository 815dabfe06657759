"""Who talks to the agent from a command of the demo."""

from __future__ import annotations

from agentgauge.autonomy.people import People, TokenError
from agentgauge.autonomy.permission import Person
from agentgauge.cli.common import stop
from sample_agent.settings import state_directory


def my_token() -> str:
    """AGENTGAUGE_TOKEN, or that of the owner of the state folder; ends the command if neither can be used."""
    return _me()[1]


def my_name() -> str:
    """Whose token that is; ends the command as ``my_token`` does."""
    return _me()[0].name


def _me() -> tuple[Person, str]:
    try:
        return People.of(state_directory()).me()
    except TokenError as error:
        stop(str(error))
