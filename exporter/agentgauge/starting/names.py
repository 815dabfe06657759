"""What the names in a file mean, as far as its imports alone say it."""

from __future__ import annotations

import ast
from dataclasses import dataclass


@dataclass(frozen=True)
class Names:
    """``imported`` is name → what it was imported as; ``used`` are all names that the file has for anything.

    A name that the file also gives to something else is in ``used`` alone: which of the two it is, nobody can tell.
    """

    imported: dict[str, str]
    used: frozenset[str]

    def meaning(self, expression: ast.expr) -> str | None:
        """``anthropic.Anthropic`` for an expression that names it; None if the imports do not say what it is."""
        if isinstance(expression, ast.Name):
            return self.imported.get(expression.id)
        if isinstance(expression, ast.Attribute) and (inside := self.meaning(expression.value)):
            return f"{inside}.{expression.attr}"
        return None

    def known(self, thing: str) -> str | None:
        """The name by which the file imports ``package.module.thing`` already, also if it is imported relatively."""
        return next((name for name, meaning in self.imported.items() if f".{meaning}".endswith(f".{thing}")), None)

    def name_for(self, thing: str, other: str) -> str:
        """The name that the file has for ``module.thing``, or can have: ``other`` if ``thing`` means something else."""
        name = thing.rpartition(".")[2]
        return self.known(thing) or (other if name in self.used else name)


BINDING = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.ExceptHandler, ast.MatchAs, ast.MatchStar)
"""What gives its ``name`` to something."""


def names_of(tree: ast.Module) -> Names:
    """The names of a file."""
    imported: dict[str, str] = {}
    otherwise: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                name = alias.asname or alias.name.partition(".")[0]
                _add(imported, otherwise, name, alias.name if alias.asname else name)
        elif isinstance(node, ast.ImportFrom):
            module = f"{'.' * node.level}{node.module or ''}"
            for alias in node.names:
                _add(imported, otherwise, alias.asname or alias.name, f"{module}.{alias.name}")
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            otherwise.add(node.id)
        elif isinstance(node, ast.arg):
            otherwise.add(node.arg)
        elif isinstance(node, BINDING) and node.name:
            otherwise.add(node.name)
    read = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    certain = {name: meaning for name, meaning in imported.items() if name not in otherwise}
    return Names(certain, frozenset(imported.keys() | otherwise | read))


def _add(imported: dict[str, str], otherwise: set[str], name: str, meaning: str) -> None:
    if imported.setdefault(name, meaning) != meaning:
        otherwise.add(name)
