"""A table, for a terminal and for the documentation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table as RichTable


@dataclass(frozen=True)
class Table:
    """The first column names the row; the others are figures."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[Sequence[str]]
    caption: str = ""


def printed(table: Table) -> RichTable:
    """For a terminal."""
    rich = RichTable(title=table.title, title_justify="left", caption=table.caption, caption_justify="left")
    rich.add_column()
    for column in table.columns:
        rich.add_column(column, justify="right")
    for row in table.rows:
        rich.add_row(*row)
    return rich


def markdown(table: Table) -> str:
    """For a page."""
    lines = [f"| | {' | '.join(table.columns)} |", f"|---|{'--:|' * len(table.columns)}"]
    lines += [f"| {' | '.join(row)} |" for row in table.rows]
    return f"## {table.title}\n\n" + "\n".join(lines) + f"\n\n{table.caption}\n"
