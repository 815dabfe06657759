"""JSON and TOML that may hold anything: what cannot be used is one ValueError that says where."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

MAX_BYTES = 64 << 20
"""Of a JSON file; recorded answers of a model are the largest."""


def read_json(path: Path) -> Any:
    """What is in a JSON file. Raises OSError, and ValueError with file and line if it is not JSON in UTF-8.

    NaN and the infinities are no JSON, though Python's own reader takes them.
    """
    with path.open("rb") as opened:
        data = opened.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ValueError(f"{path.name}:1: the file: is larger than {MAX_BYTES >> 20} MiB")
    return parse_json(data, path.name)


def parse_json(data: bytes, file: str, line: int = 1) -> Any:
    """What JSON says; ``file`` is how errors name it, ``line`` where in it the data begins. Raises ValueError."""
    try:
        return json.loads(data.decode("utf-8"), parse_constant=_refuse)
    except json.JSONDecodeError as error:
        raise ValueError(f"{file}:{line + error.lineno - 1}: the file: is not valid JSON: {error.msg}") from None
    except UnicodeDecodeError as error:
        at = line + data.count(b"\n", 0, error.start)
        raise ValueError(f"{file}:{at}: the file: is not UTF-8 text; save it as UTF-8") from None
    except RecursionError:
        raise ValueError(f"{file}:{line}: the file: is nested too deep; make it flatter") from None
    except ValueError as error:  # a number with thousands of digits, or one that is none
        raise ValueError(f"{file}:{line}: the file: {error}") from None


def parse_toml(data: bytes) -> dict[str, Any]:
    """What a TOML file says; raises ValueError if it is not TOML in UTF-8."""
    try:
        return tomllib.loads(data.decode("utf-8-sig"))
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def table_of(document: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    """The table that these names lead to; an empty one if something else stands there."""
    there: Any = document
    for name in names:
        there = there.get(name) if isinstance(there, Mapping) else None
    return there if isinstance(there, Mapping) else {}


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a number that can be used here; write a finite one")
