"""The templates' language: holes and blocks. It clashes with neither PromQL's braces nor Alertmanager's templates.

``<<name>>`` is a hole. A line with only ``<<if name>>``, ``<<else>>`` or ``<<end>>`` begins, turns or ends a block; its
lines are there if the condition holds. Blocks do not nest.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_HOLE = re.compile(r"<<(\w+)>>")
_BLOCK_LINE = re.compile(r"\s*<<(?:if (?P<condition>\w+)|(?P<word>else|end))>>\s*")


class TemplateError(ValueError):
    """A template has a hole or a block that cannot be filled; the message holds file, line and remedy."""


def fill(template: str, holes: Mapping[str, str], conditions: Mapping[str, bool], *, where: str) -> str:
    """The template with its blocks decided and its holes filled; raises TemplateError, naming ``where`` and the line.

    A value of several lines keeps the indent of its hole.
    """
    lines: list[str] = []
    condition: str | None = None
    shown = True
    for number, line in enumerate(template.splitlines(), 1):
        at = f"{where}:{number}"
        if (block := _BLOCK_LINE.fullmatch(line)) is None:
            if shown:
                lines.append(_filled(line, holes, at))
        elif name := block["condition"]:
            if condition is not None:
                raise TemplateError(f"{at}: <<if {name}>> stands inside <<if {condition}>>; end that one first")
            if name not in conditions:
                raise TemplateError(f"{at}: unknown condition {name!r}; the known ones are {_names(conditions)}")
            condition, shown = name, conditions[name]
        elif condition is None:
            raise TemplateError(f"{at}: <<{block['word']}>> without an <<if …>> before it")
        elif block["word"] == "else":
            shown = not conditions[condition]
        else:
            condition, shown = None, True
    if condition is not None:
        raise TemplateError(f"{where}: <<if {condition}>> has no <<end>>")
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip("\n") + "\n"


def holes_in(template: str) -> set[str]:
    """The names of a template's holes."""
    return set(_HOLE.findall(template)) - {"else", "end"}


def _filled(line: str, holes: Mapping[str, str], at: str) -> str:
    def replace(hole: re.Match[str]) -> str:
        if hole[1] not in holes:
            raise TemplateError(f"{at}: unknown hole <<{hole[1]}>>; the known ones are {_names(holes)}")
        return holes[hole[1]].replace("\n", "\n" + indent)

    indent = line[: len(line) - len(line.lstrip())]
    return _HOLE.sub(replace, line)


def _names(known: Mapping[str, object]) -> str:
    return ", ".join(sorted(known))
