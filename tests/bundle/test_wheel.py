"""From the wheel alone: built, installed in an empty environment, and run where no repository is at hand."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from dashboards.catalog import DASHBOARDS

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel as a release builds it."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    result = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with nothing but the wheel and what its extra asks for.

    Without a package index the packages of this environment serve, but for AgentGauge itself.
    """
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True)
    interpreter = folder / "bin" / "python"
    install = [str(interpreter), "-m", "pip", "install", "--quiet", "--retries=1", "--timeout=15"]
    if subprocess.run([*install, f"{wheel}[bundle]"], capture_output=True, check=False).returncode:
        (packages,) = folder.glob("lib/python*/site-packages")
        # A path in a .pth file is searched, but .pth files in it are not read: the checkout stays out of sight.
        (packages / "packages.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
        result = subprocess.run([*install, "--no-deps", str(wheel)], capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr
    return interpreter


def test_the_wheel_carries_the_rooms_and_nothing_that_was_rendered(wheel: Path) -> None:
    """Sources, thresholds, templates and assets; neither the demo's pages nor pictures, and no top-level `alerts`."""
    names = set(zipfile.ZipFile(wheel).namelist())
    bundled = {name.removeprefix("agentgauge/_bundle/") for name in names if "/_bundle/" in name}
    for path in (ROOT / "runbooks" / "templates").glob("*.md"):
        assert f"runbooks/templates/{path.name}" in bundled
    assert {"alerts/thresholds.yml", "alerts/templates/slack.tmpl", "runbooks/agents.js"} <= bundled
    assert {"bundle/templates/prometheus.yml", "bundle/__main__.py", "dashboards/catalog.py"} <= bundled
    assert not [name for name in bundled if name.endswith((".png", ".json")) or name.startswith("alerts/rules/")]
    assert {name.partition("/")[0] for name in names if not name.startswith("agentgauge-")} == {"agentgauge"}


def test_the_command_writes_a_whole_bundle_without_the_repository(
    python: Path, tmp_path: Path, programs: dict[str, Path]
) -> None:
    """Rules, dashboards, pages and site of another agent; the real programs load what was written."""
    where = [str(python), "-P", "-c", "import agentgauge, pathlib; print(pathlib.Path(agentgauge.__file__).parent)"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    found = subprocess.run(where, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    package = Path(found.stdout.strip())
    assert ROOT not in package.parents
    agents = ("--agent", "support_bot", "--agent", "billing_bot", "--job", "bots")
    command = [str(python.parent / "agentgauge"), "bundle", "out", *agents]
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    out = tmp_path / "out"
    assert "agentgauge ops disable-tool" in (out / "runbooks" / "AgentToolSuccessRateLow.md").read_text("utf-8")
    assert "data-agent" in (out / "site" / "AgentToolSuccessRateLow" / "index.html").read_text("utf-8")
    assert len(list((out / "dashboards").glob("*.json"))) == len(DASHBOARDS)
    for check in (
        [programs["promtool"], "check", "config", out / "prometheus.yml"],
        [programs["amtool"], "check-config", out / "alertmanager.yml"],
    ):
        checked = subprocess.run([str(word) for word in check], capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stdout + checked.stderr
