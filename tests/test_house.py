"""The house: imports run one way, the library stays light, the README's example runs."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from tests.imports import ROOMS, ROOT, circles, graph, project

MAY_IMPORT = {
    "agentgauge": {"agentgauge"},
    "alerts": {"alerts", "agentgauge"},
    "dashboards": {"dashboards", "alerts", "agentgauge"},
    "bundle": {"bundle", "dashboards", "alerts", "agentgauge"},
    "sample_agent": {"sample_agent", "agentgauge"},
}
LAYERS = (
    (
        "argument_diff", "extras", "starting", "vocabulary", "json_schema", "forks", "workers", "exemplars", "boundary",
        "files", "http_guard", "http_server",
    ),
    (
        "metrics", "cells", "series", "exposition", "instruments", "own_prices", "price_list", "pricing",
        "folder_cells", "model_series", "tool", "endpoint", "in_flight", "live_set", "pushing", "web_config",
    ),
    ("ledger",),
    ("transcripts",),
    ("telemetry",),
    ("session", "body_tap"),
    ("calls", "mcp_operation", "own_metrics",),
    ("tool_decorator",),
    ("anthropic_middleware",),
    (
        "evals.history", "evals.gauges",
        "ops.control", "ops.follower", "ops.operated", "ops.operations", "ops.registration", "ops.replicas",
    ),
    ("gauge",),
    ("adapters", "cost", "autonomy", "ops"),
    ("otel",),
    ("prompts", "feedback", "evals"),
    ("agent_app", "app_loading", "bundled", "trials"),
    ("incident",),
    ("cli", "__main__"),
)  # fmt: skip  # a line for what the gauge stands on reads better than one name a line
"""The library's modules from left to right: each imports from its own layer and from those to its left."""


def test_no_modules_import_each_other() -> None:
    """Not by way of others, not for a type, not inside a function."""
    assert circles(project()) == []


def test_a_circle_is_seen_wherever_its_imports_stand(tmp_path: Path) -> None:
    """At the top, in a function, under TYPE_CHECKING, of a name or of the module."""
    (tmp_path / "room" / "inner").mkdir(parents=True)
    for name, text in {
        "__init__.py": "",
        "one.py": "from room.two import name",
        "two.py": "def f():\n    import room.inner.three",
        "inner/__init__.py": "",
        "inner/three.py": "if TYPE_CHECKING:\n    from room import one",
        "outside.py": "from room import one",
    }.items():
        (tmp_path / "room" / name).write_text(text, encoding="utf-8")
    assert circles(graph({"room": tmp_path})) == [["room.inner.three", "room.one", "room.two"]]


def test_imports_run_one_way() -> None:
    """emit → judge → show; the sample agent knows the library alone."""
    crossing = [
        f"{module} imports {other}"
        for module, others in project().items()
        for other in sorted(others)
        if _room(module) in MAY_IMPORT and _room(other) not in MAY_IMPORT[_room(module)]
    ]
    assert crossing == []


def test_the_librarys_arrows_run_to_the_left() -> None:
    """A module knows its own layer and those before it; nobody inside imports from the face, ``agentgauge``."""
    library = {module: others for module, others in project().items() if _room(module) == "agentgauge"}
    inside = {module: others for module, others in library.items() if module != "agentgauge"}
    backwards = [
        f"{module} imports {other}"
        for module, others in inside.items()
        for other in sorted(others & library.keys())
        if other == "agentgauge" or _layer(other) > _layer(module)
    ]
    assert backwards == []


def _room(module: str) -> str:
    return module.partition(".")[0]


def _layer(module: str) -> int:
    """The place of a module of the library in LAYERS; the longest name that fits decides."""
    name = module.removeprefix("agentgauge.")
    while name:
        for place, names in enumerate(LAYERS):
            if name in names:
                return place
        name = name.rpartition(".")[0]
    pytest.fail(f"{module} has no place in LAYERS of tests/test_house.py: give it one")


def test_a_metric_name_is_written_in_one_place() -> None:
    """Everything else is built from agentgauge.metrics; a rename is a Python error, not an empty panel."""
    for folder in MAY_IMPORT:
        for path in (ROOMS[folder] / folder).rglob("*.py"):
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
        for path in (ROOMS[folder] / folder).rglob("*.py"):
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


def test_examples_use_public_names_alone() -> None:
    """What a customer would copy: names that a module of the library lists in ``__all__``, and no other room."""
    for path in (ROOT / "examples").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in MAY_IMPORT:
                offered = getattr(importlib.import_module(str(node.module)), "__all__", ())
                private = {alias.name for alias in node.names} - set(offered)
                assert not private, f"{path.relative_to(ROOT)}:{node.lineno} imports {private} of {node.module}"
