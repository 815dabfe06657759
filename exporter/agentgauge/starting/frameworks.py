"""What a framework needs once in a project: a handler on its graph, a callback, a trace processor.

It is placed only where a single place can be meant: put in twice, it would count every call twice.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Sequence
from pathlib import PurePosixPath

from agentgauge.starting.advice import uses_adapter
from agentgauge.starting.names import Names
from agentgauge.starting.placing import Placement, calls_in, name_of, name_of_gauge
from agentgauge.starting.source import Insertion, Source

Files = Sequence[tuple[Source, Names]]
Placed = list[tuple[PurePosixPath, Placement]]

GRAPHS = ("langgraph.graph.StateGraph", "langgraph.graph.state.StateGraph")
READY_GRAPHS = ("langgraph.prebuilt.create_react_agent", "langchain.agents.create_agent")


def once(files: Files) -> Placed:
    """What goes into which file; nothing for a framework whose adapter the project has, or that has several places."""
    placed: Placed = []
    for extra, places in (("langchain", _graphs), ("litellm", _litellm), ("openai-agents", _agents)):
        if not uses_adapter((source for source, _ in files), extra):
            placed += _the_only_one(files, places)
    return placed


def _the_only_one(files: Files, places: Callable[[Source, Names], Iterator[Placement]]) -> Placed:
    every = [(source.path, placement) for source, names in files for placement in places(source, names)]
    return every if len(every) == 1 and every[0][1].is_certain else []


def _graphs(source: Source, names: Names) -> Iterator[Placement]:
    """Each place where a graph is compiled, so that all of its runs have the handler."""
    adapter, function = "agentgauge.adapters.langchain", "callback_handler"
    handler = f"{name_of(names, adapter, function)}({name_of_gauge(names)}())"
    code = f'.with_config({{"callbacks": [{handler}]}})'
    drawn = _graph_names(source, names)
    for call, in_text in calls_in(source.tree):
        made = names.meaning(call.func) in READY_GRAPHS
        if isinstance(call.func, ast.Attribute) and call.func.attr == "compile":
            made = made or _is_graph(call.func.value, names, drawn)
        if made and call.end_lineno is not None and call.end_col_offset is not None:
            insert = None if in_text else Insertion(call.end_lineno, call.end_col_offset, code)
            yield Placement(call.lineno, code, insert, adapter, function, extra="langchain")


def _graph_names(source: Source, names: Names) -> set[str]:
    """The names that are given a graph, and nothing else."""
    given: dict[str, list[bool]] = {}
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    given.setdefault(target.id, []).append(_is_graph(node.value, names, set()))
    return {name for name, graphs in given.items() if all(graphs)}


def _is_graph(expression: ast.expr, names: Names, drawn: set[str]) -> bool:
    """Whether it is ``StateGraph(…)``, a name of one, or a chain of its methods, which return it."""
    if isinstance(expression, ast.Name):
        return expression.id in drawn
    if isinstance(expression, ast.Subscript):
        return _is_graph(expression.value, names, drawn)
    if not isinstance(expression, ast.Call):
        return False
    if names.meaning(expression.func) in GRAPHS:
        return True
    return isinstance(expression.func, ast.Attribute) and _is_graph(expression.func.value, names, drawn)


def _litellm(source: Source, names: Names) -> Iterator[Placement]:
    """Each file that imports it; the callback belongs to the process."""
    adapter, function = "agentgauge.adapters.litellm", "callback"
    name = names.known("litellm")
    handler = f"{name_of(names, adapter, function)}({name_of_gauge(names)}())"
    has_own = any(isinstance(node, ast.Attribute) and node.attr.endswith("callbacks") for node in ast.walk(source.tree))
    for line in _imports_of(source, "litellm"):
        statement = f"{name or 'litellm'}.callbacks = [{handler}]"
        taken = has_own or (name is None and "litellm" in names.used)
        needs = () if name else ("import litellm",)
        yield Placement(
            line,
            statement,
            None,
            adapter,
            function,
            extra="litellm",
            statement="" if taken else statement,
            needs=needs,
        )


def _agents(source: Source, names: Names) -> Iterator[Placement]:
    """Each file that imports it; trace processors belong to the process."""
    adapter, function = "agentgauge.adapters.openai_agents", "trace_processor"
    adding = "agents.add_trace_processor"
    name = names.name_for(adding, "add_agents_trace_processor")
    written = "add_trace_processor" if name == "add_trace_processor" else f"add_trace_processor as {name}"
    handler = f"{name_of(names, adapter, function)}({name_of_gauge(names)}())"
    switched_off = {"set_tracing_disabled", "set_trace_processors"} & names.used
    for line in _imports_of(source, "agents"):
        statement = f"{name}({handler})"
        yield Placement(
            line,
            statement,
            None,
            adapter,
            function,
            extra="openai-agents",
            statement="" if switched_off else statement,
            needs=() if names.known(adding) else (f"from agents import {written}",),
        )


def _imports_of(source: Source, top: str) -> Iterator[int]:
    """The line below the imports that the framework's own stands among, once a file; nothing for those in functions."""
    seen = False
    for statement in source.tree.body:
        if isinstance(statement, ast.Import):
            seen = seen or any(alias.name.partition(".")[0] == top for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom):
            seen = seen or (statement.level == 0 and (statement.module or "").partition(".")[0] == top)
        elif seen:
            yield statement.lineno
            return
