"""`agentgauge check`: looks at what runs, and says what is missing between the agent's calls and the page."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from agentgauge.agent_app import AppError
from agentgauge.cli.bundle import alerts_module
from agentgauge.cli.common import REFUSED, AsJson, agent_if_named, say, secret_in, stop
from agentgauge.cli.tables import print_json
from agentgauge.ops.fetching import NoAnswerError, shown
from agentgauge.ops.prometheus import Prometheus
from agentgauge.ops.setup_check import (
    TIMEOUT_SECONDS,
    Finding,
    Scrape,
    check_agent,
    check_alertmanager,
    check_declared,
    check_prometheus,
    has_worked,
    read_scrape,
)

MARKS = {"ok": "✓", "missing": "✗", "not_yet": "…"}
LOOK_AGAIN_SECONDS = 1.0
METRICS = "http://127.0.0.1:9464/metrics"

app = typer.Typer(add_completion=False)


@app.command()
def check(
    url: Annotated[str, typer.Argument(help="The agent's metrics.")] = METRICS,
    prometheus: Annotated[
        str | None, typer.Option(envvar="AGENTGAUGE_PROMETHEUS", help="URL of Prometheus, to ask it too.")
    ] = None,
    alertmanager: Annotated[str | None, typer.Option(help="URL of Alertmanager, to ask it too.")] = None,
    password_file: Annotated[
        Path | None, typer.Option(help="File with the password of the agent's metrics, if they have one.")
    ] = None,
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait until the agent answers and has worked.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Say what is missing between the agent's calls and the page that they should bring; changes nothing.

    Send the agent a request first, or while this waits.
    """
    scrape = _scraped(url, None if password_file is None else secret_in(password_file), wait, quiet=as_json)
    findings = [finding for agent in scrape.agents() for finding in check_agent(scrape, agent)]
    findings += _declared(scrape, at_default=url == METRICS)
    if prometheus is not None:
        names = [alert.name for alert in alerts_module("catalog").ALERTS]
        findings += check_prometheus(Prometheus(prometheus, TIMEOUT_SECONDS), scrape.agents(), names)
    if alertmanager is not None:
        findings += check_alertmanager(alertmanager, alerts_module("areas.stack").WATCHDOG)
    if as_json:
        print_json(findings)
    else:
        several = len(scrape.agents()) > 1
        for finding in findings:
            whose = f"{finding.agent}: " if several and finding.agent else ""
            say(f"{MARKS[finding.verdict]} {whose}{finding.about}" + (f": {finding.to_do}" if finding.to_do else ""))
        if prometheus is None or alertmanager is None:
            say("", "Prometheus and Alertmanager are asked as well with --prometheus and --alertmanager.")
    if any(finding.verdict == "missing" for finding in findings):
        raise typer.Exit(REFUSED)


def _declared(scrape: Scrape, *, at_default: bool) -> list[Finding]:
    """What the agent of this folder says of itself, if there is one; another one's endpoint may be asked by its URL."""
    try:
        declared = agent_if_named()
    except AppError as error:
        return [Finding("missing", "the agent's app can be loaded", str(error))]
    if declared is None or not (at_default or declared.name in scrape.agents()):
        return []
    return check_declared(scrape, declared.name, declared.tools)


def _scraped(url: str, password: str | None, wait: float, *, quiet: bool) -> Scrape:
    """The agent's metrics, once it has worked or the time is over."""
    end = time.monotonic() + wait
    if wait and not quiet:
        say(f"waiting up to {wait:g} s for the agent to work: send it a request")
    while True:
        try:
            scrape = read_scrape(url, password)
        except NoAnswerError as error:
            if time.monotonic() >= end:
                stop(f"{error}; start the agent, which calls gauge.serve(), or give the URL of its metrics")
        else:
            if not scrape.agents():
                stop(
                    f"{shown(url)} shows no agent of AgentGauge: if another program has the port, give the agent "
                    "a free one, and its URL here"
                )
            if all(has_worked(scrape, agent) for agent in scrape.agents()) or time.monotonic() >= end:
                return scrape
        time.sleep(LOOK_AGAIN_SECONDS)
