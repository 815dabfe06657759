"""Who imports whom among the project's modules: every import counts, also a type-only one or one inside a function."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ROOMS: Mapping[str, Path] = {
    "agentgauge": ROOT / "exporter",
    "alerts": ROOT,
    "bundle": ROOT,
    "dashboards": ROOT,
    "sample_agent": ROOT,
    "stack": ROOT,
}
"""Each top-level package of the project, and the folder that it lies in."""

Graph = Mapping[str, frozenset[str]]
"""Module → modules of the project that it imports."""


@cache
def project() -> Graph:
    """The imports among all modules of all rooms."""
    return graph({room: folder for room, folder in ROOMS.items() if (folder / room).is_dir()})


def graph(rooms: Mapping[str, Path]) -> Graph:
    """The imports among all modules of these packages; package → the folder that it lies in."""
    files = {
        _name(path.relative_to(folder)): path
        for room, folder in rooms.items()
        for path in (folder / room).rglob("*.py")
    }
    return {
        module: frozenset(_resolved(name, files) for name in _names(path)) - {module, ""}
        for module, path in files.items()
    }


def circles(imported: Graph) -> list[list[str]]:
    """Every set of modules that import each other, directly or by way of others; sorted."""
    reached = {module: _reached(module, imported) for module in imported}
    found = {
        tuple(sorted({module, *(other for other in reached[module] if module in reached[other])}))
        for module in imported
        if module in reached[module]
    }
    return [list(circle) for circle in sorted(found)]


def _reached(start: str, imported: Graph) -> set[str]:
    reached: set[str] = set()
    waiting = list(imported[start])
    while waiting:
        module = waiting.pop()
        if module not in reached:
            reached.add(module)
            waiting.extend(imported[module])
    return reached


def _name(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _names(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} is a relative import; write the module's full name"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _resolved(name: str, files: Mapping[str, Path]) -> str:
    """The module of the project that a dotted name is or lies in; empty for all others."""
    while name and name not in files:
        name = name.rpartition(".")[0]
    return name
