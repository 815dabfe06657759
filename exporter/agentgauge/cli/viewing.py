"""`eval view` and `eval export`: the runs of the evaluations as pages on this machine, and as files for other tools."""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import Annotated, Literal

import typer

from agentgauge.agent_app import AgentApp, AppError
from agentgauge.cli.common import agent, opened_ledger, refuse, say, stop
from agentgauge.cli.evaluating import suite_name
from agentgauge.evals.exporting import as_inspect, as_promptfoo
from agentgauge.evals.history import EvalHistory
from agentgauge.evals.scenario import Scenario, ScenarioError
from agentgauge.files.private_file import write_private


def view(
    port: Annotated[int, typer.Option(min=1, max=65535, help="On loopback; nobody else reaches it.")] = 8031,
) -> None:
    """Show runs, scenarios, transcripts, the trend and the difference of two runs in a browser, until Ctrl-C."""
    from agentgauge import http_server
    from agentgauge.evals.view import view_app

    app = agent()
    token = secrets.token_urlsafe(24)
    with opened_ledger(app) as ledger:
        served = view_app(EvalHistory(ledger, app.name), app.name, token, lambda *named: demanded(app, *named))
        say(f"http://127.0.0.1:{port}/?token={token}", "open that in a browser on this machine; Ctrl-C ends it")
        http_server.run(served, "127.0.0.1", port)


def export(
    form: Annotated[Literal["inspect", "promptfoo"], typer.Option("--format", help="The tool that shall read it.")],
    file: Annotated[Path, typer.Option("--out", help="The file to write.")],
    suite: Annotated[str | None, typer.Option(help="Name of the suite; default: the only one.")] = None,
    run: Annotated[
        str | None, typer.Option(help="Id of the run, as `eval history --json` has it; default: the last.")
    ] = None,
) -> None:
    """Write a run with its transcripts as a log of Inspect AI, or as results that `promptfoo import` takes.

    The file holds what was said, so only its owner can read it.
    """
    app = agent()
    name = suite_name(app, suite)
    with opened_ledger(app) as ledger:
        history = EvalHistory(ledger, app.name)
        meant = [one for one in history.runs(name) if run is None or one.id == run]
        kept = next(((one, trials) for one in meant if (trials := history.trials(one))), None)
    if kept is None:
        meant_run = "" if run is None else f" {run!r}"
        refuse(f"the suite {name} has no run{meant_run} with a trial; see `agentgauge eval history`")
    document = {"inspect": as_inspect, "promptfoo": as_promptfoo}[form](*kept)
    try:
        write_private(file, json.dumps(document, indent=2, ensure_ascii=False))
    except OSError as error:
        stop(f"{file} cannot be written: {error.strerror or error}")
    say(f"run {kept[0].id} of {name}, version {kept[0].version}: {len(kept[1])} trials in {file}")


def demanded(app: AgentApp, suite: str, name: str) -> Scenario | None:
    """What a suite demands in a scenario as it is now; None if it cannot be read, or does not have it."""
    try:
        return next((one for one in app.scenarios(suite) if one.name == name), None)
    except (AppError, ScenarioError):
        return None
