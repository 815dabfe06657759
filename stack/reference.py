"""``python -m stack.reference``: the reference pages of the docs, written from the code."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import typer

from agentgauge import metrics
from agentgauge.cli.root import app as root_app
from agentgauge.metrics import Label, MetricSpec
from alerts import thresholds
from alerts.catalog import ALERTS
from alerts.docs import alert_table
from alerts.rules import render
from bundle.__main__ import app as bundle_app
from stack import drill_results, walks
from stack.chaos import results as chaos_results
from stack.chaos.rows import ROWS
from stack.drill import SCENES
from stack.load import results as load_results
from stack.load import rules as load_rules

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "reference"

PACKAGES = (
    "agentgauge",
    "agentgauge.autonomy",
    "agentgauge.cost",
    "agentgauge.evals",
    "agentgauge.feedback",
    "agentgauge.files",
    "agentgauge.ledger",
    "agentgauge.ops",
    "agentgauge.transcripts",
    "agentgauge.prompts",
)
"""The packages whose ``__all__`` is public. All but the first are provisional."""

GENERATED = "<!-- Generated from the code by `make generate`; do not edit. -->\n\n"


def generate(folder: Path = FOLDER) -> list[Path]:
    """Bring every reference page up to date; returns those that changed."""
    changed = []
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            changed.append(path)
    return changed


def pages() -> dict[str, str]:
    """File name → Markdown of each reference page."""
    made = {
        "metrics.md": _metrics(),
        "alerts.md": _alerts(),
        "commands.md": _commands(),
        "python.md": _python(),
        "drill.md": _drill(),
        "incidents.md": walks.page(drill_results.load()),
        "../scaling.md": load_results.page(load_results.load()) + load_rules.section(load_rules.load()),
        "../chaos.md": chaos_results.page([(row.name, row.what) for row in ROWS], chaos_results.load()),
    }
    return {name: f"{GENERATED}{text.rstrip()}\n" for name, text in made.items()}


def _metrics() -> str:
    lines = [
        "# Metrics",
        "",
        "Every series carries the label `agent` besides those listed. Base units: seconds, USD, tokens. Every label is",
        "bounded; a value beyond the bound is counted as `other`.",
        "",
        "| metric | type | labels | meaning | bucket boundaries |",
        "|---|---|---|---|---|",
    ]
    return "\n".join([*lines, *(_metric_row(spec) for spec in metrics.ALL)])


def _metric_row(spec: MetricSpec) -> str:
    labels = "; ".join(_label(label) for label in spec.labels) or "–"
    buckets = ", ".join(f"{bucket:g}" for bucket in spec.buckets) or "–"
    return f"| `{spec.name}` | {spec.kind} | {labels} | {spec.help} | {buckets} |"


def _label(label: Label) -> str:
    match label.bound:
        case "closed" if len(label.values) <= 8:
            bound = ", ".join(label.values)
        case "closed":
            bound = f"one of {len(label.values)}"
        case "tools":
            bound = "registered tools"
        case "models":
            bound = "models with a price, and configured ones"
        case "servers":
            bound = "registered MCP servers"
        case "first":
            bound = f"at most {label.limit}"
    return f"`{label.name}`: {bound}"


def _alerts() -> str:
    rendered = render(thresholds.load())
    severities = (
        "**critical** pages now, a person acts within minutes. **warning** is for the same day. **info** is context "
        "and notifies nobody. **none** is the dead-man switch."
    )
    parts = ["# Alerts", severities, alert_table(rendered, "https://runbooks.example/")]
    table = "\n\n".join(parts)
    for alert in ALERTS:  # the runbooks are a site of their own, at the address that you give `agentgauge bundle`
        table = table.replace(f"[`{alert.name}`](https://runbooks.example/{alert.name}.md)", f"`{alert.name}`")
    return table


def _commands() -> str:
    root = typer.main.get_command(root_app)
    lines = [
        "# Commands",
        "",
        "`agentgauge` finds your agent by `--app my_agent:app`, by `AGENTGAUGE_APP`, or by `app` in the table",
        "`[tool.agentgauge]` of `pyproject.toml`. Exit status 0: done; 1: the answer is no, or something failed; 2: it",
        "could not run.",
    ]
    commands = (("bundle", typer.main.get_command(bundle_app)),)  # a program beside the library: it has its own options
    return "\n".join([*lines, *_command(root, "agentgauge", dict(commands))])


def _command(command: Any, name: str, instead: Mapping[str, Any] = {}) -> Iterator[str]:
    """A section for each command below this one; those named in ``instead`` are described by another parser."""
    context = typer.Context(command, info_name=name)
    if hasattr(command, "list_commands"):
        for sub in command.list_commands(context):
            below = instead.get(sub) or command.resolve_command(context, [sub])[1]
            if not below.hidden:
                yield from _command(below, f"{name} {sub}")
        return
    yield from ("", f"## {name}", "", *_paragraphs(command.help or ""))
    options = [one for one in command.params if not getattr(one, "hidden", False) and one.name != "help"]
    if options:
        yield from ("", "| argument or option | |", "|---|---|")
        yield from (_option(one) for one in options)


def _option(option: Any) -> str:
    if option.param_type_name == "argument":
        shown = f"`{option.metavar or option.name.upper()}`"
    else:
        shown = ", ".join(f"`{one}`" for one in (*option.opts, *option.secondary_opts))
    text = " ".join((getattr(option, "help", None) or "").split())
    return f"| {shown} | {text.replace('|', '/')} |"


def _paragraphs(text: str) -> list[str]:
    return inspect.cleandoc(text).replace("\f", "").splitlines()


def _drill() -> str:
    rows = [(drill.alert, drill.what) for scene in SCENES for drill in scene.drills]
    return drill_results.page(rows, drill_results.load())


def _python() -> str:
    parts = [
        "# Python",
        "What is listed here is public. Everything but the package `agentgauge` itself is provisional: it may change "
        "between minor versions, and the changelog says how.",
    ]
    for package in PACKAGES:
        module = importlib.import_module(package)
        parts.append(f"## {package}")
        parts.append("\n".join(_paragraphs(module.__doc__ or "")))
        parts += [_name(package, name, getattr(module, name)) for name in getattr(module, "__all__", ())]
    return "\n\n".join(parts)


def _name(package: str, name: str, value: Any) -> str:
    lines = [f"### {package}.{name}"]
    if not (inspect.isclass(value) or inspect.isfunction(value)):
        lines.append(f"```python\n{name} = {str(value).replace('typing.', '').replace('collections.abc.', '')}\n```")
        return "\n\n".join(lines)
    lines.append(f"```python\n{name}{_signature(value)}\n```")
    lines.append("\n".join(_paragraphs(value.__doc__ or "")))
    if inspect.isclass(value):
        lines += list(_methods(value))
    return "\n\n".join(lines)


def _methods(value: type) -> Iterator[str]:
    for name, method in vars(value).items():
        function = method.__func__ if isinstance(method, classmethod | staticmethod) else method
        if name.startswith("_") or not (inspect.isfunction(function) or isinstance(method, property)):
            continue
        if not function.__doc__:
            continue
        first = _paragraphs(function.__doc__)[0]
        yield f"* `{name}{'' if isinstance(method, property) else _signature(function)}`: {first}"


def _signature(value: Any) -> str:
    """The parameters as they are written, such as ``(name: str, port: int = 9464) -> Server``."""
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError):
        return ""
    # pydantic shows what it makes of an annotation, validators at their addresses included.
    written = _annotations_as_written(value) if hasattr(value, "model_fields") else {}
    parameters, keywords_only = [], False
    for one in signature.parameters.values():
        if one.name in ("self", "cls"):
            continue
        if one.kind is one.KEYWORD_ONLY and not keywords_only:
            keywords_only = True
            parameters.append("*")
        parameters.append(_parameter(one.replace(annotation=written.get(one.name, one.annotation))))
    returned = signature.return_annotation
    arrow = "" if returned in (signature.empty, None, "None") else f" -> {_annotation(returned)}"
    return f"({', '.join(parameters)}){arrow}"


def _annotations_as_written(model: type) -> dict[str, str]:
    return {
        name: text for one in reversed(model.__mro__) for name, text in vars(one).get("__annotations__", {}).items()
    }


def _parameter(one: inspect.Parameter) -> str:
    stars = "*" if one.kind is one.VAR_POSITIONAL else "**" if one.kind is one.VAR_KEYWORD else ""
    text = f"{stars}{one.name}"
    if one.annotation is not one.empty:
        text += f": {_annotation(one.annotation)}"
    if one.default is not one.empty:
        # What only an object at an address stands for says nothing on a page.
        text += f" = {'…' if '<' in repr(one.default) else repr(one.default).replace('PosixPath', 'Path')}"
    return text


def _annotation(annotation: Any) -> str:
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)


if __name__ == "__main__":
    for path in generate():
        sys.stdout.write(f"wrote {path.resolve().relative_to(ROOT)}\n")
