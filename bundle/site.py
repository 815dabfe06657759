"""The runbooks as a static site that loads nothing from outside."""

from __future__ import annotations

import html
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from shutil import copytree, rmtree

from alerts.deployment import Deployment
from alerts.rules import RenderedAlert
from bundle.pages import AGENT_MARK, COMMAND_MARK, render_pages

RUNBOOKS = Path(__file__).resolve().parent.parent / "runbooks"
ASSETS = ("site.css", "agents.js")


class SiteError(RuntimeError):
    """The site cannot be built; the message holds mkdocs' own first complaint."""


def build_site(deployment: Deployment, rendered: list[RenderedAlert], target: Path) -> None:
    """Write the site into ``target``, replacing what is there; raises SiteError and TemplateError."""
    pages = render_pages(deployment, rendered, marked=len(deployment.agents) > 1)
    assets = {name: (RUNBOOKS / name).read_text(encoding="utf-8") for name in ASSETS}
    with tempfile.TemporaryDirectory(prefix="agentgauge-site-") as folder:
        docs, built = Path(folder, "docs"), Path(folder, "site")
        docs.mkdir()
        for name, text in (pages | assets).items():
            (docs / name).write_text(text, encoding="utf-8")
        _mkdocs(Path(folder), built)
        _put_in_agents(deployment, built)
        if target.exists():
            rmtree(target)
        copytree(built, target)


def _mkdocs(folder: Path, built: Path) -> None:
    config = folder / "mkdocs.yml"
    config.write_text((RUNBOOKS / "mkdocs.yml").read_text(encoding="utf-8"), encoding="utf-8")
    # Without --quiet: it hides the warnings from --strict as well.
    command = [sys.executable, "-P", "-m", "mkdocs", "build", "--strict", "-f", str(config), "-d", str(built)]
    env = os.environ | {"NO_MKDOCS_2_WARNING": "1"}  # an advertisement on stderr, where errors go
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=env)
    if result.returncode:
        lines = result.stderr.strip().splitlines()
        problem = next((line for line in lines if line.startswith(("WARNING", "ERROR"))), lines[-1])
        raise SiteError(f"the runbook site does not build: {problem}")


def _put_in_agents(deployment: Deployment, built: Path) -> None:
    """Replace the marks in what mkdocs wrote: in pages by elements for agents.js, in the search index by names."""
    agent = deployment.agents[0]
    command = deployment.command(agent)
    for path in [*built.rglob("*.html"), *built.rglob("*.json")]:
        text = path.read_text(encoding="utf-8")
        if AGENT_MARK in text or COMMAND_MARK in text:
            page = path.suffix == ".html"
            text = text.replace(AGENT_MARK, f"<span data-agent>{html.escape(agent)}</span>" if page else agent)
            text = text.replace(COMMAND_MARK, f"<span data-command>{html.escape(command)}</span>" if page else command)
            path.write_text(text, encoding="utf-8")
