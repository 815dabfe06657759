"""`agentgauge bundle`: runs the program that renders rules, dashboards and runbooks, which the wheel carries along."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from typing import Any

import typer

from agentgauge.bundled import NotBundledError, bundled_folder, bundled_module
from agentgauge.cli.common import stop

app = typer.Typer(add_completion=False)


@app.command(
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def bundle(context: typer.Context) -> None:
    """Write rules, dashboards and runbooks for your agents, ready to load; `agentgauge bundle --help` says more."""
    folder = bundled_folder()
    if folder is None or find_spec("grafana_foundation_sdk") is None:
        stop('rendering the bundle needs more than is installed; run: pip install "agentgauge[bundle]"')
    path = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
    # -P: a folder `bundle` or `alerts` where the command is run must not be taken for ours.
    command = [sys.executable, "-P", "-m", "bundle", *context.args]
    raise typer.Exit(subprocess.run(command, env=os.environ | {"PYTHONPATH": path}, check=False).returncode)


def alerts_module(name: str) -> Any:
    """A module of the room `alerts`; ends the command if it is not installed."""
    try:
        return bundled_module(f"alerts.{name}")
    except NotBundledError as error:
        stop(str(error))
