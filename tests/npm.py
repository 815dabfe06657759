"""Packages of npm that a test judges by: installed as their lock file says, once, and kept."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from stack.layout import HOME


def installed(project: Path, name: str) -> Path:
    """A copy of the files of a project, with its packages installed; the test is skipped where there is no npm."""
    if shutil.which("npm") is None:
        pytest.skip(f"npm is not on PATH: {name} cannot be installed (on Debian and Ubuntu: apt-get install npm)")
    folder = HOME / name
    folder.mkdir(parents=True, exist_ok=True)
    ready, wanted = folder / "installed.json", (project / "package-lock.json").read_text(encoding="utf-8")
    for file in project.iterdir():
        shutil.copy(file, folder)
    if not ready.exists() or ready.read_text(encoding="utf-8") != wanted:
        command = ["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"]
        result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert result.returncode == 0, f"npm ci failed; is the package registry reachable?\n{result.stderr}"
        ready.write_text(wanted, encoding="utf-8")
    return folder
