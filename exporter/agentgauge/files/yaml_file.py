"""Reads YAML files that people edit: a mistake in one is a single line that names file, line, field and remedy.

Stricter than YAML on purpose, because these files decide what an agent may do and cost: at most 1 MiB, UTF-8, nested at
most 50 deep; no aliases, merge keys, tags or field that is given twice; numbers are finite. Keys are texts, and a date
stays the text that was written. PyYAML is imported when a file is read.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import yaml

MAX_BYTES = 1 << 20
MAX_DEPTH = 50
MAX_INTEGER = 2**63 - 1

Field = str | Sequence[str | int]
"""A field below a block: its name, or the keys and list positions that lead to it."""

_TAG = "tag:yaml.org,2002:"
_BOOLEANS = {"yes": True, "no": False, "true": True, "false": False, "on": True, "off": False}


class YamlFileError(ValueError):
    """A file says something that cannot be used; the message is one line with file, line, field and remedy."""

    def __init__(self, message: str) -> None:
        super().__init__(_on_one_line(message))


@dataclass(frozen=True)
class Block:
    """What stands at one place of a file, with its line and the keys that lead to it.

    ``value`` is a mapping of names to blocks, a list of blocks, or a plain value; ``written`` is a plain value as it
    stands in the file. ``file`` is how errors name the file, ``error_class`` what they are.
    """

    file: str
    path: tuple[str | int, ...]
    line: int
    value: Any
    written: str | None = None
    error_class: type[YamlFileError] = YamlFileError

    @property
    def name(self) -> str:
        """The field as people write it: ``tools.send_email.rules.0``."""
        return ".".join(map(str, self.path)) or "the file"

    @property
    def fields(self) -> Mapping[str, Block]:
        """The blocks of a mapping by name; raises the file's error if this is something else."""
        if not isinstance(self.value, dict):
            raise self.error((), "expected fields, as in `name: value`")
        return self.value

    @property
    def items(self) -> Sequence[Block]:
        """The blocks of a list; raises the file's error if this is something else."""
        if not isinstance(self.value, list):
            raise self.error((), "expected a list")
        return self.value

    def only(self, *known: str) -> None:
        """Refuse a mapping with other fields than these."""
        for name in self.fields:
            if name not in known:
                raise self.error(name, f"unknown field; the known ones are {', '.join(known)}")

    def block(self, name: str) -> Block:
        """The block of a field that must be there."""
        if name not in self.fields:
            raise self.error(name, "is missing")
        return self.fields[name]

    def text(self, name: str | None = None) -> str:
        """A text, of this block or of a field of it; not an empty one."""
        block = self if name is None else self.block(name)
        if not (block.written or "").strip():
            raise block.error((), "expected a text")
        return str(block.written)

    def number(self, name: str | None = None) -> Decimal:
        """A finite number, of this block or of a field of it, exactly as it is written."""
        block = self if name is None else self.block(name)
        try:
            number = Decimal(block.text())
        except InvalidOperation:
            raise block.error((), f"{block.written!r} is not a number") from None
        if not number.is_finite() or number.adjusted() > 100:
            raise block.error((), f"{block.written} is not a number that can be used here; write a finite one")
        return number

    def content(self) -> Any:
        """The same as plain Python values: dicts with text keys, lists, texts, numbers, booleans and None."""
        if isinstance(self.value, dict):
            return {name: block.content() for name, block in self.value.items()}
        return [block.content() for block in self.value] if isinstance(self.value, list) else self.value

    def laid_over(self, other: Block) -> Block:
        """A mapping with the fields of this block, and those of ``other`` that this one does not have, at every depth.

        Each field keeps its file and line. Where one of the two is not a mapping, this one stands as it is.
        """
        if not isinstance(self.value, dict) or not isinstance(other.value, dict):
            return self
        mine, theirs = self.value, other.value
        both = {name: mine[name].laid_over(theirs[name]) if name in theirs else mine[name] for name in mine}
        return replace(self, value=theirs | both)

    def error(self, field: Field, problem: str) -> YamlFileError:
        """The error that ``problem`` is in a field below; its line is that of as much of the field as there is."""
        there, missing = self, [field] if isinstance(field, str) else list(field)
        while missing:
            inner: Block | None = None
            if isinstance(there.value, dict):
                inner = there.value.get(str(missing[0]))
            elif isinstance(there.value, list) and isinstance(missing[0], int) and missing[0] < len(there.value):
                inner = there.value[missing[0]]
            if inner is None:
                break
            there = inner
            missing.pop(0)
        name = ".".join(map(str, (*there.path, *missing))) or "the file"
        return self.error_class(f"{there.file}:{there.line}: {name}: {problem}")


def read_yaml(path: Path, *, name: str | None = None, error_class: type[YamlFileError] = YamlFileError) -> Block:
    """Read a file; raises ``error_class`` if it cannot be read, and ModuleNotFoundError without PyYAML.

    ``name`` is how errors name the file; its own name by default.
    """
    import yaml

    file = path.name if name is None else name
    text = _text(path, file, error_class)
    loader = yaml.SafeLoader("")
    try:
        loader = yaml.SafeLoader(text)
        return _Builder(loader, file, error_class).build()
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        problem = f"the character U+{error.character:04X} is not allowed in YAML; remove it"
        raise error_class(f"{file}:{line}: the file: {problem}") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise error_class(f"{file}:{line}: the file: is not valid YAML: {_in_words(error)}") from None
    except (ValueError, LookupError, OverflowError) as error:
        if isinstance(error, YamlFileError):
            raise
        # PyYAML itself stumbles over some escapes and directives.
        line = loader.get_mark().line + 1
        raise error_class(f"{file}:{line}: the file: is not valid YAML: {error}") from None
    finally:
        loader.dispose()


def _text(path: Path, file: str, error_class: type[YamlFileError]) -> str:
    try:
        with path.open("rb") as opened:
            data = opened.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise error_class(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if len(data) > MAX_BYTES:
        raise error_class(f"{file}:1: the file: is larger than {MAX_BYTES >> 20} MiB; split it or shorten it")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise error_class(f"{file}:{line}: the file: is not UTF-8 text; save it as UTF-8") from None


class _Builder:
    """Makes blocks of the parser's events, so that limits hold before anything is expanded or recursed into."""

    def __init__(self, loader: yaml.SafeLoader, file: str, error_class: type[YamlFileError]) -> None:
        self._loader = loader
        self._file = file
        self._error_class = error_class

    def build(self) -> Block:
        """The whole file as a block."""
        import yaml

        top: Block | None = None
        open_blocks: list[Block] = []
        key: tuple[str, int] | None = None
        while self._loader.check_event():
            event: Any = self._loader.get_event()  # type: ignore[no-untyped-call]  # PyYAML's stubs
            line = event.start_mark.line + 1
            if isinstance(event, yaml.DocumentStartEvent) and top is not None:
                raise self._error((), line, "a second document begins here; keep one, without `---`")
            if isinstance(event, yaml.CollectionEndEvent):
                open_blocks.pop()
            if not isinstance(event, yaml.AliasEvent | yaml.ScalarEvent | yaml.CollectionStartEvent):
                continue
            parent = open_blocks[-1] if open_blocks else None
            path, line = self._place(parent, key, line)
            if isinstance(event, yaml.AliasEvent):
                raise self._error(path, line, f"aliases such as *{event.anchor} are not supported; write the value out")
            if parent is not None and isinstance(parent.value, dict) and key is None:
                key = self._key(event, parent, line)
                continue
            key = None
            block = self._block(event, path, line)
            if isinstance(event, yaml.CollectionStartEvent):
                if len(open_blocks) == MAX_DEPTH:
                    raise self._error(path[:3], line, f"is nested more than {MAX_DEPTH} deep; make it flatter")
                open_blocks.append(block)
            if parent is None:
                top = block
            elif isinstance(parent.value, dict):
                parent.value[path[-1]] = block
            else:
                parent.value.append(block)
        return top or Block(self._file, (), 1, None, "", self._error_class)

    def _error(self, path: tuple[str | int, ...], line: int, problem: str) -> YamlFileError:
        return Block(self._file, path, line, None, None, self._error_class).error((), problem)

    def _place(self, parent: Block | None, key: tuple[str, int] | None, line: int) -> tuple[tuple[str | int, ...], int]:
        """The path of what comes next, and its line: a field stands where its name does."""
        if parent is None:
            return (), 1
        if isinstance(parent.value, list):
            return (*parent.path, len(parent.value)), line
        return (parent.path, line) if key is None else ((*parent.path, key[0]), key[1])

    def _key(self, event: yaml.Event, parent: Block, line: int) -> tuple[str, int]:
        import yaml

        if not isinstance(event, yaml.ScalarEvent):
            raise self._error(parent.path, line, "expected the name of a field, found a list or fields")
        name = str(event.value)
        path = (*parent.path, name)
        if name == "<<" and event.implicit[0]:
            raise self._error(path, line, "merge keys are not supported; write the fields out")
        if name in parent.value:
            raise self._error(path, line, "is given twice; remove one")
        self._check_characters(name, path, line)
        return name, line

    def _block(
        self, event: yaml.ScalarEvent | yaml.CollectionStartEvent, path: tuple[str | int, ...], line: int
    ) -> Block:
        import yaml

        if isinstance(event, yaml.ScalarEvent):
            value, written = self._scalar(event, path, line), str(event.value)
        else:
            value, written = {} if isinstance(event, yaml.MappingStartEvent) else [], None
            if event.tag not in (None, "!", f"{_TAG}map", f"{_TAG}seq"):
                raise self._error(path, line, f"the tag {event.tag} is not supported; remove it")
        return Block(self._file, path, line, value, written, self._error_class)

    def _scalar(self, event: yaml.ScalarEvent, path: tuple[str | int, ...], line: int) -> Any:
        import yaml

        written = str(event.value)
        self._check_characters(written, path, line)
        tag = event.tag
        if tag is None or tag == "!":
            tag = self._loader.resolve(yaml.ScalarNode, written, event.implicit)  # type: ignore[no-untyped-call]  # stubs
        match tag.removeprefix(_TAG):
            case "str" | "timestamp" | "value" | "merge":
                return written
            case "null":
                return None
            case "bool" if written.lower() in _BOOLEANS:
                return _BOOLEANS[written.lower()]
            case "int" | "float" as kind:
                return self._number(kind, written, path, line)
        raise self._error(path, line, f"the tag {tag} is not supported here; remove it")

    def _number(self, kind: str, written: str, path: tuple[str | int, ...], line: int) -> int | float | str:
        digits = written.replace("_", "").lower()
        if ":" in digits or (kind == "int" and re.fullmatch(r"[+-]?0\d+", digits)):
            return written  # YAML 1.1 reads 1:30 as 90 and 010 as 8, which nobody means
        try:
            number = int(digits, 0) if kind == "int" else float(digits.replace(".inf", "inf").replace(".nan", "nan"))
        except ValueError:
            raise self._error(path, line, f"{written[:40]!r} is not a number that can be used") from None
        if not (abs(number) <= MAX_INTEGER if kind == "int" else isfinite(number)):
            raise self._error(path, line, f"{written[:40]} is not a number that can be used here; write a finite one")
        return number

    def _check_characters(self, text: str, path: tuple[str | int, ...], line: int) -> None:
        for character in text:
            if character not in "\t\n\r" and unicodedata.category(character) in ("Cc", "Cs"):
                name = f"U+{ord(character):04X}"
                raise self._error(path, line, f"holds the control character {name}; remove it")


def _in_words(error: yaml.MarkedYAMLError) -> str:
    problem = error.problem or error.context or "it cannot be parsed"
    if "'\\t'" in problem:
        return "a tab where spaces are expected; indent with spaces"
    return f"{problem}; check quotes, brackets and indentation around here"


def _on_one_line(message: str) -> str:
    """Without line breaks and characters that a terminal would act on; long values are cut."""
    printable = "".join(character if character.isprintable() else " " for character in message)
    return printable if len(printable) <= 1000 else f"{printable[:999]}…"
