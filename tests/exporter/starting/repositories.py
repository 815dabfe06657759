"""Repositories as other people have them, set up by `agentgauge init` and then run by a Python of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from typer.testing import CliRunner, Result

from agentgauge.cli.root import app
from tests.ports import free_port

READ = """
import os, urllib.request
with urllib.request.urlopen(f"http://127.0.0.1:{os.environ['AGENTGAUGE_PORT']}/metrics") as answer:
    print(answer.read().decode())
"""
"""Appended to what a test runs: prints the metrics that the agent serves."""


def repository(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    """Write a repository; text as UTF-8 with the line ends that it has."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """Every file in it but git's own."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".git" not in path.parts
    }


def init(folder: Path, *options: str) -> Result:
    """Run `agentgauge init`."""
    return CliRunner().invoke(app, ["init", str(folder), *options])


def metrics_after(folder: Path, code: str, *, path: str = "", **variables: str) -> str:
    """Run ``code`` in the repository, with ``path`` in it to import from; returns /metrics as the agent serves it.

    It takes two seconds or so: what init wrote is to run in a fresh Python, and that loads the real SDK.
    """
    port = free_port()
    env = {**os.environ, **variables, "AGENTGAUGE_PORT": str(port), "PYTHONPATH": str(folder / path)}
    done = subprocess.run(
        [sys.executable, "-c", code + READ],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
