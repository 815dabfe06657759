"""Who decides at a terminal: the person whose token AGENTGAUGE_TOKEN holds, or the owner of the state folder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from agentgauge.agent_app import AgentApp
from agentgauge.cli.common import stop

if TYPE_CHECKING:
    from agentgauge.autonomy.permission import Person


def me(app: AgentApp) -> Person:
    """Who decides; ends the command if that cannot be said."""
    from agentgauge.autonomy.people import People, TokenError

    try:
        return People.of(app.state).me()[0]
    except TokenError as error:
        stop(str(error))


def people_of(app: AgentApp) -> Mapping[str, Person]:
    """Everybody who can log in, by name; ends the command if the file of them cannot be used."""
    from agentgauge.autonomy.people import People, TokenError

    try:
        return People.of(app.state).all()
    except TokenError as error:
        stop(str(error))
