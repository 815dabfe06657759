"""``python -m alerts pager``."""

from __future__ import annotations

import sqlite3
import sys
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from agentgauge import http_server
from alerts import pager as pager_app
from alerts.promql import Duration

app = typer.Typer(no_args_is_help=True, add_completion=False, help="The bundle's pager.")


@app.callback()
def main() -> None:
    """The bundle's pager."""


@app.command()
def pager(
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8010,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    name: Annotated[
        list[str] | None, typer.Option(help="A host name by which Alertmanager or people ask it; repeatable.")
    ] = None,
    state: Annotated[
        Path | None, typer.Option(help="File in which it remembers; without one it forgets when it ends.")
    ] = None,
    alertmanager: Annotated[str, typer.Option(help="URL of the Alertmanager that silences for its readers.")] = "",
    escalate_after: Annotated[
        str, typer.Option(help="Print a critical alarm again that nobody has acknowledged for so long, as 15m.")
    ] = "",
    escalate_to: Annotated[str, typer.Option(help="URL to which it is posted then, as JSON.")] = "",
) -> None:
    """Receive Alertmanager's webhooks, print each page, and list what is wrong now."""
    if escalate_to and not escalate_after:
        raise typer.BadParameter("say how long to wait, with --escalate-after", param_hint="--escalate-to")
    try:
        wait = timedelta(seconds=Duration.parse(escalate_after).seconds) if escalate_after else None
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--escalate-after") from error
    try:
        served = pager_app.create_app(
            _show,
            [*pager_app.HOSTS, *(name or [])],
            state=state,
            alertmanager=alertmanager.rstrip("/"),
            escalation=pager_app.Escalation(wait, escalate_to) if wait else None,
        )
    except (sqlite3.Error, OSError) as error:
        raise typer.BadParameter(f"{state}: {error}", param_hint="--state") from error
    http_server.run(served, host, port)


def _show(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    app()
