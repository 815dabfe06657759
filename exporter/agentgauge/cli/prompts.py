"""The versions of the prompts: what there is, what is in force, and the way there and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from agentgauge.cli.common import AsJson, By, agent, group, opened_ledger, out, refuse, say
from agentgauge.cli.tables import Column, print_rows, shown

if TYPE_CHECKING:
    from agentgauge.prompts.activations import Activation

app = group("prompts")

Version = Annotated[str, typer.Argument(help="For example v2, as `prompts list` shows.")]
Reason = Annotated[str, typer.Option("--reason", "--why", help="Why; kept with the change.")]

NO_VERSIONS = (
    "there are no versions yet; create a folder v1, with the texts and tools.yml, where the agent's prompts are"
)


@app.command("list")
def list_versions(as_json: AsJson = False) -> None:
    """List the versions, and when each was last put in force, by whom and why."""
    from agentgauge.prompts.activations import PromptActivations

    app = agent()
    versions = app.prompt_library().versions()
    with opened_ledger(app) as ledger:
        history = PromptActivations(ledger, app.name).history()
    last = {activation.version: activation for activation in history}
    rows = []
    for version in versions:
        one = last.get(version)
        rows.append(
            {
                "version": version,
                "in_force": bool(history) and history[-1].version == version,
                "activated_at": one.at if one else None,
                "by": one.by if one else "",
                "reason": one.reason if one else "",
            }
        )
    columns = [
        Column("version", "version"),
        Column("in_force", "", lambda in_force: "in force" if in_force else ""),
        Column("activated_at", "activated (UTC)", lambda at: "never" if at is None else shown(at)),
        Column("by", "by"),
        Column("reason", "reason", wraps=True),
    ]
    print_rows(columns, rows, as_json=as_json, nothing=NO_VERSIONS)


@app.command()
def show(version: Annotated[str | None, typer.Argument(help="Default: the one in force.")] = None) -> None:
    """Print a version: its texts, and what the model is told of each tool."""
    from agentgauge.prompts.activations import PromptActivations

    app = agent()
    library = app.prompt_library()
    if version is None:
        with opened_ledger(app) as ledger:
            active = PromptActivations(ledger, app.name).active()
        version = active.version if active else None
    prompts = library.load(version)
    for name, content in prompts.files().items():
        out.rule(f"{prompts.version}/{name}")
        say(content)


@app.command()
def diff(before: Version, after: Version) -> None:
    """Print what differs between two versions."""
    from agentgauge.prompts.library import difference

    library = agent().prompt_library()
    lines = difference(library.load(before), library.load(after))
    for line in lines:
        say(line, style={"+": "green", "-": "red"}.get(line[:1]))
    if not lines:
        say(f"{before} and {after} say the same")


@app.command()
def activate(version: Version, by: By = "unknown", reason: Reason = "") -> None:
    """Put a version in force on all replicas of the running agent, from the next request on."""
    from agentgauge.prompts.activations import PromptActivations

    app = agent()
    app.prompt_library().load(version)
    with opened_ledger(app) as ledger:
        _say(PromptActivations(ledger, app.name).activate(version, by, reason))


@app.command()
def rollback(by: By = "unknown", reason: Reason = "") -> None:
    """Put the version in force that was there before the present one; again: one further back."""
    from agentgauge.prompts.activations import NothingBeforeError, PromptActivations

    app = agent()
    library = app.prompt_library()
    with opened_ledger(app) as ledger:
        activations = PromptActivations(ledger, app.name)
        active = activations.active()
        older = library.version_before(active.version) if active else None
        try:
            library.load(activations.before(older))
            _say(activations.rollback(by, reason, older))
        except NothingBeforeError as error:
            refuse(f"{error}; `agentgauge prompts activate` takes any version that `agentgauge prompts list` shows")


def _say(activation: Activation) -> None:
    since = f"since {activation.at:%Y-%m-%d %H:%M:%S} UTC, by {activation.by}"
    say(f"prompts {activation.version} are in force {since}; a running agent takes them within seconds")
