"""YAML files that people edit: a slip in one names its file, line and field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

M = TypeVar("M", bound=BaseModel)


class YamlFileError(ValueError):
    """A policy file says something that cannot be used; the message holds file, line, field and remedy."""


class Part(BaseModel):
    """Base of what stands in a file: a field that is not known is a slip, and nothing changes once it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True)
class YamlFile:
    """A file as people see it: its name, and the line of each field."""

    path: Path
    root: yaml.Node | None
    content: Any

    @classmethod
    def read(cls, path: Path) -> YamlFile:
        """Read the file; raises YamlFileError if it cannot be read or is not YAML."""
        try:
            text = path.read_text(encoding="utf-8")
            file = cls(path, yaml.compose(text, Loader=yaml.SafeLoader), yaml.safe_load(text))
        except OSError as error:
            raise YamlFileError(f"{path} cannot be read: {error.strerror or error}") from None
        except yaml.YAMLError as error:
            raise YamlFileError(f"{path.name} is not YAML: {error}") from None
        file._refuse_fields_given_twice(file.root, ())
        return file

    def parsed(self, model: type[M]) -> M:
        """The content in the shape of ``model``; raises YamlFileError at the first field that does not fit."""
        try:
            return model.model_validate(self.content)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise self.error([part for part in first["loc"] if part != "[key]"], _said(first)) from None

    def error(self, field: Sequence[str | int], problem: str) -> YamlFileError:
        """The error that ``problem`` is in a field, named by the keys and list positions that lead to it."""
        name = ".".join(str(part) for part in field) or "the file"
        return YamlFileError(f"{self.path.name}:{self._line(field)}: {name}: {problem}")

    def _refuse_fields_given_twice(self, node: yaml.Node | None, where: tuple[str | int, ...]) -> None:
        # YAML lets the second win in silence.
        if isinstance(node, yaml.MappingNode):
            seen = set()
            for key, value in node.value:
                here = (*where, key.value)
                if key.value in seen:
                    name = ".".join(map(str, here))
                    line = key.start_mark.line + 1
                    raise YamlFileError(f"{self.path.name}:{line}: {name}: is there twice; remove one")
                seen.add(key.value)
                self._refuse_fields_given_twice(value, here)
        elif isinstance(node, yaml.SequenceNode):
            for number, value in enumerate(node.value):
                self._refuse_fields_given_twice(value, (*where, number))

    def _line(self, field: Sequence[str | int]) -> int:
        """Where a field stands, or as much of the way to it as there is."""
        node, line = self.root, 1
        for part in field:
            if isinstance(node, yaml.MappingNode):
                found = next(((key, value) for key, value in node.value if key.value == str(part)), None)
                if found is None:
                    break
                key, node = found
                line = key.start_mark.line + 1
            elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
                node = node.value[part]
                line = node.start_mark.line + 1
        return line


def _said(error: Mapping[str, Any]) -> str:
    """What is wrong with a field, in words for its writer."""
    match error["type"]:
        case "missing":
            return "is missing"
        case "extra_forbidden":
            return "there is no such field"
        case "value_error":
            return str(error["ctx"]["error"])
    return str(error["msg"])
