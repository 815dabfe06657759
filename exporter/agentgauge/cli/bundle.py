"""`agentgauge bundle`: runs the program that renders rules, dashboards and runbooks, which the wheel carries along."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import typer

from agentgauge.cli.common import stop

PACKAGE = Path(__file__).resolve().parents[1]
IN_WHEEL = PACKAGE / "_bundle"
IN_CHECKOUT = PACKAGE.parents[1]

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
    """A module of the room `alerts`, which the wheel carries along: the library itself does not know it."""
    return bundled_module(f"alerts.{name}")


def bundled_module(name: str) -> Any:
    """A module of one of the rooms that the wheel carries along."""
    folder = bundled_folder()
    if folder is None:
        stop("the alerts are not installed beside agentgauge; install it from its wheel, or run this in a checkout")
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    return import_module(name)


def bundled_folder() -> Path | None:
    """The folder that holds the rooms `bundle` and `alerts`: in the wheel, or in a checkout; None if there is none."""
    for folder in (IN_WHEEL, IN_CHECKOUT):
        if (folder / "bundle" / "__main__.py").is_file():
            return folder
    return None
