"""The generated dashboards against the types that Grafana publishes for the version we run."""

from __future__ import annotations

import copy
import json
import pkgutil
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from grafana_foundation_sdk import models

from alerts import links
from tests import npm
from tests.dashboards.boards import GENERATED

ROOT = Path(__file__).resolve().parents[2]
TYPES = Path(__file__).with_name("types")

BROKEN: dict[str, Callable[[dict[str, Any]], object]] = {
    "a kind of panel that does not exist": lambda board: _panel(board, "stat").update(type="stats"),
    "an option that no panel of this kind has": lambda board: _panel(board, "stat")["options"].update(
        colourMode="value"
    ),
    "a value that an option cannot have": lambda board: _panel(board, "timeseries")["options"]["legend"].update(
        placement="left"
    ),
    "a setting of lines that does not exist": lambda board: _panel(board, "timeseries")["fieldConfig"]["defaults"][
        "custom"
    ].update(lineWith=2),
    "a panel without a place": lambda board: _panel(board, "table")["gridPos"].pop("w"),
    "a variable with a misspelt setting": lambda board: board["templating"]["list"][1].update(includeall=True),
}
"""What the check must find, so that it is known to look."""


def _panel(board: dict[str, Any], kind: str) -> dict[str, Any]:
    return next(panel for panel in board["panels"] if panel["type"] == kind)


@pytest.fixture(scope="module")
def project() -> Path:
    """A folder with Grafana's types and a compiler, as the lock file has them."""
    return npm.installed(TYPES, "dashboard-types")


def test_every_dashboard_is_what_grafana_says_a_dashboard_is(project: Path) -> None:
    """One run of the compiler: over all dashboards, and over broken ones that it must refuse."""
    source = 'import type { Dashboard } from "./grafana";\n'
    for name, board in GENERATED.items():
        source += f"export const {name.replace('-', '_')}: Dashboard = {json.dumps(board, indent=2)};\n"
    for index, (what, break_) in enumerate(BROKEN.items()):
        board = copy.deepcopy(GENERATED[links.OVERVIEW])
        break_(board)
        source += f"// @ts-expect-error {what}\nexport const broken{index}: Dashboard = {json.dumps(board)};\n"
    (project / "dashboards.ts").write_text(source, encoding="utf-8")
    compiler = project / "node_modules" / "typescript" / "bin" / "tsc"
    result = subprocess.run(["node", compiler, "-p", project], capture_output=True, text=True, check=False)
    unused = re.findall(r"dashboards\.ts\((\d+),\d+\): error TS2578", result.stdout)
    assert [source.splitlines()[int(number) - 1] for number in unused] == [], "the types do not find this"
    assert result.returncode == 0, result.stdout


def test_the_types_are_those_of_the_grafana_that_runs_in_containers() -> None:
    """An image of another version is checked against its own types."""
    image = re.search(r"grafana/grafana:(\S+)", (ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    package = json.loads((TYPES / "package.json").read_text(encoding="utf-8"))
    assert image
    assert package["devDependencies"]["@grafana/schema"] == image[1]


def test_the_sdk_has_dashboards_in_the_classic_form_alone() -> None:
    """docs/tried.md gives it as the reason why schema v2 is missing: with an SDK that has it, the reason is gone."""
    assert "pinned Foundation SDK has no models" in (ROOT / "docs" / "tried.md").read_text(encoding="utf-8")
    forms = {one.name for one in pkgutil.iter_modules(models.__path__) if re.fullmatch(r"dashboard(v\d\w*)?", one.name)}
    assert forms == {"dashboard"}
