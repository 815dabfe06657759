"""What is in a repository: its Python files, its name, the packages that it imports and those that it requires."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from agentgauge.files.data_file import parse_toml, table_of
from agentgauge.starting.source import Source, SourceError, parse

SKIPPED = frozenset(
    {"__pycache__", "build", "dist", "env", "node_modules", "site-packages", "test", "tests", "venv", "virtualenv"}
)
"""Folders without code of the agent; so are those that begin with a dot, and virtual environments of any name."""

LARGEST_BYTES = 1_000_000
MOST_FILES = 5_000

FRAMEWORKS: Mapping[str, str] = {
    "agents": "openai-agents",
    "anthropic": "anthropic",
    "claude_agent_sdk": "claude-agent-sdk",
    "langchain": "langchain",
    "langchain_core": "langchain",
    "langgraph": "langchain",
    "litellm": "litellm",
    "mcp": "mcp",
    "openai": "openai",
    "pydantic_ai": "pydantic-ai",
}
"""Module that a file imports → the extra of agentgauge that has its adapter."""

DISTRIBUTIONS: Mapping[str, str] = {
    **{extra: extra for extra in FRAMEWORKS.values()},
    "langchain-core": "langchain",
    "langgraph": "langchain",
    "pydantic-ai-slim": "pydantic-ai",
}
"""Name on the package index → that extra."""


class ProjectError(Exception):
    """A folder that nothing can be set up in; the message says why, and what to do."""


@dataclass(frozen=True)
class Remark:
    """Something to tell of a place in the project, and the code to add there, if any."""

    path: PurePosixPath | None
    line: int | None
    text: str
    code: str = ""


@dataclass(frozen=True)
class Place:
    """Where something stands."""

    path: PurePosixPath
    line: int


@dataclass(frozen=True)
class Project:
    """A repository. ``imported`` is extra → where its framework is first imported; ``pyproject`` is None if missing."""

    root: Path
    name: str
    sources: tuple[Source, ...]
    unread: tuple[Remark, ...]
    imported: Mapping[str, Place]
    required: frozenset[str]
    pyproject: bytes | None

    def source(self, path: PurePosixPath) -> Source | None:
        """The file of this path."""
        return next((source for source in self.sources if source.path == path), None)

    def has(self, path: PurePosixPath) -> bool:
        """Whether there is such a file or folder."""
        return (self.root / path).exists()


def look(root: Path) -> Project:
    """Read the repository in this folder; nothing is imported or run. Raises ProjectError if it has no Python file."""
    if not root.is_dir():
        raise ProjectError(f"{root} is not a folder")
    sources, unread = [], []
    try:
        for path in _python_files(root):
            relative = PurePosixPath(path.relative_to(root).as_posix())
            try:
                sources.append(parse(relative, path.read_bytes()))
            except SourceError as error:
                unread.append(Remark(relative, error.line, f"left as it is: {error}"))
            except OSError as error:
                unread.append(Remark(relative, None, f"left as it is: {error.strerror}"))
        pyproject = _bytes(root / "pyproject.toml")
    except OSError as error:
        raise ProjectError(f"{error.filename or root} cannot be read: {error.strerror}") from None
    if not sources and not unread:
        raise ProjectError(f"{root} has no Python file; run this in the folder of the agent's project")
    table = _project_table(pyproject)
    return Project(
        root,
        _name(table.get("name"), root),
        tuple(sources),
        tuple(unread),
        _imported(root, sources),
        frozenset(_required(root, table)),
        pyproject,
    )


def imports_of(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Name and line of each module that is imported, wherever the import stands; relative ones are left out."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module, node.lineno


def _python_files(root: Path) -> Iterator[Path]:
    count = 0
    for folder, folders, files in os.walk(root):
        here = Path(folder)
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and name not in SKIPPED and not (here / name / "pyvenv.cfg").exists()
        )
        for name in sorted(files):
            if not name.endswith(".py") or name.startswith("test_") or name.endswith(("_test.py", "conftest.py")):
                continue
            path = here / name
            if path.is_file() and path.stat().st_size <= LARGEST_BYTES:
                count += 1
                if count > MOST_FILES:
                    raise ProjectError(
                        f"{root} has more than {MOST_FILES} Python files; run this in the folder of the agent itself"
                    )
                yield path


def _imported(root: Path, sources: list[Source]) -> dict[str, Place]:
    first: dict[str, Place] = {}
    for source in sources:
        for name, line in imports_of(source.tree):
            top = name.partition(".")[0]
            extra = FRAMEWORKS.get(top) or ("langchain" if top.startswith("langchain_") else None)
            if extra and extra not in first and not _is_own(root, source, top):
                first[extra] = Place(source.path, line)
    return first


def _is_own(root: Path, source: Source, top: str) -> bool:
    """Whether the project has a module of this name itself: ``agents`` is a common one."""
    folders = {root, root / "src", *((root / source.path).parents)}
    return any(
        (folder / top / "__init__.py").exists() or (folder / f"{top}.py").exists() or any((folder / top).glob("*.py"))
        for folder in folders
        if folder.is_relative_to(root)
    )


def _project_table(pyproject: bytes | None) -> Mapping[str, object]:
    try:
        return table_of(parse_toml(pyproject or b""), "project")
    except ValueError:
        return {}


def _name(given: object, root: Path) -> str:
    """The agent's name: that of the project, else of its folder, in the letters that `agentgauge bundle` takes."""
    for name in (given, root.resolve().name):
        if isinstance(name, str) and (usable := re.sub(r"[^A-Za-z0-9_.-]+", "_", name).strip("_.-")):
            return usable[:100]
    return "agent"


def _required(root: Path, table: Mapping[str, object]) -> Iterator[str]:
    """The extras of the frameworks among the requirements, in requirements*.txt and pyproject.toml."""
    lines = [line for path in sorted(root.glob("requirements*.txt")) for line in (_text(path) or "").splitlines()]
    dependencies = table.get("dependencies")
    if isinstance(dependencies, list):
        lines += [one for one in dependencies if isinstance(one, str)]
    for line in lines:
        name = re.match(r"\s*([A-Za-z0-9][\w.-]*)", line)
        extra = DISTRIBUTIONS.get(re.sub(r"[-_.]+", "-", name[1]).lower()) if name else None
        if extra:
            yield extra


def _bytes(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError):
        return None
