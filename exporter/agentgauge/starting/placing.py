"""Where a client, an agent or a tool of a framework is made, and what goes in there so that AgentGauge sees it.

Only what the file itself makes certain is placed; the rest becomes a remark with the line to add.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from agentgauge.starting.names import Names
from agentgauge.starting.source import Insertion, Source


@dataclass(frozen=True)
class Hook:
    """A keyword that a class takes. ``value`` has holes for the gauge and for the adapter's ``function``."""

    extra: str
    keyword: str
    value: str
    function: str = ""

    @property
    def adapter(self) -> str:
        """The module of the function."""
        return f"agentgauge.adapters.{self.extra.replace('-', '_')}"


ANTHROPIC = Hook("anthropic", "middleware", "[{gauge}().anthropic()]")
OPENAI = Hook("openai", "http_client", "{function}({gauge}())", "http_client")
OPENAI_ASYNC = Hook("openai", "http_client", "{function}({gauge}())", "async_http_client")
PYDANTIC_AI = Hook("pydantic-ai", "capabilities", "[{function}({gauge}())]", "capability")

HOOKS: Mapping[str, Hook] = {
    **{
        f"anthropic.{kind}Anthropic{cloud}": ANTHROPIC
        for kind in ("", "Async")
        for cloud in ("", "AWS", "Bedrock", "BedrockMantle", "Foundry", "GoogleCloud", "Vertex")
    },
    "openai.OpenAI": OPENAI,
    "openai.AzureOpenAI": OPENAI,
    "openai.AsyncOpenAI": OPENAI_ASYNC,
    "openai.AsyncAzureOpenAI": OPENAI_ASYNC,
    "pydantic_ai.Agent": PYDANTIC_AI,
}
"""What is called → what it takes."""


@dataclass(frozen=True)
class Placement:
    """Code to put into a file. ``insert`` is None where it cannot be placed for certain; ``why`` says the reason."""

    line: int
    code: str
    insert: Insertion | None
    adapter: str = ""
    function: str = ""
    why: str = ""
    extra: str = ""
    statement: str = ""
    """A line of its own to put below the imports, instead of ``insert``; ``needs`` are imports that it takes."""
    needs: tuple[str, ...] = ()

    @property
    def is_certain(self) -> bool:
        """Whether it may be placed."""
        return self.insert is not None or bool(self.statement)


def name_of_gauge(names: Names) -> str:
    """What the file calls, or will call, the function ``gauge``."""
    return names.name_for("agentgauge_app.gauge", "agent_gauge")


def name_of(names: Names, adapter: str, function: str) -> str:
    """The same for a function of an adapter."""
    return names.name_for(f"{adapter}.{function}", f"gauge_{function}")


def clients(source: Source, names: Names, cannot: Mapping[str, str]) -> list[Placement]:
    """What each client that the file makes needs; those that have it already are left out.

    ``cannot`` is extra → why nothing of it may be placed in this project.
    """
    found = []
    for call, in_text in calls_in(source.tree):
        hook = HOOKS.get(names.meaning(call.func) or "")
        if hook is not None:
            reason = "it stands inside an f-string" if in_text else cannot.get(hook.extra)
            found.append(_client(source, names, call, hook, reason))
    return [placement for placement in found if placement is not None]


def _client(source: Source, names: Names, call: ast.Call, hook: Hook, reason: str | None) -> Placement | None:
    function = name_of(names, hook.adapter, hook.function)
    gauge = name_of_gauge(names)
    code = f"{hook.keyword}={hook.value.format(function=function, gauge=gauge)}"
    given = next((keyword for keyword in call.keywords if keyword.arg == hook.keyword), None)
    if given is not None:
        if _is_watched(given.value, hook):
            return None
        reason = f"it has {hook.keyword}= already"
    elif any(keyword.arg is None for keyword in call.keywords):
        reason = reason or f"its **options may hold {hook.keyword}="
    elif any(isinstance(argument, ast.Starred) for argument in call.args):
        reason = reason or "its *arguments are not known here"
    insert = None if reason else _keyword_insertion(source, call, code)
    why = reason or ("" if insert else "its parentheses are not where they usually are")
    adapter = hook.adapter if hook.function else ""
    return Placement(call.lineno, code, insert, adapter, hook.function, why, hook.extra)


def _is_watched(value: ast.expr, hook: Hook) -> bool:
    """Whether the keyword's value calls the adapter: ``[…, gauge.anthropic()]``, ``http_client(gauge)``."""
    wanted = hook.function or "anthropic"
    return any(
        isinstance(node, ast.Call)
        and (
            (isinstance(node.func, ast.Name) and node.func.id.endswith(wanted))
            or (isinstance(node.func, ast.Attribute) and node.func.attr == wanted)
        )
        for node in ast.walk(value)
    )


def _keyword_insertion(source: Source, call: ast.Call, code: str) -> Insertion | None:
    """In front of the first keyword, where trailing commas do not matter; on a line of its own if that one is."""
    if call.keywords:
        first = call.keywords[0]
        before = source.lines[first.lineno - 1].encode()[: first.col_offset].decode()
        if before.strip():
            return Insertion(first.lineno, first.col_offset, f"{code}, ")
        opened = call.func.end_lineno
        if opened is None or call.args or first.lineno == opened:
            return Insertion(first.lineno, 0, f"{before}{code},\n")
        after = source.lines[opened - 1].encode()[call.func.end_col_offset :].decode().strip()
        # Right below the opening parenthesis, so that a comment stays with the argument that it is about.
        return Insertion(opened + 1 if after == "(" else first.lineno, 0, f"{before}{code},\n")
    if call.args or call.end_lineno is None or call.end_col_offset is None or call.end_lineno != call.lineno:
        return None  # what is between the parentheses may be a comment
    return Insertion(call.end_lineno, call.end_col_offset - 1, code)


def calls_in(tree: ast.AST, in_text: bool = False) -> Iterator[tuple[ast.Call, bool]]:
    """Every call, and whether it stands inside an f-string, where positions cannot be relied on."""
    for node in ast.iter_child_nodes(tree):
        inside = in_text or isinstance(node, ast.JoinedStr)
        if isinstance(node, ast.Call):
            yield node, inside
        yield from calls_in(node, inside)


def import_insertion(source: Source, lines: Collection[str], before: int) -> Insertion | None:
    """These lines after the last import at the top level that stands above the line ``before``; None without one."""
    body = source.tree.body
    for statement, following in reversed(list(zip(body, [*body[1:], None], strict=True))):
        end = statement.end_lineno
        if isinstance(statement, ast.Import | ast.ImportFrom) and end is not None and end < before:
            shares_line = following is not None and following.lineno == end
            return None if shares_line else Insertion(end + 1, 0, "".join(f"{line}\n" for line in lines))
    return None


@dataclass(frozen=True)
class ToolFound:
    """A tool that is described to a model: its name, and the JSON schema of its arguments if that is written out."""

    name: str
    schema: Mapping[str, object] | None


def described_tools(source: Source) -> Iterator[ToolFound]:
    """The dictionaries ``{"name": …, "input_schema": …}`` (Anthropic) and ``{"name": …, "parameters": …}`` (OpenAI)."""
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.Dict):
            continue
        pairs = zip(node.keys, node.values, strict=True)
        fields = {key.value: value for key, value in pairs if isinstance(key, ast.Constant)}
        name, schema = fields.get("name"), fields.get("input_schema") or fields.get("parameters")
        if isinstance(name, ast.Constant) and isinstance(name.value, str) and name.value and schema is not None:
            written = _literal(schema)
            # Other things have a name and parameters, too: a tool tells the model what it is for.
            if "description" in fields or (written is not None and "properties" in written):
                yield ToolFound(name.value, written)


def _literal(node: ast.expr) -> Mapping[str, object] | None:
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError):
        return None
    return value if isinstance(value, dict) else None


BETA_TOOLS = {"anthropic.beta_tool", "anthropic.beta_async_tool"}


def tool_functions(source: Source, names: Names, described: Collection[str]) -> Iterator[tuple[str, Placement]]:
    """The functions that carry out tools, by name: those of the SDK's runner, and those named as a described tool."""
    gauge = name_of_gauge(names)
    for node in source.tree.body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        decorated = [names.meaning(one.func if isinstance(one, ast.Call) else one) for one in node.decorator_list]
        if any(name in BETA_TOOLS for name in decorated):
            if len(decorated) > 1:
                continue  # one of them may be the gauge's
            at = node.decorator_list[0]
        elif node.name in described and not decorated:
            at = None
        else:
            continue
        line = at.lineno if at is not None else node.lineno
        code = f"@{gauge}().tool()"
        yield node.name, Placement(line, code, Insertion(line, 0, f"{code}\n"))


def where_models_are_asked(source: Source) -> Iterator[tuple[str, int]]:
    """The function (or ``the module``) and line of each call that asks a model, as far as its name shows it."""
    yield from _asked(source.tree, "the module")


def _asked(node: ast.AST, function: str) -> Iterator[tuple[str, int]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Call) and _dotted(child.func).endswith(ASKING):
            yield function, child.lineno
        inside = child.name if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) else function
        yield from _asked(child, inside)


ASKING = (
    ".messages.create",
    ".messages.stream",
    ".messages.tool_runner",
    ".completions.create",
    ".completions.parse",
    ".completions.stream",
    ".responses.create",
    ".responses.parse",
    ".responses.stream",
)


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def gauges(source: Source, names: Names) -> Iterator[int]:
    """The lines where the file makes an AgentGauge of its own."""
    for call, _ in calls_in(source.tree):
        if names.meaning(call.func) in ("agentgauge.AgentGauge", "agentgauge.gauge.AgentGauge"):
            yield call.lineno
