"""``python -m alerts pager``."""

from __future__ import annotations

import secrets
import sqlite3
import sys
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from agentgauge import http_server
from agentgauge.agent_app import AppError
from agentgauge.app_loading import load_app
from agentgauge.autonomy.people import People, TokenError
from agentgauge.incident.place import Place
from agentgauge.ops.prometheus import Prometheus
from alerts import pager as pager_app
from alerts.pager.login import people_beside, token_beside
from alerts.promql import Duration

TIMEOUT_SECONDS = 10.0
"""For an answer of Prometheus; people wait for it."""

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
    prometheus: Annotated[
        str, typer.Option(help="URL of Prometheus; with it, each incident has a page that follows its runbook.")
    ] = "",
    app_spec: Annotated[
        str | None, typer.Option("--app", envvar="AGENTGAUGE_APP", help="The agent whose commands these pages run.")
    ] = None,
    speed: Annotated[float, typer.Option(min=1, hidden=True, help="For drills: how much faster the clocks run.")] = 1,
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
            following=_following(prometheus, app_spec, speed, state) if prometheus else None,
        )
    except (AppError, TokenError) as error:
        raise typer.BadParameter(str(error)) from error
    except (sqlite3.Error, OSError) as error:
        raise typer.BadParameter(f"{state}: {error}", param_hint="--state") from error
    http_server.run(served, host, port)


def _following(prometheus: str, app_spec: str | None, speed: float, state: Path | None) -> pager_app.Following:
    """Nobody else knows the token of a pager that remembers nothing, so its pages can only be looked at."""
    return pager_app.Following(
        Place(Prometheus(prometheus.rstrip("/"), TIMEOUT_SECONDS), app=app_spec, speed=speed),
        people_beside(state) if state else People(Path("/nobody")),
        token_beside(state) if state else secrets.token_urlsafe(),
        load_app(app_spec, Path.cwd()) if app_spec else None,
    )


def _show(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    app()
