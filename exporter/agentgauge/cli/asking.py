"""What the commands share that ask the running agent: every process of it that registered in the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentgauge.cli.common import refuse, warn
from agentgauge.cli.tables import Column

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentgauge.agent_app import AgentApp
    from agentgauge.ledger import Ledger
    from agentgauge.ops.asking import Answer

Why = Annotated[str, typer.Option("--why", "--reason", help="Why, for your colleagues: `agentgauge ops log` shows it.")]

WITHIN = "within 5 seconds"
"""How soon every process of an agent follows."""


def ask(app: AgentApp, ledger: Ledger, path: str) -> list[Answer]:
    """Ask each process of the agent; warns of those that do not answer, and ends the command if none is registered."""
    answers = ask_those_there_are(app, ledger, path)
    if not answers:
        refuse(
            f"no process of {app.name} is registered in its ledger; each registers with gauge.serve(…) when it starts: "
            "see that the agent runs, and on this ledger"
        )
    return answers


def ask_those_there_are(app: AgentApp, ledger: Ledger, path: str) -> list[Answer]:
    """As ``ask``, but an empty list if no process is registered."""
    from agentgauge.ops.asking import ask_each
    from agentgauge.ops.replicas import Replicas

    answers = ask_each(Replicas(ledger, app.name), path)
    for answer in answers:
        if answer.problem is not None and answer.status is None:
            warn(f"warning: {answer.replica.address} {answer.problem}")
    return answers


def with_replica(columns: Sequence[Column], answers: Sequence[Any]) -> list[Column]:
    """The columns, and one for the replica if there is more than one."""
    return [*columns, Column("replica", "replica")] if len(answers) > 1 else list(columns)
