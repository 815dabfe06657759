"""The arguments of an action, edited in a person's own editor."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import typer
import yaml
from rich.text import Text

from agentgauge.autonomy.approvals import InvalidEditError, RiskRaisedError
from agentgauge.autonomy.edits import FieldError, edited, fields_of
from agentgauge.autonomy.showing import Piece, changes
from agentgauge.cli.common import out, stop, warn

_HEAD = "# {tool}: change it, save and close. Close it without saving to decide nothing.\n"


def edit_in_editor(
    tool: str, arguments: Mapping[str, Any], schema: Mapping[str, Any], decide: Callable[[dict[str, Any]], None]
) -> bool:
    """Edit in $EDITOR, again and again until ``decide`` takes the arguments or the person gives up; whether it did.

    ``decide`` raises FieldError, InvalidEditError or RiskRaisedError for what it does not take.
    """
    texts = {field.name: field.text for field in fields_of(arguments, schema)}
    document = _HEAD.format(tool=tool) + yaml.dump(texts, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
    while edited_document := _edited_by_hand(document):
        document = edited_document
        try:
            new = edited(arguments, _texts_in(document), schema)
            show_changes(arguments, new)
            if typer.confirm("Let it happen so?"):
                decide(new)
                return True
        except (FieldError, InvalidEditError, RiskRaisedError) as error:
            warn(f"error: {error}")
        if not typer.confirm("Edit it again?"):
            break
    return False


def show_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """Print what an edit changes, field by field."""
    for change in changes(before, after):
        out.print(Text(f"\n{change.field}, edited", "bold"))
        out.print(Text.assemble(*(_marked(piece) for piece in change.pieces)), soft_wrap=True)


def _edited_by_hand(document: str) -> str | None:
    """The document as $VISUAL or $EDITOR leaves it; None if it was not saved, or emptied."""
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    with tempfile.TemporaryDirectory(prefix="agentgauge-") as folder:
        path = Path(folder) / "arguments.yml"
        path.write_text(document, encoding="utf-8")
        before = path.stat().st_mtime_ns
        os.utime(path, ns=(before, before - 2_000_000_000))  # or an editor that is quick leaves the same time
        try:
            subprocess.run([*shlex.split(editor), str(path)], check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            stop(f"the editor {editor!r} failed ({error}); set EDITOR to another, or use --set FIELD=VALUE")
        if path.stat().st_mtime_ns == before - 2_000_000_000:
            return None
        return path.read_text(encoding="utf-8")


def _marked(piece: Piece) -> tuple[str, str]:
    """A piece of a diff that can be told without colour, too."""
    match piece.kind:
        case "removed":
            return f"[-{piece.text}-]", "red"
        case "added":
            return f"{{+{piece.text}+}}", "green"
    return piece.text, ""


class _Dumper(yaml.SafeDumper):
    """Writes a text of several lines as these lines."""


_Dumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None),
)


def _texts_in(document: str) -> dict[str, str]:
    try:
        texts = yaml.load(document, Loader=yaml.BaseLoader)  # noqa: S506 - it makes texts of everything
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise FieldError("the file", f"is not YAML: {line}{error.problem or error.context}") from None
    except (yaml.YAMLError, ValueError, LookupError, ArithmeticError, RecursionError) as error:  # PyYAML stumbles
        raise FieldError("the file", f"is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(texts, dict):
        raise FieldError("the file", "expected lines of the form `field: value`")
    for name, text in texts.items():
        if not isinstance(text, str):
            raise FieldError(name, "expected a text; a list is one with an entry on each line, after `|`")
    return texts
