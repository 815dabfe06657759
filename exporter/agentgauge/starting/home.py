"""Where `agentgauge_app.py` goes, and how each file of the project imports it."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from agentgauge.starting.names import Names
from agentgauge.starting.project import Project, imports_of
from agentgauge.starting.source import Source

MODULE = "agentgauge_app"
GAUGE = f"{MODULE}.gauge"
HERE = PurePosixPath(".")
SRC = PurePosixPath("src")


@dataclass(frozen=True)
class Home:
    """``root`` is the folder that Python finds modules in, ``package`` the top-level package within it, or empty."""

    root: PurePosixPath
    package: str = ""

    @property
    def path(self) -> PurePosixPath:
        """The file."""
        return self.root / self.package / f"{MODULE}.py"

    @property
    def module(self) -> str:
        """Its name for files that are imported or run from ``root``."""
        return f"{self.package}.{MODULE}" if self.package else MODULE

    @property
    def app(self) -> str:
        """What `agentgauge --app` takes in the project's folder: there, the folder itself and ``src`` are looked in."""
        folders = () if self.root in (HERE, SRC) else self.root.parts
        return ".".join((*folders, self.module)) + ":app"


def home_of(project: Project, source: Source) -> Home:
    """Where this file's own modules are found."""
    folder = source.path.parent
    packages: list[str] = []
    while folder != HERE and project.has(folder / "__init__.py"):
        packages.insert(0, folder.name)
        folder = folder.parent
    if folder.parts[:1] == ("src",) and len(folder.parts) > 1:  # a package without __init__.py
        packages, folder = [*folder.parts[1:], *packages], SRC
    if packages and _imports_neighbours_as_script(project, source, folder):
        return Home(source.path.parent)
    return Home(folder, packages[0] if packages else "")


def best_home(project: Project, changed: Iterable[Source]) -> Home:
    """The package of most of the changed files, else their folder; without any, the project's only package."""
    homes = Counter(home_of(project, source) for source in changed)
    if homes:
        return max(homes, key=lambda home: (bool(home.package), homes[home]))
    packages = {home for home in (home_of(project, source) for source in project.sources) if home.package}
    usual = {home for home in packages if home.root in (HERE, SRC)}
    return usual.pop() if len(usual) == 1 else Home(HERE)


def import_line(project: Project, home: Home, source: Source, names: Names) -> str | None:
    """The line by which the file gets ``gauge``; empty if it has it, None if nothing is certain to work."""
    if names.known(GAUGE):
        return ""
    alias = names.name_for(GAUGE, "agent_gauge")
    what = "gauge" if alias == "gauge" else f"gauge as {alias}"
    own = home_of(project, source)
    if own == home and home.package:
        inside = source.path.relative_to(home.root / home.package)
        relative = [node for node in ast.walk(source.tree) if isinstance(node, ast.ImportFrom) and node.level]
        if relative:
            return f"from {'.' * len(inside.parts)}{MODULE} import {what}"
        if _is_run(source) and not _imports(source, home.package):
            return None  # run as a script, its own package may not be found
        return f"from {home.module} import {what}"
    if own.root == home.root or (home.package and _imports(source, home.package)):
        return f"from {home.module} import {what}"
    return None


def _imports(source: Source, package: str) -> bool:
    return any(name.partition(".")[0] == package for name, _ in imports_of(source.tree))


def _is_run(source: Source) -> bool:
    """Whether it has ``if __name__ == "__main__":``."""
    return any(
        isinstance(node, ast.If)
        and isinstance(node.test, ast.Compare)
        and isinstance(node.test.left, ast.Name)
        and node.test.left.id == "__name__"
        for node in source.tree.body
    )


def _imports_neighbours_as_script(project: Project, source: Source, root: PurePosixPath) -> bool:
    """Whether it imports a file beside it by its bare name, which only works where its folder is on the path."""
    tops = {name.partition(".")[0] for name, _ in imports_of(source.tree)}
    return any(
        project.has(source.path.parent / f"{top}.py")
        and not (project.has(root / top) or project.has(root / f"{top}.py"))
        for top in tops
    )
