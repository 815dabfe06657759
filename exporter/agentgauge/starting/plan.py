"""What `agentgauge init` would change in a project, and what it leaves to people, with the lines to add."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from agentgauge.starting import advice, files, frameworks, placing
from agentgauge.starting.home import MODULE, Home, best_home, home_of, import_line
from agentgauge.starting.names import Names, names_of
from agentgauge.starting.placing import Placement
from agentgauge.starting.project import Project, ProjectError, Remark
from agentgauge.starting.pyproject import PyprojectError, app_in, with_app
from agentgauge.starting.source import Source, SourceError, with_insertions

THRESHOLDS = PurePosixPath("monitoring/thresholds.yml")
RECORD_TOOLS = frozenset({"claude-agent-sdk", "langchain", "openai-agents", "pydantic-ai"})
"""Adapters that see the tools themselves: a decorator would count them twice."""
OWN_CLIENTS = frozenset({"openai-agents", "pydantic-ai"})
"""Frameworks that are given clients of the SDKs, and are watched themselves."""


@dataclass(frozen=True)
class Change:
    """A file before and after; ``before`` is None for a new one."""

    path: PurePosixPath
    before: bytes | None
    after: bytes


@dataclass(frozen=True)
class Plan:
    """``changes`` may be written as they are; ``remarks`` are for people. ``app`` is what `agentgauge --app` takes."""

    name: str
    app: str
    extras: tuple[str, ...]
    changes: tuple[Change, ...]
    remarks: tuple[Remark, ...]


@dataclass(frozen=True)
class _File:
    source: Source
    names: Names
    placements: tuple[Placement, ...]


def plan(project: Project, name: str | None = None, too_old: Mapping[str, str] | None = None) -> Plan:
    """Decide what to add; reads nothing but ``project``.

    ``name`` is the agent's, instead of the project's. ``too_old`` is extra → why its package as installed cannot be
    instrumented. Raises ProjectError if an `agentgauge_app.py` of somebody else is in the way.
    """
    agent = name or project.name
    understood = [(source, names_of(source.tree)) for source in project.sources if source.path.stem != MODULE]
    by_hand = [
        Remark(source.path, line, "instrumented already: this makes an AgentGauge")
        for source, names in understood
        for line in placing.gauges(source, names)
    ]
    tools = _tools(project)
    cannot = {**_not_certain(project), **(too_old or {})}
    if by_hand:
        cannot = dict.fromkeys(("anthropic", "openai", "pydantic-ai"), "the project has a gauge of its own")
    found = [_File(source, names, tuple(placing.clients(source, names, cannot))) for source, names in understood]
    if not by_hand:
        found = _with_frameworks(_with_tools(project, found, tools))
    home = _home(project, found)
    changes, remarks = _changed_files(project, home, found)
    if not by_hand:
        changes = [*_own_files(project, home, agent, tools), *changes]
        pyproject, of_pyproject = _pyproject(project, home)
        changes, remarks = [*changes, *pyproject], [*remarks, *of_pyproject]
    extras = tuple(sorted({*project.imported, "cli", "ledger"}))
    placed = {one.extra for file in found for one in file.placements}
    more = advice.remarks(project, [file.source for file in found], placed)
    return Plan(agent, home.app, extras, tuple(changes), (*by_hand, *project.unread, *remarks, *more))


def _not_certain(project: Project) -> dict[str, str]:
    """Extra → why its clients are not touched: a call that two adapters see is counted twice."""
    watched = sorted(OWN_CLIENTS & project.imported.keys())
    if not watched:
        return {}
    why = f"it may serve {' or '.join(watched)}, whose own adapter counts its calls (both would count them twice)"
    return {"anthropic": why, "openai": why}


def _tools(project: Project) -> dict[str, Mapping[str, object] | None]:
    """The tools that the project describes to models, by name."""
    described: dict[str, Mapping[str, object] | None] = {}
    for source in project.sources:
        for tool in placing.described_tools(source):
            described[tool.name] = described.get(tool.name) or tool.schema
    return described


def _with_tools(project: Project, found: list[_File], tools: Iterable[str]) -> list[_File]:
    """With decorators for the functions that carry out tools, where the name leaves only one function."""
    if RECORD_TOOLS & project.imported.keys() or not {"anthropic", "openai"} & project.imported.keys():
        return found
    functions = [list(placing.tool_functions(file.source, file.names, set(tools))) for file in found]
    times = Counter(name for ones in functions for name, _ in ones)
    return [
        _File(file.source, file.names, (*file.placements, *(one for name, one in ones if times[name] == 1)))
        for file, ones in zip(found, functions, strict=True)
    ]


def _with_frameworks(found: list[_File]) -> list[_File]:
    """With what a framework needs once in the project, where only one place can be meant."""
    files = [(file.source, file.names) for file in found]
    once = frameworks.once(files)
    return [
        _File(file.source, file.names, (*file.placements, *(one for path, one in once if path == file.source.path)))
        for file in found
    ]


def _home(project: Project, found: list[_File]) -> Home:
    """Where `agentgauge_app.py` is, or where it goes."""
    there = [source for source in project.sources if source.path.stem == MODULE]
    if not there:
        return best_home(project, [file.source for file in found if any(one.is_certain for one in file.placements)])
    home = home_of(project, there[0])
    names = names_of(there[0].tree).used
    if home.path != there[0].path or not {"app", "gauge"} <= names:
        raise ProjectError(
            f"{there[0].path} is there already and has no `app` and `gauge()`; give it another name and run this again"
        )
    return home


def _changed_files(project: Project, home: Home, found: list[_File]) -> tuple[list[Change], list[Remark]]:
    changes, remarks = [], []
    for file in found:
        source = file.source
        left = [one for one in file.placements if not one.is_certain]
        placed = [one for one in file.placements if one.is_certain]
        line = import_line(project, home, source, file.names)
        known = f"from {home.module} import gauge" if line is None else line
        statements = "".join(f"\n{one.statement}" for one in placed if one.statement)
        below = [known, *_imports(placed, file.names), statements]
        why = "" if line is not None else "it cannot be told from where this file would import agentgauge_app"
        if placed and line is not None:
            put = placing.import_insertion(source, list(filter(None, below)), min(one.line for one in placed))
            insertions = [one.insert for one in placed if one.insert is not None]
            if put is None:
                why = "no import stands above it on a line of its own"
            else:
                try:
                    changes.append(Change(source.path, source.data, with_insertions(source, [put, *insertions])))
                    placed = []
                except SourceError as error:
                    why = str(error)
        for one in (*left, *placed):
            code = "\n".join(filter(None, [known, *_imports([one], file.names), one.code]))
            remarks.append(Remark(source.path, one.line, f"not changed: {one.why or why}. Where it fits, add", code))
    return changes, remarks


def _imports(placements: Iterable[Placement], names: Names) -> list[str]:
    """The imports that these need besides that of the gauge, and that the file does not have."""
    wanted: dict[str, set[str]] = {}
    needed: dict[str, None] = {}
    for one in placements:
        needed |= dict.fromkeys(one.needs)
        if one.function and not names.known(f"{one.adapter}.{one.function}"):
            name = placing.name_of(names, one.adapter, one.function)
            written = one.function if name == one.function else f"{one.function} as {name}"
            wanted.setdefault(one.adapter, set()).add(written)
    adapters = [f"from {module} import {', '.join(sorted(functions))}" for module, functions in sorted(wanted.items())]
    return [*needed, *adapters]


def _own_files(
    project: Project, home: Home, agent: str, tools: Mapping[str, Mapping[str, object] | None]
) -> list[Change]:
    """The files that the project does not have yet."""
    new = {home.path: files.app_module(agent, tools), THRESHOLDS: files.thresholds(agent)}
    return [Change(path, None, text.encode()) for path, text in new.items() if not project.has(path)]


def _pyproject(project: Project, home: Home) -> tuple[list[Change], list[Remark]]:
    path = PurePosixPath("pyproject.toml")
    try:
        app = app_in(project.pyproject)
        if app == home.app:
            return [], []
        if app is not None:
            return [], [Remark(path, None, f"names the app {app!r} already; `agentgauge` takes that one")]
        return [Change(path, project.pyproject, with_app(project.pyproject, home.app))], []
    except PyprojectError as error:
        return [], [Remark(path, None, f"not changed: {error}. Add", f'[tool.agentgauge]\napp = "{home.app}"')]
