"""A Python file as it is on disk: its bytes, encoding and line ends are kept when something is put into it."""

from __future__ import annotations

import ast
import io
import re
import tokenize
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
"""A line as Python's tokenizer counts them: form feeds and the separators of Unicode do not end one."""


class SourceError(Exception):
    """A file that is not Python, or cannot be read as text; ``line`` is where, if that is known."""

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True)
class Source:
    """A parsed file. ``path`` is relative to the project; ``newline`` is what ends its first line."""

    path: PurePosixPath
    data: bytes
    lines: tuple[str, ...]
    encoding: str
    newline: str
    tree: ast.Module


@dataclass(frozen=True)
class Insertion:
    """Text that goes in before a character: ``line`` counts from 1, ``column`` in bytes of UTF-8, as ``ast`` does."""

    line: int
    column: int
    text: str


def parse(path: PurePosixPath, data: bytes) -> Source:
    """Read a file; raises SourceError if it has a syntax error or is not text in the encoding that it names."""
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        text = data.decode(encoding)
        tree = _tree(text)
    except SyntaxError as error:
        raise SourceError(f"Python cannot read it: {error.msg}", error.lineno) from None
    except (UnicodeDecodeError, LookupError, ValueError, RecursionError, MemoryError) as error:
        raise SourceError(f"it cannot be read as Python: {error}") from None
    lines = tuple(_LINE.findall(text))
    ends = re.search(r"\r\n|\r|\n", text)
    return Source(path, data, lines, encoding, ends[0] if ends else "\n", tree)


def with_insertions(source: Source, insertions: Sequence[Insertion]) -> bytes:
    """The bytes of the file with these texts put in, in their order where they share a place.

    ``\\n`` in them becomes the file's own line end. Raises SourceError if the result would not be Python.
    """
    lines = [line.encode() for line in source.lines]
    if lines and not lines[-1].endswith((b"\n", b"\r")) and any(one.line > len(lines) for one in insertions):
        lines[-1] += source.newline.encode()
    lines.append(b"")
    ordered = sorted(insertions, key=lambda one: (one.line, one.column))
    for one in reversed(ordered):  # from the end, so that what comes before stays where it was
        line = lines[one.line - 1]
        added = one.text.replace("\n", source.newline).encode()
        lines[one.line - 1] = line[: one.column] + added + line[one.column :]
    text = b"".join(lines).decode()
    try:
        _tree(text)
        return text.encode(source.encoding)
    except (SyntaxError, UnicodeEncodeError) as error:
        raise SourceError(f"what would be added cannot stand there: {error}") from None


def _tree(text: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of escapes that Python will refuse one day: its own run says so
        return ast.parse(text)
