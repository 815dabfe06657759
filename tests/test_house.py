"""The house: imports run one way, the library stays light, the README's example runs."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
OURS = {"agentgauge", "alerts", "bundle", "dashboards", "sample_agent", "stack"}
MAY_IMPORT = {
    "exporter/agentgauge": {"agentgauge"},
    "alerts": {"alerts", "agentgauge"},
    "dashboards": {"dashboards", "alerts", "agentgauge"},
    "bundle": {"bundle", "dashboards", "alerts", "agentgauge"},
    "sample_agent": {"sample_agent", "agentgauge"},
}


LIFTABLE = ("autonomy", "cost", "evals", "feedback")
"""Parts of the sample agent that another agent could take as they are, with the two modules on files beside them."""


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and module of every import of a file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_imports_run_one_way(folder: str) -> None:
    """emit → judge → show; the sample agent knows the library alone."""
    for path in (ROOT / folder).rglob("*.py"):
        for line, name in imports(path):
            root = name.partition(".")[0]
            assert root not in OURS - MAY_IMPORT[folder], f"{path.relative_to(ROOT)}:{line} imports {name}"


@pytest.mark.parametrize("part", LIFTABLE)
def test_a_part_that_can_be_lifted_knows_nothing_of_sales(part: str) -> None:
    """It imports itself, the library and the two modules on files."""
    own = (f"sample_agent.{part}.", "agentgauge.files.yaml_file.", "agentgauge.files.watched_file.")
    for path in (ROOT / "sample_agent" / part).rglob("*.py"):
        for line, name in imports(path):
            assert not name.startswith("sample_agent.") or name.startswith(own), f"{path.name}:{line} imports {name}"


def test_a_metric_name_is_written_in_one_place() -> None:
    """Everything else is built from agentgauge.metrics; a rename is a Python error, not an empty panel."""
    for folder in MAY_IMPORT:
        for path in (ROOT / folder).rglob("*.py"):
            if path.name != "metrics.py":
                for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                    if isinstance(node, ast.Constant) and isinstance(node.value, str):
                        assert not _is_metric_name(node.value), f"{path.relative_to(ROOT)}:{node.lineno}: {node.value}"


def test_a_closed_set_of_words_is_written_in_one_place() -> None:
    """Whoever lists steps, reasons, risks … takes them from agentgauge.vocabulary."""
    from agentgauge import vocabulary

    sets = {name: set(values) for name, values in vars(vocabulary).items() if isinstance(values, tuple)}
    assert {"STEPS", "TOKEN_KINDS", "REASONS", "RISKS", "CACHE_RESULTS"} <= set(sets)
    for folder in MAY_IMPORT:
        for path in (ROOT / folder).rglob("*.py"):
            if path.name != "vocabulary.py":
                for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                    elements = node.elts if isinstance(node, ast.Tuple | ast.List | ast.Set) else []
                    words = {one.value for one in elements if isinstance(one, ast.Constant)}
                    again = [name for name, values in sets.items() if values <= words]
                    assert not again, f"{path.relative_to(ROOT)} writes {again} again"


def _is_metric_name(text: str) -> bool:
    from agentgauge import metrics

    try:
        metrics.by_name(text)
    except KeyError:
        return False
    return True


def test_importing_the_library_loads_nothing_heavy() -> None:
    """Prices, the SDK and HTTP clients are loaded when an agent starts, not when the module is imported."""
    heavy = [
        "anthropic",
        "genai_prices",
        "httpx2",
        "psycopg",
        "pydantic",
        "requests",
        "sqlalchemy",
        "starlette",
        "yaml",
    ]
    code = f"import sys, agentgauge; print([name for name in {heavy} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_the_public_names_are_the_documented_ones() -> None:
    """Push back hard: does this need to be public?"""
    import agentgauge

    assert set(agentgauge.__all__) == {
        "AgentApp", "AgentGauge", "LLMCall", "MetricsServer", "Session", "SessionLimits", "Task", "TokenUsage", "Tool",
        "ToolCall",
        "carry_session", "llm_step", "metrics_app", "serve_metrics",
    }  # fmt: skip  # one list reads better than one name a line
