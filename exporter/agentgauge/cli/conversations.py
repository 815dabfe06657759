"""The conversations behind an alert, as `agentgauge incident` shows them on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentgauge.agent_app import AppError
from agentgauge.cli.common import agent, opened_ledger
from agentgauge.cli.transcripts import answer_lines, rated_down, why
from agentgauge.incident.conversations import OF_ALERTS
from agentgauge.incident.seen import Seen

if TYPE_CHECKING:
    from agentgauge.transcripts.transcript import Transcript

MOST = 3


def behind(seen: Seen) -> list[Transcript]:
    """The newest conversations that show what the alert is about; none if the agent or its ledger cannot be had."""
    from sqlalchemy.exc import SQLAlchemyError

    from agentgauge.ledger import LedgerError
    from agentgauge.transcripts.store import Transcripts

    sought = OF_ALERTS.get(seen.alert)
    if sought is None:
        return []
    try:
        app = agent()
        if app.name != seen.agent:
            return []
        with opened_ledger(app) as ledger:
            transcripts = Transcripts(ledger, app.name).newest(sought.cause)
    except (AppError, LedgerError, SQLAlchemyError):  # the incident is there without it
        return []
    return [one for one in transcripts if sought.reason is None or rated_down([one], sought.reason)][:MOST]


def lines(seen: Seen, transcripts: list[Transcript]) -> list[str]:
    """The answers that were rated down, with the age of their data; of other causes, the sessions and the command."""
    if not transcripts:
        return []
    sought = OF_ALERTS[seen.alert]
    if sought.cause == "thumbs_down":
        return [line for one in rated_down(transcripts, sought.reason)[:MOST] for line in answer_lines(*one)]
    sessions = [f"{one.session} ({why(one.occasions[-1])})" for one in transcripts]
    return [f"conversations: {', '.join(sessions)}; `agentgauge transcripts show SESSION` prints one"]
