"""The versions of the prompts: what there is, what is in force, and the way there and back."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from agentgauge.cli.common import open_ledger, out, stop
from agentgauge.ledger import Ledger
from agentgauge.prompts.activations import Activation, NothingBeforeError, PromptActivations
from agentgauge.prompts.library import PromptError, Prompts, difference
from sample_agent import assembly

app = typer.Typer(no_args_is_help=True, help="Versions of the prompts: list, read, compare, activate, roll back.")

Version = Annotated[str, typer.Argument(help="For example v2, as `prompts list` shows.")]
By = Annotated[str, typer.Option(envvar="USER", help="Who does it.")]
Reason = Annotated[str, typer.Option(help="Why; kept with the change.")]


@app.command("list")
def list_versions() -> None:
    """List the versions, and when each was last put in force, by whom and why."""
    with open_ledger() as ledger:
        history = _activations(ledger).history()
    last = {activation.version: activation for activation in history}
    table = Table("version", "", "activated", "by", "reason")
    for version in assembly.prompt_library().versions():
        activation = last.get(version)
        mark = "in force" if history and history[-1].version == version else ""
        if activation is None:
            table.add_row(version, mark, "never")
        else:
            table.add_row(version, mark, f"{activation.at:%Y-%m-%d %H:%M} UTC", activation.by, activation.reason)
    out.print(table)


@app.command()
def show(version: Annotated[str | None, typer.Argument(help="Default: the one in force.")] = None) -> None:
    """Print a version: its texts, and what the model is told of each tool."""
    if version is None:
        with open_ledger() as ledger:
            active = _activations(ledger).active()
        version = active.version if active else None
    prompts = _load(version)
    for name, content in prompts.files().items():
        out.rule(f"{prompts.version}/{name}")
        out.print(content, markup=False, highlight=False, soft_wrap=True)


@app.command()
def diff(before: Version, after: Version) -> None:
    """Print what differs between two versions."""
    lines = difference(_load(before), _load(after))
    for line in lines:
        style = {"+": "green", "-": "red"}.get(line[:1])
        out.print(line, style=style, markup=False, highlight=False, soft_wrap=True)
    if not lines:
        out.print(f"{before} and {after} say the same")


@app.command()
def activate(version: Version, by: By = "unknown", reason: Reason = "") -> None:
    """Put a version in force on all replicas of the running agent, from the next request on."""
    _load(version)
    with open_ledger() as ledger:
        _say(_activations(ledger).activate(version, by, reason))


@app.command()
def rollback(by: By = "unknown", reason: Reason = "") -> None:
    """Put the version in force that was there before the present one; again: one further back."""
    with open_ledger() as ledger:
        activations = _activations(ledger)
        try:
            _load(activations.before())
            _say(activations.rollback(by, reason))
        except NothingBeforeError as error:
            stop(f"{error}; `prompts activate` takes any version that `prompts list` shows")


def _activations(ledger: Ledger) -> PromptActivations:
    return PromptActivations(ledger, assembly.AGENT)


def _load(version: str | None) -> Prompts:
    try:
        return assembly.prompt_library().load(version)
    except PromptError as error:
        stop(str(error))


def _say(activation: Activation) -> None:
    since = f"since {activation.at:%Y-%m-%d %H:%M:%S} UTC, by {activation.by}"
    said = f"prompts {activation.version} are in force {since}; a running agent takes them within seconds"
    out.print(said, markup=False, highlight=False, soft_wrap=True)
