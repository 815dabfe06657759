"""What cannot be placed for anybody: sessions, other frameworks, models without an SDK. Each with the line to add."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Mapping
from pathlib import PurePosixPath

from agentgauge.starting.placing import where_models_are_asked
from agentgauge.starting.project import Project, Remark
from agentgauge.starting.source import Source

MOST_PLACES = 5

FRAMEWORKS: Mapping[str, tuple[str, str]] = {
    "langchain": (
        "give each run of a graph or a model the handler",
        "from agentgauge.adapters.langchain import callback_handler\n"
        'agent.invoke(question, config={"callbacks": [callback_handler(gauge())]})',
    ),
    "litellm": (
        "register the callback once, where the agent starts",
        "from agentgauge.adapters.litellm import callback\nlitellm.callbacks = [callback(gauge())]",
    ),
    "openai-agents": (
        "register the trace processor once, where the agent starts",
        "from agentgauge.adapters.openai_agents import trace_processor\n"
        "agents.add_trace_processor(trace_processor(gauge()))",
    ),
    "claude-agent-sdk": (
        "put `watched` around what the agent answers",
        "from agentgauge.adapters.claude_agent_sdk import watched\n"
        "async for message in watched(gauge(), query(prompt=question, options=options)):",
    ),
    "mcp": (
        "connect to MCP servers and call their tools through the adapter",
        "from agentgauge.adapters.mcp import call_tool, connected\n"
        'async with connected(gauge(), Client(url), "name_of_the_server") as client:\n'
        '    await call_tool(gauge(), client, "tool", arguments)',
    ),
}
"""Extra → what to do, and how, for adapters that need a place which only people know."""

SESSION = "with gauge().session(user_id=…) as session, session.task() as task, task.turn():"
BY_HAND = "call = gauge().llm_call(model)\ncall.finish(TokenUsage(input=…, output=…))"


def remarks(project: Project, sources: Iterable[Source], placed: Collection[str]) -> list[Remark]:
    """What is left to people in this project; ``placed`` are the extras that the plan takes care of."""
    sources = list(sources)
    found: list[Remark] = []
    for extra, (what, code) in FRAMEWORKS.items():
        place = project.imported.get(extra)
        if place is not None and extra not in placed and not uses_adapter(sources, extra):
            found.append(Remark(place.path, place.line, f"imports {extra}: {what}", code))
    found += [
        Remark(None, None, f"{extra} is among the requirements, but no file here imports it")
        for extra in sorted(project.required - project.imported.keys())
    ]
    if not project.imported:
        what = "no SDK or framework that AgentGauge has an adapter for is imported; count each call of a model yourself"
        found.append(Remark(None, None, what, BY_HAND))
    if not _opens_tasks(sources):
        found.append(_session(sources))
    return found


def _session(sources: Iterable[Source]) -> Remark:
    places = [(source.path, function, line) for source in sources for function, line in where_models_are_asked(source)]
    asked = "".join(f"\n  {path}:{line} ({function}) asks a model" for path, function, line in places[:MOST_PLACES])
    path, line = (places[0][0], places[0][2]) if len(places) == 1 else (None, None)
    text = "say where a request of a user begins and ends, around everything that it makes the agent do"
    return Remark(path, line, text + (asked if len(places) > 1 else ""), SESSION)


def _opens_tasks(sources: Iterable[Source]) -> bool:
    return any(
        isinstance(node, ast.Attribute) and node.attr in ("task", "turn")
        for source in sources
        for node in ast.walk(source.tree)
    )


def uses_adapter(sources: Iterable[Source], extra: str) -> bool:
    """Whether a file imports the adapter of this extra already."""
    module = f"agentgauge.adapters.{extra.replace('-', '_')}"
    return any(
        (isinstance(node, ast.ImportFrom) and node.module == module)
        or (isinstance(node, ast.Import) and any(alias.name == module for alias in node.names))
        for source in sources
        for node in ast.walk(source.tree)
    )


def written(remark: Remark) -> str:
    """A remark as lines for people."""
    where = _where(remark.path, remark.line)
    code = "".join(f"\n    {line}" for line in remark.code.splitlines())
    return f"{where}{remark.text}{':' if code else ''}{code}"


def _where(path: PurePosixPath | None, line: int | None) -> str:
    if path is None:
        return ""
    return f"{path}: " if line is None else f"{path}:{line}: "
