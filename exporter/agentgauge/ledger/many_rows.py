"""Many rows in one statement, as the text and values that the database's driver takes.

SQLAlchemy would look at every value of every row, which takes longer than to write it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, Dialect, Insert


def write_rows(connection: Connection, insert: Insert, rows: Sequence[Mapping[str, Any]]) -> None:
    """Carry out an ``insert`` for each row; all rows name the same columns, two at least, and hold plain values."""
    text, in_order = _for_driver(insert, connection.dialect, tuple(rows[0]))
    connection.exec_driver_sql(text, [in_order(row) for row in rows])


@lru_cache(maxsize=64)
def _for_driver(insert: Insert, dialect: Dialect, columns: tuple[str, ...]) -> tuple[str, Any]:
    """The text, and what makes of a row the values for it: by name, or in the order of the text."""
    compiled = insert.compile(dialect=dialect, column_keys=list(columns))
    names: list[str] | None = compiled.positiontup
    return str(compiled), dict if names is None else itemgetter(*names)
