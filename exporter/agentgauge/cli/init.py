"""`agentgauge init`: looks at the repository of an agent, shows what it would add, and writes that after a yes."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from agentgauge.cli.common import REFUSED, refuse, say, stop
from agentgauge.starting.advice import written
from agentgauge.starting.files import PORT
from agentgauge.starting.plan import THRESHOLDS, Plan, plan
from agentgauge.starting.project import ProjectError, look
from agentgauge.starting.versions import too_old
from agentgauge.starting.writing import WriteError, changed_in_git, diff, write

NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}")

app = typer.Typer(add_completion=False)


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of the agent's project.")] = Path(),
    name: Annotated[str | None, typer.Option(help="The agent's name; default: that of the project.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Write without asking.")] = False,
    dry_run: Annotated[bool, typer.Option(help="Show what would be added, and write nothing.")] = False,
    allow_dirty: Annotated[bool, typer.Option(help="Also change files that have uncommitted changes.")] = False,
) -> None:
    """Add AgentGauge to the agent in DIR: show the changes as a diff, and write them after a yes.

    Nothing of the project is imported or run. What cannot be placed for certain is listed with file, line and the
    code to add.
    """
    if name is not None and not NAME.fullmatch(name):
        stop(f"--name {name}: write it with letters, digits, '_', '-' and '.'")
    try:
        project = look(folder)
        planned = plan(project, name, too_old(project.imported))
    except ProjectError as error:
        stop(str(error))
    if planned.changes:
        sys.stdout.write(diff(planned.changes))
        say("")
    _say_remarks(planned)
    if not planned.changes:
        say("there is nothing to do: what can be placed for certain is in place")
        return
    if dry_run:
        return
    dirty = [] if allow_dirty else changed_in_git(folder, planned.changes)
    if dirty:
        refuse(
            f"nothing was written: {', '.join(map(str, dirty))} has changes that are not committed; "
            "commit or stash them first, or say --allow-dirty"
        )
    if not yes and not _agreed(len(planned.changes)):
        say("nothing was written")
        raise typer.Exit(REFUSED)
    try:
        write(folder, planned.changes)
    except WriteError as error:
        stop(str(error))
    say(f"wrote {', '.join(str(change.path) for change in planned.changes)}", "", "next:")
    say(*(f"  {number}. {step}" for number, step in enumerate(_steps(planned), 1)))


def _say_remarks(planned: Plan) -> None:
    if planned.remarks:
        say("left to you:", "")
        for remark in planned.remarks:
            say(written(remark), "")


def _agreed(files: int) -> bool:
    if not sys.stdin.isatty():
        say("--yes writes it")
        return False
    return typer.confirm(f"write these {files} files?" if files > 1 else "write this file?")


def _steps(planned: Plan) -> list[str]:
    metrics = f"127.0.0.1:{PORT}"
    return [
        f'pip install "agentgauge[{",".join(planned.extras)}]", and put it among the requirements of the agent',
        f"run the agent and send it a request; its metrics are at http://{metrics}/metrics",
        "agentgauge check",
        f"agentgauge bundle monitoring --agent {planned.name} --app {planned.app} --target {metrics} "
        f'--thresholds {THRESHOLDS} (it needs: pip install "agentgauge[bundle]")',
    ]
