"""The gate on a deploy: one make target, and the workflow that runs it."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path
from typing import Any

import yaml
from typer.testing import CliRunner

from agentgauge.cli.root import app as agentgauge

ROOT = Path(__file__).parents[3]


def test_the_target_is_a_command_that_exists(tmp_path: Path) -> None:
    """With what CI reads afterwards, and room for a candidate."""
    (tmp_path / ".venv").mkdir()
    for name in ("requirements.lock", "pyproject.toml", "stack/setup.sh", "stack/install.sh", ".venv/ready"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    command = [
        "make",
        "--no-print-directory",
        "--dry-run",
        "-f",
        str(ROOT / "Makefile"),
        "deploy-check",
        "EVAL=--model claude-haiku-5-5",
    ]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    said = result.stdout.strip().splitlines()[-1]
    python, _, module, *arguments = shlex.split(said)
    assert (python, module) == (".venv/bin/python", "agentgauge")
    assert arguments[:2] == ["eval", "run"]
    assert {"--junit", "--json-file", "--model"} <= set(arguments)
    understood = CliRunner().invoke(agentgauge, [*arguments, "--tag", "nonsense"])
    assert "has the tag 'nonsense'" in understood.stderr


def test_the_workflow_runs_the_target_and_keeps_its_results() -> None:
    """The memory is restored before, and kept only by what was deployed."""
    document: dict[str, Any] = yaml.safe_load((ROOT / ".github" / "workflows" / "deploy-check.yml").read_text("utf-8"))
    steps = document["jobs"]["evaluate"]["steps"]
    runs = [step["run"] for step in steps if "run" in step]
    assert [shlex.split(run)[:2] for run in runs] == [["make", "deploy-check"]]
    used = [step.get("uses", "").partition("@")[0] for step in steps]
    order = ["actions/cache/restore", "", "actions/cache/save", "actions/upload-artifact"]
    assert [name for name in used if name in order] == order
    (keep,) = [step for step in steps if "upload-artifact" in step.get("uses", "")]
    assert (keep["if"], keep["with"]["path"]) == ("always()", ".stack/evals")
