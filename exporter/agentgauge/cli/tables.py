"""Tables of rows, as people read them or as JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from datetime import datetime
from typing import Any

import typer
from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from agentgauge.cli.common import out, say
from agentgauge.incident.terminal import printable_lines

Row = Mapping[str, Any]

GAP = 2
NARROWEST = 20
"""Characters that a column of long text keeps on the narrowest terminal."""
UNLIMITED = 100_000


def shown(value: Any) -> str:
    """A value as a cell shows it."""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return "–" if value is None else str(value)


@dataclass(frozen=True)
class Column:
    """One column: ``key`` of the row, ``title``, and how a value is shown.

    Only a column that ``wraps``, or is ``cut``, gets narrower on a narrow terminal: what people copy is there in full.
    ``right`` is for numbers.
    """

    key: str
    title: str
    show: Callable[[Any], str | Text] = shown
    wraps: bool = False
    cut: bool = False
    right: bool = False


def print_rows(columns: Sequence[Column], rows: Iterable[Row], *, as_json: bool, nothing: str, title: str = "") -> None:
    """Print rows as a table, as JSON with all that they hold, or ``nothing`` if there are none."""
    rows = list(rows)
    if as_json:
        print_json(rows)
    elif not rows:
        say(nothing)
    else:
        if title:
            say(title, style="bold")
        _print_table(columns, rows)


def print_json(document: Any) -> None:
    """Print a document: dataclasses as objects, points in time in ISO 8601."""
    typer.echo(json.dumps(document, indent=2, ensure_ascii=False, default=_plain))


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, set | frozenset):
        return sorted(value)
    if isinstance(value, Mapping):
        return dict(value)
    return str(value)


def print_wide(table: RenderableType, needed: int = 0) -> None:
    """Print on the width of the terminal, or on as much as is ``needed``; without a terminal, lines are never broken.

    COLUMNS limits both.
    """
    bounded = out.is_terminal or "COLUMNS" in os.environ
    # Asked now, not of ``out``: that one keeps the COLUMNS of when it was made.
    console = Console(width=max(Console().width, needed) if bounded else UNLIMITED, highlight=False)
    with console.capture() as captured:
        console.print(table)
    # Without the blanks that fill each line, so that narrow windows and diffs do not show them.
    typer.echo("\n".join(line.rstrip() for line in captured.get().splitlines()), color=True)


def _print_table(columns: Sequence[Column], rows: Sequence[Row]) -> None:
    table = Table(box=None, padding=(0, GAP, 0, 0), pad_edge=False, header_style="bold underline")
    cells = [[_cell(column, row.get(column.key)) for column in columns] for row in rows]
    needed = GAP * len(columns)
    for number, column in enumerate(columns):
        widest = max(cell_len(column.title), *(_width(row[number]) for row in cells))
        gives_way = column.wraps or column.cut
        needed += min(widest, NARROWEST) if gives_way else widest
        table.add_column(
            column.title, no_wrap=not gives_way, overflow="fold", justify="right" if column.right else "left"
        )
    for row in cells:
        table.add_row(*row)
    print_wide(table, needed)


def _cell(column: Column, value: Any) -> Text:
    shown_value = column.show(value)
    text = shown_value if isinstance(shown_value, Text) else Text(printable_lines(shown_value))
    if column.cut:
        text.no_wrap, text.overflow = True, "ellipsis"
    return text


def _width(text: Text) -> int:
    return max((cell_len(line) for line in text.plain.splitlines()), default=0)
