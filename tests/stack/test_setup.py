"""The very first step on a fresh machine: what is missing is one clear line."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from stack.layout import ROOT


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """As much of a fresh clone as the set-up touches."""
    (tmp_path / "stack").mkdir()
    for name in ("setup.sh", "install.sh"):
        shutil.copy(ROOT / "stack" / name, tmp_path / "stack")
    shutil.copy(ROOT / "requirements.lock", tmp_path)
    return tmp_path


def set_up(clone: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the set-up as make does."""
    command = ["/bin/sh", "stack/setup.sh"]
    return subprocess.run(command, cwd=clone, env=os.environ | env, capture_output=True, text=True, check=False)


def programs(clone: Path, **scripts: str) -> str:
    """A PATH that holds only these programs and the shell's own."""
    folder = clone / "bin"
    folder.mkdir()
    for name, script in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    for name in ("dirname", "rm", "grep", "tail", "touch"):
        found = shutil.which(name)
        assert found
        (folder / name).symlink_to(found)
    return str(folder)


def test_a_python_that_is_too_old_is_said(clone: Path) -> None:
    """With the way to name another one."""
    result = set_up(clone, PATH=programs(clone, python3="exit 1"))
    assert result.returncode == 1
    assert result.stderr == "error: Python 3.11 or newer is needed and not on PATH (set PYTHON=/path/to/python3)\n"


def test_a_python_without_venv_is_said_with_the_package_to_install(clone: Path) -> None:
    """Debian splits venv off."""
    no_venv = f'case "$*" in *venv*) exit 1;; *) exec {sys.executable} "$@";; esac'
    result = set_up(clone, PATH=programs(clone, python3=no_venv))
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].endswith("on Debian and Ubuntu: apt-get install python3-venv")


def test_no_network_is_said(clone: Path) -> None:
    """pip's own last error, and the question to ask."""
    nowhere = {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "0"}
    result = set_up(clone, PYTHON=sys.executable, PIP_NO_CACHE_DIR="1", PIP_FIND_LINKS="", **nowhere)
    assert result.returncode == 1
    said = result.stderr.splitlines()[-1]
    assert said.startswith("error: pip could not install requirements.lock (ERROR: ")
    assert "is the package index reachable?" in said
    assert not (clone / ".venv" / "ready").exists()
