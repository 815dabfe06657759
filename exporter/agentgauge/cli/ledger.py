"""The ledger as a whole: into a file, and back from it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agentgauge.cli.common import agent, group, opened_ledger, say

app = group("ledger")


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A new file; only its owner will be able to read it.")],
) -> None:
    """Write all of the ledger into one file, while agents go on working with it."""
    from agentgauge.ledger.backup import back_up

    with opened_ledger(agent()) as ledger:
        rows = back_up(ledger, file)
    say(f"wrote {file}; rows: {rows}, bytes: {file.stat().st_size}")
    say("it holds user ids and what users wrote; keep it as you keep the ledger")


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `agentgauge ledger backup` wrote.")],
) -> None:
    """Put a backup into the agent's ledger, which must be empty, while no agent runs on it."""
    from agentgauge.ledger.backup import restore as put_back

    with opened_ledger(agent()) as ledger:
        rows = put_back(file, ledger)
    say(f"restored {file}; rows: {rows}")
    say("start the agents, and check what people decided: agentgauge approvals verify")
