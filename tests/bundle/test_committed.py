"""What is committed is what the bundle is for the demo."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from alerts import docs, thresholds
from alerts.deployment import DEMO
from bundle.files import bundle_files
from bundle.generate import ROOT, committed, generate

COPIED = ("alerts", "dashboards/generated", "runbooks", "exporter", "README.md")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of everything that `make generate` writes."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, tmp_path / name)
    return tmp_path


def test_generating_changes_nothing(copy: Path) -> None:
    """Rules, dashboards, pages, configuration, and tables are committed as generated."""
    assert [str(path.relative_to(copy)) for path in generate(copy)] == []


def test_the_committed_bundle_is_whole_and_holds_nothing_else() -> None:
    """A rule file, dashboard or page that the bundle no longer has is removed, too."""
    rendered = {committed(name) for name in bundle_files(DEMO, thresholds.load())}
    folders = ("alerts/rules/*.yml", "alerts/templates/*.tmpl", "dashboards/generated/*.json", "runbooks/*.md")
    there = {str(path.relative_to(ROOT)) for pattern in folders for path in ROOT.glob(pattern)}
    assert rendered == there | {"alerts/prometheus.yml", "alerts/alertmanager.yml"}


def test_one_number_moves_rule_panel_fact_box_and_table_together(copy: Path) -> None:
    """The promise of thresholds.yml."""
    path = copy / "alerts" / "thresholds.yml"
    text = path.read_text(encoding="utf-8")
    path.write_text(
        text.replace("threshold: {value: 5, unit: seconds", "threshold: {value: 10, unit: seconds"), "utf-8"
    )
    changed = {str(path.relative_to(copy)) for path in generate(copy)}
    assert changed == {
        "alerts/rules/tools.yml",
        "dashboards/generated/tools.json",
        "runbooks/AgentToolLatencyHigh.md",
        "runbooks/index.md",
        "README.md",
    }


def test_generated_files_say_from_what(copy: Path) -> None:
    """Nobody edits them by hand twice."""
    for path in (copy / "alerts" / "rules").glob("*.yml"):
        assert path.read_text(encoding="utf-8").startswith("# Generated from alerts/")
    for path in (copy / "runbooks").glob("*.md"):
        assert f"<!-- Rendered from runbooks/templates/{path.name}: edit that" in path.read_text(encoding="utf-8")


def test_a_page_without_markers_is_named(copy: Path) -> None:
    """The error shows the two lines to put in."""
    (copy / "README.md").write_text("# AgentGauge\n", encoding="utf-8")
    with pytest.raises(docs.MissingBlockError, match=r"README\.md needs the lines\n<!-- generated: alerts"):
        generate(copy)
